//! What unfilled shards lack, and the work for one lease of it.

use std::collections::BTreeSet;

use floe_api::messages::{LeasedBlob, LeasedExtent};
use floe_api::report::{SliverCounts, UnfilledReport};
use floe_model::{Axis, BlobId, BlobLayout, ExtentIndex, Geometry, PairIndex, ShardIndex};
use floe_store::{KeyState, MissingExtent, Owed, State, Window};

/// Extents of one lease.
const MOST_EXTENTS: usize = 1024;
/// Blobs of one lease.
const MOST_BLOBS: usize = 512;
/// Bytes of the slivers of one lease.
const MOST_BYTES: u64 = 128 << 20;

/// What a lease may hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Grant {
    /// The work.
    pub(crate) blobs: Vec<LeasedBlob>,
    /// Something is missing that is not to be given now.
    pub(crate) others: bool,
}

/// Slivers that `shards` lack, of blobs that are not `taken`, beginning behind `after` and going
/// round: as many as one lease holds.
pub(crate) fn work(
    state: &State,
    (geometry, shards): (Geometry, &[ShardIndex]),
    window: Window,
    taken: &BTreeSet<BlobId>,
    after: Option<BlobId>,
) -> Grant {
    let mut grant = Grant::default();
    let mut left = Left { extents: MOST_EXTENTS, bytes: MOST_BYTES };
    let behind = |owed: &Owed| after.is_none_or(|after| owed.blob > after);
    let (behind, before): (Vec<Owed>, Vec<Owed>) = state.owed(window).partition(behind);
    for owed in behind.into_iter().chain(before) {
        if state.frozen(&owed.blob).is_some() {
            continue;
        }
        let under = owed.key.and_then(|key| state.key(key));
        let mut missing = missing_of(geometry, under, owed.length, shards).peekable();
        if missing.peek().is_none() {
            continue;
        }
        if taken.contains(&owed.blob) {
            grant.others = true;
            continue;
        }
        if grant.blobs.len() >= MOST_BLOBS || left.extents == 0 {
            grant.others = true;
            break;
        }
        let layout = BlobLayout::new(geometry, owed.length);
        let extents = missing.take_while(|missing| left.take(&layout, missing, shards.len()));
        let extents: Vec<LeasedExtent> = extents.map(leased).collect();
        if !extents.is_empty() {
            grant.blobs.push(LeasedBlob { blob: owed.blob, length: owed.length, extents });
        }
    }
    grant.blobs.sort_by_key(|blob| blob.blob);
    grant
}

struct Left {
    extents: usize,
    bytes: u64,
}

impl Left {
    fn take(&mut self, layout: &BlobLayout, missing: &MissingExtent, shards: usize) -> bool {
        if self.extents == 0 || self.bytes == 0 {
            self.extents = 0;
            return false;
        }
        let shape = layout.extent_shape(missing.extent);
        let bytes = |axis| shape.sliver_bytes(axis) as u64;
        let all = || shards as u64 * Axis::BOTH.map(bytes).iter().sum::<u64>();
        let known = missing.slivers.as_ref();
        let cost = known.map_or_else(all, |it| it.iter().map(|(_, axis)| bytes(*axis)).sum());
        self.extents -= 1;
        self.bytes = self.bytes.saturating_sub(cost);
        true
    }
}

fn missing_of<'a>(
    geometry: Geometry,
    under: Option<&'a KeyState>,
    length: u64,
    shards: &'a [ShardIndex],
) -> Box<dyn Iterator<Item = MissingExtent> + 'a> {
    if let Some(under) = under {
        return Box::new(under.missing(geometry, shards));
    }
    let extents = 0..BlobLayout::new(geometry, length).extents();
    let all = |extent| MissingExtent { extent: ExtentIndex(extent), slivers: None };
    Box::new(extents.map(all))
}

fn leased(missing: MissingExtent) -> LeasedExtent {
    let split = |slivers: Vec<(PairIndex, Axis)>| {
        let of = |wanted| {
            let of_axis = slivers.iter().filter(move |(_, axis)| *axis == wanted);
            of_axis.map(|(pair, _)| *pair).collect()
        };
        (of(Axis::Primary), of(Axis::Secondary))
    };
    LeasedExtent { extent: missing.extent, missing: missing.slivers.map(split) }
}

/// What an unfilled shard owes, and holds of it. Nobody can restore what is proven to be encoded
/// wrongly: its writer could otherwise keep the shard unfilled for ever.
pub(crate) fn deficit_of(
    state: &State,
    geometry: Geometry,
    shard: ShardIndex,
    window: Window,
) -> UnfilledReport {
    let slivers = SliverCounts::default();
    let mut sum = UnfilledReport { shard, slivers, owed_bytes: 0, held_bytes: 0 };
    let shards = [shard];
    for owed in state.owed(window).filter(|owed| state.frozen(&owed.blob).is_none()) {
        let layout = BlobLayout::new(geometry, owed.length);
        let bytes = |extent, axis| layout.extent_shape(extent).sliver_bytes(axis) as u64;
        let both = |extent| Axis::BOTH.map(|axis| bytes(extent, axis)).iter().sum::<u64>();
        let mut lacking = (0, 0);
        let under = owed.key.and_then(|key| state.key(key));
        for missing in missing_of(geometry, under, owed.length, &shards) {
            let extent = missing.extent;
            let (count, size) = missing.slivers.map_or((2, both(extent)), |slivers| {
                (slivers.len() as u64, slivers.iter().map(|(_, axis)| bytes(extent, *axis)).sum())
            });
            lacking = (lacking.0 + count, lacking.1 + size);
        }
        let extents = layout.extents();
        let owed_bytes: u64 = (0..extents).map(|extent| both(ExtentIndex(extent))).sum();
        sum.slivers.owed += 2 * u64::from(extents);
        sum.slivers.held += (2 * u64::from(extents)).saturating_sub(lacking.0);
        sum.owed_bytes += owed_bytes;
        sum.held_bytes += owed_bytes.saturating_sub(lacking.1);
    }
    sum
}
