use floe_crd::{Committee, StorageNode};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, from_value, json};

use super::page::page;
use super::verdict::{Verdict, judge};

fn committee(status: &Value) -> Committee {
    from_value(json!({"apiVersion": "floe.dev/v1alpha1", "kind": "Committee",
        "metadata": {"name": "main", "namespace": "floe"},
        "spec": {"replicas": 6, "storage": {"size": "1Ti"}, "encoding": {"shards": 12}},
        "status": status}))
    .unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-22T03:22:00Z"})
}

fn node(ordinal: usize, status: &Value) -> StorageNode {
    from_value(json!({"apiVersion": "floe.dev/v1alpha1", "kind": "StorageNode",
        "metadata": {"name": format!("main-{ordinal}"), "namespace": "floe"},
        "spec": {"committeeRef": {"name": "main"}}, "status": status}))
    .unwrap()
}

fn whole(ordinal: usize) -> StorageNode {
    node(
        ordinal,
        &json!({"zone": format!("eu-1{}", ["a", "b", "c"][ordinal % 3]),
        "nodeName": format!("worker-{ordinal}"),
        "shards": {"owned": format!("{}-{}", ordinal * 2, ordinal * 2 + 1), "count": 2},
        "slivers": {"owed": 100, "held": 100, "corrupt": 0, "heldPercent": 100},
        "conditions": [condition("Ready", "True", "Serving", "")]}),
    )
}

fn away(ordinal: usize) -> StorageNode {
    node(
        ordinal,
        &json!({"zone": "eu-1b", "nodeName": "worker-3",
        "shards": {"owned": "4-5", "count": 2},
        "conditions": [condition("Ready", "False", "Away", "its storage node does not answer: timeout")]}),
    )
}

fn healing(ordinal: usize) -> StorageNode {
    node(
        ordinal,
        &json!({"zone": "eu-1c", "nodeName": "worker-6",
        "shards": {"owned": "4,8-9", "count": 3},
        "slivers": {"owed": 100, "held": 80, "corrupt": 0, "heldPercent": 80},
        "repair": {"state": "Active", "remainingBytes": 71_940_702_208_u64,
            "restoredBytes": 50_465_865_728_u64, "readBytes": 51_475_183_042_u64,
            "jobName": "main-5-1-repair-0badcafe", "estimatedCompletionTime": "2026-11-22T03:42:00Z"},
        "conditions": [condition("Ready", "True", "Serving", ""),
            condition("RepairInProgress", "True", "Repairing", "shards 4 are rebuilt by a Job")]}),
    )
}

fn full() -> Value {
    json!({"epoch": 2, "replicas": 6, "readyReplicas": 6, "margin": 6,
        "survives": {"data": {"nodes": 3, "hosts": 3, "zones": 1}, "writes": {"nodes": 1, "hosts": 1, "zones": 0}},
        "blobs": {"certified": 9180},
        "capacity": {"rawBytes": 6_597_069_766_656_u64, "usableBytes": 1_979_120_929_996_u64, "usedBytes": 442_381_631_488_u64},
        "repair": {"remainingBytes": 0},
        "disruptionsAllowed": 1,
        "conditions": [condition("Ready", "True", "Serving", "")]})
}

/// All, with some of it replaced.
fn but(changes: &Value) -> Value {
    let mut status = full();
    for (member, value) in changes.as_object().unwrap() {
        status[member] = value.clone();
    }
    status
}

fn shown(committee: &Committee, nodes: &[StorageNode], verbose: bool) -> String {
    let now: Timestamp = "2026-11-22T03:30:00Z".parse().unwrap();
    page(committee, nodes, judge(committee, nodes), (now, verbose))
}

