//! Uploads, blob keys and the slivers held under them.

use std::collections::BTreeMap;
use std::ops::Bound;

use floe_model::{
    Axis, BlobId, BlobLayout, ExtentIndex, ExtentShape, Geometry, PairIndex, ShardIndex,
    SignedPermit, StripeId, Timestamp, UploadId,
};

use super::State;
use crate::entry::BlobKey;
use crate::log::LogSpan;
use crate::slivers::SliverAddress;

/// An upload, from its permit until its key expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadState {
    /// Where its bytes go.
    pub key: BlobKey,
    /// What allows it.
    pub permit: SignedPermit,
    /// When it was opened.
    pub opened: Timestamp,
}

/// A blob that lives on this volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobState {
    /// Where.
    pub key: BlobKey,
    /// Bytes of content.
    pub length: u64,
}

/// What is known under a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyState {
    blob: Option<(BlobId, u64)>,
    manifest: Option<LogSpan>,
    extents: BTreeMap<ExtentIndex, ExtentState>,
    uploads: Vec<UploadId>,
    stable: bool,
}

impl KeyState {
    /// The blob and its length, once its manifest came.
    pub const fn blob(&self) -> Option<(BlobId, u64)> {
        self.blob
    }

    /// Whether all slivers held were once synced.
    pub const fn is_stable(&self) -> bool {
        self.stable
    }

    /// An extent whose metadata is at hand.
    pub fn extent(&self, extent: ExtentIndex) -> Option<&ExtentState> {
        self.extents.get(&extent)
    }

    /// The extents whose metadata is at hand.
    pub fn extents(&self) -> impl Iterator<Item = (ExtentIndex, &ExtentState)> + '_ {
        self.extents.iter().map(|(extent, state)| (*extent, state))
    }

    /// Where the manifest stands in the log.
    pub const fn manifest(&self) -> Option<LogSpan> {
        self.manifest
    }

    /// What the owner of `shards` lacks, extent by extent. Before the manifest came only of the
    /// extents whose metadata is at hand.
    pub fn missing<'a>(
        &'a self,
        geometry: Geometry,
        shards: &'a [ShardIndex],
    ) -> impl Iterator<Item = MissingExtent> + 'a {
        let last = self.extents.keys().next_back().map_or(0, |extent| extent.0.saturating_add(1));
        let count =
            self.blob.map_or(last, |(_, length)| BlobLayout::new(geometry, length).extents());
        (0..count).map(ExtentIndex).filter_map(move |extent| {
            let Some(state) = self.extents.get(&extent) else {
                return self.blob.map(|_| MissingExtent { extent, slivers: None });
            };
            let slivers = state.missing(shards);
            (!slivers.is_empty()).then_some(MissingExtent { extent, slivers: Some(slivers) })
        })
    }

    /// Whether the manifest and every sliver of the pairs on `shards` is at hand.
    pub fn holds_all(&self, geometry: Geometry, shards: &[ShardIndex]) -> bool {
        self.blob.is_some_and(|(_, length)| {
            let count = BlobLayout::new(geometry, length).extents();
            self.extents.range(..ExtentIndex(count)).count() == count as usize
                && self.extents.values().all(|extent| extent.holds_all(shards))
        })
    }
}

/// What a node lacks of one extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingExtent {
    /// The extent.
    pub extent: ExtentIndex,
    /// The slivers, secondaries before primaries; `None` where the metadata is missing too.
    pub slivers: Option<Vec<(PairIndex, Axis)>>,
}

/// An extent whose metadata is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentState {
    shape: ExtentShape,
    first_stripe: StripeId,
    metadata: LogSpan,
    /// By pair; 1 = primary, 2 = secondary.
    held: Vec<(PairIndex, u8)>,
}

const fn bit(axis: Axis) -> u8 {
    match axis {
        Axis::Primary => 1,
        Axis::Secondary => 2,
    }
}

impl ExtentState {
    pub(super) const fn new(shape: ExtentShape, first_stripe: StripeId, metadata: LogSpan) -> Self {
        Self { shape, first_stripe, metadata, held: Vec::new() }
    }

    /// The inside of the extent.
    pub const fn shape(&self) -> ExtentShape {
        self.shape
    }

    /// The id that says which shard holds which pair.
    pub const fn first_stripe(&self) -> &StripeId {
        &self.first_stripe
    }

    /// Where the metadata stands in the log.
    pub const fn metadata(&self) -> LogSpan {
        self.metadata
    }

    /// Whether a sliver is held.
    pub fn holds(&self, pair: PairIndex, axis: Axis) -> bool {
        self.bits(pair) & bit(axis) != 0
    }

