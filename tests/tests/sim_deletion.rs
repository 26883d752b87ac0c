//! Deletion in simulation: released content leaves every disk after its undelete window and is never
//! seen again, what is wanted stays, and what is old is believed only when enough nodes say so.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_api::messages::{
    Acknowledgement, CertifiedClaim, Encode, FinishAnswer, NameStatement, Statements,
};
use floe_api::report::ServingState;
use floe_api::{Call, ErrorCode};
use floe_client::{Deleted, Resolution};
use floe_env::Random as _;
use floe_model::{CatalogEntry, Release, SignedRelease};
use floe_tests::sim::EventLog;
use floe_tests::sim_committee::scene::{
    become_impostor, code, content, gossip, play, play_on, play_seed, slivers,
};
use floe_tests::sim_committee::{
    Application, ByHand, Draft, Impostor, NAMESPACE_UID, Setup, World, upheaval,
};
use http::StatusCode;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// The default policy.
const WINDOW: Duration = Duration::from_hours(7 * 24);
const RETENTION: Duration = Duration::from_hours(30 * 24);
/// Workers that look for what has expired do so more often.
const ROUND: Duration = Duration::from_secs(70);
/// Nodes compare their catalogs more often.
const COMPARED: Duration = Duration::from_secs(400);
const ALL: [usize; 4] = [0, 1, 2, 3];

async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Writes a blob of two slivers a node, to all nodes.
async fn written(hand: &ByHand, claim: u8, name: &str) -> (Draft, CertifiedClaim) {
    let draft = hand.draft(claim, name, &content(claim));
    let certified = hand.certified_by(&ALL, &draft).await;
    for at in ALL {
        let answer = hand.put_certificate(at, &certified).await.unwrap();
        assert_eq!(answer.state, Acknowledgement::Acknowledged, "node {at}");
    }
    (draft, certified)
}

/// Releases it on these nodes.
async fn release(hand: &ByHand, nodes: &[usize], draft: &Draft) -> SignedRelease {
    let release = hand.release_of(draft);
    for &at in nodes {
        hand.nodes.put_release(&hand.target(at), &release).await.unwrap();
    }
    release
}

async fn resolve(hand: &ByHand, name: &str) -> Resolution {
    hand.client().resolve(NAMESPACE_UID, &name.parse().unwrap()).await.unwrap()
}

fn is_found(resolution: &Resolution, draft: &Draft) -> bool {
    matches!(resolution, Resolution::Found(found) if found.0.body == draft.claim.body)
}

/// Waits until so many slivers are on a node's disk.
async fn until_slivers(world: &World, hand: &ByHand, at: usize, count: usize) {
    for _ in 0..200 {
        if slivers(world, hand, at) == count {
            return;
        }
        rest(Duration::from_secs(10)).await;
    }
    panic!("node {at} has {} slivers, not {count}", slivers(world, hand, at));
}

/// What a node says of a name, released claims included.
async fn said(hand: &ByHand, at: usize, name: &str) -> Vec<NameStatement> {
    let name = name.parse().unwrap();
    let answer = hand.nodes.resolve_released(&hand.target(at), NAMESPACE_UID, name).await;
    answer.unwrap().value.items
}

/// What a node's feed shows from its start.
async fn feed(hand: &ByHand, at: usize) -> Vec<CatalogEntry> {
    let changes = hand.nodes.changes(&hand.target(at), None, 0).await.unwrap().value;
    changes.entries.into_iter().map(|change| change.entry).collect()
}

async fn restart(world: &World, hand: &ByHand, at: usize) {
    let node = hand.node(at);
    world.kill(node.as_str()).await;
    world.start(node.as_str()).await;
    world.serving(&hand.nodes, &node).await;
}

