//! A committee of real processes on loopback: its addresses and the commands of `floe` that run it.

mod metrics;
mod stage;

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

pub(crate) use self::metrics::Metrics;
use self::metrics::page;
pub(crate) use self::stage::{Stage, tail};

/// Storage nodes.
pub(crate) const NODES: u32 = 7;
/// n.
pub(crate) const SHARDS: usize = 10;
/// f.
pub(crate) const FAULTY: usize = 3;
/// The committee of the demo.
pub(crate) const USUAL: Size = Size { nodes: NODES, shards: SHARDS };
/// Where a process shows its metrics.
const METRICS_PORT: u16 = 9090;
/// Where nodes talk to each other.
const INTERNAL_PORT: u16 = 7443;
/// Where applications talk to the gateway.
const GATEWAY_PORT: u16 = 8443;
/// Longest wait for a process to be ready.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How large a committee is at first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Storage nodes.
    pub(crate) nodes: u32,
    /// n.
    pub(crate) shards: usize,
}

/// The committee as seen from outside.
pub(crate) struct Committee {
    binary: PathBuf,
    directory: PathBuf,
    size: Size,
    first: Ipv4Addr,
    environment: Vec<(String, String)>,
}

impl Committee {
    /// The demo's committee, with further words for `floe committee init`.
    pub(crate) fn init(
        binary: &Path,
        directory: PathBuf,
        further: &[&str],
    ) -> anyhow::Result<Self> {
        Self::init_of(USUAL, binary, directory, further)
    }

