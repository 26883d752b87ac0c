//! Releases, epoch records, and what is not there.

use floe_api::messages::Chain;
use floe_api::{ErrorCode, Span};
use floe_model::keys::NodeSignature;
use floe_model::{Axis, ExtentIndex, PairIndex, SignedRecord, Timestamp};
use floe_tests::local::resolve;

use crate::scene::{DAY_MILLIS, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn releases_and_records() {
    let scene = Scene::start("releases").await;
    let committee = &scene.committee;
    let (draft, _) = scene.certified("a", 1).await;
    committee.settle().await;
    let target = committee.target(0);
    let good = committee.release_of(&draft);
    let rename = |release: &mut floe_model::Release| release.name = "b".parse().unwrap();
    for (what, release, why) in scene.forgeries(&good, rename) {
        scene.refused(what, why, scene.gateway.put_release(&target, &release)).await;
    }
    let signed = Timestamp(committee.now().0 - 31 * DAY_MILLIS);
    let old = committee.sign(floe_model::Release { signed, ..good.body.clone() });
    let why = (ErrorCode::StaleStatement, "the release was signed at");
    scene.refused("replayed", why, scene.gateway.put_release(&target, &old)).await;
    assert!(resolve(&committee.client(), "a").await.is_some(), "it is live still");

    // Epoch records: another record 0, one that nobody signed, a proof of something else.
    let chain = committee.chain();
    let mut other = chain.clone();
    other.links[0].record.record.policy.undelete_window_millis += 1;
    let unsigned = other.clone();
    let record = &mut other.links[0].record;
    let operator = committee.trust().operator_key();
    record.signature = operator.sign(&SignedRecord::statement(&record.record));
    let mut forged = chain.clone();
    let proof = forged.links[0].proof.as_mut().unwrap();
    proof.signature = NodeSignature([0; 96]);
    let push = |chain: Chain| {
        let (gateway, target) = (scene.gateway.clone(), target.clone());
        async move { gateway.push_epoch(&target, &chain).await }
    };
    let why = (ErrorCode::Malformed, "another beginning");
    scene.refused("another record 0", why, push(other)).await;
    let before = committee.holding(0).await;
    let error = push(unsigned).await.unwrap_err();
    let codes = [ErrorCode::Malformed, ErrorCode::StatementInvalid];
    assert!(codes.contains(&error.refusal().unwrap().code), "{error}");
    assert_eq!(committee.holding(0).await, before);
    // What is committed here needs no proof: a forged one changes nothing.
    let accepted = push(forged).await.unwrap().value.record;
    assert_eq!(accepted, chain.links[0].record.record.hash());
    let why = (ErrorCode::Malformed, "no epoch record");
    scene.refused("no record", why, push(Chain::default())).await;
    push(chain).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let scene = Scene::start("absent").await;
    let committee = &scene.committee;
    let (draft, _) = scene.certified("a", 1).await;
    committee.settle().await;
    let (target, gateway, blob) = (committee.target(0), &scene.gateway, draft.claim.body.blob);
    let own = committee.share(&draft.extents[0], 0).slivers[0].pair;
    let absent = |says| (ErrorCode::NotFound, says);
    let unknown = floe_model::BlobId([9; 32]);
    scene.refused("manifest", absent("is not held"), gateway.manifest(&target, unknown)).await;
    let beyond = (blob, ExtentIndex(1));
    scene
        .refused(
            "metadata",
            absent("not known here"),
            gateway.metadata(&target, beyond.0, beyond.1),
        )
        .await;
    let all = Axis::BOTH.into_iter().flat_map(|axis| {
        [(beyond, (axis, own)), ((blob, ExtentIndex(0)), (axis, PairIndex((own.0 + 1) % 4)))]
    });
    for (at, sliver) in all.chain([((unknown, ExtentIndex(0)), (Axis::Primary, own))]) {
        let call = gateway.sliver(&target, at, sliver, None);
        scene.refused("sliver", absent("held here"), call).await;
    }
    let stripes = Some(Span { first: 2, count: 1 });
    let call = gateway.sliver(&target, (blob, ExtentIndex(0)), (Axis::Primary, own), stripes);
    scene.refused("stripes", (ErrorCode::Malformed, "no such stripes"), call).await;
    assert_eq!(resolve(&committee.client(), "b").await, None);
}
