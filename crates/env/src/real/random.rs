#![expect(clippy::disallowed_methods, reason = "the real randomness is the operating system's")]

use crate::Random;

/// The operating system's random bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            // Going on would make keys that can be guessed.
            tracing::error!(%error, "operating system gives no random bytes, ending the process");
            std::process::abort();
        }
    }
}
