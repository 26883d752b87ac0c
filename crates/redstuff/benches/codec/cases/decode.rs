//! Reading: slivers to bytes, and checking the bytes.

use std::hint::black_box;
use std::rc::Rc;

use floe_model::{Axis, Geometry};
use floe_redstuff::{Encoder, ReadCheck, check_decoded, decode_extent};

use crate::floor::{Extending, Hashing, Restoring, Shards};
use crate::subject::{Pieces, Subject, borrow};
use crate::{Case, Unit};

/// Bytes of a large blob.
const LARGE_BYTES: usize = 64 << 20;

/// An extent from systematic slivers beside a copy of its bytes, from others beside the bare decoder,
/// and the checks of what was decoded.
pub(super) fn of_extent(extent: &Rc<Subject>) -> Vec<Case> {
    let rows = u16::try_from(extent.geometry.rows()).unwrap();
    let systematic = extent.slivers(Axis::Primary, 0..rows);
    let subject = extent.clone();
    let copy = move || {
        black_box(subject.data.clone());
    };
    let mut cases =
        vec![decode(extent, "decode, systematic", Axis::Primary, systematic).beside(copy)];
    for (name, axis) in
        [("decode, worst primaries", Axis::Primary), ("decode, worst secondaries", Axis::Secondary)]
    {
        let (subject, mut restoring) = (extent.clone(), Restoring::new(extent.across(axis)));
        let floor = move || restoring.run(&subject.data);
        cases.push(decode(extent, name, axis, extent.worst(axis)).beside(floor));
    }
    cases.push(check_default(extent));
    cases.push(check_strict(extent));
    cases
}

fn decode(extent: &Rc<Subject>, name: &'static str, axis: Axis, slivers: Pieces) -> Case {
    let subject = extent.clone();
    extent.case(name, Unit::Rate { bytes: extent.data.len() }, move || {
        black_box(decode_extent(subject.shape, axis, &borrow(&slivers)).unwrap());
    })
}

fn check(extent: &Rc<Subject>, name: &'static str, check: ReadCheck) -> Case {
    let subject = extent.clone();
    extent.case(name, Unit::Rate { bytes: extent.data.len() }, move || {
        check_decoded(subject.metadata(), &subject.data, check).unwrap();
    })
}

/// Beside expanding and hashing the systematic primaries.
fn check_default(extent: &Rc<Subject>) -> Case {
    let (subject, rows) = (extent.clone(), extent.geometry.rows());
    let sliver = extent.along(Axis::Primary);
    let mut extending = Extending::new(Shards { shard_bytes: rows * sliver.shard_bytes, ..sliver });
    let hashing = extent.hashing(rows);
    check(extent, "check, default", ReadCheck::Default).beside(move || {
        extending.run(&subject.data);
        hashing.run();
    })
}

/// Beside coding and hashing everything.
fn check_strict(extent: &Rc<Subject>) -> Case {
    let subject = extent.clone();
    let shards = usize::from(extent.geometry.shards());
    let axis = |axis, lines| {
        let sliver = extent.along(axis);
        Extending::new(Shards { shard_bytes: lines * sliver.shard_bytes, ..sliver })
    };
    let mut along = axis(Axis::Primary, extent.geometry.rows());
    let mut down = axis(Axis::Secondary, shards);
    let hashing = Hashing::of_stripe(extent.shape.symbol_bytes(0), shards);
    check(extent, "check, strict", ReadCheck::Strict).beside(move || {
        along.run(&subject.data);
        down.run(&subject.data);
        (0..subject.shape.stripes()).for_each(|_| hashing.run());
    })
}

/// Extent by extent, from the worst admissible slivers, beside encoding the same bytes.
pub(super) fn of_large_blob(geometry: Geometry) -> Vec<Case> {
    let count = LARGE_BYTES.div_ceil(geometry.full_extent_bytes());
    let length = LARGE_BYTES / count;
    let extents: Vec<Rc<Subject>> =
        (0..count).map(|seed| Subject::new(geometry, length, seed)).collect();
    let extents = Rc::new(extents);
    let names = [
        ("decode 64 MiB, worst primaries, beside encode", Axis::Primary, false),
        ("decode 64 MiB, worst secondaries, beside encode", Axis::Secondary, false),
        ("decode and check 64 MiB, worst secondaries, beside encode", Axis::Secondary, true),
    ];
    let case = |(name, axis, is_checked)| {
        let slivers: Vec<Pieces> = extents.iter().map(|extent| extent.worst(axis)).collect();
        let (encoded, decoded, mut encoder) = (extents.clone(), extents.clone(), Encoder::new());
        let work = move || {
            for (extent, slivers) in decoded.iter().zip(&slivers) {
                let data = decode_extent(extent.shape, axis, &borrow(slivers)).unwrap();
                if is_checked {
                    check_decoded(extent.metadata(), &data, ReadCheck::Default).unwrap();
                }
                black_box(data);
            }
        };
        let bytes = count * length;
        let case = extents[0].case(name, Unit::Rate { bytes }, work);
        let floor = move || encoded.iter().for_each(|extent| extent.encode_with(&mut encoder));
        Case { blob_bytes: bytes, ..case.beside(floor) }
    };
    names.into_iter().map(case).collect()
}
