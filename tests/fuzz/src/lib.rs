//! Fuzz targets: every decoder of bytes that come from outside (peers, clients, disks). None may
//! panic, allocate more than a small multiple of its input, or take one value for another.
//!
//! A target is a function of bytes with inputs to start from. `tests/fuzz_decoders.rs` runs all of
//! them on these and on some thousand mutants, in seconds; `cargo xtask test --slow fuzz` runs each
//! for a minute under libFuzzer, guided by coverage (`src/bin/guided.rs`). What libFuzzer finds is
//! left under `target/fuzz/<target>`: give the file to `guided` to see it again.
//!
//! Checksums would keep a fuzzer at the door. So targets over frames try every input twice: as it
//! is, and with its checksums put right (`reseal`).

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target panics where a decoder breaks its word"
)]

mod codec;
mod memory_disk;
mod model;
mod mutation;
mod requests;
mod reseal;
mod samples;
mod target;
mod volume;
mod wire;

pub use mutation::Mutation;
pub use target::{Target, targets};
