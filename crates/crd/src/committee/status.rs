//! What a Committee is, as far as the operator knows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What a Committee is, as far as the operator knows.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)")
        .message("`epoch` never decreases")
)]
pub struct CommitteeStatus {
    /// The number of the newest committed epoch record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Storage nodes that there are.
    #[serde(default)]
    pub replicas: u16,
    /// Storage nodes that serve the newest epoch.
    #[serde(default)]
    pub ready_replicas: u16,
    /// How many more shards every blob survives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<u16>,
    /// How many more losses data and writes survive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survives: Option<Survives>,
    /// Blobs by how well they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blobs: Option<BlobCounts>,
    /// Bytes on the nodes' volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// What is missing on the nodes, and when it will be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<CommitteeRepair>,
    /// Pods that may be evicted now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruptions_allowed: Option<u16>,
    /// Where applications find the gateway, inside the cluster.
    #[serde(default, rename = "gatewayURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub gateway_url: Option<String>,
    /// Texts for columns, for nothing else.
    #[serde(default)]
    pub summary: CommitteeSummary,
    /// What holds, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// How many more losses data and writes survive.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Survives {
    /// Until some blob can no longer be read.
    pub data: Losses,
    /// Until nothing more can be written.
    pub writes: Losses,
}

/// Losses counted in nodes, in hosts, in zones: any so many of one kind.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Losses {
    /// Storage nodes.
    pub nodes: u16,
    /// Hosts.
    pub hosts: u16,
    /// Zones.
    pub zones: u16,
}

/// Blobs by how well they are.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct BlobCounts {
    /// Certified ones that the nodes owe.
    pub certified: u64,
}

/// Bytes on the nodes' volumes.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// What the volumes hold at most.
    pub raw_bytes: u64,
    /// What blobs may have together, coding taken off.
    pub usable_bytes: u64,
    /// What blobs have together, coding taken off.
    pub used_bytes: u64,
}

/// What is missing on the nodes, and when it will be there.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct CommitteeRepair {
    /// Bytes that nodes owe and do not hold.
    pub remaining_bytes: u64,
    /// When they will hold them; rewritten when it moves by more than a fifth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_completion_time: Option<Time>,
}

/// Texts for columns.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct CommitteeSummary {
    /// Such as `6/6`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub nodes: String,
    /// Such as `3 nodes`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub data_survives: String,
    /// Such as `1 node`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub writes_survive: String,
    /// Such as `412Gi/1.8Ti`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub used: String,
    /// Such as `12m left`, or `-`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub repair: String,
}
