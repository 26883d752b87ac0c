use std::collections::BTreeMap;

use floe_crd::labels;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::*;
use crate::children::tests::fixture::scope;

/// A pod as policies see it.
struct Pod {
    namespace: &'static str,
    labels: BTreeMap<String, String>,
}

fn ours(component: Component) -> Pod {
    Pod { namespace: "floe", labels: labels::of_component("main", component) }
}

fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    assert_eq!(selector.match_expressions, None, "not read here");
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
}

fn is_peer(peer: &NetworkPolicyPeer, pod: &Pod) -> bool {
    let namespace = BTreeMap::from([(NAMESPACE_NAME.to_owned(), pod.namespace.to_owned())]);
    let here = match &peer.namespace_selector {
        Some(selector) => matches(selector, &namespace),
        None => pod.namespace == "floe",
    };
    here && peer.pod_selector.as_ref().is_none_or(|selector| matches(selector, &pod.labels))
}

fn has(ports: Option<&Vec<NetworkPolicyPort>>, number: u16) -> bool {
    ports.is_none_or(|ports| ports.contains(&tcp(number)))
}

/// Whether the policies let `from` talk to `to` at a port.
fn allowed(from: &Pod, to: &Pod, number: u16) -> bool {
    let policies = policies(&scope(&json!({})));
    let selecting = |pod: &Pod| -> Vec<NetworkPolicySpec> {
        let specs = policies.iter().map(|policy| policy.spec.clone().unwrap());
        let of = |spec: &NetworkPolicySpec| {
            pod.namespace == "floe" && matches(spec.pod_selector.as_ref().unwrap(), &pod.labels)
        };
        specs.filter(of).collect()
    };
    let in_rule = |rule: &NetworkPolicyIngressRule| {
        rule.from.as_ref().is_none_or(|peers| peers.iter().any(|peer| is_peer(peer, from)))
            && has(rule.ports.as_ref(), number)
    };
    let out_rule = |rule: &NetworkPolicyEgressRule| {
        rule.to.as_ref().is_none_or(|peers| peers.iter().any(|peer| is_peer(peer, to)))
            && has(rule.ports.as_ref(), number)
    };
    let (to_policies, from_policies) = (selecting(to), selecting(from));
    let enters = to_policies.iter().flat_map(|spec| spec.ingress.iter().flatten()).any(in_rule);
    let leaves = from_policies.iter().flat_map(|spec| spec.egress.iter().flatten()).any(out_rule);
    (to_policies.is_empty() || enters) && (from_policies.is_empty() || leaves)
}

#[test]
fn who_may_talk_to_whom() {
    let [node, gateway, repair] =
        [Component::StorageNode, Component::Gateway, Component::Repair].map(ours);
    let operator = Pod { namespace: "floe-system", labels: BTreeMap::new() };
    let application = Pod { namespace: "shop", labels: BTreeMap::new() };
    let neighbour = Pod { namespace: "floe", labels: BTreeMap::new() };
    // One that claims to be a storage node of this Committee, from elsewhere.
    let impostor = Pod { namespace: "shop", ..ours(Component::StorageNode) };
    let other =
        Pod { namespace: "floe", labels: labels::of_component("second", Component::StorageNode) };
    let importer = Pod { namespace: "shop", ..ours(Component::Import) };
    let api_server = Pod { namespace: "kube-system", labels: BTreeMap::new() };
    for (from, to, port, expected) in [
        (&node, &node, 7443, true),
        (&gateway, &node, 7443, true),
        (&repair, &node, 7443, true),
        (&operator, &node, 7443, true),
        (&application, &node, 7443, false),
        (&neighbour, &node, 7443, false),
        (&impostor, &node, 7443, false),
        (&other, &node, 7443, false),
        (&importer, &node, 7443, false),
        (&application, &node, 9090, true),
        (&application, &node, 22, false),
        (&application, &gateway, 8443, true),
        (&importer, &gateway, 8443, true),
        (&operator, &gateway, 8443, true),
        (&application, &gateway, 7443, false),
        (&application, &repair, 7443, false),
        (&application, &repair, 9090, false),
        (&node, &application, 7443, false),
        (&node, &gateway, 8443, false),
        (&gateway, &api_server, 6443, true),
        (&node, &api_server, 6443, false),
        (&repair, &api_server, 443, false),
        (&node, &api_server, 53, true),
    ] {
        let (a, b) = (&from.labels, &to.labels);
        assert_eq!(
            allowed(from, to, port),
            expected,
            "{}/{a:?} to {}/{b:?} at {port}",
            from.namespace,
            to.namespace
        );
    }
}
