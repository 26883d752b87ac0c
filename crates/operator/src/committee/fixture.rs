//! Objects for tests.

use floe_api::report::{
    CapacityReport, EpochReport, NodeReport, RepairReport, Serving, ServingState, SliverCounts,
};
use floe_crd::{CommitteeSpec, StorageNode};
use floe_model::{CommitteeId, EpochNumber, Incarnation, RecordHash, VolumeId};
use k8s_openapi::api::core::v1::Node;
use serde_json::{from_value, json};

use super::observed::Observed;

/// n = 10, f = 3, volumes of 1 GiB.
pub(super) fn committee_spec(replicas: u16) -> CommitteeSpec {
    from_value(json!({"replicas": replicas, "storage": {"size": "1Gi"}})).unwrap()
}

pub(super) fn storage_node(name: &str) -> StorageNode {
    from_value(json!({
        "apiVersion": "floe.dev/v1alpha1",
        "kind": "StorageNode",
        "metadata": {"name": name, "namespace": "floe", "uid": name, "generation": 1},
        "spec": {"committeeRef": {"name": "main"}},
    }))
    .unwrap()
}

pub(super) fn kubernetes_node(name: &str, zone: &str, is_ready: bool) -> Node {
    from_value(json!({
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}]},
    }))
    .unwrap()
}

/// A volume with its claim and its pod.
pub(super) fn observed_volume(
    observed: &mut Observed,
    node: &str,
    incarnation: u32,
    host: Option<&str>,
) {
    let volume = (node.parse().unwrap(), Incarnation(incarnation));
    let name = format!("{node}-{incarnation}-0");
    let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": host, "containers": []}});
    let claim = json!({
        "metadata": {"name": format!("data-{name}")},
        "spec": {"volumeName": "disk"},
        "status": {"phase": "Bound"},
    });
    observed.pods.insert(volume.clone(), from_value(pod).unwrap());
    observed.claims.insert(volume, from_value(claim).unwrap());
}

/// A node that serves and owes nothing.
pub(super) fn report(node: &str, incarnation: u32) -> NodeReport {
    NodeReport {
        committee: CommitteeId([1; 16]),
        node: node.parse().unwrap(),
        incarnation: Incarnation(incarnation),
        volume: VolumeId([2; 16]),
        epoch: Some(EpochReport {
            number: EpochNumber(0),
            hash: RecordHash([3; 32]),
            committed: true,
        }),
        serving: Serving { state: ServingState::Serving, reason: String::new() },
        shards: Vec::new(),
        slivers: SliverCounts::default(),
        held_bytes: 0,
        owed_blobs: 0,
        repair: RepairReport::default(),
        unfilled: Vec::new(),
        wholes: Vec::new(),
        capacity: CapacityReport::default(),
        feed_head: None,
        cursors: std::collections::BTreeMap::new(),
        last_errors: Vec::new(),
    }
}
