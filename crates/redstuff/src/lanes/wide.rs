//! Eight lanes of Blake2b with AVX-512: word i of all eight states shares a register, so the plain
//! algorithm runs as it stands, and rotations are single instructions.
//!
//! Closures that take or give registers are avoided: one that is not inlined is compiled without the
//! instructions, and everything crawls.

#![expect(clippy::inline_always, reason = "what is not inlined is compiled without AVX-512")]

use std::arch::x86_64::__m512i;

use pulp::NullaryFnOnce;
use pulp::x86::V4;

use super::WIDE;

const BLOCK_BYTES: usize = 128;
const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];
/// No key, 32 bytes of hash, fan-out and depth 1.
const PARAMETERS: u64 = 0x0101_0020;
/// The order in which each round takes the words of a block.
const ORDER: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
/// The even, and the odd, quarters of two registers.
const EVEN: i32 = 0b10_00_10_00;
const ODD: i32 = 0b11_01_11_01;

/// Whether this machine has AVX-512.
pub(super) fn is_available() -> bool {
    V4::is_available()
}

/// `H(kind ‖ input)` of each; `None` without AVX-512, or if the inputs differ in length.
pub(super) fn hash(kind: u8, inputs: &[&[u8]; WIDE]) -> Option<[[u8; 32]; WIDE]> {
    let simd = V4::try_new()?;
    if inputs.iter().any(|input| input.len() != inputs[0].len()) {
        return None;
    }
    Some(simd.vectorize(Hashing { lanes: Wide(simd), kind, inputs }))
}

struct Hashing<'a> {
    lanes: Wide,
    kind: u8,
    inputs: &'a [&'a [u8]; WIDE],
}

impl NullaryFnOnce for Hashing<'_> {
    type Output = [[u8; 32]; WIDE];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { lanes, kind, inputs } = self;
        let bytes = inputs[0].len();
        let mut state = IV.map(splat);
        state[0] = splat(IV[0] ^ PARAMETERS);
        // The byte that comes first shifts all others: blocks begin one byte early in the input.
        let mut at = bytes.min(BLOCK_BYTES - 1);
        let head = padded(inputs, |input, block| {
            block[0] = kind;
            block[1..=at].copy_from_slice(&input[..at]);
        });
        lanes.compress(&mut state, &head.each_ref(), at + 1, at == bytes);
        while bytes - at > BLOCK_BYTES {
            let blocks: [&[u8; BLOCK_BYTES]; WIDE] = std::array::from_fn(|lane| {
                inputs[lane][at..].first_chunk().unwrap_or(&[0; BLOCK_BYTES])
            });
            at += BLOCK_BYTES;
            lanes.compress(&mut state, &blocks, at + 1, false);
        }
        if at < bytes {
            let rest = bytes - at;
            let tail = padded(inputs, |input, block| block[..rest].copy_from_slice(&input[at..]));
            lanes.compress(&mut state, &tail.each_ref(), bytes + 1, true);
        }
        lanes.transpose(&state).map(|state| {
            let [first, second] = pulp::cast::<__m512i, [[u8; 32]; 2]>(state);
            let _ = second;
            first
        })
    }
}

#[inline(always)]
fn padded(
    inputs: &[&[u8]; WIDE],
    fill: impl Fn(&[u8], &mut [u8; BLOCK_BYTES]),
) -> [[u8; BLOCK_BYTES]; WIDE] {
    inputs.map(|input| {
        let mut block = [0; BLOCK_BYTES];
        fill(input, &mut block);
        block
    })
}

#[inline(always)]
fn splat(word: u64) -> __m512i {
    pulp::cast([word; WIDE])
}

#[derive(Clone, Copy)]
struct Wide(V4);

