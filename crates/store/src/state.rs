//! A node's state in memory: what the control log's entries, applied in order, and the slivers on
//! disk amount to.
//!
//! [`State::apply`] is the only place where an entry changes the state, and it is total: an entry
//! that makes no sense changes nothing.
//!
//! ```text
//! key    (none) ──Upload──▶ open ──Manifest──▶ live ──Stable──▶ stable
//!           └─────────Manifest────────────────▶┘                  │
//!        (none, never again) ◀────────Expired── from each of them ┘
//! claim  (none) ──Binding──▶ bound ──Confirmed──▶ confirmed ──Claim──▶ certified
//!           ▲                                   Catalog(Release) ─▶ released │
//!           └──────────────── ForgottenClaim ────────────────────────────────┘
//!        beside it: closing  open ──Closed──▶ closed ──ClosingVoid──▶ void (for ever)
//! ```

mod blobs;
mod catalog;
mod epochs;

use std::collections::BTreeMap;

use floe_model::{FeedPosition, NodeName, SealedHead};

pub use blobs::{BlobState, ExtentState, KeyState, MissingExtent, UploadState};
pub use catalog::{BucketItem, ClaimState, Closing, Confirmed, NameState, Owed, Released, Window};

use crate::entry::Entry;
use crate::log::LogSpan;

/// A node's state in memory.
#[derive(Debug, Default)]
pub struct State {
    epochs: epochs::Epochs,
    blobs: blobs::Blobs,
    catalog: catalog::Catalog,
    cursors: BTreeMap<NodeName, FeedPosition>,
    heads: BTreeMap<NodeName, SealedHead>,
    caught_up: bool,
}

impl State {
    /// Applies an entry that stands in the log at `at`.
    pub fn apply(&mut self, entry: &Entry, at: LogSpan) {
        match entry {
            Entry::Record(record) => self.epochs.record(record),
            Entry::Accepted(record) => self.epochs.accept(*record),
            Entry::Committed { proof, learnt } => self.epochs.commit(proof, *learnt),
            Entry::Upload { key, permit, opened } => self.blobs.open(*key, permit, *opened),
            Entry::Extent { key, extent, shape, first_stripe, .. } => {
                self.blobs.extent(*key, *extent, ExtentState::new(*shape, *first_stripe, at));
            }
            Entry::Manifest { key, blob, length, .. } => {
                self.blobs.manifest(*key, *blob, *length, at);
            }
            Entry::Stable { key } => self.blobs.stable(*key),
            Entry::Confirmed { claim, blob, record, at } => {
                let confirmed = Confirmed { blob: *blob, record: *record, at: *at };
                self.catalog.confirm(*claim, confirmed);
            }
            Entry::Catalog(entry) => self.catalog.add(entry, at, &self.epochs),
            Entry::Expired { key } => {
                if let Some(blob) = self.blobs.expire(*key) {
                    self.catalog.unconfirm(&blob);
                }
            }
            Entry::Cursor { node, position } => {
                self.cursors.insert(node.clone(), *position);
            }
            Entry::CaughtUp => self.caught_up = true,
            Entry::Head { node, head } => {
                // A volume that was put back to an older copy must not wipe out what proves it.
                let older = |known: &SealedHead| {
                    known.position.volume != head.position.volume
                        || known.position.sequence <= head.position.sequence
                };
                if self.heads.get(node).is_none_or(older) {
                    self.heads.insert(node.clone(), *head);
                }
            }
            Entry::Frozen { blob, .. } => self.blobs.freeze(*blob, at),
            Entry::Ran { millis } => self.catalog.run(*millis),
            Entry::ForgottenClaim { claim } => self.catalog.forget_claim(claim),
            Entry::ForgottenRelease { namespace_uid, name, claim } => {
                self.catalog.forget_release(namespace_uid, name, claim);
            }
        }
    }

    /// How far the feed of a peer was read.
    pub fn cursor(&self, node: &NodeName) -> Option<FeedPosition> {
        self.cursors.get(node).copied()
    }

    /// How far the feeds of all peers were read, by name.
    pub const fn cursors(&self) -> &BTreeMap<NodeName, FeedPosition> {
        &self.cursors
    }

    /// How far the feed of a peer went when it was read last, under the peer's own seal.
    pub fn head_of(&self, node: &NodeName) -> Option<&SealedHead> {
        self.heads.get(node)
    }

    /// Whether the bindings of nodes worth n-f shards were read once.
    pub const fn caught_up(&self) -> bool {
        self.caught_up
    }
}

#[cfg(test)]
mod tests;
