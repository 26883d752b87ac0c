//! Wrong, forged, replayed, foreign and oversized requests: each is refused with the code that names
//! what is wrong, and nothing of it is stored.
//!
//! The nodes run in this process (see `floe_tests::local`): the servers, TLS, files and workers are
//! those of real processes.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

mod catalog;
mod certificates;
mod finishes;
mod scene;
mod uploads;
mod wire;
mod writers;
