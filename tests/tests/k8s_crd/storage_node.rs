//! Storage nodes.

use floe_crd::StorageNode;
use serde_json::json;

use super::{Cases, changed, made, not_changed, not_made, resource};

pub(super) fn cases() -> Cases {
    let incarnation = "status: Invalid value: `incarnation` never decreases";
    Cases {
        kind: resource::<StorageNode>(),
        plain: json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "StorageNode",
            "metadata": {"name": "main-0"},
            "spec": {"committeeRef": {"name": "main"}},
        }),
        make: vec![
            made(json!({})),
            made(json!({"spec": {"zone": "eu-1a", "weight": 0}})),
            not_made(
                json!({"spec": {"weight": 1001}}),
                "spec.weight: Invalid value: 1001: spec.weight in body should be less than or equal to 1000",
            ),
        ],
        change: vec![
            changed(json!({}), json!({"spec": {"weight": 10}})),
            not_changed(
                json!({}),
                json!({"spec": {"committeeRef": {"name": "other"}}}),
                "spec: Invalid value: `committeeRef` is immutable: a storage node belongs to one Committee for its life",
            ),
            changed(json!({"status": {"incarnation": 1}}), json!({"status": {"incarnation": 2}})),
            not_changed(
                json!({"status": {"incarnation": 1}}),
                json!({"status": {"incarnation": 0}}),
                incarnation,
            ),
            not_changed(
                json!({"status": {"incarnation": 1}}),
                json!({"status": {"incarnation": null}}),
                incarnation,
            ),
        ],
    }
}
