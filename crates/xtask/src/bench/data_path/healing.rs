//! A node is away while bytes are written, comes back, and heals by itself.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::CLIENTS;
use crate::bench::drive::{Drive, gibibytes, rate, size, whole};
use crate::bench::figures::Figures;
use crate::bench::load::{Task, Verb};
use crate::bench::{tell, usage};
use crate::local_committee::{Committee, FAULTY, tail};

const SLIVERS: &str = "floe_node_slivers";
const BLOBS: &str = "floe_node_blobs_owed";
/// Between two looks at the node's metrics.
const LOOK: Duration = Duration::from_millis(50);
/// Without progress for so long, healing has failed.
const STALLED_AFTER: Duration = Duration::from_mins(2);

/// Writes `missed_bytes` in objects of `object_bytes` while a node is away, then times its return.
pub(super) fn measure(
    drive: &Drive<'_>,
    missed_bytes: u64,
    object_bytes: u64,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let (stage, committee) = (drive.stage, &drive.committee);
    let (away, peer) = parts(committee)?;
    let objects = missed_bytes / object_bytes;
    let case = format!("heal {objects} × {}", size(object_bytes));
    tell(&case);
    stage.kill(&away)?;
    let task = Task {
        verb: Verb::Put,
        clients: CLIENTS.min(objects),
        first: 0,
        objects,
        bytes: object_bytes,
    };
    drive.run(task)?;
    let before = usage::cpu_seconds(&stage.process_ids())?;
    let begin = Instant::now();
    committee.start_node(stage, &away)?;
    wait_until_whole(drive, &away, &peer)?;
    let took = begin.elapsed();
    let after = usage::cpu_seconds(&stage.process_ids())?;
    let of_peers: f64 =
        before.iter().map(|(name, before)| after.get(name).unwrap_or(before) - before).sum();
    let own = after.get(&away).copied().unwrap_or_default();
    let metrics = committee.metrics(&away)?;
    let total = |name: &str, labels: &[(&str, &str)]| whole(metrics.sum(name, labels));
    let restored_bytes = metrics.sum("floe_node_repair_bytes_restored_total", &[]);
    let read = total("floe_node_repair_bytes_read_total", &[]);
    let slivers = total("floe_node_repair_slivers_total", &[("result", "ok")]);
    let by_symbols =
        total("floe_node_repair_slivers_total", &[("path", "symbols"), ("result", "ok")]);
    figures.add(&case, "from start to whole", took.as_secs_f64(), "s");
    figures.add(&case, "restored", rate(restored_bytes, took), "MB/s");
    figures.add(&case, "payload read", read / whole(restored_bytes), "bytes/byte");
    let overhead = total("floe_node_repair_overhead_bytes_total", &[]);
    figures.add(&case, "overhead read", overhead / whole(restored_bytes), "bytes/byte");
    figures.add(&case, "overhead read, all", overhead / 1e6, "MB");
    figures.add(&case, "slivers by symbols", by_symbols / slivers * 100.0, "%");
    let gib = gibibytes(restored_bytes);
    figures.add(&case, "cpu, the node", own / gib, "s/GiB");
    figures.add(&case, "cpu, its peers", of_peers / gib, "s/GiB");
    Ok(())
}

/// The node that is away, as heavy as may be, and one that is not.
fn parts(committee: &Committee) -> anyhow::Result<(String, String)> {
    let nodes = committee.shards()?;
    let may_go = nodes.iter().filter(|(_, shards)| *shards <= FAULTY);
    let (away, _) = may_go.max_by_key(|(_, shards)| *shards).context("no node may be away")?;
    let (peer, _) =
        nodes.iter().find(|(node, _)| node != away).context("there is one node only")?;
    Ok((away.clone(), peer.clone()))
}

/// Waits until the node knows of every blob that its peer knows of, and holds what it owes.
fn wait_until_whole(drive: &Drive<'_>, node: &str, peer: &str) -> anyhow::Result<()> {
    let blobs = drive.committee.metrics(peer)?.sum(BLOBS, &[]);
    let mut last = (0, Instant::now());
    loop {
        drive.stage.all_run()?;
        // It may not listen yet.
        if let Ok(metrics) = drive.committee.metrics(node) {
            let owed = metrics.sum(SLIVERS, &[("state", "owed")]);
            let held = metrics.sum(SLIVERS, &[("state", "held")]);
            if metrics.sum(BLOBS, &[]) >= blobs && held == owed {
                return Ok(());
            }
            if held != last.0 {
                last = (held, Instant::now());
            }
        }
        if last.1.elapsed() > STALLED_AFTER {
            let log = tail(&drive.stage.log(node));
            bail!("{node} holds {} slivers and gets no more; its log ends:\n{log}", last.0);
        }
        thread::sleep(LOOK);
    }
}
