//! The committee, and what a test does to its nodes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::{Chain, ChainLink};
use floe_api::report::{NodeReport, ServingState};
use floe_api::{NodeClient, Role, Target, TlsIdentity, TransportLimits};
use floe_client::{Budget, Client, Observer};
use floe_env::{Disk, Env, real_env};
use floe_model::keys::RegistrarKey;
use floe_model::record::Policy;
use floe_model::{EpochRecord, Geometry, Incarnation, NodeName, Timestamp};
use floe_sidecar::{Config, Limits, Sidecar, StartError};
use floe_steward::{FileRecordLog, Genesis, GenesisConfig, GenesisNode, Keys, Trust, genesis};
use tempfile::TempDir;

use super::addresses::{API_PORT, METRICS_PORT, draw};
use super::disk::TightDisk;
use super::metrics::Metrics;
use super::volume::Holding;
use super::wait::until;

struct Node {
    env: Env,
    disk: Arc<TightDisk>,
    config: Config,
    running: Option<Sidecar>,
}

/// A committee that serves. Dropped, all of it is gone.
pub struct Committee {
    nodes: Vec<Node>,
    env: Env,
    trust: Trust,
    genesis: Genesis,
    operator: NodeClient,
    dir: TempDir,
}

impl Committee {
    /// Starts `nodes` storage nodes that share `shards` shards, and waits until all serve. `test`
    /// names the directory, below the target directory.
    pub async fn start(test: &str, nodes: u8, shards: u16) -> Self {
        let env = real_env(2).unwrap();
        let dir = directory(test);
        let (disk, clock, random) = (env.disk.as_ref(), env.clock.as_ref(), env.random.as_ref());
        let trust = Trust::create(disk, clock, random, &dir.path().join("trust")).unwrap();
        let addresses = draw(random, nodes);
        let mut nodes: Vec<Node> = Vec::new();
        for (at, address) in addresses.into_iter().enumerate() {
            let mut node = Node::new(&env, &trust, dir.path(), (at, address));
            node.start().await;
            nodes.push(node);
        }
        let operator = trust.leaf(clock, Role::Operator, "steward", Incarnation(0), &[]).unwrap();
        let operator = NodeClient::new(&env, &operator, TransportLimits::default()).unwrap();
        let genesis = begin(&env, &trust, (dir.path(), &operator), (&nodes, shards)).await;
        let committee = Self { nodes, env, trust, genesis, operator, dir };
        for at in 0..committee.size() {
            committee.serves(at).await;
        }
        committee
    }

    /// How many nodes there are; they are numbered from 0.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Record 0. Its members are the nodes, in order.
    pub fn record(&self) -> &EpochRecord {
        &self.genesis.record.record
    }

    /// n and f.
    pub fn geometry(&self) -> Geometry {
        self.record().geometry
    }

    /// A node's name.
    pub fn node(&self, at: usize) -> &NodeName {
        &self.nodes[at].config.node
    }

    /// How many shards a node owns.
    pub fn shards(&self, at: usize) -> usize {
        self.record().members[at].shards.len()
    }

    /// A node as callers see it.
    pub fn target(&self, at: usize) -> Target {
        Target::from(&self.record().members[at])
    }

    /// Where a node's API listens.
    pub fn address(&self, at: usize) -> SocketAddr {
        self.nodes[at].config.listen
    }

    /// The directory of a node's volume.
    pub fn volume(&self, at: usize) -> &Path {
        &self.nodes[at].config.volume_dir
    }

    /// A node's disk.
    pub fn disk(&self, at: usize) -> &TightDisk {
        &self.nodes[at].disk
    }

