//! The code from its definition, slowly: tables, sums and products, one symbol at a time. What is
//! fast is held against it, and `cargo xtask vectors --write` computes with it.
//!
//! A 16-bit element v stands for the sum of those basis elements whose bit is set in v; the same
//! numbers name the points. With k originals and r parities, rounded up to powers of two K and R, a
//! codeword is the values of a polynomial: of degree below K, with the originals at 0 and the
//! parities at K ("low rate", taken when K < R, or K = R and k > r); else of degree below N-R, with
//! the parities at 0 and the originals at R, over N points, a power of two ("high rate"). It is zero
//! at the points after the originals.

use std::sync::LazyLock;

use floe_model::{Axis, Hash, StripeId};

const POLYNOMIAL: u32 = 0x1_002D;
const BASIS: [u16; 16] = [
    0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012, 0x6C98, 0x10D8, 0x6A72, 0xB900,
    0xFDB8, 0xFB34, 0xFF38, 0x991E,
];
const ORDER: usize = 65_535;

/// Powers of a generator, and their inverse.
struct Field {
    power: Vec<u16>,
    logarithm: Vec<usize>,
}

static FIELD: LazyLock<Field> = LazyLock::new(|| {
    let mut name = vec![0_u16; ORDER + 1];
    for element in 0..=u16::MAX {
        let bits = BASIS.iter().enumerate().filter(|(bit, _)| element >> bit & 1 == 1);
        name[usize::from(bits.fold(0, |sum, (_, basis)| sum ^ basis))] = element;
    }
    let mut field = Field { power: vec![0; ORDER], logarithm: vec![0; ORDER + 1] };
    let mut product: u32 = 1;
    for exponent in 0..ORDER {
        let element = name[product as usize];
        field.power[exponent] = element;
        field.logarithm[usize::from(element)] = exponent;
        product <<= 1;
        if product > 0xFFFF {
            product ^= POLYNOMIAL;
        }
    }
    field
});

impl Field {
    fn product(&self, a: u16, b: u16) -> u16 {
        if a == 0 || b == 0 {
            return 0;
        }
        let sum = self.logarithm[usize::from(a)] + self.logarithm[usize::from(b)];
        self.power[sum % ORDER]
    }

    fn quotient(&self, a: u16, b: u16) -> u16 {
        if a == 0 {
            return 0;
        }
        let (a, b) = (self.logarithm[usize::from(a)], self.logarithm[usize::from(b)]);
        self.power[(a + ORDER - b) % ORDER]
    }
}

/// For each parity the factor of each original.
struct Code(Vec<Vec<u16>>);

impl Code {
    fn new(originals: u16, parities: u16) -> Self {
        let (k, r) = (originals.next_power_of_two(), parities.next_power_of_two());
        let low = k < r || (k == r && originals > parities);
        let (first_original, first_parity, end) =
            if low { (0, k, k) } else { (r, 0, (r + originals).next_power_of_two()) };
        let factor = |parity: u16, original: u16| {
            let (at, own) = (first_parity + parity, first_original + original);
            let others = (first_original..end).filter(|&point| point != own);
            others.fold(1, |product, point| {
                let scaled = FIELD.product(product, at ^ point);
                FIELD.quotient(scaled, own ^ point)
            })
        };
        let factors = |parity| (0..originals).map(|original| factor(parity, original)).collect();
        Self((0..parities).map(factors).collect())
    }

    fn parity(&self, originals: &[Vec<u16>]) -> Vec<Vec<u16>> {
        let sum = |factors: &Vec<u16>| {
            let mut symbol = vec![0; originals[0].len()];
            for (&factor, original) in factors.iter().zip(originals) {
                for (sum, &element) in symbol.iter_mut().zip(original) {
                    *sum ^= FIELD.product(factor, element);
                }
            }
            symbol
        };
        self.0.iter().map(sum).collect()
    }
}

/// 64 bytes are 32 low bytes, then 32 high bytes; a tail likewise, half and half.
fn elements(symbol: &[u8]) -> Vec<u16> {
    let halves = symbol.chunks(64).map(|chunk| chunk.split_at(chunk.len() / 2));
    halves
        .flat_map(|(low, high)| low.iter().zip(high).map(|(&l, &h)| u16::from_le_bytes([l, h])))
        .collect()
}

fn bytes(elements: &[u16]) -> Vec<u8> {
    let chunks = elements.chunks(32);
    chunks
        .flat_map(|chunk| {
            let byte = |which: usize| chunk.iter().map(move |element| element.to_le_bytes()[which]);
            byte(0).chain(byte(1)).collect::<Vec<u8>>()
        })
        .collect()
}

