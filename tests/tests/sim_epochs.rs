//! Lost disks, long absences, old copies, killed stewards, a forgotten log, nodes that join and leave,
//! while applications read and write: what was acknowledged is read, the chain never forks, never more
//! than f shards are unfilled, and in the end every node holds what it owes.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use floe_model::{EpochTree, RecordHash};
use floe_tests::sim_committee::workload::{self, Contents};
use floe_tests::sim_committee::{ByHand, Setup, World, for_seeds, inspect, nemesis, run, upheaval};
use tokio::sync::watch;

/// How long harm is done.
const HARM: Duration = Duration::from_secs(25);
/// How long healing may take.
const HEALING: Duration = Duration::from_mins(20);

fn setup(seed: u64) -> Setup {
    let (shards, nodes, spares) = match seed % 16 {
        0 => (7, 7, 0),
        1 | 9 => (10, 7, 1),
        _ => (4, 4, 0),
    };
    let stewards = 1 + usize::try_from(seed / 2 % 2).unwrap();
    let tick = Duration::from_millis(4);
    Setup { shards, nodes, spares, stewards, tick, ..Setup::small(seed) }
}

async fn play(world: Arc<World>) {
    let hand = ByHand::new(&world);
    let contents = Contents::new(world.setup().seed, world.geometry(), 300 << 10);
    for node in world.nodes() {
        world.serving(&hand.nodes, node).await;
    }
    let (stop, stopped) = watch::channel(false);
    let clock = async {
        tokio::time::sleep(HARM).await;
        stop.send_replace(true);
    };
    // Every second seed has all the other harm as well.
    let all = world.setup().seed % 2 == 1;
    let nemesis = async {
        if all {
            nemesis::rage(&world, &hand, stopped.clone()).await;
        }
    };
    let (books, (), (), ()) = tokio::join!(
        workload::work(&world, &hand, &contents, &stopped),
        upheaval::rage(&world, &hand, stopped.clone()),
        nemesis,
        clock,
    );
    settle(&world, &hand).await;
    workload::read_all(&world, &hand, &books).await;
    check_chain(&world, &hand).await;
}

/// Waits until all members are whole, in the same epoch, and know what the others know.
async fn settle(world: &Arc<World>, hand: &ByHand) {
    let end = tokio::time::Instant::now() + HEALING;
    loop {
        let mut reports = BTreeMap::new();
        for node in world.nodes() {
            if let Ok(answer) = hand.nodes.report(&world.target(node)).await {
                reports.insert(node.clone(), answer.value);
            }
        }
        let epochs: BTreeSet<Option<RecordHash>> =
            reports.values().map(|report| report.epoch.map(|epoch| epoch.hash)).collect();
        let is_settled = reports.len() == world.nodes().len()
            && epochs.len() == 1
            && reports.values().all(upheaval::is_whole);
        if is_settled {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "it does not settle: {reports:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// One chain: of all records with a proof, each is an ancestor of the next.
async fn check_chain(world: &Arc<World>, hand: &ByHand) {
    let mut tree = EpochTree::default();
    for node in world.nodes() {
        let chain = hand.nodes.epoch(&world.target(node)).await.unwrap().value;
        for link in chain.links {
            tree.check_record(&link.record, None).unwrap();
            tree.insert(Arc::new(link.record));
            if let Some(proof) = link.proof {
                tree.check_proof(&proof).unwrap();
                tree.insert_proof(Arc::new(proof));
            }
        }
    }
    let (newest, signed) = tree.committed().unwrap();
    let most = usize::from(world.geometry().faulty());
    let mut committed = 0;
    for (hash, known) in tree.records() {
        if tree.is_committed(hash) {
            committed += 1;
            assert!(tree.is_ancestor(hash, &newest), "record {} forks", known.record.number);
            assert!(known.record.unfilled.len() <= most && !known.record.forced);
        }
    }
    assert!(signed.record.unfilled.is_empty());
    world.log().note("harness", format!("{committed} records are committed"));
    println!("seed {}: {committed} records committed", world.setup().seed);
}

#[test]
fn a_committee_outlives_its_parts() {
    for_seeds("a_committee_outlives_its_parts", 200, 5000, |seed| {
        let world = run(setup(seed), play);
        inspect::whole_volumes(&world);
        assert_eq!(world.log().panics(), Vec::<String>::new());
    });
}