    /// The environment of the callers.
    pub const fn env(&self) -> &Env {
        &self.env
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.env.clock.unix_millis())
    }

    /// The committee's secrets.
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The gateways' registrar key.
    pub const fn gateway_key(&self) -> &RegistrarKey {
        self.trust.gateway_key()
    }

    /// A directory of the test's own.
    pub fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    /// A certificate of this committee.
    pub fn identity(&self, role: Role, name: &str, incarnation: Incarnation) -> TlsIdentity {
        self.trust.leaf(self.env.clock.as_ref(), role, name, incarnation, &[]).unwrap()
    }

    /// Calls nodes with the certificate of a role; that of a node is node 0's.
    pub fn caller(&self, role: Role) -> NodeClient {
        let name = if role == Role::Node { self.node(0).as_str() } else { "caller" };
        self.caller_as(&self.identity(role, name, Incarnation(0)))
    }

    /// Calls nodes with any certificate.
    pub fn caller_as(&self, identity: &TlsIdentity) -> NodeClient {
        NodeClient::new(&self.env, identity, TransportLimits::default()).unwrap()
    }

    /// Record 0 with its proof.
    pub fn chain(&self) -> Chain {
        let (record, proof) = (self.genesis.record.clone(), Some(self.genesis.proof.clone()));
        Chain { links: vec![ChainLink { record, proof }] }
    }

    /// A client as gateways have it.
    pub fn client(&self) -> Client {
        let committee = Arc::new(floe_client::Committee::from_chain(self.chain()).unwrap());
        let (env, nodes) = (self.env.clone(), self.caller(Role::Gateway));
        let key = Some(self.gateway_key().clone());
        Client::new(env, nodes, committee, key, Budget::default())
    }

    /// The same, telling `observer` who lies.
    pub fn observed_client(&self, observer: Arc<dyn Observer>) -> Client {
        self.client().observed_by(observer)
    }

    /// Stops a node; what it promised is on its disk.
    pub async fn stop(&mut self, at: usize) {
        self.nodes[at].running.take().unwrap().shutdown().await;
    }

    /// Stops several nodes.
    pub async fn stop_all(&mut self, nodes: &[usize]) {
        for &at in nodes {
            self.stop(at).await;
        }
    }

    /// Starts a node that was stopped.
    pub async fn restart(&mut self, at: usize) {
        self.nodes[at].start().await;
    }

    /// Nodes that run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.size()).filter(|&at| self.nodes[at].running.is_some()).collect()
    }

    /// Waits until a node serves everything.
    pub async fn serves(&self, at: usize) {
        until("a node to serve", || async {
            let serving = self.report(at).await.serving;
            match serving.state {
                ServingState::Serving => Ok(()),
                _ => Err(format!("{}: {}", self.node(at), serving.reason)),
            }
        })
        .await;
    }

    /// Waits until a node holds everything that it owes, and owes `blobs` blobs.
    pub async fn holds_all(&self, at: usize, blobs: u64) {
        until("a node to heal", || async {
            let report = self.report(at).await;
            let whole = report.slivers.owed == report.slivers.held && report.owed_blobs == blobs;
            if whole { Ok(()) } else { Err(format!("{report:?}")) }
        })
        .await;
    }

    /// Waits until all nodes that run have read each other's feeds and hold what they owe: nothing
    /// changes any more by itself.
    pub async fn settle(&self) {
        until("the committee to settle", || async {
            let mut reports = Vec::new();
            for at in self.running() {
                reports.push(self.report(at).await);
            }
            for one in &reports {
                for other in reports.iter().filter(|other| other.node != one.node) {
                    let (read, head) = (one.cursors.get(&other.node), other.feed_head.unwrap());
                    if read.map_or(0, |read| read.sequence) != head.sequence {
                        return Err(format!("{} has not read {}", one.node, other.node));
                    }
                }
                if one.slivers.owed != one.slivers.held {
                    return Err(format!("{} lacks slivers", one.node));
                }
            }
            Ok(())
        })
        .await;
    }

    /// A node's report.
    pub async fn report(&self, at: usize) -> NodeReport {
        self.operator.report(&self.target(at)).await.unwrap().value
    }

    /// A node's metrics.
    pub async fn metrics(&self, at: usize) -> Metrics {
        Metrics::read(self.nodes[at].config.metrics_listen).await.unwrap()
    }

    /// Everything that a node holds.
    pub async fn holding(&self, at: usize) -> Holding {
        Holding::of(&self.report(at).await, self.volume(at))
    }
}

impl Node {
    fn new(env: &Env, trust: &Trust, dir: &Path, (at, address): (usize, Ipv4Addr)) -> Self {
        let node: NodeName = format!("node-{at}").parse().unwrap();
        let incarnation = Incarnation(0);
        let tls =
            trust.leaf(env.clock.as_ref(), Role::Node, node.as_str(), incarnation, &[]).unwrap();
        let volume_dir = dir.join(node.as_str());
        env.disk.create_dir_all(&volume_dir).unwrap();
        let disk = Arc::new(TightDisk::default());
        let env = Env { disk: Arc::clone(&disk) as Arc<dyn Disk>, ..real_env(2).unwrap() };
        let config = Config {
            committee: trust.committee(),
            operator: trust.operator_key().public(),
            node,
            incarnation,
            tls: tls.into(),
            listen: SocketAddr::new(address.into(), API_PORT),
            metrics_listen: SocketAddr::new(address.into(), METRICS_PORT),
            volume_dir,
            limits: Limits::default(),
        };
        Self { env, disk, config, running: None }
    }

    async fn start(&mut self) {
        let running = until("a node's volume and addresses to be free", || async {
            match Sidecar::start(self.env.clone(), self.config.clone()).await {
                Ok(running) => Ok(running),
                // The last jobs of the one that ended are still running.
                Err(error @ (StartError::Listen { .. } | StartError::Volume(_))) => {
                    Err(error.to_string())
                }
                Err(error) => panic!("{error}"),
            }
        });
        self.running = Some(running.await);
    }
}

async fn begin(
    env: &Env,
    trust: &Trust,
    (dir, client): (&Path, &NodeClient),
    (nodes, shards): (&[Node], u16),
) -> Genesis {
    let member = |node: &Node| GenesisNode {
        node: node.config.node.clone(),
        incarnation: node.config.incarnation,
        address: node.config.listen.to_string(),
        zone: String::new(),
        host: String::new(),
    };
    let config = GenesisConfig {
        geometry: Geometry::of_shards(shards).unwrap(),
        policy: Policy::default(),
        nodes: nodes.iter().map(member).collect(),
        patience: Duration::from_mins(1),
    };
    let log = FileRecordLog::new(env.clone(), dir.join("records"));
    let begun = genesis(env, client, &log, &Keys::from(trust), &config).await.unwrap();
    assert!(begun.untold.is_empty(), "{:?}", begun.untold);
    begun
}

/// A new directory below the target directory, which is where the test's own binary lies.
fn directory(test: &str) -> TempDir {
    let binary = std::env::current_exe().unwrap();
    let target = binary.ancestors().nth(3).expect("<target>/<profile>/deps/<test>");
    let parent = target.join("floe-tests").join(test);
    std::fs::create_dir_all(&parent).unwrap();
    tempfile::Builder::new().prefix("run-").tempdir_in(parent).unwrap()
}
