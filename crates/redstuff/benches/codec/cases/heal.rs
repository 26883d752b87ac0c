//! Healing: what a peer computes, and what the node that lacks a sliver does with it.

use std::hint::black_box;
use std::rc::Rc;

use floe_model::{Axis, Geometry, ShardIndex, Unverified};
use floe_redstuff::{ExtentMetadata, Verified, crossing_symbols, rebuild_sliver, verify_sliver};

use crate::floor::{Extending, Hashing, Restoring, Shards};
use crate::subject::{Pieces, Subject, borrow, noise};
use crate::{Case, Unit};

/// Bytes of the blobs that a shard is lost of.
const LOST_SHARD_BLOB_BYTES: usize = 1 << 30;
/// Extents that are not alike, so that none stays in cache.
const DIFFERENT_EXTENTS: usize = 16;
const SMALL_SLIVERS: usize = 10_000;
const DIFFERENT_SMALL_SLIVERS: usize = 500;
const SMALL_SLIVER_BYTES: usize = 2048;

/// Serving a symbol, rebuilding a sliver, verifying one.
pub(super) fn of_extent(extent: &Rc<Subject>, axis: Axis) -> Vec<Case> {
    let [serving, rebuilding, verifying, held] = match axis {
        Axis::Primary => [
            "serve a symbol, of a secondary",
            "rebuild a primary",
            "verify a primary",
            "not used: hash a primary's own symbols alone",
        ],
        Axis::Secondary => [
            "serve a symbol, of a primary",
            "rebuild a secondary",
            "verify a secondary",
            "not used: hash a secondary's own symbols alone",
        ],
    };
    vec![
        serve(extent, serving, axis),
        rebuild(extent, rebuilding, axis),
        verify(extent, verifying, axis),
        hash_what_is_held(extent, held, axis),
    ]
}

/// Beside expanding the sliver: the bare codec makes no single symbol.
fn serve(extent: &Rc<Subject>, name: &'static str, axis: Axis) -> Case {
    let source = extent.extent.sliver(axis.other(), 0).unwrap();
    let target = extent.geometry.shards() - 1;
    let (subject, data) = (extent.clone(), extent.clone());
    let mut extending = Extending::new(extent.along(axis.other()));
    let unit = Unit::Rate { bytes: extent.shape.crossing_bytes() };
    let work = move || {
        black_box(crossing_symbols(subject.shape, axis.other(), &source, &[target]).unwrap());
    };
    extent.case(name, unit, work).beside(move || extending.run(&data.data))
}

/// What rebuilding slivers of this axis must do: restore, expand and hash them.
fn rebuilding(extent: &Rc<Subject>, axis: Axis, slivers: usize) -> impl FnMut() + use<> {
    let sliver = extent.along(axis);
    let all = Shards { shard_bytes: slivers * sliver.shard_bytes, ..sliver };
    let (mut restoring, mut extending) = (Restoring::new(all), Extending::new(all));
    let (data, hashing) = (noise(all.originals * all.shard_bytes, 0), extent.hashing(slivers));
    move || {
        restoring.run(&data);
        extending.run(&data);
        hashing.run();
    }
}

fn rebuild(extent: &Rc<Subject>, name: &'static str, axis: Axis) -> Case {
    let (subject, symbols) = (extent.clone(), extent.symbols(axis, 1));
    let unit = Unit::Rate { bytes: extent.shape.sliver_bytes(axis) };
    let work = move || {
        black_box(rebuild_sliver(subject.metadata(), axis, 1, &borrow(&symbols)).unwrap());
    };
    extent.case(name, unit, work).beside(rebuilding(extent, axis, 1))
}

/// What verifying a sliver must do: expand and hash it.
fn verifying(extent: &Rc<Subject>, axis: Axis) -> impl FnMut() + use<> {
    let mut extending = Extending::new(extent.along(axis));
    let (subject, hashing) = (extent.clone(), extent.hashing(1));
    move || {
        extending.run(&subject.data);
        hashing.run();
    }
}

