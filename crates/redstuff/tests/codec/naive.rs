//! The code from its definition, slowly: tables, sums and products, one symbol at a time. What is
//! fast is held against it.
//!
//! A 16-bit element v stands for the sum of those basis elements whose bit is set in v; the same
//! numbers name the points. With k originals and r parities, rounded up to powers of two K and R, a
//! codeword is the values of a polynomial: of degree below K, with the originals at 0 and the
//! parities at K ("low rate", taken when K < R, or K = R and k > r); else of degree below N-R, with
//! the parities at 0 and the originals at R, over N points, a power of two ("high rate"). It is zero
//! at the points after the originals.

use std::sync::LazyLock;

use floe_model::{Axis, Geometry, Hash, StripeId};
use floe_redstuff::{EncodedStripe, StripeShape};

use crate::sample::Draw;
use crate::slow;

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
    fn new(originals: usize, parities: usize) -> Self {
        let (k, r) = (originals.next_power_of_two(), parities.next_power_of_two());
        let low = k < r || (k == r && originals > parities);
        let (first_original, first_parity, end) =
            if low { (0, k, k) } else { (r, 0, (r + originals).next_power_of_two()) };
        let known: Vec<u16> = (first_original..end).map(|x| u16::try_from(x).unwrap()).collect();
        let factor = |parity: usize, original: usize| {
            let at = u16::try_from(first_parity + parity).unwrap();
            let own = known[original];
            let others = known.iter().filter(|&&point| point != own);
            others.fold(1, |product, &point| {
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

/// A Merkle tree, level by level from the leaves, each padded to an even number.
pub(crate) struct Tree(Vec<Vec<Hash>>);

impl Tree {
    pub(crate) fn new(leaves: &[Vec<u8>]) -> Self {
        let leaves = leaves.iter().map(|leaf| floe_model::hash(&[&[0], leaf]));
        let mut levels: Vec<Vec<Hash>> = vec![leaves.collect()];
        while levels[levels.len() - 1].len() > 1 {
            let level = levels.last_mut().unwrap();
            if level.len() % 2 == 1 {
                level.push(Hash([0; 32]));
            }
            let pairs = level.chunks(2);
            let above = pairs.map(|pair| floe_model::hash(&[&[1], &pair[0].0, &pair[1].0]));
            let above = above.collect();
            levels.push(above);
        }
        Self(levels)
    }

    pub(crate) fn siblings(&self, leaf: usize) -> Vec<Hash> {
        let below_root = self.0[..self.0.len() - 1].iter().enumerate();
        below_root.map(|(height, level)| level[leaf >> height ^ 1]).collect()
    }
}

pub(crate) fn root(leaves: &[Vec<u8>]) -> Hash {
    Tree::new(leaves).0.last().unwrap()[0]
}

/// All n x n symbols.
struct Matrix(Vec<Vec<Vec<u8>>>);

impl Matrix {
    fn new(geometry: Geometry, data: &[u8]) -> Self {
        let (n, rows, columns) =
            (usize::from(geometry.shards()), geometry.rows(), geometry.columns());
        let symbol_bytes = data.len().max(1).div_ceil(rows * columns).next_multiple_of(2);
        let mut padded = data.to_vec();
        padded.resize(rows * columns * symbol_bytes, 0);
        let symbols: Vec<Vec<u16>> = padded.chunks(symbol_bytes).map(elements).collect();
        let along = Code::new(columns, n - columns);
        let mut matrix: Vec<Vec<Vec<u16>>> = symbols
            .chunks(columns)
            .map(|row| row.iter().cloned().chain(along.parity(row)).collect())
            .collect();
        let down = Code::new(rows, n - rows);
        let mut below = vec![Vec::new(); n - rows];
        for column in 0..n {
            let upper: Vec<Vec<u16>> = matrix.iter().map(|row| row[column].clone()).collect();
            for (row, symbol) in below.iter_mut().zip(down.parity(&upper)) {
                row.push(symbol);
            }
        }
        matrix.extend(below);
        Self(matrix.iter().map(|row| row.iter().map(|symbol| bytes(symbol)).collect()).collect())
    }

    fn sliver(&self, axis: Axis, index: usize) -> Vec<Vec<u8>> {
        match axis {
            Axis::Primary => self.0[index].clone(),
            Axis::Secondary => self.0.iter().map(|row| row[index].clone()).collect(),
        }
    }

    fn pair_roots(&self) -> Vec<[Hash; 2]> {
        let roots = |axis| (0..self.0.len()).map(move |index| root(&self.sliver(axis, index)));
        let secondary: Vec<Hash> = roots(Axis::Secondary).collect();
        roots(Axis::Primary).zip(secondary.into_iter().rev()).map(<[Hash; 2]>::from).collect()
    }
}

fn id(pairs: &[[Hash; 2]], length: usize) -> StripeId {
    let leaves: Vec<Vec<u8>> = pairs.iter().map(|[p, s]| [p.0, s.0].concat()).collect();
    let length = (length as u64).to_le_bytes();
    StripeId(floe_model::hash(&[&[1], &length, &root(&leaves).0]).0)
}

fn agrees(geometry: Geometry, data: &[u8]) {
    let context = format!("{geometry:?} {} bytes", data.len());
    let matrix = Matrix::new(geometry, data);
    let encoded =
        EncodedStripe::encode(StripeShape::new(geometry, data.len()).unwrap(), data).unwrap();
    let pairs = matrix.pair_roots();
    for (pair, [primary, secondary]) in encoded.metadata().pairs().iter().zip(&pairs) {
        assert_eq!((&pair.primary, &pair.secondary), (primary, secondary), "{context}");
    }
    assert_eq!(encoded.id(), id(&pairs, data.len()), "{context}");
    assert_eq!(floe_redstuff::stripe_id(geometry, data).unwrap(), encoded.id(), "{context}");
    for axis in Axis::BOTH {
        for index in 0..geometry.shards() {
            let symbols = matrix.sliver(axis, usize::from(index));
            let stored = symbols[..geometry.sliver_symbols(axis)].concat();
            assert!(encoded.sliver(axis, index).unwrap() == stored, "{context} {axis} {index}");
        }
    }
}

/// Lengths around which symbols and chunks begin, and others.
fn lengths(geometry: Geometry, draw: &mut Draw) -> Vec<usize> {
    let symbols = geometry.rows() * geometry.columns();
    let full = geometry.full_stripe_bytes();
    let mut lengths = vec![1, 64 * symbols, 2 * symbols + draw.below(160 * symbols)];
    if slow() {
        lengths.extend([0, 2, 2 * symbols, 2 * symbols + 1, 62 * symbols, 64 * symbols + 1]);
        lengths.extend([66 * symbols, 128 * symbols, 130 * symbols - 1]);
        lengths.extend((0..6).map(|_| draw.below(full.min(400 * symbols))));
    }
    lengths
}

#[test]
fn encoding_is_what_the_definition_says() {
    let seed = 77;
    let mut draw = Draw(seed);
    for shards in 4..=100 {
        let geometry = Geometry::of_shards(shards).unwrap();
        for length in lengths(geometry, &mut draw) {
            agrees(geometry, &draw.bytes(length));
        }
    }
}

#[test]
fn encoding_fewer_faults_is_what_the_definition_says() {
    let mut draw = Draw(78);
    for (shards, faulty) in [(7, 1), (10, 1), (10, 2), (16, 3), (31, 4), (64, 8), (100, 20)] {
        let geometry = Geometry::new(shards, faulty).unwrap();
        for length in lengths(geometry, &mut draw) {
            agrees(geometry, &draw.bytes(length));
        }
    }
}

#[test]
fn full_stripes_are_what_the_definition_says() {
    for shards in [4, 7] {
        let geometry = Geometry::of_shards(shards).unwrap();
        let full = geometry.full_stripe_bytes();
        agrees(geometry, &Draw(u64::from(shards)).bytes(full));
        agrees(geometry, &Draw(u64::from(shards)).bytes(full - 2 * geometry.rows()));
    }
}
