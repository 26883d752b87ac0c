//! A lost volume from its loss to the record that calls its shards filled, again and again, with a crash
//! after one step more of whoever works on it (with `FLOE_SLOW=1` after every one, else other seeds have
//! other steps): the end is always the same.

use std::cell::Cell;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use floe_env::Disk;
use floe_model::{EpochTree, Incarnation, NodeName};
use floe_sidecar::run_repair_job;
use floe_steward::{FileRecordLog, Outcome, RecordLog};
use floe_tests::process::is_slow;
use floe_tests::sim_committee::succession::{self, wanted};
use floe_tests::sim_committee::{ByHand, Chronicle, Draft, World};

use crate::{assert_one_chain, assert_read, play, rest, targets, until, written};

/// Volumes of one node that a simulation has certificates for.
const MOST_VOLUMES: u32 = 11;
/// A process that looks again.
const AGAIN: Duration = Duration::from_millis(300);

/// Drives a future for so many steps: it is polled whenever something happened that it waits for.
/// `None` if it is not done by then, and is gone like a process that is killed.
async fn for_steps<T>(
    steps: usize,
    taken: &Cell<usize>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if taken.get() == steps {
            return Poll::Ready(None);
        }
        taken.set(taken.get() + 1);
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // The step after the last one is not waited for.
            Poll::Pending if taken.get() == steps => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A committee with blobs, whose volumes are lost one after the other.
struct Scene {
    world: Arc<World>,
    hand: ByHand,
    blobs: Vec<(Draft, u8)>,
    losses: usize,
}

impl Scene {
    async fn new(world: Arc<World>, hand: ByHand) -> Self {
        let mut blobs = Vec::new();
        for claim in [1, 2] {
            blobs.push((written(&hand, &[0, 1, 2, 3], claim).await.0, claim));
        }
        Self { world, hand, blobs, losses: 0 }
    }

    /// The next node loses its volume; its next one starts, empty.
    async fn lose(&mut self) -> NodeName {
        let node = self.hand.node(self.losses % 4);
        let next = Incarnation(self.world.incarnation(&node).0 + 1);
        assert!(next.0 <= MOST_VOLUMES);
        self.losses += 1;
        self.world.set_incarnation(&node, next);
        self.world.restart(node.as_str()).await;
        node
    }

    /// A job fills what the node lacks, if it lacks anything that is given out.
    async fn fill(&self, node: &NodeName) {
        let job = self.world.repair_job(node);
        run_repair_job(self.hand.env(), &job).await.unwrap();
    }

    /// Stewards look until the node's new volume is in a committed record; then a job fills it, and they
    /// look until that is in one as well.
    async fn heal(&self, node: &NodeName) {
        let incarnation = self.world.incarnation(node);
        let mut steward = succession::open(&self.world, "steward");
        for _ in 0..200 {
            if let Ok(pass) = steward.pass(&wanted(&self.world)).await {
                let (_, record) = pass.record.unwrap();
                if record.member(node).unwrap().incarnation == incarnation {
                    if record.unfilled.is_empty() && pass.outcome == Outcome::Settled {
                        return;
                    }
                    self.fill(node).await;
                }
            }
            rest(AGAIN).await;
        }
        panic!("{node}-{incarnation} is not filled");
    }

    /// The end is the same whatever crashed: one chain, nothing unfilled, nothing owed that is not held.
    async fn assert_well(&self) {
        let record = assert_one_chain(&self.world, &self.hand).await;
        assert_eq!(record.unfilled, []);
        for member in &record.members {
            assert_eq!(member.incarnation, self.world.incarnation(&member.node));
            let held = 2 * self.blobs.len() as u64;
            let whole = |it: &floe_api::report::NodeReport| {
                (it.slivers.owed, it.slivers.held) == (held, held)
            };
            until(&self.hand, &self.world.target(&member.node), whole).await;
        }
    }

    /// Every record that a node holds is the one that the log has under its number.
    async fn assert_numbers_used_once(&self) {
        let mut env = self.world.env("steward");
        env.disk = Arc::new(self.world.disk("steward").clone());
        let log = FileRecordLog::new(env, Path::new("/data/records").to_owned());
        let logged = log.read_all().await.unwrap();
        let mut chronicle = Chronicle::new(&self.world);
        for target in targets(&self.hand, &[0, 1, 2, 3]) {
            chronicle.read(&target).await;
        }
        let tree: &EpochTree = chronicle.tree();
        for (_, signed) in tree.records() {
            assert!(logged.iter().any(|it| it == signed.as_ref()), "{}", signed.record.number);
        }
    }

    async fn assert_all_read(&self) {
        let target = self.hand.target(0);
        let client = self.hand.client_of(self.hand.nodes.epoch(&target).await.unwrap().value);
        for (draft, claim) in &self.blobs {
            assert_read(&client, draft, *claim).await;
        }
    }
}

/// The newest record leaves the log, as if a backup was played back; the log then forgot at most what was
/// not committed before.
fn forget_newest(world: &World) {
    let (disk, dir) = (world.disk("steward"), Path::new("/data/records"));
    let mut names: Vec<String> = disk.list(dir).unwrap().into_iter().map(|it| it.name).collect();
    names.retain(|name| name.ends_with(".record"));
    names.sort();
    disk.remove_file(&dir.join(names.pop().unwrap())).unwrap();
}

/// Loses volume after volume; in each loss the steward ends after one step more, in the pass that makes
/// the record and in the one that carries the whole. `harm` comes between it and the next steward.
fn stewards_die(every: usize, numbers_once: bool, harm: fn(&World)) {
    play(move |world, hand, _| async move {
        let mut scene = Scene::new(world, hand).await;
        // Other seeds have other steps.
        let every = if is_slow() { 1 } else { every };
        let mut steps = 1 + usize::try_from(scene.world.setup().seed).unwrap() % every;
        let mut ends = 0;
        while ends < 2 {
            ends = 0;
            let node = scene.lose().await;
            Chronicle::new(&scene.world).identity(&scene.world.target(&node)).await;
            for filled in [false, true] {
                if filled {
                    // The record stands: its shards are filled, and said to be.
                    scene.committed(&node).await;
                    scene.fill(&node).await;
                    let target = scene.world.target(&node);
                    until(&scene.hand, &target, |it| {
                        it.wholes.len() == 1 || it.unfilled.is_empty()
                    })
                    .await;
                }
                let (taken, wanted) = (Cell::new(0), wanted(&scene.world));
                let mut steward = succession::open(&scene.world, "steward");
                let done = for_steps(steps, &taken, steward.pass(&wanted)).await;
                ends += usize::from(done.is_some());
                drop(steward);
                scene.world.disk("steward").kill();
                harm(&scene.world);
            }
            scene.heal(&node).await;
            scene.assert_well().await;
            if numbers_once {
                scene.assert_numbers_used_once().await;
            }
            steps += every;
            if scene.losses == 4 * MOST_VOLUMES as usize {
                break;
            }
        }
        println!("{} losses, up to {steps} steps, {ends} of 2 passes ended", scene.losses);
        scene.assert_all_read().await;
    });
}

impl Scene {
    /// Waits until the node's volume is in a committed record; a steward looks.
    async fn committed(&self, node: &NodeName) {
        let incarnation = self.world.incarnation(node);
        for _ in 0..100 {
            let pass = crate::look(&self.world).await;
            let (_, record) = pass.record.unwrap();
            if record.member(node).unwrap().incarnation == incarnation {
                return;
            }
            rest(AGAIN).await;
        }
        panic!("{node}-{incarnation} is in no record");
    }
}

#[test]
fn a_steward_may_die_after_any_step() {
    stewards_die(4, true, |_| ());
}

/// The same, and the log is put back after each death: what nodes accepted wins.
#[test]
fn the_log_may_be_put_back_after_any_step() {
    stewards_die(5, false, forget_newest);
}

#[test]
fn two_stewards_at_once_make_one_chain() {
    play(|world, hand, _| async move {
        let mut scene = Scene::new(world, hand).await;
        for delay_millis in [0, 1, 8, 40, 90, 150] {
            let node = scene.lose().await;
            Chronicle::new(&scene.world).identity(&scene.world.target(&node)).await;
            let wanted = wanted(&scene.world);
            let (mut one, mut other) = (
                succession::open(&scene.world, "steward"),
                succession::open(&scene.world, "steward"),
            );
            let late = async {
                rest(Duration::from_millis(delay_millis)).await;
                other.pass(&wanted).await
            };
            // The slower one may find its number used, the log locked, or nothing left to do.
            let (first, second) = tokio::join!(one.pass(&wanted), late);
            assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
            scene.heal(&node).await;
            scene.assert_well().await;
            scene.assert_numbers_used_once().await;
        }
        scene.assert_all_read().await;
    });
}

/// The filling node loses power after one change of its disk more each time, from its first start on; its
/// volume is the same one after that, or was never shown to anybody.
#[test]
fn a_node_that_fills_may_lose_power_after_any_change_of_its_disk() {
    play(|world, hand, _| async move {
        let mut scene = Scene::new(world, hand).await;
        let mut changes = 0;
        while scene.losses < 40 {
            let node = scene.hand.node(scene.losses % 4);
            scene.lose().await;
            scene.world.disk(node.as_str()).halt_after(changes);
            let end = tokio::time::Instant::now() + Duration::from_secs(20);
            let disk = scene.world.disk(node.as_str()).clone();
            let halted = async {
                while !disk.is_halted() && tokio::time::Instant::now() < end {
                    rest(Duration::from_millis(4)).await;
                }
            };
            tokio::select! {
                biased;
                () = halted => {}
                () = scene.heal(&node) => {}
            }
            let was_halted = disk.is_halted();
            scene.world.power_loss(node.as_str()).await;
            scene.world.start(node.as_str()).await;
            scene.heal(&node).await;
            scene.assert_well().await;
            if !was_halted {
                break;
            }
            changes += if is_slow() { 1 + changes / 20 } else { 1 + changes / 3 };
        }
        println!("{} losses, up to {changes} changes", scene.losses);
        scene.assert_all_read().await;
    });
}

/// The job is gone after one step more each time; the next one goes on, and nothing is stored twice.
#[test]
fn a_repair_job_may_die_after_any_step() {
    play(|world, hand, _| async move {
        let mut scene = Scene::new(world, hand).await;
        let mut steps = 1;
        while scene.losses < 40 {
            let node = scene.lose().await;
            Chronicle::new(&scene.world).identity(&scene.world.target(&node)).await;
            scene.committed(&node).await;
            let (job, taken) = (scene.world.repair_job(&node), Cell::new(0));
            let done =
                for_steps(steps, &taken, Box::pin(run_repair_job(scene.hand.env(), &job))).await;
            let ended = done.is_some();
            if let Some(done) = done {
                done.unwrap();
            }
            // What it had leased is given out again when its minute is over.
            scene.heal(&node).await;
            scene.assert_well().await;
            if ended {
                break;
            }
            steps += if is_slow() { 1 + steps / 12 } else { 1 + steps / 2 };
        }
        println!("{} losses, up to {steps} steps", scene.losses);
        scene.assert_all_read().await;
    });
}
