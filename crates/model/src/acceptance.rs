//! Acceptances of epoch records, and the proof that a record is committed.

use std::collections::BTreeSet;

use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::id::{EpochNumber, Incarnation, NodeName, RecordHash};
use crate::keys::{KeyError, NodeKey, NodePublicKey, NodeSignature};
use crate::quorum::{Tally, Threshold};
use crate::record::{EpochRecord, LONGEST_TEXT_BYTES, Member};
use crate::statement::{StatementKind, statement};

/// Acceptors that a proof may name.
const MOST_ACCEPTORS: usize = 512;

/// One node's acceptance of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// The record.
    pub record: RecordHash,
    /// The node.
    pub node: NodeName,
    /// Its volume.
    pub incarnation: Incarnation,
    /// Its signature.
    pub signature: NodeSignature,
}

impl Acceptance {
    /// The bytes that a node signs, the same for all nodes.
    pub fn statement(record: &EpochRecord) -> Vec<u8> {
        let number = record.number.0.to_le_bytes();
        statement(StatementKind::Accept, &record.committee, &record.hash(), &number)
    }

    /// A node accepts; the caller has stored the record before.
    pub fn sign(
        record: &EpochRecord,
        node: NodeName,
        incarnation: Incarnation,
        key: &NodeKey,
    ) -> Self {
        let signature = key.sign(&Self::statement(record));
        Self { record: record.hash(), node, incarnation, signature }
    }
}

impl Layout for Acceptance {
    fn encode(&self, to: &mut Encoder) {
        to.fixed(self.record.as_bytes());
        to.text(self.node.as_str());
        to.u32(self.incarnation.0);
        to.fixed(&self.signature.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            record: RecordHash(from.fixed("record")?),
            node: from.text("node", LONGEST_TEXT_BYTES)?,
            incarnation: Incarnation(from.u32("incarnation")?),
            signature: NodeSignature(from.fixed("signature")?),
        })
    }
}

/// A volume that accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acceptor {
    /// The node.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
}

/// A proof of commitment that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// About another record.
    #[error("it is about epoch record {found}, not {wanted}")]
    OtherRecord {
        /// The record it names.
        found: RecordHash,
        /// The record at hand.
        wanted: RecordHash,
    },
    /// Too few of a record's owners accepted.
    #[error("acceptances worth {have} shards of epoch record {over}, {need} are needed")]
    TooFew {
        /// The record whose owners are counted.
        over: EpochNumber,
        /// Shards of those that accepted.
        have: usize,
        /// n-f, or n-2f for a forced record.
        need: usize,
    },
    /// Nobody whose word counts.
    #[error("{node}-{incarnation} is named, and no ancestor of the record names it")]
    Stranger {
        /// The node.
        node: NodeName,
        /// Its volume.
        incarnation: Incarnation,
    },
    /// One acceptance is wrong.
    #[error("the acceptance of {node}: {source}")]
    Acceptor {
        /// The node.
        node: NodeName,
        /// Why.
        source: KeyError,
    },
    /// The sum is wrong.
    #[error("the aggregate signature does not match")]
    Aggregate(#[source] KeyError),
}

/// The proof that a record is committed: acceptances worth n-f shards of a committed ancestor and of
/// every record between it and this one, each counted over that record's own owners and incarnations
/// (n-2f for a forced record; record 0 is counted over itself). Two children of one committed record
/// are counted over it alike, so at most one of them commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitProof {
    /// The record.
    pub record: RecordHash,
    /// Who accepted, rising.
    pub signers: Vec<Acceptor>,
    /// The sum of their signatures.
    pub signature: NodeSignature,
}

/// The ancestors of a record, oldest first, over whose owners its acceptances are counted.
#[derive(Debug, Clone)]
pub struct Lineage<'a> {
    ancestors: Vec<&'a EpochRecord>,
    counted: usize,
}

impl<'a> Lineage<'a> {
    /// All ancestors from record 0 to the parent, of which those from the newest committed one on
    /// are counted: the last `counted`.
    pub const fn new(ancestors: Vec<&'a EpochRecord>, counted: usize) -> Self {
        Self { ancestors, counted }
    }

    /// That of record 0: itself.
    pub fn of_genesis(record: &'a EpochRecord) -> Self {
        Self { ancestors: vec![record], counted: 1 }
    }

    fn counted(&self) -> &[&'a EpochRecord] {
        let skipped = self.ancestors.len().saturating_sub(self.counted);
        self.ancestors.get(skipped..).unwrap_or_default()
    }

    /// The key of a volume is that of the oldest record which names it: no later record can put
    /// another key in its place.
    fn key(&self, acceptor: &Acceptor) -> Option<NodePublicKey> {
        let member = |record: &&EpochRecord| same_volume(record, acceptor).map(|member| member.key);
        self.ancestors.iter().find_map(member)
    }

