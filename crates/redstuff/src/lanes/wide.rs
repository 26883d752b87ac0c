//! Eight lanes of Blake2b with AVX-512: word i of all eight states shares a register, so the plain
//! algorithm runs as it stands, and rotations are single instructions.
//!
//! Closures that take or give registers are avoided: one that is not inlined is compiled without the
//! instructions, and everything crawls.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_ror_epi64, _mm512_set1_epi64, _mm512_shuffle_i64x2,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use fearless_simd::{Avx512, Level, SimdBase, SimdFrom, kernel, u8x64};

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

/// Whether this machine has AVX-512, as processors have it since Ice Lake and Zen 4.
pub(super) fn is_available() -> bool {
    Level::new().as_avx512().is_some()
}

/// `H(kind ‖ input)` of each; `None` without AVX-512, or if the inputs differ in length.
pub(super) fn hash(kind: u8, inputs: &[&[u8]; WIDE]) -> Option<[[u8; 32]; WIDE]> {
    let simd = Level::new().as_avx512()?;
    if inputs.iter().any(|input| input.len() != inputs[0].len()) {
        return None;
    }
    Some(hash_equal(simd, kind, inputs))
}

kernel! {
    /// The inputs are equally long.
    fn hash_equal(simd: Avx512, kind: u8, inputs: &[&[u8]; WIDE]) -> [[u8; 32]; WIDE] {
        let bytes = inputs[0].len();
        let mut state = [_mm512_set1_epi64(0); WIDE];
        for (state, iv) in state.iter_mut().zip(IV) {
            *state = splat(iv);
        }
        state[0] = splat(IV[0] ^ PARAMETERS);
        // The byte that comes first shifts all others: blocks begin one byte early in the input.
        let mut at = bytes.min(BLOCK_BYTES - 1);
        let head = padded(inputs, |input, block| {
            block[0] = kind;
            block[1..=at].copy_from_slice(&input[..at]);
        });
        compress(simd, &mut state, &head.each_ref(), at + 1, at == bytes);
        while bytes - at > BLOCK_BYTES {
            let blocks: [&[u8; BLOCK_BYTES]; WIDE] = std::array::from_fn(|lane| {
                inputs[lane][at..].first_chunk().unwrap_or(&[0; BLOCK_BYTES])
            });
            at += BLOCK_BYTES;
            compress(simd, &mut state, &blocks, at + 1, false);
        }
        if at < bytes {
            let rest = bytes - at;
            let tail = padded(inputs, |input, block| block[..rest].copy_from_slice(&input[at..]));
            compress(simd, &mut state, &tail.each_ref(), bytes + 1, true);
        }
        let mut hashes = [[0; 32]; WIDE];
        for (hash, state) in hashes.iter_mut().zip(transpose(&state)) {
            let bytes = u8x64::simd_from(simd, state).to_array();
            hash.copy_from_slice(&bytes[..32]);
        }
        hashes
    }
}

#[inline]
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

#[target_feature(enable = "avx512f")]
#[inline]
fn splat(word: u64) -> __m512i {
    _mm512_set1_epi64(word.cast_signed())
}

#[target_feature(enable = "avx512f")]
#[inline]
fn turn<const BITS: i32>(a: __m512i, b: __m512i) -> __m512i {
    _mm512_ror_epi64::<BITS>(_mm512_xor_si512(a, b))
}

