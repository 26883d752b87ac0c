//! Stewards against nodes that keep what they accept, over real TLS on loopback.

use std::path::{Path, PathBuf};

use floe_env::BoxFuture;
use floe_model::Incarnation;

use super::*;
use crate::genesis::genesis;
use crate::record_log::FileRecordLog;
use crate::tests::fixture::fake_node::FakeFleet;
use crate::tests::fixture::{config, name};

const GRACE: Duration = Duration::from_hours(1);
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

struct World {
    fleet: FakeFleet,
    wanted: Vec<Wanted>,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

impl World {
    /// n = 4, f = 1; four nodes that have begun.
    async fn begun() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fleet = FakeFleet::new(dir.path(), &NAMES).await;
        let wanted = NAMES.map(|node| Wanted {
            node: name(node),
            incarnation: Incarnation(0),
            address: String::new(),
            zone: String::new(),
            host: String::new(),
            weight: 1,
        });
        let log = dir.path().join("records");
        let mut world = Self { fleet, wanted: wanted.to_vec(), log, _dir: dir };
        world.find();
        world.form().await;
        world
    }

    /// Brings the committee as it is wanted to its committed record 0, or finds it there.
    async fn form(&self) {
        let mut config = config();
        for node in &mut config.nodes {
            let wanted = self.wanted.iter().find(|wanted| wanted.node == node.node).unwrap();
            node.incarnation = wanted.incarnation;
            node.address.clone_from(&wanted.address);
        }
        let FakeFleet { env, trust, client, .. } = &self.fleet;
        let log = FileRecordLog::new(env.clone(), self.log.clone());
        genesis(env, client, &log, &Keys::from(trust), &config).await.unwrap();
    }

    fn find(&mut self) {
        for wanted in &mut self.wanted {
            wanted.address.clone_from(&self.fleet.addresses[wanted.node.as_str()]);
        }
    }

    /// A steward that remembers nothing.
    fn steward_at(&self, log: &Path) -> Steward {
        let log = FileRecordLog::new(self.fleet.env.clone(), log.to_owned());
        self.steward_with(Arc::new(log))
    }

    fn steward_with(&self, log: Arc<dyn RecordLog>) -> Steward {
        let FakeFleet { env, trust, client, .. } = &self.fleet;
        Steward::new(env.clone(), client.clone(), log, Keys::from(trust), GRACE)
    }

    async fn pass(&self) -> Outcome {
        self.steward_at(&self.log).pass(&self.wanted).await.unwrap().outcome
    }

    /// The node's volume is lost; the next one starts, empty.
    async fn replace(&mut self, node: &'static str, incarnation: u32) {
        drop(self.fleet.stop(node).await);
        self.fleet.start(node, incarnation).await;
        let wanted = self.wanted.iter_mut().find(|wanted| wanted.node == name(node)).unwrap();
        wanted.incarnation = Incarnation(incarnation);
        self.find();
    }

    /// The number of the record that each node accepted last.
    fn numbers(&self) -> Vec<u64> {
        let last =
            |chain: Chain| chain.links.last().map_or(u64::MAX, |it| it.record.record.number.0);
        self.fleet.chains().map(|(_, chain)| last(chain)).collect()
    }
}

fn committed(number: u64) -> Outcome {
    Outcome::Committed(EpochNumber(number), Vec::new())
}

#[tokio::test]
async fn a_lost_volume_is_replaced_and_fills() {
    let mut world = World::begun().await;
    assert_eq!(world.pass().await, Outcome::Settled);
    world.replace("b", 1).await;
    assert_eq!(world.pass().await, committed(1));
    assert_eq!(world.numbers(), [1, 1, 1, 1]);
    let pass = world.steward_at(&world.log).pass(&world.wanted).await.unwrap();
    assert_eq!(pass.outcome, Outcome::Settled);
    let (since, record) = pass.record.unwrap();
    let deficit = Deficit {
        node: name("b"),
        incarnation: Incarnation(1),
        shards: record.member(&name("b")).unwrap().shards.clone(),
        since,
    };
    assert_eq!(pass.deficits, [deficit]);
    world.fleet.node("b").fill();
    assert_eq!(world.pass().await, committed(2));
    let chain = world.fleet.node("a").chain();
    assert_eq!(chain.links.len(), 3);
    assert!(chain.links.iter().all(|link| link.proof.is_some()));
    assert_eq!(chain.links[2].record.record.unfilled, []);
    assert_eq!(world.pass().await, Outcome::Settled);
}

