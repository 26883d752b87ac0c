//! What processes are started with: `node.json`, `gateway.json`, `repair.json`, each beside its
//! `tls/`. Whoever runs a committee writes them: `floe committee` into directories, the operator into
//! a Kubernetes cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use floe_api::Target;
use floe_model::keys::RegistrarPublicKey;
use floe_model::{CommitteeId, Incarnation, NodeName};
use serde::{Deserialize, Serialize};

/// The name of a [`NodeFile`].
pub const NODE_FILE: &str = "node.json";
/// The name of a [`GatewayFile`].
pub const GATEWAY_FILE: &str = "gateway.json";
/// The name of a [`RepairFile`].
pub const REPAIR_FILE: &str = "repair.json";
/// The gateway's registrar key, hexadecimal, beside its [`GatewayFile`].
pub const REGISTRAR_KEY_FILE: &str = "registrar-key";
/// Where a process finds its certificates and key, beside its file.
pub const TLS_DIR: &str = "tls";

/// `node.json`: what a sidecar is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeFile {
    /// Whose.
    pub committee: CommitteeId,
    /// The operator's key: whose record 0 is believed.
    pub operator: RegistrarPublicKey,
    /// Which node.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// Where the internal API listens.
    pub listen: SocketAddr,
    /// Where metrics are shown.
    pub metrics_listen: SocketAddr,
    /// Where the volume is; without it, `volume-<incarnation>/` beside the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_dir: Option<PathBuf>,
}

/// Where a node can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeAddress {
    /// Which node.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// `host:port`; the host may be a name.
    pub address: String,
}

impl From<NodeAddress> for Target {
    fn from(it: NodeAddress) -> Self {
        let NodeAddress { node, incarnation, address } = it;
        Self { node, incarnation, address }
    }
}

/// `gateway.json`: what a gateway is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayFile {
    /// Whose.
    pub committee: CommitteeId,
    /// The operator's key: whose record 0 is believed.
    pub operator: RegistrarPublicKey,
    /// Where applications talk to it.
    pub listen: SocketAddr,
    /// Where metrics are shown.
    pub metrics_listen: SocketAddr,
    /// The nodes, to be asked for the committee's epoch record.
    pub nodes: Vec<NodeAddress>,
    /// Whom the API server lets in; without it, a file of tokens does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesGateway>,
}

/// What a gateway on Kubernetes needs besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesGateway {
    /// A token must be meant for one of these.
    pub audiences: Vec<String>,
    /// Whose blobs the committee keeps.
    pub namespaces: AdmittedNamespaces,
    /// The Committee.
    pub committee: CommitteeObject,
}

/// Names a Committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitteeObject {
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Which namespaces may use a committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmittedNamespaces {
    /// Which kind of choice.
    pub from: NamespacesFrom,
    /// With [`NamespacesFrom::Selector`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// How namespaces are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespacesFrom {
    /// Every one.
    All,
    /// The Committee's own.
    Same,
    /// Those with certain labels.
    Selector,
}

/// Labels that a namespace must have: all that is said here holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSelector {
    /// Label → value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// What else holds of labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelExpression>,
}

/// One demand on a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelExpression {
    /// The label.
    pub key: String,
    /// What of it.
    pub operator: LabelOperator,
    /// With [`LabelOperator::In`] and [`LabelOperator::NotIn`] only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What is demanded of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelOperator {
    /// It is one of the values.
    In,
    /// It is absent, or none of the values.
    NotIn,
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
}

/// `repair.json`: what a process that rebuilds for a node is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepairFile {
    /// Whose.
    pub committee: CommitteeId,
    /// The operator's key: whose record 0 is believed.
    pub operator: RegistrarPublicKey,
    /// The nodes, to be asked for the committee's epoch record.
    pub nodes: Vec<NodeAddress>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn gateway(kubernetes: Option<Value>) -> Value {
        let key = floe_model::keys::RegistrarKey::from_seed(&[7; 32]).public();
        let mut file = json!({
            "committee": CommitteeId([1; 16]),
            "operator": key,
            "listen": "0.0.0.0:8443",
            "metricsListen": "0.0.0.0:9090",
            "nodes": [{"node": "main-0", "incarnation": 2, "address": "main-0-2.floe.svc:7443"}],
        });
        if let Some(kubernetes) = kubernetes {
            file["kubernetes"] = kubernetes;
        }
        file
    }

    #[test]
    fn files_come_back_as_they_were_written() {
        let kubernetes = json!({
            "audiences": ["floe.dev"],
            "namespaces": {"from": "Selector", "selector": {
                "matchLabels": {"tier": "gold"},
                "matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["x"]}],
            }},
            "committee": {"namespace": "floe", "name": "main"},
        });
        for written in [gateway(None), gateway(Some(kubernetes))] {
            let file: GatewayFile = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&file).unwrap(), written);
            let target = Target::from(file.nodes[0].clone());
            assert_eq!(target.address, "main-0-2.floe.svc:7443");
        }
        let mut node = gateway(None);
        node.as_object_mut().unwrap().remove("nodes");
        (node["node"], node["incarnation"]) = (json!("main-0"), json!(2));
        let file: NodeFile = serde_json::from_value(node.clone()).unwrap();
        assert_eq!(file.volume_dir, None);
        assert_eq!(serde_json::to_value(&file).unwrap(), node);
    }

    #[test]
    fn a_field_that_nobody_reads_is_refused() {
        let refused = serde_json::from_value::<GatewayFile>(gateway(Some(json!({
            "audiences": [], "namespace": {"from": "All"},
        }))));
        assert!(refused.unwrap_err().to_string().contains("namespace"));
    }
}
