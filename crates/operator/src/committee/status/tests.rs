use std::time::Duration;

use floe_model::{Incarnation, ShardIndex};
use floe_plan::succession::LostVolume;

use super::*;
use crate::committee::tests::fixture::{World, committee_spec, node};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// The status, written anew, and each condition that is true, with its reason.
fn shown(world: &World, error: Option<&Error>, gateway: bool) -> (CommitteeStatus, String) {
    let scene = world.scene(at(0));
    let views = scene.views();
    let spec = committee_spec(4);
    let facts = Facts {
        spec: &spec,
        committee: ("main", "floe"),
        views: &views,
        record: scene.record(),
        outcome: Some(&world.pass.outcome),
        error,
        gateway: Some(gateway),
        disruptions_allowed: Some(1),
    };
    let status = committee_status(&facts, &CommitteeStatus::default(), Some(1), at(0));
    let holds = status.conditions.iter().filter(|it| it.status == "True");
    let text: Vec<String> = holds.map(|it| format!("{}={}", it.type_, it.reason)).collect();
    let text = text.join(" ");
    let later = committee_status(&facts, &status, Some(1), at(30));
    assert_eq!(later, status, "nothing is written at rest: {text}");
    (status, text)
}

fn away() -> Standing {
    Standing::Away { since: Duration::ZERO, reason: "refused".to_owned() }
}

#[test]
fn a_committee_that_is_well() {
    let mut world = World::healthy();
    for report in world.pass.reports.values_mut() {
        (report.owed_blobs, report.held_bytes) = (5, 1 << 20);
        report.capacity.total_bytes = 1 << 30;
    }
    let (status, text) = shown(&world, None, true);
    assert_eq!(text, "Ready=Serving");
    assert_eq!((status.epoch, status.margin, status.ready_replicas), (Some(0), Some(6), 4));
    let CommitteeSummary { nodes, data_survives, writes_survive, used, repair } = status.summary;
    assert_eq!([nodes, data_survives, writes_survive], ["4/4", "2 nodes", "1 node"]);
    // 28 of 110: each byte is held 3.93 times.
    assert_eq!([used, repair], ["1Mi/1Gi", "-"]);
    assert_eq!(status.blobs, Some(BlobCounts { certified: 5 }));
    assert_eq!(status.gateway_url.as_deref(), Some("https://main-gateway.floe.svc"));
}

#[test]
fn what_is_wrong_is_told() {
    let mut world = World::healthy();
    world.silence(0, away());
    let (status, text) = shown(&world, None, true);
    assert_eq!(text, "Degraded=NodesAway Progressing=Away Ready=Serving");
    assert_eq!(status.summary.writes_survive, "0 nodes");
    assert_eq!(shown(&World::healthy(), None, false).1, "");
    world.silence(1, away());
    let (status, text) = shown(&world, None, true);
    assert_eq!(text, "Degraded=NodesAway Progressing=Away");
    let ready = condition::get(&status.conditions, READY).unwrap();
    assert_eq!(ready.reason, "TooFewNodes");
    assert_eq!(ready.message, "4 of 10 shards are up, writes need 7: main-0, main-1");
    let mut world = World::healthy();
    world.replace(0, 9, 3);
    let (status, text) = shown(&world, None, true);
    assert_eq!(text, "Degraded=Unfilled Ready=Serving RepairInProgress=Repairing");
    assert_eq!((status.margin, status.repair.unwrap().remaining_bytes), (Some(3), 60));
    world.replace(1, 9, 3);
    let text = shown(&world, None, true).1;
    assert!(text.contains("DurabilityAtRisk=NoMargin"), "{text}");
}

#[test]
fn what_a_human_must_do_is_told() {
    let mut world = World::healthy();
    let shards = vec![ShardIndex(0)];
    let lost = vec![LostVolume { node: node(0), incarnation: Incarnation(0), shards }];
    world.pass.outcome = Outcome::Waiting(vec![Blocker::BeyondLimit { lost, faulty: 3 }]);
    let text = shown(&world, None, true).1;
    assert_eq!(text, "Progressing=Waiting Ready=Serving Stalled=TooMuchLost");
    let world = World::healthy();
    let refused = Error::refused("InvalidSpec", "spec.encoding: odd");
    assert_eq!(shown(&world, Some(&refused), true).1, "Ready=Serving Stalled=InvalidSpec");
    let waiting = Error::waiting("PodsPending", "main-0 has no host");
    assert_eq!(shown(&world, Some(&waiting), true).1, "Progressing=PodsPending Ready=Serving");
    let mut forming = World::healthy();
    forming.pass.record = None;
    let (status, text) = shown(&forming, Some(&waiting), true);
    assert_eq!(text, "Progressing=PodsPending");
    let ready = condition::get(&status.conditions, READY).unwrap();
    assert_eq!((ready.reason.as_str(), status.epoch), ("PodsPending", None));
}
