//! `bench data-path`: put, get and healing with seven nodes and a gateway.

mod healing;
mod large;

use std::path::Path;

use super::drive::Drive;
use super::figures::Figures;
use super::load::{Task, Verb};
use super::noise::Noise;
use super::tell;
use crate::artefact::artefact;
use crate::local_committee::Stage;
use crate::workspace::Workspace;

/// Requests at a time.
const CLIENTS: u64 = 8;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// How much is written and read.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    rounds: usize,
    /// Bytes of the one large blob.
    large_bytes: u64,
    /// (bytes of an object, clients, objects).
    objects: [(u64, u64, u64); 4],
    /// Bytes that a node misses.
    missed_bytes: u64,
}

impl Sizes {
    const FULL: Self = Self {
        rounds: 3,
        large_bytes: 1024 * MIB,
        objects: [
            (4 * KIB, CLIENTS, 800),
            (MIB, CLIENTS, 256),
            (64 * MIB, 1, 3),
            (64 * MIB, CLIENTS, 16),
        ],
        missed_bytes: 512 * MIB,
    };
    const QUICK: Self = Self {
        rounds: 1,
        large_bytes: 128 * MIB,
        objects: [
            (4 * KIB, CLIENTS, 160),
            (MIB, CLIENTS, 64),
            (64 * MIB, 1, 1),
            (64 * MIB, CLIENTS, 8),
        ],
        missed_bytes: 64 * MIB,
    };
}

/// Measures so many rounds; everything is gone at the end.
pub(super) fn run(workspace: &Workspace, quick: bool) -> anyhow::Result<Vec<Figures>> {
    let sizes = if quick { Sizes::QUICK } else { Sizes::FULL };
    tell("building the release binary floe");
    let binary = artefact(workspace)?;
    let directory = workspace.target.join(format!("floe-bench-{}", std::process::id()));
    let stage = Stage::set(directory, false)?;
    let noise = Noise::draw()?;
    let mut rounds = Vec::new();
    for number in 1..=sizes.rounds {
        tell(&format!("round {number} of {}", sizes.rounds));
        rounds.push(round(&stage, &binary, &noise, sizes)?);
    }
    Ok(rounds)
}

/// Each part has a committee of its own, so that the disk holds one part's data at a time.
fn round(stage: &Stage, binary: &Path, noise: &Noise, sizes: Sizes) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let drive = Drive::start(stage, binary, noise)?;
    large::measure(&drive, sizes.large_bytes, &mut figures)?;
    drive.end()?;
    let drive = Drive::start(stage, binary, noise)?;
    objects(&drive, sizes, &mut figures)?;
    drive.end()?;
    for object_bytes in [MIB, sizes.missed_bytes] {
        let drive = Drive::start(stage, binary, noise)?;
        healing::measure(&drive, sizes.missed_bytes, object_bytes, &mut figures)?;
        drive.end()?;
    }
    Ok(figures)
}

fn objects(drive: &Drive<'_>, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut first = 0;
    for (bytes, clients, objects) in sizes.objects {
        let put = Task { verb: Verb::Put, clients, first, objects, bytes };
        let get = Task { verb: Verb::Get, ..put };
        drive.measure(put, "", figures)?;
        drive.cool()?;
        drive.measure(get, "cold", figures)?;
        drive.measure(get, "warm", figures)?;
        first += objects;
    }
    Ok(())
}
