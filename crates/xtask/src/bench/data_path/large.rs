//! One large blob, beside copying and syncing as many bytes as the nodes store for it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::bench::drive::{Done, Drive, case, gibibytes, mebibytes, rate, whole};
use crate::bench::figures::Figures;
use crate::bench::floor::copy_and_sync;
use crate::bench::load::{Task, Verb};
use crate::bench::noise::Noise;
use crate::bench::{tell, usage};

/// Puts and gets a blob of so many bytes.
pub(super) fn measure(drive: &Drive<'_>, bytes: u64, figures: &mut Figures) -> anyhow::Result<()> {
    let put = Task { verb: Verb::Put, clients: 1, first: 0, objects: 1, bytes };
    let done = step(drive, put, "")?;
    let written_bytes = done.disk_bytes;
    let floor = floor(drive, (bytes, written_bytes))?;
    let name = case(put, "");
    figures.add_beside((&name, "rate"), (done.megabytes_per_second(), floor), "MB/s");
    figures.add(&name, "on disk", whole(written_bytes) / whole(bytes), "bytes/byte");
    costs(drive, &name, &done, figures)?;
    drive.cool()?;
    let get = Task { verb: Verb::Get, ..put };
    let done = step(drive, get, "cold")?;
    let name = case(get, "cold");
    figures.add(&name, "rate", done.megabytes_per_second(), "MB/s");
    costs(drive, &name, &done, figures)
}

fn step(drive: &Drive<'_>, task: Task, note: &str) -> anyhow::Result<Done> {
    tell(&case(task, note));
    usage::forget_peaks(&drive.stage.process_ids())?;
    drive.run(task)
}

/// CPU and memory by process.
fn costs(drive: &Drive<'_>, name: &str, done: &Done, figures: &mut Figures) -> anyhow::Result<()> {
    let gib = gibibytes(done.bytes);
    figures.add(name, "cpu, all", done.cpu_all() / gib, "s/GiB");
    for (process, seconds) in &done.cpu {
        figures.add(name, &format!("cpu, {process}"), seconds / gib, "s/GiB");
    }
    for (process, bytes) in usage::peak_bytes(&drive.stage.process_ids())? {
        figures.add(name, &format!("peak memory, {process}"), mebibytes(bytes), "MiB");
    }
    Ok(())
}

/// The blob's bytes per second when so many bytes are copied and synced for them.
fn floor(drive: &Drive<'_>, (bytes, written_bytes): (u64, u64)) -> anyhow::Result<f64> {
    tell("the same bytes, copied and synced");
    let source = drive.stage.directory().join("floor-source");
    write_source(drive.noise(), bytes, &source)?;
    let took = copy_and_sync(&source, &drive.stage.directory().join("floor"), written_bytes)?;
    std::fs::remove_file(&source)?;
    Ok(rate(bytes, took))
}

fn write_source(noise: &Noise, bytes: u64, path: &Path) -> anyhow::Result<()> {
    let mut file = File::create(path).with_context(|| format!("write {}", path.display()))?;
    for piece in noise.object(0, bytes) {
        file.write_all(&piece)?;
    }
    Ok(file.sync_all()?)
}
