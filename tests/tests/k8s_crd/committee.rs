//! Committees.

use floe_crd::Committee;
use serde_json::json;

use super::{Cases, Change, Make, changed, made, not_changed, not_made, resource, spec};

pub(super) fn cases() -> Cases {
    Cases {
        kind: resource::<Committee>(),
        plain: json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "Committee",
            "metadata": {"name": "main"},
            "spec": {"replicas": 4, "storage": {"size": "1Gi"}},
        }),
        make: [sizes(), settings(), names()].into_iter().flatten().collect(),
        change: changes(),
    }
}

fn sizes() -> Vec<Make> {
    vec![
        made(json!({})),
        not_made(
            spec(json!({"replicas": null})),
            "[spec.replicas: Required value, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]",
        ),
        made(spec(json!({"storage": {"size": 1_073_741_824}}))),
        made(spec(json!({"storage": {"size": "1.5Ti"}}))),
        not_made(
            spec(json!({"storage": {"size": "500GB"}})),
            "spec.storage.size: Invalid value: \"500GB\": must be a quantity such as 500Gi or 1Ti (units: Ki Mi Gi Ti Pi or k M G T P, never GB)",
        ),
        not_made(
            spec(json!({"storage": {"size": "1023Mi"}})),
            "spec.storage.size: Invalid value: \"1023Mi\": must be at least 1Gi",
        ),
        not_made(
            spec(json!({"replicas": 20, "encoding": {"shards": 12}})),
            "spec: Invalid value: `replicas` must be at most `encoding.shards`: every node needs at least one shard",
        ),
        not_made(
            spec(json!({"replicas": 3})),
            "spec: Invalid value: `replicas` must be at least `encoding.shards` / `encoding.maxFaultyShards`, rounded up (4 for 10 or 12 shards): a node may hold no more shards than may be faulty",
        ),
        made(spec(json!({"replicas": 5, "encoding": {"maxFaultyShards": 2}}))),
        not_made(
            spec(json!({"replicas": 4, "encoding": {"maxFaultyShards": 2}})),
            "spec: Invalid value: `replicas` must be at least `encoding.shards` / `encoding.maxFaultyShards`, rounded up (4 for 10 or 12 shards): a node may hold no more shards than may be faulty",
        ),
        not_made(
            spec(json!({"encoding": {"maxFaultyShards": 4}})),
            "spec.encoding: Invalid value: `maxFaultyShards` must be at most (`shards` - 1) / 3",
        ),
        made(spec(json!({"replicas": 256, "encoding": {"shards": 256}}))),
        not_made(
            spec(json!({"replicas": 256, "encoding": {"shards": 256, "maxFaultyShards": 60}})),
            "spec.encoding: Invalid value: `maxFaultyShards` is too small for so many `shards`: (`shards` - 2 `maxFaultyShards`) x (`shards` - `maxFaultyShards`) must be at most 16384",
        ),
    ]
}

