use serde_json::{Value, from_value, json};

use super::*;

fn committee(margin: Option<u16>) -> Committee {
    from_value(json!({"apiVersion": "floe.dev/v1alpha1", "kind": "Committee",
        "metadata": {"name": "main", "namespace": "floe"},
        "spec": {"replicas": 4, "storage": {"size": "1Gi"}},
        "status": {"margin": margin,
            "survives": {"data": {"nodes": 2, "hosts": 2, "zones": 1},
                "writes": {"nodes": 1, "hosts": 1, "zones": 0}}}}))
    .unwrap()
}

fn node(id: Option<&str>, lost: &str) -> StorageNode {
    let volume = json!({"id": id, "claimName": "data-main-4-0-0", "state": "Missing"});
    let lost = json!({"type": "VolumeLost", "status": lost, "reason": "VolumeLost", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status: Value = json!({"incarnation": 0, "zone": "eu-1c", "nodeName": "worker-5",
        "volume": volume, "shards": {"owned": "7-8", "count": 2},
        "slivers": {"owed": 4200, "held": 4100, "corrupt": 0, "heldPercent": 97},
        "repair": {"state": "Active", "remainingBytes": 1024, "restoredBytes": 0, "readBytes": 0},
        "conditions": [lost]});
    from_value(json!({"apiVersion": "floe.dev/v1alpha1", "kind": "StorageNode",
        "metadata": {"name": "main-4", "namespace": "floe"},
        "spec": {"committeeRef": {"name": "main"}}, "status": status}))
    .unwrap()
}

#[test]
fn a_plan_says_what_is_given_up_and_what_is_left() {
    let plan = plan(&node(Some("8f1c2d"), "False"), &committee(Some(4))).unwrap();
    assert_eq!(plan.volume, "8f1c2d");
    insta::assert_snapshot!(plan.text, @r"
    main-4 (worker-5, eu-1c): volume 8f1c2d is missing. All it owes, 4,200 slivers of 2 shards, will be rebuilt from the other nodes (1.0 KiB are missing there already).
    Now data survives 2 nodes, writes survive 1 node; until it is rebuilt, one node less. Claim data-main-4-0-0 is kept, labelled floe.dev/retired; the next volume is main-4-1.
    ");
}

#[test]
fn what_the_others_could_not_make_up_for_is_refused() {
    let refused = |id, lost, margin| {
        plan(&node(id, lost), &committee(margin)).map_err(|error| error.to_string())
    };
    assert!(refused(Some("8f1c2d"), "False", Some(2)).is_ok());
    assert!(refused(Some("8f1c2d"), "True", Some(0)).is_ok(), "nobody counts on it any more");
    insta::assert_snapshot!(refused(Some("8f1c2d"), "False", Some(1)).unwrap_err(), @"main-4 has 2 shards and blobs survive 1 more: without its volume some could not be read; bring back or rebuild other nodes first");
    assert!(refused(Some("8f1c2d"), "True", None).is_err());
    insta::assert_snapshot!(refused(None, "False", Some(4)).unwrap_err(), @"main-4 has no volume that the committee knows: it gets one, there is nothing to replace");
}
