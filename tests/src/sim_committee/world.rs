//! What all hosts of one simulation share, and the ways in which a script does harm.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_api::report::{NodeReport, ServingState};
use floe_api::{NodeClient, Role, Target, TlsIdentity, TransportLimits};
use floe_env::{BoxFuture, Clock, Disk, Env};
use floe_model::keys::RegistrarKey;
use floe_model::{CommitteeId, EpochRecord, Geometry, Incarnation, NodeName};
use floe_sidecar::RepairJob;
use floe_steward::{Genesis, Keys, Trust};
use tokio::sync::oneshot;

use super::jobs::{Assigned, JobOutcome};
use super::{Atlas, Impostor};
use crate::sim::{EventLog, SimClock, SimDisk, SimRandom, sim_env};

/// Where nodes listen for members.
pub(super) const NODE_PORT: u16 = 7443;
/// Where gateways listen for applications.
pub(super) const APPLICATION_PORT: u16 = 8443;
/// Where both listen for probes.
pub(super) const PROBE_PORT: u16 = 9090;
/// The directory of a volume, and of everything else that a host keeps.
pub(super) const DIR: &str = "/data";
/// What applications show to gateways.
pub(super) const TOKEN: &str = "sesame";
/// The host that the script runs on.
pub(super) const SCRIPT: &str = "script";
/// The host of the steward that brings the committee to its beginning; its disk has the record log.
pub(super) const STEWARD: &str = "steward";
/// The name in the certificate of repair jobs.
const REPAIR: &str = "repair";
/// Volumes that a node may have in one simulation.
const MOST_INCARNATIONS: u32 = 12;

/// A committee to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Decides everything.
    pub seed: u64,
    /// n.
    pub shards: u16,
    /// Storage nodes.
    pub nodes: usize,
    /// Hosts for storage nodes that may join later.
    pub spares: usize,
    /// Gateways.
    pub gateways: usize,
    /// Stewards that keep the chain going, side by side.
    pub stewards: usize,
    /// Hosts for repair jobs.
    pub jobs: usize,
    /// The length of a simulated step: the shorter, the slower and the finer.
    pub tick: Duration,
    /// The size of each node's disk.
    pub disk_bytes: u64,
}

impl Setup {
    /// Four shards on four nodes, two gateways.
    pub const fn small(seed: u64) -> Self {
        let tick = Duration::from_millis(2);
        Self {
            seed,
            shards: 4,
            nodes: 4,
            spares: 0,
            gateways: 2,
            stewards: 0,
            jobs: 0,
            tick,
            disk_bytes: 1 << 30,
        }
    }
}

/// Something that only the loop around the simulation can do.
pub(super) enum Order {
    Crash(String),
    Start(String),
}

/// All that the hosts of one simulation share.
pub struct World {
    setup: Setup,
    log: EventLog,
    committee: CommitteeId,
    keys: Keys,
    gateway_key: RegistrarKey,
    /// By host and incarnation.
    identities: BTreeMap<(String, u32), TlsIdentity>,
    disks: BTreeMap<String, SimDisk>,
    nodes: Vec<NodeName>,
    spares: Vec<NodeName>,
    atlas: Mutex<Atlas>,
    ahead_millis: Arc<AtomicU64>,
    /// What all processes ran longer than the simulation.
    ran_millis: Arc<AtomicU64>,
    state: Mutex<State>,
    /// What the script draws from.
    random: SimRandom,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) orders: VecDeque<(Order, oneshot::Sender<()>)>,
    pub(super) genesis: Option<Genesis>,
    pub(super) impostors: BTreeMap<String, Impostor>,
    down: BTreeSet<String>,
    /// Which of its volumes each node has now.
    incarnations: BTreeMap<NodeName, u32>,
    /// Hosts of spares that run a volume of another node, and which.
    lent: BTreeMap<NodeName, (NodeName, Incarnation)>,
    /// What repair jobs are to do, from their next start on.
    pub(super) assigned: Option<Assigned>,
    /// What repair jobs did, those that ended by themselves.
    pub(super) jobs_done: Vec<(String, JobOutcome)>,
    /// What share each node is to have.
    weights: BTreeMap<NodeName, u32>,
    /// Why a host's process ended or did not start, the last time.
    pub(super) ended: BTreeMap<String, String>,
}

