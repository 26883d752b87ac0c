//! Who holds what of one extent, and whom to ask for what. Pure.

use std::collections::{BTreeMap, BTreeSet};

use floe_model::{Axis, PairIndex, StripeId};

use super::holders::Holders;

/// One holder's share in a request: its number, and the slivers of the source axis that are wanted
/// from it, or whose crossing symbols are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) peer: usize,
    pub(crate) sources: Vec<u16>,
}

/// Who holds which sliver of an extent, as far as they said so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    holders: BTreeMap<(Axis, u16), BTreeSet<usize>>,
    /// The volume at hand: asking it costs nothing.
    own: Option<usize>,
}

impl Survey {
    /// Nobody said anything yet.
    pub(crate) fn new(own: Option<usize>) -> Self {
        Self { holders: BTreeMap::new(), own }
    }

    /// A holder says that it holds this sliver. What it says of pairs that cannot lie with it is not
    /// heard.
    pub(crate) fn held(
        &mut self,
        holders: &Holders,
        first: &StripeId,
        number: usize,
        (axis, pair): (Axis, PairIndex),
    ) {
        if holders.may_hold(number, first, pair) {
            let index = holders.geometry.sliver_of_pair(axis, pair);
            self.holders.entry((axis, index)).or_default().insert(number);
        }
    }

    /// This holder does not have this sliver after all.
    pub(crate) fn forget(&mut self, axis: Axis, index: u16, number: usize) {
        if let Some(holders) = self.holders.get_mut(&(axis, index)) {
            holders.remove(&number);
            if holders.is_empty() {
                self.holders.remove(&(axis, index));
            }
        }
    }

    /// Slivers of the axis that someone holds.
    pub(crate) fn count(&self, axis: Axis) -> usize {
        self.holders.keys().filter(|(known, _)| *known == axis).count()
    }

    /// Who holds this very sliver.
    pub(crate) fn holders(&self, axis: Axis, index: u16) -> Vec<usize> {
        self.holders.get(&(axis, index)).into_iter().flatten().copied().collect()
    }

    /// Whom to ask for `need` slivers of `source`, or for their crossing symbols, so that no more
    /// comes than is needed; what is at hand comes first. Holders in `avoid` are left out, slivers in
    /// `have` are there already. `turn` shifts who is asked first, so that the work spreads. `None`
    /// if too few are left.
    pub(crate) fn choose(
        &self,
        source: Axis,
        need: usize,
        (have, avoid): (&BTreeSet<u16>, &BTreeSet<usize>),
        turn: usize,
    ) -> Option<Vec<Ask>> {
        let need = need.saturating_sub(have.len());
        let of_axis = self.holders.iter().filter(|((axis, _), _)| *axis == source);
        let open = of_axis.filter(|((_, index), _)| !have.contains(index));
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for ((_, index), holders) in open {
            let left = || holders.iter().filter(|holder| !avoid.contains(holder));
            match left().find(|holder| Some(**holder) == self.own) {
                Some(holder) => own.push((*index, *holder)),
                None => others.extend(left().next().map(|holder| (*index, *holder))),
            }
        }
        if own.len() + others.len() < need {
            return None;
        }
        let start = turn.checked_rem(others.len()).unwrap_or(0);
        others.rotate_left(start);
        let mut asks: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
        for (index, holder) in own.into_iter().chain(others).take(need) {
            asks.entry(holder).or_default().push(index);
        }
        Some(asks.into_iter().map(|(peer, sources)| Ask { peer, sources }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::holders::pairs_of;
    use crate::tests::fixture;

    #[test]
    fn exactly_what_is_needed_is_asked_for() {
        let record = fixture::record(10, 7);
        let holders = Holders::new(&record, Some(0), &BTreeMap::new());
        let first = StripeId([0; 32]);
        let mut survey = Survey::new(Some(0));
        for number in 1..7 {
            for pair in pairs_of(record.geometry, &record.members[number].shards, &first) {
                survey.held(&holders, &first, number, (Axis::Secondary, pair));
                // Foreign pairs are not heard.
                let foreign = PairIndex((pair.0 + 5) % 10);
                if record.owner(record.geometry.shard_of_pair(&first, foreign)) != Some(number) {
                    survey.held(&holders, &first, number, (Axis::Primary, foreign));
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

    #[test]
    fn what_is_at_hand_is_read_first() {
        let record = fixture::record(10, 7);
        let holders = Holders::new(&record, Some(0), &BTreeMap::new());
        let first = StripeId([0; 32]);
        let mut survey = Survey::new(holders.own());
        for (number, member) in record.members.iter().enumerate() {
            for pair in pairs_of(record.geometry, &member.shards, &first) {
                survey.held(&holders, &first, number, (Axis::Primary, pair));
            }
        }
        let own = record.members[0].shards.len();
        for turn in 0..9 {
            let nothing = (&BTreeSet::new(), &BTreeSet::new());
            let asks = survey.choose(Axis::Primary, 4, nothing, turn).unwrap();
            assert_eq!((asks[0].peer, asks[0].sources.len()), (0, own));
        }
        let index = survey.choose(Axis::Primary, 1, (&BTreeSet::new(), &BTreeSet::new()), 0);
        let index = index.unwrap()[0].sources[0];
        survey.forget(Axis::Primary, index, 3);
        assert_eq!(survey.holders(Axis::Primary, index), [0]);
        survey.forget(Axis::Primary, index, 0);
        assert_eq!(
            (survey.count(Axis::Primary), survey.holders(Axis::Primary, index)),
            (9, vec![])
        );
    }
}
