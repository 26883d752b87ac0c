//! `bench recovery`: what it takes to get over a lost volume, and to take in another node.

mod copying;
mod joining;
mod loss;
mod repairing;
mod scene;
mod tables;

use std::path::Path;
use std::time::Duration;

use super::document::{Section, machine};
use super::drive::{Drive, size};
use super::figures::{Figures, json_lines, table};
use super::load::{Task, Verb};
use super::noise::Noise;
use super::tell;
use crate::artefact::artefact;
use crate::local_committee::{Size, Stage};
use crate::workspace::Workspace;
use scene::Scene;

/// Its section of the document.
const SECTION: Section = Section { bench: "recovery", title: "Recovery" };
/// How to read the tables.
const LEGEND: &str = "\
    Real processes on loopback, caches dropped, one run of each case; MB = 10^6 bytes. A node that holds the most shards is killed, its \
    volume taken away, the node started again; `floe committee replace` follows as soon as the status says lost, `floe repair` as soon \
    as the next incarnation is committed, a steward does the rest. Seconds count from the wipe. CPU time counts while `floe repair` \
    runs. Payload read is to be at most 1.05 bytes per byte restored.\n\n\
    In brackets the ratio to the floor of the same run, and the floor: as many bytes copied from file to file over TLS between two \
    threads, synced every 64 MiB, half of them before the wipe and half after all is whole; where a node joins, the least that must \
    move for each node to have its share. Meanwhile two clients read old blobs and write new ones in turn.";
const MIB: u64 = 1 << 20;
/// Bytes of a blob: many full stripes.
const BLOB_BYTES: u64 = 64 * MIB;

/// The committees that lose a node, and whether another node joins afterwards.
const CASES: [(Size, bool); 3] = [
    (Size { nodes: 7, shards: 7 }, false),
    (Size { nodes: 7, shards: 10 }, true),
    (Size { nodes: 10, shards: 10 }, false),
];

/// How much is written, and how long a committee may take with it.
#[derive(Debug, Clone, Copy)]
struct Extent {
    blobs: u64,
    deadline: Duration,
}

impl Extent {
    const FULL: Self = Self { blobs: 16, deadline: Duration::from_mins(30) };
    const QUICK: Self = Self { blobs: 2, deadline: Duration::from_mins(8) };
}

/// Measures; prints lines or tables, and writes the tables down unless the run was a quick one.
pub(super) fn run(workspace: &Workspace, quick: bool, json: bool) -> anyhow::Result<()> {
    let extent = if quick { Extent::QUICK } else { Extent::FULL };
    tell("building the release binary floe");
    let binary = artefact(workspace)?;
    let directory = workspace.target.join(format!("floe-bench-{}", std::process::id()));
    let stage = Stage::set(directory, false)?;
    let noise = Noise::draw()?;
    let (mut lost, mut joined) = (Figures::default(), Figures::default());
    for (size, joins) in CASES {
        let joined = joins.then_some(&mut joined);
        measure((&stage, &binary, &noise), (size, extent), &mut lost, joined)?;
    }
    if json {
        lost.0.append(&mut joined.0);
        print!("{}", json_lines(SECTION.bench, &lost.0)?);
        return Ok(());
    }
    print!("{}{}", table(&lost.0), table(&joined.0));
    if !quick {
        let tables = format!("{}\n{}", tables::markdown(&lost.0), tables::markdown(&joined.0));
        SECTION.write(workspace, &format!("On {}. {LEGEND}\n\n{tables}", machine()))?;
    }
    Ok(())
}

/// One committee: its blobs, its loss, and the node that joins if one does.
fn measure(
    (stage, binary, noise): (&Stage, &Path, &Noise),
    (committee, extent): (Size, Extent),
    lost: &mut Figures,
    joined: Option<&mut Figures>,
) -> anyhow::Result<()> {
    let Extent { blobs, deadline } = extent;
    let name = format!("n={}, {} nodes", committee.shards, committee.nodes);
    let bytes = size(blobs * BLOB_BYTES);
    tell(&format!("{name}: {bytes} of blobs are written"));
    let drive = Drive::start_of(committee, stage, binary, noise)?;
    let scene = Scene::set(&drive, name, deadline)?;
    drive.run(Task { verb: Verb::Put, clients: 2, first: 0, objects: blobs, bytes: BLOB_BYTES })?;
    loss::measure(&scene, &bytes, lost)?;
    if let Some(figures) = joined {
        joining::measure(&scene, &bytes, figures)?;
    }
    drive.end()
}
