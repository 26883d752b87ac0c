//! Whether an epoch record is in order, and whether this node accepts it.

use std::collections::BTreeSet;

use floe_model::keys::{NodePublicKey, RegistrarPublicKey};
use floe_model::record::{NO_PARENT, RegistrarRole};
use floe_model::{
    CommitteeId, EpochNumber, EpochRecord, Incarnation, NodeName, RecordHash, ShardIndex,
    SignedRecord, VolumeId,
};

/// Who this node is, by its volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The committee that the volume belongs to.
    pub committee: CommitteeId,
    /// The node's name.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// The volume.
    pub volume: VolumeId,
    /// The key on the volume.
    pub key: NodePublicKey,
    /// The operator's key, as this node was told at its start: nobody else begins the chain.
    pub operator: RegistrarPublicKey,
}

/// A record may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Store it, then sign.
    New,
    /// It was accepted before: sign again.
    Already,
}

/// The invariant that a record breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The operator's signature does not match.
    #[error("the operator's signature on epoch record {0} does not match")]
    Signature(EpochNumber),
    /// The signing key is not an operator's.
    #[error("epoch record {0} is signed by a key that it does not name as the operator's")]
    Signer(EpochNumber),
    /// Record 0 is somebody else's.
    #[error(
        "epoch record 0 is signed by another operator than the one that this node was started \
         with: take it from this committee's own operator"
    )]
    OtherOperator,
    /// Only record 0 begins a chain.
    #[error("a chain begins with epoch record 0, not {0}")]
    Number(EpochNumber),
    /// Record 0 follows nothing.
    #[error("epoch record 0 names a parent: {0}")]
    Parent(RecordHash),
    /// Nothing was decided by force at the start.
    #[error("epoch record 0 is marked as forced")]
    Forced,
    /// No shard waits for its content at the start.
    #[error("epoch record 0 has {0} unfilled shards")]
    Unfilled(usize),
    /// A role has no key.
    #[error("epoch record 0 names no {0} key")]
    NoRegistrar(&'static str),
    /// One key has two roles, or stands there twice.
    #[error("epoch record 0 names a registrar key twice")]
    DuplicateRegistrar,
    /// Members must rise by name.
    #[error("member {0} stands before {1}: members must rise by name, each once")]
    Order(NodeName, NodeName),
    /// Two members have one key or one volume.
    #[error("member {node} has the {what} of another member")]
    Shared {
        /// The later member.
        node: NodeName,
        /// "key" or "volume".
        what: &'static str,
    },
    /// A member did not prove that it has its key.
    #[error("member {0} has no valid proof of possession of its key")]
    Possession(NodeName),
    /// A member cannot be reached.
    #[error("member {0} has no address")]
    Address(NodeName),
    /// A member holds more than f shards.
    #[error("member {node} owns {shards} shards, at most {faulty} may be lost with a node")]
    Heavy {
        /// The member.
        node: NodeName,
        /// Its shards.
        shards: usize,
        /// f.
        faulty: u16,
    },
    /// A shard is not one of the n.
    #[error("member {node} owns shard {shard}: the committee has 0 to {most}")]
    NoShard {
        /// The member.
        node: NodeName,
        /// The shard.
        shard: ShardIndex,
        /// n-1.
        most: u16,
    },
    /// A shard has two owners.
    #[error("shard {0} has two owners")]
    TwoOwners(ShardIndex),
    /// A shard has no owner.
    #[error("shard {0} has no owner")]
    NoOwner(ShardIndex),
    /// The volume belongs to another committee.
    #[error("the epoch record is of committee {found}, this volume belongs to {own}")]
    OtherCommittee {
        /// The record's.
        found: CommitteeId,
        /// The volume's.
        own: CommitteeId,
    },
    /// The record does not name this node.
    #[error("epoch record {number} does not name node {node}")]
    NotMember {
        /// The record's number.
        number: EpochNumber,
        /// This node.
        node: NodeName,
    },
    /// The record names this node with something else.
    #[error(
        "epoch record {number} names another {what} of node {node} than this volume has: \
         the volume of that record is lost, or this is not it; give the node its next incarnation"
    )]
    OtherVolume {
        /// The record's number.
        number: EpochNumber,
        /// This node.
        node: NodeName,
        /// "incarnation", "volume" or "key".
        what: &'static str,
    },
    /// Another record was accepted before, and this one does not follow it.
    #[error(
        "this node accepted epoch record {accepted} ({hash}); epoch record {offered} does not replace it"
    )]
    Accepted {
        /// The accepted number.
        accepted: EpochNumber,
        /// Its hash.
        hash: RecordHash,
        /// The number offered.
        offered: EpochNumber,
    },
}

