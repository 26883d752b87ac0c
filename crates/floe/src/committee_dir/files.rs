//! The files of a committee's directory.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use floe_api::TlsIdentity;
use floe_env::{Disk, create_dir_durably, read_file, write_file_durably};
use floe_model::keys::RegistrarPublicKey;
use floe_model::{CommitteeId, Incarnation, NodeName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::size::Size;

/// Bytes of a configuration file.
const LARGEST_FILE_BYTES: u64 = 1024 * 1024;

/// `committee.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CommitteeFile {
    /// Nodes and shards.
    pub(super) size: Size,
    /// Where the gateway listens.
    pub(super) listen: SocketAddr,
    /// The address of the first node.
    pub(super) first_address: IpAddr,
}

/// `node.json`: what a sidecar is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NodeFile {
    /// Whose.
    pub(crate) committee: CommitteeId,
    /// The operator's key: whose record 0 is believed.
    pub(crate) operator: RegistrarPublicKey,
    /// Which node.
    pub(crate) node: NodeName,
    /// Which of its volumes.
    pub(crate) incarnation: Incarnation,
    /// Where the internal API listens.
    pub(crate) listen: SocketAddr,
    /// Where metrics are shown.
    pub(crate) metrics_listen: SocketAddr,
}

/// `gateway.json`: what a gateway is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct GatewayFile {
    /// Whose.
    pub(crate) committee: CommitteeId,
    /// The operator's key: whose record 0 is believed.
    pub(crate) operator: RegistrarPublicKey,
    /// Where applications talk to it.
    pub(crate) listen: SocketAddr,
    /// Where metrics are shown.
    pub(crate) metrics_listen: SocketAddr,
    /// The nodes, to be asked for the committee's epoch record.
    pub(crate) nodes: Vec<NodeFile>,
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

/// Reads the certificates and the key in a process's directory.
pub(crate) fn read_tls(disk: &dyn Disk, dir: &Path) -> anyhow::Result<TlsIdentity> {
    let read = |name: &str| {
        let path = dir.join("tls").join(name);
        let bytes = read_file(disk, &path, LARGEST_FILE_BYTES);
        let bytes = bytes.with_context(|| format!("{} cannot be read", path.display()))?;
        String::from_utf8(bytes).with_context(|| format!("{} is no PEM file", path.display()))
    };
    Ok(TlsIdentity {
        ca_pem: read("ca.pem")?,
        certificate_pem: read("cert.pem")?,
        key_pem: read("key.pem")?,
    })
}

/// Writes the certificates and the key into a process's directory.
pub(super) fn write_tls(disk: &dyn Disk, dir: &Path, tls: &TlsIdentity) -> anyhow::Result<()> {
    let dir = dir.join("tls");
    make_dir(disk, &dir)?;
    write(disk, &dir.join("ca.pem"), tls.ca_pem.as_bytes())?;
    write(disk, &dir.join("cert.pem"), tls.certificate_pem.as_bytes())?;
    write(disk, &dir.join("key.pem"), tls.key_pem.as_bytes())
}
