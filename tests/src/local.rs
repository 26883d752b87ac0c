//! A committee in this process: storage nodes on real directories, the real clock and loopback
//! addresses 127.x.y.i of their own, with mutual TLS of a real [`Trust`](floe_steward::Trust).
//!
//! A test writes and reads as a gateway does ([`Committee::client`]), or calls nodes by hand as a
//! gateway, a node or an operator that errs ([`Committee::caller`], [`Draft`], [`raw`]). Nodes are
//! stopped and started, lie ([`lie`]) or run out of room ([`TightDisk`]).
//!
//! The servers, TLS, files and workers are those of real processes; what a process adds (arguments,
//! signals, death without a word) is tried by tests that start real ones.

mod addresses;
mod application;
mod committee;
mod disk;
mod draft;
mod lie;
mod metrics;
pub mod raw;
mod volume;
mod wait;

pub use application::{read, resolve, write};
pub use committee::Committee;
pub use disk::TightDisk;
pub use draft::{Draft, DraftExtent, NAMESPACE_UID, content};
pub use lie::lie;
pub use metrics::Metrics;
pub use volume::Holding;
pub use wait::until;
