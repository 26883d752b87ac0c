//! Random bytes.

/// A source of random bytes, good enough for keys (in the simulation: drawn from its seed).
pub trait Random: Send + Sync {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);

    /// A random number of all 64 bits.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number from 0 to `bound - 1`, each as likely as the other; 0 if `bound` is 0.
    fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Above the largest multiple of `bound` the small numbers would come once more often.
        let biased_from = u64::MAX - u64::MAX % bound;
        loop {
            let drawn = self.next_u64();
            if drawn < biased_from {
                return drawn % bound;
            }
        }
    }
}

impl dyn Random + '_ {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Script(AtomicU64, Vec<u64>);

    impl Random for Script {
        fn fill(&self, out: &mut [u8]) {
            let at = usize::try_from(self.0.fetch_add(1, Ordering::Relaxed)).unwrap();
            out.copy_from_slice(&self.1[at].to_le_bytes()[..out.len()]);
        }
    }

    #[test]
    fn below_draws_again_where_it_would_be_biased() {
        let script = Script(AtomicU64::new(0), vec![u64::MAX, u64::MAX - 1, 7, 0, 9]);
        // u64::MAX is a multiple of 5, so only it is drawn again.
        assert_eq!(script.below(5), (u64::MAX - 1) % 5);
        assert_eq!(script.below(5), 2);
        assert_eq!(script.below(0), 0);
        assert_eq!(script.below(1), 0);
        assert_eq!((&script as &dyn Random).bytes::<4>(), [9, 0, 0, 0]);
    }
}
