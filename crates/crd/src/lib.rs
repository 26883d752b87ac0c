//! Floe's Kubernetes kinds, `floe.dev/v1alpha1`: Committee, StorageNode and Blob, and the names
//! and labels of what is made from them. No client, no I/O, no clock.
//!
//! [`definitions`] are the CustomResourceDefinitions; `cargo xtask generate` writes them down.
//! Every list, map and string in them is bounded, so that the rules' cost can be.

#![expect(unreachable_pub, reason = "what derives the rules repeats each struct in a function")]

mod blob;
mod committee;
pub mod condition;
mod definition;
mod duration;
pub mod labels;
pub mod names;
mod quantity;
mod schema;
mod storage_node;

pub use blob::{
    Blob, BlobSpec, BlobStatus, BlobSummary, CommitteeReference, ConfigMapKey, DeletionPolicy,
    Import, Inline, Protection, Source, Upload,
};
pub use committee::access::{Access, Gateway, NamespaceAccess, NamespacesFrom};
pub use committee::pod_template::{PodTemplate, Resources};
pub use committee::status::{
    BlobCounts, Capacity, CommitteeRepair, CommitteeStatus, CommitteeSummary, Losses, Survives,
};
pub use committee::upkeep::{
    Confirmation, Deletion, Disruption, DisruptionBudget, HostSpread, Pause, Repair, Topology,
    ZoneSpread,
};
pub use committee::{Committee, CommitteeSpec, Encoding, Storage};
pub use definition::definitions;
pub use duration::{DurationError, duration};
pub use quantity::{Quantity, QuantityError, quantity_bytes};
pub use storage_node::{
    LocalCommittee, NodeRepair, OwnedShards, RepairState, SliverCounts, StorageNode,
    StorageNodeSpec, StorageNodeStatus, StorageNodeSummary, Volume, VolumeState,
};

/// The API group of all kinds.
pub const GROUP: &str = "floe.dev";
/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";
