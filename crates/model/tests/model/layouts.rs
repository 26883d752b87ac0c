//! Layouts come back as they went, and foreign bytes neither panic nor decode in two ways.

use floe_model::keys::{NodePublicKey, NodeSignature, RegistrarPublicKey, RegistrarSignature};
use floe_model::record::{Policy, Registrar, RegistrarRole};
use floe_model::{
    Acceptance, Acceptor, BlobId, CatalogEntry, Certificate, Claim, ClaimId, CommitProof,
    CommitteeId, Confirmation, ContentPolicy, EpochNumber, EpochRecord, FeedPosition, Geometry,
    Incarnation, Layout, Member, NamespaceUid, NodeName, Permit, RecordHash, Release, ShardIndex,
    Signed, SignedClaim, SignedPermit, SignedRecord, SignedRelease, Signers, Timestamp, UploadId,
    VolumeId, Whole,
};
use proptest::prelude::*;

use crate::fixture::{COMMITTEE, certificate, child, claim, record, signed_record, sum, whole};

fn name<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>(
    pattern: &'static str,
) -> impl Strategy<Value = T> {
    let bytes = prop::collection::vec(prop::sample::select(pattern.as_bytes()), 1..40);
    bytes.prop_map(|bytes| String::from_utf8(bytes).unwrap().parse().unwrap())
}

const LETTERS: &str = "abz019";

fn bytes<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    prop::collection::vec(any::<u8>(), N).prop_map(|bytes| bytes.try_into().unwrap())
}

fn geometries() -> impl Strategy<Value = Geometry> {
    (4_u16..=256).prop_map(|shards| Geometry::of_shards(shards).unwrap())
}

fn shards() -> impl Strategy<Value = Vec<ShardIndex>> {
    prop::collection::btree_set(any::<u16>(), 0..20)
        .prop_map(|shards| shards.into_iter().map(ShardIndex).collect())
}

fn signers() -> impl Strategy<Value = Signers> {
    prop::collection::vec(any::<u8>(), 0..=32).prop_map(|bitmap| {
        let count = u32::try_from(bitmap.len()).unwrap().to_le_bytes();
        Signers::from_bytes(&[&count[..], &bitmap].concat()).unwrap()
    })
}

fn members() -> impl Strategy<Value = Member> {
    let places = (".{0,40}", "[a-z]{0,9}", "[a-z]{0,9}");
    (name(LETTERS), any::<u32>(), bytes(), places, bytes(), bytes(), shards()).prop_map(
        |(node, incarnation, volume, (address, zone, host), key, possession, shards)| Member {
            node,
            incarnation: Incarnation(incarnation),
            volume: VolumeId(volume),
            address,
            zone,
            host,
            key: NodePublicKey(key),
            possession: NodeSignature(possession),
            shards,
        },
    )
}

fn wholes() -> impl Strategy<Value = Vec<Whole>> {
    let whole = (name(LETTERS), any::<u32>(), bytes(), bytes());
    prop::collection::btree_map(any::<u16>(), whole, 0..4).prop_map(|wholes| {
        let whole = |(shard, (node, incarnation, record, signature))| Whole {
            shard: ShardIndex(shard),
            node,
            incarnation: Incarnation(incarnation),
            record: RecordHash(record),
            signature: NodeSignature(signature),
        };
        wholes.into_iter().map(whole).collect()
    })
}

fn acceptors() -> impl Strategy<Value = Vec<Acceptor>> {
    prop::collection::btree_set((name::<NodeName>(LETTERS), any::<u32>()), 0..9).prop_map(|all| {
        let acceptor =
            |(node, incarnation)| Acceptor { node, incarnation: Incarnation(incarnation) };
        all.into_iter().map(acceptor).collect()
    })
}