impl World {
    /// Makes trust, disks and certificates; nothing runs yet.
    pub(super) fn new(setup: Setup) -> Self {
        if let Ok(filter) = std::env::var("FLOE_TRACE") {
            // A second simulation of the process finds it in place.
            let _ = tracing_subscriber::fmt().with_env_filter(filter).without_time().try_init();
        }
        let log = EventLog::default();
        // Certificates are drawn by ring from the machine's randomness: kept out of the log.
        let vault = SimDisk::new("vault", 1 << 20, &EventLog::default());
        let clock = SimClock::default();
        let random = SimRandom::new(setup.seed, 1 << 32);
        let trust = Trust::create(&vault, &clock, &random, Path::new(DIR)).unwrap();
        let node = |at: usize| format!("node-{at}");
        let gateway = |at: usize| format!("gateway-{at}");
        let steward = |at: usize| format!("steward-{at}");
        let job = |at: usize| format!("repair-{at}");
        let peers = (0..setup.nodes + setup.spares).map(|at| (node(at), Role::Node));
        let peers = peers.chain((0..setup.gateways).map(|at| (gateway(at), Role::Gateway)));
        let peers = peers.chain((0..setup.stewards).map(|at| (steward(at), Role::Operator)));
        let peers = peers.chain((0..setup.jobs).map(|at| (job(at), Role::Repair)));
        let others = [(SCRIPT.to_owned(), Role::Gateway), (STEWARD.to_owned(), Role::Operator)];
        let (mut identities, mut disks) = (BTreeMap::new(), BTreeMap::new());
        for (host, role) in peers.chain(others) {
            let most = if role == Role::Node { MOST_INCARNATIONS } else { 1 };
            for incarnation in 0..most {
                let leaf = trust.leaf(&clock, role, &host, Incarnation(incarnation), &[]).unwrap();
                identities.insert((host.clone(), incarnation), leaf);
            }
            let disk = SimDisk::new(&host, setup.disk_bytes, &log);
            disk.create_dir_all(Path::new(DIR)).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            disks.insert(host, disk);
        }
        let names = |range: std::ops::Range<usize>| -> Vec<NodeName> {
            range.map(|at| node(at).parse().unwrap()).collect()
        };
        // It has no disk: what runs under it keeps nothing.
        let job = trust.leaf(&clock, Role::Repair, REPAIR, Incarnation(0), &[]).unwrap();
        identities.insert((REPAIR.to_owned(), 0), job);
        Self {
            log,
            committee: trust.committee(),
            keys: Keys::from(&trust),
            gateway_key: trust.gateway_key().clone(),
            identities,
            disks,
            nodes: names(0..setup.nodes),
            spares: names(setup.nodes..setup.nodes + setup.spares),
            atlas: Mutex::default(),
            ahead_millis: Arc::default(),
            ran_millis: Arc::default(),
            state: Mutex::default(),
            random,
            setup,
        }
    }

    /// What was asked for.
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The committee.
    pub const fn committee(&self) -> CommitteeId {
        self.committee
    }

    /// n and f.
    pub fn geometry(&self) -> Geometry {
        Geometry::of_shards(self.setup.shards).unwrap()
    }

    /// The steward's keys.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Signs permits, claims and releases.
    pub const fn gateway_key(&self) -> &RegistrarKey {
        &self.gateway_key
    }

    /// The storage nodes, each of which is a host of that name.
    pub fn nodes(&self) -> &[NodeName] {
        &self.nodes
    }

