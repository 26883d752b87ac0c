//! Quorum arithmetic, all of it: nodes are counted by the shards they hold.

use std::collections::BTreeSet;

use crate::geometry::Geometry;
use crate::record::{EpochRecord, Member};

/// How much of a committee must have said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// n-f shards: all that are not faulty may be waited for. Two such sets share an honest node.
    Correct,
    /// n-2f shards: as many as decode a blob from primaries.
    Decoding,
    /// f+1 shards: at least one speaker is honest.
    Vouching,
}

impl Threshold {
    /// Shards needed.
    pub const fn shards(self, geometry: Geometry) -> usize {
        match self {
            Self::Correct => geometry.columns(),
            Self::Decoding => geometry.rows(),
            Self::Vouching => geometry.faulty() as usize + 1,
        }
    }
}

/// A set of members of one epoch record, and what they weigh.
#[derive(Debug, Clone)]
pub struct Tally<'a> {
    record: &'a EpochRecord,
    members: BTreeSet<usize>,
}

impl<'a> Tally<'a> {
    /// Nobody yet.
    pub const fn new(record: &'a EpochRecord) -> Self {
        Self { record, members: BTreeSet::new() }
    }

    /// The members at these positions of the record's list; unknown positions weigh nothing.
    pub fn of(record: &'a EpochRecord, members: impl IntoIterator<Item = usize>) -> Self {
        let mut tally = Self::new(record);
        for member in members {
            tally.add(member);
        }
        tally
    }

    /// Counts a member once; false if it was counted before.
    pub fn add(&mut self, member: usize) -> bool {
        self.members.insert(member)
    }

    /// Whether the member was counted.
    pub fn contains(&self, member: usize) -> bool {
        self.members.contains(&member)
    }

    /// Members counted.
    pub fn members(&self) -> impl Iterator<Item = usize> + '_ {
        self.members.iter().copied()
    }

    /// Shards that the counted members hold.
    pub fn shards(&self) -> usize {
        self.members
            .iter()
            .filter_map(|&member| self.record.members.get(member))
            .map(|member| member.shards.len())
            .sum()
    }

    /// Shards of the counted members whose owner and incarnation `newer` still names: what was said
    /// about them by volumes that were replaced since does not count.
    pub fn still_owned(&self, newer: &EpochRecord) -> usize {
        let counted = |&member: &usize| self.record.members.get(member);
        let kept = |member: &Member| {
            let now = newer.member(&member.node);
            let now = now.filter(|now| now.incarnation == member.incarnation);
            now.map_or(0, |now| member.shards.iter().filter(|it| now.shards.contains(it)).count())
        };
        self.members.iter().filter_map(counted).map(kept).sum()
    }

    /// Whether that is enough.
    pub fn reaches(&self, threshold: Threshold) -> bool {
        self.shards() >= threshold.shards(self.record.geometry)
    }

    /// Whether the members that are not counted yet could still make it enough, `lost` left out.
    pub fn may_reach(&self, threshold: Threshold, lost: &BTreeSet<usize>) -> bool {
        let open = (0..self.record.members.len()).filter(|member| !lost.contains(member));
        let mut most = self.clone();
        most.members.extend(open);
        most.reaches(threshold)
    }
}