fn settings() -> Vec<Make> {
    vec![
        made(spec(json!({"repair": {"lossGrace": "1h30m", "maxBytesPerSecond": "1Gi"}}))),
        not_made(
            spec(json!({"repair": {"lossGrace": "7d"}})),
            "spec.repair.lossGrace: Invalid value: \"7d\": must be a duration in h, m, s, ms such as 168h or 1h30m (there is no unit for days)",
        ),
        not_made(
            spec(json!({"repair": {"maxBytesPerSecond": 0}})),
            "spec.repair.maxBytesPerSecond: Invalid value: 0: must be at least 1",
        ),
        not_made(
            spec(json!({"deletion": {"undeleteWindow": "-1h"}})),
            "spec.deletion.undeleteWindow: Invalid value: \"-1h\": must be a duration in h, m, s, ms such as 168h or 1h30m (there is no unit for days)",
        ),
        made(spec(json!({"access": {"namespaces": {"from": "Same"}}}))),
        made(spec(json!({
            "access": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}}},
        }))),
        not_made(
            spec(json!({"access": {"namespaces": {"from": "Selector"}}})),
            "spec.access.namespaces: Invalid value: `selector` must be set when `from` is Selector, and only then",
        ),
        not_made(
            spec(json!({"access": {"namespaces": {"selector": {"matchLabels": {"a": "b"}}}}})),
            "spec.access.namespaces: Invalid value: `selector` must be set when `from` is Selector, and only then",
        ),
        made(spec(json!({
            "template": {"resources": {"requests": {"cpu": "500m", "memory": 1_073_741_824}}},
        }))),
        not_made(
            spec(json!({"template": {"resources": {"limits": {"memory": "1GB"}}}})),
            "spec.template.resources.limits[memory]: Invalid value: \"1GB\": must be a quantity such as 500Gi or 1Ti (units: Ki Mi Gi Ti Pi or k M G T P, never GB)",
        ),
        made(spec(json!({"paused": ["Repair", "Reconcile"]}))),
        not_made(
            spec(json!({"paused": ["Repair", "Repair"]})),
            "spec.paused[1]: Duplicate value: \"Repair\"",
        ),
    ]
}

fn names() -> Vec<Make> {
    vec![
        made(json!({"metadata": {"name": "a23456789-123456789-123456789-1234567890"}})),
        not_made(
            json!({"metadata": {"name": "a23456789-123456789-123456789-123456789-1"}}),
            "<nil>: Invalid value: `metadata.name` may have at most 40 characters: its nodes' names begin with it",
        ),
        not_made(
            json!({"metadata": {"name": "main.eu"}}),
            "<nil>: Invalid value: `metadata.name` must begin with a letter and have no dots: Services are named after it",
        ),
        not_made(
            json!({"metadata": {"name": "2nd"}}),
            "<nil>: Invalid value: `metadata.name` must begin with a letter and have no dots: Services are named after it",
        ),
    ]
}

fn changes() -> Vec<Change> {
    let immutable_encoding = "spec: Invalid value: `encoding` is immutable; to change it, create a second Committee and copy the blobs";
    let immutable_class = "spec.storage: Invalid value: `storageClassName` is immutable: volumes that exist keep their class; create a second Committee and copy the blobs";
    let epoch = "status: Invalid value: `epoch` never decreases";
    let no_change = json!({});
    let fast = spec(json!({"storage": {"storageClassName": "fast"}}));
    vec![
        changed(no_change.clone(), spec(json!({"replicas": 5, "storage": {"size": "2Gi"}}))),
        changed(no_change.clone(), spec(json!({"storage": {"size": "1.5Gi"}}))),
        not_changed(
            spec(json!({"storage": {"size": "2Gi"}})),
            spec(json!({"storage": {"size": "1Gi"}})),
            "spec.storage: Invalid value: `size` may only grow; to shrink, add smaller nodes and remove the large ones",
        ),
        not_changed(
            no_change.clone(),
            spec(json!({"encoding": {"shards": 12}})),
            immutable_encoding,
        ),
        not_changed(
            no_change.clone(),
            spec(json!({"encoding": {"maxFaultyShards": 3}})),
            immutable_encoding,
        ),
        not_changed(no_change.clone(), fast.clone(), immutable_class),
        not_changed(
            fast.clone(),
            spec(json!({"storage": {"storageClassName": null}})),
            immutable_class,
        ),
        not_changed(
            fast.clone(),
            spec(json!({"storage": {"storageClassName": "slow"}})),
            immutable_class,
        ),
        changed(fast, spec(json!({"storage": {"size": "1Ti"}}))),
        changed(json!({"status": {"epoch": 3}}), json!({"status": {"epoch": 4}})),
        not_changed(json!({"status": {"epoch": 3}}), json!({"status": {"epoch": 2}}), epoch),
        not_changed(json!({"status": {"epoch": 3}}), json!({"status": {"epoch": null}}), epoch),
    ]
}