    /// The slivers held, by pair.
    pub fn held(&self) -> impl Iterator<Item = (PairIndex, Axis)> + '_ {
        self.held.iter().flat_map(|&(pair, bits)| {
            let axes = Axis::BOTH.into_iter().filter(move |&axis| bits & bit(axis) != 0);
            axes.map(move |axis| (pair, axis))
        })
    }

    /// The pairs that belong on `shards`.
    pub fn pairs<'a>(&'a self, shards: &'a [ShardIndex]) -> impl Iterator<Item = PairIndex> + 'a {
        let geometry = self.shape.geometry();
        shards.iter().map(move |&shard| geometry.pair_of_shard(&self.first_stripe, shard))
    }

    /// The slivers that the owner of `shards` lacks, secondaries before primaries.
    pub fn missing(&self, shards: &[ShardIndex]) -> Vec<(PairIndex, Axis)> {
        if self.holds_all(shards) {
            return Vec::new();
        }
        let of_axis = |axis| {
            let lacking = self.pairs(shards).filter(move |&pair| !self.holds(pair, axis));
            lacking.map(move |pair| (pair, axis))
        };
        Axis::BOTH.into_iter().flat_map(of_axis).collect()
    }

    /// Whether every sliver of the pairs on `shards` is held.
    pub fn holds_all(&self, shards: &[ShardIndex]) -> bool {
        self.pairs(shards).all(|pair| self.bits(pair) == bit(Axis::Primary) | bit(Axis::Secondary))
    }

    fn bits(&self, pair: PairIndex) -> u8 {
        let found = self.held.binary_search_by_key(&pair, |(pair, _)| *pair);
        found.ok().and_then(|at| self.held.get(at)).map_or(0, |(_, bits)| *bits)
    }

    /// Returns whether that is a change.
    fn set(&mut self, pair: PairIndex, axis: Axis, held: bool) -> bool {
        if self.holds(pair, axis) == held {
            return false;
        }
        match self.held.binary_search_by_key(&pair, |(pair, _)| *pair) {
            Ok(at) => {
                if let Some((_, bits)) = self.held.get_mut(at) {
                    *bits ^= bit(axis);
                }
                self.held.retain(|(_, bits)| *bits != 0);
            }
            Err(at) => self.held.insert(at, (pair, bit(axis))),
        }
        true
    }
}

#[derive(Debug, Default)]
pub(super) struct Blobs {
    uploads: BTreeMap<UploadId, UploadState>,
    keys: BTreeMap<BlobKey, KeyState>,
    live: BTreeMap<BlobId, BlobKey>,
    frozen: BTreeMap<BlobId, LogSpan>,
    next_key: u64,
    slivers_held: u64,
    bytes_held: u64,
}

impl Blobs {
    /// The state under a key; keys below the newest that are gone never come back.
    fn under(&mut self, key: BlobKey) -> Option<&mut KeyState> {
        if key.0 >= self.next_key {
            self.next_key = key.0.saturating_add(1);
            return Some(self.keys.entry(key).or_default());
        }
        self.keys.get_mut(&key)
    }

    pub(super) fn open(&mut self, key: BlobKey, permit: &SignedPermit, opened: Timestamp) {
        let upload = permit.body.upload;
        if !self.uploads.contains_key(&upload)
            && let Some(under) = self.under(key)
        {
            under.uploads.push(upload);
            self.uploads.insert(upload, UploadState { key, permit: permit.clone(), opened });
        }
    }

    pub(super) fn extent(&mut self, key: BlobKey, extent: ExtentIndex, state: ExtentState) {
        if let Some(under) = self.under(key) {
            under.extents.entry(extent).or_insert(state);
        }
    }

    pub(super) fn manifest(&mut self, key: BlobKey, blob: BlobId, length: u64, at: LogSpan) {
        let Some(under) = self.under(key).filter(|under| under.blob.is_none()) else { return };
        under.blob = Some((blob, length));
        under.manifest = Some(at);
        self.live.entry(blob).or_insert(key);
    }

    pub(super) fn stable(&mut self, key: BlobKey) {
        if let Some(under) = self.keys.get_mut(&key) {
            under.stable = true;
        }
    }

    /// Returns the blob that lived under the key.
    pub(super) fn expire(&mut self, key: BlobKey) -> Option<BlobId> {
        let gone = self.keys.remove(&key)?;
        for upload in &gone.uploads {
            self.uploads.remove(upload);
        }
        for extent in gone.extents.values() {
            for (_, axis) in extent.held() {
                self.slivers_held = self.slivers_held.saturating_sub(1);
                let bytes = extent.shape.sliver_bytes(axis) as u64;
                self.bytes_held = self.bytes_held.saturating_sub(bytes);
            }
        }
        let (blob, _) = gone.blob?;
        if self.live.get(&blob) != Some(&key) {
            return None;
        }
        self.live.remove(&blob);
        Some(blob)
    }

