//! Nodes that were away while the chain went on.

use std::time::Duration;

use floe_api::messages::{Acknowledgement, CHAIN_PAGE_BYTES, ChainLink};
use floe_model::keys::NodeKey;
use floe_model::record::possession_statement;
use floe_model::{EpochRecord, Incarnation, Member, NodeName, VolumeId};
use floe_steward::Outcome;
use floe_tests::sim_committee::{ByHand, World, succession};

use crate::{
    assert_one_chain, assert_read, look, marked, play, rest, settle, targets, until, written,
};

const ALL: [usize; 4] = [0, 1, 2, 3];

/// A member without shards that nobody ever reaches, with as long a name for everything as may be.
fn guest(world: &World, number: u8) -> Member {
    let node: NodeName = format!("z-guest-{number:03}").parse().unwrap();
    let (key, volume) = (NodeKey::generate(&[number; 32]).unwrap(), VolumeId([number; 16]));
    let statement =
        possession_statement(&world.committee(), &node, Incarnation(0), &volume, &key.public());
    Member {
        node,
        incarnation: Incarnation(0),
        volume,
        address: "node-0:1".to_owned(),
        zone: "z".repeat(253),
        host: "h".repeat(250) + &format!("{number:03}"),
        key: key.public(),
        possession: key.prove_possession(&statement),
        shards: Vec::new(),
    }
}

#[test]
fn a_node_that_missed_pages_of_the_chain_catches_up() {
    play(|world, hand, mut chain| async move {
        let (draft, _) = written(&hand, &ALL, 1).await;
        world.kill("node-3").await;
        let guests: Vec<Member> = (1..=40).map(|number| guest(&world, number)).collect();
        let mut tip = chain.genesis();
        let join = |record: &mut EpochRecord| record.members.extend(guests);
        tip = chain.issue(chain.next(tip, join));
        let others = targets(&hand, &[0, 1, 2]);
        while chain.chain(tip).links.iter().map(ChainLink::bytes).sum::<usize>()
            <= 2 * CHAIN_PAGE_BYTES
        {
            tip = chain.issue(chain.next(tip, marked(1)));
        }
        let pages = chain.chain(tip).pages().count();
        println!("record {} ends the chain, in {pages} pages", chain.record(tip).number);
        assert!(pages > 2);
        // One commit at the end, counted over all records between.
        chain.commit(&others, tip).await;
        // Writes go on without the fourth.
        let record = chain.record(tip).clone();
        let under = hand.under(&record);
        let (late, certified) = written(&under, &[0, 1, 2], 2).await;
        world.start("node-3").await;
        let target = under.target(3);
        until(&hand, &target, |report| {
            report.epoch.is_some_and(|epoch| epoch.committed && epoch.number == record.number)
        })
        .await;
        until(&hand, &target, |it| it.slivers.held == 4).await;
        let answer = under.put_certificate(3, &certified).await.unwrap();
        assert_eq!(answer.state, Acknowledgement::Acknowledged);
        // A reader that was away for as long asks node after node for pages, too.
        assert_read(&hand.client(), &draft, 1).await;
        assert_read(&hand.client(), &late, 2).await;
    });
}

#[test]
fn an_offline_node_blocks_nothing() {
    play(|world, hand, _| async move {
        let (draft, _) = written(&hand, &ALL, 1).await;
        let spare = world.spares()[0].clone();
        world.power_loss("node-2").await;
        // A member leaves and another one joins: its shard moves, is filled, and the member goes.
        world.set_weight(&spare, 1);
        world.set_weight(&hand.node(1), 0);
        let done = |record: &EpochRecord| record.member(&hand.node(1)).is_none();
        let record = moved(&world, &hand, &spare, done).await;
        assert!(record.members.len() == 4 && record.member(&spare).is_some());
        // D counts with the others: n-f are there to write to.
        let client = hand.client();
        assert_read(&client, &draft, 1).await;
        // It comes back to two records that it never heard of.
        world.start("node-2").await;
        until(&hand, &hand.target(2), |report| {
            report.epoch.is_some_and(|epoch| epoch.committed && epoch.number == record.number)
        })
        .await;
    });
}

/// A steward looks, and a job fills what it finds, until the record is as wanted.
async fn moved(
    world: &World,
    hand: &ByHand,
    node: &NodeName,
    done: impl Fn(&EpochRecord) -> bool,
) -> EpochRecord {
    let mut steward = succession::open(world, "steward");
    for _ in 0..60 {
        let pass = steward.pass(&succession::wanted(world)).await.unwrap();
        let (_, record) = pass.record.unwrap();
        if done(&record) {
            return record;
        }
        if !record.unfilled.is_empty() {
            let mut job = world.repair_job(node);
            job.nodes.push(world.target(node));
            floe_sidecar::run_repair_job(hand.env(), &job).await.unwrap();
        }
        rest(Duration::from_secs(1)).await;
    }
    panic!("it does not move");
}

#[test]
fn a_partition_amid_an_epoch_change_heals() {
    play(|world, hand, _| async move {
        let (draft, certified) = written(&hand, &ALL, 1).await;
        let c = hand.node(2);
        // A, B and the steward on one side; C, which is new, and D on the other.
        world.set_incarnation(&c, Incarnation(1));
        world.restart(c.as_str()).await;
        while hand.nodes.identity(&world.target(&c)).await.is_err() {
            rest(Duration::from_millis(100)).await;
        }
        let cut = |world: &World| {
            for one in ["node-0", "node-1", "script"] {
                for other in ["node-2", "node-3"] {
                    world.cut(one, other);
                }
            }
        };
        let join = |world: &World| {
            for one in ["node-0", "node-1", "script"] {
                for other in ["node-2", "node-3"] {
                    world.join(one, other);
                }
            }
        };
        // At some step of the pass.
        let mut steward = succession::open(&world, "steward");
        let wanted = succession::wanted(&world);
        let amid = async {
            let dir = std::path::Path::new("/data/records");
            while world.disk("steward").files().iter().filter(|it| it.0.starts_with(dir)).count()
                < 3
            {
                rest(Duration::from_millis(4)).await;
            }
            rest(Duration::from_millis(12)).await;
            cut(&world);
        };
        let (pass, ()) = tokio::join!(steward.pass(&wanted), amid);
        let pushed = pass.unwrap().outcome;
        assert!(matches!(pushed, Outcome::Pushed(..) | Outcome::Committed(..)), "{pushed:?}");
        assert!(matches!(look(&world).await.outcome, Outcome::Waiting(_)), "n-f are out of reach");
        join(&world);
        settle(&world).await;
        let record = assert_one_chain(&world, &hand).await;
        assert_eq!(record.members[2].incarnation, Incarnation(1));
        let under = hand.under(&record);
        for at in ALL {
            until(&hand, &under.target(at), |it| it.slivers.held == 2).await;
            let answer = under.put_certificate(at, &certified).await.unwrap();
            assert_eq!(answer.state, Acknowledgement::Acknowledged, "node {at}");
        }
        assert_read(&hand.client(), &draft, 1).await;
    });
}
