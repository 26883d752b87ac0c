//! The epoch records that are known: a tree by parents, of which one path is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::acceptance::{CommitProof, Lineage, ProofError};
use crate::geometry::Geometry;
use crate::id::{CommitteeId, EpochNumber, NodeName, RecordHash, ShardIndex};
use crate::keys::{KeyError, RegistrarPublicKey};
use crate::record::{EpochRecord, Member, NO_PARENT, RegistrarRole, SignedRecord};

/// How far a record's number may stand above its parent's: no single record burns the numbers.
pub const LARGEST_STEP: u64 = 1024;

/// A record or a proof that does not continue what is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Its parent is unknown.
    #[error(
        "epoch record {number} follows {parent}, which is not known here: send the chain from there on"
    )]
    UnknownParent {
        /// Its number.
        number: EpochNumber,
        /// The parent it names.
        parent: RecordHash,
    },
    /// Another record 0.
    #[error(
        "epoch record 0 ({found}) is not the one that is known here ({known}): it is of another beginning"
    )]
    OtherGenesis {
        /// Its hash.
        found: RecordHash,
        /// The one that is known.
        known: RecordHash,
    },
    /// Only record 0 begins a chain.
    #[error("a chain begins with epoch record 0, not {0}")]
    Beginning(EpochNumber),
    /// Of another committee.
    #[error("epoch record {number} is of committee {found}, not {wanted}")]
    OtherCommittee {
        /// Its number.
        number: EpochNumber,
        /// Whose it is.
        found: CommitteeId,
        /// Whose it should be.
        wanted: CommitteeId,
    },
    /// n or f changed.
    #[error("epoch record {number} has other n and f than the committee: they are for its life")]
    Geometry {
        /// Its number.
        number: EpochNumber,
        /// The committee's.
        wanted: Geometry,
    },
    /// Its number is not above the parent's, or too far above.
    #[error(
        "epoch record {number} follows number {parent}: it must be above it, by at most {LARGEST_STEP}"
    )]
    Number {
        /// Its number.
        number: EpochNumber,
        /// The parent's.
        parent: EpochNumber,
    },
    /// Signed by a key that may not.
    #[error("epoch record {number} is not signed by an operator's key that its parent names")]
    Signer {
        /// Its number.
        number: EpochNumber,
    },
    /// The signature does not match.
    #[error("the operator's signature on epoch record {number}: {source}")]
    Signature {
        /// Its number.
        number: EpochNumber,
        /// Why.
        source: KeyError,
    },
    /// A new member did not prove that it has its key.
    #[error("epoch record {number}: member {node} has no valid proof of possession of its key")]
    Possession {
        /// Its number.
        number: EpochNumber,
        /// The member.
        node: NodeName,
    },
    /// A proof of a record that is not known.
    #[error("a proof of commitment names {0}, which is not known here")]
    UnknownRecord(RecordHash),
    /// The proof does not hold.
    #[error("the proof that epoch record {number} is committed does not hold: {source}")]
    Proof {
        /// The record's number.
        number: EpochNumber,
        /// Why.
        source: ProofError,
    },
}

#[derive(Debug, Clone)]
struct Known {
    signed: Arc<SignedRecord>,
    proof: Option<Arc<CommitProof>>,
}

/// The records that are known, with their proofs.
#[derive(Debug, Clone, Default)]
pub struct EpochTree {
    records: BTreeMap<RecordHash, Known>,
    genesis: Option<RecordHash>,
}

impl EpochTree {
    /// Takes a record unchecked; false if it was known.
    pub fn insert(&mut self, signed: Arc<SignedRecord>) -> bool {
        let hash = signed.record.hash();
        if self.records.contains_key(&hash) {
            return false;
        }
        if signed.record.number == EpochNumber(0) {
            self.genesis.get_or_insert(hash);
        }
        self.records.insert(hash, Known { signed, proof: None });
        true
    }

    /// Takes a proof unchecked; false if one was known, or its record is not.
    pub fn insert_proof(&mut self, proof: Arc<CommitProof>) -> bool {
        let Some(known) = self.records.get_mut(&proof.record) else { return false };
        let new = known.proof.is_none();
        known.proof.get_or_insert(proof);
        new
    }

