//! Who may talk to whom. What is not named is refused, once the cluster's network enforces policies.
//!
//! | to | from | port |
//! |---|---|---|
//! | storage nodes | storage nodes, gateway, repair Jobs, the operator's namespace | 7443 |
//! | gateway | anyone | 8443 |
//! | storage nodes, gateway | anyone (probes, Prometheus) | 9090 |
//! | DNS | all | 53 |
//! | the API server | gateway | 443, 6443 |

use floe_crd::labels::Component;
use floe_crd::names;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::CommitteeScope;
use super::meta::{of_committee, selecting, selector};

const DNS_PORT: u16 = 53;
/// Where API servers listen: behind their Service, and themselves.
const API_SERVER_PORTS: [u16; 2] = [443, 6443];
/// The label that every namespace carries.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Those of storage nodes, gateway and repair Jobs.
pub fn policies(scope: &CommitteeScope) -> [NetworkPolicy; 3] {
    [storage_node(scope), gateway(scope), repair(scope)]
}

fn storage_node(scope: &CommitteeScope) -> NetworkPolicy {
    let ours = [Component::StorageNode, Component::Gateway, Component::Repair];
    let mut peers: Vec<_> = ours.iter().map(|&component| pods(scope, component)).collect();
    peers.push(NetworkPolicyPeer {
        namespace_selector: Some(selector(
            [(NAMESPACE_NAME.to_owned(), scope.operator_namespace.clone())].into(),
        )),
        ..NetworkPolicyPeer::default()
    });
    let ingress = vec![
        NetworkPolicyIngressRule { from: Some(peers), ports: Some(vec![tcp(names::NODE_PORT)]) },
        from_anyone(names::METRICS_PORT),
    ];
    let name = names::storage_node_policy(&scope.name);
    policy(scope, name, Component::StorageNode, ingress, Vec::new())
}

fn gateway(scope: &CommitteeScope) -> NetworkPolicy {
    let ingress = vec![from_anyone(names::GATEWAY_PORT), from_anyone(names::METRICS_PORT)];
    let api_server = NetworkPolicyEgressRule {
        to: None,
        ports: Some(API_SERVER_PORTS.into_iter().map(tcp).collect()),
    };
    policy(scope, names::gateway(&scope.name), Component::Gateway, ingress, vec![api_server])
}

fn repair(scope: &CommitteeScope) -> NetworkPolicy {
    policy(scope, names::repair(&scope.name), Component::Repair, Vec::new(), Vec::new())
}

/// What comes in is `ingress`; what goes out goes to storage nodes, DNS, and `egress`.
fn policy(
    scope: &CommitteeScope,
    name: String,
    component: Component,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    let storage_nodes = NetworkPolicyEgressRule {
        to: Some(vec![pods(scope, Component::StorageNode)]),
        ports: Some(vec![tcp(names::NODE_PORT)]),
    };
    let dns = NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![port("UDP", DNS_PORT), port("TCP", DNS_PORT)]),
    };
    NetworkPolicy {
        metadata: of_committee(scope, name, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(selecting(scope, component))),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some([storage_nodes, dns].into_iter().chain(egress).collect()),
        }),
    }
}

fn pods(scope: &CommitteeScope, component: Component) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(selector(selecting(scope, component))),
        ..NetworkPolicyPeer::default()
    }
}

fn from_anyone(number: u16) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: None, ports: Some(vec![tcp(number)]) }
}

fn tcp(number: u16) -> NetworkPolicyPort {
    port("TCP", number)
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(number))),
        end_port: None,
    }
}

#[cfg(test)]
mod tests;
