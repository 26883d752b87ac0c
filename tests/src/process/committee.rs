//! Storage nodes and a gateway.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use floe_model::{CommitteeId, Incarnation, NodeName};

use super::http::Http;
use super::metrics::{Metrics, page};
use super::scene::Scene;
use super::server::Server;
use super::volume::{Inspected, inspect};
use super::wait_for;

const METRICS_PORT: u16 = 9090;
const INTERNAL_PORT: u16 = 7443;
const GATEWAY_PORT: u16 = 8443;

/// Nodes that a test may add.
const MOST_ADDED: usize = 2;

/// How long a started process may take to be ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long a node may take to hold what it owes.
const WHOLE_WITHIN: Duration = Duration::from_mins(2);

/// How large a committee is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Storage nodes.
    pub nodes: usize,
    /// n.
    pub shards: usize,
}

/// A committee of processes in the directory `committee` of its scene.
pub struct Committee {
    // Before the scene: they end before their directory goes.
    processes: Mutex<BTreeMap<String, Server>>,
    size: Size,
    name: String,
    first: Ipv4Addr,
    scene: Scene,
}

impl Committee {
    /// A committee that is formed and ready, for the test of this name.
    pub fn start(test: &str, size: Size) -> Self {
        let committee = Self::init(Scene::new(test), "committee", size);
        committee.form();
        committee
    }

    /// Makes the directory `name` of the scene with `floe committee init`; nothing runs.
    pub fn init(scene: Scene, name: &str, size: Size) -> Self {
        Self::init_with(scene, name, size, &[])
    }

