//! How to make a shard from others: a factor for each.
//!
//! The codec's own decoder spends 0.2 to 0.5 ms per call to learn what is missing, and transforms all
//! shards whatever is asked for. But a codeword is the values of a polynomial at known points, zero at
//! some others, and Lagrange's formula gives the factors that lead from any sufficient points to any
//! other in microseconds. With tens of shards applying them is faster than the transform, and one
//! wanted shard costs one sum of products.

use reed_solomon_simd::engine::tables::{ExpLog, get_exp_log};
use reed_solomon_simd::engine::{DefaultEngine, Engine, GF_MODULUS, GfElement, utils};

use crate::code::Code;

const CHUNK_BYTES: usize = 64;
/// Bytes of a shard made at once: so much of every source stays in cache.
pub(crate) const TILE_BYTES: usize = 4 * 1024;

/// What the codec's points stand for.
struct Points {
    first_original: usize,
    first_parity: usize,
    /// Where the zeros after the originals end.
    end: usize,
}

impl Points {
    /// The codec takes one of two layouts, by which side, rounded up to a power of two, is larger; if
    /// neither is, the one that decodes faster.
    fn of(code: Code) -> Self {
        let (originals, parity) = (code.originals, code.shards - code.originals);
        let (k, r) = (originals.next_power_of_two(), parity.next_power_of_two());
        if k < r || (k == r && originals > parity) {
            Self { first_original: 0, first_parity: k, end: k }
        } else {
            Self { first_original: r, first_parity: 0, end: (r + originals).next_power_of_two() }
        }
    }

    const fn of_shard(&self, code: Code, position: usize) -> usize {
        match position.checked_sub(code.originals) {
            None => self.first_original + position,
            Some(parity) => self.first_parity + parity,
        }
    }
}

