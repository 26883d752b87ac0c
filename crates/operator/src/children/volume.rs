//! What one volume of a storage node consists of.
//!
//! Its StatefulSet has one pod, restarts it only when it is deleted, and never deletes the claim;
//! what may not change on it (the claim's template) is taken from [`Volume`], not from the spec.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use floe_crd::labels::{self, Component};
use floe_crd::{HostSpread, ZoneSpread, names};
use floe_steward::start_files::{NODE_FILE, NodeFile};
use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    Affinity, ConfigMap, Container, NodeAffinity, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodAffinityTerm,
    PodAntiAffinity, PodSpec, Service, ServiceSpec, Toleration, TopologySpreadConstraint,
    VolumeResourceRequirements, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta,
};

use super::meta::{of_volume, selecting, selecting_volume, selector, volume_name};
use super::{leaf, pod};

use super::{CommitteeScope, Volume};

/// Where the volume lives inside its claim.
const VOLUME_DIR: &str = "volume";
/// How long a storage node has for what it is in the middle of.
const TERMINATION_SECONDS: i64 = 30;

/// The workload.
pub fn stateful_set(scope: &CommitteeScope, volume: &Volume) -> StatefulSet {
    let name = volume_name(volume);
    let meta = of_volume(scope, name.clone(), volume);
    let labels = meta.labels.clone().unwrap_or_default();
    let claim = PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::DATA.to_owned()),
            labels: Some(labels.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(volume.size.clone()))].into()),
                limits: None,
            }),
            storage_class_name: volume.storage_class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    };
    let retain = || Some("Retain".to_owned());
    StatefulSet {
        metadata: meta,
        spec: StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(name),
            selector: selector(selecting_volume(scope, volume)),
            template: pod::marked(pod::shaped(scope, labels, pod_spec(scope, volume))),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            persistent_volume_claim_retention_policy: Some(
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    when_deleted: retain(),
                    when_scaled: retain(),
                },
            ),
            volume_claim_templates: Some(vec![claim]),
            ..StatefulSetSpec::default()
        },
        status: None,
    }
}

/// What gives the volume its address, ready or not: peers decide for themselves whom they believe.
pub fn service(scope: &CommitteeScope, volume: &Volume) -> Service {
    Service {
        metadata: of_volume(scope, volume_name(volume), volume),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(selecting_volume(scope, volume)),
            ports: Some(vec![
                pod::service_port("node", names::NODE_PORT),
                pod::service_port("metrics", names::METRICS_PORT),
            ]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// `node.json`.
pub fn node_config(
    scope: &CommitteeScope,
    volume: &Volume,
) -> Result<ConfigMap, serde_json::Error> {
    let listen = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let file = NodeFile {
        committee: scope.committee,
        operator: scope.operator,
        node: volume.node.clone(),
        incarnation: volume.incarnation,
        listen: listen(names::NODE_PORT),
        metrics_listen: listen(names::METRICS_PORT),
        volume_dir: Some(PathBuf::from(pod::CLAIM_DIR).join(VOLUME_DIR)),
    };
    Ok(ConfigMap {
        metadata: of_volume(scope, volume_name(volume), volume),
        data: Some([(NODE_FILE.to_owned(), pod::json(&file)?)].into()),
        ..ConfigMap::default()
    })
}

fn pod_spec(scope: &CommitteeScope, volume: &Volume) -> PodSpec {
    let mut container = Container {
        ports: Some(vec![
            pod::port("node", names::NODE_PORT),
            pod::port("metrics", names::METRICS_PORT),
        ]),
        ..pod::container(
            scope,
            vec!["sidecar".to_owned(), "--dir".to_owned(), pod::START_DIR.to_owned()],
            pod::storage_node_resources(&scope.spec.template),
        )
    };
    pod::probe(&mut container, pod::READING_SECONDS);
    pod::add_mount(&mut container, names::DATA, pod::CLAIM_DIR, false);
    let (node, incarnation) = (volume.node.as_str(), volume.incarnation);
    let start = vec![
        pod::from_config_map(volume_name(volume), &[(NODE_FILE, NODE_FILE)]),
        pod::from_secret(names::volume_tls(node, incarnation), &leaf::FILES),
    ];
    PodSpec {
        affinity: Some(Affinity {
            node_affinity: volume.zone.as_ref().map(|zone| tied_to(scope, zone)),
            pod_anti_affinity: Some(apart(scope, volume)),
            pod_affinity: None,
        }),
        tolerations: Some(vec![away("not-ready"), away("unreachable")]),
        topology_spread_constraints: zone_spread(scope, volume),
        termination_grace_period_seconds: Some(TERMINATION_SECONDS),
        ..pod::spec(container, start)
    }
}

/// One storage node per host. A volume that takes over from one of the same node may share its
/// host: a pod that never ends there must not be in the way.
fn apart(scope: &CommitteeScope, volume: &Volume) -> PodAntiAffinity {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(selecting(scope, Component::StorageNode)),
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: labels::STORAGE_NODE.to_owned(),
                operator: "NotIn".to_owned(),
                values: Some(vec![volume.node.to_string()]),
            }]),
        }),
        topology_key: pod::HOST_KEY.to_owned(),
        ..PodAffinityTerm::default()
    };
    match scope.spec.topology.host_spread {
        HostSpread::Required => PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..PodAntiAffinity::default()
        },
        HostSpread::Preferred => PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                WeightedPodAffinityTerm { pod_affinity_term: term, weight: 100 },
            ]),
            ..PodAntiAffinity::default()
        },
    }
}

/// The pod stays when its host is away: its volume is there, and it goes on when the host is back.
fn away(taint: &str) -> Toleration {
    Toleration {
        key: Some(format!("node.kubernetes.io/{taint}")),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..Toleration::default()
    }
}

fn tied_to(scope: &CommitteeScope, zone: &str) -> NodeAffinity {
    NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(NodeSelector {
            node_selector_terms: vec![NodeSelectorTerm {
                match_expressions: Some(vec![NodeSelectorRequirement {
                    key: scope.spec.topology.zone_key.clone(),
                    operator: "In".to_owned(),
                    values: Some(vec![zone.to_owned()]),
                }]),
                match_fields: None,
            }],
        }),
        preferred_during_scheduling_ignored_during_execution: None,
    }
}

/// Evenly over the zones. Where the pod goes is decided once: after that its claim ties it to its
/// place, and a demand that the others' places no longer meet would only keep it from starting.
fn zone_spread(scope: &CommitteeScope, volume: &Volume) -> Option<Vec<TopologySpreadConstraint>> {
    let when_unsatisfiable = match scope.spec.topology.zone_spread {
        ZoneSpread::Ignored => return None,
        ZoneSpread::Required if !volume.placed => "DoNotSchedule",
        ZoneSpread::Required | ZoneSpread::Preferred => "ScheduleAnyway",
    };
    Some(vec![TopologySpreadConstraint {
        label_selector: Some(selector(selecting(scope, Component::StorageNode))),
        max_skew: 1,
        // A zone whose hosts are away or cordoned cannot take a pod: it must not count as empty.
        node_taints_policy: Some("Honor".to_owned()),
        topology_key: scope.spec.topology.zone_key.clone(),
        when_unsatisfiable: when_unsatisfiable.to_owned(),
        ..TopologySpreadConstraint::default()
    }])
}

#[cfg(test)]
mod tests;
