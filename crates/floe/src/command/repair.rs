//! `floe repair`.

use std::time::{Duration, Instant};

use floe_sidecar::{RepairJobError, RepairSummary, run_repair_job};
use serde_json::json;

use crate::args::RepairArguments;
use crate::exit::{Ended, Exit};
use crate::{report, serving};

/// Rebuilds what a node's unfilled shards lack, until it has nothing to give out any more.
pub(crate) async fn run(arguments: RepairArguments) -> anyhow::Result<()> {
    let env = serving::env(0)?;
    let mut job = serving::repair_job(&env, &arguments.dir, arguments.node.clone())?;
    job.bytes_per_second = arguments.max_bytes_per_second;
    job.patience = Duration::from_secs(arguments.patience);
    let begin = Instant::now();
    let summary = run_repair_job(&env, &job).await.map_err(|error| {
        let exit = match &error {
            RepairJobError::NoLease { .. } | RepairJobError::NoSources { .. } => {
                Exit::NotEnoughNodes
            }
            RepairJobError::Refused { .. } => Exit::NotFound,
            RepairJobError::Tls(_) | RepairJobError::Metrics(_) => Exit::Failed,
        };
        Ended::new(exit, error.to_string())
    })?;
    show(&arguments, summary, begin.elapsed())
}

fn show(arguments: &RepairArguments, summary: RepairSummary, took: Duration) -> anyhow::Result<()> {
    let RepairSummary { leases, slivers, restored_bytes, read_bytes } = summary;
    let node = &arguments.node;
    if arguments.json {
        return report::json(&json!({
            "node": node,
            "leases": leases,
            "slivers": slivers,
            "restoredBytes": restored_bytes,
            "readBytes": read_bytes,
            "seconds": took.as_secs_f64(),
        }));
    }
    if slivers == 0 {
        return report::line(&format!("{node} lacks nothing that is given out"));
    }
    let (restored, read) = (report::size(restored_bytes), report::size(read_bytes));
    let ratio = read_bytes.saturating_mul(1000) / restored_bytes.max(1);
    report::line(&format!(
        "{node}: {slivers} slivers, {restored} restored from {read} read ({}.{:03} per byte) in {:.1} s",
        ratio / 1000,
        ratio % 1000,
        took.as_secs_f64()
    ))
}
