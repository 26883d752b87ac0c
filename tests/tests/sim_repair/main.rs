//! Lost volumes that repair jobs fill under leases, while jobs are killed and paused, the node that
//! gives the leases starts again, and peers lie or are away: in the end it holds all that it owes, and
//! stored nothing twice.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

mod leases;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_env::Random as _;
use floe_model::{Incarnation, NodeName};
use floe_tests::sim_committee::jobs::{Assigned, JobOutcome};
use floe_tests::sim_committee::workload::{self, Answer, Book, Contents};
use floe_tests::sim_committee::{
    Application, ByHand, Lie, Setup, World, for_seeds, inspect, run, upheaval,
};
use tokio::sync::{Mutex, watch};

/// A third of the blobs are larger.
const LARGE_BYTES: usize = 150 << 10;
/// How long harm is done.
const HARM: Duration = Duration::from_secs(15);
/// How long a step may take that nothing disturbs.
const LONG: Duration = Duration::from_mins(10);
/// A lease ends if it is not renewed for so long.
const LEASE_TTL: Duration = Duration::from_mins(1);
/// Until a steward has looked at all nodes again.
const LOOK: Duration = Duration::from_secs(5);
/// What may be read for a thousand bytes that are restored, when nothing is in the way.
const MOST_READ_PER_1000: u64 = 1_050;

fn setup(seed: u64) -> Setup {
    let (shards, nodes) = if seed % 8 == 5 { (7, 7) } else { (4, 4) };
    let tick = Duration::from_millis(4);
    Setup { shards, nodes, gateways: 1, stewards: 1, jobs: 2, tick, ..Setup::small(seed) }
}

/// What happens to a volume beside its loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weather {
    /// Jobs are killed and paused, peers lie and fail.
    harm: bool,
    /// The node loses power, and with it what was not synced; else its process is killed.
    power: bool,
    /// Blobs are written meanwhile.
    writes: bool,
}

impl Weather {
    const fn of(seed: u64) -> Self {
        Self { harm: !seed.is_multiple_of(8), power: seed % 2 == 1, writes: seed % 4 == 3 }
    }
}

struct Scene {
    world: Arc<World>,
    hand: ByHand,
    weather: Weather,
    contents: Contents,
    /// The node whose volume is lost.
    lost: NodeName,
    /// Held while a node is off, or steps in time are taken: who is off then would count as lost.
    quiet: Mutex<()>,
}

impl Scene {
    fn below(&self, limit: u64) -> u64 {
        self.world.random().below(limit)
    }