    /// The hosts for storage nodes that are not in record 0.
    pub fn spares(&self) -> &[NodeName] {
        &self.spares
    }

    /// The names of the hosts of stewards that go on.
    pub fn stewards(&self) -> Vec<String> {
        (0..self.setup.stewards).map(|at| format!("steward-{at}")).collect()
    }

    /// The names of the hosts of repair jobs.
    pub fn jobs(&self) -> Vec<String> {
        (0..self.setup.jobs).map(|at| format!("repair-{at}")).collect()
    }

    /// The names of the gateways' hosts.
    pub fn gateways(&self) -> Vec<String> {
        (0..self.setup.gateways).map(|at| format!("gateway-{at}")).collect()
    }

    /// What happened.
    pub const fn log(&self) -> &EventLog {
        &self.log
    }

    /// What the script draws from.
    pub const fn random(&self) -> &SimRandom {
        &self.random
    }

    /// A host's disk.
    pub fn disk(&self, host: &str) -> &SimDisk {
        &self.disks[host]
    }

    /// A host's certificate and key; a node's are those of the volume that it has now.
    pub fn identity(&self, host: &str) -> &TlsIdentity {
        let incarnation = host.parse().map_or(0, |node| self.incarnation(&node).0);
        &self.identities[&(host.to_owned(), incarnation)]
    }

    /// Which of its volumes a node has now.
    pub fn incarnation(&self, node: &NodeName) -> Incarnation {
        Incarnation(self.state().incarnations.get(node).copied().unwrap_or_default())
    }

    /// From its next start on a node has this volume.
    pub fn set_incarnation(&self, node: &NodeName, incarnation: Incarnation) {
        self.log.note("world", format!("{node} is to have volume {incarnation}"));
        self.state().incarnations.insert(node.clone(), incarnation.0);
    }

    /// From its next start on the host of a spare runs a volume of another node, while that node's own
    /// host may go on with the volume before it.
    pub fn lend(&self, host: &NodeName, node: &NodeName, incarnation: Incarnation) -> Target {
        self.log.note("world", format!("{host} is to run {node}-{incarnation}"));
        self.state().lent.insert(host.clone(), (node.clone(), incarnation));
        let address = format!("{host}:{NODE_PORT}");
        Target { node: node.clone(), incarnation, address }
    }

    /// Whose volume a host runs.
    pub(super) fn seat(&self, host: &NodeName) -> (NodeName, Incarnation) {
        let lent = self.state().lent.get(host).cloned();
        lent.unwrap_or_else(|| (host.clone(), self.incarnation(host)))
    }

    /// The certificate and key of one of a node's volumes.
    pub(super) fn leaf(&self, node: &NodeName, incarnation: Incarnation) -> TlsIdentity {
        self.identities[&(node.to_string(), incarnation.0)].clone()
    }

    /// A repair job for a node, with whom all members may be asked.
    pub fn repair_job(&self, node: &NodeName) -> RepairJob {
        RepairJob {
            operator: self.keys.operator.public(),
            tls: self.identity(REPAIR).clone(),
            node: node.clone(),
            nodes: self.nodes.iter().map(|node| self.target(node)).collect(),
            bytes_per_second: None,
            patience: Duration::from_mins(2),
        }
    }

    /// Where a node has the volume of now, or its host one that it was lent for.
    pub fn volume_dir(&self, node: &NodeName) -> PathBuf {
        if self.state().lent.contains_key(node) {
            return PathBuf::from(format!("{DIR}-lent"));
        }
        match self.incarnation(node) {
            Incarnation(0) => PathBuf::from(DIR),
            later => PathBuf::from(format!("{DIR}-{later}")),
        }
    }

    /// What share of the shards a node is to have: members one each, spares none, until told.
    pub fn weight(&self, node: &NodeName) -> u32 {
        let usual = u32::from(self.nodes.contains(node));
        self.state().weights.get(node).copied().unwrap_or(usual)
    }

