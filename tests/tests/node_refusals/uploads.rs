//! Permits and extents.

use bytes::Bytes;
use floe_api::messages::{Encode as _, Extent};
use floe_api::{Call, ErrorCode, Role};
use floe_model::claim::FRESH_MILLIS;
use floe_model::{ExtentIndex, Incarnation, PairIndex, Permit, Signed, Timestamp, UploadId};
use floe_tests::local::{Draft, content, raw};

use crate::scene::{Scene, TWO_STRIPES_BYTES, shorten};

#[tokio::test(flavor = "multi_thread")]
async fn permits() {
    let scene = Scene::start("permits").await;
    let committee = &scene.committee;
    let (released, _) = scene.certified("released", 1).await;
    let closed = committee.draft("closed", &content(2, 100));
    let opened = committee.draft("opened", &content(3, 100));
    scene.end(&released, &closed).await;
    scene.gateway.open_upload(&committee.target(0), &opened.permit).await.unwrap();
    committee.settle().await;

    let good = committee.draft("a", &content(4, 100));
    let rename = |permit: &mut Permit| permit.name = "b".parse().unwrap();
    for (what, permit, why) in scene.forgeries(&good.permit, rename) {
        scene.refuses_permit(what, why, &Draft { permit, ..good.clone() }).await;
    }
    let by_operator = {
        let (record, key) = (committee.record(), committee.trust().operator_key());
        Signed::sign(good.permit.body.clone(), &record.committee, record.hash(), key)
    };
    let why = (ErrorCode::StatementInvalid, "does not name");
    let draft = Draft { permit: by_operator, ..good.clone() };
    scene.refuses_permit("by the operator", why, &draft).await;
    let now = committee.now().0;
    for (what, signed) in
        [("old", now - FRESH_MILLIS - 60_000), ("future", now + FRESH_MILLIS + 60_000)]
    {
        let body = Permit { signed: Timestamp(signed), ..good.permit.body.clone() };
        let draft = Draft { permit: committee.sign(body), ..good.clone() };
        let why = (ErrorCode::StaleStatement, "the permit was signed at");
        scene.refuses_permit(what, why, &draft).await;
    }
    let taken = Permit { upload: opened.upload(), ..good.permit.body.clone() };
    let taken = Draft { permit: committee.sign(taken), ..good.clone() };
    let why = (ErrorCode::StaleStatement, "opened with another permit");
    scene.refuses_permit("an upload id that is taken", why, &taken).await;
    let again = Permit { upload: UploadId(committee.draw_id()), ..released.permit.body.clone() };
    let again = Draft { permit: committee.sign(again), ..released.clone() };
    let why = (ErrorCode::ClaimReleased, "covered by the release");
    scene.refuses_permit("of a released claim", why, &again).await;
    scene
        .refuses_permit("of a closed claim", (ErrorCode::ClaimClosed, "was closed"), &closed)
        .await;

    // A path that names another upload; a body that is no permit.
    let identity = committee.identity(Role::Gateway, "caller", Incarnation(0));
    let target = committee.target(0);
    let call = Call::OpenUpload { upload: UploadId([7; 16]) };
    let before = committee.holding(0).await;
    let whole = floe_api::messages::Encode::encode(&good.permit);
    for (body, says) in [
        (whole.clone(), "the path names"),
        (Bytes::from_static(b"no frame at all"), "frame 0"),
        (Bytes::new(), "ends before its permit"),
        (whole.slice(..40), "frame 0"),
    ] {
        let at = (&call.spec().method, call.path_and_query());
        let ends = (&identity, &target);
        let refusal = raw::refusal(committee.env(), ends, (at.0, &at.1), body).await;
        assert_eq!(refusal.code, ErrorCode::Malformed);
        assert!(refusal.detail.contains(says), "{refusal}");
    }
    assert_eq!(committee.holding(0).await, before);
    // The good one is good.
    scene.gateway.open_upload(&target, &good.permit).await.unwrap();
}

/// Changes an extent, given another blob's and a pair of another node.
type Alter = fn(&mut Extent<Vec<u8>>, &Extent<Vec<u8>>, PairIndex);

