//! `floe standalone`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use floe_env::Env;
use floe_model::{Incarnation, NodeName};
use floe_sidecar::Sidecar;
use futures::FutureExt as _;

use crate::args::StandaloneArguments;
use crate::committee_dir::{self, CommitteeDir, init};
use crate::stewarding::{LOOK_EVERY, Stewarding};
use crate::{report, serving};

/// All nodes are in this process: whoever is missing now stays missing.
const FORM_WITHIN: Duration = Duration::from_secs(30);

/// Runs a whole committee, its gateway and its steward until it is told to end.
pub(crate) async fn run(arguments: StandaloneArguments) -> anyhow::Result<()> {
    let nodes = usize::from(arguments.size.nodes.unwrap_or(4));
    let env = serving::env(nodes)?;
    let dir = init(&env, &arguments.size)?;
    let mut fleet = Fleet { env: env.clone(), nodes: BTreeMap::new() };
    fleet.start_all(&dir).await?;
    serving::form(&env, &dir, FORM_WITHIN).await?;
    let gateway = serving::start_gateway(&env, &dir.gateway_dir()).await?;
    greet(&dir)?;
    let mut stewarding = Stewarding::new(&env, &dir.path, arguments.loss.loss_grace)?;
    let ended = tokio::select! {
        biased;
        ended = serving::until_end(arguments.end, Vec::new()) => ended,
        () = fleet.keep(&mut stewarding) => Ok(()),
    };
    gateway.shutdown().await;
    fleet.shutdown().await;
    ended
}

/// The storage nodes of this process.
struct Fleet {
    env: Env,
    nodes: BTreeMap<NodeName, (Incarnation, Option<Sidecar>)>,
}

impl Fleet {
    async fn start_all(&mut self, dir: &CommitteeDir) -> anyhow::Result<()> {
        for node in dir.nodes() {
            let sidecar = serving::start_sidecar(&self.env, &dir.node_dir(&node.node)).await?;
            self.nodes.insert(node.node, (node.incarnation, Some(sidecar)));
        }
        Ok(())
    }

    /// Runs what is wanted, and replaces what is lost, for good.
    async fn keep(&mut self, stewarding: &mut Stewarding) {
        loop {
            if let Err(error) = self.go_on(stewarding).await {
                eprintln!("{error:#}");
            }
            self.env.clock.sleep(LOOK_EVERY).await;
        }
    }

    async fn go_on(&mut self, stewarding: &mut Stewarding) -> anyhow::Result<()> {
        let pass = stewarding.pass().await?;
        for (node, incarnation) in pass.to_replace() {
            eprintln!("the volume {incarnation} of {node} is lost; its next one takes its place");
            committee_dir::replace(&self.env, &stewarding.path(), &node, Some(incarnation))?;
        }
        for node in stewarding.dir().nodes() {
            let running = self.nodes.get(&node.node);
            let is_current = running.is_some_and(|(incarnation, sidecar)| {
                *incarnation == node.incarnation
                    && sidecar.as_ref().is_some_and(|it| it.failed().now_or_never().is_none())
            });
            if !is_current {
                let path = stewarding.dir().node_dir(&node.node);
                self.stop(&node.node).await;
                let started = serving::start_sidecar(&self.env, &path).await;
                let started = started.with_context(|| format!("{} does not run", node.node));
                let sidecar = started.inspect_err(|error| eprintln!("{error:#}")).ok();
                self.nodes.insert(node.node, (node.incarnation, sidecar));
            }
        }
        Ok(())
    }

    async fn stop(&mut self, node: &NodeName) {
        if let Some((_, Some(sidecar))) = self.nodes.remove(node) {
            sidecar.shutdown().await;
        }
    }

    async fn shutdown(self) {
        let sidecars = self.nodes.into_values().filter_map(|(_, sidecar)| sidecar);
        futures::future::join_all(sidecars.map(Sidecar::shutdown)).await;
    }
}

fn greet(dir: &CommitteeDir) -> anyhow::Result<()> {
    let geometry = dir.geometry()?;
    report::line(&format!(
        "{} storage nodes, n = {} shards, f = {}; all data in {}",
        dir.nodes().len(),
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
