//! Few contents under many names, deleted and brought back through two gateways, while windows and
//! retentions pass: nodes are away meanwhile, bring old copies back, or tell of the past. What was
//! released leaves all disks and never comes back, what is wanted stays.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use floe_api::report::ServingState;
use floe_env::Random as _;
use floe_model::NodeName;
use floe_tests::sim::{EventLog, SimDisk};
use floe_tests::sim_committee::deletion::{self, Archive, RETENTION, WINDOW};
use floe_tests::sim_committee::inspect;
use floe_tests::sim_committee::past::Past;
use floe_tests::sim_committee::workload::{self, Answer};
use floe_tests::sim_committee::{
    Application, ByHand, Setup, World, for_seeds, run, scene, upheaval,
};
use tokio::sync::watch;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// After so long every upload that ended without a certificate has expired.
const UPLOADS: Duration = Duration::from_hours(25);
/// How often time passes.
const ROUNDS: usize = 4;
/// How long users are at work in between.
const ROUND: Duration = Duration::from_secs(8);
/// How long healing may take.
const HEALING: Duration = Duration::from_mins(20);
/// The steward that replaces an old copy; it looks at nothing else.
const STEWARD: &str = "steward-0";
const LARGEST_BYTES: usize = 300 << 10;
/// How long a node waits for leases to be taken, and a little more.
const PATIENCE: Duration = Duration::from_secs(150);

fn setup(seed: u64) -> Setup {
    Setup { stewards: 1, tick: Duration::from_millis(4), ..Setup::small(seed) }
}

/// Which node is in trouble, from one round to the next; never more than one.
enum Trouble {
    None,
    /// It is off, for so many rounds more.
    Away(NodeName, u64),
    /// It runs; its disk will be put back to this copy at the end of so many rounds more.
    Copied(NodeName, SimDisk, u64),
}

struct Scene {
    world: Arc<World>,
    hand: ByHand,
    archive: Archive,
    past: Past,
}

impl Scene {
    fn below(&self, limit: u64) -> u64 {
        self.world.random().below(limit)
    }