    /// Checks all that follows from a record and its parent alone: whoever reads a chain can. A forced
    /// record may be signed by `pinned` as well, the operator's key that this process was started with.
    pub fn check_record(
        &self,
        signed: &SignedRecord,
        pinned: Option<&RegistrarPublicKey>,
    ) -> Result<(), ChainError> {
        let record = &signed.record;
        let number = record.number;
        let parent = self.parent_to_be(record)?;
        let named = |key: &RegistrarPublicKey| *key == signed.key;
        let named = parent.unwrap_or(record).registrars(RegistrarRole::Operator).any(named);
        let may_sign = named || record.forced && pinned == Some(&signed.key);
        if !may_sign {
            return Err(ChainError::Signer { number });
        }
        // Signatures last: they cost most.
        signed.verify().map_err(|source| ChainError::Signature { number, source })?;
        let is_old = |member: &Member| {
            let before = parent.and_then(|parent| parent.member(&member.node));
            before.is_some_and(|before| {
                (before.incarnation, before.key, before.volume)
                    == (member.incarnation, member.key, member.volume)
            })
        };
        let mut new = record.members.iter().filter(|member| !is_old(member));
        match new.find(|member| member.verify_possession(&record.committee).is_err()) {
            Some(member) => Err(ChainError::Possession { number, node: member.node.clone() }),
            None => Ok(()),
        }
    }

    /// The record's parent; `None` for record 0.
    fn parent_to_be(&self, record: &EpochRecord) -> Result<Option<&EpochRecord>, ChainError> {
        let number = record.number;
        if record.parent == NO_PARENT {
            if number != EpochNumber(0) {
                return Err(ChainError::Beginning(number));
            }
            let found = record.hash();
            return match self.genesis {
                Some(known) if known != found => Err(ChainError::OtherGenesis { found, known }),
                _ => Ok(None),
            };
        }
        let unknown = || ChainError::UnknownParent { number, parent: record.parent };
        let parent = &self.record(&record.parent).ok_or_else(unknown)?.record;
        if record.committee != parent.committee {
            let (found, wanted) = (record.committee, parent.committee);
            return Err(ChainError::OtherCommittee { number, found, wanted });
        }
        if record.geometry != parent.geometry {
            return Err(ChainError::Geometry { number, wanted: parent.geometry });
        }
        let step = number.0.checked_sub(parent.number.0);
        if !step.is_some_and(|step| (1..=LARGEST_STEP).contains(&step)) {
            return Err(ChainError::Number { number, parent: parent.number });
        }
        Ok(Some(parent))
    }

    /// Checks a proof of a known record, counted from its newest committed ancestor on.
    pub fn check_proof(&self, proof: &CommitProof) -> Result<(), ChainError> {
        let unknown = || ChainError::UnknownRecord(proof.record);
        let record = &self.record(&proof.record).ok_or_else(unknown)?.record;
        let lineage = self.lineage(record).ok_or_else(unknown)?;
        let number = record.number;
        proof.verify(record, &lineage).map_err(|source| ChainError::Proof { number, source })
    }

    /// Over whom acceptances of a record are counted; it need not be known itself, its ancestors must.
    /// No lineage for a child of which no ancestor is committed.
    pub fn lineage<'a>(&'a self, record: &'a EpochRecord) -> Option<Lineage<'a>> {
        if record.parent == NO_PARENT {
            return Some(Lineage::of_genesis(record));
        }
        let path = self.path(&record.parent);
        let first = path.first().filter(|first| first.record.number == EpochNumber(0));
        first?;
        let committed = path.iter().rposition(|it| self.is_committed(&it.record.hash()))?;
        let counted = path.len() - committed;
        Some(Lineage::new(path.into_iter().map(|signed| &signed.record).collect(), counted))
    }

    /// A record.
    pub fn record(&self, hash: &RecordHash) -> Option<&Arc<SignedRecord>> {
        self.records.get(hash).map(|known| &known.signed)
    }