    async fn rest(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(self.below(millis))).await;
    }

    /// Writes a blob, which must succeed if nothing is in the way.
    async fn write(&self, name: String, is_large: bool, must: bool) -> Book {
        let gateway = &self.world.gateways()[0];
        let application = Application::new(&self.world, self.hand.env(), gateway);
        let mut book = Book::new(name);
        let mut content: Bytes = self.contents.draw();
        while is_large && content.len() < LARGE_BYTES {
            content = self.contents.draw();
        }
        let reply = application.put(book.name(), content.clone()).await;
        let answer = workload::answer(&reply);
        assert!(!must || answer == Answer::Created, "{reply:?}");
        book.put(content, &answer);
        book
    }

    async fn writes(&self, stop: watch::Receiver<bool>) -> Vec<Book> {
        let mut books = Vec::new();
        while self.weather.writes && !*stop.borrow() {
            books.push(self.write(format!("late-{}", books.len()), false, false).await);
            self.rest(2000).await;
        }
        books
    }

    /// Jobs are killed, or do not reach the node for longer than a lease holds.
    async fn jobs(&self, stop: watch::Receiver<bool>) {
        let jobs = self.world.jobs();
        while !*stop.borrow() {
            self.rest(1500).await;
            let job = &jobs[usize::try_from(self.below(jobs.len() as u64)).unwrap()];
            if self.below(3) > 0 {
                self.world.kill(job).await;
                self.rest(800).await;
                self.world.start(job).await;
                continue;
            }
            self.world.hold(job, self.lost.as_str());
            self.rest(1500).await;
            {
                let _quiet = self.quiet.lock().await;
                self.world.pass(LEASE_TTL);
                tokio::time::sleep(LOOK).await;
            }
            self.world.release(job, self.lost.as_str());
        }
    }

    /// The node that gives leases starts again, or its volume is lost once more.
    async fn target(&self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.rest(4000).await;
            let _quiet = self.quiet.lock().await;
            let host = self.lost.as_str();
            if self.below(8) == 0 {
                self.lose().await;
                continue;
            }
            if self.weather.power {
                let patience = Duration::from_millis(500);
                self.world.power_loss_amid(host, self.below(60), patience).await;
                inspect::volume(&self.world, &self.lost, false);
            } else {
                self.world.kill(host).await;
            }
            self.rest(1000).await;
            self.world.start(host).await;
            self.world.serving(&self.hand.nodes, &self.lost).await;
        }
    }

    /// Others tell lies, or are away.
    async fn peers(&self, stop: watch::Receiver<bool>) {
        let others = self.world.nodes().iter().filter(|node| **node != self.lost);
        let others: Vec<&NodeName> = others.collect();
        while !*stop.borrow() {
            self.rest(2000).await;
            let node = others[usize::try_from(self.below(others.len() as u64)).unwrap()];
            let host = node.as_str();
            if self.below(2) == 0 {
                let lie = Lie::tell(&self.world, host, self.below(2) == 0);
                self.rest(6000).await;
                lie.take_back(&self.world);
            } else {
                let _quiet = self.quiet.lock().await;
                self.world.power_loss(host).await;
                self.rest(3000).await;
                self.world.start(host).await;
                self.world.serving(&self.hand.nodes, node).await;
            }
        }
    }

    /// The disk is lost; waits until the next volume has its place in the chain.
    async fn lose(&self) {
        let before = self.world.incarnation(&self.lost);
        upheaval::wipe(&self.world, self.lost.as_str()).await;
        let next = Incarnation(before.0 + 1);
        let is_next = |report: &floe_api::report::NodeReport| {
            report.incarnation == next
                && !report.unfilled.is_empty()
                && report.epoch.is_some_and(|epoch| epoch.committed)
        };
        self.world.until(&self.hand.nodes, &self.lost, is_next).await;
    }

    /// Waits until every node is whole.
    async fn whole(&self) {
        for node in self.world.nodes() {
            upheaval::whole(&self.world, &self.hand, node).await;
        }
    }

    async fn harm(&self) -> Vec<Book> {
        let (stop, stopped) = watch::channel(false);
        let clock = async {
            tokio::time::sleep(HARM).await;
            stop.send_replace(true);
        };
        let (books, (), (), (), ()) = tokio::join!(
            self.writes(stopped.clone()),
            self.jobs(stopped.clone()),
            self.target(stopped.clone()),
            self.peers(stopped.clone()),
            clock,
        );
        books
    }

    /// What jobs did until all of them found nothing to do.
    async fn jobs_end(&self) -> Vec<JobOutcome> {
        let end = tokio::time::Instant::now() + LONG;
        let mut all = Vec::new();
        let mut idle: BTreeSet<String> = BTreeSet::new();
        while idle.len() < self.world.jobs().len() {
            for (host, done) in self.world.take_jobs_done() {
                if done.as_ref().is_ok_and(|done| done.leases == 0) {
                    idle.insert(host);
                }
                all.push(done);
            }
            assert!(tokio::time::Instant::now() < end, "jobs find no end: {all:?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        all
    }
}

async fn play(world: Arc<World>) {
    let hand = ByHand::new(&world);
    for node in world.nodes() {
        world.serving(&hand.nodes, node).await;
    }
    let seed = world.setup().seed;
    let at = world.random().below(world.nodes().len() as u64);
    let scene = Scene {
        lost: world.nodes()[usize::try_from(at).unwrap()].clone(),
        weather: Weather::of(seed),
        contents: Contents::new(seed, world.geometry(), 300 << 10),
        quiet: Mutex::new(()),
        hand,
        world: Arc::clone(&world),
    };
    let mut books = Vec::new();
    for number in 0..12 {
        books.push(scene.write(format!("early-{number}"), number % 3 == 0, true).await);
    }
    scene.whole().await;
    scene.lose().await;
    let bytes_per_second = scene.weather.harm.then(|| 40_000 + world.random().below(120_000));
    world.assign(Some(Assigned { node: scene.lost.clone(), bytes_per_second }));
    if scene.weather.harm {
        books.extend(Box::pin(scene.harm()).await);
    }
    scene.whole().await;
    let done = scene.jobs_end().await;
    if !scene.weather.harm {
        check_cost(&scene, &done).await;
    }
    workload::read_all(&world, &scene.hand, &books).await;
    check_stored(&scene).await;
}

/// Nothing was in the way: what was missing came once, from few bytes.
async fn check_cost(scene: &Scene, done: &[JobOutcome]) {
    let report = scene.hand.nodes.report(&scene.world.target(&scene.lost)).await.unwrap().value;
    let sum = |of: fn(&floe_sidecar::RepairSummary) -> u64| -> u64 {
        done.iter().map(|done| of(done.as_ref().unwrap())).sum()
    };
    assert_eq!(sum(|done| done.slivers), report.slivers.owed);
    let (read, restored) = (sum(|done| done.read_bytes), sum(|done| done.restored_bytes));
    println!("{read} bytes read, {restored} restored");
    assert_eq!(restored, report.held_bytes);
    assert!(read * 1000 <= restored * MOST_READ_PER_1000, "{read} bytes read for {restored}");
    assert_eq!(report.repair.read_bytes, read, "the node was told");
}

/// A volume that never lost power, and that nobody wrote to, got every sliver once.
async fn check_stored(scene: &Scene) {
    let (world, lost) = (&scene.world, &scene.lost);
    let stored = stored(world, lost);
    let report = scene.hand.nodes.report(&world.target(lost)).await.unwrap().value;
    let twice: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
    if !scene.weather.power && !scene.weather.writes {
        assert!(twice.is_empty(), "stored more than once: {twice:?}");
        assert_eq!(stored.len() as u64, report.slivers.owed);
    }
}

/// How often each file of a sliver came to be on the volume that a node has now.
fn stored(world: &World, node: &NodeName) -> BTreeMap<String, usize> {
    let dir = world.volume_dir(node).join("slivers");
    let mut stored = BTreeMap::new();
    for line in world.log().lines() {
        let Some((_, moved)) = line.split_once(&format!(" {node} Rename ")) else { continue };
        let Some((_, to)) = moved.split_once(" to ") else { continue };
        if Path::new(to).starts_with(&dir) {
            *stored.entry(to.to_owned()).or_default() += 1;
        }
    }
    stored
}

#[test]
fn lost_volumes_are_filled_under_leases() {
    for_seeds("lost_volumes_are_filled_under_leases", 200, 5000, |seed| {
        let world = run(setup(seed), play);
        inspect::whole_volumes(&world);
        assert_eq!(world.log().panics(), Vec::<String>::new());
    });
}