/// Products of field elements as sums of logarithms.
#[derive(Clone, Copy)]
struct Logarithms(&'static ExpLog);

impl Logarithms {
    fn of_difference(self, a: usize, b: usize) -> u64 {
        u64::from(self.0.log[(a ^ b) & usize::from(u16::MAX)])
    }

    /// The product of the differences to all other points.
    fn of_differences(self, a: usize, others: &[usize]) -> u64 {
        others.iter().filter(|&&other| other != a).map(|&other| self.of_difference(a, other)).sum()
    }
}

fn reduced(logarithm: u64) -> GfElement {
    GfElement::try_from(logarithm % u64::from(GF_MODULUS)).unwrap_or(0)
}

/// `a / b`.
fn quotient(a: u64, b: u64) -> GfElement {
    let modulus = u64::from(GF_MODULUS);
    reduced(a % modulus + modulus - b % modulus)
}

/// The way from some given shards to one other.
pub(crate) struct Recipe {
    /// Where the wanted shard stands.
    pub(crate) position: usize,
    /// Multiplied with the sum so far, after each source: so a product needs no memory of its own.
    /// Never empty.
    steps: Vec<GfElement>,
}

impl Code {
    /// Ways from as many given positions as there are originals, in this order, to wanted ones.
    pub(crate) fn recipes(
        self,
        given: &[usize],
        wanted: impl Iterator<Item = usize>,
    ) -> Vec<Recipe> {
        let (points, logarithms) = (Points::of(self), Logarithms(get_exp_log()));
        let sources: Vec<usize> =
            given.iter().map(|&position| points.of_shard(self, position)).collect();
        let mut known = sources.clone();
        known.extend(points.first_original + self.originals..points.end);
        let weights: Vec<u64> =
            sources.iter().map(|&point| logarithms.of_differences(point, &known)).collect();
        let recipe = |position| {
            let at = points.of_shard(self, position);
            let all = logarithms.of_differences(at, &known);
            let divisors = sources.iter().zip(&weights);
            let factors: Vec<GfElement> = divisors
                .map(|(&point, weight)| quotient(all, weight + logarithms.of_difference(at, point)))
                .collect();
            let following = factors.iter().skip(1).map(|&factor| u64::from(factor));
            let steps = factors
                .iter()
                .zip(following.chain([0]))
                .map(|(&factor, next)| quotient(u64::from(factor), next));
            Recipe { position, steps: steps.collect() }
        };
        wanted.map(recipe).collect()
    }
}

/// Follows recipes.
pub(crate) struct Kitchen {
    engine: DefaultEngine,
}

impl Kitchen {
    pub(crate) fn new() -> Self {
        Self { engine: DefaultEngine::new() }
    }

    /// Makes the shard from the sources, in the order in which they were given; all are as long as
    /// `shard`, which should be short enough for the cache.
    pub(crate) fn make<'a>(
        &self,
        recipe: &Recipe,
        source: impl Fn(usize) -> &'a [u8],
        shard: &mut [u8],
    ) {
        let (chunks, tail) = shard.as_chunks_mut::<CHUNK_BYTES>();
        for (number, &step) in recipe.steps.iter().enumerate() {
            let (source, _) = source(number).as_chunks::<CHUNK_BYTES>();
            if number == 0 {
                chunks.copy_from_slice(source);
            } else {
                utils::xor(chunks, source);
            }
            self.engine.mul(chunks, step);
        }
        if !tail.is_empty() {
            self.make_tail(recipe, source, chunks.as_flattened().len(), tail);
        }
    }

    /// A tail is half low bytes, half high bytes.
    fn make_tail<'a>(
        &self,
        recipe: &Recipe,
        source: impl Fn(usize) -> &'a [u8],
        at: usize,
        tail: &mut [u8],
    ) {
        let half = tail.len() / 2;
        let mut sum = [[0; CHUNK_BYTES]];
        for (number, &step) in recipe.steps.iter().enumerate() {
            let (low, high) = source(number)[at..].split_at(half);
            let mut chunk = [[0; CHUNK_BYTES]];
            chunk[0][..half].copy_from_slice(low);
            chunk[0][CHUNK_BYTES / 2..][..half].copy_from_slice(high);
            utils::xor(&mut sum, &chunk);
            self.engine.mul(&mut sum, step);
        }
        tail[..half].copy_from_slice(&sum[0][..half]);
        tail[half..].copy_from_slice(&sum[0][CHUNK_BYTES / 2..][..half]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(code: Code, bytes: usize, seed: usize) -> Vec<Vec<u8>> {
        let shard = |number: usize| -> Vec<u8> {
            let at = 0..bytes;
            at.map(|at| ((at + seed) * (2 * number + 1) % 251).to_le_bytes()[0]).collect()
        };
        let mut shards: Vec<Vec<u8>> = (0..code.originals).map(shard).collect();
        let originals: Vec<&[u8]> = shards.iter().map(Vec::as_slice).collect();
        let parity = code.extend(&originals).unwrap();
        shards.extend(parity);
        shards
    }

    /// Every shard from `given`, against the codec's encoder.
    fn makes_all(code: Code, given: &[usize], shards: &[Vec<u8>]) {
        let recipes = code.recipes(given, (0..code.shards).filter(|at| !given.contains(at)));
        assert_eq!(recipes.len(), code.shards - code.originals);
        let kitchen = Kitchen::new();
        for recipe in recipes {
            let mut made = vec![0xA5; shards[0].len()];
            kitchen.make(&recipe, |number| shards[given[number]].as_slice(), &mut made);
            assert_eq!(made, shards[recipe.position], "{code:?} {given:?} {}", recipe.position);
        }
    }

    #[test]
    fn every_set_of_a_small_code_makes_every_other_shard() {
        for (originals, total) in [(2, 4), (3, 4), (3, 7), (5, 7), (4, 8), (4, 7)] {
            let code = Code { originals, shards: total };
            let shards = shards(code, 70, total);
            for set in 0_u32..1 << total {
                let given: Vec<usize> = (0..total).filter(|&at| set >> at & 1 == 1).collect();
                if given.len() == originals {
                    makes_all(code, &given, &shards);
                }
            }
        }
    }

    #[test]
    fn parity_alone_makes_every_shard_of_every_committee() {
        for total in 4..=256_usize {
            let faulty = (total - 1) / 3;
            for originals in [total - faulty, total - 2 * faulty] {
                let code = Code { originals, shards: total };
                let shards = shards(code, 66, 1);
                let given: Vec<usize> = (total - originals..total).rev().collect();
                makes_all(code, &given, &shards);
            }
        }
    }

    #[test]
    fn every_length_is_made() {
        let code = Code { originals: 4, shards: 10 };
        for bytes in [2, 4, 30, 62, 64, 66, 128, 190, 4096] {
            makes_all(code, &[9, 1, 4, 7], &shards(code, bytes, bytes));
        }
    }
}
