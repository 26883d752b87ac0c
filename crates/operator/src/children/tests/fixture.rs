//! A Committee to make children of.

use floe_crd::{Blob, CommitteeSpec, labels};
use floe_model::keys::RegistrarKey;
use floe_model::{CommitteeId, Incarnation};
use floe_steward::start_files::NodeAddress;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};

use crate::children::{CommitteeScope, Volume};

/// With these fields of its spec beside the two that must be given.
pub(crate) fn scope(fields: &Value) -> CommitteeScope {
    let mut spec = json!({"replicas": 4, "storage": {"size": "1Gi"}});
    let written = fields.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(written);
    let spec: CommitteeSpec = serde_json::from_value(spec).unwrap();
    CommitteeScope {
        namespace: "floe".to_owned(),
        name: "main".to_owned(),
        uid: "0000-main".to_owned(),
        spec,
        committee: CommitteeId([7; 16]),
        operator: RegistrarKey::from_seed(&[1; 32]).public(),
        image: "floe:1".to_owned(),
        operator_namespace: "floe-system".to_owned(),
    }
}

pub(crate) fn volume() -> Volume {
    Volume {
        node: "main-0".parse().unwrap(),
        incarnation: Incarnation(1),
        node_uid: "0000-main-0".to_owned(),
        zone: None,
        placed: false,
        size: "1Gi".to_owned(),
        storage_class: Some("local".to_owned()),
    }
}

pub(crate) fn nodes() -> Vec<NodeAddress> {
    vec![NodeAddress {
        node: "main-0".parse().unwrap(),
        incarnation: Incarnation(1),
        address: "main-0-1.floe.svc:7443".to_owned(),
    }]
}

pub(crate) fn blob() -> Blob {
    serde_json::from_value(json!({
        "apiVersion": "floe.dev/v1alpha1",
        "kind": "Blob",
        "metadata": {"name": "logo", "namespace": "shop", "uid": "0000-logo"},
        "spec": {"source": {"configMapKeyRef": {"name": "pictures", "key": "logo.svg"}}},
    }))
    .unwrap()
}

/// What pod security `restricted` asks, and what every pod of ours keeps beside it.
pub(crate) fn assert_restricted(spec: &PodSpec, with_token: bool) {
    let pod = spec.security_context.as_ref().unwrap();
    assert_eq!(pod.run_as_non_root, Some(true));
    assert_eq!(pod.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    assert_eq!(spec.automount_service_account_token, Some(with_token));
    assert_eq!(spec.containers.len(), 1);
    for container in &spec.containers {
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.read_only_root_filesystem, Some(true));
        let dropped = security.capabilities.as_ref().unwrap().drop.as_ref().unwrap();
        assert_eq!(dropped, &["ALL"]);
        let resources = container.resources.as_ref().unwrap();
        assert!(resources.requests.as_ref().unwrap().contains_key("memory"));
    }
}

/// The labels that the operator and its selectors rely on.
pub(crate) const OWN_LABELS: [&str; 5] =
    [labels::NAME, labels::MANAGED_BY, labels::COMPONENT, labels::INSTANCE, labels::COMMITTEE];