/// One block of each lane; `counted` bytes of it were hashed with this block.
#[target_feature(enable = "avx512f")]
#[inline]
fn compress(
    simd: Avx512,
    state: &mut [__m512i; 8],
    blocks: &[&[u8; BLOCK_BYTES]; WIDE],
    counted: usize,
    is_last: bool,
) {
    let words = load(simd, blocks);
    let mut iv = IV;
    iv[4] ^= counted as u64;
    if is_last {
        iv[6] = !iv[6];
    }
    let mut v = [state[0]; 16];
    for word in 0..8 {
        v[word] = state[word];
        v[word + 8] = splat(iv[word]);
    }
    round::<0>(&mut v, &words);
    round::<1>(&mut v, &words);
    round::<2>(&mut v, &words);
    round::<3>(&mut v, &words);
    round::<4>(&mut v, &words);
    round::<5>(&mut v, &words);
    round::<6>(&mut v, &words);
    round::<7>(&mut v, &words);
    round::<8>(&mut v, &words);
    round::<9>(&mut v, &words);
    round::<0>(&mut v, &words);
    round::<1>(&mut v, &words);
    for (word, state) in state.iter_mut().enumerate() {
        *state = _mm512_xor_si512(*state, _mm512_xor_si512(v[word], v[word + 8]));
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn round<const ROUND: usize>(v: &mut [__m512i; 16], words: &[__m512i; 16]) {
    let order = const { &ORDER[ROUND] };
    mix::<0, 4, 8, 12>(v, words[order[0]], words[order[1]]);
    mix::<1, 5, 9, 13>(v, words[order[2]], words[order[3]]);
    mix::<2, 6, 10, 14>(v, words[order[4]], words[order[5]]);
    mix::<3, 7, 11, 15>(v, words[order[6]], words[order[7]]);
    mix::<0, 5, 10, 15>(v, words[order[8]], words[order[9]]);
    mix::<1, 6, 11, 12>(v, words[order[10]], words[order[11]]);
    mix::<2, 7, 8, 13>(v, words[order[12]], words[order[13]]);
    mix::<3, 4, 9, 14>(v, words[order[14]], words[order[15]]);
}

#[target_feature(enable = "avx512f")]
#[inline]
fn mix<const A: usize, const B: usize, const C: usize, const D: usize>(
    v: &mut [__m512i; 16],
    first: __m512i,
    second: __m512i,
) {
    v[A] = _mm512_add_epi64(_mm512_add_epi64(v[A], v[B]), first);
    v[D] = turn::<32>(v[D], v[A]);
    v[C] = _mm512_add_epi64(v[C], v[D]);
    v[B] = turn::<24>(v[B], v[C]);
    v[A] = _mm512_add_epi64(_mm512_add_epi64(v[A], v[B]), second);
    v[D] = turn::<16>(v[D], v[A]);
    v[C] = _mm512_add_epi64(v[C], v[D]);
    v[B] = turn::<63>(v[B], v[C]);
}

/// Word i of every block in register i.
#[target_feature(enable = "avx512f")]
#[inline]
fn load(simd: Avx512, blocks: &[&[u8; BLOCK_BYTES]; WIDE]) -> [__m512i; 16] {
    let none = _mm512_set1_epi64(0);
    let (mut low, mut high) = ([none; WIDE], [none; WIDE]);
    for (lane, block) in blocks.iter().enumerate() {
        let ([first, second], _) = block.as_chunks::<64>() else { continue };
        low[lane] = u8x64::from_slice(simd, first).into();
        high[lane] = u8x64::from_slice(simd, second).into();
    }
    let (low, high) = (transpose(&low), transpose(&high));
    let mut words = [none; 16];
    words[..WIDE].copy_from_slice(&low);
    words[WIDE..].copy_from_slice(&high);
    words
}

/// Word i of register j becomes word j of register i.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose(rows: &[__m512i; 8]) -> [__m512i; 8] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = *rows;
    let (l0, l1) = (_mm512_unpacklo_epi64(r0, r1), _mm512_unpacklo_epi64(r2, r3));
    let (l2, l3) = (_mm512_unpacklo_epi64(r4, r5), _mm512_unpacklo_epi64(r6, r7));
    let (h0, h1) = (_mm512_unpackhi_epi64(r0, r1), _mm512_unpackhi_epi64(r2, r3));
    let (h2, h3) = (_mm512_unpackhi_epi64(r4, r5), _mm512_unpackhi_epi64(r6, r7));
    let [c0, c2, c4, c6] = columns(l0, l1, l2, l3);
    let [c1, c3, c5, c7] = columns(h0, h1, h2, h3);
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

/// Every second column, from the pairs of words at their places in pairs of rows.
#[target_feature(enable = "avx512f")]
#[inline]
fn columns(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    let (upper_even, upper_odd) = (even(a, b), odd(a, b));
    let (lower_even, lower_odd) = (even(c, d), odd(c, d));
    [
        even(upper_even, lower_even),
        even(upper_odd, lower_odd),
        odd(upper_even, lower_even),
        odd(upper_odd, lower_odd),
    ]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn even(a: __m512i, b: __m512i) -> __m512i {
    _mm512_shuffle_i64x2::<EVEN>(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn odd(a: __m512i, b: __m512i) -> __m512i {
    _mm512_shuffle_i64x2::<ODD>(a, b)
}
