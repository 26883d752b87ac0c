//! What must not be believed, and what it is called.

use floe_model::keys::{KeyError, NodeSignature, RegistrarKey};
use floe_model::record::RegistrarRole;
use floe_model::statement::RegistrarBody;
use floe_model::{
    BlobId, Certificate, CertificateError, Claim, ClaimId, CommitteeId, Confirmation, DecodeError,
    EpochNumber, EpochRecord, Geometry, Layout, Permit, Release, Signed, SignedError, Signers,
    SignersError, Timestamp,
};

use crate::fixture::{
    COMMITTEE, OTHER_RECORD, certificate, claim, gateway, node_key, operator, permit, record,
    record_of, release, signed_record, ticket, votes,
};

fn signers(bitmap: &[u8]) -> Signers {
    let count = u32::try_from(bitmap.len()).unwrap().to_le_bytes();
    Signers::from_bytes(&[&count, bitmap].concat()).unwrap()
}

/// A certificate as a liar may put it together: these bits, the sum of those members' signatures.
fn forged(record: &EpochRecord, claim: &Claim, bitmap: &[u8], members: &[usize]) -> Certificate {
    let signatures: Vec<NodeSignature> =
        votes(record, claim, members).into_iter().map(|(_, signature)| signature).collect();
    Certificate {
        confirmation: Confirmation::of(claim, record.geometry),
        record: record.hash(),
        signers: signers(bitmap),
        signature: NodeSignature::aggregate(&signatures).unwrap(),
    }
}

const MISMATCH: SignersError = SignersError::Aggregate(KeyError::Mismatch);

#[test]
fn a_certificate_needs_its_signers() {
    let (record, claim) = (record(), claim());
    let infinity = {
        let mut bytes = [0; 96];
        bytes[0] = 0xc0;
        NodeSignature(bytes)
    };
    let good = certificate(&record, &claim, &[0, 1, 3]);
    assert_eq!(good.verify(&record, &claim), Ok(()));
    let with = |signature| Certificate { signature, ..good.clone() };
    let rows = [
        ("nobody", forged(&record, &claim, &[], &[0]), SignersError::TooFew { have: 0, need: 3 }),
        (
            "two of three",
            forged(&record, &claim, &[0b0011], &[0, 1]),
            SignersError::TooFew { have: 2, need: 3 },
        ),
        ("a bit without signature", forged(&record, &claim, &[0b0111], &[0, 1]), MISMATCH),
        ("one signature twice", forged(&record, &claim, &[0b0111], &[0, 1, 1]), MISMATCH),
        ("a signature without bit", forged(&record, &claim, &[0b0111], &[0, 1, 2, 3]), MISMATCH),
        ("other bits", forged(&record, &claim, &[0b1110], &[0, 1, 2]), MISMATCH),
        (
            "a member that is none",
            forged(&record, &claim, &[0b1_0111], &[0, 1, 2]),
            SignersError::NoMember(4),
        ),
        (
            "a member far out",
            forged(&record, &claim, &[0b0111, 0, 1], &[0, 1, 2]),
            SignersError::NoMember(16),
        ),
        ("the point at infinity", with(infinity), MISMATCH),
        (
            "no point",
            with(NodeSignature([0xff; 96])),
            SignersError::Aggregate(KeyError::Malformed("node signature")),
        ),
    ];
    for (what, certificate, wanted) in rows {
        assert_eq!(
            certificate.verify(&record, &claim),
            Err(CertificateError::Signers(wanted)),
            "{what}"
        );
    }
}

type Change = fn(&mut Claim);

#[test]
fn a_certificate_holds_for_its_claim_only() {
    let (record, claim) = (record(), claim());
    let good = certificate(&record, &claim, &[0, 1, 3]);
    let rows: [(&str, Change); 3] = [
        ("claim", |it| it.claim = ClaimId([1; 16])),
        ("blob", |it| it.blob = BlobId([1; 32])),
        ("length", |it| it.length += 1),
    ];
    for (field, change) in rows {
        let mut other = claim.clone();
        change(&mut other);
        let wanted = Err(CertificateError::OtherClaim(field));
        assert_eq!(good.verify(&record, &other), wanted);
        // Nor does it hold when its own field is altered to fit.
        let mut altered = good.clone();
        altered.confirmation = Confirmation::of(&other, record.geometry);
        assert_eq!(altered.verify(&record, &other), Err(CertificateError::Signers(MISMATCH)));
    }
    let mut geometry = good.clone();
    geometry.confirmation.geometry = Geometry::of_shards(5).unwrap();
    assert_eq!(geometry.verify(&record, &claim), Err(CertificateError::OtherClaim("geometry")));
}

