use std::sync::{Mutex, PoisonError};

use floe_env::Random;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Random bytes drawn from a seed.
pub struct SimRandom(Mutex<ChaCha8Rng>);

impl SimRandom {
    /// The `stream`-th sequence of a seed; sequences have nothing to do with each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(Mutex::new(generator))
    }
}

impl Random for SimRandom {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(out);
    }
}
