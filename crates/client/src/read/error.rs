//! Why a read failed.

use std::fmt;
use std::ops::Range;

use floe_env::ComputeStopped;
use floe_model::{BlobId, ExtentIndex};

use crate::failure::NodeFailure;

/// A read that gave no bytes, or no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The range reaches beyond the end.
    #[error("bytes {}..{} of a blob of {length} bytes", .range.start, .range.end)]
    OutOfRange {
        /// What was asked for.
        range: Range<u64>,
        /// Bytes of the blob.
        length: u64,
    },
    /// No node gave the blob's manifest.
    #[error("no node has the manifest of {blob}{}", listed(.failures))]
    NoManifest {
        /// The blob.
        blob: BlobId,
        /// What each of them said.
        failures: Vec<NodeFailure>,
    },
    /// No node gave an extent's metadata.
    #[error("no node has the metadata of extent {extent}{}", listed(.failures))]
    NoMetadata {
        /// The extent.
        extent: ExtentIndex,
        /// What each of them said.
        failures: Vec<NodeFailure>,
    },
    /// Too few slivers of an extent could be had.
    #[error(
        "extent {extent}: {primaries} primary and {secondaries} secondary slivers answered, \
         {needed_primaries} primary or {needed_secondaries} secondary ones are needed{}",
        listed(.failures)
    )]
    NotEnoughSlivers {
        /// The extent.
        extent: ExtentIndex,
        /// Verified primaries.
        primaries: usize,
        /// Verified secondaries.
        secondaries: usize,
        /// n-2f.
        needed_primaries: usize,
        /// n-f.
        needed_secondaries: usize,
        /// Who failed, and why.
        failures: Vec<NodeFailure>,
    },
    /// The slivers verify, but what they decode to does not: whoever wrote the blob made it so.
    #[error("extent {extent} of the blob is inconsistent: {detail}")]
    Inconsistent {
        /// The extent.
        extent: ExtentIndex,
        /// What differs.
        detail: String,
    },
    /// A job was lost.
    #[error(transparent)]
    Compute(#[from] ComputeStopped),
    /// A background task was lost.
    #[error("the task that reads an extent ended early")]
    Stopped,
}

fn listed(failures: &[NodeFailure]) -> impl fmt::Display {
    fmt::from_fn(move |f| failures.iter().try_for_each(|failure| write!(f, "; {failure}")))
}