    /// All records, in no order that means anything.
    pub fn records(&self) -> impl Iterator<Item = (&RecordHash, &Arc<SignedRecord>)> + '_ {
        self.records.iter().map(|(hash, known)| (hash, &known.signed))
    }

    /// The proof that a record is committed.
    pub fn proof(&self, hash: &RecordHash) -> Option<&Arc<CommitProof>> {
        self.records.get(hash)?.proof.as_ref()
    }

    /// Whether a proof for the record is at hand.
    pub fn is_committed(&self, hash: &RecordHash) -> bool {
        self.proof(hash).is_some()
    }

    /// The hash of record 0.
    pub const fn genesis(&self) -> Option<RecordHash> {
        self.genesis
    }

    /// The committed record of the highest number.
    pub fn committed(&self) -> Option<(RecordHash, &Arc<SignedRecord>)> {
        let committed = self.records.iter().filter(|(_, known)| known.proof.is_some());
        let newest = committed.max_by_key(|(hash, known)| (known.signed.record.number, **hash));
        newest.map(|(hash, known)| (*hash, &known.signed))
    }

    /// The highest number known.
    pub fn highest(&self) -> Option<EpochNumber> {
        self.records.values().map(|known| known.signed.record.number).max()
    }

    /// The record and its ancestors as far as they are known, oldest first; empty if it is not known.
    pub fn path(&self, tip: &RecordHash) -> Vec<&Arc<SignedRecord>> {
        let mut path = Vec::new();
        let mut next = self.record(tip);
        while let Some(signed) = next {
            path.push(signed);
            next = self.record(&signed.record.parent);
        }
        path.reverse();
        path
    }

    /// Whether `old` is `young` or one of its ancestors.
    pub fn is_ancestor(&self, old: &RecordHash, young: &RecordHash) -> bool {
        let Some(limit) = self.record(old).map(|signed| signed.record.number) else { return false };
        let mut at = *young;
        while let Some(signed) = self.record(&at) {
            if at == *old {
                return true;
            }
            if signed.record.number <= limit {
                return false;
            }
            at = signed.record.parent;
        }
        false
    }

    /// The records that no known one follows, by hash.
    pub fn tips(&self) -> Vec<RecordHash> {
        let followed = |hash: &RecordHash| {
            self.records.values().any(|known| known.signed.record.parent == *hash)
        };
        self.records.keys().filter(|hash| !followed(hash)).copied().collect()
    }

    /// The record of `tip`'s chain in which a shard was filled last, and all that follow it up to
    /// `tip`, oldest first.
    pub fn since_filled(&self, tip: &RecordHash, shard: ShardIndex) -> Vec<&Arc<SignedRecord>> {
        let path = self.path(tip);
        let filled = path.iter().rposition(|it| !it.record.unfilled.contains(&shard));
        path.into_iter().skip(filled.unwrap_or(0)).collect()
    }

    /// The members of `tip`, with the volumes they have there, that owned an unfilled shard since it
    /// was filled last, newest first, without its owner of now: they may still hold what it lacks.
    pub fn previous_owners(&self, tip: &RecordHash, shard: ShardIndex) -> Vec<Member> {
        let mut owners: Vec<Member> = Vec::new();
        let path = self.path(tip);
        let Some(newest) = path.last().map(|signed| &signed.record) else { return owners };
        if !newest.unfilled.contains(&shard) {
            return owners;
        }
        let now = newest.owner(shard).and_then(|position| newest.members.get(position));
        for signed in path.iter().rev().skip(1) {
            let record = &signed.record;
            let owner = record.owner(shard).and_then(|position| record.members.get(position));
            let same = |one: &Member, other: &Member| {
                one.node == other.node && one.incarnation == other.incarnation
            };
            let still =
                owner.and_then(|owner| newest.members.iter().find(|member| same(member, owner)));
            let known = |member: &Member| {
                now.is_some_and(|now| same(now, member))
                    || owners.iter().any(|owner| same(owner, member))
            };
            if let Some(member) = still.filter(|member| !known(member)) {
                owners.push(member.clone());
            }
            if !record.unfilled.contains(&shard) {
                break;
            }
        }
        owners
    }
}