fn alterations() -> Vec<(&'static str, (ErrorCode, &'static str), Alter)> {
    let sliver = |says| (ErrorCode::SliverInvalid, says);
    let metadata = |says| (ErrorCode::MetadataInvalid, says);
    vec![
        ("a wrong secondary", sliver("secondary sliver"), |it, _, _| it.slivers[0].bytes[5] ^= 1),
        ("a wrong primary", sliver("differs from its root in stripe 1"), |it, _, _| {
            let last = it.slivers[1].bytes.len() - 1;
            it.slivers[1].bytes[last] ^= 0x80;
        }),
        ("a short sliver", sliver("expected"), |it, _, _| shorten(&mut it.slivers[0].bytes)),
        ("a long sliver", sliver("expected"), |it, _, _| it.slivers[1].bytes.push(0)),
        ("an empty sliver", sliver("expected"), |it, _, _| it.slivers[1].bytes.clear()),
        ("another blob's sliver", sliver("differs from its root"), |it, foreign, _| {
            it.slivers[0].bytes.clone_from(&foreign.slivers[0].bytes);
        }),
        ("the pair's other sliver", sliver("expected"), |it, _, _| {
            it.slivers[0].bytes = it.slivers[1].bytes.clone();
        }),
        ("a pair of another node", sliver("not this node's"), |it, _, elsewhere| {
            it.slivers[0].pair = elsewhere;
        }),
        ("a pair that does not exist", sliver("does not exist"), |it, _, _| {
            it.slivers[0].pair = PairIndex(4);
        }),
        ("a sliver twice", sliver("comes twice"), |it, _, _| {
            it.slivers.push(it.slivers[0].clone());
        }),
        ("short metadata", metadata("expected"), |it, _, _| shorten(&mut it.metadata)),
        ("long metadata", metadata("expected"), |it, _, _| it.metadata.push(0)),
        ("no metadata", metadata("expected"), |it, _, _| it.metadata.clear()),
        // Any roots are the metadata of something: slivers of this one do not agree with them.
        ("altered metadata", sliver("sliver"), |it, _, _| {
            for byte in it.metadata.iter_mut().step_by(32) {
                *byte ^= 1;
            }
        }),
        ("another blob's metadata", sliver("sliver"), |it, foreign, _| {
            it.metadata.clone_from(&foreign.metadata);
        }),
        ("a length of other stripes", metadata("expected"), |it, _, _| it.length_bytes = 100),
        ("a length beyond an extent", metadata("at most"), |it, _, _| it.length_bytes = u32::MAX),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn extents() {
    let scene = Scene::start("extents").await;
    let committee = &scene.committee;
    let draft = committee.draft("a", &content(1, TWO_STRIPES_BYTES));
    let other = committee.draft("b", &content(2, TWO_STRIPES_BYTES));
    let target = committee.target(0);
    scene.gateway.open_upload(&target, &draft.permit).await.unwrap();
    committee.settle().await;
    let (own, foreign) =
        (committee.share(&draft.extents[0], 0), committee.share(&other.extents[0], 0));
    // What belongs on node 1 is on offer too.
    let elsewhere = committee.share(&draft.extents[0], 1).slivers[0].pair;
    for (what, why, alter) in alterations() {
        let mut bad = own.clone();
        alter(&mut bad, &foreign, elsewhere);
        scene.refuses_extent(what, why, (draft.upload(), &bad)).await;
    }
    let why = (ErrorCode::UnknownUpload, "open it first");
    scene.refuses_extent("an unknown upload", why, (UploadId([7; 16]), &own)).await;

    // The whole frame is there, its content is not what its checksum says.
    let identity = committee.identity(Role::Gateway, "caller", Incarnation(0));
    let call = Call::PutExtent { upload: draft.upload(), extent: ExtentIndex(0) };
    let before = committee.holding(0).await;
    let mut damaged = own.encode().to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let at = (&call.spec().method, call.path_and_query());
    let ends = (&identity, &target);
    let refusal = raw::refusal(committee.env(), ends, (at.0, &at.1), damaged.into()).await;
    assert_eq!(refusal.code, ErrorCode::Malformed);
    assert!(refusal.detail.contains("checksum"), "{refusal}");
    assert_eq!(committee.holding(0).await, before);

    // The good one is good, and stays: another extent in its place is refused.
    let put = || scene.gateway.put_extent(&target, draft.upload(), ExtentIndex(0), &own);
    put().await.unwrap();
    put().await.unwrap();
    let why = (ErrorCode::MetadataInvalid, "came before with other metadata");
    scene.refuses_extent("a second extent 0", why, (draft.upload(), &foreign)).await;
}
