//! What a storage node keeps: slivers, control log and volume identity. Synchronous; callers run it
//! inside `floe_env::compute`.
//!
//! # On disk
//!
//! | path | content |
//! |---|---|
//! | `lock` | locked while a process has the volume open |
//! | `identity` | one frame: committee, node, incarnation, volume id, public key |
//! | `key` | one frame: the node's secret key |
//! | `control.log` | frames: all that is not a sliver, append-only ([`Entry`]) |
//! | `slivers/<key>/<extent>-<pair>-<axis>` | one frame each: a sliver of an extent |
//! | `corrupt/` | the last few slivers whose bytes did not match their checksums |
//!
//! # What is promised
//!
//! [`Store::transact`] writes its entries as one: after a crash all of them are there or none.
//! [`Store::sync`] makes everything written before the call durable: sliver files, then
//! directories, then the log. Entries may reach the disk before a sync; a crash leaves all synced
//! entries and a prefix of the others. A failed sync ends all writing: the process is to end, and
//! to read again what is there.

mod commit;
mod entry;
mod error;
mod identity;
mod log;
mod slivers;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use entry::{BlobKey, Entry};
pub use error::{OpenError, StoreError, TransactError};
pub use identity::{Expected, VolumeIdentity};
pub use log::LogSpan;
pub use state::{
    BlobState, BucketItem, ClaimState, Closing, Confirmed, ExtentState, KeyState, MissingExtent,
    NameState, Owed, Released, State, UploadState, Window,
};
pub use store::Store;