    /// Changes a node's share.
    pub fn set_weight(&self, node: &NodeName, weight: u32) {
        self.log.note("world", format!("{node} is to weigh {weight}"));
        self.state().weights.insert(node.clone(), weight);
    }

    /// Record 0. Only after genesis.
    pub fn record(&self) -> EpochRecord {
        self.genesis().record.record
    }

    /// Record 0 with its proof. Only after genesis.
    pub fn genesis(&self) -> Genesis {
        self.state().genesis.clone().expect("genesis is done before the script begins")
    }

    /// A node as callers see it.
    pub fn target(&self, node: &NodeName) -> Target {
        let address = format!("{node}:{NODE_PORT}");
        Target { node: node.clone(), incarnation: self.incarnation(node), address }
    }

    /// What is faulty now.
    pub fn atlas(&self) -> MutexGuard<'_, Atlas> {
        self.atlas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a host's process ended or did not start, the last time.
    pub fn ended(&self, host: &str) -> Option<String> {
        self.state().ended.get(host).cloned()
    }

    /// The environment for one start of a host; its clock jumps with [`World::skip`].
    pub fn env(&self, host: &str) -> Env {
        let at = self.disks.keys().position(|known| known == host).unwrap();
        let mut env = sim_env(self.setup.seed * 1000 + at as u64, self.disk(host));
        let (ahead_millis, ran_millis) = (self.ahead_millis.clone(), self.ran_millis.clone());
        env.clock = Arc::new(JumpingClock { clock: SimClock::default(), ahead_millis, ran_millis });
        env
    }

    /// A client of nodes with the certificate of `host`.
    pub fn node_client(&self, env: &Env, host: &str) -> NodeClient {
        NodeClient::new(env, self.identity(host), TransportLimits::default()).unwrap()
    }

    /// All clocks' time of day goes ahead; sleeps do not end sooner.
    pub fn skip(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.ahead_millis.fetch_add(millis, Ordering::Relaxed);
        self.log.note("world", format!("clocks jump by {millis} ms"));
    }

