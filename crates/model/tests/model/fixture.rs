//! A committee and its statements, from fixed seeds.

use floe_model::keys::{NodeKey, NodeSignature, RegistrarKey};
use floe_model::record::{NO_PARENT, Policy, Registrar, RegistrarRole, possession_statement};
use floe_model::{
    BlobId, Certificate, Claim, ClaimId, CommitteeId, Confirmation, ContentPolicy, EpochNumber,
    EpochRecord, Geometry, Incarnation, Member, NamespaceUid, Permit, RecordHash, Release,
    ShardIndex, SignedRecord, Ticket, Timestamp, UploadId, VolumeId, Whole,
};

pub(crate) const COMMITTEE: CommitteeId = CommitteeId([0xc0; 16]);

pub(crate) fn operator() -> RegistrarKey {
    RegistrarKey::from_seed(&[0x0e; 32])
}

pub(crate) fn gateway() -> RegistrarKey {
    RegistrarKey::from_seed(&[0x0a; 32])
}

pub(crate) fn node_key(member: usize) -> NodeKey {
    NodeKey::generate(&[u8::try_from(member).unwrap() + 1; 32]).unwrap()
}

fn member(position: usize, shards: &[u16]) -> Member {
    let key = node_key(position);
    let node = format!("node-{position}").parse().unwrap();
    let incarnation = Incarnation(u32::try_from(position).unwrap());
    let volume = VolumeId([u8::try_from(position).unwrap() + 0x40; 16]);
    let statement = possession_statement(&COMMITTEE, &node, incarnation, &volume, &key.public());
    Member {
        address: format!("127.0.0.{position}:7443"),
        zone: if position == 0 { "zone-a".to_owned() } else { String::new() },
        host: if position == 1 { "host-1".to_owned() } else { String::new() },
        key: key.public(),
        possession: key.prove_possession(&statement),
        shards: shards.iter().copied().map(ShardIndex).collect(),
        node,
        incarnation,
        volume,
    }
}

/// A record in which node i owns `shards[i]`.
pub(crate) fn record_of(geometry: Geometry, shards: &[&[u16]]) -> EpochRecord {
    EpochRecord {
        committee: COMMITTEE,
        number: EpochNumber(0),
        parent: NO_PARENT,
        forced: false,
        geometry,
        policy: Policy::default(),
        registrars: vec![
            Registrar { role: RegistrarRole::Operator, key: operator().public() },
            Registrar { role: RegistrarRole::Gateway, key: gateway().public() },
        ],
        members: shards.iter().enumerate().map(|(at, shards)| member(at, shards)).collect(),
        unfilled: vec![],
        wholes: vec![],
    }
}

/// n = 4, f = 1, a shard each.
pub(crate) fn record() -> EpochRecord {
    record_of(Geometry::of_shards(4).unwrap(), &[&[0], &[1], &[2], &[3]])
}

pub(crate) fn signed_record() -> SignedRecord {
    let record = record();
    let signature = operator().sign(&SignedRecord::statement(&record));
    SignedRecord { record, key: operator().public(), signature }
}

/// Node 1's word about its shard.
pub(crate) fn whole() -> Whole {
    let owner = ("node-1".parse().unwrap(), Incarnation(1));
    Whole::sign(&record(), ShardIndex(1), owner, &node_key(1))
}

/// A forced child of the record, by which shard 1 is whole and shard 2 is not yet.
pub(crate) fn child() -> EpochRecord {
    let parent = record();
    EpochRecord {
        number: EpochNumber(7),
        parent: parent.hash(),
        forced: true,
        unfilled: vec![ShardIndex(2)],
        wholes: vec![whole()],
        ..parent
    }
}

pub(crate) fn permit() -> Permit {
    Permit {
        upload: UploadId([0x11; 16]),
        claim: ClaimId([0x22; 16]),
        namespace_uid: NamespaceUid([0x33; 16]),
        name: "weights.v2".parse().unwrap(),
        signed: Timestamp(1_700_000_000_000),
    }
}

pub(crate) fn claim() -> Claim {
    Claim {
        claim: ClaimId([0x22; 16]),
        namespace: "models".parse().unwrap(),
        namespace_uid: NamespaceUid([0x33; 16]),
        name: "weights.v2".parse().unwrap(),
        blob: BlobId([0x44; 32]),
        length: 1_234_567,
        policy: ContentPolicy {
            content_type: "application/octet-stream".to_owned(),
            sha256: [0x55; 32],
        },
        created: Timestamp(1_699_999_999_000),
        signed: Timestamp(1_700_000_000_001),
    }
}

pub(crate) fn release() -> Release {
    Release {
        claim: ClaimId([0x22; 16]),
        namespace_uid: NamespaceUid([0x33; 16]),
        name: "weights.v2".parse().unwrap(),
        created: Timestamp(1_699_999_999_000),
        signed: Timestamp(1_700_000_100_000),
    }
}

pub(crate) fn ticket() -> Ticket {
    Ticket {
        claim: ClaimId([0x22; 16]),
        namespace: "models".parse().unwrap(),
        namespace_uid: NamespaceUid([0x33; 16]),
        name: "weights.v2".parse().unwrap(),
        content_type: "text/plain".to_owned(),
        sha256: Some([0x55; 32]),
        largest_bytes: 1 << 20,
        created: Timestamp(1_699_999_999_000),
        expires: Timestamp(1_700_000_200_000),
    }
}

/// The members' confirmations of the claim, each with its position.
pub(crate) fn votes(
    record: &EpochRecord,
    claim: &Claim,
    members: &[usize],
) -> Vec<(usize, NodeSignature)> {
    let confirmation = Confirmation::of(claim, record.geometry);
    let statement = confirmation.statement(&record.committee, &record.hash());
    members.iter().map(|&member| (member, node_key(member).sign(&statement))).collect()
}

pub(crate) fn certificate(record: &EpochRecord, claim: &Claim, members: &[usize]) -> Certificate {
    let confirmation = Confirmation::of(claim, record.geometry);
    Certificate::gather(confirmation, record, votes(record, claim, members)).unwrap()
}

/// The members' signatures of one statement, added up.
pub(crate) fn sum(members: &[usize], statement: &[u8]) -> NodeSignature {
    let sign = |&member: &usize| node_key(member).sign(statement);
    NodeSignature::aggregate(&members.iter().map(sign).collect::<Vec<_>>()).unwrap()
}

pub(crate) const OTHER_RECORD: RecordHash = RecordHash([0x99; 32]);