/// Checks record 0 by itself: all that does not depend on who reads it.
pub fn check_genesis(signed: &SignedRecord) -> Result<(), Violation> {
    let record = &signed.record;
    if record.number != EpochNumber(0) {
        return Err(Violation::Number(record.number));
    }
    if record.parent != NO_PARENT {
        return Err(Violation::Parent(record.parent));
    }
    if record.forced {
        return Err(Violation::Forced);
    }
    if !record.unfilled.is_empty() {
        return Err(Violation::Unfilled(record.unfilled.len()));
    }
    check_registrars(signed)?;
    check_members(record)?;
    check_shards(record)?;
    // Signatures last: they cost most.
    signed.verify().map_err(|_| Violation::Signature(record.number))?;
    let unproved =
        record.members.iter().find(|it| it.verify_possession(&record.committee).is_err());
    unproved.map_or(Ok(()), |member| Err(Violation::Possession(member.node.clone())))
}

fn check_registrars(signed: &SignedRecord) -> Result<(), Violation> {
    let record = &signed.record;
    for (role, name) in [(RegistrarRole::Operator, "operator"), (RegistrarRole::Gateway, "gateway")]
    {
        if record.registrars(role).next().is_none() {
            return Err(Violation::NoRegistrar(name));
        }
    }
    let mut keys = BTreeSet::new();
    if !record.registrars.iter().all(|registrar| keys.insert(registrar.key)) {
        return Err(Violation::DuplicateRegistrar);
    }
    if record.registrars(RegistrarRole::Operator).all(|key| *key != signed.key) {
        return Err(Violation::Signer(record.number));
    }
    Ok(())
}

fn check_members(record: &EpochRecord) -> Result<(), Violation> {
    for (one, next) in record.members.iter().zip(record.members.iter().skip(1)) {
        if one.node >= next.node {
            return Err(Violation::Order(one.node.clone(), next.node.clone()));
        }
    }
    let (mut keys, mut volumes) = (BTreeSet::new(), BTreeSet::new());
    for member in &record.members {
        let node = || member.node.clone();
        if !keys.insert(member.key) {
            return Err(Violation::Shared { node: node(), what: "key" });
        }
        if !volumes.insert(member.volume) {
            return Err(Violation::Shared { node: node(), what: "volume" });
        }
        if member.address.is_empty() {
            return Err(Violation::Address(node()));
        }
    }
    Ok(())
}

fn check_shards(record: &EpochRecord) -> Result<(), Violation> {
    let (count, faulty) = (record.geometry.shards(), record.geometry.faulty());
    let mut owned = BTreeSet::new();
    for member in &record.members {
        if member.shards.len() > usize::from(faulty) {
            let (node, shards) = (member.node.clone(), member.shards.len());
            return Err(Violation::Heavy { node, shards, faulty });
        }
        for &shard in &member.shards {
            if shard.0 >= count {
                let node = member.node.clone();
                return Err(Violation::NoShard { node, shard, most: count - 1 });
            }
            if !owned.insert(shard) {
                return Err(Violation::TwoOwners(shard));
            }
        }
    }
    let free = (0..count).map(ShardIndex).find(|shard| !owned.contains(shard));
    free.map_or(Ok(()), |shard| Err(Violation::NoOwner(shard)))
}

/// Whether this node accepts the record. Children of record 0 are not accepted yet: record 0 only,
/// only of the operator whom this node was told, and only where it names this very volume.
pub fn accept(
    accepted: Option<&EpochRecord>,
    me: &Identity,
    offered: &SignedRecord,
) -> Result<Accept, Violation> {
    let record = &offered.record;
    if let Some(accepted) = accepted {
        if accepted == record {
            return Ok(Accept::Already);
        }
        let hash = accepted.hash();
        return Err(Violation::Accepted {
            accepted: accepted.number,
            hash,
            offered: record.number,
        });
    }
    if record.committee != me.committee {
        return Err(Violation::OtherCommittee { found: record.committee, own: me.committee });
    }
    if record.number == EpochNumber(0) && offered.key != me.operator {
        return Err(Violation::OtherOperator);
    }
    check_genesis(offered)?;
    names_me(record, me)?;
    Ok(Accept::New)
}

/// Whether the record names this very volume: a node that it does not name serves its identity and
/// nothing else.
pub fn names_me(record: &EpochRecord, me: &Identity) -> Result<(), Violation> {
    let number = record.number;
    let node = || me.node.clone();
    let member = record.member(&me.node).ok_or(Violation::NotMember { number, node: node() })?;
    let fields = [
        ("incarnation", member.incarnation == me.incarnation),
        ("volume", member.volume == me.volume),
        ("key", member.key == me.key),
    ];
    match fields.into_iter().find(|(_, agrees)| !agrees) {
        Some((what, _)) => Err(Violation::OtherVolume { number, node: node(), what }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
