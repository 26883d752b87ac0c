//! Who reaches a Committee, and through what.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