/// A Merkle tree, level by level from the leaves, each but the last padded to an even number.
pub(crate) struct Tree(Vec<Vec<Hash>>);

impl Tree {
    pub(crate) fn new(leaves: &[Vec<u8>]) -> Self {
        let mut level: Vec<Hash> =
            leaves.iter().map(|leaf| floe_model::hash(&[&[0], leaf])).collect();
        let mut levels = Vec::new();
        while level.len() > 1 {
            if level.len() % 2 == 1 {
                level.push(Hash([0; 32]));
            }
            let pairs = level.chunks(2);
            let above = pairs.map(|pair| floe_model::hash(&[&[1], &pair[0].0, &pair[1].0]));
            let above = above.collect();
            levels.push(level);
            level = above;
        }
        levels.push(level);
        Self(levels)
    }

    pub(crate) fn root(&self) -> Hash {
        self.0[self.0.len() - 1][0]
    }

    pub(crate) fn siblings(&self, leaf: usize) -> Vec<Hash> {
        let below_root = self.0[..self.0.len() - 1].iter().enumerate();
        below_root.map(|(height, level)| level[leaf >> height ^ 1]).collect()
    }
}

/// All n x n symbols of a stripe.
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    symbols: Vec<Vec<Vec<u8>>>,
}

impl Matrix {
    /// Of n shards, f of which may be faulty.
    pub(crate) fn new(shards: u16, faulty: u16, data: &[u8]) -> Self {
        let (rows, columns) = (usize::from(shards - 2 * faulty), usize::from(shards - faulty));
        let symbol_bytes = data.len().max(1).div_ceil(rows * columns).next_multiple_of(2);
        let mut padded = data.to_vec();
        padded.resize(rows * columns * symbol_bytes, 0);
        let symbols: Vec<Vec<u16>> = padded.chunks(symbol_bytes).map(elements).collect();
        let along = Code::new(shards - faulty, faulty);
        let mut matrix: Vec<Vec<Vec<u16>>> = symbols
            .chunks(columns)
            .map(|row| row.iter().cloned().chain(along.parity(row)).collect())
            .collect();
        let down = Code::new(shards - 2 * faulty, 2 * faulty);
        let mut below = vec![Vec::new(); usize::from(2 * faulty)];
        for column in 0..usize::from(shards) {
            let upper: Vec<Vec<u16>> = matrix.iter().map(|row| row[column].clone()).collect();
            for (row, symbol) in below.iter_mut().zip(down.parity(&upper)) {
                row.push(symbol);
            }
        }
        matrix.extend(below);
        let symbols =
            matrix.iter().map(|row| row.iter().map(|symbol| bytes(symbol)).collect()).collect();
        Self { rows, columns, symbols }
    }

    /// The n symbols that a sliver expands to.
    pub(crate) fn expansion(&self, axis: Axis, index: u16) -> Vec<Vec<u8>> {
        let index = usize::from(index);
        match axis {
            Axis::Primary => self.symbols[index].clone(),
            Axis::Secondary => self.symbols.iter().map(|row| row[index].clone()).collect(),
        }
    }

    /// The bytes of a sliver.
    pub(crate) fn sliver(&self, axis: Axis, index: u16) -> Vec<u8> {
        let stored = match axis {
            Axis::Primary => self.columns,
            Axis::Secondary => self.rows,
        };
        self.expansion(axis, index)[..stored].concat()
    }

    /// For each pair the roots of its primary and its secondary sliver.
    pub(crate) fn pair_roots(&self) -> Vec<[Hash; 2]> {
        let root = |axis, index| Tree::new(&self.expansion(axis, index)).root();
        let indices = (0..).take(self.symbols.len());
        let secondary = indices.clone().map(|index| root(Axis::Secondary, index));
        let secondary: Vec<Hash> = secondary.collect();
        let primary = indices.map(|index| root(Axis::Primary, index));
        primary.zip(secondary.into_iter().rev()).map(<[Hash; 2]>::from).collect()
    }
}

/// The root over the pairs of a stripe.
pub(crate) fn stripe_root(pairs: &[[Hash; 2]]) -> Hash {
    let leaves: Vec<Vec<u8>> = pairs.iter().map(|[p, s]| [p.0, s.0].concat()).collect();
    Tree::new(&leaves).root()
}

/// The id of a stripe of `length` bytes.
pub(crate) fn stripe_id(pairs: &[[Hash; 2]], length: usize) -> StripeId {
    let length = (length as u64).to_le_bytes();
    StripeId(floe_model::hash(&[&[1], &length, &stripe_root(pairs).0]).0)
}