    fn require_quorum(
        &self,
        record: &EpochRecord,
        acceptors: &[(Acceptor, NodePublicKey)],
    ) -> Result<(), ProofError> {
        let threshold = if record.forced { Threshold::Decoding } else { Threshold::Correct };
        let need = threshold.shards(record.geometry);
        if self.counted().is_empty() {
            return Err(ProofError::TooFew { over: record.number, have: 0, need });
        }
        for over in self.counted() {
            let named = acceptors.iter().filter_map(|(acceptor, key)| {
                let member = same_volume(over, acceptor).filter(|member| member.key == *key)?;
                over.position(&member.node)
            });
            let have = Tally::of(over, named).shards();
            if have < need {
                return Err(ProofError::TooFew { over: over.number, have, need });
            }
        }
        Ok(())
    }
}

fn same_volume<'a>(record: &'a EpochRecord, acceptor: &Acceptor) -> Option<&'a Member> {
    record.member(&acceptor.node).filter(|member| member.incarnation == acceptor.incarnation)
}

impl CommitProof {
    /// Gathers acceptances, each checked. What is no acceptance of this record by a volume that an
    /// ancestor names is left out.
    pub fn gather(
        record: &EpochRecord,
        lineage: &Lineage<'_>,
        accepted: &[Acceptance],
    ) -> Result<Self, ProofError> {
        let (hash, statement) = (record.hash(), Acceptance::statement(record));
        let mut seen = BTreeSet::new();
        let mut votes = Vec::new();
        for vote in accepted.iter().filter(|vote| vote.record == hash) {
            let acceptor = Acceptor { node: vote.node.clone(), incarnation: vote.incarnation };
            let Some(key) = lineage.key(&acceptor) else { continue };
            if seen.insert(acceptor.clone()) {
                key.verify(&statement, &vote.signature)
                    .map_err(|source| ProofError::Acceptor { node: vote.node.clone(), source })?;
                votes.push((acceptor, key, vote.signature));
            }
        }
        votes.sort_by(|one, other| one.0.cmp(&other.0));
        let signatures: Vec<NodeSignature> = votes.iter().map(|(_, _, it)| *it).collect();
        let acceptors: Vec<(Acceptor, NodePublicKey)> =
            votes.into_iter().map(|(acceptor, key, _)| (acceptor, key)).collect();
        lineage.require_quorum(record, &acceptors)?;
        let signature = NodeSignature::aggregate(&signatures).map_err(ProofError::Aggregate)?;
        let signers = acceptors.into_iter().map(|(acceptor, _)| acceptor).collect();
        Ok(Self { record: hash, signers, signature })
    }

    /// Checks the proof. One that was counted over an older committed ancestor holds over a newer one
    /// as well. Safe only where every member of the ancestors proved that it has its key.
    pub fn verify(&self, record: &EpochRecord, lineage: &Lineage<'_>) -> Result<(), ProofError> {
        let wanted = record.hash();
        if self.record != wanted {
            return Err(ProofError::OtherRecord { found: self.record, wanted });
        }
        let keyed = |acceptor: &Acceptor| {
            let stranger = || ProofError::Stranger {
                node: acceptor.node.clone(),
                incarnation: acceptor.incarnation,
            };
            let key = lineage.key(acceptor).ok_or_else(stranger)?;
            Ok((acceptor.clone(), key))
        };
        let acceptors = self.signers.iter().map(keyed).collect::<Result<Vec<_>, ProofError>>()?;
        lineage.require_quorum(record, &acceptors)?;
        let keys: Vec<NodePublicKey> = acceptors.iter().map(|(_, key)| *key).collect();
        let statement = Acceptance::statement(record);
        self.signature.verify_aggregate(&statement, &keys).map_err(ProofError::Aggregate)
    }
}

impl Layout for CommitProof {
    fn encode(&self, to: &mut Encoder) {
        to.fixed(self.record.as_bytes());
        to.list(&self.signers, |to, acceptor| {
            to.text(acceptor.node.as_str());
            to.u32(acceptor.incarnation.0);
        });
        to.fixed(&self.signature.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let record = RecordHash(from.fixed("record")?);
        let signers = from.list("signers", MOST_ACCEPTORS, |from| {
            Ok(Acceptor {
                node: from.text("node", LONGEST_TEXT_BYTES)?,
                incarnation: Incarnation(from.u32("incarnation")?),
            })
        })?;
        if !signers.is_sorted_by(|one, next| one < next) {
            return Err(DecodeError::invalid("signers", "they must rise"));
        }
        Ok(Self { record, signers, signature: NodeSignature(from.fixed("signature")?) })
    }
}
