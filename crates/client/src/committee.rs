//! The epoch records that are known, and which of them is in force.
//!
//! Whatever a chain says is checked before it is taken over: every record against its parent, every
//! proof over its lineage. The newest committed record is in force. One above it that a node said it
//! accepted is kept beside it: acknowledgements and releases are counted over that one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use floe_api::EpochHint;
use floe_api::messages::{Chain, ChainLink};
use floe_model::epochs;
use floe_model::keys::RegistrarPublicKey;
use floe_model::{
    EpochNumber, EpochRecord, EpochTree, Hash, Member, RecordHash, ShardIndex, SignedRecord,
};

/// A chain that must not be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No records.
    #[error("the chain of epoch records is empty")]
    Empty,
    /// A record or a proof does not continue what is known.
    #[error(transparent)]
    Broken(#[from] epochs::ChainError),
    /// Two committed records of which neither follows the other: more nodes err than may, or a human
    /// forced one of them.
    #[error(
        "epoch record {number} ({found}) is proved to be committed and does not follow number \
         {known_number} ({known}), which is committed too: the committee has forked, let its \
         operator decide and restart this program"
    )]
    Forked {
        /// Its number.
        number: EpochNumber,
        /// Its hash.
        found: RecordHash,
        /// The number of the record in force.
        known_number: EpochNumber,
        /// The hash of the record in force.
        known: RecordHash,
    },
    /// More records than are followed wait for their proofs.
    #[error(
        "more than {MOST_UNCOMMITTED} epoch records above the committed one wait for their proofs"
    )]
    Uncounted,
    /// No record comes with a proof.
    #[error("no epoch record of the chain is proved to be committed: wait until genesis is done")]
    Uncommitted,
}

/// Checked records, and those that count.
#[derive(Debug, Clone)]
struct Known {
    tree: EpochTree,
    /// In force.
    newest: (RecordHash, Arc<EpochRecord>),
    /// The newest one that a node named, `newest` or one that follows it.
    named: (RecordHash, Arc<EpochRecord>),
}

/// The committee as one process knows it: shared by all its clients, it only grows.
#[derive(Debug)]
pub struct Committee {
    known: RwLock<Arc<Known>>,
    /// Held by who changes it: checking takes long, and those who look need not wait.
    growing: Mutex<()>,
    /// The operator's key that this process was told: it may sign a forced record.
    pinned: Option<RegistrarPublicKey>,
    /// Hashes of claims with certificates that were checked: nodes show the same ones.
    checked: Mutex<BTreeSet<Hash>>,
}

/// Checked certificates and releases that are remembered.
const MOST_CHECKED: usize = 4096;
/// Records above the committed one that are kept.
const MOST_UNCOMMITTED: usize = 1024;

impl Committee {
    /// From a chain whose record 0 is trusted.
    pub fn from_chain(chain: Chain) -> Result<Self, ChainError> {
        Self::trusting(chain, None)
    }

    /// From a chain whose record 0 is trusted; `pinned`, the operator's key of now, may have signed
    /// forced records.
    pub fn trusting(chain: Chain, pinned: Option<RegistrarPublicKey>) -> Result<Self, ChainError> {
        if chain.links.is_empty() {
            return Err(ChainError::Empty);
        }
        let mut tree = EpochTree::default();
        grow(&mut tree, chain, pinned.as_ref())?;
        let (hash, newest) = tree.committed().ok_or(ChainError::Uncommitted)?;
        let newest = (hash, Arc::new(newest.record.clone()));
        let known = Known { tree, named: newest.clone(), newest };
        Ok(Self {
            known: RwLock::new(Arc::new(known)),
            growing: Mutex::default(),
            pinned,
            checked: Mutex::default(),
        })
    }

    /// The record in force: the newest committed one.
    pub fn newest(&self) -> Arc<EpochRecord> {
        Arc::clone(&self.known().newest.1)
    }

    /// The newest record that any node named, committed or not: acknowledgements and releases are
    /// counted over it.
    pub fn named(&self) -> Arc<EpochRecord> {
        Arc::clone(&self.known().named.1)
    }

    /// Whether a record is the one in force, or an ancestor of it.
    pub fn is_in_force(&self, hash: &RecordHash) -> bool {
        let known = self.known();
        known.tree.is_ancestor(hash, &known.newest.0)
    }

    /// The record with this hash, if it is known.
    pub fn record(&self, hash: &RecordHash) -> Option<Arc<SignedRecord>> {
        self.known().tree.record(hash).cloned()
    }

    /// The chain up to the record in force, oldest first.
    pub fn chain(&self) -> Chain {
        Chain { links: self.links(EpochNumber(0)) }
    }

    /// The chain from the newest record on whose number is at most `held`: what a node lacks that
    /// holds that one.
    pub fn chain_from(&self, held: EpochNumber) -> Chain {
        Chain { links: self.links(held) }
    }

    /// Members that may still hold a shard's slivers: its owner under `record` and, while the shard is
    /// unfilled there, the owners since it was filled last. Those who held it before stand first.
    pub fn holders(&self, record: &EpochRecord, shard: ShardIndex) -> Vec<Member> {
        let mut holders = Vec::new();
        if record.unfilled.contains(&shard) {
            holders = self.known().tree.previous_owners(&record.hash(), shard);
        }
        let owner = record.owner(shard).and_then(|position| record.members.get(position));
        holders.extend(owner.cloned());
        holders
    }

