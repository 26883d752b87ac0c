//! Running a simulation for many seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::sim::seeds;

/// Seeds that run at a time: each simulation has one thread.
const AT_A_TIME: usize = 2;

/// Runs `test` for the seed in `FLOE_SEED`, else for `count` seeds, or for `slow_count` with
/// `FLOE_SLOW=1`. Every seed runs; then it panics if one failed, and says how to run that one again.
pub fn for_seeds(name: &str, count: u64, slow_count: u64, test: impl Fn(u64) + Sync) {
    let is_slow = std::env::var("FLOE_SLOW").is_ok_and(|slow| slow != "0");
    let seeds = seeds(if is_slow { slow_count } else { count });
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begun = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| test(seed)));
            let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
            println!("{name}: seed {seed} {verdict} in {} ms", begun.elapsed().as_millis());
            if outcome.is_err() {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.push(seed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(seeds.len()) {
            scope.spawn(work);
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_unstable();
    assert!(
        failed.is_empty(),
        "failed with seeds {failed:?}; again with: FLOE_SEED={} cargo test -p floe-tests {name}",
        failed[0]
    );
}
