//! Committee: storage nodes that keep blobs together, and the gateway in front of them.

pub(crate) mod access;
pub(crate) mod pod_template;
pub(crate) mod status;
pub(crate) mod upkeep;

use k8s_openapi::api::core::v1::LocalObjectReference;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use self::access::{Access, Gateway};
use self::pod_template::PodTemplate;
use self::status::CommitteeStatus;
use self::upkeep::{Deletion, Disruption, Pause, Repair, Topology};
use crate::quantity::Quantity;
use crate::schema;

/// What a Committee shall be.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "floe.dev",
    version = "v1alpha1",
    kind = "Committee",
    namespaced,
    doc = "A set of storage nodes that keep blobs together, and the gateway in front of them.",
    status = "CommitteeStatus",
    derive = "PartialEq",
    shortname = "fc",
    category = "floe",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas"
    ),
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Nodes", "type": "string", "jsonPath": ".status.summary.nodes"}"#,
    printcolumn = r#"{"name": "Data-Survives", "type": "string", "jsonPath": ".status.summary.dataSurvives"}"#,
    printcolumn = r#"{"name": "Writes-Survive", "type": "string", "jsonPath": ".status.summary.writesSurvive"}"#,
    printcolumn = r#"{"name": "Used", "type": "string", "jsonPath": ".status.summary.used"}"#,
    printcolumn = r#"{"name": "Repair", "type": "string", "jsonPath": ".status.summary.repair"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Margin", "type": "integer", "jsonPath": ".status.margin", "priority": 1}"#,
    printcolumn = r#"{"name": "Epoch", "type": "integer", "jsonPath": ".status.epoch", "priority": 1}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "priority": 1}"#,
    printcolumn = r#"{"name": "Gateway", "type": "string", "jsonPath": ".status.gatewayURL", "priority": 1}"#,
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("`metadata.name` may have at most 40 characters: its nodes' names begin with it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("`metadata.name` must begin with a letter and have no dots: Services are named after it")
)]
#[x_kube(
    validation = Rule::new("self.encoding == oldSelf.encoding")
        .message("`encoding` is immutable; to change it, create a second Committee and copy the blobs"),
    validation = Rule::new("self.replicas <= self.encoding.shards")
        .message("`replicas` must be at most `encoding.shards`: every node needs at least one shard"),
    validation = Rule::new(
        "self.replicas * (has(self.encoding.maxFaultyShards) ? self.encoding.maxFaultyShards : (self.encoding.shards - 1) / 3) >= self.encoding.shards"
    )
    .message("`replicas` must be at least `encoding.shards` / `encoding.maxFaultyShards`, rounded up (4 for 10 or 12 shards): a node may hold no more shards than may be faulty")
)]
pub struct CommitteeSpec {
    /// Storage nodes; each gets at least one shard, and at most as many as may be faulty.
    #[schemars(range(min = 1, max = 256))]
    pub replicas: u16,
    /// The volume of each node.
    pub storage: Storage,
    /// How blobs are coded. Immutable.
    #[serde(default)]
    pub encoding: Encoding,
    /// How shards are spread over zones and hosts.
    #[serde(default)]
    pub topology: Topology,
    /// When nodes count as lost, and how fast they are rebuilt.
    #[serde(default)]
    pub repair: Repair,
    /// What voluntary disruption, such as a drain, must leave.
    #[serde(default)]
    pub disruption: Disruption,
    /// How long deleted blobs can be brought back, and whether this Committee may go.
    #[serde(default)]
    pub deletion: Deletion,
    /// Whose Blobs this Committee takes.
    #[serde(default)]
    pub access: Access,
    /// What applications talk to.
    #[serde(default)]
    pub gateway: Gateway,
    /// The image of all pods; unset: the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Secrets with which the image is pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// What all pods of storage nodes have in common.
    #[serde(default)]
    pub template: PodTemplate,
    /// What the operator shall leave as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub paused: Vec<Pause>,
}

/// The volume of each node.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!isQuantity(string(self.size)) || !isQuantity(string(oldSelf.size)) || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0"
    )
    .message("`size` may only grow; to shrink, add smaller nodes and remove the large ones"),
    validation = Rule::new(
        "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
    )
    .message("`storageClassName` is immutable: volumes that exist keep their class; create a second Committee and copy the blobs")
)]
pub struct Storage {
    /// Size of each volume, at least 1Gi; only grows.
    #[schemars(schema_with = "schema::volume_size")]
    pub size: Quantity,
    /// Class of the volumes; unset: the cluster's default. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

/// How blobs are coded.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.maxFaultyShards) || self.maxFaultyShards <= (self.shards - 1) / 3")
        .message("`maxFaultyShards` must be at most (`shards` - 1) / 3"),
    validation = Rule::new(
        "!has(self.maxFaultyShards) || (self.shards - 2 * self.maxFaultyShards) * (self.shards - self.maxFaultyShards) <= 16384"
    )
    .message("`maxFaultyShards` is too small for so many `shards`: (`shards` - 2 `maxFaultyShards`) x (`shards` - `maxFaultyShards`) must be at most 16384")
)]
pub struct Encoding {
    /// Shards, n: fixed for the Committee's life.
    #[serde(default = "default_shards")]
    #[schemars(range(min = 4, max = 256))]
    pub shards: u16,
    /// Shards that may be faulty, f; unset: (shards - 1) / 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 85))]
    pub max_faulty_shards: Option<u16>,
}

impl Encoding {
    /// Shards that may be faulty: as written, or the most there can be.
    pub fn faulty_shards(&self) -> u16 {
        self.max_faulty_shards.unwrap_or(self.shards.saturating_sub(1) / 3)
    }
}

impl Default for Encoding {
    fn default() -> Self {
        Self { shards: default_shards(), max_faulty_shards: None }
    }
}

const fn default_shards() -> u16 {
    10
}
