use std::collections::BTreeMap;

use floe_api::report::{
    CapacityReport, EpochReport, RepairReport, Serving, SliverCounts, UnfilledReport,
};
use floe_model::keys::NodeKey;
use floe_model::record::{NO_PARENT, Policy};
use floe_model::{Geometry, Incarnation, VolumeId};

use super::*;

/// n = 10 on seven nodes: three with two shards, four with one.
fn record() -> EpochRecord {
    let key = NodeKey::generate(&[1; 32]).unwrap();
    let members = (0..7_u16).map(|node| Member {
        node: format!("node-{node}").parse().unwrap(),
        incarnation: Incarnation(0),
        volume: VolumeId([0; 16]),
        address: String::new(),
        zone: String::new(),
        host: String::new(),
        key: key.public(),
        possession: key.prove_possession(b""),
        shards: (node..10).step_by(7).map(ShardIndex).collect(),
    });
    EpochRecord {
        committee: CommitteeId([0; 16]),
        number: EpochNumber(2),
        parent: NO_PARENT,
        forced: false,
        geometry: Geometry::of_shards(10).unwrap(),
        policy: Policy::default(),
        registrars: Vec::new(),
        members: members.collect(),
        unfilled: Vec::new(),
        wholes: Vec::new(),
    }
}

fn chain(record: EpochRecord) -> Chain {
    let filled = |shard: &ShardIndex| !record.unfilled.contains(shard);
    let holders = (0..10).map(ShardIndex).map(|it| record.owner(it).filter(|_| filled(&it)));
    Chain { named: record.number, holders: holders.collect(), record: Arc::new(record) }
}

/// A node that serves, and lacks so many slivers.
fn report(record: &EpochRecord, node: usize, missing: u64) -> NodeReport {
    let member = &record.members[node];
    NodeReport {
        committee: record.committee,
        node: member.node.clone(),
        incarnation: member.incarnation,
        volume: member.volume,
        epoch: Some(EpochReport { number: record.number, hash: record.hash(), committed: true }),
        serving: Serving { state: ServingState::Serving, reason: String::new() },
        shards: member.shards.clone(),
        slivers: SliverCounts { owed: 100, held: 100 - missing },
        held_bytes: 0,
        owed_blobs: 50,
        repair: RepairReport {
            queued_bytes: missing * 1000,
            restored_bytes_per_second: if missing > 0 { 500 } else { 0 },
            eta_seconds: (missing > 0).then_some(missing * 2),
            ..RepairReport::default()
        },
        unfilled: Vec::new(),
        wholes: Vec::new(),
        capacity: CapacityReport::default(),
        feed_head: None,
        cursors: BTreeMap::new(),
        last_errors: Vec::new(),
    }
}

fn reports(record: &EpochRecord, away: &[usize]) -> Vec<Result<NodeReport, String>> {
    let report = |node: usize| {
        let here = !away.contains(&node);
        here.then(|| report(record, node, 0)).ok_or_else(|| "connection refused".to_owned())
    };
    (0..record.members.len()).map(report).collect()
}

#[test]
fn what_survives_follows_from_what_is_held_and_what_serves() {
    let record = record();
    let table: [(&[usize], &str); 4] = [
        (&[], "data 3 nodes · names and writes 1 node"),
        (&[6], "data 3 nodes (serving now: 2 nodes) · names and writes 1 node"),
        (&[1, 2], "data 3 nodes (serving now: 1 node) · names and writes no longer"),
        (&[0, 1, 2, 3], "data 3 nodes (serving now: no longer) · names and writes no longer"),
    ];
    for (away, expected) in table {
        let status = survey(&chain(record.clone()), &reports(&record, away));
        assert_eq!(status.survives, expected, "{away:?}");
    }
    let mut record = record;
    record.members.iter_mut().take(3).for_each(|member| member.host = "one".to_owned());
    let status = survey(&chain(record.clone()), &reports(&record, &[]));
    assert_eq!(status.survives, "data 3 nodes or 1 host · names and writes 1 node or 0 hosts");
}