    /// As [`World::skip`], and all processes that run now have run for so long.
    pub fn pass(&self, time: Duration) {
        self.skip(time);
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.ran_millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// The host's process ends at once, without notice; its disk keeps everything.
    pub async fn kill(&self, host: &str) {
        self.crash(host).await;
        self.disk(host).kill();
    }

    /// The host loses power: what is not synced is lost in part.
    pub async fn power_loss(&self, host: &str) {
        self.crash(host).await;
        self.disk(host).crash(&self.random);
    }

    /// The host loses power after so many more changes of its disk, or at the end of `patience`.
    pub async fn power_loss_amid(&self, host: &str, changes: u64, patience: Duration) {
        let disk = self.disk(host);
        disk.halt_after(changes);
        let end = tokio::time::Instant::now() + patience;
        while !disk.is_halted() && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.power_loss(host).await;
    }

    /// Starts a host that is down.
    pub async fn start(&self, host: &str) {
        self.log.note("world", format!("start {host}"));
        self.state().down.remove(host);
        self.order(Order::Start(host.to_owned())).await;
    }

    /// Ends a host's process, if one runs, and starts it again.
    pub async fn restart(&self, host: &str) {
        if !self.is_down(host) {
            self.kill(host).await;
        }
        self.start(host).await;
    }

    /// Whether the host was taken down and not started again.
    pub fn is_down(&self, host: &str) -> bool {
        self.state().down.contains(host)
    }

    async fn crash(&self, host: &str) {
        self.log.note("world", format!("crash {host}"));
        self.state().down.insert(host.to_owned());
        self.order(Order::Crash(host.to_owned())).await;
    }

    async fn order(&self, order: Order) {
        let (done, wait) = oneshot::channel();
        self.state().orders.push_back((order, done));
        wait.await.expect("the loop carries orders out");
    }

    /// From its next start on the host of this node runs an impostor with the node's certificate.
    pub fn replace_by_impostor(&self, node: &NodeName, impostor: Impostor) {
        self.state().impostors.insert(node.to_string(), impostor);
    }

    /// From its next start on the host of this node runs the node again.
    pub fn end_impostor(&self, node: &NodeName) {
        self.state().impostors.remove(node.as_str());
    }

    /// Whether an impostor is to stand in the node's place.
    pub fn has_impostor(&self, node: &NodeName) -> bool {
        self.state().impostors.contains_key(node.as_str())
    }

    /// Messages between two hosts are lost, those of open streams too, until [`World::join`].
    pub fn cut(&self, one: &str, other: &str) {
        self.log.note("world", format!("cut {one} from {other}"));
        turmoil::partition(one, other);
    }

    /// Undoes [`World::cut`].
    pub fn join(&self, one: &str, other: &str) {
        self.log.note("world", format!("join {one} with {other}"));
        turmoil::repair(one, other);
    }

    /// Messages between two hosts wait, as with retransmissions, until [`World::release`].
    pub fn hold(&self, one: &str, other: &str) {
        self.log.note("world", format!("hold {one} from {other}"));
        turmoil::hold(one, other);
    }

    /// Undoes [`World::hold`].
    pub fn release(&self, one: &str, other: &str) {
        self.log.note("world", format!("release {one} to {other}"));
        turmoil::release(one, other);
    }

    /// All pairs of nodes.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let nodes = self.nodes.iter().enumerate();
        let pair = |(at, one): (usize, &NodeName)| {
            let others = self.nodes[at + 1..].iter();
            others.map(|other| (one.to_string(), other.to_string())).collect::<Vec<_>>()
        };
        nodes.flat_map(pair).collect()
    }

    /// No node hears of another any more.
    pub fn cut_nodes(&self) {
        self.pairs().iter().for_each(|(one, other)| self.cut(one, other));
    }

    /// Undoes [`World::cut_nodes`].
    pub fn join_nodes(&self) {
        self.pairs().iter().for_each(|(one, other)| self.join(one, other));
    }

    /// Time passes.
    pub(super) async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    /// The nodes that run, impostors apart.
    pub fn running(&self) -> Vec<NodeName> {
        let runs = |node: &&NodeName| !self.is_down(node.as_str()) && !self.has_impostor(node);
        self.nodes.iter().filter(runs).cloned().collect()
    }

    /// Waits until a node serves everything.
    pub async fn serving(&self, client: &NodeClient, node: &NodeName) {
        self.until(client, node, |report| report.serving.state == ServingState::Serving).await;
    }

    /// Waits until a node's report is as wanted; for the simulation's time, if need be.
    pub async fn until(
        &self,
        client: &NodeClient,
        node: &NodeName,
        wanted: impl Fn(&NodeReport) -> bool,
    ) {
        loop {
            if let Ok(answer) = client.report(&self.target(node)).await
                && wanted(&answer.value)
            {
                return;
            }
            self.pause().await;
        }
    }
}

/// A simulation that fails leaves its log behind.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/floe-tests/sim");
        let path = dir.join(format!("{}.log", self.setup.seed));
        let written = std::fs::create_dir_all(&dir)
            .and_then(|()| std::fs::write(&path, self.log.lines().join("\n")));
        println!("the log of seed {}: {} ({written:?})", self.setup.seed, path.display());
    }
}

/// Simulated time whose time of day can be put forward.
struct JumpingClock {
    clock: SimClock,
    ahead_millis: Arc<AtomicU64>,
    ran_millis: Arc<AtomicU64>,
}

impl Clock for JumpingClock {
    fn unix_millis(&self) -> u64 {
        self.clock.unix_millis() + self.ahead_millis.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic() + Duration::from_millis(self.ran_millis.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}