#[test]
fn released_content_leaves_all_disks_after_its_window_and_claims_after_their_retention() {
    play(|world, hand| async move {
        let (draft, _) = written(&hand, 1, "gone").await;
        let (kept, _) = written(&hand, 2, "kept").await;
        release(&hand, &[0, 1, 2], &draft).await;
        gossip(&world, &hand).await;
        world.pass(WINDOW.saturating_sub(5 * MINUTE));
        rest(ROUND).await;
        for at in ALL {
            assert_eq!(slivers(&world, &hand, at), 4, "node {at}: the window is not over");
        }
        world.pass(5 * MINUTE);
        for at in ALL {
            until_slivers(&world, &hand, at, 2).await;
        }
        // The claims stay with their release as long as anybody might send them again.
        assert_eq!(said(&hand, 0, "gone").await.len(), 2);
        world.pass(RETENTION);
        rest(ROUND).await;
        for at in ALL {
            assert_eq!(said(&hand, at, "gone").await, [], "node {at}");
            let shown = feed(&hand, at).await;
            let about = |entry: &CatalogEntry| match entry {
                CatalogEntry::Claim(claim, _) => claim.body.claim == draft.claim.body.claim,
                CatalogEntry::Release(_) | CatalogEntry::Binding { .. } => true,
                _ => false,
            };
            let left = shown.iter().filter(|entry| about(entry)).count();
            assert_eq!(left, 1, "node {at}: only the binding of what is kept: {shown:?}");
            assert_eq!(slivers(&world, &hand, at), 2, "node {at}");
        }
        assert!(matches!(resolve(&hand, "gone").await, Resolution::Absent { last_release: None }));
        // What is kept is old by now, and vouched for by everybody.
        rest(COMPARED).await;
        assert!(is_found(&resolve(&hand, "kept").await, &kept));
        restart(&world, &hand, 0).await;
        assert_eq!(said(&hand, 0, "gone").await, [], "a restart brings nothing back");
        assert_eq!(slivers(&world, &hand, 0), 2);
    });
}

#[test]
fn a_node_that_was_away_learns_of_the_release_and_counts_its_own_time() {
    play(|world, hand| async move {
        let (draft, _) = written(&hand, 1, "away").await;
        world.kill("node-3").await;
        release(&hand, &[0, 1, 2], &draft).await;
        world.pass(WINDOW + MINUTE);
        for at in 0..3 {
            until_slivers(&world, &hand, at, 0).await;
        }
        world.start("node-3").await;
        world.serving(&hand.nodes, &hand.node(3)).await;
        gossip(&world, &hand).await;
        rest(ROUND).await;
        assert_eq!(slivers(&world, &hand, 3), 2, "its window began when it came back");
        // Time that it ran under earlier processes counts.
        world.pass(WINDOW / 2);
        rest(2 * ROUND).await;
        restart(&world, &hand, 3).await;
        rest(ROUND).await;
        assert_eq!(slivers(&world, &hand, 3), 2);
        world.pass(WINDOW / 2);
        until_slivers(&world, &hand, 3, 0).await;
        for at in ALL {
            assert_eq!(slivers(&world, &hand, at), 0, "nobody got it back from there");
        }
    });
}

/// The disk is lost, and a steward puts the next volume in its place: it is whole.
async fn replaced(world: &World, hand: &ByHand, at: usize) {
    let node = hand.node(at);
    upheaval::wipe(world, node.as_str()).await;
    upheaval::whole(world, hand, &node).await;
}

#[test]
fn a_new_volume_gets_what_can_be_undeleted_and_does_not_wait_for_what_others_let_go() {
    let setup = |seed| Setup { gateways: 0, stewards: 1, ..Setup::small(seed) };
    play_on(setup, |world, hand| async move {
        let (gone, _) = written(&hand, 1, "gone").await;
        let (_, _) = written(&hand, 2, "kept").await;
        release(&hand, &ALL, &gone).await;
        gossip(&world, &hand).await;
        world.pass(WINDOW / 2);
        let (late, _) = written(&hand, 3, "late").await;
        release(&hand, &ALL, &late).await;
        gossip(&world, &hand).await;
        world.pass(WINDOW / 2 + MINUTE);
        for at in ALL {
            until_slivers(&world, &hand, at, 4).await;
        }
        replaced(&world, &hand, 3).await;
        let files = world.disk("node-3").files();
        let slivers = files.iter().filter(|(path, _)| path.to_string_lossy().contains("/slivers/"));
        assert_eq!(slivers.count(), 4, "what is kept, and what can be undeleted");
    });
}

