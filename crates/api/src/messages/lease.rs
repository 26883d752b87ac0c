//! Leases of repair work: ranges of the catalog, with what is missing in them.

use floe_model::{BlobId, BootId, ExtentIndex, LeaseId, PairIndex, RecordHash, ShardIndex};
use serde::{Deserialize, Serialize};

use super::json_message;

/// A lease of repair work. It lives in the memory of the node that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Which one.
    pub lease: LeaseId,
    /// The start of the node that it is bound to.
    pub boot: BootId,
    /// How long it holds after it was given, renewed or worked on.
    pub ttl_millis: u64,
    /// The record accepted by the node.
    pub record: RecordHash,
    /// The shards whose slivers are missing.
    pub shards: Vec<ShardIndex>,
    /// The work, by rising blob; empty if there is none to give.
    pub blobs: Vec<LeasedBlob>,
    /// More is missing, that others hold or work on, or that did not fit; or the node has not read
    /// yet what it owes: ask again.
    pub others: bool,
}

/// A blob of which a lease's holder is to bring slivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeasedBlob {
    /// The blob.
    pub blob: BlobId,
    /// Bytes of it.
    pub length: u64,
    /// Extents of it, rising.
    pub extents: Vec<LeasedExtent>,
}

/// What is missing of one extent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeasedExtent {
    /// The extent.
    pub extent: ExtentIndex,
    /// Pairs whose primary and secondary slivers are missing; `None` where the node does not know
    /// the extent's metadata: all that belongs on the lease's shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<(Vec<PairIndex>, Vec<PairIndex>)>,
}

/// What was done under a lease since it was renewed last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaseProgress {
    /// Payload bytes read from peers.
    pub read_bytes: u64,
    /// Extents given back, because they cannot be rebuilt without the node: it looks at them itself.
    #[serde(default)]
    pub returned: Vec<(BlobId, ExtentIndex)>,
}

/// What is left of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseState {
    /// How long it holds from now.
    pub ttl_millis: u64,
    /// Extents of it of which something is missing.
    pub extents_left: u64,
}

json_message!(Lease, LeaseProgress, LeaseState);
