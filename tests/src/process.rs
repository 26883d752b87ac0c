//! A committee of real processes: the binary `floe` named by `FLOE_BIN`, real directories, mutual TLS
//! on loopback addresses drawn per test. Everything is killed when a test ends, however it ends.
//!
//! Logs stay in `target/floe-tests/<test>/<process>.log`; what the processes stored is removed after
//! a test that passed.

mod committee;
mod content;
mod http;
mod metrics;
mod scene;
mod server;
mod volume;

pub use committee::{Committee, Size};
pub use content::{Dice, content};
pub use http::{Http, Reply, Request, Unfinished};
pub use metrics::{Metrics, page};
pub use scene::Scene;
pub use server::Server;
pub use volume::{Inspected, copy_dir, inspect};

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The binary under test, from `FLOE_BIN`.
pub fn floe_binary() -> PathBuf {
    let path = std::env::var_os("FLOE_BIN").unwrap_or_else(|| {
        panic!(
            "FLOE_BIN names no binary: run `cargo xtask test node`, or build one with `cargo build -p floe` \
             and set FLOE_BIN=target/debug/floe"
        )
    });
    let path = PathBuf::from(path);
    // Tests run in the folder of their crate; people name files from the top one.
    let top = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(&path);
    let found = if path.is_absolute() { path } else { top };
    found.canonicalize().unwrap_or_else(|error| panic!("FLOE_BIN {}: {error}", found.display()))
}

/// Whether the long versions are wanted.
pub fn is_slow() -> bool {
    std::env::var("FLOE_SLOW").is_ok_and(|slow| slow != "0")
}

/// Looks until there is something, and panics with the last reason after `within`.
pub fn wait_for<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(reason) if begun.elapsed() > within => {
                panic!("{what}: not within {} s: {reason}", within.as_secs())
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}
