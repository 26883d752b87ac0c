//! `floe standalone`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use floe_env::Env;
use floe_model::{Incarnation, Member, NodeName};
use floe_sidecar::{Sidecar, run_repair_job};
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

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
    /// Starts all nodes. One that cannot start is away: only if none can, that is an error.
    async fn start_all(&mut self, dir: &CommitteeDir) -> anyhow::Result<()> {
        let mut failed = None;
        for node in dir.nodes() {
            let started = serving::start_sidecar(&self.env, &dir.node_dir(&node.node)).await;
            let sidecar = started.map_err(|error| failed.insert(error).to_string());
            let sidecar = sidecar.inspect_err(|error| eprintln!("{error}")).ok();
            self.nodes.insert(node.node, (node.incarnation, sidecar));
        }
        let any_runs = self.nodes.values().any(|(_, sidecar)| sidecar.is_some());
        if any_runs { Ok(()) } else { failed.map_or(Ok(()), Err) }
    }

    /// Runs what is wanted, replaces what is lost, rebuilds what is unfilled, for good.
    async fn keep(&mut self, stewarding: &mut Stewarding) {
        let mut jobs = RepairJobs::default();
        let env = self.env.clone();
        loop {
            let dir = stewarding.dir().repair_dir();
            match jobs.beside(self.go_on(stewarding)).await {
                Ok(unfilled) => unfilled.into_iter().for_each(|it| jobs.start(&env, &dir, it)),
                Err(error) => eprintln!("{error:#}"),
            }
            jobs.beside(env.clock.sleep(LOOK_EVERY)).await;
        }
    }

    /// One pass; the nodes that have shards to fill.
    async fn go_on(&mut self, stewarding: &mut Stewarding) -> anyhow::Result<Vec<NodeName>> {
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
        let Some((_, record)) = pass.record else { return Ok(Vec::new()) };
        let fills = |it: &&Member| it.shards.iter().any(|shard| record.unfilled.contains(shard));
        Ok(record.members.iter().filter(fills).map(|member| member.node.clone()).collect())
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

/// Whoever rebuilds for nodes, one job for each.
#[derive(Default)]
struct RepairJobs {
    running: FuturesUnordered<LocalBoxFuture<'static, NodeName>>,
    nodes: BTreeSet<NodeName>,
}

impl RepairJobs {
    /// Starts a job for a node, unless one runs.
    fn start(&mut self, env: &Env, dir: &Path, node: NodeName) {
        if !self.nodes.insert(node.clone()) {
            return;
        }
        let (env, job) = (env.clone(), serving::repair_job(env, dir, node.clone()));
        self.running.push(Box::pin(async move {
            match job {
                Ok(job) => match run_repair_job(&env, &job).await {
                    Ok(done) if done.slivers > 0 => {
                        eprintln!("{node}: {} slivers were rebuilt", done.slivers);
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%node, %error, "not all was rebuilt"),
                },
                Err(error) => tracing::warn!(%node, %error, "nothing was rebuilt"),
            }
            node
        }));
    }

    /// Does something while the jobs go on.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(node) = self.running.next() => {
                    self.nodes.remove(&node);
                },
            }
        }
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
