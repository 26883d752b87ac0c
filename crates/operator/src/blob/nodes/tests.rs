use floe_api::messages::ChainLink;
use floe_model::SignedRecord;
use floe_model::keys::RegistrarKey;

use super::*;
use fixture::{COMMITTEE, OTHER_RECORD, certificate, claim, gateway, operator, record, release};

#[path = "../../../../model/tests/model/fixture.rs"]
#[expect(dead_code, reason = "shared with the tests of the model")]
mod fixture;

fn subject() -> Subject {
    let claim = claim();
    Subject {
        claim: claim.claim,
        namespace: claim.namespace,
        namespace_uid: claim.namespace_uid,
        name: claim.name,
        created: claim.created,
    }
}

fn certified(members: &[usize], record: &EpochRecord) -> CertifiedClaim {
    CertifiedClaim {
        claim: Signed::sign(claim(), &COMMITTEE, record.hash(), &gateway()),
        certificate: certificate(record, &claim(), members),
    }
}

fn node(at: usize) -> NodeName {
    format!("node-{at}").parse().unwrap()
}

fn nodes(count: usize) -> BTreeSet<NodeName> {
    (0..count).map(node).collect()
}

/// What so many nodes mean who answered, of whom these show a claim.
fn content(
    answered: usize,
    claims: Vec<(usize, CertifiedClaim)>,
    releases: Vec<SignedRelease>,
) -> Content {
    let record = record();
    let records = BTreeMap::from([(record.hash(), record.clone())]);
    let claims = claims.into_iter().map(|(at, claim)| (node(at), claim)).collect();
    checked(&records, nodes(answered), claims, releases).content(&record)
}

#[test]
fn content_is_what_genuine_statements_of_enough_nodes_say() {
    let good = certified(&[0, 1, 2], &record());
    let also_good = certified(&[1, 2, 3], &record());
    let mut forged = good.clone();
    forged.certificate = also_good.certificate.clone();
    forged.certificate.signers = good.certificate.signers.clone();
    let mut unsigned = good.clone();
    unsigned.claim.body.length += 1;
    let mut unknown = good.clone();
    unknown.claim.record = OTHER_RECORD;
    let sha256 = claim().policy.sha256;
    let says = |by_enough| Content::Certified { sha256, by_enough };
    let all = |claim: &CertifiedClaim, count| (0..count).map(|at| (at, claim.clone())).collect();
    let table = [
        (content(2, vec![], vec![]), Content::Unknown { answered: 2, needed: 3 }),
        (content(3, vec![], vec![]), Content::Absent),
        (content(1, all(&good, 1), vec![]), says(false)),
        (content(4, all(&good, 2), vec![]), says(false)),
        (content(3, all(&good, 3), vec![]), says(true)),
        (
            content(3, vec![(0, good.clone()), (1, also_good), (2, good.clone())], vec![]),
            says(true),
        ),
        (content(4, all(&forged, 4), vec![]), Content::Absent),
        (content(4, all(&unsigned, 4), vec![]), Content::Absent),
        (content(4, all(&unknown, 4), vec![]), Content::Absent),
    ];
    for (row, (found, expected)) in table.into_iter().enumerate() {
        assert_eq!(found, expected, "row {row}");
    }
}

#[test]
fn one_genuine_release_ends_a_claim_and_no_forged_one_does() {
    let good = certified(&[0, 1, 2], &record());
    let shown = || (0..4).map(|at| (at, good.clone())).collect::<Vec<_>>();
    let sign = |key: &RegistrarKey| Signed::sign(release(), &COMMITTEE, record().hash(), key);
    let foreign = RegistrarKey::from_seed(&[0xff; 32]);
    assert_eq!(content(4, shown(), vec![sign(&operator())]), Content::Released);
    assert_eq!(content(1, vec![], vec![sign(&gateway())]), Content::Released);
    assert_eq!(content(4, vec![], vec![sign(&foreign)]), Content::Absent);
}

#[test]
fn statements_of_other_blobs_are_not_about_this_one() {
    let (subject, good) = (subject(), certified(&[0, 1, 2], &record()));
    assert!(subject.is_claimed_by(&good));
    let mut other = good.clone();
    other.claim.body.claim.0[0] ^= 1;
    assert!(!subject.is_claimed_by(&other), "an older object of the name");
    assert!(subject.is_ended_by(&release()));
    let mut older = release();
    older.claim.0[0] ^= 1;
    assert!(!subject.is_ended_by(&older), "created at the same time");
    older.created.0 += 1;
    assert!(subject.is_ended_by(&older), "a newer object's release covers it");
    older.namespace_uid.0[0] ^= 1;
    assert!(!subject.is_ended_by(&older), "another namespace");
}

#[test]
fn older_records_are_believed_along_the_chain_only() {
    let genesis = record();
    let newest = fixture::child();
    let mut stranger = record();
    stranger.policy.undelete_window_millis += 1;
    let link = |record: &EpochRecord| {
        let signature = operator().sign(&SignedRecord::statement(record));
        let record = SignedRecord { record: record.clone(), key: operator().public(), signature };
        ChainLink { record, proof: None }
    };
    let chain = Chain { links: vec![link(&genesis), link(&stranger)] };
    let known = ancestry(&newest, chain);
    let hashes: BTreeSet<RecordHash> = known.into_keys().collect();
    assert_eq!(hashes, BTreeSet::from([newest.hash(), genesis.hash()]));
}