impl Wide {
    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_add_epi64(a, b)
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_xor_si512(a, b)
    }

    #[inline(always)]
    fn turn<const BITS: i32>(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_ror_epi64::<BITS>(self.xor(a, b))
    }

    /// One block of each lane; `counted` bytes of it were hashed with this block.
    #[inline(always)]
    fn compress(
        self,
        state: &mut [__m512i; 8],
        blocks: &[&[u8; BLOCK_BYTES]; WIDE],
        counted: usize,
        is_last: bool,
    ) {
        let words = self.load(blocks);
        let mut iv = IV;
        iv[4] ^= counted as u64;
        if is_last {
            iv[6] = !iv[6];
        }
        let mut v: [__m512i; 16] =
            std::array::from_fn(|word| if word < 8 { state[word] } else { splat(iv[word - 8]) });
        self.round::<0>(&mut v, &words);
        self.round::<1>(&mut v, &words);
        self.round::<2>(&mut v, &words);
        self.round::<3>(&mut v, &words);
        self.round::<4>(&mut v, &words);
        self.round::<5>(&mut v, &words);
        self.round::<6>(&mut v, &words);
        self.round::<7>(&mut v, &words);
        self.round::<8>(&mut v, &words);
        self.round::<9>(&mut v, &words);
        self.round::<0>(&mut v, &words);
        self.round::<1>(&mut v, &words);
        for (word, state) in state.iter_mut().enumerate() {
            *state = self.xor(*state, self.xor(v[word], v[word + 8]));
        }
    }

    #[inline(always)]
    fn round<const ROUND: usize>(self, v: &mut [__m512i; 16], words: &[__m512i; 16]) {
        let order = const { &ORDER[ROUND] };
        self.mix::<0, 4, 8, 12>(v, words[order[0]], words[order[1]]);
        self.mix::<1, 5, 9, 13>(v, words[order[2]], words[order[3]]);
        self.mix::<2, 6, 10, 14>(v, words[order[4]], words[order[5]]);
        self.mix::<3, 7, 11, 15>(v, words[order[6]], words[order[7]]);
        self.mix::<0, 5, 10, 15>(v, words[order[8]], words[order[9]]);
        self.mix::<1, 6, 11, 12>(v, words[order[10]], words[order[11]]);
        self.mix::<2, 7, 8, 13>(v, words[order[12]], words[order[13]]);
        self.mix::<3, 4, 9, 14>(v, words[order[14]], words[order[15]]);
    }

    #[inline(always)]
    fn mix<const A: usize, const B: usize, const C: usize, const D: usize>(
        self,
        v: &mut [__m512i; 16],
        first: __m512i,
        second: __m512i,
    ) {
        v[A] = self.add(self.add(v[A], v[B]), first);
        v[D] = self.turn::<32>(v[D], v[A]);
        v[C] = self.add(v[C], v[D]);
        v[B] = self.turn::<24>(v[B], v[C]);
        v[A] = self.add(self.add(v[A], v[B]), second);
        v[D] = self.turn::<16>(v[D], v[A]);
        v[C] = self.add(v[C], v[D]);
        v[B] = self.turn::<63>(v[B], v[C]);
    }

    /// Word i of every block in register i.
    #[inline(always)]
    fn load(self, blocks: &[&[u8; BLOCK_BYTES]; WIDE]) -> [__m512i; 16] {
        let halves = blocks.map(|block| pulp::cast::<[u8; BLOCK_BYTES], [__m512i; 2]>(*block));
        let low = self.transpose(&halves.map(|[low, _]| low));
        let high = self.transpose(&halves.map(|[_, high]| high));
        std::array::from_fn(|word| if word < 8 { low[word] } else { high[word - 8] })
    }

    /// Word i of register j becomes word j of register i.
    #[inline(always)]
    fn transpose(self, rows: &[__m512i; 8]) -> [__m512i; 8] {
        let [r0, r1, r2, r3, r4, r5, r6, r7] = *rows;
        let (l0, l1) = (self.low(r0, r1), self.low(r2, r3));
        let (l2, l3) = (self.low(r4, r5), self.low(r6, r7));
        let (h0, h1) = (self.high(r0, r1), self.high(r2, r3));
        let (h2, h3) = (self.high(r4, r5), self.high(r6, r7));
        let [c0, c2, c4, c6] = self.columns(l0, l1, l2, l3);
        let [c1, c3, c5, c7] = self.columns(h0, h1, h2, h3);
        [c0, c1, c2, c3, c4, c5, c6, c7]
    }

    /// Every second column, from the pairs of words at their places in pairs of rows.
    #[inline(always)]
    fn columns(self, a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
        let (upper_even, upper_odd) = (self.even(a, b), self.odd(a, b));
        let (lower_even, lower_odd) = (self.even(c, d), self.odd(c, d));
        [
            self.even(upper_even, lower_even),
            self.even(upper_odd, lower_odd),
            self.odd(upper_even, lower_even),
            self.odd(upper_odd, lower_odd),
        ]
    }

    #[inline(always)]
    fn low(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_unpacklo_epi64(a, b)
    }

    #[inline(always)]
    fn high(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_unpackhi_epi64(a, b)
    }

    #[inline(always)]
    fn even(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_shuffle_i64x2::<EVEN>(a, b)
    }

    #[inline(always)]
    fn odd(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_shuffle_i64x2::<ODD>(a, b)
    }
}