#[test]
fn a_silent_node_is_away_and_says_why() {
    let record = record();
    let status = survey(&chain(record.clone()), &reports(&record, &[0, 1, 2, 3, 4, 5, 6]));
    assert!(status.verdict.starts_with("nothing can be read: 0 shards"), "{}", status.verdict);
    assert_eq!(status.nodes[3].state, ServingWord::Away);
    assert_eq!(status.nodes[3].detail, "connection refused");
}

#[test]
fn a_lost_volume_is_seen_until_it_is_whole() {
    let mut record = record();
    record.unfilled = vec![ShardIndex(1), ShardIndex(8)];
    record.members[1].incarnation = Incarnation(1);
    let mut told = reports(&record, &[]);
    told[1] = Ok(report(&record, 1, 40));
    let status = survey(&chain(record.clone()), &told);
    assert_eq!(status.survives, "data 2 nodes · names and writes 1 node");
    assert_eq!(status.margins.data, Some(Margin { shards: 4, nodes: 2, hosts: 2 }));
    assert_eq!(status.verdict, "data safe, healing: 40 slivers are missing");
    assert_eq!(status.nodes[1].repair, "40 slivers, ~80 s left");
    assert_eq!(status.nodes[1].incarnation, 1);
    let repair =
        Repair { slivers: 40, bytes: 40_000, bytes_per_second: 500, eta_seconds: Some(80) };
    assert_eq!(status.repair, repair);
    assert_eq!(status.blocked, Vec::<String>::new());

    // What jobs restore is not in the node's own queue.
    let mut leased = report(&record, 1, 40);
    leased.repair.queued_bytes = 0;
    leased.unfilled = vec![UnfilledReport {
        shard: ShardIndex(1),
        slivers: SliverCounts { owed: 50, held: 10 },
        owed_bytes: 90_000,
        held_bytes: 20_000,
    }];
    told[1] = Ok(leased);
    assert_eq!(survey(&chain(record.clone()), &told).repair.bytes, 70_000);

    told[1] = Ok(report(&record, 1, 0));
    let status = survey(&chain(record.clone()), &told);
    assert_eq!(status.verdict, "data safe, 2 shards are about to be whole");
    assert_eq!(status.nodes[1].repair, "holds all it owes, about to be whole");
}

#[test]
fn a_shard_that_moves_is_where_it_was() {
    let mut record = record();
    record.unfilled = vec![ShardIndex(9)];
    let mut chain = chain(record.clone());
    let lost = survey(&chain, &reports(&record, &[])).margins.data;
    assert_eq!(lost, Some(Margin { shards: 5, nodes: 3, hosts: 3 }));
    chain.holders[9] = Some(6);
    let moved = survey(&chain, &reports(&record, &[])).margins.data;
    assert_eq!(moved, Some(Margin { shards: 6, nodes: 3, hosts: 3 }));
}

#[test]
fn what_blocks_is_named() {
    let mut record = record();
    record.unfilled = vec![ShardIndex(1), ShardIndex(2), ShardIndex(8)];
    let mut told = reports(&record, &[1]);
    if let Ok(report) = &mut told[4] {
        report.serving =
            Serving { state: ServingState::Refusing, reason: "an old copy".to_owned() };
        report.epoch = Some(EpochReport {
            number: EpochNumber(1),
            hash: RecordHash([0; 32]),
            committed: true,
        });
    }
    let chain = Chain { named: EpochNumber(5), ..chain(record) };
    let blocked = survey(&chain, &told).blocked;
    let starts = [
        "epoch 5 is accepted by some nodes and not committed: it needs 7 shards of epoch 2",
        "3 shards are unfilled, as many as may be",
        "node-1 does not serve and is to fill 2 shards",
        "node-4 is in epoch 1, 2 is in force",
        "node-4 refuses: an old copy",
    ];
    assert_eq!(blocked.len(), starts.len(), "{blocked:?}");
    for (text, start) in blocked.iter().zip(starts) {
        assert!(text.starts_with(start), "{text}");
    }
}