fn verify(extent: &Rc<Subject>, name: &'static str, axis: Axis) -> Case {
    let sliver = extent.extent.sliver(axis, 1).unwrap();
    let subject = extent.clone();
    let work = move || {
        let sliver = Unverified::new(sliver.clone());
        black_box(verify_sliver(subject.metadata(), axis, 1, sliver).unwrap());
    };
    let unit = Unit::Rate { bytes: extent.shape.sliver_bytes(axis) };
    extent.case(name, unit, work).beside(verifying(extent, axis))
}

/// What verifying would cost if the writer's word were taken for the rest of the expansion. It is
/// not: see the crate's `inconsistency.rs`.
fn hash_what_is_held(extent: &Rc<Subject>, name: &'static str, axis: Axis) -> Case {
    let (trees, shards) = (extent.shape.stripes(), usize::from(extent.geometry.shards()));
    let held = trees * extent.geometry.sliver_symbols(axis);
    let hashing = Hashing::new(extent.shape.symbol_bytes(0), held, trees, shards);
    let unit = Unit::Rate { bytes: extent.shape.sliver_bytes(axis) };
    extent.case(name, unit, move || hashing.run()).beside(verifying(extent, axis))
}

/// A sliver that is missing, and what its peers sent.
struct Missing {
    metadata: Rc<Verified<ExtentMetadata>>,
    axis: Axis,
    index: u16,
    symbols: Pieces,
}

impl Missing {
    fn rebuild(&self) -> usize {
        let Self { metadata, axis, index, symbols } = self;
        let sliver = rebuild_sliver(metadata, *axis, *index, &borrow(symbols)).unwrap();
        black_box(sliver).bytes().len()
    }
}

/// Every sliver of one shard, extent after extent, beside the bare codec and hashing.
pub(super) fn of_lost_shard(geometry: Geometry) -> Case {
    let length = geometry.full_extent_bytes();
    let extents = LOST_SHARD_BLOB_BYTES / length;
    let mut missing = Vec::new();
    let mut subject = Subject::new(geometry, length, 0);
    for seed in 0..DIFFERENT_EXTENTS {
        subject = Subject::new(geometry, length, seed);
        let metadata = Rc::new(subject.metadata().clone());
        let pair = geometry.pair_of_shard(metadata.first_stripe(), ShardIndex(0));
        for axis in Axis::BOTH {
            let index = geometry.sliver_of_pair(axis, pair);
            let symbols = subject.symbols(axis, index);
            missing.push(Missing { metadata: metadata.clone(), axis, index, symbols });
        }
    }
    let pair_bytes: usize = Axis::BOTH.map(|axis| subject.shape.sliver_bytes(axis)).iter().sum();
    let unit = Unit::Rate { bytes: extents * pair_bytes };
    let work = move || {
        for missing in missing.iter().cycle().take(extents * Axis::BOTH.len()) {
            black_box(missing.rebuild());
        }
    };
    let mut floors = Axis::BOTH.map(|axis| rebuilding(&subject, axis, 1));
    let floor = move || {
        for _ in 0..extents {
            for floor in &mut floors {
                floor();
            }
        }
    };
    let case = subject.case("rebuild a lost shard of 1 GiB", unit, work).beside(floor);
    Case { blob_bytes: extents * length, ..case }
}

/// Slivers of as many blobs, beside one batch of the bare codec.
pub(super) fn of_many_small(geometry: Geometry, axis: Axis) -> Case {
    let length = SMALL_SLIVER_BYTES * geometry.slivers_to_decode(axis);
    let name = match axis {
        Axis::Primary => "rebuild 10,000 primaries of 2 KiB",
        Axis::Secondary => "rebuild 10,000 secondaries of 2 KiB",
    };
    let subjects = (0..DIFFERENT_SMALL_SLIVERS).map(|seed| Subject::new(geometry, length, seed));
    let missing: Vec<Missing> = subjects
        .map(|subject| Missing {
            metadata: Rc::new(subject.metadata().clone()),
            axis,
            index: 1,
            symbols: subject.symbols(axis, 1),
        })
        .collect();
    let subject = Subject::new(geometry, length, 0);
    let work = move || {
        for missing in missing.iter().cycle().take(SMALL_SLIVERS) {
            black_box(missing.rebuild());
        }
    };
    let floor = rebuilding(&subject, axis, SMALL_SLIVERS);
    subject.case(name, Unit::Pieces { count: SMALL_SLIVERS }, work).beside(floor)
}