#[test]
fn a_certificate_holds_for_its_record_and_committee_only() {
    let (record, claim) = (record(), claim());
    let good = certificate(&record, &claim, &[0, 1, 3]);
    let other_committee = EpochRecord { committee: CommitteeId([1; 16]), ..record.clone() };
    let other_number = EpochRecord { number: EpochNumber(1), ..record.clone() };
    for other in [other_committee, other_number] {
        let wanted = SignersError::OtherRecord { found: record.hash(), wanted: other.hash() };
        assert_eq!(good.verify(&other, &claim), Err(CertificateError::Signers(wanted)));
        let renamed = Certificate { record: other.hash(), ..good.clone() };
        assert_eq!(renamed.verify(&other, &claim), Err(CertificateError::Signers(MISMATCH)));
    }
}

#[test]
fn gathering_checks_every_vote() {
    let (record, claim) = (record(), claim());
    let confirmation = Confirmation::of(&claim, record.geometry);
    let gather = |votes: Vec<(usize, NodeSignature)>| {
        Certificate::gather(confirmation, &record, votes).unwrap_err()
    };
    let of = |members: &[usize]| votes(&record, &claim, members);
    assert_eq!(gather(of(&[0, 1])), SignersError::TooFew { have: 2, need: 3 });
    assert_eq!(gather(of(&[0, 1, 1])), SignersError::Duplicate(1));
    let mut swapped = of(&[0, 1, 2]);
    swapped[2].0 = 3;
    let source = KeyError::Mismatch;
    assert_eq!(gather(swapped), SignersError::Member { member: 3, source });
    let mut unknown = of(&[0, 1, 2]);
    unknown[2].0 = 4;
    assert_eq!(gather(unknown), SignersError::NoMember(4));
}

#[test]
fn few_heavy_members_are_a_quorum_and_many_light_ones_are_none() {
    let geometry = Geometry::of_shards(10).unwrap();
    let shards: &[&[u16]] = &[&[0, 1, 2], &[3, 4, 5], &[6], &[7], &[8], &[9]];
    let (record, claim) = (record_of(geometry, shards), claim());
    assert!(certificate(&record, &claim, &[0, 1, 2]).verify(&record, &claim).is_ok());
    let light = forged(&record, &claim, &[0b11_1101], &[0, 2, 3, 4, 5]);
    assert!(light.verify(&record, &claim).is_ok(), "3 + 4 shards");
    let light = forged(&record, &claim, &[0b01_1101], &[0, 2, 3, 4]);
    let few = SignersError::TooFew { have: 6, need: 7 };
    assert_eq!(light.verify(&record, &claim), Err(CertificateError::Signers(few)));
}

fn refused<B: RegistrarBody + Clone>(body: &B, key: &RegistrarKey) -> Option<SignedError> {
    let record = record();
    Signed::sign(body.clone(), &COMMITTEE, record.hash(), key).verify(&record).err()
}

#[test]
fn who_may_sign_what() {
    let foreign = RegistrarKey::from_seed(&[0xff; 32]);
    let signer = |kind, key: &RegistrarKey| Some(SignedError::Signer { kind, key: key.public() });
    assert_eq!(refused(&permit(), &gateway()), None);
    assert_eq!(refused(&claim(), &gateway()), None);
    assert_eq!(refused(&release(), &gateway()), None);
    assert_eq!(refused(&release(), &operator()), None);
    assert_eq!(refused(&ticket(), &operator()), None);
    assert_eq!(refused(&ticket(), &gateway()), signer("ticket", &gateway()));
    assert_eq!(refused(&permit(), &operator()), signer("permit", &operator()));
    assert_eq!(refused(&claim(), &operator()), signer("claim", &operator()));
    assert_eq!(refused(&permit(), &foreign), signer("permit", &foreign));
    assert_eq!(refused(&claim(), &foreign), signer("claim", &foreign));
    assert_eq!(refused(&release(), &foreign), signer("release", &foreign));
    assert_eq!(refused(&ticket(), &foreign), signer("ticket", &foreign));
}

#[test]
fn a_signature_holds_under_its_record_and_committee_only() {
    let record = record();
    let hash = record.hash();
    let other = Signed::sign(claim(), &COMMITTEE, OTHER_RECORD, &gateway());
    let wanted = SignedError::Record { kind: "claim", found: OTHER_RECORD, wanted: hash };
    assert_eq!(other.verify(&record), Err(wanted));
    let mismatch = |kind| Err(SignedError::Signature { kind, source: KeyError::Mismatch });
    // Signed elsewhere, relabelled here.
    let relabelled = Signed { record: hash, ..other };
    assert_eq!(relabelled.verify(&record), mismatch("claim"));
    let foreign = Signed::sign(claim(), &CommitteeId([1; 16]), hash, &gateway());
    assert_eq!(foreign.verify(&record), mismatch("claim"));
    // A release is no claim: a signature over the one says nothing about the other.
    let release = Signed::sign(release(), &COMMITTEE, hash, &gateway());
    let claim =
        Signed { body: claim(), record: hash, key: release.key, signature: release.signature };
    assert_eq!(claim.verify(&record), mismatch("claim"));
}

