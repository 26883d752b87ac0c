//! A node's word that it holds everything owed on one shard.

use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::id::{Incarnation, NodeName, RecordHash, ShardIndex};
use crate::keys::{KeyError, NodeKey, NodeSignature};
use crate::record::{EpochRecord, LONGEST_TEXT_BYTES};
use crate::statement::{StatementKind, statement};

/// A shard is filled: its owner has read the catalogs of other nodes worth n-f shards, each of which
/// had by then accepted a record that names this owner and incarnation, and holds all that is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The shard.
    pub shard: ShardIndex,
    /// Its owner.
    pub node: NodeName,
    /// Which of the owner's volumes.
    pub incarnation: Incarnation,
    /// The record under which it is said.
    pub record: RecordHash,
    /// The owner's signature.
    pub signature: NodeSignature,
}

/// A word that must not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WholeError {
    /// The record that it names is another one.
    #[error("it is signed under epoch record {found}, not {wanted}")]
    OtherRecord {
        /// The record it names.
        found: RecordHash,
        /// The record at hand.
        wanted: RecordHash,
    },
    /// The signer does not own the shard under that record, or not with that volume.
    #[error("{node}-{incarnation} does not own the shard under that record")]
    NotOwner {
        /// The signer.
        node: NodeName,
        /// Its volume.
        incarnation: Incarnation,
    },
    /// The signature does not match.
    #[error("its signature: {0}")]
    Signature(#[from] KeyError),
}

impl Whole {
    /// The bytes that the owner signs.
    pub fn statement(record: &EpochRecord, shard: ShardIndex, incarnation: Incarnation) -> Vec<u8> {
        let mut body = Encoder::default();
        body.u16(shard.0);
        body.u32(incarnation.0);
        statement(StatementKind::Whole, &record.committee, &record.hash(), &body.finish())
    }

    /// The owner says it under `record`; the caller has synced what it holds.
    pub fn sign(
        record: &EpochRecord,
        shard: ShardIndex,
        (node, incarnation): (NodeName, Incarnation),
        key: &NodeKey,
    ) -> Self {
        let signature = key.sign(&Self::statement(record, shard, incarnation));
        Self { shard, node, incarnation, record: record.hash(), signature }
    }

    /// Checks that the shard's owner under `named`, the record that it names, signed it.
    pub fn verify(&self, named: &EpochRecord) -> Result<(), WholeError> {
        let wanted = named.hash();
        if self.record != wanted {
            return Err(WholeError::OtherRecord { found: self.record, wanted });
        }
        let owner = named.owner(self.shard).and_then(|position| named.members.get(position));
        let own = |it: &&crate::Member| it.node == self.node && it.incarnation == self.incarnation;
        let owner = owner.filter(own).ok_or_else(|| WholeError::NotOwner {
            node: self.node.clone(),
            incarnation: self.incarnation,
        })?;
        let statement = Self::statement(named, self.shard, self.incarnation);
        Ok(owner.key.verify(&statement, &self.signature)?)
    }
}

impl Layout for Whole {
    fn encode(&self, to: &mut Encoder) {
        to.u16(self.shard.0);
        to.text(self.node.as_str());
        to.u32(self.incarnation.0);
        to.fixed(self.record.as_bytes());
        to.fixed(&self.signature.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            shard: ShardIndex(from.u16("shard")?),
            node: from.text("node", LONGEST_TEXT_BYTES)?,
            incarnation: Incarnation(from.u32("incarnation")?),
            record: RecordHash(from.fixed("record")?),
            signature: NodeSignature(from.fixed("signature")?),
        })
    }
}
