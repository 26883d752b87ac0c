//! The traces of the model of claims, acted out by real nodes (V1, V2, …: one clause of the rules
//! missing, and this is what is lost), and what expires.
//!
//! Four nodes, n = 4, f = 1. Each script plays a gateway that stops where the trace wants it to.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::{
    Acknowledgement, CertifiedClaim, Encode, FinishAnswer, NameStatement, ReleaseAnswer,
    ReleaseState, Statements,
};
use floe_api::report::ServingState;
use floe_api::{Call, ErrorCode};
use floe_client::{Closing, Resolution};
use floe_model::{BlobName, ExtentIndex, Release};
use floe_tests::sim::EventLog;
use floe_tests::sim_committee::inspect;
use floe_tests::sim_committee::scene::{
    become_impostor, code, content, gossip, play, play_seed, slivers,
};
use floe_tests::sim_committee::{ByHand, Draft, Impostor, NAMESPACE_UID, World};
use http::StatusCode;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// Workers that look for what has expired do so more often.
const ROUND: Duration = Duration::from_secs(70);

async fn state_of(hand: &ByHand, at: usize, certified: &CertifiedClaim) -> Acknowledgement {
    hand.put_certificate(at, certified).await.unwrap().state
}

async fn resolve(hand: &ByHand, name: &str) -> Resolution {
    hand.client().resolve(NAMESPACE_UID, &name.parse().unwrap()).await.unwrap()
}

fn is_found(resolution: &Resolution, draft: &Draft) -> bool {
    matches!(resolution, Resolution::Found(found) if found.0.body == draft.claim.body)
}

