//! The directory of a committee on one machine.
//!
//! | path | what |
//! |---|---|
//! | `committee.json` | the committee as it is wanted: shards, policy, nodes with incarnation and address |
//! | `trust/` | the control plane's secrets |
//! | `records/` | the log of epoch records |
//! | `nodes/<node>/` | a node: `node.json`, `tls/`, `volume-<incarnation>/`; volumes that were lost are kept |
//! | `gateway/` | the gateway: `gateway.json`, `tls/`, `registrar-key`, `tokens` |
//! | `repair/` | whoever rebuilds for a node: `repair.json`, `tls/` |
//! | `client.env` | variables for `floe`, to be sourced by a shell |

mod addresses;
mod files;
mod init;
mod layout;
mod membership;
mod size;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use floe_env::{DiskLock, Env};
use floe_model::record::Policy;
use floe_model::{Geometry, Incarnation, NodeName};
use floe_plan::succession::Wanted;
use floe_steward::Trust;
use floe_steward::start_files::{NodeAddress, NodeFile};

pub(crate) use files::read_json;
pub(crate) use init::init;
pub(crate) use membership::{add, remove, replace};

use crate::exit::Ended;
use addresses::{INTERNAL_PORT, METRICS_PORT};
use files::{CommitteeFile, NodeEntry};
use size::Size;

const COMMITTEE_FILE: &str = "committee.json";

/// A committee's directory with everything in it.
pub(crate) struct CommitteeDir {
    /// Where it is, absolute.
    pub(crate) path: PathBuf,
    /// The control plane's secrets.
    pub(crate) trust: Trust,
    file: CommitteeFile,
    /// Held by whoever made it, as long as the value lives.
    _lock: Option<Box<dyn DiskLock>>,
}

impl CommitteeDir {
    /// Opens what [`init()`] made.
    pub(crate) fn open(env: &Env, dir: &Path) -> anyhow::Result<Self> {
        let path = absolute(dir)?;
        let file: CommitteeFile = read_json(env.disk.as_ref(), &path.join(COMMITTEE_FILE))
            .context("make the directory with floe committee init first")?;
        let trust = Trust::open(env.disk.as_ref(), &path.join("trust"))?;
        Ok(Self { path, trust, file, _lock: None })
    }

    /// Reads again what is wanted: whoever changes the committee writes it there.
    pub(crate) fn reload(&mut self, env: &Env) -> anyhow::Result<()> {
        self.file = read_json(env.disk.as_ref(), &self.path.join(COMMITTEE_FILE))?;
        Ok(())
    }

    /// n and f.
    pub(crate) fn geometry(&self) -> Result<Geometry, Ended> {
        Size { nodes: 0, shards: self.file.shards }.geometry()
    }

    /// What holds for all blobs.
    pub(crate) fn policy(&self) -> Policy {
        self.file.policy.into()
    }

    /// The nodes that are to run, in order.
    pub(crate) fn nodes(&self) -> Vec<NodeFile> {
        self.file.nodes.iter().map(|entry| self.node_file(entry)).collect()
    }

    /// Where those nodes can be asked, in order.
    pub(crate) fn addresses(&self) -> Vec<NodeAddress> {
        let address = |entry: &NodeEntry| NodeAddress {
            node: entry.node.clone(),
            incarnation: entry.incarnation,
            address: SocketAddr::new(entry.address, INTERNAL_PORT).to_string(),
        };
        self.file.nodes.iter().map(address).collect()
    }

    /// The nodes as the steward is to have them.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let wanted = |entry: &NodeEntry| Wanted {
            node: entry.node.clone(),
            incarnation: entry.incarnation,
            address: SocketAddr::new(entry.address, INTERNAL_PORT).to_string(),
            zone: entry.zone.clone(),
            host: entry.host.clone(),
            weight: entry.weight,
        };
        self.file.nodes.iter().map(wanted).collect()
    }

    fn node_file(&self, entry: &NodeEntry) -> NodeFile {
        NodeFile {
            committee: self.trust.committee(),
            operator: self.trust.operator_key().public(),
            node: entry.node.clone(),
            incarnation: entry.incarnation,
            listen: SocketAddr::new(entry.address, INTERNAL_PORT),
            metrics_listen: SocketAddr::new(entry.address, METRICS_PORT),
            volume_dir: None,
        }
    }

    /// A node's directory.
    pub(crate) fn node_dir(&self, node: &NodeName) -> PathBuf {
        self.path.join("nodes").join(node.as_str())
    }

    /// The gateway's directory.
    pub(crate) fn gateway_dir(&self) -> PathBuf {
        self.path.join("gateway")
    }

    /// The directory of whoever rebuilds for a node.
    pub(crate) fn repair_dir(&self) -> PathBuf {
        self.path.join("repair")
    }

    /// The log of epoch records.
    pub(crate) fn records(&self) -> PathBuf {
        self.path.join("records")
    }

    /// The variables for clients.
    pub(crate) fn client_env(&self) -> PathBuf {
        self.path.join("client.env")
    }

    /// The gateway's address as a browser has it.
    pub(crate) fn url(&self) -> String {
        let mut address = self.file.listen;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("https://{address}")
    }
}

/// The directory of one of a node's volumes.
pub(crate) fn volume_dir(node_dir: &Path, incarnation: Incarnation) -> PathBuf {
    node_dir.join(format!("volume-{incarnation}"))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}
