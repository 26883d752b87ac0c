//! What is measured.

use std::hint::black_box;
use std::rc::Rc;

use floe_model::{Axis, ExtentShape, Geometry, Unverified};
use floe_redstuff::{
    EncodedExtent, Encoder, ReadCheck, StripeShape, check_decoded, crossing_symbols, decode_extent,
    encode_extent, rebuild_sliver, verify_sliver,
};

use crate::floor::{self, Hashing};
use crate::{Case, Clock, Unit};

const CODE: &str = "floor: code";
const HASH: &str = "floor: hash";
const SMALL_BYTES: usize = 4096;
/// Slivers of 2 KiB at n = 10.
const SMALL_SLIVER_BLOB_BYTES: usize = 8192;
const SMALL_SLIVERS: usize = 100;

fn noise(count: usize) -> Vec<u8> {
    let mut state: u64 = 5;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    });
    bytes.take(count).collect()
}

/// An encoded extent, and who has what of it.
struct Subject {
    geometry: Geometry,
    shape: ExtentShape,
    data: Vec<u8>,
    extent: EncodedExtent,
}

type Pieces = Vec<(u16, Vec<u8>)>;

fn borrow(pieces: &Pieces) -> Vec<(u16, &[u8])> {
    pieces.iter().map(|(index, bytes)| (*index, bytes.as_slice())).collect()
}

impl Subject {
    fn new(geometry: Geometry, length: usize) -> Rc<Self> {
        let shape = ExtentShape::new(geometry, length).unwrap();
        let data = noise(length);
        let extent = encode_extent(shape, &data).unwrap();
        Rc::new(Self { geometry, shape, data, extent })
    }

    fn slivers(&self, axis: Axis, indices: impl Iterator<Item = u16>) -> Pieces {
        indices.map(|index| (index, self.extent.sliver(axis, index).unwrap())).collect()
    }

    /// Those with the highest indices: as little of the data as can be.
    fn worst(&self, axis: Axis) -> Pieces {
        let shards = self.geometry.shards();
        let need = u16::try_from(self.geometry.slivers_to_decode(axis)).unwrap();
        self.slivers(axis, shards - need..shards)
    }

    fn symbols(&self, axis: Axis, target: u16) -> Pieces {
        let shards = self.geometry.shards();
        let need = u16::try_from(self.geometry.sliver_symbols(axis)).unwrap();
        let sources = self.slivers(axis.other(), shards - need..shards);
        let symbol = |sliver: &[u8]| {
            crossing_symbols(self.shape, axis.other(), sliver, &[target]).unwrap().remove(0)
        };
        sources.into_iter().map(|(index, sliver)| (index, symbol(&sliver))).collect()
    }

    fn case(&self, name: &'static str, unit: Unit, work: impl FnMut() + 'static) -> Case {
        Case {
            name,
            shards: self.geometry.shards(),
            blob_bytes: self.data.len(),
            threads: 1,
            clock: Clock::Processor,
            unit,
            floor: &[],
            work: Box::new(work),
        }
    }
}

/// Everything about full stripes and full extents.
pub(crate) fn of_full_extents(shards: u16) -> Vec<Case> {
    let geometry = Geometry::of_shards(shards).unwrap();
    let one = Subject::new(geometry, geometry.full_stripe_bytes());
    let all = Subject::new(geometry, geometry.full_extent_bytes());
    let mut cases = encoding(&one);
    cases.extend(threads(&one));
    cases.push(fresh(&all));
    cases.extend(decoding(&all));
    for axis in Axis::BOTH {
        cases.extend(healing(&all, axis));
    }
    cases
}

fn encoding(one: &Rc<Subject>) -> Vec<Case> {
    let shape = StripeShape::of(one.shape, 0).unwrap();
    let unit = Unit::Rate { bytes: one.data.len() };
    let (subject, hashing) = (one.clone(), Hashing::of(shape));
    let code = one.case(CODE, unit, move || floor::code(shape, &subject.data));
    let hash = one.case(HASH, unit, move || hashing.run());
    let (subject, mut encoder) = (one.clone(), Encoder::new());
    let encode = one.case("encode", unit, move || {
        black_box(encoder.encode(shape, &subject.data).unwrap().id());
    });
    let (subject, mut encoder) = (one.clone(), Encoder::new());
    let id = one.case("id only", unit, move || {
        black_box(encoder.id(shape, &subject.data).unwrap());
    });
    vec![code, hash, Case { floor: &[CODE, HASH], ..encode }, Case { floor: &[CODE, HASH], ..id }]
}

