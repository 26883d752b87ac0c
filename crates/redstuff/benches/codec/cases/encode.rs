//! Encoding: bytes to slivers and commitments.

use std::hint::black_box;
use std::rc::Rc;

use floe_redstuff::{Encoder, StripeShape, encode_extent};

use crate::floor::{Extending, Hashing, Shards};
use crate::subject::Subject;
use crate::{Case, Clock, Unit};

/// Bytes that each thread encodes, at least.
const THREADED_BYTES: usize = 16 << 20;

/// The bare codec on both axes: every row, then every column of the whole matrix.
struct Code {
    along: Extending,
    down: Extending,
}

impl Code {
    fn of(shape: StripeShape) -> Self {
        let (total, symbol_bytes) = (usize::from(shape.shards()), shape.symbol_bytes());
        let axis = |originals, lines| {
            Extending::new(Shards { originals, total, shard_bytes: lines * symbol_bytes })
        };
        Self { along: axis(shape.columns(), shape.rows()), down: axis(shape.rows(), total) }
    }

    fn run(&mut self, data: &[u8]) {
        self.along.run(data);
        self.down.run(data);
    }
}

fn shape_of(stripe: &Subject) -> StripeShape {
    StripeShape::of(stripe.shape, 0).unwrap()
}

/// All that encoding a stripe must do.
fn floor(stripe: &Rc<Subject>) -> impl FnMut() + use<> {
    let (subject, shape) = (stripe.clone(), shape_of(stripe));
    let mut code = Code::of(shape);
    let hashing = Hashing::of_stripe(shape.symbol_bytes(), shape.shards().into());
    move || {
        code.run(&subject.data);
        hashing.run();
    }
}

/// The two parts of the floor.
pub(super) fn parts(stripe: &Rc<Subject>) -> Vec<Case> {
    let (subject, shape) = (stripe.clone(), shape_of(stripe));
    let unit = Unit::Rate { bytes: stripe.data.len() };
    let mut code = Code::of(shape);
    let hashing = Hashing::of_stripe(shape.symbol_bytes(), shape.shards().into());
    vec![
        stripe.case("floor: code", unit, move || code.run(&subject.data)),
        stripe.case("floor: hash", unit, move || hashing.run()),
    ]
}

/// With eight lanes, where there are, and with four.
pub(super) fn of_stripe(stripe: &Rc<Subject>) -> Vec<Case> {
    let unit = Unit::Rate { bytes: stripe.data.len() };
    let case = |name, mut encoder: Encoder| {
        let (subject, shape) = (stripe.clone(), shape_of(stripe));
        let work = move || {
            black_box(encoder.encode(shape, &subject.data).unwrap().id());
        };
        stripe.case(name, unit, work).beside(floor(stripe))
    };
    vec![
        case("encode", Encoder::new()),
        case("encode, four lanes", Encoder::with_four_lanes()),
        id(stripe, unit),
    ]
}

fn id(stripe: &Rc<Subject>, unit: Unit) -> Case {
    let (subject, shape, mut encoder) = (stripe.clone(), shape_of(stripe), Encoder::new());
    let work = move || {
        black_box(encoder.id(shape, &subject.data).unwrap());
    };
    stripe.case("id only", unit, work).beside(floor(stripe))
}

/// The same in microseconds.
pub(super) fn of_small(stripe: &Rc<Subject>) -> Vec<Case> {
    let (subject, shape, mut encoder) = (stripe.clone(), shape_of(stripe), Encoder::new());
    let work = move || {
        black_box(encoder.encode(shape, &subject.data).unwrap().id());
    };
    vec![stripe.case("encode", Unit::Time, work).beside(floor(stripe)), id(stripe, Unit::Time)]
}

/// Stripes on two threads, by the clock on the wall, beside one thread.
pub(super) fn by_threads(stripe: &Rc<Subject>) -> Vec<Case> {
    const THREADS: usize = 2;
    let each = THREADED_BYTES.div_ceil(stripe.data.len());
    let unit = Unit::Rate { bytes: THREADS * each * stripe.data.len() };
    let work = |threads: usize| {
        let (subject, shape) = (stripe.clone(), shape_of(stripe));
        let mut encoders: Vec<Encoder> = (0..threads).map(|_| Encoder::new()).collect();
        move || {
            let data = &subject.data;
            std::thread::scope(|scope| {
                for encoder in &mut encoders {
                    scope.spawn(move || {
                        for _ in 0..each * THREADS / threads {
                            black_box(encoder.encode(shape, data).unwrap().id());
                        }
                    });
                }
            });
        }
    };
    let case = stripe.case("encode, two threads beside one, wall", unit, work(THREADS));
    vec![Case { threads: THREADS, clock: Clock::Wall, ..case.beside(work(1)) }]
}

/// A whole extent, to keep: in memory that is cleared for it.
pub(super) fn of_extent(extent: &Rc<Subject>) -> Vec<Case> {
    let unit = Unit::Rate { bytes: extent.data.len() };
    let subject = extent.clone();
    vec![extent.case("encode an extent, fresh memory", unit, move || {
        black_box(encode_extent(subject.shape, &subject.data).unwrap());
    })]
}
