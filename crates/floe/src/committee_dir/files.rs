//! The files of a committee's directory.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use floe_api::TlsIdentity;
use floe_env::{Disk, create_dir_durably, read_file, write_file_durably};
use floe_model::record::Policy;
use floe_model::{Incarnation, NodeName};
use floe_steward::start_files::TLS_DIR;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes of a configuration file.
const LARGEST_FILE_BYTES: u64 = 1024 * 1024;

/// `committee.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CommitteeFile {
    /// n.
    pub(super) shards: u16,
    /// What holds for all blobs.
    pub(super) policy: PolicyEntry,
    /// Where the gateway listens.
    pub(super) listen: SocketAddr,
    /// The first of the addresses of nodes and gateway.
    pub(super) first_address: IpAddr,
    /// Where the gateway shows its metrics.
    pub(super) gateway_address: IpAddr,
    /// The storage nodes.
    pub(super) nodes: Vec<NodeEntry>,
}

/// What holds for all blobs of a committee, from its start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PolicyEntry {
    /// How long released content is kept.
    pub(super) undelete_window_millis: u64,
    /// How long releases are kept.
    pub(super) release_retention_millis: u64,
}

impl From<PolicyEntry> for Policy {
    fn from(entry: PolicyEntry) -> Self {
        let PolicyEntry { undelete_window_millis, release_retention_millis } = entry;
        Self { undelete_window_millis, release_retention_millis }
    }
}

/// A storage node as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NodeEntry {
    /// Its name.
    pub(super) node: NodeName,
    /// Which of its volumes.
    pub(super) incarnation: Incarnation,
    /// Its address.
    pub(super) address: IpAddr,
    /// Its zone, empty if it has none.
    #[serde(default)]
    pub(super) zone: String,
    /// The host it runs on, empty for one of its own.
    #[serde(default)]
    pub(super) host: String,
    /// Its share of the shards, in proportion; 0 for one that leaves.
    pub(super) weight: u32,
}

/// Reads a JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(disk: &dyn Disk, path: &Path) -> anyhow::Result<T> {
    let bytes = read_file(disk, path, LARGEST_FILE_BYTES)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not what it should be", path.display()))
}

/// Writes a JSON file.
pub(super) fn write_json(
    disk: &dyn Disk,
    path: &Path,
    value: &impl Serialize,
) -> anyhow::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    write(disk, path, &bytes)
}

/// Writes a file, readable by its owner only.
pub(super) fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_file_durably(disk, path, bytes)
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Makes a directory.
pub(super) fn make_dir(disk: &dyn Disk, path: &Path) -> anyhow::Result<()> {
    create_dir_durably(disk, path).with_context(|| format!("{} cannot be made", path.display()))
}

/// Writes the certificates and the key into a process's directory.
pub(super) fn write_tls(disk: &dyn Disk, dir: &Path, tls: &TlsIdentity) -> anyhow::Result<()> {
    let dir = dir.join(TLS_DIR);
    make_dir(disk, &dir)?;
    tls.files().into_iter().try_for_each(|(name, pem)| write(disk, &dir.join(name), pem.as_bytes()))
}