    pub(super) fn freeze(&mut self, blob: BlobId, at: LogSpan) {
        self.frozen.entry(blob).or_insert(at);
    }

    fn set_held(&mut self, sliver: &SliverAddress, held: bool) -> bool {
        let extents = self.keys.get_mut(&sliver.key).map(|under| &mut under.extents);
        let Some(extent) = extents.and_then(|extents| extents.get_mut(&sliver.extent)) else {
            return false;
        };
        if extent.set(sliver.pair, sliver.axis, held) {
            let bytes = extent.shape.sliver_bytes(sliver.axis) as u64;
            if held {
                self.slivers_held += 1;
                self.bytes_held += bytes;
            } else {
                self.slivers_held = self.slivers_held.saturating_sub(1);
                self.bytes_held = self.bytes_held.saturating_sub(bytes);
            }
        }
        true
    }
}

impl State {
    /// The sliver is on disk. False if its extent is not known (any more).
    pub(crate) fn hold(&mut self, sliver: &SliverAddress) -> bool {
        self.blobs.set_held(sliver, true)
    }

    /// The sliver is not on disk any more.
    pub(crate) fn unhold(&mut self, sliver: &SliverAddress) {
        self.blobs.set_held(sliver, false);
    }

    /// Keys up to here were used, though the log does not know them.
    pub(crate) fn skip_keys(&mut self, next: u64) {
        self.blobs.next_key = self.blobs.next_key.max(next);
    }

    /// A key that was never used.
    pub const fn next_key(&self) -> BlobKey {
        BlobKey(self.blobs.next_key)
    }

    /// An upload that has not expired.
    pub fn upload(&self, upload: &UploadId) -> Option<&UploadState> {
        self.blobs.uploads.get(upload)
    }

    /// The uploads whose bytes came under a key, finished ones included.
    pub fn uploads_of(&self, key: BlobKey) -> impl Iterator<Item = &UploadState> + '_ {
        let ids = self.blobs.keys.get(&key).into_iter().flat_map(|under| &under.uploads);
        ids.filter_map(|id| self.blobs.uploads.get(id))
    }

    /// All uploads, finished ones included (their key has a blob), by id.
    pub fn uploads(&self) -> impl Iterator<Item = (&UploadId, &UploadState)> + '_ {
        self.blobs.uploads.iter()
    }

    /// What is known under a key.
    pub fn key(&self, key: BlobKey) -> Option<&KeyState> {
        self.blobs.keys.get(&key)
    }

    /// All keys that have not expired, rising.
    pub fn keys(&self) -> impl Iterator<Item = (BlobKey, &KeyState)> + '_ {
        self.blobs.keys.iter().map(|(key, state)| (*key, state))
    }

    /// The keys above `after`, rising: for a worker that goes on where it stopped.
    pub fn keys_after(&self, after: BlobKey) -> impl Iterator<Item = (BlobKey, &KeyState)> + '_ {
        let range = self.blobs.keys.range((Bound::Excluded(after), Bound::Unbounded));
        range.map(|(key, state)| (*key, state))
    }

    /// Where a blob lives.
    pub fn blob(&self, blob: &BlobId) -> Option<BlobState> {
        let key = self.live_key(blob)?;
        let (_, length) = self.key(key)?.blob?;
        Some(BlobState { key, length })
    }

    pub(super) fn live_key(&self, blob: &BlobId) -> Option<BlobKey> {
        self.blobs.live.get(blob).copied()
    }

    /// What is known of a blob that lives here.
    pub fn blob_key(&self, blob: &BlobId) -> Option<(BlobKey, &KeyState)> {
        let key = self.live_key(blob)?;
        self.key(key).map(|state| (key, state))
    }

    /// Whether the blob lives here and every sliver of the pairs on `shards` is held.
    pub fn holds_all(&self, blob: &BlobId, geometry: Geometry, shards: &[ShardIndex]) -> bool {
        self.blob_key(blob).is_some_and(|(_, state)| state.holds_all(geometry, shards))
    }

    /// Where the proof stands that the blob is inconsistent.
    pub fn frozen(&self, blob: &BlobId) -> Option<LogSpan> {
        self.blobs.frozen.get(blob).copied()
    }

    /// Slivers on disk.
    pub const fn slivers_held(&self) -> u64 {
        self.blobs.slivers_held
    }

    /// Bytes of the slivers on disk, without their frames.
    pub const fn bytes_held(&self) -> u64 {
        self.blobs.bytes_held
    }
}
