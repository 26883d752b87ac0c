//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;

use floe_model::{Axis, CommitteeId, ExtentIndex, Incarnation, NodeName, PairIndex};

use crate::entry::BlobKey;

/// A volume that is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("volume {dir} is in use by another process: stop that one first")]
    Locked {
        /// The volume's directory.
        dir: PathBuf,
    },
    /// It belongs to another committee.
    #[error(
        "volume {dir} belongs to committee {found}, this node to {wanted}: mount this node's own volume, or give an empty one with the next incarnation"
    )]
    OtherCommittee {
        /// The volume's directory.
        dir: PathBuf,
        /// Whose it is.
        found: CommitteeId,
        /// Whose it should be.
        wanted: CommitteeId,
    },
    /// It belongs to another node.
    #[error(
        "volume {dir} belongs to node {found}, this is node {wanted}: mount this node's own volume"
    )]
    OtherNode {
        /// The volume's directory.
        dir: PathBuf,
        /// Whose it is.
        found: NodeName,
        /// Whose it should be.
        wanted: NodeName,
    },
    /// It is another incarnation of this node.
    #[error(
        "volume {dir} is incarnation {found}, wanted is {wanted}: mount the volume of incarnation {wanted}, or start incarnation {found}"
    )]
    OtherIncarnation {
        /// The volume's directory.
        dir: PathBuf,
        /// Which it is.
        found: Incarnation,
        /// Which it should be.
        wanted: Incarnation,
    },
    /// Written by a newer program.
    #[error(
        "{what} of volume {dir} has format version {found}, this program knows {known}: upgrade it"
    )]
    Version {
        /// The volume's directory.
        dir: PathBuf,
        /// What was read.
        what: &'static str,
        /// The version it carries.
        found: u16,
        /// The version known here.
        known: u16,
    },
    /// Something is there that this program did not leave so.
    #[error("volume {dir}: {what}: it counts as lost, start the next incarnation on an empty one")]
    Damaged {
        /// The volume's directory.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What was once synced in the control log is not readable any more.
    #[error(
        "the control log of volume {dir} is damaged at byte {offset_bytes}: it counts as lost, start the next incarnation on an empty one"
    )]
    LogDamaged {
        /// The volume's directory.
        dir: PathBuf,
        /// Where the damage begins.
        offset_bytes: u64,
    },
    /// The disk failed.
    #[error("cannot open volume {dir}")]
    Io {
        /// The volume's directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A call that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too little room is left.
    #[error(
        "storage full: {free_bytes} of {total_bytes} bytes are free, 2 % are kept back: enlarge the volume or release blobs"
    )]
    StorageFull {
        /// What is free.
        free_bytes: u64,
        /// The size of the file system.
        total_bytes: u64,
    },
    /// An earlier sync failed.
    #[error("writing ended when a sync failed: {reason}: restart the process")]
    Failed {
        /// The error of that sync.
        reason: String,
    },
    /// Nothing lives under the key.
    #[error("nothing lives under blob key {0}")]
    UnknownKey(BlobKey),
    /// The extent's metadata is not there, or is of another shape.
    #[error("blob key {key} has no metadata of this shape for extent {extent}: store it first")]
    UnknownExtent {
        /// The key.
        key: BlobKey,
        /// The extent.
        extent: ExtentIndex,
    },
    /// The sliver is not one of the pair.
    #[error("{axis} sliver {index} is not of pair {pair}")]
    WrongPair {
        /// The sliver's dimension.
        axis: Axis,
        /// Its index on the axis.
        index: u16,
        /// The pair it was given for.
        pair: PairIndex,
    },
    /// `Entry::Stable` before the slivers are.
    #[error("slivers under blob key {0} are not synced: sync first")]
    Unsynced(BlobKey),
    /// Removal of what has not expired.
    #[error("blob key {0} has not expired: record that first")]
    StillLive(BlobKey),
    /// An entry that no log can hold.
    #[error("an entry of {bytes} bytes, at most {most} are allowed")]
    EntryTooLong {
        /// Bytes of its payload.
        bytes: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// What was synced in the control log is not readable any more.
    #[error(
        "the control log is damaged at byte {offset_bytes}: the volume counts as lost, start the next incarnation"
    )]
    LogDamaged {
        /// Where.
        offset_bytes: u64,
    },
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A transaction that changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum TransactError<E> {
    /// The decision was against it.
    #[error("{0}")]
    Refused(E),
    /// It could not be recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
}
