//! Labels, selectors and owners of children.

use std::collections::BTreeMap;

use floe_crd::labels::{self, Component};
use floe_crd::{Committee, StorageNode, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource;

use super::{CommitteeScope, Volume};

/// Labels, or what a selector matches.
pub(super) type Labels = BTreeMap<String, String>;

/// What tells the pods of a component of this Committee from all others. It cannot change
/// afterwards where a workload selects by it.
pub(super) fn selecting(scope: &CommitteeScope, component: Component) -> Labels {
    [
        (labels::COMMITTEE.to_owned(), scope.name.clone()),
        (labels::COMPONENT.to_owned(), component.as_str().to_owned()),
    ]
    .into()
}

/// What tells the pod of this volume from all others.
pub(super) fn selecting_volume(scope: &CommitteeScope, volume: &Volume) -> Labels {
    let mut labels = selecting(scope, Component::StorageNode);
    labels.insert(labels::STORAGE_NODE.to_owned(), volume.node.to_string());
    labels.insert(labels::INCARNATION.to_owned(), volume.incarnation.to_string());
    labels
}

/// A selector of these labels.
pub(super) fn selector(labels: Labels) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// Metadata of an object that goes with the Committee.
pub(super) fn of_committee(
    scope: &CommitteeScope,
    name: String,
    component: Component,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(scope.namespace.clone()),
        labels: Some(labels::of_component(&scope.name, component)),
        owner_references: Some(vec![owner::<Committee>(scope.name.clone(), scope.uid.clone())]),
        ..ObjectMeta::default()
    }
}

/// Metadata of an object that goes with the volume's StorageNode.
pub(super) fn of_volume(scope: &CommitteeScope, name: String, volume: &Volume) -> ObjectMeta {
    let Volume { node, incarnation, node_uid, .. } = volume;
    ObjectMeta {
        name: Some(name),
        namespace: Some(scope.namespace.clone()),
        labels: Some(labels::of_volume(&scope.name, node.as_str(), *incarnation)),
        owner_references: Some(vec![owner::<StorageNode>(node.to_string(), node_uid.clone())]),
        ..ObjectMeta::default()
    }
}

/// The name of most objects of this volume.
pub(super) fn volume_name(volume: &Volume) -> String {
    names::volume(volume.node.as_str(), volume.incarnation)
}

/// What makes an object go when the one of this UID does.
pub(super) fn owner<K: Resource<DynamicType = ()>>(name: String, uid: String) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name,
        uid,
        controller: Some(true),
        block_owner_deletion: None,
    }
}