fn records() -> impl Strategy<Value = EpochRecord> {
    let registrar = (any::<bool>(), bytes()).prop_map(|(operator, key)| Registrar {
        role: if operator { RegistrarRole::Operator } else { RegistrarRole::Gateway },
        key: RegistrarPublicKey(key),
    });
    let heads = (bytes(), any::<u64>(), bytes(), any::<bool>(), geometries());
    let policies = (any::<u64>(), any::<u64>());
    let lists = (prop::collection::vec(registrar, 0..5), prop::collection::vec(members(), 0..6));
    let states = (shards(), wholes());
    (heads, policies, lists, states).prop_map(|(head, policy, lists, (unfilled, wholes))| {
        EpochRecord {
            committee: CommitteeId(head.0),
            number: EpochNumber(head.1),
            parent: RecordHash(head.2),
            forced: head.3,
            geometry: head.4,
            policy: Policy { undelete_window_millis: policy.0, release_retention_millis: policy.1 },
            registrars: lists.0,
            members: lists.1,
            unfilled,
            wholes,
        }
    })
}

fn permits() -> impl Strategy<Value = Permit> {
    (bytes(), bytes(), bytes(), name(LETTERS), any::<u64>()).prop_map(
        |(upload, claim, uid, name, signed)| Permit {
            upload: UploadId(upload),
            claim: ClaimId(claim),
            namespace_uid: NamespaceUid(uid),
            name,
            signed: Timestamp(signed),
        },
    )
}

fn claims() -> impl Strategy<Value = Claim> {
    let ids = (bytes(), bytes(), bytes(), bytes());
    let texts = (name(LETTERS), name(LETTERS), ".{0,60}");
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    (ids, texts, numbers).prop_map(|(ids, (namespace, name, content_type), numbers)| Claim {
        claim: ClaimId(ids.0),
        namespace,
        namespace_uid: NamespaceUid(ids.1),
        name,
        blob: BlobId(ids.2),
        length: numbers.0,
        policy: ContentPolicy { content_type, sha256: ids.3 },
        created: Timestamp(numbers.1),
        signed: Timestamp(numbers.2),
    })
}

fn releases() -> impl Strategy<Value = Release> {
    (bytes(), bytes(), name(LETTERS), any::<u64>(), any::<u64>()).prop_map(
        |(claim, uid, name, created, signed)| Release {
            claim: ClaimId(claim),
            namespace_uid: NamespaceUid(uid),
            name,
            created: Timestamp(created),
            signed: Timestamp(signed),
        },
    )
}

fn signed<B: std::fmt::Debug>(body: impl Strategy<Value = B>) -> impl Strategy<Value = Signed<B>> {
    (body, bytes(), bytes(), bytes()).prop_map(|(body, record, key, signature)| Signed {
        body,
        record: RecordHash(record),
        key: RegistrarPublicKey(key),
        signature: RegistrarSignature(signature),
    })
}

fn certificates() -> impl Strategy<Value = Certificate> {
    ((bytes(), geometries(), any::<u64>(), bytes()), bytes(), signers(), bytes()).prop_map(
        |((blob, geometry, length, claim), record, signers, signature)| Certificate {
            confirmation: Confirmation {
                blob: BlobId(blob),
                geometry,
                length,
                claim: ClaimId(claim),
            },
            record: RecordHash(record),
            signers,
            signature: NodeSignature(signature),
        },
    )
}

fn entries() -> impl Strategy<Value = CatalogEntry> {
    prop_oneof![
        (signed(claims()), certificates())
            .prop_map(|(claim, cert)| CatalogEntry::Claim(Box::new(claim), Box::new(cert))),
        signed(releases()).prop_map(|release| CatalogEntry::Release(Box::new(release))),
        (bytes(), bytes()).prop_map(|(claim, blob)| CatalogEntry::Binding {
            claim: ClaimId(claim),
            blob: BlobId(blob),
        }),
        bytes().prop_map(|claim| CatalogEntry::Closed { claim: ClaimId(claim) }),
        bytes().prop_map(|claim| CatalogEntry::ClosingVoid { claim: ClaimId(claim) }),
    ]
}

