use std::time::Duration;

use serde_json::{from_value, json};

use super::*;
use crate::committee::tests::fixture::{World, node, storage_node};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// The status of a node, written anew: each condition that is true, with its reason.
fn shown(world: &World, node: usize) -> (StorageNodeStatus, String) {
    let scene = world.scene(at(0));
    let view = scene.views().into_iter().nth(node).unwrap();
    let status = node_status(&view, &StorageNodeStatus::default(), Some(1), at(0));
    let holds = status.conditions.iter().filter(|it| it.status == "True");
    let text: Vec<String> = holds.map(|it| format!("{}={}", it.type_, it.reason)).collect();
    let text = text.join(" ");
    // The same again later changes nothing: nothing is written at rest.
    let later = node_status(&view, &status, Some(1), at(30));
    assert_eq!(later, status, "{text}");
    (status, text)
}

#[test]
fn a_node_that_serves() {
    let (status, text) = shown(&World::healthy(), 0);
    assert_eq!(text, "Ready=Serving");
    assert_eq!(status.shards.unwrap(), OwnedShards { owned: "0,4,8".to_owned(), count: 3 });
    assert_eq!(
        (status.zone.as_deref(), status.node_name.as_deref()),
        (Some("zone-0"), Some("worker-0"))
    );
    assert_eq!((status.summary.held.as_str(), status.summary.repair.as_str()), ("100%", "-"));
    assert_eq!(status.volume.unwrap().state, VolumeState::Bound);
    assert_eq!((status.incarnation, status.epoch), (Some(0), Some(0)));
}

#[test]
fn what_happens_to_a_volume_is_told() {
    let reason = "refused".to_owned();
    let mut world = World::healthy();
    world.silence(1, Standing::Away { since: Duration::ZERO, reason: reason.clone() });
    assert_eq!(shown(&world, 1).1, "Progressing=Away");
    world.silence(1, Standing::Lost { since: None, reason });
    assert_eq!(shown(&world, 1).1, "Progressing=VolumeLost VolumeLost=VolumeLost");
    // It was given up, and the next one has no host.
    let next = (node(1), floe_model::Incarnation(1));
    world.plan.current.insert(next.0.clone(), next.1);
    let pod = json!({
        "metadata": {"name": "main-1-1-0", "creationTimestamp": "2020-01-01T00:00:00Z"},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no disk"}]},
    });
    world.observed.pods.insert(next, from_value(pod).unwrap());
    let (status, text) = shown(&world, 1);
    assert_eq!(text, "Stalled=Unschedulable VolumeLost=Replacing");
    let ready = condition::get(&status.conditions, READY).unwrap();
    assert!(ready.message.contains("volume 0 was given up"), "{}", ready.message);
    assert!(ready.message.contains("has no host: no disk"), "{}", ready.message);
    // It answers, and is filled by a Job.
    let mut world = World::healthy();
    world.replace(1, 9, 3);
    let (status, text) = shown(&world, 1);
    assert_eq!(text, "Progressing=Repairing Ready=Serving RepairInProgress=Repairing");
    let repair = status.repair.unwrap();
    assert_eq!((repair.state, repair.remaining_bytes), (RepairState::Active, 60));
    assert_eq!((repair.job_name, status.summary.held.as_str()), (None, "33%"));
}

#[test]
fn a_drain_that_is_not_safe_is_told_when_the_host_is_cordoned() {
    let mut world = World::healthy();
    world.silence(1, Standing::Away { since: Duration::ZERO, reason: String::new() });
    assert_eq!(shown(&world, 0).1, "Ready=Serving");
    let host = world.observed.hosts.get_mut("worker-0").unwrap().as_mut().unwrap();
    host.spec.get_or_insert_default().unschedulable = Some(true);
    let (status, text) = shown(&world, 0);
    assert_eq!(text, "DrainBlocked=NodesAway Ready=Serving");
    let blocked = condition::get(&status.conditions, DRAIN_BLOCKED).unwrap();
    assert!(blocked.message.starts_with("worker-0 is cordoned, but main-1 away"), "{blocked:?}");
}

#[test]
fn a_generation_that_was_seen_is_shown() {
    let world = World::healthy();
    let scene = world.scene(at(0));
    let view = &scene.views()[0];
    let status = node_status(view, &StorageNodeStatus::default(), Some(1), at(0));
    let next = node_status(view, &status, Some(2), at(1));
    assert!(next.conditions.iter().all(|it| it.observed_generation == Some(2)));
    assert_eq!(storage_node("main-0").metadata.generation, Some(1));
}

#[test]
fn a_time_moves_only_when_it_moved_by_more_than_a_fifth() {
    let before = steady(None, 100, at(0)).unwrap();
    assert_eq!(before.0, at(100));
    for (seconds, now, expected) in
        [(100, 0, 100), (90, 10, 100), (85, 30, 100), (80, 60, 140), (20, 60, 80), (100, 130, 230)]
    {
        let moved = steady(Some(&before), seconds, at(now)).unwrap();
        assert_eq!(moved.0, at(expected), "{seconds} s left at {now}");
    }
    assert_eq!(minutes_left(&before, at(0)), "2m left");
    assert_eq!(minutes_left(&before, at(41)), "1m left");
    assert_eq!(minutes_left(&before, at(200)), "0m left");
}
