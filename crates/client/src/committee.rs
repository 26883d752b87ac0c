//! The epoch records that are known, and which of them is in force.
//!
//! Whatever a chain says is checked before it is taken over: every record against its parent, every
//! proof over its lineage. The newest committed record is in force. One above it that a node said it
//! accepted is kept beside it: acknowledgements and releases are counted over that one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use floe_api::EpochHint;
use floe_api::messages::{CertifiedClaim, Chain, ChainLink, Encode as _};
use floe_model::epochs;
use floe_model::keys::RegistrarPublicKey;
use floe_model::{
    EpochNumber, EpochRecord, EpochTree, Hash, Layout as _, Member, RecordHash, ShardIndex,
    SignedRecord, hash,
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
    #[error("more than {MOST_UNCOMMITTED} epoch records above the committed one wait for their proofs")]
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
    /// The operator's key that this process was told: it may sign a forced record.
    pinned: Option<RegistrarPublicKey>,
    /// Hashes of claims with certificates that were checked: nodes show the same ones.
    checked: Mutex<BTreeSet<Hash>>,
}

/// Checked certificates that are remembered.
const MOST_CHECKED: usize = 4096;
/// Records above the committed one that are kept.
const MOST_UNCOMMITTED: usize = 64;
/// Bytes of a page of the chain: half of what the route takes.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

impl Committee {
    /// From a chain whose record 0 is trusted.
    pub fn from_chain(chain: Chain) -> Result<Self, ChainError> {
        Self::trusting(chain, None)
    }

    /// From a chain whose record 0 is trusted; `pinned`, the operator's key of now, may have signed
    /// forced records.
    pub fn trusting(
        chain: Chain,
        pinned: Option<RegistrarPublicKey>,
    ) -> Result<Self, ChainError> {
        if chain.links.is_empty() {
            return Err(ChainError::Empty);
        }
        let mut tree = EpochTree::default();
        grow(&mut tree, chain, pinned.as_ref())?;
        let (hash, newest) = tree.committed().ok_or(ChainError::Uncommitted)?;
        let newest = (hash, Arc::new(newest.record.clone()));
        let known = Known { tree, named: newest.clone(), newest };
        Ok(Self { known: RwLock::new(Arc::new(known)), pinned, checked: Mutex::default() })
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

    /// The record with this hash, if it is known.
    pub fn record(&self, hash: &RecordHash) -> Option<Arc<SignedRecord>> {
        self.known().tree.record(hash).cloned()
    }

    /// The chain up to the record in force, oldest first.
    pub fn chain(&self) -> Chain {
        Chain { links: self.links(EpochNumber(0)) }
    }

    /// The chain in pages that fit into requests, from the newest record on whose number is at most
    /// `held`: what a node lacks that holds that one.
    pub fn pages_from(&self, held: EpochNumber) -> Vec<Chain> {
        let mut pages: Vec<Chain> = Vec::new();
        let mut bytes = PAGE_BYTES;
        for link in self.links(held) {
            let link = Chain { links: vec![link] };
            let weight = link.encode().len();
            bytes = bytes.saturating_add(weight);
            if bytes > PAGE_BYTES {
                (pages, bytes) = ([pages, vec![Chain::default()]].concat(), weight);
            }
            if let Some(page) = pages.last_mut() {
                page.links.extend(link.links);
            }
        }
        pages
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
        let before = self.known();
        let mut tree = before.tree.clone();
        // What was checked before a fault was found stands.
        let grown = grow(&mut tree, chain, self.pinned.as_ref());
        let newest = followed(&tree, before.newest.0);
        let changed = newest != before.newest.0;
        if changed {
            tree = kept(&tree, &newest);
        }
        self.replace(tree, newest);
        grown.map(|()| changed)
    }

    /// Puts a grown tree in force, unless another one came further meanwhile.
    fn replace(&self, tree: EpochTree, newest: RecordHash) {
        let Some(record) = tree.record(&newest).map(|signed| Arc::new(signed.record.clone()))
        else {
            return;
        };
        let mut current = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if record.number < current.newest.1.number {
            return;
        }
        let newest = (newest, record);
        let named = current.named.clone();
        let named = if tree.is_ancestor(&newest.0, &named.0) { named } else { newest.clone() };
        *current = Arc::new(Known { tree, newest, named });
    }

    /// A node named the record that it accepted; whether its chain is worth asking for: the record is
    /// above the one in force, and unknown or not proved.
    pub(crate) fn heard(&self, hint: &EpochHint) -> bool {
        let known = self.known();
        if hint.number <= known.newest.1.number {
            return false;
        }
        if hint.number > known.named.1.number
            && known.tree.is_ancestor(&known.newest.0, &hint.hash)
            && let Some(signed) = known.tree.record(&hint.hash)
        {
            let mut current = self.known.write().unwrap_or_else(PoisonError::into_inner);
            // Another chain may have come meanwhile: then whoever names it next is heard.
            if Arc::ptr_eq(&current, &known) {
                let named = (hint.hash, Arc::new(signed.record.clone()));
                *current = Arc::new(Known { named, ..known.as_ref().clone() });
            }
        }
        true
    }

    /// Whether this very claim and certificate were checked before.
    pub(crate) fn was_checked(&self, certified: &CertifiedClaim) -> bool {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest(certified))
    }

    pub(crate) fn remember_checked(&self, certified: &CertifiedClaim) {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.len() >= MOST_CHECKED {
            checked.clear();
        }
        checked.insert(digest(certified));
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

fn uncommitted(tree: &EpochTree) -> usize {
    let Some((newest, _)) = tree.committed() else { return 0 };
    let open = |hash: &RecordHash| {
        let path = tree.path(hash);
        !path.is_empty() && !tree.is_ancestor(hash, &newest)
    };
    tree.records().filter(|(hash, _)| open(hash)).count()
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

/// The record in force after `before` was.
fn followed(tree: &EpochTree, before: RecordHash) -> RecordHash {
    tree.committed().map(|(hash, _)| hash).filter(|it| tree.is_ancestor(&before, it)).unwrap_or(before)
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

fn digest(certified: &CertifiedClaim) -> Hash {
    hash(&[&certified.claim.to_bytes(), &certified.certificate.to_bytes()])
}

#[cfg(test)]
mod tests;
