//! The epoch records that are known, and which of them is in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use floe_api::EpochHint;
use floe_api::messages::{CertifiedClaim, Chain, ChainLink};
use floe_model::keys::KeyError;
use floe_model::record::{NO_PARENT, RegistrarRole};
use floe_model::{
    CommitProof, CommitteeId, EpochNumber, EpochRecord, Hash, Layout as _, RecordHash,
    SignedRecord, SignersError, hash,
};

/// A chain that must not be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No records.
    #[error("the chain of epoch records is empty")]
    Empty,
    /// It starts with another record than the one known.
    #[error("epoch record {number} ({found}) does not continue the chain that is known here")]
    Detached {
        /// Its number.
        number: EpochNumber,
        /// Its hash.
        found: RecordHash,
    },
    /// A record is of another committee.
    #[error("epoch record {number} is of committee {found}, not {wanted}")]
    OtherCommittee {
        /// Its number.
        number: EpochNumber,
        /// Whose it is.
        found: CommitteeId,
        /// Whose it should be.
        wanted: CommitteeId,
    },
    /// A record that follows record 0.
    #[error(
        "epoch record {number} follows record 0: this version knows record 0 only, and cannot judge \
         whether a later one is committed; upgrade this program"
    )]
    BeyondGenesis {
        /// Its number.
        number: EpochNumber,
    },
    /// A record's signature does not hold, or its signer may not propose.
    #[error("epoch record {number} is not signed by an operator that its parent names")]
    Signer {
        /// Its number.
        number: EpochNumber,
    },
    /// A record's signature does not match.
    #[error("epoch record {number}: {source}")]
    Signature {
        /// Its number.
        number: EpochNumber,
        /// Why.
        source: KeyError,
    },
    /// The proof of a record does not hold.
    #[error("the proof that epoch record {number} is committed does not hold: {source}")]
    Proof {
        /// Its number.
        number: EpochNumber,
        /// Why.
        source: SignersError,
    },
    /// No record comes with a proof.
    #[error("no epoch record of the chain is proved to be committed: wait until genesis is done")]
    Uncommitted,
}

/// A chain of checked records, and the newest committed one.
#[derive(Debug, Clone)]
struct Known {
    links: Vec<ChainLink>,
    records: BTreeMap<RecordHash, Arc<EpochRecord>>,
    newest: Arc<EpochRecord>,
}

/// The committee as one process knows it: shared by all its clients, it only grows.
#[derive(Debug)]
pub struct Committee {
    known: RwLock<Arc<Known>>,
    /// Hashes of claims with certificates that were checked: nodes show the same ones.
    checked: Mutex<BTreeSet<Hash>>,
}

/// Checked certificates that are remembered.
const MOST_CHECKED: usize = 4096;

impl Committee {
    /// From a chain whose first record is trusted. A chain that goes on behind record 0 is refused.
    pub fn from_chain(chain: Chain) -> Result<Self, ChainError> {
        let first = chain.links.first().ok_or(ChainError::Empty)?;
        let committee = first.record.record.committee;
        let known = check(&committee, &[], chain)?.ok_or(ChainError::Uncommitted)?;
        Ok(Self { known: RwLock::new(Arc::new(known)), checked: Mutex::default() })
    }

    /// The newest committed record.
    pub fn newest(&self) -> Arc<EpochRecord> {
        Arc::clone(&self.known().newest)
    }

    /// The record with this hash, if it is in the chain.
    pub fn record(&self, hash: &RecordHash) -> Option<Arc<EpochRecord>> {
        self.known().records.get(hash).cloned()
    }

    /// The chain, oldest first.
    pub fn chain(&self) -> Chain {
        Chain { links: self.known().links.clone() }
    }

    /// Takes the records and proofs of a chain that continues the one known; false if none is new.
    pub fn extend(&self, chain: Chain) -> Result<bool, ChainError> {
        let known = self.known();
        let Some(next) = check(&known.newest.committee, &known.links, chain)? else {
            return Ok(false);
        };
        let mut current = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if next.newest.number <= current.newest.number {
            return Ok(false);
        }
        *current = Arc::new(next);
        Ok(true)
    }

