//! All targets, on valid inputs and on mutants of them.

use floe_fuzz::{Mutation, targets};

/// Mutants of each target; the slow runs take libFuzzer instead (`cargo xtask test --slow fuzz`).
const MUTANTS: usize = 3_000;

#[test]
fn no_decoder_breaks_its_word() {
    let seed = std::env::var("FLOE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("FLOE_SEED={seed}");
    for target in targets() {
        let seeds = (target.seeds)();
        target.warm_up();
        let mut mutation = Mutation::new(seed);
        for seed in &seeds {
            target.check(seed);
        }
        target.check(&[]);
        for number in 0..MUTANTS {
            let input = mutation.of(&seeds);
            let checked = std::panic::catch_unwind(|| target.check(&input));
            assert!(checked.is_ok(), "{}: mutant {number} of seed {seed}", target.name);
        }
    }
}

#[test]
fn targets_are_called_differently() {
    let names: std::collections::BTreeSet<_> = targets().iter().map(|target| target.name).collect();
    assert_eq!(names.len(), targets().len());
}