#[test]
fn what_is_old_is_kept_for_its_window_by_a_node_that_hears_of_the_release_while_it_compares() {
    play(|world, hand| async move {
        let (old, _) = written(&hand, 1, "old").await;
        gossip(&world, &hand).await;
        world.pass(RETENTION + MINUTE);
        // Its first round begins when it has started, and waits for the first answer.
        world.kill("node-3").await;
        world.hold("node-3", "node-0");
        world.start("node-3").await;
        world.serving(&hand.nodes, &hand.node(3)).await;
        rest(Duration::from_secs(4)).await;
        release(&hand, &ALL, &old).await;
        world.release("node-3", "node-0");
        rest(2 * ROUND).await;
        assert_eq!(said(&hand, 3, "old").await.len(), 2, "the claim and its release");
        assert_eq!(slivers(&world, &hand, 3), 2, "the window is not over");
    });
}

#[test]
fn a_claim_id_that_came_again_is_not_taken_for_the_one_that_was_forgotten() {
    play(|world, hand| async move {
        let (first, _) = written(&hand, 1, "again").await;
        world.kill("node-3").await;
        release(&hand, &[0, 1, 2], &first).await;
        world.pass(WINDOW + RETENTION);
        for at in 0..3 {
            until_slivers(&world, &hand, at, 0).await;
            assert_eq!(said(&hand, at, "again").await, [], "node {at}");
        }
        let second = hand.draft(1, "again", &content(2));
        let certified = hand.certified_by(&[0, 1, 2], &second).await;
        for at in 0..3 {
            hand.put_certificate(at, &certified).await.unwrap();
        }
        world.start("node-3").await;
        world.serving(&hand.nodes, &hand.node(3)).await;
        rest(2 * COMPARED).await;
        let certified = Box::new(certified);
        assert_eq!(said(&hand, 3, "again").await, [NameStatement::Certified(certified)]);
        world.pass(HOUR);
        until_slivers(&world, &hand, 3, 2).await;
        assert!(is_found(&resolve(&hand, "again").await, &second));
    });
}

#[test]
fn a_node_away_for_longer_than_every_retention_brings_nothing_back() {
    play(|world, hand| async move {
        let (draft, certified) = written(&hand, 1, "ancient").await;
        let (kept, _) = written(&hand, 2, "kept").await;
        world.kill("node-3").await;
        release(&hand, &[0, 1, 2], &draft).await;
        world.pass(WINDOW + MINUTE);
        for at in 0..3 {
            until_slivers(&world, &hand, at, 2).await;
        }
        world.pass(RETENTION);
        rest(ROUND).await;
        for at in 0..3 {
            assert_eq!(said(&hand, at, "ancient").await, [], "node {at}");
        }
        world.start("node-3").await;
        world.serving(&hand.nodes, &hand.node(3)).await;
        // It shows the claim, and nobody believes it.
        let resolution = resolve(&hand, "ancient").await;
        assert!(matches!(resolution, Resolution::Absent { .. }), "{resolution:?}");
        rest(COMPARED).await;
        assert_eq!(said(&hand, 3, "ancient").await, [], "others deny it: it is dropped");
        assert!(is_found(&resolve(&hand, "kept").await, &kept));
        world.pass(HOUR);
        until_slivers(&world, &hand, 3, 2).await;
        // Nor does anybody take it who is handed it once more.
        for at in ALL {
            let refused = hand.put_certificate(at, &certified).await;
            assert_eq!(code(refused), ErrorCode::StaleStatement, "node {at}");
            assert_eq!(slivers(&world, &hand, at), 2, "node {at}");
        }
    });
}

