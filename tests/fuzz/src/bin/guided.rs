//! One target under libFuzzer: `FLOE_FUZZ_TARGET` names it, `FLOE_FUZZ_SEEDS` is a folder that its
//! inputs to start from are written to. Without a target, prints the names of all.

#![no_main]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "runs on the real machine only"
)]

use std::path::PathBuf;
use std::sync::LazyLock;

use floe_fuzz::{Target, targets};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let Ok(wanted) = std::env::var("FLOE_FUZZ_TARGET") else {
        for target in targets() {
            println!("{}", target.name);
        }
        std::process::exit(0);
    };
    let target = targets().into_iter().find(|target| target.name == wanted).unwrap();
    if let Some(folder) = std::env::var_os("FLOE_FUZZ_SEEDS").map(PathBuf::from) {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
    target.warm_up();
    target
});

libfuzzer_sys::fuzz_target!(
    init: {
        LazyLock::force(&TARGET);
    },
    |input: &[u8]| TARGET.check(input)
);