/// A node's disk is emptied, and the node started again under the same incarnation.
async fn wipe(world: &World, hand: &ByHand, at: usize) {
    let node = hand.node(at);
    world.kill(node.as_str()).await;
    world.disk(node.as_str()).wipe();
    world.start(node.as_str()).await;
    while hand.nodes.identity(&hand.target(at)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// It shows who it is, and serves nothing else, even when it is offered the chain.
async fn assert_counts_as_lost(world: &World, hand: &ByHand, at: usize, draft: &Draft) {
    let record = world.record();
    let member = record.member(&hand.node(at)).unwrap();
    let identity = hand.nodes.identity(&hand.target(at)).await.unwrap().value;
    assert_ne!((identity.volume, identity.key), (member.volume, member.key));
    let genesis = world.genesis();
    let link = floe_api::messages::ChainLink { record: genesis.record, proof: Some(genesis.proof) };
    let chain = floe_api::messages::Chain { links: vec![link] };
    assert!(hand.nodes.push_epoch(&hand.target(at), &chain).await.is_err());
    assert_eq!(code(hand.finish(at, draft, true).await), ErrorCode::NotServing);
    let name = draft.claim.body.name.clone();
    let resolved = hand.nodes.resolve(&hand.target(at), NAMESPACE_UID, name).await;
    assert_eq!(code(resolved), ErrorCode::NotServing);
    assert_eq!(
        code(hand.nodes.close(&hand.target(at), draft.claim.body.claim).await),
        ErrorCode::NotServing
    );
}

#[test]
fn v1_a_node_acknowledges_only_while_it_holds_its_pairs_bit_or_no_bit() {
    play(|world, hand| async move {
        world.cut_nodes();
        let draft = hand.draft(1, "v1", &content(1));
        // A, B and D confirm; the gateway sleeps, but for B.
        let certified = hand.certified_by(&[0, 1, 3], &draft).await;
        assert_eq!(state_of(&hand, 1, &certified).await, Acknowledgement::Acknowledged);
        world.skip(25 * HOUR);
        while slivers(&world, &hand, 0) + slivers(&world, &hand, 3) > 0 {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        assert_eq!(slivers(&world, &hand, 1), 2, "a certified blob is kept");
        // A has its bit and not its pairs; C neither: the acknowledgement of D would make three.
        for at in [0, 2] {
            let answer = hand.put_certificate(at, &certified).await.unwrap();
            assert_eq!(answer.state, Acknowledgement::Incomplete, "node {at}");
            assert_eq!(answer.missing_slivers, 2, "node {at}");
        }
        assert_eq!(state_of(&hand, 1, &certified).await, Acknowledgement::Acknowledged);
    });
}

/// D, a liar, who knows nothing of any name, and agrees to everything else.
fn denier() -> Impostor {
    Arc::new(|call, _| match call {
        Call::Resolve { .. } => {
            let nothing = Statements { items: Vec::new(), complete: true };
            Some(nothing.to_response(StatusCode::OK))
        }
        Call::PutRelease { .. } => {
            Some(ReleaseAnswer { state: ReleaseState::Stored }.to_response(StatusCode::OK))
        }
        _ => None,
    })
}

#[test]
fn v2_a_release_is_found_by_name_without_its_claim() {
    play(|world, hand| async move {
        world.cut_nodes();
        let draft = hand.draft(2, "v2", &content(2));
        let certified = hand.certified_by(&[0, 1, 3], &draft).await;
        for at in [0, 1, 3] {
            assert_eq!(state_of(&hand, at, &certified).await, Acknowledgement::Acknowledged);
        }
        assert!(is_found(&resolve(&hand, "v2").await, &draft));
        become_impostor(&world, &hand, 3, denier()).await;
        // C stores the release and never had the claim; so does B; A is late; D says yes.
        let release = hand.release_of(&draft);
        for at in [1, 2, 3] {
            hand.nodes.put_release(&hand.target(at), &release).await.unwrap();
        }
        let name: BlobName = "v2".parse().unwrap();
        let at_c = hand.nodes.resolve(&hand.target(2), NAMESPACE_UID, name).await.unwrap().value;
        assert!(matches!(&at_c.items[..], [NameStatement::Release(found)] if **found == release));
        world.cut("script", "node-1");
        let resolution = resolve(&hand, "v2").await;
        assert!(
            matches!(resolution, Resolution::Absent { last_release: Some(_) }),
            "{resolution:?}"
        );
    });
}

#[test]
fn v3_a_claim_counts_only_with_its_certificate() {
    play(|world, hand| async move {
        let created = hand.now();
        let wanted = hand.draft_created(3, "v3", &content(3), created);
        let other = hand.draft_created(3, "v3", &content(4), created);
        let certified = hand.certified_by(&[0, 1, 3], &wanted).await;
        world.cut_nodes();
        for at in [0, 1, 3] {
            assert_eq!(state_of(&hand, at, &certified).await, Acknowledgement::Acknowledged);
        }
        // The other gateway's claim, validly signed, with the certificate of the first.
        let forged =
            CertifiedClaim { claim: other.claim.clone(), certificate: certified.certificate };
        for at in 0..3 {
            assert_eq!(
                code(hand.put_certificate(at, &forged).await),
                ErrorCode::CertificateInvalid
            );
        }
        let shown =
            Statements { items: vec![NameStatement::Certified(Box::new(forged))], complete: true };
        let liar: Impostor = Arc::new(move |call, _| match call {
            Call::Resolve { .. } => Some(shown.to_response(StatusCode::OK)),
            _ => None,
        });
        become_impostor(&world, &hand, 3, liar).await;
        assert!(is_found(&resolve(&hand, "v3").await, &wanted));
        // With B away there are too few honest ones: an error, never the claim that D shows.
        world.cut("script", "node-1");
        let resolution = hand.client().resolve(NAMESPACE_UID, &"v3".parse().unwrap()).await;
        assert!(resolution.map_or(true, |found| is_found(&found, &wanted)));
    });
}

#[test]
fn v4_no_second_certificate_for_one_claim_id_though_a_volume_is_wiped() {
    play(|world, hand| async move {
        let first = hand.draft(4, "v4", &content(5));
        let second = hand.draft(4, "v4", &content(6));
        // A, B and C confirm X; the gateway sleeps on the certificate.
        let certified = hand.certified_by(&[0, 1, 2], &first).await;
        gossip(&world, &hand).await;
        wipe(&world, &hand, 0).await;
        assert_counts_as_lost(&world, &hand, 0, &second).await;
        for at in 1..3 {
            assert_eq!(
                code(hand.finish(at, &second, true).await),
                ErrorCode::ClaimBound,
                "node {at}"
            );
        }
        // D may: alone.
        hand.confirm(3, &second).await;
        for at in 1..3 {
            assert_eq!(state_of(&hand, at, &certified).await, Acknowledgement::Acknowledged);
        }
    });
}

#[test]
fn v4_a_certificate_learned_from_a_feed_binds_its_claim_id() {
    play(|world, hand| async move {
        let first = hand.draft(4, "v4", &content(5));
        let second = hand.draft(4, "v4", &content(6));
        let certified = hand.certified_by(&[0, 1, 2], &first).await;
        // The certificate reaches A alone; D hears of it.
        assert_eq!(state_of(&hand, 0, &certified).await, Acknowledgement::Acknowledged);
        gossip(&world, &hand).await;
        assert_eq!(code(hand.finish(3, &second, true).await), ErrorCode::ClaimBound);
        hand.confirm(3, &first).await;
    });
}

#[test]
fn two_writers_of_one_name_are_never_both_certified() {
    play(|world, hand| async move {
        let left = hand.draft(5, "torn", &content(7));
        let right = hand.draft(5, "torn", &content(8));
        for at in [0, 2] {
            hand.confirm(at, &left).await;
            assert_eq!(code(hand.finish(at, &right, true).await), ErrorCode::ClaimBound);
        }
        for at in [1, 3] {
            hand.confirm(at, &right).await;
            assert_eq!(code(hand.finish(at, &left, true).await), ErrorCode::ClaimBound);
        }
        // Neither has n-f; a restart forgets no binding.
        for at in 0..4 {
            let node = hand.node(at);
            world.power_loss(node.as_str()).await;
            world.start(node.as_str()).await;
            world.serving(&hand.nodes, &node).await;
            let other = if at % 2 == 0 { &right } else { &left };
            assert_eq!(code(hand.finish(at, other, true).await), ErrorCode::ClaimBound);
        }
    });
}

#[test]
fn v7_a_volume_wiped_after_its_acknowledgement_counts_as_lost() {
    play(|world, hand| async move {
        let draft = hand.draft(7, "v7", &content(7));
        let certified = hand.certified_by(&[0, 1, 2], &draft).await;
        world.cut_nodes();
        assert_eq!(state_of(&hand, 0, &certified).await, Acknowledgement::Acknowledged);
        wipe(&world, &hand, 0).await;
        // What A said is forgotten; it says nothing more, until the next incarnation.
        assert_counts_as_lost(&world, &hand, 0, &draft).await;
        assert_eq!(code(hand.put_certificate(0, &certified).await), ErrorCode::NotServing);
    });
}

#[test]
fn v7_an_old_copy_of_a_volume_is_recognised_by_its_peers_cursors() {
    play(|world, hand| async move {
        let draft = hand.draft(7, "v7", &content(7));
        let certified = hand.certified_by(&[0, 1, 2], &draft).await;
        let node = hand.node(0);
        let copy = world.disk(node.as_str()).fork("copy", &EventLog::default());
        assert_eq!(state_of(&hand, 0, &certified).await, Acknowledgement::Acknowledged);
        gossip(&world, &hand).await;
        world.kill(node.as_str()).await;
        world.disk(node.as_str()).restore(&copy);
        world.start(node.as_str()).await;
        let serving = loop {
            if let Ok(identity) = hand.nodes.identity(&hand.target(0)).await {
                let serving = identity.value.serving;
                assert_ne!(serving.state, ServingState::Serving, "an old copy serves");
                if serving.state == ServingState::Refusing {
                    break serving;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(serving.reason.contains("old copy"), "{}", serving.reason);
        assert_eq!(code(hand.put_certificate(0, &certified).await), ErrorCode::NotServing);
        // Started again it is none the wiser.
        world.kill(node.as_str()).await;
        world.start(node.as_str()).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let serving = hand.nodes.identity(&hand.target(0)).await.unwrap().value.serving;
        assert_eq!(serving.state, ServingState::Refusing);
    });
}

/// As the one above: but who tells is silent first, so the node must wait.
#[test]
fn v7_before_peers_were_asked_a_started_node_says_nothing() {
    play(|world, hand| async move {
        let draft = hand.draft(7, "v7", &content(7));
        let certified = hand.certified_by(&[0, 1, 2], &draft).await;
        let node = hand.node(0);
        world.kill(node.as_str()).await;
        for at in 1..4 {
            world.cut(node.as_str(), hand.node(at).as_str());
        }
        world.start(node.as_str()).await;
        world
            .until(&hand.nodes, &node, |report| report.serving.state == ServingState::Checking)
            .await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(code(hand.put_certificate(0, &certified).await), ErrorCode::NotServing);
        assert_eq!(code(hand.finish(0, &draft, true).await), ErrorCode::NotServing);
        for at in 1..4 {
            world.join(node.as_str(), hand.node(at).as_str());
        }
        world.serving(&hand.nodes, &node).await;
        assert_eq!(state_of(&hand, 0, &certified).await, Acknowledgement::Acknowledged);
    });
}

#[test]
fn v12_a_closed_claim_is_acknowledged_no_more() {
    play(|world, hand| async move {
        let draft = hand.draft(12, "v12", &content(8));
        let certified = hand.certified_by(&[0, 1, 2], &draft).await;
        // Nobody has the certificate: closing first, and only then the release.
        let closing = hand.client().close(draft.claim.body.claim).await.unwrap();
        assert_eq!(closing, Closing::Closed);
        // The gateway wakes up.
        let mut acknowledged = 0;
        for at in 0..4 {
            match hand.put_certificate(at, &certified).await {
                Ok(answer) => {
                    acknowledged += usize::from(answer.state == Acknowledgement::Acknowledged);
                }
                refused => assert_eq!(code(refused), ErrorCode::ClaimClosed),
            }
        }
        assert!(acknowledged <= 1, "{acknowledged} nodes acknowledge a closed claim");
        let claim = &draft.claim.body;
        let release = Release {
            claim: claim.claim,
            namespace_uid: claim.namespace_uid,
            name: claim.name.clone(),
            created: claim.created,
            signed: hand.now(),
        };
        hand.client().release(&release).await.unwrap();
        let resolution = resolve(&hand, "v12").await;
        assert!(
            matches!(resolution, Resolution::Absent { last_release: Some(_) }),
            "{resolution:?}"
        );
        drop(world);
    });
}

#[test]
fn v12_who_closes_is_handed_the_certificate_and_makes_the_closing_void() {
    play(|world, hand| async move {
        let draft = hand.draft(12, "v12", &content(8));
        let certified = hand.certified_by(&[0, 1, 2], &draft).await;
        world.cut_nodes();
        assert_eq!(state_of(&hand, 0, &certified).await, Acknowledgement::Acknowledged);
        world.cut("script", "node-3");
        let closing = hand.client().close(draft.claim.body.claim).await.unwrap();
        let Closing::Certified(found) = closing else { panic!("the certificate is not found") };
        assert_eq!((found.0, found.1), (certified.claim.clone(), certified.certificate.clone()));
        // B and C may have closed it meanwhile: the operator's word makes that void.
        let operator = world.node_client(hand.env(), "steward");
        for at in [1, 2] {
            let answer = operator.put_certificate(&hand.target(at), &certified).await.unwrap();
            assert_eq!(answer.value.state, Acknowledgement::Acknowledged, "node {at}");
        }
        for at in 0..3 {
            assert_eq!(state_of(&hand, at, &certified).await, Acknowledgement::Acknowledged);
        }
    });
}

/// Power is lost the moment the answer arrives: what it promised is there.
#[test]
fn what_a_node_promised_survives_the_loss_of_its_power() {
    for seed in 0..20 {
        play_seed(seed, |world, hand| async move {
            let node = hand.node(0);
            let draft = hand.draft(30, "promised", &content(14));
            let (id, blob) = (draft.claim.body.claim, draft.claim.body.blob);
            let confirmed = hand.confirm(0, &draft).await;
            let volume = inspect::volume(&world, &node, false).unwrap();
            assert!(volume.complete.contains(&blob) && volume.confirmed.contains(&id), "confirmed");

            let others = [hand.confirm(1, &draft).await, hand.confirm(2, &draft).await];
            let certified = hand.certify(&draft, &[&[confirmed], &others[..]].concat());
            assert_eq!(state_of(&hand, 0, &certified).await, Acknowledgement::Acknowledged);
            let volume = inspect::volume(&world, &node, false).unwrap();
            assert!(volume.complete.contains(&blob) && volume.certified.contains_key(&id), "acked");

            let release = hand.release_of(&draft);
            hand.nodes.put_release(&hand.target(0), &release).await.unwrap();
            let volume = inspect::volume(&world, &node, false).unwrap();
            assert!(volume.released.contains(&id), "released");
        });
    }
}

#[test]
fn a_late_certificate_acknowledges_nothing() {
    play(|world, hand| async move {
        let draft = hand.draft(20, "late", &content(9));
        let certified = hand.certified_by(&[0, 1, 2, 3], &draft).await;
        world.skip(24 * HOUR + Duration::from_secs(1));
        while (0..4).any(|at| slivers(&world, &hand, at) > 0) {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        for _ in 0..3 {
            for at in 0..4 {
                let answer = hand.put_certificate(at, &certified).await.unwrap();
                assert_eq!(answer.state, Acknowledgement::Incomplete, "node {at}");
                assert_eq!(answer.missing_slivers, 2, "node {at}");
            }
            tokio::time::sleep(MINUTE).await;
        }
        // It is stored and owed all the same: whoever reads is told that it cannot be read.
        let Resolution::Found(found) = resolve(&hand, "late").await else { panic!("not found") };
        let claim = found.0.body;
        let client = hand.client();
        let read = client.read(&claim, 0..claim.length, floe_client::ReadCheck::Default);
        assert!(read.await.is_err());
    });
}

#[test]
fn an_unfinished_upload_expires_an_hour_after_its_last_byte() {
    play(|world, hand| async move {
        let draft = hand.draft(21, "unfinished", &content(10));
        let upload = draft.permit.body.upload;
        let target = hand.target(0);
        hand.nodes.open_upload(&target, &draft.permit).await.unwrap();
        world.skip(50 * MINUTE);
        let part = hand.part(&draft, 0, 0);
        hand.nodes.put_extent(&target, upload, ExtentIndex(0), &part).await.unwrap();
        assert_eq!(slivers(&world, &hand, 0), 2);
        world.skip(55 * MINUTE);
        tokio::time::sleep(ROUND).await;
        assert_eq!(slivers(&world, &hand, 0), 2, "its last byte came less than an hour ago");
        world.skip(5 * MINUTE);
        tokio::time::sleep(ROUND).await;
        assert_eq!(slivers(&world, &hand, 0), 0);
        let again = hand.nodes.put_extent(&target, upload, ExtentIndex(0), &part).await;
        assert_eq!(code(again), ErrorCode::UnknownUpload);
        // Finish is self-contained: it starts anew.
        assert!(matches!(hand.finish(0, &draft, true).await, Ok(FinishAnswer::Confirmed(_))));
    });
}

#[test]
fn a_confirmed_blob_without_certificate_expires_after_a_day_and_a_certified_one_does_not() {
    play(|world, hand| async move {
        world.cut_nodes();
        let lonely = hand.draft(22, "lonely", &content(11));
        let wanted = hand.draft(23, "wanted", &content(12));
        hand.confirm(0, &lonely).await;
        let certified = hand.certified_by(&[0, 1, 2], &wanted).await;
        assert_eq!(state_of(&hand, 0, &certified).await, Acknowledgement::Acknowledged);
        assert_eq!(slivers(&world, &hand, 0), 4);
        world.skip((24 * 60 - 10) * MINUTE);
        tokio::time::sleep(ROUND).await;
        assert_eq!(slivers(&world, &hand, 0), 4);
        world.skip(10 * MINUTE);
        tokio::time::sleep(ROUND).await;
        assert_eq!(slivers(&world, &hand, 0), 2, "only what is certified is left");
        assert_eq!(state_of(&hand, 0, &certified).await, Acknowledgement::Acknowledged);
        // The binding outlives the bytes: the claim id is good for one blob, ever.
        let other = hand.draft(22, "lonely", &content(13));
        assert_eq!(code(hand.finish(0, &other, true).await), ErrorCode::ClaimBound);
    });
}