/// Full stripes on one thread and on two, by the clock on the wall.
fn threads(one: &Rc<Subject>) -> Vec<Case> {
    let shape = StripeShape::of(one.shape, 0).unwrap();
    let stripes = (32_usize << 20).div_ceil(one.data.len()).next_multiple_of(2);
    let names = [(1, "encode, wall"), (2, "encode, two threads, wall")];
    let case = |(threads, name)| {
        let unit = Unit::Rate { bytes: stripes * one.data.len() };
        let subject = one.clone();
        let mut encoders: Vec<Encoder> = (0..threads).map(|_| Encoder::new()).collect();
        let case = one.case(name, unit, move || {
            let data = &subject.data;
            std::thread::scope(|scope| {
                for encoder in &mut encoders {
                    scope.spawn(move || {
                        for _ in 0..stripes / threads {
                            black_box(encoder.encode(shape, data).unwrap().id());
                        }
                    });
                }
            });
        });
        let floor: &[&str] = if threads == 1 { &[] } else { &["encode, wall"] };
        Case { threads, clock: Clock::Wall, floor, ..case }
    };
    names.into_iter().map(case).collect()
}

fn fresh(all: &Rc<Subject>) -> Case {
    let unit = Unit::Rate { bytes: all.data.len() };
    let subject = all.clone();
    all.case("encode an extent, fresh memory", unit, move || {
        black_box(encode_extent(subject.shape, &subject.data).unwrap());
    })
}

fn decoding(all: &Rc<Subject>) -> Vec<Case> {
    let unit = Unit::Rate { bytes: all.data.len() };
    let rows = u16::try_from(all.geometry.rows()).unwrap();
    let sets = [
        ("decode, systematic", Axis::Primary, all.slivers(Axis::Primary, 0..rows)),
        ("decode, worst primaries", Axis::Primary, all.worst(Axis::Primary)),
        ("decode, worst secondaries", Axis::Secondary, all.worst(Axis::Secondary)),
    ];
    let mut cases: Vec<Case> = sets
        .into_iter()
        .map(|(name, axis, slivers)| {
            let subject = all.clone();
            all.case(name, unit, move || {
                black_box(decode_extent(subject.shape, axis, &borrow(&slivers)).unwrap());
            })
        })
        .collect();
    for (name, check) in
        [("check, default", ReadCheck::Default), ("check, strict", ReadCheck::Strict)]
    {
        let subject = all.clone();
        cases.push(all.case(name, unit, move || {
            check_decoded(subject.extent.metadata(), &subject.data, check).unwrap();
        }));
    }
    cases
}

fn healing(all: &Rc<Subject>, axis: Axis) -> Vec<Case> {
    let names = match axis {
        Axis::Primary => {
            ["serve a symbol, of a secondary", "rebuild a primary", "verify a primary"]
        }
        Axis::Secondary => {
            ["serve a symbol, of a primary", "rebuild a secondary", "verify a secondary"]
        }
    };
    let sliver = all.extent.sliver(axis, 1).unwrap();
    let unit = Unit::Rate { bytes: sliver.len() };
    let (subject, symbols) = (all.clone(), all.symbols(axis, 1));
    let source = all.extent.sliver(axis.other(), 0).unwrap();
    let target = all.geometry.shards() - 1;
    let serve_unit = Unit::Rate { bytes: all.shape.crossing_bytes() };
    let serve = all.case(names[0], serve_unit, move || {
        let symbols = crossing_symbols(subject.shape, axis.other(), &source, &[target]);
        black_box(symbols.unwrap());
    });
    let subject = all.clone();
    let rebuild = all.case(names[1], unit, move || {
        let metadata = subject.extent.metadata();
        black_box(rebuild_sliver(metadata, axis, 1, &borrow(&symbols)).unwrap());
    });
    let subject = all.clone();
    let verify = all.case(names[2], unit, move || {
        let metadata = subject.extent.metadata();
        let sliver = Unverified::new(sliver.clone());
        black_box(verify_sliver(metadata, axis, 1, sliver).unwrap());
    });
    vec![serve, rebuild, verify]
}

/// Blobs of a few KiB at n = 10.
pub(crate) fn of_small_blobs() -> Vec<Case> {
    let geometry = Geometry::of_shards(10).unwrap();
    let small = Subject::new(geometry, SMALL_BYTES);
    let mut cases = encoding(&small);
    // Its symbols are no tiles of the padded matrix: no floor.
    cases.drain(..2);
    for case in &mut cases {
        case.unit = Unit::Time;
        case.floor = &[];
    }
    let subject = Subject::new(geometry, SMALL_SLIVER_BLOB_BYTES);
    let worst = subject.worst(Axis::Secondary);
    let owner = subject.clone();
    cases.push(subject.case("decode, worst secondaries", Unit::Time, move || {
        black_box(decode_extent(owner.shape, Axis::Secondary, &borrow(&worst)).unwrap());
    }));
    for axis in Axis::BOTH {
        let name = match axis {
            Axis::Primary => "rebuild many small primaries",
            Axis::Secondary => "rebuild many small secondaries",
        };
        let (owner, symbols) = (subject.clone(), subject.symbols(axis, 1));
        cases.push(subject.case(name, Unit::Pieces { count: SMALL_SLIVERS }, move || {
            for _ in 0..SMALL_SLIVERS {
                let metadata = owner.extent.metadata();
                black_box(rebuild_sliver(metadata, axis, 1, &borrow(&symbols)).unwrap());
            }
        }));
    }
    cases
}