#[tokio::test]
async fn whoever_sees_the_hosts_can_give_a_volume_up() {
    let world = World::begun().await;
    let mut steward = world.steward_at(&world.log);
    assert_eq!(steward.pass(&world.wanted).await.unwrap().to_replace(), []);
    let volume = (name("b"), Incarnation(0));
    let gone = Word::Gone("its claim is lost".to_owned());
    steward.hear(BTreeMap::from([(volume.clone(), gone)]), GRACE);
    assert_eq!(steward.pass(&world.wanted).await.unwrap().to_replace(), [volume]);
}

#[tokio::test]
async fn a_committee_is_found_again_when_no_first_volume_is_left() {
    let mut world = World::begun().await;
    for (node, number) in NAMES.into_iter().zip((1..).step_by(2)) {
        world.replace(node, 1).await;
        assert_eq!(world.pass().await, committed(number));
        world.fleet.node(node).fill();
        assert_eq!(world.pass().await, committed(number + 1));
        world.form().await;
    }
}

#[tokio::test]
async fn who_was_away_is_told_later() {
    let mut world = World::begun().await;
    world.replace("b", 1).await;
    assert_eq!(world.pass().await, committed(1));
    let away = world.fleet.stop("d").await;
    world.fleet.node("b").fill();
    assert_eq!(world.pass().await, committed(2));
    world.fleet.resume("d", away).await;
    world.find();
    // The addresses of nodes are in the record: d has another one now.
    assert_eq!(world.pass().await, committed(3));
    assert_eq!(world.numbers(), [3, 3, 3, 3]);
    // One that never heard of anything, and starts again with an empty memory of the chain.
    let next = world.fleet.stop("b").await;
    next.forget();
    world.fleet.resume("b", next).await;
    assert_eq!(world.numbers(), [3, u64::MAX, 3, 3]);
    world.find();
    assert_eq!(world.pass().await, committed(4));
    assert_eq!(world.numbers(), [4, 4, 4, 4]);
}

/// A log whose steward dies right after a record was created, or right before.
struct DeadlyLog {
    log: FileRecordLog,
    creates: bool,
}

impl RecordLog for DeadlyLog {
    fn create<'a>(&'a self, record: &'a SignedRecord) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            if self.creates {
                self.log.create(record).await?;
            }
            Err(LogError::Locked(PathBuf::from("killed")))
        })
    }

    fn read_all(&self) -> BoxFuture<'_, Result<Vec<SignedRecord>, LogError>> {
        self.log.read_all()
    }
}

#[tokio::test]
async fn a_steward_may_die_anywhere() {
    let mut world = World::begun().await;
    world.replace("c", 1).await;
    for creates in [false, true] {
        let log = FileRecordLog::new(world.fleet.env.clone(), world.log.clone());
        let mut steward = world.steward_with(Arc::new(DeadlyLog { log, creates }));
        steward.pass(&world.wanted).await.unwrap_err();
    }
    // Created, and nobody heard of it: the same record goes on.
    let mut steward = world.steward_at(&world.log);
    let hash = steward.look(&world.wanted).await.unwrap();
    assert_eq!(hash.highest, 1);
    // Pushed to one node, and no further.
    let tip = steward.tree.tips()[0];
    world.fleet.node("a").push(steward.chain(&tip)).unwrap();
    drop(steward);
    assert_eq!(world.pass().await, committed(1));
    // Proved, and told to nobody: the others have accepted it, and the next one proves it again.
    world.fleet.node("c").fill();
    let mut steward = world.steward_at(&world.log);
    let seen = steward.look(&world.wanted).await.unwrap();
    let lost = BTreeSet::new();
    let Decision::Propose(record, _) =
        succeed(&situation(&steward.tree, &seen, &world.wanted, &lost))
    else {
        panic!("no proposal");
    };
    let hash = steward.create(*record).await.unwrap();
    for node in NAMES {
        world.fleet.node(node).push(steward.chain(&hash)).unwrap();
    }
    drop(steward);
    assert_eq!(world.pass().await, committed(2));
    assert_eq!(world.pass().await, Outcome::Settled);
}

