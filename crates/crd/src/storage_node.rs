//! StorageNode: one member of a Committee, with one volume at a time.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What a StorageNode shall be.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "floe.dev",
    version = "v1alpha1",
    kind = "StorageNode",
    namespaced,
    doc = "One member of a Committee, with one volume at a time. Made by the operator.",
    status = "StorageNodeStatus",
    derive = "PartialEq",
    shortname = "fn",
    category = "floe",
    selectable = ".spec.committeeRef.name",
    selectable = ".status.zone",
    selectable = ".status.nodeName",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Zone", "type": "string", "jsonPath": ".status.zone"}"#,
    printcolumn = r#"{"name": "Shards", "type": "integer", "jsonPath": ".status.shards.count"}"#,
    printcolumn = r#"{"name": "Held", "type": "string", "jsonPath": ".status.summary.held"}"#,
    printcolumn = r#"{"name": "Repair", "type": "string", "jsonPath": ".status.summary.repair"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Host", "type": "string", "jsonPath": ".status.nodeName", "priority": 1}"#,
    printcolumn = r#"{"name": "Incarnation", "type": "integer", "jsonPath": ".status.incarnation", "priority": 1}"#,
    printcolumn = r#"{"name": "Epoch", "type": "integer", "jsonPath": ".status.epoch", "priority": 1}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "priority": 1}"#
)]
#[x_kube(
    validation = Rule::new("self.committeeRef == oldSelf.committeeRef")
        .message("`committeeRef` is immutable: a storage node belongs to one Committee for its life")
)]
pub struct StorageNodeSpec {
    /// The Committee, in the same namespace. Immutable.
    pub committee_ref: LocalCommittee,
    /// Its zone; unset: the label of the Kubernetes node it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub zone: Option<String>,
    /// Its share of the shards beside the others'; unset: by the size of its volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub weight: Option<u16>,
}

/// A Committee in the same namespace.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct LocalCommittee {
    /// Its name.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
}

/// What a StorageNode is, as far as the operator knows.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!has(oldSelf.incarnation) || (has(self.incarnation) && self.incarnation >= oldSelf.incarnation)"
    )
    .message("`incarnation` never decreases")
)]
pub struct StorageNodeStatus {
    /// The number of the epoch record that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub zone: Option<String>,
    /// The Kubernetes node on which its pod runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_name: Option<String>,
    /// Its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub pod_name: Option<String>,
    /// Which of its volumes, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u32>,
    /// Its volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
    /// The shards that the newest epoch record gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<OwnedShards>,
    /// What it owes and holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slivers: Option<SliverCounts>,
    /// What it lacks, and when it will have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<NodeRepair>,
    /// Texts for columns, for nothing else.
    #[serde(default)]
    pub summary: StorageNodeSummary,
    /// What holds, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A volume of a StorageNode.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// The volume id, as its storage node says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// Its claim.
    #[schemars(length(max = 253))]
    pub claim_name: String,
    /// How it is.
    pub state: VolumeState,
}

/// How a volume is.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeState {
    /// Its claim waits for a volume.
    Pending,
    /// As it should be.
    Bound,
    /// Its claim or what it was bound to is gone.
    Missing,
}

/// The shards of a StorageNode.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct OwnedShards {
    /// Such as `0-2,7`.
    #[schemars(length(max = 1024))]
    pub owned: String,
    /// How many.
    pub count: u16,
}

/// What a StorageNode owes and holds.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct SliverCounts {
    /// Slivers of certified, wanted blobs on its shards.
    pub owed: u64,
    /// Those of them that it holds.
    pub held: u64,
    /// Those that it holds and that do not match their metadata.
    pub corrupt: u64,
    /// Held of owed, rounded down.
    #[schemars(range(max = 100))]
    pub held_percent: u8,
}

/// What a StorageNode lacks, and when it will have it.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NodeRepair {
    /// Whether it is being rebuilt.
    pub state: RepairState,
    /// Bytes that it owes and does not hold.
    pub remaining_bytes: u64,
    /// Bytes restored since its storage node started.
    pub restored_bytes: u64,
    /// Bytes read from peers for that.
    pub read_bytes: u64,
    /// The Job that rebuilds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub job_name: Option<String>,
    /// When it will hold all; rewritten when it moves by more than a fifth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_completion_time: Option<Time>,
}

/// Whether a StorageNode is being rebuilt.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairState {
    /// It lacks nothing.
    Idle,
    /// It is.
    Active,
    /// It is not, because the spec says so.
    Paused,
}

/// Texts for columns.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct StorageNodeSummary {
    /// Such as `100%`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub held: String,
    /// Such as `12m left`, or `-`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub repair: String,
}
