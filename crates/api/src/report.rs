//! What nodes report, as JSON.

use std::collections::BTreeMap;

use floe_model::keys::{NodePublicKey, NodeSignature};
use floe_model::{
    CommitteeId, EpochNumber, FeedPosition, Incarnation, NodeName, RecordHash, ShardIndex,
    Timestamp, VolumeId,
};
use serde::{Deserialize, Serialize};

use crate::messages::{EpochHint, json_message};

/// What a node serves now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServingState {
    /// It has accepted no epoch record: identity, report and epochs only.
    Joining,
    /// It asks its peers whether its volume is the newest: it confirms and acknowledges nothing yet.
    Checking,
    /// Everything.
    Serving,
    /// Its volume is not the one that the epoch record names, or is an old copy: identity only.
    Refusing,
    /// It is shutting down.
    Stopping,
}

/// What a node serves now, and why not more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// What it serves.
    pub state: ServingState,
    /// Why not everything and what to do; empty when serving.
    #[serde(default)]
    pub reason: String,
}

/// Who a node is; see [`possession_statement`](floe_model::record::possession_statement).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityReport {
    /// Its committee.
    pub committee: CommitteeId,
    /// Its name.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// That volume.
    pub volume: VolumeId,
    /// The volume's key.
    pub key: NodePublicKey,
    /// The proof that it has the key.
    pub possession: NodeSignature,
    /// The record 0 that it accepted.
    pub genesis: Option<RecordHash>,
    /// What it serves.
    pub serving: Serving,
}

/// The epoch a node is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochReport {
    /// The number of the record it accepted last.
    pub number: EpochNumber,
    /// The record's hash.
    pub hash: RecordHash,
    /// Whether it holds the proof that the record is committed.
    pub committed: bool,
}

impl EpochReport {
    /// The record as answers name it.
    pub const fn hint(&self) -> EpochHint {
        EpochHint { number: self.number, hash: self.hash }
    }
}

/// Slivers of certified blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SliverCounts {
    /// Those that the node is to hold.
    pub owed: u64,
    /// Those of them that it holds.
    pub held: u64,
}

/// What a node's repair does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairReport {
    /// Slivers waiting to be rebuilt.
    pub queued_slivers: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Slivers rebuilt since the start.
    pub restored_slivers: u64,
    /// Their bytes.
    pub restored_bytes: u64,
    /// Payload bytes read from peers for that since the start.
    pub read_bytes: u64,
    /// Bytes rebuilt per second, over the last minute.
    pub restored_bytes_per_second: u64,
    /// Bytes read from peers per second, over the last minute.
    pub read_bytes_per_second: u64,
    /// Leases that repair jobs hold.
    #[serde(default)]
    pub leases: u64,
    /// How long what is missing will take at the rate of the last minute; `None` while nothing moves.
    #[serde(default)]
    pub eta_seconds: Option<u64>,
}

/// Room on the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityReport {
    /// Bytes of the volume.
    pub total_bytes: u64,
    /// Bytes of it that are free.
    pub free_bytes: u64,
}

/// A shard that the node holds wholly, by its signature; see [`Whole`](floe_model::Whole).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WholeReport {
    /// The shard.
    pub shard: ShardIndex,
    /// The record under which it is said.
    pub record: RecordHash,
    /// The node's signature.
    pub signature: NodeSignature,
}

/// What a shard that is unfilled lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnfilledReport {
    /// The shard.
    pub shard: ShardIndex,
    /// Slivers of certified blobs that it is to hold, and those of them that it holds.
    pub slivers: SliverCounts,
    /// Bytes of the slivers that it is to hold.
    pub owed_bytes: u64,
    /// Bytes of those that it holds.
    pub held_bytes: u64,
}

/// An error that a background worker met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorReport {
    /// When.
    pub at: Timestamp,
    /// Which worker.
    pub worker: String,
    /// What happened, to what, and what to do next.
    pub text: String,
}

/// How a node is: counts, never blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// Its committee.
    pub committee: CommitteeId,
    /// Its name.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// That volume.
    pub volume: VolumeId,
    /// Where it is in the chain; `None` before genesis.
    pub epoch: Option<EpochReport>,
    /// What it serves.
    pub serving: Serving,
    /// The shards it owns.
    pub shards: Vec<ShardIndex>,
    /// Owed and held slivers.
    pub slivers: SliverCounts,
    /// Bytes of slivers on the volume, owed or not.
    pub held_bytes: u64,
    /// Blobs it owes pairs of.
    pub owed_blobs: u64,
    /// Its repair.
    pub repair: RepairReport,
    /// Its shards that are unfilled by the record it accepted last.
    #[serde(default)]
    pub unfilled: Vec<UnfilledReport>,
    /// Its word on those of them that it holds wholly.
    #[serde(default)]
    pub wholes: Vec<WholeReport>,
    /// Room on its volume.
    pub capacity: CapacityReport,
    /// The end of its own feed.
    #[serde(with = "optional_text")]
    pub feed_head: Option<FeedPosition>,
    /// How far it has read the others' feeds.
    #[serde(with = "cursors_text", default)]
    pub cursors: BTreeMap<NodeName, FeedPosition>,
    /// The last errors of its workers, the newest first.
    #[serde(default)]
    pub last_errors: Vec<ErrorReport>,
}

json_message!(IdentityReport, NodeReport);

/// A feed position, or what else has a text, as its text.
pub(crate) mod optional_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// Feed positions by node, as their texts.
mod cursors_text {
    use std::collections::BTreeMap;

    use floe_model::{FeedPosition, NodeName};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        cursors: &BTreeMap<NodeName, FeedPosition>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let texts: BTreeMap<&str, String> =
            cursors.iter().map(|(node, position)| (node.as_str(), position.to_string())).collect();
        texts.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<NodeName, FeedPosition>, D::Error> {
        let texts: BTreeMap<String, String> = BTreeMap::deserialize(deserializer)?;
        let parse = |(node, position): (String, String)| {
            let node = node.parse().map_err(D::Error::custom)?;
            Ok((node, position.parse().map_err(D::Error::custom)?))
        };
        texts.into_iter().map(parse).collect()
    }
}
