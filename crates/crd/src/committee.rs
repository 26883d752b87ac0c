//! Committee: storage nodes that keep blobs together, and the gateway in front of them.

pub(crate) mod status;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;
use crate::schema;
use status::CommitteeStatus;

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
    .message("`replicas` is too small: a node may hold at most as many shards as may be faulty, (`encoding.shards` - 1) / 3 or `encoding.maxFaultyShards`")
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

/// How shards are spread over zones and hosts.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// The label of Kubernetes nodes that names their zone.
    #[serde(default = "default_zone_key")]
    #[schemars(length(min = 1, max = 317))]
    pub zone_key: String,
    /// Whether a zone may hold more shards than may be faulty.
    #[serde(default)]
    pub zone_spread: ZoneSpread,
    /// Whether a host may run more than one node.
    #[serde(default)]
    pub host_spread: HostSpread,
}

impl Default for Topology {
    fn default() -> Self {
        Self { zone_key: default_zone_key(), zone_spread: ZoneSpread::default(), host_spread: required() }
    }
}

fn default_zone_key() -> String {
    "topology.kubernetes.io/zone".to_owned()
}

/// Whether a zone may hold more shards than may be faulty.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ZoneSpread {
    /// Never.
    Required,
    /// When there is no other way.
    #[default]
    Preferred,
    /// Zones do not count.
    Ignored,
}

/// Whether a host may run more than one node.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostSpread {
    /// Never.
    #[default]
    Required,
    /// When there is no other way.
    Preferred,
}

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

/// How shards are spread over zones and hosts.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// The label of Kubernetes nodes that names their zone.
    #[serde(default = "default_zone_key")]
    #[schemars(length(min = 1, max = 317))]
    pub zone_key: String,
    /// Whether a zone may hold more shards than may be faulty.
    #[serde(default)]
    pub zone_spread: ZoneSpread,
    /// Whether a host may run more than one node.
    #[serde(default)]
    pub host_spread: HostSpread,
}

impl Default for Topology {
    fn default() -> Self {
        Self { zone_key: default_zone_key(), zone_spread: ZoneSpread::default(), host_spread: required() }
    }
}

fn default_zone_key() -> String {
    "topology.kubernetes.io/zone".to_owned()
}

const fn preferred() -> Spread {
    Spread::Preferred
}

const fn required() -> Spread {
    Spread::Required
}

/// How strictly something is spread.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Never otherwise.
    Required,
    /// As far as there is room.
    Preferred,
    /// Not at all.
    Ignored,
}

/// When nodes count as lost, and how fast they are rebuilt.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// How long a node may be away before it counts as lost.
    #[serde(default = "default_loss_grace")]
    #[schemars(schema_with = "schema::duration")]
    pub loss_grace: String,
    /// What repair of one node reads at most in a second.
    #[serde(default = "default_repair_rate")]
    #[schemars(schema_with = "schema::rate")]
    pub max_bytes_per_second: Quantity,
}

impl Default for Repair {
    fn default() -> Self {
        Self { loss_grace: default_loss_grace(), max_bytes_per_second: default_repair_rate() }
    }
}

fn default_loss_grace() -> String {
    "10m".to_owned()
}

fn default_repair_rate() -> Quantity {
    Quantity::from("100Mi")
}

/// What voluntary disruption must leave.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// Whether the operator keeps a `PodDisruptionBudget`.
    #[serde(default)]
    pub budget: DisruptionBudget,
    /// Shards kept above what writes need.
    #[serde(default)]
    #[schemars(range(max = 85))]
    pub min_write_margin: u16,
}

/// Whether the operator keeps a `PodDisruptionBudget`.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DisruptionBudget {
    /// It does, and moves it with what the nodes hold.
    #[default]
    Managed,
    /// It does not.
    None,
}

/// How long deleted blobs can be brought back, and whether the Committee may go.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// How long a deleted Blob's content is kept.
    #[serde(default = "default_undelete_window")]
    #[schemars(schema_with = "schema::duration")]
    pub undelete_window: String,
    /// To delete a Committee that holds blobs: `yes-really-destroy-data`.
    #[serde(default)]
    pub confirmation: Confirmation,
}

impl Default for Deletion {
    fn default() -> Self {
        Self { undelete_window: default_undelete_window(), confirmation: Confirmation::default() }
    }
}

fn default_undelete_window() -> String {
    "168h".to_owned()
}

/// Whether a Committee that holds blobs may be deleted.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confirmation {
    /// It may not.
    #[default]
    #[serde(rename = "")]
    Absent,
    /// It may.
    #[serde(rename = "yes-really-destroy-data")]
    DestroyData,
}

/// Whose Blobs a Committee takes.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The namespaces whose Blobs it takes.
    #[serde(default)]
    pub namespaces: NamespaceAccess,
}

/// The namespaces whose Blobs a Committee takes.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
        .message("`selector` must be set when `from` is Selector, and only then")
)]
pub struct NamespaceAccess {
    /// All, those of the Committee's own namespace, or those that `selector` matches.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// From which namespaces.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamespacesFrom {
    /// From all.
    #[default]
    All,
    /// From the Committee's own.
    Same,
    /// From those that the selector matches.
    Selector,
}

/// What applications talk to.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Pods; 0: no gateway.
    #[serde(default = "default_gateway_replicas")]
    #[schemars(range(max = 100))]
    pub replicas: u16,
    /// Audiences of tokens that are taken; none named: `floe.dev`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 4),
        inner(length(min = 1, max = 253)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub audiences: Vec<String>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { replicas: default_gateway_replicas(), audiences: Vec::new() }
    }
}

const fn default_gateway_replicas() -> u16 {
    2
}

/// What all pods of storage nodes have in common.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels beside the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::text_map")]
    pub labels: BTreeMap<String, String>,
    /// Annotations beside the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::text_map")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the Kubernetes nodes on which they may run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::text_map")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that they tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// CPU and memory.
    #[serde(default)]
    pub resources: Resources,
    /// Their priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

/// CPU and memory of a pod.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What is set aside for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub requests: BTreeMap<String, Quantity>,
    /// What it may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    pub limits: BTreeMap<String, Quantity>,
}

impl From<&Resources> for ResourceRequirements {
    fn from(resources: &Resources) -> Self {
        let amounts = |amounts: &BTreeMap<String, Quantity>| {
            let amount = |(name, amount): (&String, &Quantity)| {
                (name.clone(), resource::Quantity(amount.0.clone()))
            };
            (!amounts.is_empty()).then(|| amounts.iter().map(amount).collect())
        };
        Self {
            requests: amounts(&resources.requests),
            limits: amounts(&resources.limits),
            ..Self::default()
        }
    }
}

/// What the operator shall leave as it is.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Everything.
    Reconcile,
    /// Losses are not declared, and no repair Job is made.
    Repair,
}
