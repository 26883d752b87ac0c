//! `floe standalone`.

use std::time::Duration;

use floe_sidecar::Sidecar;

use crate::args::StandaloneArguments;
use crate::committee_dir::{CommitteeDir, init};
use crate::{report, serving};

/// All nodes are in this process: whoever is missing now stays missing.
const FORM_WITHIN: Duration = Duration::from_secs(30);

/// Runs a whole committee and its gateway until it is told to end.
pub(crate) async fn run(arguments: StandaloneArguments) -> anyhow::Result<()> {
    let nodes = usize::from(arguments.size.nodes.unwrap_or(4));
    let env = serving::env(nodes)?;
    let dir = init(&env, &arguments.size)?;
    let mut sidecars = Vec::new();
    for node in &dir.nodes {
        sidecars.push(serving::start_sidecar(&env, &dir.node_dir(node)).await?);
    }
    serving::form(&env, &dir, FORM_WITHIN).await?;
    let gateway = serving::start_gateway(&env, &dir.gateway_dir()).await?;
    greet(&dir)?;
    let failures = sidecars.iter().map(Sidecar::failed).collect();
    let ended = serving::until_end(arguments.end, failures).await;
    gateway.shutdown().await;
    futures::future::join_all(sidecars.into_iter().map(Sidecar::shutdown)).await;
    ended
}

fn greet(dir: &CommitteeDir) -> anyhow::Result<()> {
    let geometry = dir.geometry()?;
    report::line(&format!(
        "{} storage nodes, n = {} shards, f = {}; all data in {}",
        dir.nodes.len(),
        geometry.shards(),
        geometry.faulty(),
        dir.path.display()
    ))?;
    report::line(&format!("gateway: {}", dir.url()))?;
    report::line("in another terminal:")?;
    report::line(&format!("  . {}", dir.client_env().display()))?;
    report::line("  floe put notes notes.txt && floe ls && floe status")?;
    report::line("Ctrl-C ends it; started again with the same --dir, it goes on")
}