    /// Draws addresses and makes the directory with `floe committee init`, with further words.
    pub(crate) fn init_of(
        size: Size,
        binary: &Path,
        directory: PathBuf,
        further: &[&str],
    ) -> anyhow::Result<Self> {
        let mut committee = Self {
            binary: binary.to_owned(),
            directory,
            size,
            first: draw_addresses(size)?,
            environment: Vec::new(),
        };
        let mut command = committee.command(&["committee", "init", "--dir"]);
        command.arg(&committee.directory);
        command.args(["--nodes", &size.nodes.to_string(), "--shards", &size.shards.to_string()]);
        command.args(["--first-address", &committee.first.to_string()]);
        command.args(["--listen", &committee.listen().to_string()]);
        command.args(further);
        let output = command.output().context("start floe committee init")?;
        ensure!(
            output.status.success(),
            "floe committee init failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        committee.environment = environment(&std::fs::read_to_string(committee.client_env())?);
        Ok(committee)
    }

    /// `floe` with these words, and nothing of our own environment that steers it.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FLOE_") {
                command.env_remove(name);
            }
        }
        command.args(words).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a storage node.
    pub(crate) fn start_node(&self, stage: &Stage, node: &str) -> anyhow::Result<()> {
        let mut command = self.command(&["sidecar", "--dir"]);
        command.arg(self.directory.join("nodes").join(node));
        stage.start(node, command)
    }

    /// Starts every node, forms the committee, starts the gateway, waits until it is ready.
    pub(crate) fn form(&self, stage: &Stage) -> anyhow::Result<()> {
        for node in self.first_nodes() {
            self.start_node(stage, &node)?;
        }
        let mut form = self.command(&["committee", "form", "--dir"]);
        form.arg(&self.directory).stdout(Stdio::null());
        let status = stage.spawn("form", form).and_then(|_| stage.wait("form"))?;
        stage.all_run()?;
        ensure!(status.success(), "floe committee form failed ({status})");
        let mut gateway = self.command(&["gateway", "--dir"]);
        gateway.arg(self.directory.join("gateway"));
        stage.start("gateway", gateway)?;
        wait_until_ready(stage, self.gateway_metrics_address())
    }

    /// Kills every process and removes the directory.
    pub(crate) fn end(self, stage: &Stage) -> anyhow::Result<()> {
        for name in stage.process_ids().keys() {
            stage.kill(name)?;
        }
        std::fs::remove_dir_all(&self.directory)
            .with_context(|| format!("remove {}", self.directory.display()))
    }

    /// A variable that clients of the gateway are given.
    pub(crate) fn variable(&self, name: &str) -> anyhow::Result<&str> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        let (_, value) = found.with_context(|| format!("client.env does not set {name}"))?;
        Ok(value)
    }

    /// The names of the demo's nodes.
    pub(crate) fn nodes() -> impl Iterator<Item = String> {
        names(USUAL.nodes)
    }

    /// The names of the nodes that were there first.
    pub(crate) fn first_nodes(&self) -> impl Iterator<Item = String> + use<> {
        names(self.size.nodes)
    }

    /// A node's metrics.
    pub(crate) fn metrics(&self, node: &str) -> anyhow::Result<Metrics> {
        Metrics::fetch(self.metrics_address(node)?)
    }

    /// The gateway's metrics.
    pub(crate) fn gateway_metrics(&self) -> anyhow::Result<Metrics> {
        Metrics::fetch(self.gateway_metrics_address())
    }

    /// Where a node shows its metrics.
    pub(crate) fn metrics_address(&self, node: &str) -> anyhow::Result<SocketAddr> {
        let position = node.strip_prefix("node-").and_then(|position| position.parse::<u32>().ok());
        let position = position.with_context(|| format!("there is no {node}"))?;
        // The gateway lies between those that were there first and those that were added.
        let position = position + u32::from(position >= self.size.nodes);
        Ok((self.address(position), METRICS_PORT).into())
    }

    /// Where the gateway shows its metrics.
    pub(crate) fn gateway_metrics_address(&self) -> SocketAddr {
        (self.address(self.size.nodes), METRICS_PORT).into()
    }

    /// Where the gateway listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        (self.address(self.size.nodes), GATEWAY_PORT).into()
    }

    /// Where a node keeps the first of its volumes.
    pub(crate) fn volume(&self, node: &str) -> PathBuf {
        self.directory.join("nodes").join(node).join("volume-0")
    }

    /// Where a node keeps the volume that it was started with last.
    pub(crate) fn current_volume(&self, node: &str) -> anyhow::Result<PathBuf> {
        let directory = self.directory.join("nodes").join(node);
        let file = std::fs::read(directory.join("node.json"))
            .with_context(|| format!("read node.json of {node}"))?;
        let file: serde_json::Value = serde_json::from_slice(&file)?;
        let incarnation = &file["incarnation"];
        Ok(directory.join(format!("volume-{incarnation}")))
    }

    /// Where all of it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What `floe committee status` tells.
    pub(crate) fn chain(&self) -> anyhow::Result<serde_json::Value> {
        let mut status = self.command(&["committee", "status", "--json", "--dir"]);
        let output = status.arg(&self.directory).output().context("start floe committee status")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "floe committee status failed: {}", said.trim());
        serde_json::from_slice(&output.stdout).context("floe committee status printed no JSON")
    }

    /// Waits until a node serves.
    pub(crate) fn wait_node_ready(&self, stage: &Stage, node: &str) -> anyhow::Result<()> {
        wait_until_ready(stage, self.metrics_address(node)?)
    }

    /// Waits until a node says that its volume is an old copy.
    pub(crate) fn wait_node_refuses(&self, stage: &Stage, node: &str) -> anyhow::Result<String> {
        let begin = Instant::now();
        let mut last = String::new();
        while begin.elapsed() < READY_WITHIN {
            stage.all_run()?;
            match page(self.metrics_address(node)?, "/readyz") {
                Err(error) if format!("{error:#}").contains("old copy") => {
                    return Ok(format!("{error:#}"));
                }
                Err(error) => last = format!("{error:#}"),
                Ok(_) => "it serves".clone_into(&mut last),
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("{node} does not refuse its volume: {last}")
    }

    /// The file to `source` before talking to the gateway.
    pub(crate) fn client_env(&self) -> PathBuf {
        self.directory.join("client.env")
    }

    /// The binary.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// (node, shards) as the gateway tells it.
    pub(crate) fn shards(&self) -> anyhow::Result<Vec<(String, usize)>> {
        let output = self.command(&["status", "--json"]).output().context("start floe status")?;
        ensure!(
            output.status.success(),
            "floe status failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let status: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("floe status --json printed no JSON")?;
        let nodes = status["nodes"].as_array().context("the status has no nodes")?;
        let entry = |node: &serde_json::Value| {
            let shards = usize::try_from(node["shards"].as_u64()?).ok()?;
            Some((node["node"].as_str()?.to_owned(), shards))
        };
        nodes.iter().map(entry).collect::<Option<_>>().context("the status names no shards")
    }

    /// Everything begins with 127.x.y.1: the first nodes, the gateway, nodes that were added.
    fn address(&self, position: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits() + position)
    }
}

/// Waits for a process's `/readyz`.
pub(crate) fn wait_until_ready(stage: &Stage, address: SocketAddr) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        stage.all_run()?;
        match page(address, "/readyz") {
            Ok(_) => return Ok(()),
            Err(error) if begin.elapsed() > READY_WITHIN => {
                bail!("not ready within {} s: {error:#}", READY_WITHIN.as_secs());
            }
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn names(nodes: u32) -> impl Iterator<Item = String> {
    (0..nodes).map(|node| format!("node-{node}"))
}

/// The first of consecutive loopback addresses on which nobody listens yet; enough for a node more.
fn draw_addresses(size: Size) -> anyhow::Result<Ipv4Addr> {
    for turn in 0..100_u32 {
        let [x, y, ..] = RandomState::new().hash_one(turn).to_le_bytes();
        let first = Ipv4Addr::new(127, x.clamp(1, 254), y, 1);
        let free = (0..=size.nodes + 1).all(|position| {
            let address = Ipv4Addr::from_bits(first.to_bits() + position);
            [METRICS_PORT, INTERNAL_PORT, GATEWAY_PORT]
                .into_iter()
                .all(|port| TcpListener::bind((address, port)).is_ok())
        });
        if free {
            return Ok(first);
        }
    }
    bail!(
        "no free addresses in 127.0.0.0/8: ports {METRICS_PORT}, {INTERNAL_PORT} and {GATEWAY_PORT} are taken on each that was tried"
    )
}

/// The variables of lines `export NAME='VALUE'`.
fn environment(text: &str) -> Vec<(String, String)> {
    let exports = text.lines().filter_map(|line| line.trim().strip_prefix("export "));
    exports
        .filter_map(|export| export.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').replace(r"'\''", "'")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_clients_is_what_a_shell_would_make_of_it() {
        let text = "# to be sourced\nexport FLOE_URL='https://127.0.0.1:8443'\nexport FLOE_CA='/a b/it'\\''s'\n";
        assert_eq!(
            environment(text),
            [
                ("FLOE_URL".to_owned(), "https://127.0.0.1:8443".to_owned()),
                ("FLOE_CA".to_owned(), "/a b/it's".to_owned()),
            ]
        );
    }
}