    /// As [`Committee::init`], with more words.
    pub fn init_with(scene: Scene, name: &str, size: Size, words: &[&str]) -> Self {
        let first = draw_addresses(size.nodes + 1 + MOST_ADDED);
        let processes = Mutex::default();
        let committee = Self { processes, size, name: name.to_owned(), first, scene };
        let output = committee
            .scene
            .floe(&["committee", "init", "--dir", name])
            .args(["--nodes", &size.nodes.to_string(), "--shards", &size.shards.to_string()])
            .args(["--first-address", &first.to_string()])
            .args(["--listen", &committee.gateway_address().to_string()])
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "floe committee init: {said}");
        committee
    }

    /// Starts everything, forms the committee, waits until all are ready.
    pub fn form(&self) {
        for node in 0..self.size.nodes {
            self.start_node(node);
        }
        let output = self.scene.floe(&["committee", "form", "--dir", &self.name]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "floe committee form: {said}");
        self.start_gateway();
        self.wait_ready();
    }

    /// The scene.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// How large it is.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Its directory.
    pub fn dir(&self) -> PathBuf {
        self.scene.dir().join(&self.name)
    }

    /// A node's directory.
    pub fn node_dir(&self, node: usize) -> PathBuf {
        self.dir().join("nodes").join(node_name(node))
    }

    /// A node's volume of now.
    pub fn volume(&self, node: usize) -> PathBuf {
        self.node_dir(node).join(format!("volume-{}", self.incarnation(node)))
    }

    /// Which of its volumes a node is started with.
    pub fn incarnation(&self, node: usize) -> Incarnation {
        let file = self.node_file(node);
        Incarnation(u32::try_from(file["incarnation"].as_u64().unwrap()).unwrap())
    }

    fn node_file(&self, node: usize) -> serde_json::Value {
        let text = fs::read_to_string(self.node_dir(node).join("node.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// `floe committee WORDS --dir DIR`.
    pub fn manage(&self, words: &[&str]) -> Command {
        let mut command = self.scene.floe(&["committee"]);
        command.args(words).args(["--dir", &self.name]);
        command
    }

    /// What `floe committee status` tells.
    pub fn chain(&self) -> serde_json::Value {
        let output = self.manage(&["status", "--json"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "floe committee status: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts a steward as the process `name`.
    pub fn start_steward(&self, name: &str) {
        let command = self.manage(&["steward", "--until-stdin-ends"]);
        self.keep(name, self.scene.spawn(name, command));
    }

    /// Starts `floe repair` for a node as the process `name`; it may be killed, or end.
    pub fn spawn_repair(&self, name: &str, node: usize) -> Server {
        let mut command = self.scene.floe(&["--log", "info,floe_sidecar=debug", "repair"]);
        command.args(["--node", &node_name(node), "--dir"]).arg(self.dir().join("repair"));
        self.scene.spawn(name, command)
    }

    /// Runs `floe repair` for a node to its end; what it says as JSON.
    pub fn repair(&self, node: &str) -> serde_json::Value {
        let mut command = self.scene.floe(&["repair", "--json", "--node", node]);
        let output = command.arg("--dir").arg(self.dir().join("repair")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "floe repair {node}: {}: {said}", output.status);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The committee's id.
    pub fn id(&self) -> CommitteeId {
        let file = self.node_file(0);
        file["committee"].as_str().unwrap().parse().unwrap()
    }

    fn processes(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Server>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts `floe KIND --dir DIR` as the process `name`, which must not run.
    pub fn start_process(&self, name: &str, kind: &str, dir: &Path) {
        let mut command = self.scene.floe(&[kind, "--until-stdin-ends", "--dir"]);
        command.arg(dir);
        self.keep(name, self.scene.spawn(name, command));
    }

    /// Ends a process with the others.
    pub fn keep(&self, name: &str, process: Server) {
        let before = self.processes().insert(name.to_owned(), process);
        assert!(before.is_none(), "{name} runs already");
    }

    /// Starts a node.
    pub fn start_node(&self, node: usize) {
        self.start_process(&node_name(node), "sidecar", &self.node_dir(node));
    }

    /// Starts the gateway.
    pub fn start_gateway(&self) {
        self.start_process("gateway", "gateway", &self.dir().join("gateway"));
    }

    /// Takes a running process out of the committee's hands.
    pub fn take(&self, name: &str) -> Server {
        self.processes().remove(name).unwrap_or_else(|| panic!("{name} does not run"))
    }

    /// Kills processes as `kill -9` does.
    pub fn kill(&self, names: &[&str]) {
        for name in names {
            self.take(name).kill();
        }
    }

    /// Kills nodes as `kill -9` does.
    pub fn kill_nodes(&self, nodes: &[usize]) {
        for &node in nodes {
            self.take(&node_name(node)).kill();
        }
    }

    /// Asks a node to end and waits until it did.
    pub fn stop_node(&self, node: usize) -> ExitStatus {
        let status = self.take(&node_name(node)).stop("TERM");
        assert!(status.success(), "node {node} ended with {status}");
        status
    }

    /// Kills whatever runs.
    pub fn kill_all(&self) {
        let all = std::mem::take(&mut *self.processes());
        all.into_values().for_each(Server::kill);
    }

    /// Names of the processes that run.
    pub fn running(&self) -> Vec<String> {
        self.processes().keys().cloned().collect()
    }

    /// Where a node or, behind the last one, the gateway has its address.
    fn address(&self, position: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits() + u32::try_from(position).unwrap())
    }

    /// A node's plain port.
    pub fn metrics_address(&self, node: usize) -> SocketAddr {
        (self.node_address(node), METRICS_PORT).into()
    }

    /// A node's internal port.
    pub fn internal_address(&self, node: usize) -> SocketAddr {
        (self.node_address(node), INTERNAL_PORT).into()
    }

    /// Nodes that are added come behind the gateway.
    fn node_address(&self, node: usize) -> Ipv4Addr {
        self.address(node + usize::from(node >= self.size.nodes))
    }

    /// Where the gateway shows probes and metrics.
    pub fn gateway_metrics_address(&self) -> SocketAddr {
        (self.address(self.size.nodes), METRICS_PORT).into()
    }

    /// Where applications reach the gateway.
    pub fn gateway_address(&self) -> SocketAddr {
        (self.address(self.size.nodes), GATEWAY_PORT).into()
    }

    /// A node's metrics.
    pub fn metrics(&self, node: usize) -> Metrics {
        Metrics::fetch(self.metrics_address(node)).unwrap()
    }

    /// The gateway's metrics.
    pub fn gateway_metrics(&self) -> Metrics {
        Metrics::fetch(self.gateway_metrics_address()).unwrap()
    }

    /// A node's `/readyz`: its status and text.
    pub fn readiness(&self, node: usize) -> Result<(u16, String), String> {
        page(self.metrics_address(node), "/readyz")
    }

    /// Waits until every process that runs is ready.
    pub fn wait_ready(&self) {
        let nodes = (0..self.size.nodes).map(|it| (node_name(it), self.metrics_address(it)));
        for (name, plain) in nodes.chain([("gateway".to_owned(), self.gateway_metrics_address())]) {
            if self.processes().contains_key(&name) {
                self.wait_ready_at(&name, plain);
            }
        }
    }

    /// Waits until a process is ready.
    pub fn wait_ready_at(&self, name: &str, plain: SocketAddr) {
        wait_for(&format!("{name} is ready"), READY_WITHIN, || {
            if let Some(status) = self.processes().get_mut(name).and_then(Server::ended) {
                panic!("{name} ended with {status}:\n{}", self.scene.log_tail(name));
            }
            match page(plain, "/readyz")? {
                (200, _) => Ok(()),
                (status, text) => Err(format!("{status}: {text}")),
            }
        });
    }

    /// Waits until a node owes as many slivers as all that was written comes to, and holds them.
    pub fn wait_whole(&self, node: usize, slivers: u64) {
        wait_for(&format!("{} is whole", node_name(node)), WHOLE_WITHIN, || {
            let metrics = Metrics::fetch(self.metrics_address(node))?;
            let owed = metrics.sum("floe_node_slivers", &["state=\"owed\""]);
            let held = metrics.sum("floe_node_slivers", &["state=\"held\""]);
            if owed == slivers && held == owed {
                return Ok(());
            }
            Err(format!("it holds {held} of {owed} slivers, {slivers} are due"))
        });
    }

    /// Waits until every node holds what it owes, and all owe alike: what their shards come to.
    /// The blobs that are owed.
    pub fn wait_all_whole(&self) -> u64 {
        wait_for("all nodes are whole", WHOLE_WITHIN, || {
            let mut blobs = Vec::new();
            for node in 0..self.size.nodes {
                let metrics = Metrics::fetch(self.metrics_address(node))?;
                let owed = metrics.sum("floe_node_slivers", &["state=\"owed\""]);
                let held = metrics.sum("floe_node_slivers", &["state=\"held\""]);
                if held != owed {
                    return Err(format!("{} holds {held} of {owed}", node_name(node)));
                }
                blobs.push(metrics.sum("floe_node_blobs_owed", &[]));
            }
            let all_alike = blobs.iter().all(|&owed| owed == blobs[0]);
            if all_alike { Ok(blobs[0]) } else { Err(format!("blobs owed: {blobs:?}")) }
        })
    }

    /// Shards of each node, as the gateway tells.
    pub fn shards(&self) -> Vec<usize> {
        let status = self.http().get("/v1/status").expect(200).json();
        let nodes = status["nodes"].as_array().unwrap().iter();
        nodes.map(|node| usize::try_from(node["shards"].as_u64().unwrap()).unwrap()).collect()
    }

    /// The token of the gateway's first user, who may do everything.
    pub fn token(&self) -> String {
        let text = fs::read_to_string(self.tokens()).unwrap();
        let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
        line.split(' ').next().unwrap().to_owned()
    }

    /// The gateway's file of tokens.
    pub fn tokens(&self) -> PathBuf {
        self.dir().join("gateway/tokens")
    }

    /// The way of applications.
    pub fn http(&self) -> Http {
        let ca = self.dir().join("gateway/tls/ca.pem");
        Http::to_gateway(self.gateway_address(), &ca, &self.token())
    }

    /// The gateway's way to a node.
    pub fn http_to_node(&self, node: usize) -> Http {
        let dns = format!(
            "{}-{}.node.{}.floe.internal",
            node_name(node),
            self.incarnation(node),
            self.id()
        );
        Http::to_node(self.internal_address(node), &dns, &self.dir().join("gateway/tls"))
    }

    /// `floe` with these words, as a client of the gateway.
    pub fn floe(&self, words: &[&str]) -> Command {
        let mut command = self.scene.floe(words);
        command.envs(client_environment(&self.dir()));
        command
    }

    /// Checks a copy of the volume of a node that does not run.
    pub fn inspect(&self, node: usize) -> Inspected {
        let copy = self.scene.dir().join(format!("copy-of-{}", node_name(node)));
        let name: NodeName = node_name(node).parse().unwrap();
        inspect(&self.volume(node), &copy, self.id(), (&name, self.incarnation(node)))
    }
}

/// The variables in the `client.env` of a committee's directory.
pub(super) fn client_environment(dir: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(dir.join("client.env")).unwrap();
    let exports = text.lines().filter_map(|line| line.strip_prefix("export "));
    let export = |line: &str| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('\'').to_owned())
    };
    exports.map(export).collect()
}

fn node_name(node: usize) -> String {
    format!("node-{node}")
}

/// The first of consecutive loopback addresses on which nobody listens yet.
fn draw_addresses(count: usize) -> Ipv4Addr {
    for turn in 0..1000_u32 {
        let [x, y, ..] = RandomState::new().hash_one(turn).to_le_bytes();
        let first = Ipv4Addr::new(127, x.clamp(1, 254), y, 1);
        let free = (0..u32::try_from(count).unwrap()).all(|position| {
            let address = Ipv4Addr::from_bits(first.to_bits() + position);
            let ports = [METRICS_PORT, INTERNAL_PORT, GATEWAY_PORT];
            ports.into_iter().all(|port| TcpListener::bind((address, port)).is_ok())
        });
        if free {
            return first;
        }
    }
    panic!("no {count} free addresses in 127.0.0.0/8");
}
