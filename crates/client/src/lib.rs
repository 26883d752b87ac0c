//! Whole-blob pipelines over the typed client of the storage nodes' routes. The interface speaks
//! bytes, ids and claims.
//!
//! | module | what |
//! |---|---|
//! | [`mod@write`] | bytes in: extents are encoded, sent, confirmed, certified, acknowledged |
//! | [`read`] | bytes out: fetched, verified against the id, decoded, in order |
//! | [`resolution`], [`names`] | which claim a name stands for: the decision is pure |
//! | [`ending`] | releasing and closing claims |
//! | [`identify`] | the id of content, without storing it |
//! | [`committee`] | the epoch records that are known |
//! | [`failure`] | what went wrong with a node, and with too many |
//! | [`budget`] | bounds on memory |
//!
//! Every question that needs a quorum is put to all members at once (a `Round`) and counted by shards
//! (a `Ballot`); stragglers get a bounded tail in the background.

mod ballot;
pub mod budget;
mod client;
pub mod committee;
pub mod ending;
pub mod failure;
mod health;
pub mod identify;
mod intake;
pub mod names;
mod nodes;
mod observer;
mod peers;
pub mod read;
pub mod resolution;
mod round;
mod stock;
#[cfg(test)]
mod tests;
pub mod write;

pub use budget::Budget;
pub use client::Client;
pub use committee::{ChainError, Committee};
pub use ending::{Closing, ReleaseError};
pub use failure::{Failure, NodeFailure, NotEnoughNodes, Phase};
pub use identify::blob_id;
pub use intake::BoxError;
pub use names::{Deleted, Page, ResolveError, UndeleteError};
pub use observer::{NoObserver, Observer};
pub use read::{ReadCheck, ReadError, ReadStream};
pub use resolution::Resolution;
pub use write::{Wish, WriteError, Written};