    /// The member as it is called now: a volume may have moved to another address since the record.
    pub(crate) fn located(&self, member: &Member) -> Member {
        let newest = &self.known().newest.1;
        let now = newest.member(&member.node);
        let now = now.filter(|now| now.incarnation == member.incarnation);
        now.unwrap_or(member).clone()
    }

    /// Takes the records and proofs of a chain that continues the one known; true if another record
    /// came into force.
    pub fn extend(&self, chain: Chain) -> Result<bool, ChainError> {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.known();
        let Known { mut tree, mut newest, mut named } = before.as_ref().clone();
        // What was checked before a fault was found stands.
        let grown = grow(&mut tree, chain, self.pinned.as_ref());
        if let Some((hash, signed)) = tree.committed().filter(|(hash, _)| *hash != newest.0) {
            newest = (hash, Arc::new(signed.record.clone()));
            tree = kept(&tree, &hash);
            if !tree.is_ancestor(&hash, &named.0) {
                named = newest.clone();
            }
        }
        let changed = newest.0 != before.newest.0;
        self.replace(Known { tree, newest, named });
        grown.map(|()| changed)
    }

    fn replace(&self, known: Known) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }

    /// A node named the record that it accepted; whether its chain is worth asking for: the record is
    /// above the one in force, and unknown or not proved.
    pub(crate) fn heard(&self, hint: &EpochHint) -> bool {
        if hint.number <= self.known().newest.1.number {
            return false;
        }
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known();
        let follows = known.tree.is_ancestor(&known.newest.0, &hint.hash);
        if let Some(signed) = known.tree.record(&hint.hash).filter(|_| follows)
            && signed.record.number > known.named.1.number
        {
            let named = (hint.hash, Arc::new(signed.record.clone()));
            self.replace(Known { named, ..known.as_ref().clone() });
        }
        hint.number > known.newest.1.number
    }

    /// Whether what has this hash, signatures included, was checked before.
    pub(crate) fn was_checked(&self, statement: &Hash) -> bool {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).contains(statement)
    }

    pub(crate) fn remember_checked(&self, statement: Hash) {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.len() >= MOST_CHECKED {
            checked.clear();
        }
        checked.insert(statement);
    }

    fn links(&self, from: EpochNumber) -> Vec<ChainLink> {
        let known = self.known();
        let path = known.tree.path(&known.newest.0);
        let older = |signed: &&Arc<SignedRecord>| signed.record.number <= from;
        let skipped = path.iter().filter(|signed| older(signed)).count().saturating_sub(1);
        let link = |signed: &Arc<SignedRecord>| ChainLink {
            record: signed.as_ref().clone(),
            proof: known.tree.proof(&signed.record.hash()).map(|proof| proof.as_ref().clone()),
        };
        path.into_iter().skip(skipped).map(link).collect()
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes checked records and proofs into the tree, up to the first fault.
fn grow(
    tree: &mut EpochTree,
    chain: Chain,
    pinned: Option<&RegistrarPublicKey>,
) -> Result<(), ChainError> {
    for ChainLink { record, proof } in chain.links {
        if tree.record(&record.record.hash()).is_none() {
            tree.check_record(&record, pinned)?;
            if proof.is_none() && uncommitted(tree) >= MOST_UNCOMMITTED {
                return Err(ChainError::Uncounted);
            }
            tree.insert(Arc::new(record));
        }
        let Some(proof) = proof.filter(|proof| !tree.is_committed(&proof.record)) else { continue };
        tree.check_proof(&proof)?;
        check_fork(tree, &proof.record)?;
        tree.insert_proof(Arc::new(proof));
    }
    Ok(())
}

/// Records that no committed one follows.
fn uncommitted(tree: &EpochTree) -> usize {
    let settled = tree.committed().map_or(0, |(newest, _)| tree.path(&newest).len());
    tree.records().count().saturating_sub(settled)
}

/// Of two committed records one must follow the other.
fn check_fork(tree: &EpochTree, found: &RecordHash) -> Result<(), ChainError> {
    let (Some((known, newest)), Some(record)) = (tree.committed(), tree.record(found)) else {
        return Ok(());
    };
    if tree.is_ancestor(&known, found) || tree.is_ancestor(found, &known) {
        return Ok(());
    }
    let (number, known_number) = (record.record.number, newest.record.number);
    Err(ChainError::Forked { number, found: *found, known_number, known })
}

/// The tree without the branches that a commitment has left behind.
fn kept(tree: &EpochTree, newest: &RecordHash) -> EpochTree {
    let mut wanted = EpochTree::default();
    let mut path: Vec<&Arc<SignedRecord>> = tree.path(newest);
    let mut above: Vec<&Arc<SignedRecord>> = tree
        .records()
        .filter(|(hash, _)| *hash != newest && tree.is_ancestor(newest, hash))
        .map(|(_, signed)| signed)
        .collect();
    above.sort_by_key(|signed| signed.record.number);
    path.append(&mut above);
    for signed in path {
        wanted.insert(Arc::clone(signed));
        if let Some(proof) = tree.proof(&signed.record.hash()) {
            wanted.insert_proof(Arc::clone(proof));
        }
    }
    wanted
}

#[cfg(test)]
mod tests;
