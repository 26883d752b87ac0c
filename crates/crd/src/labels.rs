//! Labels, annotations, finalizers and field managers.

use std::collections::BTreeMap;

use floe_model::Incarnation;

/// What every child carries: the application.
pub const NAME: &str = "app.kubernetes.io/name";
/// Who made it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Which part it is of.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Which Committee's, in Kubernetes' words.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Which Committee's.
pub const COMMITTEE: &str = "floe.dev/committee";
/// Which StorageNode's.
pub const STORAGE_NODE: &str = "floe.dev/storage-node";
/// Which incarnation of its StorageNode.
pub const INCARNATION: &str = "floe.dev/incarnation";
/// On the claim of an incarnation that was replaced: kept, in no selector.
pub const RETIRED: &str = "floe.dev/retired";

/// Annotation: short hash of what was last applied.
pub const APPLIED: &str = "floe.dev/applied";
/// Annotation of the Committee of Blobs that name none.
pub const DEFAULT_COMMITTEE: &str = "floe.dev/is-default-committee";
/// Annotation of a StorageNode: its volume id, to have that volume replaced.
pub const REPLACE_VOLUME: &str = "floe.dev/replace-volume";

/// Finalizer of Committees, StorageNodes and Blobs.
pub const FINALIZER: &str = "floe.dev/finalizer";

/// The value of [`NAME`].
pub const FLOE: &str = "floe";
/// The value of [`MANAGED_BY`].
pub const OPERATOR: &str = "floe-operator";
/// The value of labels and annotations that say yes.
pub const TRUE: &str = "true";

/// Field manager of Committees, StorageNodes and their children.
pub const COMMITTEE_MANAGER: &str = "floe-operator/committee";
/// Field manager of Blobs and their children.
pub const BLOB_MANAGER: &str = "floe-operator/blob";
/// Field manager of the gateway.
pub const GATEWAY_MANAGER: &str = "floe-gateway";

/// Which part of Floe a child is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// A storage node's volume, pod, configuration.
    StorageNode,
    /// The gateway.
    Gateway,
    /// A repair Job.
    Repair,
    /// An importer Job.
    Import,
}

impl Component {
    /// The value of [`COMPONENT`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StorageNode => "storage-node",
            Self::Gateway => "gateway",
            Self::Repair => "repair",
            Self::Import => "import",
        }
    }
}

/// Labels of a Committee's child.
pub fn of_component(committee: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = of_committee(committee);
    labels.insert(COMPONENT.to_owned(), component.as_str().to_owned());
    labels
}

/// Labels of what a Committee has only one of, and no part owns.
pub fn of_committee(committee: &str) -> BTreeMap<String, String> {
    let labels =
        [(NAME, FLOE), (MANAGED_BY, OPERATOR), (INSTANCE, committee), (COMMITTEE, committee)];
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Labels of a volume's children.
pub fn of_volume(
    committee: &str,
    node: &str,
    incarnation: Incarnation,
) -> BTreeMap<String, String> {
    let mut labels = of_component(committee, Component::StorageNode);
    labels.insert(STORAGE_NODE.to_owned(), node.to_owned());
    labels.insert(INCARNATION.to_owned(), incarnation.to_string());
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volumes_labels_hold_its_components_and_its_committees() {
        let volume = of_volume("main", "main-0", Incarnation(2));
        for (key, value) in of_component("main", Component::StorageNode) {
            assert_eq!(volume.get(&key), Some(&value));
        }
        assert_eq!(volume[INCARNATION], "2");
        assert_eq!(volume[STORAGE_NODE], "main-0");
        assert_eq!(volume[COMPONENT], "storage-node");
        assert!(!of_committee("main").contains_key(COMPONENT));
    }
}