#[test]
fn an_old_copy_of_a_volume_serves_nothing_that_was_deleted() {
    play(|world, hand| async move {
        let (draft, certified) = written(&hand, 1, "copy").await;
        gossip(&world, &hand).await;
        let copy = world.disk("node-0").fork("copy", &EventLog::default());
        release(&hand, &ALL, &draft).await;
        gossip(&world, &hand).await;
        world.pass(WINDOW + MINUTE);
        for at in ALL {
            until_slivers(&world, &hand, at, 0).await;
        }
        world.kill("node-0").await;
        world.disk("node-0").restore(&copy);
        world.start("node-0").await;
        loop {
            if let Ok(identity) = hand.nodes.identity(&hand.target(0)).await {
                let state = identity.value.serving.state;
                assert_ne!(state, ServingState::Serving, "an old copy serves");
                if state == ServingState::Refusing {
                    break;
                }
            }
            rest(Duration::from_millis(50)).await;
        }
        let name = draft.claim.body.name.clone();
        let shown = hand.nodes.resolve(&hand.target(0), NAMESPACE_UID, name).await;
        assert_eq!(code(shown), ErrorCode::NotServing);
        assert_eq!(code(hand.put_certificate(0, &certified).await), ErrorCode::NotServing);
        assert!(matches!(resolve(&hand, "copy").await, Resolution::Absent { .. }));
        rest(COMPARED).await;
        for at in 1..4 {
            assert_eq!(slivers(&world, &hand, at), 0, "node {at} got it back from an old copy");
        }
    });
}

#[test]
fn what_is_deleted_is_undeleted_within_its_window_and_not_after() {
    play_on(Setup::small, |world, hand| async move {
        let application = Application::new(&world, hand.env(), "gateway-0");
        let bytes = Bytes::from(content(9));
        let status =
            |reply: Result<floe_tests::sim_committee::Reply, String>| reply.unwrap().status;
        assert_eq!(status(application.undelete("blob").await), StatusCode::NOT_FOUND);
        assert_eq!(status(application.put("blob", bytes.clone()).await), StatusCode::CREATED);
        assert_eq!(status(application.undelete("blob").await), StatusCode::CONFLICT);
        let deleted = application.delete("blob").await.unwrap();
        assert_eq!(deleted.status, StatusCode::ACCEPTED);
        let answer: serde_json::Value = serde_json::from_slice(&deleted.body).unwrap();
        assert!(answer["undeleteUntil"].as_str().unwrap().ends_with('Z'), "{answer}");
        assert_eq!(status(application.get("blob", None).await), StatusCode::NOT_FOUND);

        world.pass(WINDOW.saturating_sub(HOUR));
        assert_eq!(status(application.undelete("blob").await), StatusCode::CREATED);
        assert_eq!(application.get_strictly("blob").await.unwrap().body, bytes);
        // The window of the first release ends, and takes nothing along.
        world.pass(2 * HOUR);
        rest(ROUND).await;
        assert_eq!(application.get_strictly("blob").await.unwrap().body, bytes);

        assert_eq!(status(application.delete("blob").await), StatusCode::ACCEPTED);
        rest(Duration::from_secs(10)).await;
        world.pass(WINDOW + MINUTE);
        assert_eq!(status(application.undelete("blob").await), StatusCode::GONE);
        for node in world.nodes() {
            let at = world.nodes().iter().position(|other| other == node).unwrap();
            until_slivers(&world, &hand, at, 0).await;
        }
        assert_eq!(status(application.undelete("blob").await), StatusCode::GONE);
        // The name is free all the same.
        assert_eq!(status(application.put("blob", bytes.clone()).await), StatusCode::CREATED);
        assert_eq!(application.get_strictly("blob").await.unwrap().body, bytes);
    });
}

