//! `floe repair` for one node.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::scene::Scene;
use crate::bench::usage;

/// Its name among the processes.
const REPAIR: &str = "repair";

/// What repair came to.
#[derive(Debug, Default)]
pub(super) struct Repaired {
    /// Bytes that it brought to the node.
    pub(super) restored_bytes: u64,
    /// Bytes that it read from the node's peers.
    pub(super) read_bytes: u64,
    /// From the start of the process to its end.
    pub(super) took: Duration,
    /// CPU seconds of the process.
    pub(super) own_cpu_seconds: f64,
    /// CPU seconds of the node meanwhile.
    pub(super) node_cpu_seconds: f64,
    /// CPU seconds of all other nodes meanwhile.
    pub(super) peers_cpu_seconds: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    restored_bytes: u64,
    read_bytes: u64,
}

/// Bytes {restored, read for that} by these nodes since they were started. What `floe repair` brought
/// counts as restored, what it read does not.
pub(super) fn totals(scene: &Scene<'_>, nodes: &[String]) -> anyhow::Result<(u64, u64)> {
    let mut sums = (0, 0);
    for node in nodes {
        let metrics = scene.drive.committee.metrics(node)?;
        sums.0 += metrics.sum("floe_node_repair_bytes_restored_total", &[]);
        sums.1 += metrics.sum("floe_node_repair_bytes_read_total", &[]);
    }
    Ok(sums)
}

/// Rebuilds what a node lacks, by a process of its own.
pub(super) fn repair(scene: &Scene<'_>, node: &str) -> anyhow::Result<Repaired> {
    let (stage, committee) = (scene.drive.stage, &scene.drive.committee);
    let mut command = committee.command(&["repair", "--json", "--node", node, "--dir"]);
    command.arg(committee.directory().join("repair"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let processes = stage.process_ids();
    let before = usage::cpu_seconds(&processes)?;
    let (_, children_before) = usage::own_cpu_seconds()?;
    let begin = Instant::now();
    let output = stage.spawn(REPAIR, command)?;
    let mut output = output.context("floe repair has no output")?;
    let status = stage.wait_within(REPAIR, scene.left());
    let took = begin.elapsed();
    let status = status.with_context(|| format!("{}: repair of {node}", scene.name))?;
    ensure!(status.success(), "{}: floe repair of {node} failed ({status})", scene.name);
    let (_, children) = usage::own_cpu_seconds()?;
    let after = usage::cpu_seconds(&processes)?;
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    let said: Said = serde_json::from_str(&text)
        .with_context(|| format!("floe repair printed no summary: {text}"))?;
    let mut repaired = Repaired {
        restored_bytes: said.restored_bytes,
        read_bytes: said.read_bytes,
        took,
        own_cpu_seconds: children - children_before,
        ..Repaired::default()
    };
    for (name, after) in after {
        let used = after - before.get(&name).copied().unwrap_or_default();
        if name == node {
            repaired.node_cpu_seconds = used;
        } else if name.starts_with("node-") {
            repaired.peers_cpu_seconds += used;
        }
    }
    Ok(repaired)
}
