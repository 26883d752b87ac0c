//! What peers hold of one extent, and whom to ask for what. Pure.

use std::collections::{BTreeMap, BTreeSet};

use floe_model::{Axis, EpochRecord, Geometry, PairIndex, StripeId};

/// One peer's share in a request: its position in the epoch record, and the slivers of the source
/// axis whose crossing symbols are wanted from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) peer: usize,
    pub(crate) sources: Vec<u16>,
}

/// Which member holds which sliver of an extent, as far as members said so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    holders: BTreeMap<(Axis, u16), usize>,
}

impl Survey {
    /// A member says that it holds this sliver of one of its own pairs. What it says of others'
    /// pairs is not heard.
    pub(crate) fn held(
        &mut self,
        record: &EpochRecord,
        first: &StripeId,
        member: usize,
        (axis, pair): (Axis, PairIndex),
    ) {
        let geometry = record.geometry;
        if pair.0 < geometry.shards()
            && record.owner(geometry.shard_of_pair(first, pair)) == Some(member)
        {
            self.holders.insert((axis, geometry.sliver_of_pair(axis, pair)), member);
        }
    }

    /// Nobody has this sliver after all.
    pub(crate) fn forget(&mut self, axis: Axis, index: u16) {
        self.holders.remove(&(axis, index));
    }

    /// Slivers of the axis that someone holds.
    pub(crate) fn count(&self, axis: Axis) -> usize {
        self.holders.keys().filter(|(known, _)| *known == axis).count()
    }

    /// Whom to ask for `need` crossing symbols from slivers of `source`, so that no more comes than
    /// is needed. Peers in `avoid` are left out, slivers in `have` are there already. `turn` shifts
    /// who is asked first, so that the work spreads. `None` if too few are left.
    pub(crate) fn choose(
        &self,
        source: Axis,
        need: usize,
        (have, avoid): (&BTreeSet<u16>, &BTreeSet<usize>),
        turn: usize,
    ) -> Option<Vec<Ask>> {
        let need = need.saturating_sub(have.len());
        let mut candidates: Vec<(u16, usize)> = self
            .holders
            .iter()
            .filter(|((axis, index), peer)| {
                *axis == source && !have.contains(index) && !avoid.contains(peer)
            })
            .map(|((_, index), peer)| (*index, *peer))
            .collect();
        if candidates.len() < need {
            return None;
        }
        let start = turn.checked_rem(candidates.len()).unwrap_or(0);
        candidates.rotate_left(start);
        let mut asks: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
        for (index, peer) in candidates.into_iter().take(need) {
            asks.entry(peer).or_default().push(index);
        }
        Some(asks.into_iter().map(|(peer, sources)| Ask { peer, sources }).collect())
    }
}

/// The pairs of an extent that lie on the shards of one member, rising.
pub(crate) fn own_pairs(record: &EpochRecord, member: usize, first: &StripeId) -> Vec<PairIndex> {
    let geometry: Geometry = record.geometry;
    let shards = record.members.get(member).map(|member| member.shards.as_slice());
    let shards = shards.unwrap_or_default().iter();
    let mut pairs: Vec<PairIndex> =
        shards.map(|shard| geometry.pair_of_shard(first, *shard)).collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn exactly_what_is_needed_is_asked_for() {
        let record = testing::record(10, 7);
        let first = StripeId([0; 32]);
        let mut survey = Survey::default();
        for member in 1..7 {
            for pair in own_pairs(&record, member, &first) {
                survey.held(&record, &first, member, (Axis::Secondary, pair));
                // Foreign pairs are not heard.
                let foreign = PairIndex((pair.0 + 5) % 10);
                if record.owner(record.geometry.shard_of_pair(&first, foreign)) != Some(member) {
                    survey.held(&record, &first, member, (Axis::Primary, foreign));
                }
            }
        }
        let others = 10 - record.members[0].shards.len();
        assert_eq!((survey.count(Axis::Secondary), survey.count(Axis::Primary)), (others, 0));
        let nothing = (&BTreeSet::new(), &BTreeSet::new());
        for turn in 0..9 {
            let asks = survey.choose(Axis::Secondary, 7, nothing, turn).unwrap();
            assert_eq!(asks.iter().map(|ask| ask.sources.len()).sum::<usize>(), 7);
        }
        assert_eq!(survey.choose(Axis::Secondary, 9, nothing, 0), None);
        let have = BTreeSet::from([survey.holders.keys().next().unwrap().1]);
        let avoid = BTreeSet::from([6]);
        let asks = survey.choose(Axis::Secondary, 7, (&have, &avoid), 3).unwrap();
        assert!(
            asks.iter().all(|ask| ask.peer != 6 && !ask.sources.contains(have.first().unwrap()))
        );
        assert_eq!(asks.iter().map(|ask| ask.sources.len()).sum::<usize>(), 6);
    }
}
