//! Unsigned words of peers about claims: taken over only when enough of them say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use floe_model::{CatalogEntry, ClaimId, EpochRecord, NodeName};
use floe_plan::custody::vouched;

/// Claims whose rumours are kept; beyond that the lowest ids are forgotten.
const MOST_CLAIMS: usize = 16_384;

/// What a rumour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Closed,
    Void,
}

/// Who said what of which claim.
#[derive(Debug, Default)]
pub(crate) struct Rumours(Mutex<BTreeMap<(ClaimId, Word), BTreeSet<NodeName>>>);

impl Rumours {
    /// A peer's feed says so; true once nodes worth f+1 shards have said it. Other entries than
    /// closings need nobody's word.
    pub(crate) fn heard(
        &self,
        record: &EpochRecord,
        peer: &NodeName,
        entry: &CatalogEntry,
    ) -> bool {
        let word = match entry {
            CatalogEntry::Closed { claim } => (*claim, Word::Closed),
            CatalogEntry::ClosingVoid { claim } => (*claim, Word::Void),
            _ => return false,
        };
        let mut rumours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said_by = rumours.entry(word).or_default();
        said_by.insert(peer.clone());
        let enough = vouched(record, said_by.iter());
        if rumours.len() > MOST_CLAIMS {
            rumours.pop_first();
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture;

    #[test]
    fn one_liar_closes_nothing() {
        let (record, rumours) = (fixture::record(4, 4), Rumours::default());
        let closed = CatalogEntry::Closed { claim: ClaimId([1; 16]) };
        let void = CatalogEntry::ClosingVoid { claim: ClaimId([1; 16]) };
        let (a, b): (NodeName, NodeName) = ("node-1".parse().unwrap(), "node-2".parse().unwrap());
        assert!(!rumours.heard(&record, &a, &closed));
        assert!(!rumours.heard(&record, &a, &closed));
        assert!(!rumours.heard(&record, &b, &void));
        assert!(rumours.heard(&record, &b, &closed));
    }
}
