//! Which slivers of an extent to ask for next: a pure decision.

use std::collections::{BTreeMap, BTreeSet};

use floe_model::{Axis, Geometry};

/// A sliver by axis and index.
pub(crate) type SliverKey = (Axis, u16);

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ask for these, and wait.
    Ask(Vec<SliverKey>),
    /// Enough slivers of this axis are here.
    Decode(Axis),
    /// Not enough slivers can come any more.
    Lost,
}

/// The slivers of one axis, by what is known of them.
#[derive(Debug, Default)]
struct Column {
    /// Not asked for, the best first.
    open: Vec<u16>,
    asked: BTreeSet<u16>,
    /// Asked for long ago.
    late: BTreeSet<u16>,
    here: BTreeMap<u16, Vec<u8>>,
}

impl Column {
    /// Asks for as many as make `need`, those that are late not counted.
    fn ask(&mut self, need: usize) -> Vec<u16> {
        let count = need.saturating_sub(self.here.len() + self.asked.len()).min(self.open.len());
        let chosen: Vec<u16> = self.open.drain(..count).collect();
        self.asked.extend(&chosen);
        chosen
    }

    fn may_reach_in_time(&self, need: usize) -> bool {
        self.here.len() + self.asked.len() + self.open.len() >= need
    }

    fn may_reach(&self, need: usize) -> bool {
        self.here.len() + self.asked.len() + self.open.len() + self.late.len() >= need
    }
}

/// The search for enough slivers of one extent.
#[derive(Debug)]
pub(crate) struct Search {
    geometry: Geometry,
    primary: Column,
    secondary: Column,
}

impl Search {
    /// Slivers of each axis in the order in which they are wanted.
    pub(crate) fn new(geometry: Geometry, primaries: Vec<u16>, secondaries: Vec<u16>) -> Self {
        let column = |open| Column { open, ..Column::default() };
        Self { geometry, primary: column(primaries), secondary: column(secondaries) }
    }

    /// A verified sliver arrived.
    pub(crate) fn arrived(&mut self, (axis, index): SliverKey, bytes: Vec<u8>) {
        let column = self.column(axis);
        column.asked.remove(&index);
        column.late.remove(&index);
        column.here.insert(index, bytes);
    }

    /// A sliver will not come.
    pub(crate) fn failed(&mut self, (axis, index): SliverKey) {
        let column = self.column(axis);
        column.asked.remove(&index);
        column.late.remove(&index);
    }

    /// Everything that was asked for takes too long: it is not counted on any more.
    pub(crate) fn hedge(&mut self) {
        for column in [&mut self.primary, &mut self.secondary] {
            column.late.append(&mut column.asked);
        }
    }

    /// What is asked for and late.
    pub(crate) fn late(&self) -> Vec<SliverKey> {
        let of = |axis, column: &Column| {
            column.late.iter().map(|&index| (axis, index)).collect::<Vec<_>>()
        };
        [of(Axis::Primary, &self.primary), of(Axis::Secondary, &self.secondary)].concat()
    }

    /// Primaries as long as enough of them may come soon, else secondaries, else whatever is left.
    pub(crate) fn next(&mut self) -> Next {
        let need = |axis| self.geometry.slivers_to_decode(axis);
        let (rows, columns) = (need(Axis::Primary), need(Axis::Secondary));
        if self.primary.here.len() >= rows {
            return Next::Decode(Axis::Primary);
        }
        if self.secondary.here.len() >= columns {
            return Next::Decode(Axis::Secondary);
        }
        if self.primary.may_reach_in_time(rows) {
            return ask(self.primary.ask(rows), Vec::new());
        }
        if self.secondary.may_reach_in_time(columns) {
            return ask(Vec::new(), self.secondary.ask(columns));
        }
        let (by_rows, by_columns) =
            (self.primary.may_reach(rows), self.secondary.may_reach(columns));
        if !by_rows && !by_columns {
            return Next::Lost;
        }
        let primaries = if by_rows { self.primary.ask(usize::MAX) } else { Vec::new() };
        let secondaries = if by_columns { self.secondary.ask(usize::MAX) } else { Vec::new() };
        ask(primaries, secondaries)
    }

