//! Blob: bytes under a name, for ever the same.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What a Blob shall be. What decides its bytes is immutable.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "floe.dev",
    version = "v1alpha1",
    kind = "Blob",
    namespaced,
    doc = "Bytes under a name, for ever the same, kept by a Committee.",
    status = "BlobStatus",
    derive = "PartialEq",
    shortname = "fb",
    category = "floe",
    selectable = ".status.blobID",
    selectable = ".status.protection",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "State", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Size", "type": "string", "jsonPath": ".status.summary.size"}"#,
    printcolumn = r#"{"name": "Protection", "type": "string", "jsonPath": ".status.protection"}"#,
    printcolumn = r#"{"name": "Margin", "type": "integer", "jsonPath": ".status.margin"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Blob-ID", "type": "string", "jsonPath": ".status.blobID", "priority": 1}"#,
    printcolumn = r#"{"name": "Epoch", "type": "integer", "jsonPath": ".status.certifiedEpoch", "priority": 1}"#,
    printcolumn = r#"{"name": "Committee", "type": "string", "jsonPath": ".status.committeeRef.name", "priority": 1}"#,
    printcolumn = r#"{"name": "URL", "type": "string", "jsonPath": ".status.url", "priority": 1}"#
)]
#[x_kube(
    validation = Rule::new(
        "has(self.digest) == has(oldSelf.digest) && (!has(self.digest) || self.digest == oldSelf.digest)"
    )
    .message("`digest` is immutable: a Blob's bytes never change; create a Blob with a new name instead"),
    validation = Rule::new(
        "has(self.committeeRef) == has(oldSelf.committeeRef) && (!has(self.committeeRef) || self.committeeRef == oldSelf.committeeRef)"
    )
    .message("`committeeRef` is immutable, also when it was left out; create a Blob with a new name instead"),
    validation = Rule::new("self.contentType == oldSelf.contentType")
        .message("`contentType` is immutable: it is signed with the bytes; create a Blob with a new name instead")
)]
pub struct BlobSpec {
    /// The Committee that keeps it; unset: the default Committee, resolved once. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee_ref: Option<CommitteeReference>,
    /// Where its bytes come from. Immutable.
    pub source: Source,
    /// What its bytes must hash to: `sha256:` and 64 hexadecimal digits. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "digest")]
    pub digest: Option<String>,
    /// The media type that readers are told. Immutable.
    #[serde(default = "default_content_type")]
    #[schemars(length(min = 1, max = 255))]
    pub content_type: String,
    /// Whether deleting the Blob releases its content.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn digest(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "maxLength": 71,
        "x-kubernetes-validations": [
            kube::core::Rule::new("self.matches('^sha256:[0-9a-f]{64}$')")
                .message("must be `sha256:` and 64 hexadecimal digits in lower case"),
        ],
    })
}

fn default_content_type() -> String {
    "application/octet-stream".to_owned()
}

/// A Committee, wherever it is.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct CommitteeReference {
    /// Its name.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// Its namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
}

/// Where a Blob's bytes come from: exactly one of these.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.inline), has(self.configMapKeyRef), has(self.upload)].exists_one(x, x)")
        .message("set exactly one of `inline`, `configMapKeyRef`, `upload`"),
    validation = Rule::new("self == oldSelf")
        .message("`source` is immutable: a Blob's bytes never change; create a Blob with a new name instead")
)]
pub struct Source {
    /// From this object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<Inline>,
    /// From a ConfigMap of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKey>,
    /// From whoever PUTs them to the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
}

/// Bytes in the object itself: exactly one of these.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.text) != has(self.base64)")
        .message("set exactly one of `text`, `base64`")
)]
pub struct Inline {
    /// Text, stored as UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub text: Option<String>,
    /// Bytes in base64, at most 64 KiB of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 87384), extend("format" = "byte"))]
    pub base64: Option<String>,
}

/// A key of a ConfigMap.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct ConfigMapKey {
    /// The ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its key, in `data` or `binaryData`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Bytes that someone PUTs.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// How long the Blob waits for them.
    #[serde(default = "default_expiry")]
    #[schemars(schema_with = "schema::duration")]
    pub expire_after: String,
}

impl Default for Upload {
    fn default() -> Self {
        Self { expire_after: default_expiry() }
    }
}

fn default_expiry() -> String {
    "24h".to_owned()
}

/// Whether deleting a Blob releases its content.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeletionPolicy {
    /// It does; the content is kept for the Committee's undelete window.
    #[default]
    Delete,
    /// It does not: the content stays, without an object.
    Retain,
}

/// What a Blob is, as far as the operator knows.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.blobID) || (has(self.blobID) && self.blobID == oldSelf.blobID)")
        .message("`blobID` never changes"),
    validation = Rule::new(
        "!has(oldSelf.committeeRef) || (has(self.committeeRef) && self.committeeRef == oldSelf.committeeRef)"
    )
    .message("`committeeRef` never changes")
)]
pub struct BlobStatus {
    /// The Committee that keeps it, resolved once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee_ref: Option<CommitteeReference>,
    /// The id of its bytes; never changes.
    #[serde(default, rename = "blobID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub blob_id: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The number of the epoch record under which it was certified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certified_epoch: Option<u64>,
    /// When the operator first saw its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certified_time: Option<Time>,
    /// How well it is protected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
    /// How many more shards it survives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<u16>,
    /// Where the gateway serves it, inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub url: Option<String>,
    /// The import under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importing: Option<Import>,
    /// Texts for columns, for nothing else.
    #[serde(default)]
    pub summary: BlobSummary,
    /// What holds, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// How well a Blob is protected.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Not yet certified.
    Pending,
    /// Whole on all shards.
    Full,
    /// Some slivers are missing; it survives losses.
    Reduced,
    /// It survives no further loss.
    AtRisk,
    /// Too few slivers are left, as far as is known.
    Unreadable,
}

/// An import under way.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// The Job that imports.
    #[schemars(length(max = 63))]
    pub job_name: String,
}

/// Texts for columns.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct BlobSummary {
    /// Such as `4.3 MiB`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub size: String,
}
