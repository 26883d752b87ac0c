//! What a fuzz target is, and all of them.

use allocation_counter::measure;

/// A decoder under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As it is called on the command line.
    pub name: &'static str,
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Decodes; panics where the decoder breaks its word.
    pub(crate) run: fn(&[u8]),
    /// Bytes that it may allocate whatever the input is.
    pub(crate) base_bytes: u64,
    /// Bytes that it may allocate for each byte of input.
    pub(crate) factor: u64,
}

impl Target {
    /// A decoder of values: what it makes is little more than what it reads.
    pub(crate) const fn of_values(
        name: &'static str,
        seeds: fn() -> Vec<Vec<u8>>,
        run: fn(&[u8]),
    ) -> Self {
        Self { name, seeds, run, base_bytes: 64 << 10, factor: 32 }
    }

    /// Makes what is made once in a process, so that it is not counted.
    pub fn warm_up(&self) {
        for seed in (self.seeds)() {
            (self.run)(&seed);
        }
    }

    /// Runs it on one input. Panics if it breaks its word or allocates too much.
    pub fn check(&self, input: &[u8]) {
        let taken = measure(|| (self.run)(input)).bytes_max;
        let most = self.base_bytes + self.factor * input.len() as u64;
        assert!(
            taken <= most,
            "{}: {taken} bytes allocated for {} of input, at most {most} are allowed",
            self.name,
            input.len(),
        );
    }
}

/// All targets.
pub fn targets() -> Vec<Target> {
    [crate::model::TARGETS, crate::codec::TARGETS, crate::wire::TARGETS, crate::requests::TARGETS]
        .into_iter()
        .flatten()
        .copied()
        .chain(crate::volume::TARGETS.iter().copied())
        .collect()
}
