//! What the codec does per second of CPU time, beside what its parts would do alone. Prints JSON
//! lines; `cargo xtask bench codec` runs it and makes a table of them.
//!
//! Every round measures every case once, so that a busy moment hits all alike; the medians are told.
//! Threads are measured by the clock on the wall, all else by the time on the processor.

#![expect(clippy::disallowed_methods, reason = "a bench runs on the real machine only")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![expect(clippy::cast_precision_loss, reason = "figures, not sums")]

mod cases;
mod floor;

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Seconds that one measurement takes at least.
const LEAST_SECONDS: f64 = 0.06;
const ROUNDS: usize = 7;
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

/// Something to do again and again.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) shards: u16,
    pub(crate) blob_bytes: usize,
    pub(crate) threads: usize,
    pub(crate) clock: Clock,
    pub(crate) unit: Unit,
    /// Names the cases whose times, added, are the floor.
    pub(crate) floor: &'static [&'static str],
    pub(crate) work: Box<dyn FnMut()>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    peak_bytes: u64,
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians of the seconds of one go of each case.
fn measure(cases: &mut [Case], rounds: usize) -> Vec<f64> {
    let goes: Vec<u32> = cases
        .iter_mut()
        .map(|case| {
            (case.work)();
            let once = seconds(case.clock, &mut case.work).max(1e-7);
            let goes = (LEAST_SECONDS / once).ceil().clamp(1.0, 1e6);
            format!("{goes}").parse().unwrap()
        })
        .collect();
    let mut samples = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for ((case, &goes), samples) in cases.iter_mut().zip(&goes).zip(&mut samples) {
            let work = &mut case.work;
            let taken = seconds(case.clock, &mut || (0..goes).for_each(|_| work()));
            samples.push(taken / f64::from(goes));
        }
    }
    samples.into_iter().map(median).collect()
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn tell(mut cases: Vec<Case>, rounds: usize) {
    let seconds = measure(&mut cases, rounds);
    let of = |name: &str| {
        let found = cases.iter().position(|case| case.name == name);
        found.map_or(0.0, |found| seconds[found])
    };
    let floors: Vec<Option<f64>> = cases
        .iter()
        .map(|case| {
            let floor: f64 = case.floor.iter().map(|name| of(name)).sum();
            (floor > 0.0).then_some(floor)
        })
        .collect();
    for ((case, seconds), floor) in cases.iter_mut().zip(&seconds).zip(floors) {
        let peak_bytes = allocation_counter::measure(&mut case.work).bytes_max;
        let line = Line {
            bench: "codec",
            case: case.name,
            n: case.shards,
            blob_bytes: case.blob_bytes,
            threads: case.threads,
            value: rounded(case.unit.value(*seconds)),
            unit: case.unit.text(),
            floor: floor.map(|floor| rounded(case.unit.value(floor))),
            ratio: floor.map(|floor| rounded(floor / seconds)),
            peak_bytes,
        };
        println!("{}", serde_json::to_string(&line).unwrap());
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // Cargo also runs benches as tests, without this.
    if !has("--bench") {
        return;
    }
    let rounds = if has("--quick") { QUICK_ROUNDS } else { ROUNDS };
    for shards in [4, 7, 10, 31, 100] {
        tell(cases::of_full_extents(shards), rounds);
    }
    tell(cases::of_small_blobs(), rounds);
}
