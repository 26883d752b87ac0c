//! Certificates, and what may be acknowledged.

use floe_api::ErrorCode;
use floe_api::messages::Acknowledgement;
use floe_model::keys::{NodeKey, NodeSignature};
use floe_model::{
    Certificate, Claim, Confirmation, EpochRecord, Geometry, Layout as _, RecordHash, Signers,
    Timestamp,
};
use floe_tests::local::{Draft, content};

use crate::scene::{DAY_MILLIS, Scene, TWO_STRIPES_BYTES};

/// A bitmap of these members, whatever the record says.
fn signers(members: &[usize]) -> Signers {
    let mut bitmap = vec![0_u8; members.iter().max().unwrap() / 8 + 1];
    for member in members {
        bitmap[member / 8] |= 1 << (member % 8);
    }
    let length = u32::try_from(bitmap.len()).unwrap().to_le_bytes();
    Signers::from_bytes(&[&length[..], &bitmap].concat()).unwrap()
}

type Bad = (&'static str, Certificate, (ErrorCode, &'static str));

/// A certificate that holds, and those that do not: from the nodes' votes, and another blob's.
fn good_and_bad(
    (record, draft): (&EpochRecord, &Draft),
    votes: &[NodeSignature],
    other: &Certificate,
) -> (Certificate, Vec<Bad>) {
    let confirmation = Confirmation::of(&draft.claim.body, record.geometry);
    let sum = |of: &[usize]| {
        let of: Vec<NodeSignature> = of.iter().map(|&at| votes[at]).collect();
        NodeSignature::aggregate(&of).unwrap()
    };
    let by = |members: &[usize], signature| Certificate {
        confirmation,
        record: record.hash(),
        signers: signers(members),
        signature,
    };
    let good = by(&[0, 1, 2], sum(&[0, 1, 2]));
    let statement = confirmation.statement(&record.committee, &record.hash());
    let strangers: Vec<NodeSignature> =
        (1..4).map(|seed| NodeKey::generate(&[seed; 32]).unwrap().sign(&statement)).collect();
    let about = |confirmation| Certificate { confirmation, ..good.clone() };
    let invalid = |says| (ErrorCode::CertificateInvalid, says);
    let mismatch = invalid("does not prove availability");
    let bad = vec![
        ("fewer than n-f shards", by(&[0, 1], sum(&[0, 1])), mismatch),
        ("a signer who did not sign", by(&[0, 1, 2], sum(&[0, 1])), mismatch),
        ("a signer twice in the sum", by(&[0, 1, 2], sum(&[0, 1, 1])), mismatch),
        ("an unknown signer", by(&[0, 1, 2, 5], sum(&[0, 1, 2])), mismatch),
        ("a signer far away", by(&[0, 1, 2, 255], sum(&[0, 1, 2])), mismatch),
        ("no signature", by(&[0, 1, 2], NodeSignature([0; 96])), mismatch),
        (
            "nodes of another committee",
            by(&[0, 1, 2], NodeSignature::aggregate(&strangers).unwrap()),
            mismatch,
        ),
        (
            "another record",
            Certificate { record: RecordHash([9; 32]), ..good.clone() },
            (ErrorCode::NeedEpoch, "push the chain"),
        ),
        ("another blob's", other.clone(), invalid("another claim")),
        (
            "another blob's under this claim",
            Certificate { confirmation, ..other.clone() },
            mismatch,
        ),
        (
            "another claim",
            about(Confirmation { claim: other.confirmation.claim, ..confirmation }),
            invalid("another claim than"),
        ),
        (
            "another blob",
            about(Confirmation { blob: other.confirmation.blob, ..confirmation }),
            invalid("another blob than"),
        ),
        (
            "another length",
            about(Confirmation { length: confirmation.length + 1, ..confirmation }),
            invalid("another length than"),
        ),
        (
            "another geometry",
            about(Confirmation { geometry: Geometry::of_shards(7).unwrap(), ..confirmation }),
            invalid("another geometry than"),
        ),
    ];
    (good, bad)
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates() {
    let scene = Scene::start("certificates").await;
    let committee = &scene.committee;
    let (_, other) = scene.certified("other", 1).await;
    let draft = committee.draft("a", &content(2, TWO_STRIPES_BYTES));
    let mut votes: Vec<NodeSignature> = Vec::new();
    for at in 0..4 {
        votes.push(committee.confirm(&scene.gateway, &draft, at).await);
    }
    committee.settle().await;
    let (good, bad) = good_and_bad((committee.record(), &draft), &votes, &other);
    for (what, certificate, why) in bad {
        scene.refuses_certificate(what, why, (&draft, &certificate)).await;
    }
    // The certificate is good, the claim with it is not.
    let rename = |claim: &mut Claim| claim.name = "b".parse().unwrap();
    for (what, claim, why) in scene.forgeries(&draft.claim, rename) {
        scene.refuses_certificate(what, why, (&Draft { claim, ..draft.clone() }, &good)).await;
    }
    // Older than releases are kept, and nobody vouches for it: it may be a deleted one.
    let signed = Timestamp(committee.now().0 - 31 * DAY_MILLIS);
    let claim = Claim { signed, ..draft.claim.body.clone() };
    let claim = committee.sign(claim);
    let why = (ErrorCode::StaleStatement, "the claim was signed at");
    scene
        .refuses_certificate("an old claim", why, (&Draft { claim, ..draft.clone() }, &good))
        .await;

    let certified = draft.certified(&good);
    scene.gateway.put_certificate(&committee.target(0), &certified).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_certificate_of_what_is_not_held_acknowledges_nothing() {
    let scene = Scene::start("late-certificate").await;
    let draft = scene.committee.draft("a", &content(1, TWO_STRIPES_BYTES));
    let certificate = scene.committee.certify(&scene.gateway, &draft, &[0, 1, 2]).await;
    // Node 3 never saw a byte: it owes the pairs from now on, and says that it lacks them.
    let certified = draft.certified(&certificate);
    let target = scene.committee.target(3);
    let answer = scene.gateway.put_certificate(&target, &certified).await.unwrap().value;
    assert_eq!(answer.state, Acknowledgement::Incomplete);
    assert_eq!(answer.missing_slivers, 2);
    // It heals, and acknowledges.
    scene.committee.holds_all(3, 1).await;
    let answer = scene.gateway.put_certificate(&target, &certified).await.unwrap().value;
    assert_eq!(answer.state, Acknowledgement::Acknowledged);
}