#[test]
fn nothing_is_the_matter() {
    let nodes: Vec<StorageNode> = (0..6).map(whole).collect();
    let main = committee(&full());
    assert_eq!(judge(&main, &nodes), Verdict::Full);
    insta::assert_snapshot!(shown(&main, &nodes, false), @r"
    COMMITTEE floe/main · epoch 2 · 12 shards, f = 3 · 9,180 blobs, 412.0 GiB
    VERDICT   data safe · full margin
    SURVIVES  data 3 nodes or 1 zone · writes 1 node · worst: margin 6 of 6
    NODES     6 whole nodes (-v shows them)
    REPAIR    nothing is missing
    BLOCKED   nothing
    DRAINS    1 pod may be evicted
    DO        nothing
    ");
    insta::assert_snapshot!(shown(&main, &nodes[..2], true), @r"
    COMMITTEE floe/main · epoch 2 · 12 shards, f = 3 · 9,180 blobs, 412.0 GiB
    VERDICT   data safe · full margin
    SURVIVES  data 3 nodes or 1 zone · writes 1 node · worst: margin 6 of 6
    NODE     ZONE    HOST       READY   SHARDS   HELD   REPAIR
    main-0   eu-1a   worker-0   True    0-1      100%   -
    main-1   eu-1b   worker-1   True    2-3      100%   -
    REPAIR    nothing is missing
    BLOCKED   nothing
    DRAINS    1 pod may be evicted
    DO        nothing
    ");
}

#[test]
fn a_lost_node_is_made_up_for() {
    let nodes = [whole(0), whole(1), away(2), whole(3), whole(4), healing(5)];
    let main = committee(&but(&json!({"margin": 4, "readyReplicas": 5, "disruptionsAllowed": 0,
        "survives": {"data": {"nodes": 2, "hosts": 2, "zones": 1}, "writes": {"nodes": 0, "hosts": 0, "zones": 0}},
        "repair": {"remainingBytes": 71_940_702_208_u64, "estimatedCompletionTime": "2026-11-22T03:42:00Z"},
        "conditions": [condition("Ready", "True", "Serving", ""),
            condition("Degraded", "True", "NodesAway", "not serving: main-2")]})));
    assert_eq!(judge(&main, &nodes), Verdict::Healing);
    insta::assert_snapshot!(shown(&main, &nodes, false), @r"
    COMMITTEE floe/main · epoch 2 · 12 shards, f = 3 · 9,180 blobs, 412.0 GiB
    VERDICT   data safe · below full margin for 8m (since 03:22 UTC) · full again in ~12m (03:42 UTC)
    SURVIVES  data 2 nodes or 1 zone · writes 0 nodes · worst: margin 4 of 6
    NODE     ZONE    HOST       READY   SHARDS   HELD   REPAIR
    main-2   eu-1b   worker-3   False   4-5      -      Away since 03:22 UTC: its storage node does not answer: timeout
    main-5   eu-1c   worker-6   True    4,8-9    80%    67.0 GiB missing, 12m left, Job main-5-1-repair-0badcafe
    (4 whole nodes hidden, -v)
    REPAIR    67.0 GiB missing · read/restored 1.02 · limit 100Mi/s per node (spec.repair.maxBytesPerSecond), readers first
    BLOCKED   nothing
    DRAINS    locked: no pod may be evicted now
    DO        nothing, it heals by itself
    ");
}

#[test]
fn what_is_worse_is_said_with_what_to_do() {
    let nodes = [away(2), away(3), whole(0)];
    let at_risk = committee(&but(&json!({"margin": 0, "conditions": [condition(
        "DurabilityAtRisk", "True", "NoMargin", "no further loss is survived; lost: main-2, main-3")]})));
    let blocked = committee(&but(&json!({"margin": 2, "conditions": [condition(
        "RepairBlocked", "True", "NoPlacement", "main-2 has no new volume: no host is free")]})));
    let unreadable = committee(&but(&json!({"margin": null})));
    let unknown = committee(&json!({"conditions": [condition(
        "Ready", "False", "Forming", "the first epoch record is on its way")]}));
    let mut pages = Vec::new();
    for (committee, expected) in [
        (at_risk, Verdict::AtRisk),
        (blocked, Verdict::AtRisk),
        (unreadable, Verdict::Unreadable),
        (unknown, Verdict::Unknown),
        (committee(&Value::Null), Verdict::Unknown),
    ] {
        assert_eq!(judge(&committee, &nodes), expected);
        let page = shown(&committee, &nodes, false);
        let lines = page
            .lines()
            .filter(|line| ["VERDICT", "BLOCKED", "DO "].iter().any(|word| line.starts_with(word)));
        pages.push(lines.collect::<Vec<_>>().join("\n"));
    }
    insta::assert_snapshot!(pages.join("\n\n"), @r"
    VERDICT   AT RISK: no further loss is survived; lost: main-2, main-3
    BLOCKED   nothing
    DO        bring back main-2 or main-3 first

    VERDICT   AT RISK: what is missing is not being rebuilt (see BLOCKED)
    BLOCKED   NoPlacement: main-2 has no new volume: no host is free
    DO        bring back main-2 or main-3, or add what BLOCKED asks for

    VERDICT   UNREADABLE: fewer than 6 shards have what they owe
    BLOCKED   nothing
    DO        bring back main-2 or main-3; recover volumes, do not replace them

    VERDICT   UNKNOWN: the first epoch record is on its way
    BLOCKED   nothing
    DO        see that the operator runs, and its log

    VERDICT   UNKNOWN: the operator said nothing yet
    BLOCKED   nothing
    DO        see that the operator runs, and its log
    ");
}

#[test]
fn whatever_is_not_whole_makes_it_less_than_full() {
    let nodes: Vec<StorageNode> = (0..6).map(whole).collect();
    assert_eq!(judge(&committee(&full()), &nodes), Verdict::Full);
    for changes in [
        json!({"margin": 5}),
        json!({"readyReplicas": 5}),
        json!({"repair": {"remainingBytes": 1}}),
        json!({"conditions": [condition("Degraded", "True", "NodesAway", "")]}),
        json!({"conditions": [condition("RepairInProgress", "True", "Repairing", "")]}),
    ] {
        assert_eq!(judge(&committee(&but(&changes)), &nodes), Verdict::Healing, "{changes}");
    }
    assert_eq!(judge(&committee(&full()), &[healing(5)]), Verdict::Healing);
    let stalled = json!({"conditions": [condition("Stalled", "True", "EpochConflict", "")]});
    assert_eq!(judge(&committee(&but(&stalled)), &nodes), Verdict::AtRisk);
}