fn altered_is_refused<B: RegistrarBody + Clone + PartialEq>(body: &B, changes: &[fn(&mut B)]) {
    let record = record();
    let key = if B::ROLES.contains(&RegistrarRole::Gateway) { gateway() } else { operator() };
    let signed = Signed::sign(body.clone(), &COMMITTEE, record.hash(), &key);
    assert_eq!(signed.verify(&record), Ok(()));
    for (row, change) in changes.iter().enumerate() {
        let mut altered = signed.clone();
        change(&mut altered.body);
        assert!(altered.body != signed.body, "row {row} changes nothing");
        let verdict = altered.verify(&record);
        assert!(matches!(verdict, Err(SignedError::Signature { .. })), "row {row}: {verdict:?}");
    }
}

#[test]
fn no_field_of_a_claim_can_be_altered() {
    altered_is_refused(
        &claim(),
        &[
            |it| it.claim = ClaimId([1; 16]),
            |it| it.namespace = "other".parse().unwrap(),
            |it| it.namespace_uid.0[0] ^= 1,
            |it| it.name = "weights.v3".parse().unwrap(),
            |it| it.blob = BlobId([1; 32]),
            |it| it.length += 1,
            |it| it.policy.content_type.push('x'),
            |it| it.policy.sha256[31] ^= 1,
            |it| it.created = Timestamp(it.created.0 + 1),
            |it| it.signed = Timestamp(it.signed.0 + 1),
        ],
    );
}

#[test]
fn no_field_of_a_permit_or_release_can_be_altered() {
    let permit_rows: [fn(&mut Permit); 5] = [
        |it| it.upload.0[0] ^= 1,
        |it| it.claim.0[0] ^= 1,
        |it| it.namespace_uid.0[0] ^= 1,
        |it| it.name = "other".parse().unwrap(),
        |it| it.signed.0 += 1,
    ];
    altered_is_refused(&permit(), &permit_rows);
    let release_rows: [fn(&mut Release); 5] = [
        |it| it.claim.0[0] ^= 1,
        |it| it.namespace_uid.0[0] ^= 1,
        |it| it.name = "other".parse().unwrap(),
        |it| it.created.0 += 1,
        |it| it.signed.0 += 1,
    ];
    altered_is_refused(&release(), &release_rows);
}

#[test]
fn no_field_of_a_ticket_can_be_altered() {
    altered_is_refused(
        &ticket(),
        &[
            |it| it.claim.0[0] ^= 1,
            |it| it.namespace = "other".parse().unwrap(),
            |it| it.namespace_uid.0[0] ^= 1,
            |it| it.name = "weights.v3".parse().unwrap(),
            |it| it.content_type.push('x'),
            |it| it.sha256 = Some([1; 32]),
            |it| it.sha256 = None,
            |it| it.largest_bytes += 1,
            |it| it.created.0 += 1,
            |it| it.expires.0 += 1,
        ],
    );
}

#[test]
fn what_a_release_covers() {
    let (claim, release) = (claim(), release());
    let change = |change: fn(&mut Claim)| {
        let mut other = claim.clone();
        change(&mut other);
        release.covers(&other)
    };
    assert!(change(|_| {}));
    assert!(change(|it| it.created.0 += 1_000_000), "its own claim, whatever its age");
    assert!(change(|it| {
        it.claim.0[0] ^= 1;
        it.created.0 -= 1;
    }));
    assert!(!change(|it| it.claim.0[0] ^= 1), "created at the same time");
    assert!(!change(|it| {
        it.claim.0[0] ^= 1;
        it.created.0 += 1;
    }));
    assert!(!change(|it| it.namespace_uid.0[0] ^= 1), "a later namespace of the same name");
    assert!(!change(|it| it.name = "weights".parse().unwrap()));
}

#[test]
fn records_of_another_version_are_refused_with_both_numbers() {
    let mut bytes = signed_record().to_bytes();
    bytes[0] = 2;
    let error = EpochRecord::from_bytes(&bytes).unwrap_err();
    assert_eq!(error, DecodeError::Version { what: "the epoch record", found: 2, known: 1 });
    let text = error.to_string();
    assert!(text.contains("version 2") && text.contains("knows 1"), "{text}");
}

#[test]
fn an_altered_record_is_not_the_operators() {
    let signed = signed_record();
    assert_eq!(signed.verify(), Ok(()));
    let mut altered = signed.clone();
    altered.record.policy.release_retention_millis += 1;
    assert_eq!(altered.verify(), Err(KeyError::Mismatch));
    let mut member = signed.record.members[2].clone();
    assert_eq!(member.verify_possession(&COMMITTEE), Ok(()));
    assert!(member.verify_possession(&CommitteeId([1; 16])).is_err());
    member.incarnation.0 += 1;
    assert_eq!(member.verify_possession(&COMMITTEE), Err(KeyError::Mismatch));
    member.key = node_key(0).public();
    assert_eq!(member.verify_possession(&COMMITTEE), Err(KeyError::Mismatch));
}