/// The value comes back; no byte may be missing or follow.
fn comes_back<T: Layout + PartialEq + std::fmt::Debug>(value: &T) -> Result<(), TestCaseError> {
    let bytes = value.to_bytes();
    let back = T::from_bytes(&bytes);
    prop_assert_eq!(back.as_ref(), Ok(value));
    prop_assert!(T::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    prop_assert!(T::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    Ok(())
}

/// Whatever decodes is encoded by just these bytes: nothing is said in two ways.
fn one_way<T: Layout>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = T::from_bytes(bytes) {
        prop_assert_eq!(value.to_bytes(), bytes);
    }
    Ok(())
}

fn one_way_as_anything(bytes: &[u8]) -> Result<(), TestCaseError> {
    one_way::<EpochRecord>(bytes)?;
    one_way::<SignedRecord>(bytes)?;
    one_way::<Acceptance>(bytes)?;
    one_way::<CommitProof>(bytes)?;
    one_way::<SignedPermit>(bytes)?;
    one_way::<SignedClaim>(bytes)?;
    one_way::<SignedRelease>(bytes)?;
    one_way::<Certificate>(bytes)?;
    one_way::<CatalogEntry>(bytes)
}

proptest! {
    #[test]
    fn values_come_back(
        record in records(),
        permit in signed(permits()),
        claim in signed(claims()),
        release in signed(releases()),
        certificate in certificates(),
        entry in entries(),
        signers in acceptors(),
        signature in bytes(),
    ) {
        let acceptance = Acceptance {
            record: RecordHash(certificate.record.0),
            node: "node-1".parse().unwrap(),
            incarnation: Incarnation(7),
            signature: NodeSignature(signature),
        };
        let proof = CommitProof {
            record: certificate.record,
            signers,
            signature: NodeSignature(signature),
        };
        let signed = SignedRecord { record: record.clone(), key: claim.key, signature: claim.signature };
        comes_back(&record)?;
        comes_back(&signed)?;
        comes_back(&acceptance)?;
        comes_back(&proof)?;
        comes_back(&permit)?;
        comes_back(&claim)?;
        comes_back(&release)?;
        comes_back(&certificate)?;
        comes_back(&entry)?;
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        one_way_as_anything(&bytes)?;
    }

    #[test]
    fn altered_bytes_do_no_harm(
        which in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let samples = [
            signed_record().to_bytes(),
            certificate(&record(), &claim(), &[0, 1, 2]).to_bytes(),
            CatalogEntry::Closed { claim: claim().claim }.to_bytes(),
            claim().to_bytes(),
        ];
        let mut bytes = samples[which].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        one_way_as_anything(&bytes)?;
        one_way::<Claim>(&bytes)?;
        bytes.truncate(cut.index(bytes.len()));
        one_way_as_anything(&bytes)?;
    }

    #[test]
    fn positions_come_back(volume in bytes(), sequence in any::<u64>()) {
        let position = FeedPosition { volume: VolumeId(volume), sequence };
        prop_assert_eq!(position.to_string().parse(), Ok(position));
    }
}

#[test]
fn counts_are_held_against_their_limits_before_anything_is_read() {
    // A record that announces 2^32-1 registrars and ends there.
    let head = 2 + 16 + 8 + 32 + 1 + 4 + 16;
    let mut bytes = record().to_bytes();
    bytes.truncate(head);
    bytes.extend([0xff; 4]);
    let error = EpochRecord::from_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains("registrars: 4294967295, at most 16"), "{error}");
}

#[test]
fn texts_that_are_no_position() {
    for text in [
        "",
        ":",
        "1:2",
        "00112233-4455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeeff:x",
    ] {
        assert!(text.parse::<FeedPosition>().is_err(), "{text:?}");
    }
}

#[test]
fn a_child_with_a_whole_comes_back() {
    assert_eq!(EpochRecord::from_bytes(&child().to_bytes()), Ok(child()));
    assert_eq!(whole().verify(&record()), Ok(()));
}

#[test]
fn a_certificate_has_the_sum_of_its_signatures() {
    let statement =
        Confirmation::of(&claim(), record().geometry).statement(&COMMITTEE, &record().hash());
    let certificate = certificate(&record(), &claim(), &[0, 2, 3]);
    assert_eq!(certificate.signature, sum(&[0, 2, 3], &statement));
}
