//! Leases by hand: what is refused, and what happens when nobody takes any.

use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::{Acknowledgement, Lease, LeaseProgress};
use floe_api::report::NodeReport;
use floe_api::{CallError, ErrorCode, NodeClient, Target};
use floe_model::{BlobId, BootId, ExtentIndex, Incarnation, LeaseId};
use floe_tests::sim_committee::scene::{code, content};
use floe_tests::sim_committee::{ByHand, Draft, Setup, World, run, upheaval};

use super::LEASE_TTL;

/// The node whose volume is lost.
const LOST: usize = 3;

struct Stage {
    world: Arc<World>,
    hand: ByHand,
    /// With the certificate of a repair job.
    job: NodeClient,
    drafts: Vec<Draft>,
}

impl Stage {
    fn target(&self) -> Target {
        self.hand.target(LOST)
    }

    async fn lease(&self) -> Lease {
        self.job.lease(&self.target()).await.unwrap().value
    }

    /// Brings what the node lacks of a draft.
    async fn put(&self, held: (LeaseId, BootId), draft: usize) -> Result<(), CallError> {
        let part = self.hand.part(&self.drafts[draft], 0, LOST);
        self.put_as(held, draft, &part).await
    }

    async fn put_as(
        &self,
        held: (LeaseId, BootId),
        draft: usize,
        part: &floe_api::messages::Extent<Vec<u8>>,
    ) -> Result<(), CallError> {
        let place = (self.drafts[draft].claim.body.blob, ExtentIndex(0));
        self.job.put_repaired(&self.target(), held, place, part).await.map(drop)
    }

    async fn report(&self) -> NodeReport {
        self.hand.nodes.report(&self.target()).await.unwrap().value
    }

    async fn until_held(&self, held: u64) {
        self.world
            .until(&self.hand.nodes, &self.hand.node(LOST), |it| it.slivers.held == held)
            .await;
    }
}

/// Four nodes with three blobs; one has a new volume that knows what it owes, and holds nothing.
fn play<S, F>(script: S)
where
    S: FnOnce(Stage) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let seed = std::env::var("FLOE_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let setup = Setup { gateways: 0, stewards: 1, jobs: 1, ..Setup::small(seed) };
    let world = run(setup, |world| async move {
        let hand = ByHand::new(&world);
        for node in world.nodes() {
            world.serving(&hand.nodes, node).await;
        }
        let mut drafts = Vec::new();
        for number in 1..4 {
            let draft = hand.draft(number, &format!("blob-{number}"), &content(number));
            let certified = hand.certified_by(&[0, 1, 2, 3], &draft).await;
            for at in 0..4 {
                let answer = hand.put_certificate(at, &certified).await.unwrap();
                assert_eq!(answer.state, Acknowledgement::Acknowledged, "node {at}");
            }
            drafts.push(draft);
        }
        let node = hand.node(LOST);
        upheaval::wipe(&world, node.as_str()).await;
        let knows = |it: &NodeReport| it.incarnation == Incarnation(1) && it.slivers.owed == 6;
        world.until(&hand.nodes, &node, knows).await;
        let job = world.node_client(hand.env(), "repair-0");
        script(Stage { world, hand, job, drafts }).await;
    });
    assert_eq!(world.log().panics(), Vec::<String>::new());
}

