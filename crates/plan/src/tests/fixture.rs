//! Committees and claims for tests, from fixed seeds.

use floe_model::keys::{NodeKey, RegistrarKey};
use floe_model::record::{NO_PARENT, Policy, Registrar, RegistrarRole, possession_statement};
use floe_model::{
    BlobId, Certificate, Claim, ClaimId, CommitteeId, Confirmation, ContentPolicy, EpochNumber,
    EpochRecord, Geometry, Incarnation, Member, NamespaceUid, NodeName, Release, ShardIndex,
    SignedRecord, Timestamp, VolumeId,
};

use crate::epoch::Identity;

pub(crate) const COMMITTEE: CommitteeId = CommitteeId([0xc0; 16]);
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);
pub(crate) const HOUR: u64 = 3_600_000;
pub(crate) const DAY: u64 = 24 * HOUR;

pub(crate) fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub(crate) fn operator() -> RegistrarKey {
    RegistrarKey::from_seed(&[0xee; 32])
}

/// The key of the volume `incarnation` of `name`.
pub(crate) fn key(name: &str, incarnation: u32) -> NodeKey {
    let mut seed = [0; 32];
    seed[0] = name.as_bytes()[0];
    seed[1] = u8::try_from(incarnation).unwrap();
    NodeKey::generate(&seed).unwrap()
}

pub(crate) fn member(name: &str, incarnation: u32, shards: &[u16]) -> Member {
    let key = key(name, incarnation);
    let node = node(name);
    let mut volume = VolumeId([u8::try_from(incarnation).unwrap(); 16]);
    volume.0[0] = name.as_bytes()[0];
    let incarnation = Incarnation(incarnation);
    let statement = possession_statement(&COMMITTEE, &node, incarnation, &volume, &key.public());
    Member {
        address: format!("{node}:7443"),
        zone: String::new(),
        host: String::new(),
        possession: key.prove_possession(&statement),
        key: key.public(),
        shards: shards.iter().copied().map(ShardIndex).collect(),
        node,
        incarnation,
        volume,
    }
}

/// n = 4, f = 1: nodes a, b, c, d with a shard each.
pub(crate) fn four() -> EpochRecord {
    let members = vec![
        member("a", 0, &[0]),
        member("b", 0, &[1]),
        member("c", 0, &[2]),
        member("d", 0, &[3]),
    ];
    let gateway = RegistrarKey::from_seed(&[0xdd; 32]);
    EpochRecord {
        committee: COMMITTEE,
        number: EpochNumber(0),
        parent: NO_PARENT,
        forced: false,
        geometry: Geometry::of_shards(4).unwrap(),
        policy: Policy::default(),
        registrars: vec![
            Registrar { role: RegistrarRole::Operator, key: operator().public() },
            Registrar { role: RegistrarRole::Gateway, key: gateway.public() },
        ],
        members,
        unfilled: vec![],
        wholes: Vec::new(),
    }
}

/// `record` with the next incarnation of `name`.
pub(crate) fn replaced(record: &EpochRecord, name: &str) -> EpochRecord {
    let mut next = record.clone();
    next.number.0 += 1;
    next.parent = record.hash();
    for member in next.members.iter_mut().filter(|member| member.node == node(name)) {
        let shards: Vec<u16> = member.shards.iter().map(|shard| shard.0).collect();
        next.unfilled.clone_from(&member.shards);
        *member = self::member(name, member.incarnation.0 + 1, &shards);
    }
    next
}

pub(crate) fn signed(record: EpochRecord) -> SignedRecord {
    let signature = operator().sign(&SignedRecord::statement(&record));
    SignedRecord { record, key: operator().public(), signature }
}

pub(crate) fn identity(name: &str) -> Identity {
    let member = member(name, 0, &[]);
    Identity {
        committee: COMMITTEE,
        node: member.node,
        incarnation: member.incarnation,
        volume: member.volume,
        key: member.key,
        operator: operator().public(),
    }
}

pub(crate) fn claim(id: u8, blob: u8, created: Timestamp) -> Claim {
    Claim {
        claim: ClaimId([id; 16]),
        namespace: "models".parse().unwrap(),
        namespace_uid: NamespaceUid([7; 16]),
        name: "weights".parse().unwrap(),
        blob: BlobId([blob; 32]),
        length: 1000,
        policy: ContentPolicy { content_type: String::new(), sha256: [0; 32] },
        created,
        signed: created,
    }
}

pub(crate) fn release_of(claim: &Claim, signed: Timestamp) -> Release {
    Release {
        claim: claim.claim,
        namespace_uid: claim.namespace_uid,
        name: claim.name.clone(),
        created: claim.created,
        signed,
    }
}

/// A certificate of the named members, in their incarnations of `record`.
pub(crate) fn certificate(record: &EpochRecord, claim: &Claim, names: &[&str]) -> Certificate {
    let confirmation = Confirmation::of(claim, record.geometry);
    let statement = confirmation.statement(&record.committee, &record.hash());
    let votes = names.iter().map(|name| {
        let position = record.position(&node(name)).unwrap();
        let incarnation = record.members[position].incarnation.0;
        (position, key(name, incarnation).sign(&statement))
    });
    Certificate::gather(confirmation, record, votes).unwrap()
}
