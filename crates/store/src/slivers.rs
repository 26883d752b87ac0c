//! Slivers on disk, behind a trait: plain files today, segments later.

mod plain;

use std::fmt;
use std::io;
use std::ops::Range;

use floe_model::{Axis, ExtentIndex, ExtentShape, PairIndex};

pub(crate) use plain::PlainFiles;

use crate::entry::BlobKey;

/// Which sliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SliverAddress {
    pub(crate) key: BlobKey,
    pub(crate) extent: ExtentIndex,
    pub(crate) pair: PairIndex,
    pub(crate) axis: Axis,
}

impl fmt::Display for SliverAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, extent, pair, axis } = self;
        write!(f, "{axis} sliver of pair {pair}, extent {extent}, blob key {key}")
    }
}

/// What a sliver's place holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found<T> {
    /// What was asked for.
    Good(T),
    /// Nothing.
    Nothing,
    /// Not what was written there, for this reason.
    Corrupt(String),
}

/// A sliver's name, found where slivers lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) sliver: SliverAddress,
    /// Bytes it takes on disk, as far as its name tells; nothing was opened.
    pub(crate) stored_bytes: u64,
}

/// A put that did not happen, as far as anyone can tell.
#[derive(Debug)]
pub(crate) enum PutError {
    /// Nothing is in doubt.
    Write(io::Error),
    /// A sync failed.
    Sync(io::Error),
}

/// Where slivers are kept.
pub(crate) trait SliverStore: Send + Sync {
    /// Writes a sliver, in place of one that may be there. After a crash without a sync there is
    /// nothing, or it is whole, or it fails `check`. With `at_once` it is durable when this
    /// returns, and at no time may fail `check`.
    fn put(
        &self,
        sliver: &SliverAddress,
        shape: ExtentShape,
        bytes: &[u8],
        at_once: bool,
    ) -> Result<(), PutError>;

    /// Reads a range of a sliver, which is cut at its end; checks all it reads.
    fn read(
        &self,
        sliver: &SliverAddress,
        shape: ExtentShape,
        range: Range<usize>,
    ) -> io::Result<Found<Vec<u8>>>;

    /// Reads and checks a whole sliver and makes its bytes, though not its name, durable.
    fn check(&self, sliver: &SliverAddress, shape: ExtentShape) -> io::Result<Found<()>>;

    /// Bytes on disk of a sliver of this shape.
    fn stored_bytes(&self, shape: ExtentShape, axis: Axis) -> u64;

    /// Whether slivers of a blob were put since the last sync.
    fn has_unsynced(&self, key: BlobKey) -> bool;

    /// Whether anything was put since the last sync.
    fn has_any_unsynced(&self) -> bool;

    /// Makes every put that ended before the call durable, name and all.
    fn sync(&self) -> io::Result<()>;

    /// The blobs of which there may be slivers.
    fn keys(&self) -> io::Result<Vec<BlobKey>>;

    /// The slivers of a blob. Removes what unfinished puts left.
    fn list(&self, key: BlobKey) -> io::Result<Vec<Listed>>;

    /// Takes what is wrong out of a sliver's place: then there is nothing.
    fn set_aside(&self, sliver: &SliverAddress) -> io::Result<()>;

    /// Removes one sliver.
    fn remove(&self, sliver: &SliverAddress) -> io::Result<()>;

    /// Removes all slivers of a blob.
    fn remove_blob(&self, key: BlobKey) -> io::Result<()>;

    /// Makes names and removals under these blobs durable.
    fn sync_names(&self, keys: &[BlobKey]) -> io::Result<()>;
}

#[cfg(test)]
mod tests;
