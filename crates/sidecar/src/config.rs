//! What a storage node is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use floe_api::TlsSource;
use floe_model::keys::RegistrarPublicKey;
use floe_model::{CommitteeId, Incarnation, NodeName};

/// Bounds of a storage node, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bodies in flight of requests of gateways and the operator, and of the answers to them; other
    /// nodes have half as much of their own. What comes on top is answered with 503.
    pub foreground_bytes: usize,
    /// What repair may read from peers in a second; `None` for as fast as it can.
    pub repair_bytes_per_second: Option<u64>,
    /// Extents that are repaired side by side.
    pub repair_extents: usize,
    /// How long a lease of what unfilled shards lack holds after it was given, renewed or worked on.
    pub lease_ttl: Duration,
    /// How long nobody may hold a lease of what unfilled shards lack until the node restores it by
    /// itself.
    pub lease_patience: Duration,
    /// What may be read in a second from the change feed of one peer.
    pub pull_bytes_per_second: u64,
    /// What one answer of the change feed may hold.
    pub feed_bytes: usize,
    /// Open connections.
    pub connections: usize,
}

impl Default for Limits {
    /// 128 MiB in flight, repair unbounded and two extents at a time, feeds in pieces of 1 MiB.
    fn default() -> Self {
        Self {
            foreground_bytes: 128 << 20,
            repair_bytes_per_second: None,
            repair_extents: 2,
            lease_ttl: Duration::from_mins(1),
            lease_patience: Duration::from_mins(2),
            pull_bytes_per_second: 4 << 20,
            feed_bytes: 1 << 20,
            connections: 1024,
        }
    }
}

/// What a storage node is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The committee it belongs to.
    pub committee: CommitteeId,
    /// The operator's key: whose record 0 is believed.
    pub operator: RegistrarPublicKey,
    /// Its name.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// Its certificate, key and the committee's CA.
    pub tls: TlsSource,
    /// Where the internal API listens (7443); port 0 draws a free one.
    pub listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` listen (9090); port 0 draws a free one.
    pub metrics_listen: SocketAddr,
    /// The directory of the volume.
    pub volume_dir: PathBuf,
    /// Bounds.
    pub limits: Limits,
}