#[test]
fn what_is_said_to_be_deleted_stays_so_though_the_first_try_reached_too_few() {
    play_on(Setup::small, |world, hand| async move {
        let application = Application::new(&world, hand.env(), "gateway-0");
        let put = application.put("blob", Bytes::from(content(9))).await.unwrap();
        assert_eq!(put.status, StatusCode::CREATED);
        let claim = feed(&hand, 0).await.into_iter().find_map(|entry| match entry {
            CatalogEntry::Claim(claim, _) => Some(claim.body),
            _ => None,
        });
        let claim = claim.unwrap();
        // A deletion reaches one node, and nobody hears of it from there.
        for peer in ["node-1", "node-2", "node-3"] {
            world.cut("node-0", peer);
        }
        let release = hand.sign(Release {
            claim: claim.claim,
            namespace_uid: claim.namespace_uid,
            name: claim.name,
            created: claim.created,
            signed: hand.now(),
        });
        hand.nodes.put_release(&hand.target(0), &release).await.unwrap();
        world.cut("gateway-0", "node-3");
        assert_eq!(application.delete("blob").await.unwrap().status, StatusCode::NOT_FOUND);
        world.join("gateway-0", "node-3");
        world.kill("node-0").await;
        let read = application.get("blob", None).await.unwrap();
        assert_eq!(read.status, StatusCode::NOT_FOUND, "it came back");
    });
}

#[test]
fn content_is_taken_over_by_its_own_namespace_only_and_while_it_is_kept() {
    play(|world, hand| async move {
        let (draft, _) = written(&hand, 1, "mine").await;
        let from = draft.claim.body.claim;
        release(&hand, &ALL, &draft).await;
        let wish = |claim: u8| hand.draft(claim, "mine", &content(1));
        let confirmed = |answer| matches!(answer, Ok(FinishAnswer::Confirmed(_)));
        // Another namespace's UID, another blob: refused, whatever is signed.
        let mut foreign = wish(2);
        let mut body = foreign.claim.body.clone();
        body.namespace_uid.0[0] ^= 1;
        foreign.claim = hand.sign(body);
        assert_eq!(code(hand.adopt(0, &foreign, from).await), ErrorCode::ContentForeign);
        let other = hand.draft(3, "mine", &content(3));
        assert_eq!(code(hand.adopt(0, &other, from).await), ErrorCode::ContentForeign);
        // Nothing was bound by that: the same claim id is good for the right blob.
        world.pass(WINDOW.saturating_sub(HOUR));
        assert!(confirmed(hand.adopt(0, &wish(3), from).await));
        // Behind the window, before anything was collected; then behind the mark.
        world.pass(HOUR);
        let late = wish(4);
        assert_eq!(code(hand.adopt(1, &late, from).await), ErrorCode::ContentEnded);
        assert_eq!(slivers(&world, &hand, 1), 2);
        until_slivers(&world, &hand, 1, 0).await;
        assert_eq!(code(hand.adopt(1, &late, from).await), ErrorCode::ContentEnded);
        // Node 0 confirmed in time: it keeps the pairs for its certificate, for a day.
        rest(ROUND).await;
        assert_eq!(slivers(&world, &hand, 0), 2);
        world.pass(DAY);
        until_slivers(&world, &hand, 0, 0).await;
    });
}

#[test]
fn releases_and_claims_in_any_order_and_from_anyone() {
    play(|_, hand| async move {
        let draft = hand.draft(1, "order", &content(1));
        let certified = hand.certified_by(&ALL, &draft).await;
        // The release before its claim: stored, and it ends what comes later.
        release(&hand, &[0, 1, 2], &draft).await;
        for at in 0..3 {
            let refused = hand.put_certificate(at, &certified).await;
            assert_eq!(code(refused), ErrorCode::ClaimReleased, "node {at}");
            assert_eq!(code(hand.finish(at, &draft, true).await), ErrorCode::ClaimReleased);
        }
        assert!(matches!(resolve(&hand, "order").await, Resolution::Absent { .. }));
        // A registrar that no record names ends nothing.
        let (wanted, _) = written(&hand, 2, "wanted").await;
        let mut forged = hand.release_of(&wanted);
        forged.key = floe_model::keys::RegistrarKey::from_seed(&[9; 32]).public();
        let mut tampered = hand.release_of(&wanted);
        tampered.body.created.0 += 1;
        for at in ALL {
            for bad in [&forged, &tampered] {
                let refused = hand.nodes.put_release(&hand.target(at), bad).await;
                assert_eq!(code(refused), ErrorCode::StatementInvalid, "node {at}");
            }
        }
        assert!(is_found(&resolve(&hand, "wanted").await, &wanted));
    });
}

