//! Which claims that are older than the retention of releases were vouched for, and when.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use floe_model::{BlobId, ClaimId, Timestamp};
use floe_store::State;

/// For how long others' words are good.
const GOOD_MILLIS: u64 = 24 * 3600 * 1000;

/// Old claims that others hold live too. Forgotten with the process: they are asked again.
#[derive(Debug, Default)]
pub(crate) struct Ageing(Mutex<BTreeMap<ClaimId, Timestamp>>);

/// A live claim that nobody need have vouched for would be a deleted one that came back.
pub(crate) fn old_claims(
    state: &State,
    now: Timestamp,
    retention_millis: u64,
) -> impl Iterator<Item = (ClaimId, BlobId, Timestamp)> {
    state.claims().filter_map(move |(id, known)| {
        let (claim, _) = known.certified.as_ref().filter(|_| known.released.is_none())?;
        let (blob, signed) = (claim.body.blob, claim.body.signed);
        (now.millis_since(signed) > retention_millis).then_some((*id, blob, signed))
    })
}

impl Ageing {
    fn vouched(&self) -> MutexGuard<'_, BTreeMap<ClaimId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Others worth f+1 shards hold the claim live.
    pub(crate) fn vouch(&self, claim: ClaimId, now: Timestamp) {
        self.vouched().insert(claim, now);
    }

    /// Whether that was said less than a day ago.
    pub(crate) fn is_vouched(&self, claim: &ClaimId, now: Timestamp) -> bool {
        self.vouched().get(claim).is_some_and(|at| now.millis_since(*at) <= GOOD_MILLIS)
    }

    /// How many live claims are old, and not vouched for by words younger than a day. A node is
    /// whole only when there are none.
    pub(crate) fn unsettled(&self, state: &State, now: Timestamp, retention_millis: u64) -> usize {
        let old = old_claims(state, now, retention_millis);
        old.filter(|(claim, ..)| !self.is_vouched(claim, now)).count()
    }

    /// Words that are too old to be of use are forgotten.
    pub(crate) fn forget_stale(&self, now: Timestamp) {
        self.vouched().retain(|_, at| now.millis_since(*at) <= GOOD_MILLIS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_good_for_a_day() {
        let ageing = Ageing::default();
        let (claim, now) = (ClaimId([1; 16]), Timestamp(5));
        assert!(!ageing.is_vouched(&claim, now));
        ageing.vouch(claim, now);
        assert!(ageing.is_vouched(&claim, Timestamp(5 + GOOD_MILLIS)));
        assert!(!ageing.is_vouched(&claim, Timestamp(6 + GOOD_MILLIS)));
        ageing.forget_stale(Timestamp(6 + GOOD_MILLIS));
        assert!(!ageing.is_vouched(&claim, now));
    }
}
