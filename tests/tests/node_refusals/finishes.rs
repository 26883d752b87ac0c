//! The end of an upload.

use floe_api::ErrorCode;
use floe_api::messages::{Finish, FinishAnswer, InlineExtent};
use floe_model::claim::FRESH_MILLIS;
use floe_model::keys::RegistrarSignature;
use floe_model::{Claim, ExtentIndex, Permit, Signed, Timestamp};
use floe_tests::local::{Committee, Draft, content};

use crate::scene::{Scene, TWO_STRIPES_BYTES, shorten};

type AlterManifest = fn(&mut Vec<u8>, &Draft);

#[tokio::test(flavor = "multi_thread")]
async fn claims() {
    let scene = Scene::start("claims").await;
    let committee = &scene.committee;
    let draft = committee.draft("a", &content(1, TWO_STRIPES_BYTES));
    committee.upload(&scene.gateway, &draft, 0).await;
    committee.settle().await;
    let (upload, good) = (draft.upload(), committee.finish_of(&draft));
    let body = || draft.claim.body.clone();

    let rename = |claim: &mut Claim| claim.name = "b".parse().unwrap();
    for (what, claim, why) in scene.forgeries(&draft.claim, rename) {
        let finish = Finish { claim, ..good.clone() };
        scene.refuses_finish(what, why, (upload, &finish)).await;
    }
    let (record, operator) = (committee.record(), committee.trust().operator_key());
    let claim = Signed::sign(body(), &record.committee, record.hash(), operator);
    let finish = Finish { claim, ..good.clone() };
    let why = (ErrorCode::StatementInvalid, "does not name");
    scene.refuses_finish("by the operator", why, (upload, &finish)).await;
    let now = committee.now().0;
    let apart = FRESH_MILLIS + 60_000;
    for (what, signed) in [("old", now - apart), ("future", now + apart)] {
        let claim = committee.sign(Claim { signed: Timestamp(signed), ..body() });
        let finish = Finish { claim, ..good.clone() };
        let why = (ErrorCode::StaleStatement, "the claim was signed at");
        scene.refuses_finish(what, why, (upload, &finish)).await;
    }
    // The good one is good.
    let confirmed = scene.gateway.finish(&committee.target(0), upload, &good).await.unwrap();
    assert!(matches!(confirmed.value, FinishAnswer::Confirmed(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_have_a_blob_or_an_end() {
    let scene = Scene::start("ended-claims").await;
    let committee = &scene.committee;
    let (bound, _) = scene.certified("bound", 1).await;
    let (released, _) = scene.certified("released", 2).await;
    let closed = committee.draft("closed", &content(3, TWO_STRIPES_BYTES));
    let claim = bound.claim.body.claim;
    let second = committee.draft_under(claim, "bound", &content(4, TWO_STRIPES_BYTES));
    for uploaded in [&second, &closed] {
        committee.upload(&scene.gateway, uploaded, 0).await;
    }
    scene.end(&released, &closed).await;
    committee.settle().await;

    let why = (ErrorCode::ClaimBound, "is bound to blob");
    let finish = committee.finish_of(&second);
    let refusal = scene.refuses_finish("a second blob", why, (second.upload(), &finish)).await;
    assert_eq!((refusal.claim, refusal.blob), (Some(claim), Some(bound.claim.body.blob)));
    assert!(refusal.detail.contains(&second.claim.body.blob.to_string()), "{refusal}");
    for (what, draft, why) in [
        ("released", &released, (ErrorCode::ClaimReleased, "covered by the release")),
        ("closed", &closed, (ErrorCode::ClaimClosed, "was closed")),
    ] {
        let finish = committee.finish_of(draft);
        scene.refuses_finish(what, why, (draft.upload(), &finish)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests() {
    let scene = Scene::start("manifests").await;
    let committee = &scene.committee;
    let draft = committee.draft("a", &content(1, TWO_STRIPES_BYTES));
    let other = committee.draft("b", &content(2, TWO_STRIPES_BYTES));
    committee.upload(&scene.gateway, &draft, 0).await;
    committee.settle().await;
    let (upload, good) = (draft.upload(), committee.finish_of(&draft));

    let cases: Vec<(&str, &str, AlterManifest)> = vec![
        ("a short manifest", "expected", |manifest, _| shorten(manifest)),
        ("a long manifest", "expected", |manifest, _| manifest.push(0)),
        ("no manifest", "manifest", |manifest, _| manifest.clear()),
        ("a wrong manifest", "belongs to", |manifest, _| *manifest.last_mut().unwrap() ^= 1),
        ("another blob's manifest", "belongs to", |manifest, other| {
            *manifest = other.manifest.encode();
        }),
        ("a newer manifest", "version", |manifest, _| manifest[0] = 9),
    ];
    for (what, says, alter) in cases {
        let mut finish = good.clone();
        alter(&mut finish.manifest, &other);
        let why = (ErrorCode::ManifestInvalid, says);
        scene.refuses_finish(what, why, (upload, &finish)).await;
    }
    // A right claim and manifest at the end of an upload of another blob.
    let claim = draft.claim.body.claim;
    let stolen = committee.sign(Claim { claim, ..other.claim.body.clone() });
    let finish = Finish { claim: stolen, ..committee.finish_of(&other) };
    let why = (ErrorCode::ManifestInvalid, "extent 0 of upload");
    scene.refuses_finish("stripes of another blob", why, (upload, &finish)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_with_extents_that_are_not_of_the_manifest() {
    let scene = Scene::start("other-extents").await;
    let committee = &scene.committee;
    let target = committee.target(0);
    let beyond = committee.draft("beyond", &content(1, TWO_STRIPES_BYTES));
    let shorter = committee.draft("shorter", &content(2, TWO_STRIPES_BYTES));
    committee.upload(&scene.gateway, &beyond, 0).await;
    // Whether an extent lies behind the end shows at the end only; so does the length of its last
    // stripe, which decides the stripe's id and with it on which shards the pairs lie.
    let (upload, share) = (beyond.upload(), committee.share(&beyond.extents[0], 0));
    scene.gateway.put_extent(&target, upload, ExtentIndex(9), &share).await.unwrap();
    let mut share = committee.share(&shorter.extents[0], 0);
    (share.length_bytes, share.slivers) = (share.length_bytes - 1, Vec::new());
    let upload = shorter.upload();
    scene.gateway.open_upload(&target, &shorter.permit).await.unwrap();
    scene.gateway.put_extent(&target, upload, ExtentIndex(0), &share).await.unwrap();
    committee.settle().await;
    for (draft, says) in [(&beyond, "extent 9 of upload"), (&shorter, "extent 0 of upload")] {
        let (why, finish) = ((ErrorCode::ManifestInvalid, says), committee.finish_of(draft));
        scene.refuses_finish(says, why, (draft.upload(), &finish)).await;
    }
}

type AlterInline = fn(&mut InlineExtent<Vec<u8>>, &Committee, &Draft);

#[tokio::test(flavor = "multi_thread")]
async fn blobs_in_one_request() {
    let scene = Scene::start("inline").await;
    let committee = &scene.committee;
    let (bound, _) = scene.certified("bound", 1).await;
    let closed = committee.draft("closed", &content(2, 1000));
    for at in 0..4 {
        scene.gateway.close(&committee.target(at), closed.claim.body.claim).await.unwrap();
    }
    committee.settle().await;
    let draft = committee.draft("a", &content(3, 1000));
    let other = committee.draft("b", &content(4, 1000));
    let second = committee.draft_under(bound.claim.body.claim, "bound", &content(5, 1000));

    let cases: Vec<(&str, (ErrorCode, &str), AlterInline)> = vec![
        ("a wrong sliver", (ErrorCode::SliverInvalid, "differs"), |it, _, _| {
            it.extent.slivers[0].bytes[0] ^= 1;
        }),
        ("short metadata", (ErrorCode::MetadataInvalid, "expected"), |it, _, _| {
            shorten(&mut it.extent.metadata);
        }),
        ("another blob's extent", (ErrorCode::ManifestInvalid, "only one"), |it, scene, other| {
            it.extent = scene.share(&other.extents[0], 0);
        }),
        ("another claim's permit", (ErrorCode::Malformed, "another upload"), |it, scene, other| {
            let upload = it.permit.body.upload;
            it.permit = scene.sign(Permit { upload, ..other.permit.body.clone() });
        }),
        ("an unsigned permit", (ErrorCode::StatementInvalid, "permit"), |it, _, _| {
            it.permit.signature = RegistrarSignature([0; 64]);
        }),
        ("an old permit", (ErrorCode::StaleStatement, "permit"), |it, scene, _| {
            let signed = Timestamp(it.permit.body.signed.0 - 25 * 3_600_000);
            it.permit = scene.sign(Permit { signed, ..it.permit.body.clone() });
        }),
    ];
    for (what, why, alter) in cases {
        let mut finish = committee.inline_of(&draft, 0);
        alter(finish.inline.as_mut().unwrap(), committee, &other);
        scene.refuses_finish(what, why, (draft.upload(), &finish)).await;
    }
    // The content is right and the claim is not: not even the content stays.
    let old = Timestamp(draft.claim.body.signed.0 - 25 * 3_600_000);
    let claim = committee.sign(Claim { signed: old, ..draft.claim.body.clone() });
    let finish = Finish { claim, ..committee.inline_of(&draft, 0) };
    let why = (ErrorCode::StaleStatement, "the claim was signed at");
    scene.refuses_finish("an old claim", why, (draft.upload(), &finish)).await;
    for (what, draft, why) in [
        ("a second blob", &second, (ErrorCode::ClaimBound, "is bound to blob")),
        ("a closed claim", &closed, (ErrorCode::ClaimClosed, "was closed")),
    ] {
        let finish = committee.inline_of(draft, 0);
        scene.refuses_finish(what, why, (draft.upload(), &finish)).await;
    }
    let finish = committee.inline_of(&draft, 0);
    scene.gateway.finish(&committee.target(0), draft.upload(), &finish).await.unwrap();
}