#[test]
fn v5_collection_races_a_new_claim_of_the_same_content() {
    for seed in 0..12 {
        play_seed(seed, |world, hand| async move {
            let (old, _) = written(&hand, 1, "old").await;
            release(&hand, &ALL, &old).await;
            world.pass(WINDOW.saturating_sub(10 * MINUTE));
            // The window ends on each node within the next rounds; meanwhile the content comes again.
            world.pass(10 * MINUTE);
            let new = hand.draft(2, "new", &content(1));
            let mut confirmed = Vec::new();
            for at in ALL {
                rest(Duration::from_millis(world.random().below(20_000))).await;
                if world.random().below(2) == 0 {
                    // Without its bytes: only from what is still there.
                    match hand.finish(at, &new, false).await.unwrap() {
                        FinishAnswer::Confirmed(it) => confirmed.push(it),
                        FinishAnswer::Rebuilding { .. } => {
                            confirmed.push(hand.confirm(at, &new).await);
                        }
                    }
                } else {
                    confirmed.push(hand.confirm(at, &new).await);
                }
            }
            let certified = hand.certify(&new, &confirmed);
            for at in ALL {
                rest(Duration::from_millis(world.random().below(20_000))).await;
                let answer = hand.put_certificate(at, &certified).await.unwrap();
                assert_eq!(answer.state, Acknowledgement::Acknowledged, "node {at}");
                assert_eq!(slivers(&world, &hand, at), 2, "node {at} acknowledged");
            }
            rest(2 * ROUND).await;
            for at in ALL {
                assert_eq!(slivers(&world, &hand, at), 2, "node {at}: the new claim needs them");
            }
            assert!(is_found(&resolve(&hand, "new").await, &new));
        });
    }
}

#[test]
fn v6_older_bytes_of_a_name_do_not_come_back() {
    play(|world, hand| async move {
        let (first, _) = written(&hand, 1, "again").await;
        // Its own release comes to one node only, which then is away.
        world.cut_nodes();
        release(&hand, &[3], &first).await;
        world.kill("node-3").await;
        world.join_nodes();
        rest(Duration::from_secs(1)).await;
        let second = hand.draft(2, "again", &content(2));
        let certified = hand.certified_by(&[0, 1, 2], &second).await;
        for at in 0..3 {
            let answer = hand.put_certificate(at, &certified).await.unwrap();
            assert_eq!(answer.state, Acknowledgement::Acknowledged);
        }
        assert!(is_found(&resolve(&hand, "again").await, &second));
        release(&hand, &[0, 1, 2], &second).await;
        let resolution = resolve(&hand, "again").await;
        assert!(matches!(resolution, Resolution::Absent { .. }), "{resolution:?}");
        let name = "again".parse().unwrap();
        let deleted = hand.client().deleted(NAMESPACE_UID, &name).await.unwrap();
        assert!(
            matches!(&deleted, Deleted::Released { content, .. } if content.0.body == second.claim.body),
            "the newest is what is undeleted: {deleted:?}"
        );
    });
}

#[test]
fn v8_releases_end_everywhere() {
    play(|world, hand| async move {
        let (draft, _) = written(&hand, 1, "ends").await;
        let old = release(&hand, &[0, 1, 2], &draft).await;
        gossip(&world, &hand).await;
        world.pass(RETENTION + MINUTE);
        rest(2 * ROUND).await;
        for at in ALL {
            assert_eq!(said(&hand, at, "ends").await, [], "node {at}");
            let again = hand.nodes.put_release(&hand.target(at), &old).await;
            assert_eq!(code(again), ErrorCode::StaleStatement, "node {at}");
        }
        rest(COMPARED).await;
        for at in ALL {
            assert_eq!(said(&hand, at, "ends").await, [], "node {at} got it from another");
        }
    });
}

