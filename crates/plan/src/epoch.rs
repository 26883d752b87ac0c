//! Whether an epoch record is in order, and whether this node accepts it.
//!
//! ```text
//! offered chain ─► each record: check ─► each proof: EpochTree::check_proof ─► the tip: accept
//!                  follows from its own path alone    counted over its lineage      this node's memory
//! ```
//!
//! [`check`] is the same for all who read a record: steward, nodes, gateways. [`take`] is a node's
//! whole decision about a chain that is pushed to it.

mod accept;
mod checker;

use std::collections::BTreeSet;

use floe_model::keys::{NodePublicKey, RegistrarPublicKey};
use floe_model::{
    ChainError, CommitteeId, EpochNumber, Incarnation, NodeName, RecordHash, ShardIndex, VolumeId,
    WholeError,
};

pub use accept::{Accept, Link, Taken, accept, names_me, standing_record, take};
pub use checker::{check, check_genesis, unfilled_after};

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

/// The invariant that a record, or its acceptance, breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It does not continue what is known: parent, number, committee, geometry, signature.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Record 0 is somebody else's.
    #[error(
        "epoch record 0 is signed by another operator than the one that this node was started \
         with: take it from this committee's own operator"
    )]
    OtherOperator,
    /// Nothing was decided by force at the start.
    #[error("epoch record 0 is marked as forced")]
    Forced,
    /// No shard waits for its content at the start, and none was filled.
    #[error("epoch record 0 has {0} unfilled or refilled shards")]
    Unfilled(usize),
    /// A role has no key.
    #[error("epoch record {number} names no {role} key")]
    NoRegistrar {
        /// The record.
        number: EpochNumber,
        /// "operator" or "gateway".
        role: &'static str,
    },
    /// One key has two roles, or stands there twice.
    #[error("epoch record {0} names a registrar key twice")]
    DuplicateRegistrar(EpochNumber),
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
    /// A host holds more than f shards.
    #[error("host {host} has {shards} shards, at most {faulty} may be lost with a host")]
    HeavyHost {
        /// The host.
        host: String,
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
    /// A node's incarnation is below one that it had, also before it left.
    #[error("node {node} had incarnation {had}, the record gives it {found}: they never fall")]
    Falling {
        /// The node.
        node: NodeName,
        /// The highest one in the chain.
        had: Incarnation,
        /// The record's.
        found: Incarnation,
    },
    /// A volume or a key is another one than before, or was another incarnation's.
    #[error(
        "node {node}: the {what} of incarnation {incarnation} is not the one that it has in this chain, \
         or was another volume's: a new volume is a new incarnation with a key of its own"
    )]
    Reused {
        /// The member.
        node: NodeName,
        /// Its incarnation.
        incarnation: Incarnation,
        /// "key" or "volume".
        what: &'static str,
    },
    /// A `whole` of a shard that was not unfilled.
    #[error("the record carries a whole of shard {0}, which is not unfilled in its parent")]
    WholeOfFilled(ShardIndex),
    /// A `whole` of somebody who does not own the shard now.
    #[error("the whole of shard {shard} is of {node}-{incarnation}, which does not own it")]
    WholeOfOther {
        /// The shard.
        shard: ShardIndex,
        /// The signer.
        node: NodeName,
        /// Which of its volumes.
        incarnation: Incarnation,
    },
    /// A `whole` from before the shard came, or came back, to its owner.
    #[error(
        "the whole of shard {shard} is signed under {named}, which is no record of this chain since \
         the shard came to its owner"
    )]
    WholeTooOld {
        /// The shard.
        shard: ShardIndex,
        /// The record that it names.
        named: RecordHash,
    },
    /// A `whole` that its owner did not sign.
    #[error("the whole of shard {shard}: {source}")]
    Whole {
        /// The shard.
        shard: ShardIndex,
        /// Why.
        source: WholeError,
    },
    /// The unfilled shards are not what follows from the parent.
    #[error("unfilled shards are {found:?}, from the parent and the wholes follow {wanted:?}")]
    Miscounted {
        /// The record's.
        found: Vec<ShardIndex>,
        /// What follows.
        wanted: Vec<ShardIndex>,
    },
    /// More shards are unfilled than the committee survives.
    #[error(
        "{unfilled} shards would be unfilled, at most {faulty} may be: wait until some are whole, or \
         force it"
    )]
    TooManyUnfilled {
        /// Shards.
        unfilled: usize,
        /// f.
        faulty: u16,
    },
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
    /// No record was offered.
    #[error("the chain has no epoch record")]
    Nothing,
    /// The chain's records do not follow each other.
    #[error("epoch record {number} does not follow the one before it in the chain")]
    Broken {
        /// Its number.
        number: EpochNumber,
    },
    /// A child came before the proof of record 0.
    #[error("epoch record 0 is not known here to be committed: send its proof first")]
    GenesisUncommitted,
    /// The number is not above that of the record accepted last.
    #[error("this node accepted epoch record {accepted}; number {offered} is not above it")]
    NotAbove {
        /// The accepted number.
        accepted: EpochNumber,
        /// The number offered.
        offered: EpochNumber,
    },
    /// The chain leaves what was accepted, and nothing of it is proven to be committed.
    #[error(
        "this node accepted epoch record {accepted} ({hash}); epoch record {offered} does not follow it, \
         and no record on its way is known to be committed: send the proof of one"
    )]
    Leaves {
        /// The accepted number.
        accepted: EpochNumber,
        /// Its hash.
        hash: RecordHash,
        /// The number offered.
        offered: EpochNumber,
    },
}

/// A set, or the first element that comes twice.
fn unique<T: Ord + Copy>(all: impl IntoIterator<Item = T>) -> Result<BTreeSet<T>, T> {
    let mut seen = BTreeSet::new();
    all.into_iter().try_for_each(|one| if seen.insert(one) { Ok(()) } else { Err(one) })?;
    Ok(seen)
}

#[cfg(test)]
mod tests;