    /// The slivers of an axis that are here.
    pub(crate) fn into_slivers(self, axis: Axis) -> BTreeMap<u16, Vec<u8>> {
        match axis {
            Axis::Primary => self.primary.here,
            Axis::Secondary => self.secondary.here,
        }
    }

    /// Slivers here, {primaries, secondaries}.
    pub(crate) fn here(&self) -> (usize, usize) {
        (self.primary.here.len(), self.secondary.here.len())
    }

    fn column(&mut self, axis: Axis) -> &mut Column {
        match axis {
            Axis::Primary => &mut self.primary,
            Axis::Secondary => &mut self.secondary,
        }
    }
}

fn ask(primaries: Vec<u16>, secondaries: Vec<u16>) -> Next {
    let primaries = primaries.into_iter().map(|index| (Axis::Primary, index));
    let secondaries = secondaries.into_iter().map(|index| (Axis::Secondary, index));
    Next::Ask(primaries.chain(secondaries).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Axis = Axis::Primary;
    const S: Axis = Axis::Secondary;

    /// n = 4, f = 1: 2 primaries or 3 secondaries.
    fn search() -> Search {
        Search::new(Geometry::of_shards(4).unwrap(), vec![0, 1, 2, 3], vec![0, 1, 2, 3])
    }

    fn asks(axis: Axis, indices: &[u16]) -> Next {
        Next::Ask(indices.iter().map(|&index| (axis, index)).collect())
    }

    #[test]
    fn systematic_primaries_are_enough() {
        let mut search = search();
        assert_eq!(search.next(), asks(P, &[0, 1]));
        assert_eq!(search.next(), Next::Ask(Vec::new()), "they are on their way");
        search.arrived((P, 1), vec![1]);
        assert_eq!(search.next(), Next::Ask(Vec::new()));
        search.arrived((P, 0), vec![0]);
        assert_eq!(search.next(), Next::Decode(P));
        assert_eq!(search.into_slivers(P), BTreeMap::from([(0, vec![0]), (1, vec![1])]));
    }

    #[test]
    fn a_failure_is_replaced_by_the_next_best() {
        let mut search = search();
        search.next();
        search.failed((P, 0));
        assert_eq!(search.next(), asks(P, &[2]));
    }

    #[test]
    fn a_hedge_asks_others_and_takes_who_comes_first() {
        let mut search = search();
        search.next();
        search.arrived((P, 1), vec![1]);
        search.hedge();
        assert_eq!((search.next(), search.late()), (asks(P, &[2]), vec![(P, 0)]));
        search.arrived((P, 0), vec![0]);
        assert_eq!((search.next(), search.late()), (Next::Decode(P), vec![]));
    }

    #[test]
    fn secondaries_help_where_primaries_are_missing_or_late() {
        let mut search = search();
        search.next();
        search.failed((P, 0));
        search.next();
        search.failed((P, 1));
        assert_eq!(search.next(), asks(P, &[3]));
        search.failed((P, 2));
        assert_eq!(search.next(), asks(S, &[0, 1, 2]));
        for index in 0..3 {
            search.arrived((S, index), vec![]);
        }
        assert_eq!(search.next(), Next::Decode(S));
    }

    #[test]
    fn when_all_are_late_whatever_is_left_is_asked_and_waited_for() {
        let mut search = search();
        for expected in [asks(P, &[0, 1]), asks(P, &[2, 3]), asks(S, &[0, 1, 2]), asks(S, &[3])] {
            assert_eq!(search.next(), expected);
            search.hedge();
        }
        assert_eq!(search.next(), Next::Ask(Vec::new()));
        search.arrived((P, 3), vec![]);
        search.arrived((P, 0), vec![]);
        assert_eq!(search.next(), Next::Decode(P));
    }

    #[test]
    fn it_is_lost_when_neither_axis_can_be_completed() {
        let mut search = search();
        while let Next::Ask(asked) = search.next() {
            let asked = asked.first().copied().unwrap_or((S, 3));
            search.failed(asked);
        }
        assert_eq!(search.next(), Next::Lost);
        assert_eq!(search.here(), (0, 0));
    }
}
