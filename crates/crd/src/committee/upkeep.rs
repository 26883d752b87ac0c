//! How a Committee is kept going: spread, repair, disruption, deletion, pauses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;
use crate::schema;

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
        Self {
            zone_key: default_zone_key(),
            zone_spread: ZoneSpread::default(),
            host_spread: HostSpread::default(),
        }
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
    /// Whether the operator keeps a PodDisruptionBudget.
    #[serde(default)]
    pub budget: DisruptionBudget,
    /// Shards kept above what writes need.
    #[serde(default)]
    #[schemars(range(max = 85))]
    pub min_write_margin: u16,
}

/// Whether the operator keeps a PodDisruptionBudget.
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

/// What the operator shall leave as it is.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Everything.
    Reconcile,
    /// Losses are not declared, and no repair Job is made.
    Repair,
}