    async fn rest(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(self.below(millis))).await;
    }

    fn any_node(&self) -> NodeName {
        let nodes = self.world.nodes();
        nodes[usize::try_from(self.below(nodes.len() as u64)).unwrap()].clone()
    }

    async fn start(&self, node: &NodeName) {
        self.world.start(node.as_str()).await;
        self.world.serving(&self.hand.nodes, node).await;
    }

    /// What happens to nodes in one round.
    async fn trouble(&self, trouble: Trouble) -> Trouble {
        let (world, hand) = (&self.world, &self.hand);
        match trouble {
            Trouble::None => self.new_trouble().await,
            Trouble::Away(node, 0) => {
                self.rest(4000).await;
                self.start(&node).await;
                world.atlas().give_back(node.as_str());
                Trouble::None
            }
            Trouble::Away(node, more) => Trouble::Away(node, more - 1),
            Trouble::Copied(node, copy, 0) => {
                assert!(world.atlas().take_node(node.as_str()));
                self.rest(2000).await;
                world.kill(node.as_str()).await;
                world.disk(node.as_str()).restore(&copy);
                world.start(node.as_str()).await;
                world.start(STEWARD).await;
                self.alone(&node).await;
                upheaval::whole(world, hand, &node).await;
                world.kill(STEWARD).await;
                world.atlas().give_back(node.as_str());
                Trouble::None
            }
            Trouble::Copied(node, copy, more) => Trouble::Copied(node, copy, more - 1),
        }
    }

    /// Waits until a node has its next volume; nobody takes leases of what it lacks, for so long that
    /// it turns to that itself. Without a next volume the copy was not old.
    async fn alone(&self, node: &NodeName) {
        let (world, nodes) = (&self.world, &self.hand.nodes);
        world.serving(nodes, node).await;
        let unfilled = nodes.report(&world.target(node)).await.unwrap().value.unfilled;
        if !unfilled.is_empty() {
            world.pass(PATIENCE);
        }
    }

    /// A gateway ends amid whatever it does, and is started again.
    async fn gateway_trouble(&self) {
        let (world, gateways) = (&self.world, self.world.gateways());
        if self.below(2) == 0 {
            return;
        }
        let gateway = &gateways[usize::try_from(self.below(gateways.len() as u64)).unwrap()];
        self.rest(6000).await;
        world.atlas().take(gateway);
        world.kill(gateway).await;
        self.rest(1000).await;
        world.start(gateway).await;
        self.rest(3000).await;
        world.atlas().give_back(gateway);
    }

    async fn new_trouble(&self) -> Trouble {
        let (world, node) = (&self.world, self.any_node());
        let host = node.as_str();
        self.rest(2000).await;
        let kind = self.below(12);
        if kind >= 10 {
            let copy = world.disk(host).fork("copy", &EventLog::default());
            return Trouble::Copied(node, copy, self.below(2));
        }
        assert!(world.atlas().take_node(host));
        match kind {
            0..=3 => {
                world.power_loss_amid(host, self.below(40), Duration::from_secs(3)).await;
                inspect::volume(world, &node, false);
                return Trouble::Away(node, self.below(3));
            }
            4..=6 => {
                world.kill(host).await;
                world.replace_by_impostor(&node, self.past.impostor(world));
                world.start(host).await;
                self.rest(6000).await;
                world.kill(host).await;
                world.end_impostor(&node);
                self.start(&node).await;
            }
            _ => {
                for _ in 0..2 {
                    world.power_loss_amid(host, self.below(40), Duration::from_secs(2)).await;
                    inspect::volume(world, &node, false);
                    self.rest(1500).await;
                    self.start(&node).await;
                }
            }
        }
        world.atlas().give_back(host);
        Trouble::None
    }

    /// Old statements come from anywhere, until told to stop.
    async fn replay(&self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            tokio::time::sleep(Duration::from_millis(500 + self.below(1000))).await;
            self.past.replay(&self.world, &self.hand).await;
        }
    }

    /// How much time passes at the end of a round.
    fn time(&self) -> Duration {
        match self.below(11) {
            0 => Duration::ZERO,
            1 => 2 * HOUR,
            2 => 25 * HOUR,
            3 | 4 => WINDOW / 2,
            5 => WINDOW.checked_sub(MINUTE / 3).unwrap(),
            6..=8 => WINDOW + MINUTE,
            _ => RETENTION + MINUTE,
        }
    }

    async fn round(&mut self, round: usize, trouble: Trouble) -> Trouble {
        let (stop, stopped) = watch::channel(false);
        let clock = async {
            tokio::time::sleep(ROUND).await;
            stop.send_replace(true);
        };
        let (trouble, (), (), (), ()) = tokio::join!(
            self.trouble(trouble),
            self.gateway_trouble(),
            deletion::work(&self.world, &self.hand, &self.archive, round, &stopped),
            self.replay(stopped.clone()),
            clock,
        );
        scene::gossip_among(&self.world, &self.hand, &self.world.running()).await;
        self.past.note(&self.world, &self.hand).await;
        self.archive.pass(&self.world, self.time());
        trouble
    }

    /// Waits until every node holds what it owes, and nothing else, and knows what the others know.
    async fn heal(&self, nothing_else: bool) {
        let end = tokio::time::Instant::now() + HEALING;
        loop {
            let mut reports = BTreeMap::new();
            for node in self.world.nodes() {
                if let Ok(answer) = self.hand.nodes.report(&self.world.target(node)).await {
                    reports.insert(node.clone(), answer.value);
                }
            }
            let is_healed = reports.len() == self.world.nodes().len()
                && reports.iter().all(|(node, report)| {
                    let files = slivers(&self.world, node);
                    report.serving.state == ServingState::Serving
                        && report.slivers.owed == report.slivers.held
                        && (!nothing_else || report.slivers.held == files)
                });
            if is_healed {
                break;
            }
            let files = self.world.nodes().iter().map(|node| slivers(&self.world, node));
            let files: Vec<u64> = files.collect();
            assert!(
                tokio::time::Instant::now() < end,
                "it does not heal: {files:?} slivers, {reports:#?}"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        scene::gossip(&self.world, &self.hand).await;
    }

    /// What is old and in doubt is settled by and by: until then names may be unresolved.
    async fn settle(&self) {
        let end = tokio::time::Instant::now() + HEALING;
        let gateways = self.world.gateways();
        for book in self.archive.books() {
            for gateway in &gateways {
                let application = Application::new(&self.world, self.hand.env(), gateway);
                while let reply = application.get(book.name(), None).await
                    && matches!(workload::answer(&reply), Answer::Unavailable(_))
                {
                    assert!(book.certain().is_none(), "{} is not read: {reply:?}", book.name());
                    let now = tokio::time::Instant::now();
                    assert!(now < end, "{} stays unresolved: {reply:?}", book.name());
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
            }
        }
    }
}

/// Files of slivers on a node's volume.
fn slivers(world: &World, node: &NodeName) -> u64 {
    let dir = world.volume_dir(node).join("slivers");
    let files = world.disk(node.as_str()).files();
    files.iter().filter(|(path, _)| path.starts_with(&dir)).count() as u64
}

async fn play(world: Arc<World>) -> Archive {
    let hand = ByHand::new(&world);
    for node in world.nodes() {
        world.serving(&hand.nodes, node).await;
    }
    world.kill(STEWARD).await;
    let archive = Archive::new(&world, LARGEST_BYTES);
    let mut scene = Scene { world: Arc::clone(&world), hand, archive, past: Past::default() };
    let mut trouble = Trouble::None;
    for round in 0..ROUNDS {
        trouble = Box::pin(scene.round(round, trouble)).await;
    }
    if let Trouble::Away(node, _) = trouble {
        scene.start(&node).await;
        world.atlas().give_back(node.as_str());
    }
    scene.heal(false).await;
    let last = if world.setup().seed.is_multiple_of(2) { RETENTION } else { WINDOW };
    scene.archive.pass(&world, last + MINUTE);
    // Nothing begins to go before somebody looks.
    tokio::time::sleep(MINUTE).await;
    scene.settle().await;
    scene.heal(true).await;
    workload::read_all(&world, &scene.hand, &scene.archive.books()).await;
    deletion::undelete_all(&world, &scene.hand, &scene.archive).await;
    // A volume that replaced another never heard of what had ended before: it takes what all others
    // refuse to bring back for an upload, until that expires.
    scene.archive.pass(&world, UPLOADS);
    tokio::time::sleep(MINUTE).await;
    scene.heal(true).await;
    scene.archive
}

fn check_volumes(world: &World, archive: &Archive) {
    let volumes = inspect::volumes(world);
    let first = volumes.values().next().unwrap();
    for (node, volume) in &volumes {
        assert_eq!(volume.live, first.live, "{node} knows other claims");
        assert_eq!(volume.kept, volume.live, "{node} keeps something else, or not all of it");
        assert_eq!(volume.keys, volume.kept.len(), "{node} keeps what has no name");
        assert!(volume.live.is_subset(&volume.complete), "{node} lacks something");
        assert_eq!(volume.slivers as u64, slivers(world, node), "{node} has files of nothing");
        for (blob, may_be_wanted) in archive.blobs() {
            assert!(may_be_wanted || !volume.kept.contains(&blob), "{node}: {blob} came back");
        }
    }
}

#[test]
fn what_is_released_goes_and_what_is_wanted_stays() {
    for_seeds("what_is_released_goes_and_what_is_wanted_stays", 200, 5000, |seed| {
        let (give, taken) = std::sync::mpsc::channel();
        let world = run(setup(seed), |world| async move {
            give.send(Box::pin(play(world)).await).unwrap();
        });
        check_volumes(&world, &taken.recv().unwrap());
        assert_eq!(world.log().panics(), Vec::<String>::new());
    });
}
