//! Values for tests.

use floe_model::keys::{NodeKey, RegistrarKey};
use floe_model::record::{NO_PARENT, Policy, Registrar, RegistrarRole, possession_statement};
use floe_model::{
    CommitteeId, EpochNumber, EpochRecord, Geometry, Incarnation, Member, NodeName, ShardIndex,
    VolumeId,
};

pub(crate) const COMMITTEE: CommitteeId = CommitteeId([7; 16]);

pub(crate) fn registrar(role: RegistrarRole) -> RegistrarKey {
    RegistrarKey::from_seed(&[role as u8 + 1; 32])
}

pub(crate) fn node_key(member: usize) -> NodeKey {
    NodeKey::generate(&[u8::try_from(member).unwrap() + 1; 32]).unwrap()
}

/// A record 0 in which shard i belongs to member i mod `members`.
pub(crate) fn record(shards: u16, members: usize) -> EpochRecord {
    let members = (0..members).map(|at| {
        let node: NodeName = format!("node-{at}").parse().unwrap();
        let (volume, key) = (VolumeId([u8::try_from(at).unwrap(); 16]), node_key(at));
        let statement =
            possession_statement(&COMMITTEE, &node, Incarnation(0), &volume, &key.public());
        let owned = (0..shards).filter(|shard| usize::from(*shard) % members == at);
        Member {
            incarnation: Incarnation(0),
            volume,
            address: format!("127.0.0.1:{}", 7000 + at),
            zone: String::new(),
            host: String::new(),
            key: key.public(),
            possession: key.prove_possession(&statement),
            shards: owned.map(ShardIndex).collect(),
            node,
        }
    });
    let registrar = |role| Registrar { role, key: registrar(role).public() };
    EpochRecord {
        committee: COMMITTEE,
        number: EpochNumber(0),
        parent: NO_PARENT,
        forced: false,
        geometry: Geometry::of_shards(shards).unwrap(),
        policy: Policy::default(),
        registrars: vec![registrar(RegistrarRole::Operator), registrar(RegistrarRole::Gateway)],
        members: members.collect(),
        unfilled: Vec::new(),
        wholes: Vec::new(),
    }
}

pub(crate) fn epoch(record: EpochRecord, position: usize) -> crate::node::Epoch {
    let hash = record.hash();
    crate::node::Epoch {
        hash,
        committed: true,
        position,
        shards: record.members[position].shards.clone(),
        accepted: floe_api::EpochHint { number: record.number, hash },
        superseded: None,
        older: Vec::new(),
        uncertain: Vec::new(),
        previous: std::collections::BTreeMap::new(),
        record,
    }
}
