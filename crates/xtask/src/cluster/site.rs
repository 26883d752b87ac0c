//! Where a cluster lies and what is its own: a directory, names, addresses. All of it is written down
//! before anything is made, so that `down` takes away exactly this.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::command::{done, said, told};

/// All clusters' directories. Paths of sockets in them must stay below 108 bytes.
const SITES: &str = "/var/tmp/floe-clusters";
const RECORD: &str = "cluster.json";
/// Names of links have at most 15 bytes, ours up to 7 beside the cluster's name.
const LONGEST_NAME_BYTES: usize = 8;

/// A cluster as it was drawn up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Site {
    /// Its name.
    pub(super) name: String,
    /// Which of the ranges of addresses is its own.
    pub(super) slot: u8,
    /// How many nodes it has.
    pub(super) nodes: u8,
    /// Disks of a node.
    pub(super) disks: u8,
    /// The directory of Kubernetes' programs.
    pub(super) programs: PathBuf,
}

/// The directory of the cluster of this name.
fn dir_of(name: &str) -> PathBuf {
    Path::new(SITES).join(name)
}

/// What one run at a time holds, for the clusters of this machine share its addresses.
pub(super) fn lock_path() -> anyhow::Result<PathBuf> {
    fs::create_dir_all(SITES).with_context(|| format!("make {SITES}"))?;
    Ok(Path::new(SITES).join("lock"))
}

/// Whether it can be part of the names of links, cgroups and files.
pub(super) fn check_name(name: &str) -> Result<String, String> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if is_plain && (1..=LONGEST_NAME_BYTES).contains(&name.len()) && name != "lock" {
        return Ok(name.to_owned());
    }
    Err(format!("a cluster's name is 1 to {LONGEST_NAME_BYTES} lower-case letters and digits"))
}

impl Site {
    /// The one recorded under this name, if there is one.
    pub(super) fn find(name: &str) -> anyhow::Result<Option<Self>> {
        let path = dir_of(name).join(RECORD);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let site = serde_json::from_str(&text);
        site.map(Some).with_context(|| format!("{} is damaged; remove it", path.display()))
    }

    /// The one recorded under this name, which must be there.
    pub(super) fn of(name: &str) -> anyhow::Result<Self> {
        let found = Self::find(name)?;
        found.with_context(|| format!("no cluster `{name}`: run `cargo xtask cluster up` first"))
    }

    /// All that are recorded here.
    pub(super) fn all() -> anyhow::Result<Vec<Self>> {
        let entries = match fs::read_dir(SITES) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("read {SITES}"))?,
        };
        let mut sites = Vec::new();
        for entry in entries {
            sites.extend(Self::find(&entry?.file_name().to_string_lossy())?);
        }
        Ok(sites)
    }

    /// Writes it down.
    pub(super) fn record(&self) -> anyhow::Result<()> {
        for folder in ["log", "pid", "pki"] {
            let folder = self.dir().join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let path = self.dir().join(RECORD);
        let partial = path.with_extension("partial");
        fs::write(&partial, serde_json::to_string_pretty(self)?)
            .and_then(|()| fs::rename(&partial, &path))
            .with_context(|| format!("write {}", path.display()))
    }

    /// Its directory.
    pub(super) fn dir(&self) -> PathBuf {
        dir_of(&self.name)
    }

    /// Numbers of its nodes.
    pub(super) fn all_nodes(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.nodes
    }

    /// The number, if there is such a node.
    pub(super) fn checked(&self, node: u8) -> anyhow::Result<u8> {
        ensure!((1..=self.nodes).contains(&node), "no node {node}: there are 1 to {}", self.nodes);
        Ok(node)
    }

    /// A node's directory.
    pub(super) fn node_dir(&self, node: u8) -> PathBuf {
        self.dir().join(format!("node-{node}"))
    }

    /// The socket of a node's containerd.
    pub(super) fn containerd_socket(&self, node: u8) -> PathBuf {
        self.node_dir(node).join("containerd.sock")
    }

    /// The file that a node's network namespace is mounted on.
    pub(super) fn namespace(&self, node: u8) -> PathBuf {
        self.node_dir(node).join("netns")
    }

    /// The bridge between nodes.
    pub(super) fn bridge(&self) -> String {
        format!("{}-br", self.name)
    }

    /// The host's end of a node's cable.
    pub(super) fn cable(&self, node: u8) -> String {
        format!("{}-v{node}", self.name)
    }

    /// The cgroup above those of all nodes, from the top of a hierarchy.
    pub(super) fn cgroup(&self) -> String {
        format!("floe-{}", self.name)
    }

    /// The bridge's own address: the API server's, and that of DNS.
    pub(super) fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, self.slot, 1)
    }

    /// A node's address.
    pub(super) fn address(&self, node: u8) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, self.slot, 10 + node)
    }

    /// Where only this host may ask: etcd, controllers, scheduler.
    pub(super) fn loopback(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, 30, self.slot, 1)
    }

    /// `10.x.0.0/16`, all pods'.
    pub(super) fn pods(&self) -> String {
        format!("10.{}.0.0/16", Self::first_pod_byte(self.slot))
    }

    /// `10.x.node.0/24`, the pods' of a node.
    pub(super) fn pods_of(&self, node: u8) -> String {
        format!("10.{}.{node}.0/24", Self::first_pod_byte(self.slot))
    }

    /// `10.x.0.0/16`, all services'.
    pub(super) fn services(&self) -> String {
        format!("10.{}.0.0/16", Self::first_pod_byte(self.slot) + 1)
    }

    /// The API server's own service.
    pub(super) fn first_service(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, Self::first_pod_byte(self.slot) + 1, 0, 1)
    }

    /// What a cluster in this slot takes of the host's routes: network and length of its prefix.
    pub(super) fn routes(slot: u8) -> [(Ipv4Addr, u8); 2] {
        [
            (Ipv4Addr::new(172, 30, slot, 0), 24),
            (Ipv4Addr::new(10, Self::first_pod_byte(slot), 0, 0), 16),
        ]
    }

    fn first_pod_byte(slot: u8) -> u8 {
        42 + 2 * slot
    }

    /// Where the API server answers.
    pub(super) fn api_server(&self) -> String {
        format!("https://{}:6443", self.host())
    }

    /// A kubeconfig.
    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir().join(format!("{user}.kubeconfig"))
    }

    /// One of the programs.
    pub(super) fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    /// What the administrator's kubectl prints for this line.
    pub(super) fn kubectl(&self, line: &str) -> anyhow::Result<String> {
        said(self.admin_kubectl().args(line.split(' ')))
    }

    /// Applies documents.
    pub(super) fn apply(&self, documents: &serde_json::Value) -> anyhow::Result<()> {
        let mut command = self.admin_kubectl();
        command.args(["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        told(&mut command, &documents.to_string()).map(drop)
    }

    fn admin_kubectl(&self) -> Command {
        let mut command = self.program("kubectl");
        command.env("KUBECONFIG", self.kubeconfig("admin"));
        command.env("KUBECACHEDIR", self.dir().join("kubectl"));
        command
    }

    /// Runs `line` in a node's network namespace.
    pub(super) fn run_in(&self, node: u8, line: &str) -> anyhow::Result<()> {
        done(self.enter(node).args(line.split(' ')))
    }

    /// What enters a node's network namespace. Not `ip netns exec`, which makes a new mount namespace
    /// too, where containerd would not see the mounts that kubelet makes.
    pub(super) fn enter(&self, node: u8) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace(node).display()));
        command
    }
}
