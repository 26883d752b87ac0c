//! What is repaired first, and on which path.

use std::cmp::Reverse;

use floe_model::{Axis, Geometry};

/// How long a missing primary waits for the secondaries that would rebuild it cheaply.
pub const PRIMARY_WAIT_MILLIS: u64 = 60_000;

/// A read margin up to here is a risk: everything that is missing of the extent comes back in one go.
const SMALL_MARGIN: i32 = 1;

/// Something that this node owes and does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairItem<T> {
    /// What it is, for the caller; breaks ties.
    pub what: T,
    /// The read margin of its extent, in shards; below 0 it cannot be read now.
    pub read_margin: i32,
    /// Which of the pair.
    pub axis: Axis,
    /// Bytes to restore.
    pub bytes: u64,
}

/// Lowest read margin first; inside such a class all secondaries, then primaries; then most bytes.
/// Secondaries go first because every one restored is a source for all primaries.
pub fn order<T: Ord>(mut items: Vec<RepairItem<T>>) -> Vec<RepairItem<T>> {
    let primary = |axis| axis == Axis::Primary;
    items.sort_by(|one, other| {
        let key =
            |item: &RepairItem<T>| (item.read_margin, primary(item.axis), Reverse(item.bytes));
        key(one).cmp(&key(other)).then_with(|| one.what.cmp(&other.what))
    });
    items
}

/// max(P-(n-2f), S-(n-f)): how many more shards may fail before nothing can be read.
pub fn read_margin(geometry: Geometry, primaries: usize, secondaries: usize) -> i32 {
    let above = |have: usize, axis| {
        let (have, need) = (i32::try_from(have), i32::try_from(geometry.slivers_to_decode(axis)));
        have.unwrap_or(i32::MAX) - need.unwrap_or(i32::MAX)
    };
    above(primaries, Axis::Primary).max(above(secondaries, Axis::Secondary))
}

/// What is known of one extent of which this node lacks a sliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtentView {
    /// n and f.
    pub geometry: Geometry,
    /// The axis of the sliver to restore.
    pub axis: Axis,
    /// P: shards that hold a verified primary and serve now, this node's own included.
    pub primaries: usize,
    /// S: the same of secondaries.
    pub secondaries: usize,
    /// A previous holder of the very sliver serves it.
    pub previous_holder: bool,
    /// Primaries of the extent that this node lacks.
    pub missing_primaries: usize,
    /// Secondaries of the extent that this node lacks.
    pub missing_secondaries: usize,
    /// How long the sliver has waited, in milliseconds.
    pub waited_millis: u64,
}

/// How a sliver comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// From crossing symbols of slivers of the other axis.
    Symbols,
    /// As it is, from a previous holder.
    Slivers,
    /// Decode the stripes, rebuild all that is missing here.
    Decode,
    /// Nothing is open now, or a cheaper path will be.
    Wait,
}

/// The cheapest path that is open. Decoding is dearer but always open while the extent is readable,
/// so repair cannot deadlock. No shard counts as lost for ever: who replaces its volume fills it.
pub fn path(view: &ExtentView) -> Path {
    let geometry = view.geometry;
    let margin = read_margin(geometry, view.primaries, view.secondaries);
    let readable = margin >= 0;
    if view.previous_holder {
        return Path::Slivers;
    }
    if readable && must_decode(view) {
        return Path::Decode;
    }
    let sources = match view.axis {
        Axis::Primary => view.secondaries,
        Axis::Secondary => view.primaries,
    };
    if sources >= geometry.sliver_symbols(view.axis) {
        return Path::Symbols;
    }
    if !readable {
        return Path::Wait;
    }
    let may_wait = margin > SMALL_MARGIN && view.waited_millis < PRIMARY_WAIT_MILLIS;
    match view.axis {
        // The other nodes' secondaries are coming: they go first everywhere.
        Axis::Primary if may_wait => Path::Wait,
        _ => Path::Decode,
    }
}

/// Where the whole stripe is worth its price although symbols may do.
fn must_decode(view: &ExtentView) -> bool {
    let geometry = view.geometry;
    // What this node itself is about to restore is no risk: else n = 4 would always decode.
    let apart = read_margin(
        geometry,
        view.primaries + view.missing_primaries,
        view.secondaries + view.missing_secondaries,
    );
    let missing_symbols =
        view.missing_primaries * geometry.columns() + view.missing_secondaries * geometry.rows();
    let heavier = missing_symbols > geometry.rows() * geometry.columns();
    apart <= SMALL_MARGIN || heavier
}

#[cfg(test)]
mod tests;
