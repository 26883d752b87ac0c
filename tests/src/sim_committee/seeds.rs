//! Running a simulation for many seeds.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::sim::seeds;

/// Seeds that run at a time: each simulation has one thread.
const AT_A_TIME: usize = 2;

/// Runs `test` for the seed in `FLOE_SEED`, else this test again for `count` seeds, or for
/// `slow_count` with `FLOE_SLOW=1`, each in a process of its own: tokio counts tasks per process, and
/// the order in which those of a crashed host end depends on their numbers. Every seed runs; then it
/// panics if one failed, and says how to run that one again.
pub fn for_seeds(name: &str, count: u64, slow_count: u64, test: impl Fn(u64)) {
    let is_slow = std::env::var("FLOE_SLOW").is_ok_and(|slow| slow != "0");
    let seeds = seeds(if is_slow { slow_count } else { count });
    if let [seed] = seeds[..] {
        return test(seed);
    }
    let this_test = std::thread::current().name().expect("a test's thread has its name").to_owned();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begun = Instant::now();
            let output = run_alone(&this_test, seed);
            let verdict = if output.status.success() { "ok" } else { "FAILED" };
            println!("{name}: seed {seed} {verdict} in {} ms", begun.elapsed().as_millis());
            if !output.status.success() {
                for stream in [&output.stdout, &output.stderr] {
                    println!("{}", String::from_utf8_lossy(stream));
                }
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(seed);
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

fn run_alone(test: &str, seed: u64) -> Output {
    let this_program = std::env::current_exe().expect("a running program has a path");
    Command::new(this_program)
        .args(["--exact", test, "--nocapture"])
        .env("FLOE_SEED", seed.to_string())
        .output()
        .expect("a test's program can be run again")
}