#[test]
fn v9_a_blob_object_may_wait_a_month_for_its_bytes() {
    play(|world, hand| async move {
        let created = floe_model::Timestamp(hand.now().0 - 31 * 24 * 3_600_000);
        let slow = hand.draft_created(1, "slow", &content(1), created);
        let certified = hand.certified_by(&[0, 1, 2], &slow).await;
        for at in ALL {
            hand.put_certificate(at, &certified).await.unwrap();
        }
        world.cut("script", "node-0");
        assert!(is_found(&resolve(&hand, "slow").await, &slow));
    });
}

/// D denies every claim, and agrees with nobody's catalog.
fn denier() -> Impostor {
    Arc::new(|call, _| {
        let nothing = Statements { items: Vec::new(), complete: true };
        match call {
            Call::Resolve { .. } | Call::Bucket { .. } => Some(nothing.to_response(StatusCode::OK)),
            Call::Cursor { .. } => {
                let unread = floe_api::messages::CursorAnswer { head: None };
                Some(unread.to_response(StatusCode::OK))
            }
            Call::Digests => {
                let none = vec![floe_model::catalog::BucketDigest::default(); 1024];
                Some(floe_api::messages::Digests(none).to_response(StatusCode::OK))
            }
            _ => None,
        }
    })
}

#[test]
fn v10_one_that_lags_and_one_that_lies_end_nothing_and_the_net_mends_the_rest() {
    play(|world, hand| async move {
        // C is behind: it was away, and the claim turned old meanwhile.
        world.kill("node-2").await;
        let draft = hand.draft(1, "old", &content(1));
        let certified = hand.certified_by(&[0, 1, 3], &draft).await;
        for at in [0, 1, 3] {
            let answer = hand.put_certificate(at, &certified).await.unwrap();
            assert_eq!(answer.state, Acknowledgement::Acknowledged);
        }
        become_impostor(&world, &hand, 3, denier()).await;
        world.pass(RETENTION + MINUTE);
        // C hears of it from A, while B does not answer: A's word alone is not enough.
        world.cut("node-2", "node-1");
        world.start("node-2").await;
        world.serving(&hand.nodes, &hand.node(2)).await;
        rest(COMPARED).await;
        assert_eq!(said(&hand, 2, "old").await, []);
        // And C and D do not make A and B forget it.
        for at in [0, 1] {
            assert_eq!(said(&hand, at, "old").await.len(), 1, "node {at}");
            assert_eq!(slivers(&world, &hand, at), 2, "node {at}");
        }
        world.join("node-2", "node-1");
        until_slivers(&world, &hand, 2, 2).await;
        assert!(is_found(&resolve(&hand, "old").await, &draft));
    });
}

#[test]
fn v11_what_nobody_else_holds_goes() {
    play(|world, hand| async move {
        world.cut_nodes();
        let draft = hand.draft(1, "lonely", &content(1));
        let certified = hand.certified_by(&[0, 1, 2], &draft).await;
        let answer = hand.put_certificate(2, &certified).await.unwrap();
        assert_eq!(answer.state, Acknowledgement::Acknowledged);
        world.pass(RETENTION + MINUTE);
        for at in [0, 1] {
            until_slivers(&world, &hand, at, 0).await;
        }
        rest(COMPARED).await;
        assert_eq!(said(&hand, 2, "lonely").await.len(), 1, "silence is no answer");
        assert_eq!(slivers(&world, &hand, 2), 2);
        world.join_nodes();
        rest(COMPARED).await;
        for at in ALL {
            assert_eq!(said(&hand, at, "lonely").await, [], "node {at}");
        }
        world.pass(HOUR);
        until_slivers(&world, &hand, 2, 0).await;
    });
}
