//! What the codec does per second of CPU time, beside what its parts would do alone. Prints JSON
//! lines; `cargo xtask bench codec` runs it and makes tables of them.
//!
//! Every round measures every case and its floor once, one behind the other, so that a busy moment
//! hits all alike; the medians are told. Threads are measured by the clock on the wall, all else by
//! the time on the processor. An argument that is no option measures only cases with it in their name.

#![expect(clippy::disallowed_methods, reason = "a bench runs on the real machine only")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![expect(clippy::cast_precision_loss, reason = "figures, not sums")]

mod cases;
mod floor;
mod subject;

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Seconds that one measurement takes at least.
const LEAST_SECONDS: f64 = 0.04;
const ROUNDS: usize = 11;
const QUICK_ROUNDS: usize = 3;

/// How time is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Clock {
    /// On the processor, of this thread.
    Processor,
    /// On the wall.
    Wall,
}

/// What a value says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Megabytes (10^6) per second; so many bytes each time.
    Rate { bytes: usize },
    /// Pieces per second; so many each time.
    Pieces { count: usize },
    /// Microseconds each time.
    Time,
}

impl Unit {
    const fn text(self) -> &'static str {
        match self {
            Self::Rate { .. } => "MB/s",
            Self::Pieces { .. } => "1/s",
            Self::Time => "us",
        }
    }

    fn value(self, seconds: f64) -> f64 {
        match self {
            Self::Rate { bytes } => bytes as f64 / 1e6 / seconds,
            Self::Pieces { count } => count as f64 / seconds,
            Self::Time => seconds * 1e6,
        }
    }
}

type Work = Box<dyn FnMut()>;

/// Something to do again and again.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) shards: u16,
    pub(crate) blob_bytes: usize,
    pub(crate) threads: usize,
    pub(crate) clock: Clock,
    pub(crate) unit: Unit,
    pub(crate) work: Work,
    /// What it is held against.
    pub(crate) floor: Option<Work>,
}

impl Case {
    pub(crate) fn beside(self, floor: impl FnMut() + 'static) -> Self {
        Self { floor: Some(Box::new(floor)), ..self }
    }
}

#[derive(Serialize)]
struct Line {
    bench: &'static str,
    case: &'static str,
    n: u16,
    blob_bytes: usize,
    threads: usize,
    value: f64,
    unit: &'static str,
    floor: Option<f64>,
    ratio: Option<f64>,
    peak_bytes: Option<u64>,
}

fn seconds(clock: Clock, work: &mut dyn FnMut()) -> f64 {
    let processor = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let (wall, begin) = (Instant::now(), processor());
    work();
    match clock {
        Clock::Processor => processor() - begin,
        Clock::Wall => wall.elapsed().as_secs_f64(),
    }
}

/// Work that is measured, and the seconds of one go in each round.
struct Samples<'a> {
    clock: Clock,
    work: &'a mut Work,
    goes: u32,
    seconds: Vec<f64>,
}

impl<'a> Samples<'a> {
    fn of(clock: Clock, work: &'a mut Work) -> Self {
        work();
        let once = seconds(clock, work).max(1e-7);
        let goes = (LEAST_SECONDS / once).ceil().clamp(1.0, 1e6);
        Self { clock, work, goes: format!("{goes}").parse().unwrap(), seconds: Vec::new() }
    }

    fn take(&mut self) {
        let Self { work, goes, .. } = self;
        let taken = seconds(self.clock, &mut || (0..*goes).for_each(|_| work()));
        self.seconds.push(taken / f64::from(*goes));
    }

    fn median(mut self) -> f64 {
        self.seconds.sort_by(f64::total_cmp);
        self.seconds[self.seconds.len() / 2]
    }
}

/// Medians of the seconds of one go of each case and of its floor.
fn measure(cases: &mut [Case], rounds: usize) -> Vec<(f64, Option<f64>)> {
    let mut samples: Vec<(Samples<'_>, Option<Samples<'_>>)> = cases
        .iter_mut()
        .map(|case| {
            let floor = case.floor.as_mut().map(|floor| Samples::of(case.clock, floor));
            (Samples::of(case.clock, &mut case.work), floor)
        })
        .collect();
    for _ in 0..rounds {
        for (work, floor) in &mut samples {
            work.take();
            if let Some(floor) = floor {
                floor.take();
            }
        }
    }
    samples.into_iter().map(|(work, floor)| (work.median(), floor.map(Samples::median))).collect()
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn tell(mut cases: Vec<Case>, rounds: usize, only: &[String]) {
    cases.retain(|case| only.is_empty() || only.iter().any(|part| case.name.contains(part)));
    let seconds = measure(&mut cases, rounds);
    for (case, (seconds, floor)) in cases.iter_mut().zip(seconds) {
        // Allocations are counted on this thread only.
        let peak_bytes =
            (case.threads == 1).then(|| allocation_counter::measure(&mut case.work).bytes_max);
        let line = Line {
            bench: "codec",
            case: case.name,
            n: case.shards,
            blob_bytes: case.blob_bytes,
            threads: case.threads,
            value: rounded(case.unit.value(seconds)),
            unit: case.unit.text(),
            floor: floor.map(|floor| rounded(case.unit.value(floor))),
            ratio: floor.map(|floor| rounded(floor / seconds)),
            peak_bytes,
        };
        println!("{}", serde_json::to_string(&line).unwrap());
    }
}

fn main() {
    let (options, only): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let has = |name: &str| options.iter().any(|option| option == name);
    // Cargo also runs benches as tests, without this.
    if !has("--bench") {
        return;
    }
    let rounds = if has("--quick") { QUICK_ROUNDS } else { ROUNDS };
    for shards in [4, 7, 10, 31, 100] {
        tell(cases::of_stripes(shards), rounds, &only);
        tell(cases::of_extents(shards), rounds, &only);
    }
    for shards in [7, 10] {
        tell(cases::of_large_blobs(shards), rounds, &only);
    }
    tell(cases::of_many_small_slivers(10), rounds, &only);
}
