//! Blake2b-256 of many inputs at once, one in each SIMD lane: eight lanes with AVX-512, else four
//! with AVX2. The hashes are those of the plain function, whatever the machine.

#[cfg(target_arch = "x86_64")]
mod wide;

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};

/// Inputs hashed at once at most.
const WIDE: usize = 8;
/// Inputs hashed at once without AVX-512.
const NARROW: usize = 4;

/// Hashes inputs in groups; keeps memory to do so.
#[derive(Debug)]
pub(crate) struct Lanes {
    params: Params,
    inputs: [Vec<u8>; NARROW],
    is_wide: bool,
}

impl Lanes {
    /// As many lanes as the machine has.
    pub(crate) fn new() -> Self {
        let mut lanes = Self::narrow();
        #[cfg(target_arch = "x86_64")]
        {
            lanes.is_wide = wide::is_available();
        }
        lanes
    }

    /// Four lanes, whatever the machine has.
    pub(crate) fn narrow() -> Self {
        let mut params = Params::new();
        params.hash_length(32);
        Self { params, inputs: Default::default(), is_wide: false }
    }

    /// `H(kind ‖ datum)` of each datum, in order. Fast if most have the length of their neighbours.
    pub(crate) fn hash<'a>(
        &mut self,
        kind: u8,
        data: impl Iterator<Item = &'a [u8]>,
        mut put: impl FnMut([u8; 32]),
    ) {
        let mut group: [&[u8]; WIDE] = [&[]; WIDE];
        let mut filled = 0;
        for datum in data {
            group[filled] = datum;
            filled += 1;
            if filled == WIDE {
                self.hash_group(kind, &group, &mut put);
                filled = 0;
            }
        }
        self.hash_group(kind, &group[..filled], &mut put);
    }

    fn hash_group(&mut self, kind: u8, group: &[&[u8]], put: &mut impl FnMut([u8; 32])) {
        // Up to half a group, the narrow lanes are as fast.
        if self.is_wide && group.len() > NARROW && Self::hash_wide(kind, group, put) {
            return;
        }
        for group in group.chunks(NARROW) {
            self.hash_narrow(kind, group, put);
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn hash_wide(kind: u8, group: &[&[u8]], put: &mut impl FnMut([u8; 32])) -> bool {
        let lanes = std::array::from_fn(|lane| group.get(lane).copied().unwrap_or(group[0]));
        let hashes = wide::hash(kind, &lanes);
        let is_done = hashes.is_some();
        hashes.into_iter().flatten().take(group.len()).for_each(put);
        is_done
    }

    #[cfg(not(target_arch = "x86_64"))]
    const fn hash_wide(_: u8, _: &[&[u8]], _: &mut impl FnMut([u8; 32])) -> bool {
        false
    }

    fn hash_narrow(&mut self, kind: u8, group: &[&[u8]], put: &mut impl FnMut([u8; 32])) {
        for (input, datum) in self.inputs.iter_mut().zip(group) {
            input.clear();
            input.push(kind);
            input.extend_from_slice(datum);
        }
        let mut jobs: [HashManyJob<'_>; NARROW] =
            std::array::from_fn(|lane| HashManyJob::new(&self.params, &self.inputs[lane]));
        let jobs = &mut jobs[..group.len()];
        hash_many(jobs.iter_mut());
        for job in jobs {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(job.to_hash().as_bytes());
            put(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(mut lanes: Lanes, kind: u8, data: &[Vec<u8>]) -> Vec<[u8; 32]> {
        let mut hashes = Vec::new();
        lanes.hash(kind, data.iter().map(Vec::as_slice), |hash| hashes.push(hash));
        hashes
    }

    fn data(count: usize, bytes: impl Fn(usize) -> usize) -> Vec<Vec<u8>> {
        let datum = |number: usize| {
            let bytes = 0..bytes(number);
            bytes.map(|at| (at * 7 + number * 31 + at / 256).to_le_bytes()[0]).collect()
        };
        (0..count).map(datum).collect()
    }

    fn agrees(data: &[Vec<u8>]) {
        for kind in [0, 1] {
            let plain: Vec<[u8; 32]> =
                data.iter().map(|datum| floe_model::hash(&[&[kind], datum]).0).collect();
            assert_eq!(hashes(Lanes::new(), kind, data), plain);
            assert_eq!(hashes(Lanes::narrow(), kind, data), plain);
        }
    }

    #[test]
    fn all_lanes_hash_like_the_plain_function_at_every_length() {
        for bytes in (0..260).chain([381, 382, 383, 384, 511, 512, 1023, 1024, 4096, 32_768]) {
            agrees(&data(WIDE, |_| bytes));
        }
    }

    #[test]
    fn groups_may_be_partly_filled() {
        for count in 0..=19 {
            agrees(&data(count, |_| 200));
        }
    }

    #[test]
    fn neighbours_may_differ_in_length() {
        agrees(&data(17, |number| number * number * 5));
        agrees(&data(16, |number| if number == 11 { 127 } else { 128 }));
    }
}
