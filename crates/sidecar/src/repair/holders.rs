//! Who may hold slivers of which shards: the owners of an epoch record, and those who owned a shard
//! before its owner of now, who has not filled it yet.

use std::collections::{BTreeMap, BTreeSet};

use floe_api::Target;
use floe_model::{EpochRecord, Geometry, Member, PairIndex, ShardIndex, StripeId};

/// Who holds slivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Where to ask; `None` is the volume at hand.
    pub(crate) at: Option<Target>,
    shards: BTreeSet<ShardIndex>,
}

/// The holders by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holders {
    pub(crate) geometry: Geometry,
    list: Vec<Holder>,
}

impl Holders {
    /// The members of a record by their positions; that at `own` is asked through its own volume.
    /// `previous` are the former owners of unfilled shards.
    pub(crate) fn new(
        record: &EpochRecord,
        own: Option<usize>,
        previous: &BTreeMap<ShardIndex, Vec<Member>>,
    ) -> Self {
        let holder = |(position, member): (usize, &Member)| Holder {
            at: (own != Some(position)).then(|| Target::from(member)),
            shards: member.shards.iter().copied().collect(),
        };
        let mut list: Vec<Holder> = record.members.iter().enumerate().map(holder).collect();
        for (shard, owners) in previous {
            for owner in owners {
                // Who is no member any more, or only with a later volume, has nothing to give.
                let same = |member: &Member| {
                    member.node == owner.node && member.incarnation == owner.incarnation
                };
                let position = record.members.iter().position(same);
                if let Some(holder) = position.and_then(|position| list.get_mut(position)) {
                    holder.shards.insert(*shard);
                }
            }
        }
        Self { geometry: record.geometry, list }
    }

    /// The one with this number.
    pub(crate) fn get(&self, number: usize) -> Option<&Holder> {
        self.list.get(number)
    }

    /// Where to ask the one with this number.
    pub(crate) fn target(&self, number: usize) -> Option<&Target> {
        self.list.get(number).and_then(|holder| holder.at.as_ref())
    }

    /// Those to be asked over the network, by number.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (usize, &Target)> + '_ {
        let list = self.list.iter().enumerate();
        list.filter_map(|(number, holder)| holder.at.as_ref().map(|target| (number, target)))
    }

    /// The number of the volume at hand.
    pub(crate) fn own(&self) -> Option<usize> {
        self.list.iter().position(|holder| holder.at.is_none())
    }

    /// Whether the pair may lie with the holder of this number.
    pub(crate) fn may_hold(&self, number: usize, first: &StripeId, pair: PairIndex) -> bool {
        pair.0 < self.geometry.shards()
            && self.get(number).is_some_and(|holder| {
                holder.shards.contains(&self.geometry.shard_of_pair(first, pair))
            })
    }
}

/// The pairs of an extent that lie on these shards, rising.
pub(crate) fn pairs_of(
    geometry: Geometry,
    shards: &[ShardIndex],
    first: &StripeId,
) -> Vec<PairIndex> {
    let mut pairs: Vec<PairIndex> =
        shards.iter().map(|shard| geometry.pair_of_shard(first, *shard)).collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use floe_model::Incarnation;

    use super::*;
    use crate::tests::fixture;

    #[test]
    fn former_owners_may_hold_what_is_unfilled() {
        let record = fixture::record(10, 7);
        let first = StripeId([0; 32]);
        let (mine, other) = (record.members[0].shards[0], record.members[3].clone());
        let pair = record.geometry.pair_of_shard(&first, mine);
        let plain = Holders::new(&record, Some(0), &BTreeMap::new());
        assert!(plain.may_hold(0, &first, pair) && !plain.may_hold(3, &first, pair));
        assert_eq!((plain.own(), plain.peers().count()), (Some(0), 6));
        let moved = BTreeMap::from([(mine, vec![other.clone()])]);
        let moved = Holders::new(&record, None, &moved);
        assert!(moved.may_hold(0, &first, pair) && moved.may_hold(3, &first, pair));
        assert_eq!((moved.own(), moved.peers().count()), (None, 7));
        let lost = Member { incarnation: Incarnation(9), ..other };
        let lost = Holders::new(&record, None, &BTreeMap::from([(mine, vec![lost])]));
        assert!(!lost.may_hold(3, &first, pair));
        assert!(!lost.may_hold(3, &first, PairIndex(10)));
    }
}
