//! Bookkeeping of one question put to all members: who answered, who failed, and is it enough.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_api::ErrorCode;
use floe_model::{EpochRecord, Tally, Threshold};

use crate::failure::{Failure, NodeFailure, NotEnoughNodes, Phase};

/// Where a ballot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// More answers are needed and may come.
    Open,
    /// Nodes worth n-f shards answered.
    Reached,
    /// Too many failed.
    Lost,
}

/// Answers and failures by position in the record's list of members.
#[derive(Debug)]
pub(crate) struct Ballot<T> {
    record: Arc<EpochRecord>,
    answers: BTreeMap<usize, T>,
    failures: BTreeMap<usize, Failure>,
}

impl<T> Ballot<T> {
    pub(crate) const fn new(record: Arc<EpochRecord>) -> Self {
        Self { record, answers: BTreeMap::new(), failures: BTreeMap::new() }
    }

    /// Counts what a member said; an answer stands against an earlier or later failure.
    pub(crate) fn count(&mut self, member: usize, said: Result<T, Failure>) {
        match said {
            Ok(answer) => {
                self.failures.remove(&member);
                self.answers.insert(member, answer);
            }
            Err(failure) if !self.answers.contains_key(&member) => {
                self.failures.insert(member, failure);
            }
            Err(_) => {}
        }
    }

    /// Takes an answer back: it was found to be none.
    pub(crate) fn reject(&mut self, member: usize, failure: Failure) {
        self.answers.remove(&member);
        self.failures.insert(member, failure);
    }

    pub(crate) fn standing(&self) -> Standing {
        let tally = self.tally();
        let lost: BTreeSet<usize> = self.failures.keys().copied().collect();
        if tally.reaches(Threshold::Correct) {
            Standing::Reached
        } else if tally.may_reach(Threshold::Correct, &lost) {
            Standing::Open
        } else {
            Standing::Lost
        }
    }

    pub(crate) fn record(&self) -> &Arc<EpochRecord> {
        &self.record
    }

    pub(crate) const fn answers(&self) -> &BTreeMap<usize, T> {
        &self.answers
    }

    /// Every member answered or failed.
    pub(crate) fn is_complete(&self) -> bool {
        self.answers.len() + self.failures.len() >= self.record.members.len()
    }

    pub(crate) fn answered_shards(&self) -> usize {
        self.tally().shards()
    }

    /// The refusal that nodes worth f+1 shards gave, if it is one of these: an honest node is among
    /// them, so it is true.
    pub(crate) fn vouched_refusal(&self, codes: &[ErrorCode]) -> Option<&Failure> {
        codes.iter().find_map(|&code| {
            let refused = |failure: &Failure| failure.code() == Some(code);
            let said = self.failures.iter().filter(|(_, failure)| refused(failure));
            let members: Vec<usize> = said.map(|(&member, _)| member).collect();
            let tally = Tally::of(&self.record, members.iter().copied());
            let first = members.first().and_then(|member| self.failures.get(member));
            first.filter(|_| tally.reaches(Threshold::Vouching))
        })
    }

    pub(crate) fn not_enough(&self, phase: Phase) -> NotEnoughNodes {
        let named = |(&member, failure): (&usize, &Failure)| {
            let node = self.record.members.get(member)?.node.clone();
            Some(NodeFailure { node, failure: failure.clone() })
        };
        NotEnoughNodes {
            phase,
            answered_shards: self.answered_shards(),
            needed_shards: Threshold::Correct.shards(self.record.geometry),
            failures: self.failures.iter().filter_map(named).collect(),
        }
    }

    fn tally(&self) -> Tally<'_> {
        Tally::of(&self.record, self.answers.keys().copied())
    }
}

#[cfg(test)]
mod tests {
    use floe_api::ApiError;

    use super::*;
    use crate::tests::fixture::record_of;

    fn refusal(code: ErrorCode) -> Failure {
        Failure::Refused(ApiError::new(code, "no"))
    }

    #[test]
    fn standings_follow_shards_not_nodes() {
        // n = 10, f = 3: seven shards are needed.
        let mut ballot = Ballot::new(Arc::new(record_of(10, &[4, 3, 2, 1])));
        assert_eq!(ballot.standing(), Standing::Open);
        ballot.count(0, Ok(()));
        ballot.count(3, Err(Failure::TimedOut));
        assert_eq!(ballot.standing(), Standing::Open);
        ballot.count(2, Err(Failure::TimedOut));
        assert_eq!((ballot.standing(), ballot.is_complete()), (Standing::Open, false));
        ballot.count(1, Ok(()));
        assert_eq!((ballot.standing(), ballot.is_complete()), (Standing::Reached, true));
    }

    #[test]
    fn a_ballot_is_lost_as_soon_as_it_cannot_be_won() {
        let mut ballot = Ballot::new(Arc::new(record_of(4, &[1, 1, 1, 1])));
        ballot.count(1, Err::<(), _>(Failure::TimedOut));
        assert_eq!(ballot.standing(), Standing::Open);
        ballot.count(2, Err(Failure::TimedOut));
        assert_eq!(ballot.standing(), Standing::Lost);
        let error = ballot.not_enough(Phase::Confirm);
        assert_eq!((error.answered_shards, error.needed_shards), (0, 3));
        assert_eq!(error.failures.len(), 2);
        ballot.count(2, Ok(()));
        assert_eq!(ballot.standing(), Standing::Open, "it answered after all");
        ballot.count(2, Err(Failure::TimedOut));
        assert_eq!(ballot.answered_shards(), 1, "an answer is not taken back");
    }

    #[test]
    fn one_liar_cannot_make_a_refusal_true() {
        let codes = [ErrorCode::ClaimBound, ErrorCode::StorageFull];
        let mut ballot = Ballot::new(Arc::new(record_of(4, &[1, 1, 1, 1])));
        ballot.count(0, Err::<(), _>(refusal(ErrorCode::ClaimBound)));
        ballot.count(1, Err(refusal(ErrorCode::StorageFull)));
        assert_eq!(ballot.vouched_refusal(&codes), None);
        ballot.count(2, Err(refusal(ErrorCode::StorageFull)));
        let vouched = ballot.vouched_refusal(&codes).and_then(Failure::code);
        assert_eq!(vouched, Some(ErrorCode::StorageFull));
    }
}