#[test]
fn a_lease_takes_what_it_is_for_once_and_nothing_else() {
    play(|stage| async move {
        let refused = stage.hand.nodes.lease(&stage.target()).await;
        assert_eq!(code(refused), ErrorCode::ForbiddenRole, "a gateway repairs nothing");
        let lease = stage.lease().await;
        assert_eq!((lease.blobs.len(), lease.shards.len(), lease.others), (3, 1, false));
        let again = stage.lease().await;
        assert!(again.blobs.is_empty() && again.others, "all of it is leased: {again:?}");

        let held = (lease.lease, lease.boot);
        let outside = (BlobId([7; 32]), ExtentIndex(0));
        let part = stage.hand.part(&stage.drafts[0], 0, LOST);
        let put = stage.job.put_repaired(&stage.target(), held, outside, &part).await;
        assert_eq!(code(put), ErrorCode::NotLeased, "another blob");
        let beyond = (stage.drafts[0].claim.body.blob, ExtentIndex(1));
        let put = stage.job.put_repaired(&stage.target(), held, beyond, &part).await;
        assert_eq!(code(put), ErrorCode::NotLeased, "an extent that it does not have");
        let others = stage.hand.part(&stage.drafts[0], 0, 0);
        assert_eq!(code(stage.put_as(held, 0, &others).await), ErrorCode::NotLeased);
        let mut false_one = stage.hand.part(&stage.drafts[0], 0, LOST);
        false_one.slivers[0].bytes[0] ^= 1;
        assert_eq!(code(stage.put_as(held, 0, &false_one).await), ErrorCode::SliverInvalid);
        assert_eq!(stage.report().await.slivers.held, 0);

        stage.put(held, 0).await.unwrap();
        assert_eq!(code(stage.put(held, 0).await), ErrorCode::NotLeased, "it came already");
        let state = stage.job.renew_lease(&stage.target(), held, &LeaseProgress::default()).await;
        assert_eq!(state.unwrap().value.extents_left, 2);
        stage.job.end_lease(&stage.target(), held).await.unwrap();
        assert_eq!(code(stage.put(held, 1).await), ErrorCode::LeaseExpired);
        let rest = stage.lease().await;
        assert_eq!(rest.blobs.len(), 2, "what came is not given out again");
        stage.put((rest.lease, rest.boot), 1).await.unwrap();
        stage.put((rest.lease, rest.boot), 2).await.unwrap();
        stage.until_held(6).await;
        upheaval::whole(&stage.world, &stage.hand, &stage.hand.node(LOST)).await;
        assert_eq!(stage.lease().await.blobs, [], "nothing is left");
    });
}

#[test]
fn a_lease_ends_with_its_time_and_with_the_process_that_gave_it() {
    play(|stage| async move {
        let first = stage.lease().await;
        let held = (first.lease, first.boot);
        stage.put(held, 0).await.unwrap();
        stage.world.pass(LEASE_TTL);
        let progress = LeaseProgress::default();
        let renewed = stage.job.renew_lease(&stage.target(), held, &progress).await;
        assert_eq!(code(renewed), ErrorCode::LeaseExpired);
        assert_eq!(code(stage.put(held, 1).await), ErrorCode::LeaseExpired);
        let second = stage.lease().await;
        assert_eq!(second.blobs.len(), 2);
        assert_eq!(first.boot, second.boot);

        let node = stage.hand.node(LOST);
        stage.world.restart(node.as_str()).await;
        stage.world.serving(&stage.hand.nodes, &node).await;
        let held = (second.lease, second.boot);
        assert_eq!(code(stage.put(held, 1).await), ErrorCode::LeaseStale);
        let renewed = stage.job.renew_lease(&stage.target(), held, &progress).await;
        assert_eq!(code(renewed), ErrorCode::LeaseStale);
        assert_eq!(code(stage.job.end_lease(&stage.target(), held).await), ErrorCode::LeaseStale);
        let third = stage.lease().await;
        assert_ne!(second.boot, third.boot);
        for blob in 0..3 {
            let is_leased =
                third.blobs.iter().any(|leased| leased.blob == stage.drafts[blob].claim.body.blob);
            if is_leased {
                stage.put((third.lease, third.boot), blob).await.unwrap();
            }
        }
        upheaval::whole(&stage.world, &stage.hand, &node).await;
    });
}

#[test]
fn without_any_lease_the_node_turns_to_its_deficit_after_two_minutes() {
    play(|stage| async move {
        // One that is held, even if nothing comes of it, keeps the node from it.
        let lease = stage.lease().await;
        for _ in 0..6 {
            tokio::time::sleep(LEASE_TTL / 2).await;
            let held = (lease.lease, lease.boot);
            let progress = LeaseProgress::default();
            stage.job.renew_lease(&stage.target(), held, &progress).await.unwrap();
        }
        assert_eq!(stage.report().await.slivers.held, 0);
        // The lease holds for its time, then nobody has one.
        tokio::time::sleep(LEASE_TTL + Duration::from_secs(110)).await;
        assert_eq!(stage.report().await.slivers.held, 0, "not before two minutes");
        tokio::time::sleep(Duration::from_mins(1)).await;
        stage.until_held(6).await;
        upheaval::whole(&stage.world, &stage.hand, &stage.hand.node(LOST)).await;
    });
}
