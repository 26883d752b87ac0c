//! Nodes are counted by the shards they hold.

use std::collections::BTreeSet;

use floe_model::{Geometry, Incarnation, ShardIndex, Tally, Threshold};
use proptest::prelude::*;

use crate::fixture::record_of;

#[test]
fn thresholds_of_known_committees() {
    for (shards, faulty, correct, decoding, vouching) in
        [(4, 1, 3, 2, 2), (7, 2, 5, 3, 3), (10, 3, 7, 4, 4), (12, 3, 9, 6, 4), (10, 1, 9, 8, 2)]
    {
        let geometry = Geometry::new(shards, faulty).unwrap();
        let needed = [Threshold::Correct, Threshold::Decoding, Threshold::Vouching]
            .map(|threshold| threshold.shards(geometry));
        assert_eq!(needed, [correct, decoding, vouching], "n={shards} f={faulty}");
    }
}

/// n = 10, f = 3: five nodes of 3, 3, 2, 1, 1 shards.
const SHARDS: &[&[u16]] = &[&[0, 1, 2], &[3, 4, 5], &[6, 7], &[8], &[9]];

#[test]
fn weights_decide() {
    let record = record_of(Geometry::of_shards(10).unwrap(), SHARDS);
    for (members, shards, correct, decoding, vouching) in [
        (&[][..], 0, false, false, false),
        (&[0], 3, false, false, false),
        (&[0, 3], 4, false, true, true),
        (&[2, 3, 4], 4, false, true, true),
        (&[0, 1], 6, false, true, true),
        (&[0, 1, 3], 7, true, true, true),
        (&[1, 2, 3, 4], 7, true, true, true),
        (&[0, 0, 0], 3, false, false, false),
        (&[0, 17, 99], 3, false, false, false),
    ] {
        let tally = Tally::of(&record, members.iter().copied());
        assert_eq!(tally.shards(), shards, "{members:?}");
        let reached = [Threshold::Correct, Threshold::Decoding, Threshold::Vouching]
            .map(|threshold| tally.reaches(threshold));
        assert_eq!(reached, [correct, decoding, vouching], "{members:?}");
    }
    let names: Vec<_> = [0, 1, 3].iter().map(|&at: &usize| &record.members[at].node).collect();
    assert!(record.reaches(Threshold::Correct, names.iter().copied()));
    assert!(!record.reaches(Threshold::Correct, [names[0], names[1], names[1]]));
}

#[test]
fn a_member_counts_once() {
    let record = record_of(Geometry::of_shards(10).unwrap(), SHARDS);
    let mut tally = record.tally();
    assert!(tally.add(1));
    assert!(!tally.add(1));
    assert!(tally.contains(1) && !tally.contains(0));
    assert_eq!(tally.members().collect::<Vec<_>>(), [1]);
}

#[test]
fn whether_it_is_worth_waiting() {
    let record = record_of(Geometry::of_shards(10).unwrap(), SHARDS);
    for (counted, lost, may) in [
        (&[][..], &[][..], true),
        (&[], &[0], true),
        (&[], &[0, 3], false),
        (&[0], &[1], true),
        (&[0], &[1, 4], false),
        (&[0, 1, 3], &[2, 4], true),
        (&[], &[2, 3], true),
        (&[], &[2, 3, 4], false),
    ] {
        let tally = Tally::of(&record, counted.iter().copied());
        let lost: BTreeSet<usize> = lost.iter().copied().collect();
        assert_eq!(tally.may_reach(Threshold::Correct, &lost), may, "{counted:?} {lost:?}");
    }
}

#[test]
fn what_replaced_volumes_said_does_not_count() {
    let record = record_of(Geometry::of_shards(10).unwrap(), SHARDS);
    let tally = Tally::of(&record, [0, 1, 3]);
    assert_eq!(tally.still_owned(&record), 7);
    let mut replaced = record.clone();
    replaced.members[1].incarnation = Incarnation(100);
    assert_eq!(tally.still_owned(&replaced), 4);
    let mut moved = record.clone();
    moved.members[0].shards.remove(0);
    moved.members[3].shards.insert(0, ShardIndex(0));
    assert_eq!(tally.still_owned(&moved), 6, "the new owner said nothing about shard 0");
    let mut gone = record.clone();
    gone.members.remove(0);
    assert_eq!(tally.still_owned(&gone), 4);
}

proptest! {
    /// Why n-f: two such sets share more than f shards, and n-f shards without f of them decode.
    #[test]
    fn quorums_share_an_honest_shard(shards in 4_u16..=256) {
        let geometry = Geometry::of_shards(shards).unwrap();
        let (n, f) = (usize::from(shards), usize::from(geometry.faulty()));
        let needed = |threshold: Threshold| threshold.shards(geometry);
        prop_assert!(2 * needed(Threshold::Correct) - n >= needed(Threshold::Vouching));
        prop_assert_eq!(needed(Threshold::Correct) - f, needed(Threshold::Decoding));
        prop_assert!(needed(Threshold::Decoding) >= needed(Threshold::Vouching));
        prop_assert!(needed(Threshold::Correct) <= n - f);
    }
}
