//! The data path under random harm: what is acknowledged is read, byte for byte, while no more than
//! f shards are faulty; and when the harm ends, every node comes to hold all that it owes.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_api::report::ServingState;
use floe_env::Random;
use floe_model::NodeName;
use floe_tests::sim_committee::inspect;
use floe_tests::sim_committee::workload::{self, Answer, Book, Contents};
use floe_tests::sim_committee::{Application, ByHand, Setup, World, for_seeds, nemesis, run};
use tokio::sync::watch;

/// How long harm is done.
const HARM: Duration = Duration::from_secs(35);
/// How long healing may take.
const HEALING: Duration = Duration::from_mins(15);
/// Makes a test print the hash of its log: set by the test that compares two processes.
const HASH_ONLY: &str = "FLOE_SIM_HASH";

/// Where that test writes its log, for whoever looks for the first difference.
const LOG_FILE: &str = "FLOE_SIM_LOG";

fn setup(seed: u64) -> Setup {
    let (shards, nodes) = match seed % 5 {
        3 => (7, 7),
        4 => (10, 7),
        _ => (4, 4),
    };
    Setup { shards, nodes, ..Setup::small(seed) }
}

/// Every seventh seed writes blobs of several extents.
fn largest_bytes(seed: u64) -> usize {
    if seed % 7 == 1 { 9 << 20 } else { 2 << 20 }
}

async fn play(world: Arc<World>) {
    let hand = ByHand::new(&world);
    let seed = world.setup().seed;
    let contents = Contents::new(seed, world.geometry(), largest_bytes(seed));
    for node in world.nodes() {
        world.serving(&hand.nodes, node).await;
    }
    let away = seed.is_multiple_of(3).then(|| world.nodes()[0].clone());
    if let Some(away) = &away {
        assert!(world.atlas().take_node(away.as_str()));
        world.power_loss(away.as_str()).await;
    }
    let (stop, stopped) = watch::channel(false);
    let clock = async {
        tokio::time::sleep(HARM).await;
        stop.send_replace(true);
    };
    let (books, (), ()) = tokio::join!(
        workload::work(&world, &hand, &contents, &stopped),
        nemesis::rage(&world, &hand, stopped.clone()),
        clock,
    );
    if let Some(away) = &away {
        world.start(away.as_str()).await;
        world.serving(&hand.nodes, away).await;
        world.atlas().give_back(away.as_str());
    }
    let mut books = books;
    books.extend(last_writes(&world, &hand, &contents).await);
    heal(&world, &hand).await;
    workload::read_all(&world, &hand, &books).await;
}

/// Nothing is faulty: writes succeed. And at the very moment of an acknowledgement the power of as
/// many nodes fails as may.
async fn last_writes(world: &Arc<World>, hand: &ByHand, contents: &Contents) -> Vec<Book> {
    let mut books = Vec::new();
    for gateway in world.gateways() {
        let application = Application::new(world, hand.env(), &gateway);
        let mut book = Book::new(format!("last-{gateway}"));
        let content = contents.draw();
        let reply = application.put(book.name(), content.clone()).await;
        assert_eq!(workload::answer(&reply), Answer::Created, "{reply:?}");
        book.put(content.clone(), &Answer::Created);
        lose_power(world, hand, &application, &book, &content).await;
        books.push(book);
    }
    books
}

async fn lose_power(
    world: &Arc<World>,
    hand: &ByHand,
    application: &Application<'_>,
    book: &Book,
    content: &Bytes,
) {
    let first = usize::try_from(world.random().below(world.nodes().len() as u64)).unwrap();
    let order = world.nodes().iter().cycle().skip(first).take(world.nodes().len());
    let lost: Vec<NodeName> =
        order.filter(|node| world.atlas().take_node(node.as_str())).cloned().collect();
    for node in &lost {
        world.power_loss(node.as_str()).await;
        inspect::volume(world, node, false);
    }
    let reply = application.get(book.name(), None).await;
    assert_eq!(reply.map(|reply| reply.body).as_ref(), Ok(content), "{}", book.name());
    for node in &lost {
        world.start(node.as_str()).await;
        world.serving(&hand.nodes, node).await;
        world.atlas().give_back(node.as_str());
    }
}

/// Waits until every node holds what it owes and knows what the others know.
async fn heal(world: &Arc<World>, hand: &ByHand) {
    let end = tokio::time::Instant::now() + HEALING;
    loop {
        let mut reports = BTreeMap::new();
        for node in world.nodes() {
            if let Ok(answer) = hand.nodes.report(&world.target(node)).await {
                reports.insert(node.clone(), answer.value);
            }
        }
        let heads: BTreeMap<NodeName, _> =
            reports.iter().map(|(node, report)| (node.clone(), report.feed_head)).collect();
        let is_whole = reports.len() == world.nodes().len()
            && reports.iter().all(|(node, report)| {
                report.serving.state == ServingState::Serving
                    && report.slivers.owed == report.slivers.held
                    && heads.iter().all(|(peer, head)| {
                        let read = report.cursors.get(peer).copied();
                        let unread = head.is_some_and(|head| head.sequence > 0) && read != *head;
                        peer == node || !unread
                    })
            });
        if is_whole {
            world.log().note("harness", "healed");
            return;
        }
        assert!(tokio::time::Instant::now() < end, "it does not heal: {reports:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What all volumes hold when everything is over.
fn check_volumes(world: &World) {
    let volumes = inspect::whole_volumes(world);
    let first = volumes.values().next().unwrap();
    for (node, volume) in &volumes {
        assert_eq!(volume.certified, first.certified, "{node} knows other claims");
        assert_eq!(volume.released, first.released, "{node} knows other releases");
        assert_eq!(volume.owed, first.owed, "{node} owes something else");
    }
    assert!(first.certified.len() >= 2 && first.slivers > 0, "nothing was written");
}

fn simulate(seed: u64) -> Arc<World> {
    let world = run(setup(seed), play);
    check_volumes(&world);
    assert_eq!(world.log().panics(), Vec::<String>::new());
    world
}

#[test]
fn acknowledged_blobs_survive_and_everything_heals() {
    for_seeds("acknowledged_blobs_survive_and_everything_heals", 50, 1000, |seed| {
        simulate(seed);
    });
}

/// Run by the next test, in processes of its own.
#[test]
fn prints_the_hash_of_its_log() {
    if let Ok(seed) = std::env::var(HASH_ONLY) {
        let world = simulate(seed.parse().unwrap());
        println!("log {}", world.log().sha256());
        if let Ok(path) = std::env::var(LOG_FILE) {
            std::fs::write(path, world.log().lines().join("\n")).unwrap();
        }
    }
}

#[test]
fn equal_seeds_give_equal_logs_in_two_processes() {
    for_seeds("equal_seeds_give_equal_logs_in_two_processes", 2, 20, |seed| {
        let hash = || {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "prints_the_hash_of_its_log", "--nocapture"])
                .env(HASH_ONLY, seed.to_string())
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let found = text.lines().find_map(|line| line.strip_prefix("log ")).map(str::to_owned);
            found.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
        };
        assert_eq!(hash(), hash(), "seed {seed}");
    });
}