#[tokio::test]
async fn two_stewards_make_one_chain() {
    let mut world = World::begun().await;
    let mut one = world.steward_at(&world.log);
    let mut other = world.steward_at(&world.log);
    for incarnation in 1..4 {
        world.replace("b", incarnation).await;
        let (first, second) = futures::join!(one.pass(&world.wanted), other.pass(&world.wanted));
        // One of them may find the number used, or the log in use.
        assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
        let mut outcome = world.pass().await;
        for _ in 0..5 {
            if outcome == Outcome::Settled {
                break;
            }
            outcome = world.pass().await;
        }
        assert_eq!(outcome, Outcome::Settled);
    }
    let heads: BTreeSet<RecordHash> = world
        .fleet
        .chains()
        .map(|(_, chain)| chain.links.last().unwrap().record.record.hash())
        .collect();
    assert_eq!(heads.len(), 1);
}

#[tokio::test]
async fn what_nodes_hold_wins_over_a_log_that_was_restored() {
    let mut world = World::begun().await;
    world.replace("b", 1).await;
    assert_eq!(world.pass().await, committed(1));
    let log = |dir: &Path| FileRecordLog::new(world.fleet.env.clone(), dir.to_owned());
    let records = log(&world.log).read_all().await.unwrap();
    let restored = world.log.with_extension("restored");
    log(&restored).create(&records[0]).await.unwrap();
    world.log = restored;
    assert_eq!(world.pass().await, Outcome::Settled);
    world.fleet.node("b").fill();
    assert_eq!(world.pass().await, committed(2));
}

#[tokio::test]
async fn beyond_the_limit_only_force_goes_on() {
    let mut world = World::begun().await;
    for node in ["a", "b"] {
        world.replace(node, 1).await;
    }
    let Outcome::Waiting(blockers) = world.pass().await else { panic!("it does not wait") };
    assert!(matches!(&blockers[0], Blocker::BeyondLimit { lost, faulty: 1 } if lost.len() == 2));
    let forced = world.steward_at(&world.log).force(&world.wanted, None).await.unwrap();
    assert_eq!(forced.outcome, committed(1));
    let (_, record) = forced.record.unwrap();
    assert!(record.forced && record.unfilled.len() == 2);
    for node in ["a", "b"] {
        world.fleet.node(node).fill();
    }
    assert_eq!(world.pass().await, committed(2));
    assert_eq!(world.pass().await, Outcome::Settled);
}

#[tokio::test]
async fn a_node_that_stays_silent_is_lost_after_the_grace() {
    let mut world = World::begun().await;
    drop(world.fleet.stop("c").await);
    let FakeFleet { env, trust, client, .. } = &world.fleet;
    let log: Arc<dyn RecordLog> = Arc::new(FileRecordLog::new(env.clone(), world.log.clone()));
    let mut steward =
        Steward::new(env.clone(), client.clone(), log, Keys::from(trust), Duration::ZERO);
    let pass = steward.pass(&world.wanted).await.unwrap();
    assert!(pass.standings[&(name("c"), Incarnation(0))].is_lost());
    assert_eq!(pass.to_replace(), [(name("c"), Incarnation(0))]);
    let (node, incarnation) = (name("c"), Incarnation(0));
    assert_eq!(pass.outcome, Outcome::Waiting(vec![Blocker::NotReplaced { node, incarnation }]));
    // Cut off from more than f, silence proves nothing.
    drop(world.fleet.stop("b").await);
    let pass = steward.pass(&world.wanted).await.unwrap();
    assert!(
        matches!(&pass.outcome, Outcome::Waiting(it) if matches!(it[..], [Blocker::Heads { .. }]))
    );
}
