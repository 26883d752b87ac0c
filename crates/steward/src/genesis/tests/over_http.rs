//! The whole of it against nodes that keep what they accept, over real TLS on loopback.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::record_log::FileRecordLog;
use crate::tests::fixture::fake_node::FakeFleet;

struct World {
    fleet: FakeFleet,
    config: GenesisConfig,
}

impl World {
    async fn new(dir: &Path) -> Self {
        let fleet = FakeFleet::new(dir, &["a", "b", "c", "d"]).await;
        let mut world = Self { fleet, config: config() };
        world.find();
        world
    }

    fn find(&mut self) {
        for node in &mut self.config.nodes {
            node.address.clone_from(&self.fleet.addresses[node.node.as_str()]);
        }
    }

    async fn start(&mut self, node: &'static str) {
        self.fleet.start(node, 0).await;
        self.find();
    }

    async fn stop(&mut self, node: &str) {
        drop(self.fleet.stop(node).await);
    }

    async fn genesis(&self, log: &Path) -> Result<Genesis, GenesisError> {
        let FakeFleet { env, trust, client, .. } = &self.fleet;
        let log = FileRecordLog::new(env.clone(), log.to_owned());
        genesis(env, client, &log, &Keys::from(trust), &self.config).await
    }
}

#[tokio::test]
async fn a_committee_begins_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("records");
    let mut world = World::new(dir.path()).await;
    let begun = world.genesis(&log).await.unwrap();
    assert_eq!(
        begun.proof.verify(&begun.record.record, &Lineage::of_genesis(&begun.record.record)),
        Ok(())
    );
    assert_eq!(begun.untold, BTreeMap::new());
    for (node, chain) in world.fleet.chains() {
        assert_eq!(chain.links[0].record, begun.record, "{node}");
        assert!(chain.links[0].proof.is_some(), "{node} was told of the commit");
    }
    // Again: the same beginning; and with an empty log it is adopted, and kept.
    assert_eq!(world.genesis(&log).await.unwrap().record, begun.record);
    let lost = dir.path().join("lost");
    assert_eq!(world.genesis(&lost).await.unwrap().record, begun.record);
    let kept = FileRecordLog::new(world.fleet.env.clone(), lost).read_all().await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&begun.record));
    // f away: still committed anew. More than f away: the proof is known by those that are left.
    world.stop("a").await;
    let again = world.genesis(&log).await.unwrap();
    assert_eq!(again.record, begun.record);
    assert_eq!(again.untold.into_keys().collect::<Vec<_>>(), [name("a")]);
    world.stop("b").await;
    let again = world.genesis(&log).await.unwrap();
    assert_eq!(
        again.proof.verify(&begun.record.record, &Lineage::of_genesis(&begun.record.record)),
        Ok(())
    );
    let untold: BTreeSet<NodeName> = again.untold.into_keys().collect();
    assert_eq!(untold, BTreeSet::from([name("a"), name("b")]));
}

#[tokio::test]
async fn nobody_is_left_out_and_nothing_is_committed_by_few() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("records");
    let mut world = World::new(dir.path()).await;
    world.stop("c").await;
    match world.genesis(&log).await {
        Err(GenesisError::Waiting(missing)) => {
            assert_eq!(missing.into_keys().collect::<Vec<_>>(), [name("c")]);
        }
        other => panic!("{other:?}"),
    }
    let records = FileRecordLog::new(world.fleet.env.clone(), log.clone());
    assert_eq!(records.read_all().await.unwrap(), [], "nothing was proposed");
    // Killed right after the record was created: nobody has heard of it, two nodes are away.
    world.start("c").await;
    let observed = observe(&world.fleet.client, &world.config).await;
    let keys = Keys::from(&world.fleet.trust);
    let Ok(Decision::Propose(record)) = decide(&keys, &world.config, &observed, None) else {
        panic!("no proposal");
    };
    let created = signed(*record, &keys.operator);
    records.create(&created).await.unwrap();
    world.stop("c").await;
    world.stop("d").await;
    match world.genesis(&log).await {
        Err(GenesisError::TooFew { have: 2, need: 3, refused }) => {
            assert_eq!(refused.into_keys().collect::<Vec<_>>(), [name("c"), name("d")]);
        }
        other => panic!("{other:?}"),
    }
    world.start("d").await;
    let begun = world.genesis(&log).await.unwrap();
    assert_eq!(begun.record, created);
}