    /// Whether a hint names a record that is newer than all known ones.
    pub(crate) fn wants(&self, hint: &EpochHint) -> bool {
        let known = self.known();
        hint.number > known.newest.number && !known.records.contains_key(&hint.hash)
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

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Checks `chain` as the continuation of `links`; `None` if no record of it is committed.
fn check(
    committee: &CommitteeId,
    links: &[ChainLink],
    chain: Chain,
) -> Result<Option<Known>, ChainError> {
    let mut links = links.to_vec();
    let mut records: BTreeMap<RecordHash, Arc<EpochRecord>> = links.iter().map(entry).collect();
    for link in chain.links {
        let (number, hash) = (link.record.record.number, link.record.record.hash());
        if number > EpochNumber(0) {
            // Its proof would have to be counted over the records before it as well.
            return Err(ChainError::BeyondGenesis { number });
        }
        check_proof(&link.record.record, link.proof.as_ref())?;
        if records.contains_key(&hash) {
            let known = links.iter_mut().find(|known| known.record.record.hash() == hash);
            if let Some(known) = known.filter(|known| known.proof.is_none()) {
                known.proof = link.proof;
            }
            continue;
        }
        check_record(committee, links.last().map(|last| &last.record.record), &link.record)?;
        records.extend([entry(&link)]);
        links.push(link);
    }
    let newest = links.iter().rev().find(|link| link.proof.is_some());
    let newest = newest.map(|link| Arc::new(link.record.record.clone()));
    Ok(newest.map(|newest| Known { links, records, newest }))
}

fn digest(certified: &CertifiedClaim) -> Hash {
    hash(&[&certified.claim.to_bytes(), &certified.certificate.to_bytes()])
}

fn entry(link: &ChainLink) -> (RecordHash, Arc<EpochRecord>) {
    (link.record.record.hash(), Arc::new(link.record.record.clone()))
}

fn check_proof(record: &EpochRecord, proof: Option<&CommitProof>) -> Result<(), ChainError> {
    let proved = proof.map_or(Ok(()), |proof| proof.verify(record));
    proved.map_err(|source| ChainError::Proof { number: record.number, source })
}

fn check_record(
    committee: &CommitteeId,
    parent: Option<&EpochRecord>,
    signed: &SignedRecord,
) -> Result<(), ChainError> {
    let record = &signed.record;
    let number = record.number;
    if record.committee != *committee {
        let (found, wanted) = (record.committee, *committee);
        return Err(ChainError::OtherCommittee { number, found, wanted });
    }
    let (parent_hash, above) = match parent {
        Some(parent) => (parent.hash(), number > parent.number),
        None => (NO_PARENT, number == EpochNumber(0)),
    };
    if record.parent != parent_hash || !above {
        return Err(ChainError::Detached { number, found: record.hash() });
    }
    if !parent.unwrap_or(record).registrars(RegistrarRole::Operator).any(|key| *key == signed.key) {
        return Err(ChainError::Signer { number });
    }
    signed.verify().map_err(|source| ChainError::Signature { number, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Cast;

    fn chain(record: &SignedRecord, proof: Option<&CommitProof>) -> Chain {
        Chain { links: vec![ChainLink { record: record.clone(), proof: proof.cloned() }] }
    }

    #[test]
    fn a_chain_needs_a_signature_and_a_proof() {
        let cast = Cast::new(4, &[1, 1, 1, 1]);
        let (signed, proof) = cast.genesis();
        let committee = Committee::from_chain(chain(&signed, Some(&proof))).unwrap();
        assert_eq!(committee.newest().hash(), signed.record.hash());
        assert!(committee.record(&signed.record.hash()).is_some());

        let uncommitted = Committee::from_chain(chain(&signed, None));
        assert_eq!(uncommitted.unwrap_err(), ChainError::Uncommitted);
        assert_eq!(Committee::from_chain(Chain::default()).unwrap_err(), ChainError::Empty);
        let mut forged = signed.clone();
        forged.key = cast.gateway.public();
        let forged = Committee::from_chain(chain(&forged, Some(&proof)));
        assert!(matches!(forged.unwrap_err(), ChainError::Signer { .. }));
        let mut altered = signed;
        altered.record.forced = true;
        let altered = Committee::from_chain(chain(&altered, Some(&proof)));
        assert!(matches!(altered.unwrap_err(), ChainError::Proof { .. }));
    }

    #[test]
    fn a_child_is_refused_even_with_a_proof_of_its_own() {
        let cast = Cast::new(4, &[1, 1, 1, 1]);
        let (signed, proof) = cast.genesis();
        let committee = Committee::from_chain(chain(&signed, Some(&proof))).unwrap();
        let mut child = signed.record.clone();
        (child.parent, child.number) = (signed.record.hash(), EpochNumber(3));
        let (record, own_proof) = (cast.sign(child.clone()), cast.commit(&child));
        let beyond = ChainError::BeyondGenesis { number: EpochNumber(3) };
        for proof in [None, Some(&own_proof)] {
            assert_eq!(committee.extend(chain(&record, proof)), Err(beyond.clone()));
            let mut whole = chain(&signed, Some(&cast.commit(&signed.record)));
            whole.links.extend(chain(&record, proof).links);
            assert_eq!(Committee::from_chain(whole).unwrap_err(), beyond);
        }
        assert_eq!(committee.newest().number, EpochNumber(0));
        assert_eq!(committee.extend(chain(&signed, Some(&proof))), Ok(false));
    }
}
