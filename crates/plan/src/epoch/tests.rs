//! The record checker: one row per invariant, and who accepts what.

use floe_model::Geometry;
use floe_model::keys::RegistrarKey;
use proptest::prelude::*;

use super::*;
use crate::fixture::{four, identity, key, member, node, operator, replaced, signed};

type Change = fn(&mut EpochRecord);

#[test]
fn record_0_passes() {
    assert_eq!(check_genesis(&signed(four())), Ok(()));
}

#[test]
fn every_invariant_has_its_name() {
    let rows: &[(Change, Violation)] = &[
        (|it| it.number = EpochNumber(1), Violation::Number(EpochNumber(1))),
        (|it| it.parent = RecordHash([1; 32]), Violation::Parent(RecordHash([1; 32]))),
        (|it| it.forced = true, Violation::Forced),
        (|it| it.unfilled = vec![ShardIndex(0)], Violation::Unfilled(1)),
        (|it| it.registrars.truncate(1), Violation::NoRegistrar("gateway")),
        (|it| it.registrars[0].role = RegistrarRole::Gateway, Violation::NoRegistrar("operator")),
        (|it| it.registrars[1].key = it.registrars[0].key, Violation::DuplicateRegistrar),
        (|it| it.registrars[0].key.0[0] ^= 1, Violation::Signer(EpochNumber(0))),
        (|it| it.members.swap(1, 2), Violation::Order(node("c"), node("b"))),
        (|it| it.members[1].node = node("a"), Violation::Order(node("a"), node("a"))),
        (
            |it| it.members[2].key = it.members[1].key,
            Violation::Shared { node: node("c"), what: "key" },
        ),
        (
            |it| it.members[2].volume = it.members[1].volume,
            Violation::Shared { node: node("c"), what: "volume" },
        ),
        (|it| it.members[3].address.clear(), Violation::Address(node("d"))),
        (|it| it.members[0].incarnation.0 = 1, Violation::Possession(node("a"))),
        (
            |it| it.members[0].shards.push(ShardIndex(1)),
            Violation::Heavy { node: node("a"), shards: 2, faulty: 1 },
        ),
        (
            |it| it.members[0].shards[0] = ShardIndex(4),
            Violation::NoShard { node: node("a"), shard: ShardIndex(4), most: 3 },
        ),
        (|it| it.members[0].shards[0] = ShardIndex(1), Violation::TwoOwners(ShardIndex(1))),
        (|it| it.members[2].shards.clear(), Violation::NoOwner(ShardIndex(2))),
        (|it| it.members.truncate(3), Violation::NoOwner(ShardIndex(3))),
        (|it| it.geometry = Geometry::of_shards(5).unwrap(), Violation::NoOwner(ShardIndex(4))),
    ];
    for (change, violation) in rows {
        let mut record = four();
        change(&mut record);
        assert_eq!(check_genesis(&signed(record)), Err(violation.clone()));
    }
}

#[test]
fn the_operator_must_have_signed_this_very_record() {
    let mut altered = signed(four());
    altered.record.policy.undelete_window_millis += 1;
    assert_eq!(check_genesis(&altered), Err(Violation::Signature(EpochNumber(0))));
}

#[test]
fn a_node_accepts_only_the_record_that_names_its_volume() {
    let offered = signed(four());
    let me = identity("a");
    assert_eq!(accept(None, &me, &offered), Ok(Accept::New));
    let other = |what| Violation::OtherVolume { number: EpochNumber(0), node: node("a"), what };
    let rows = [
        (Identity { incarnation: Incarnation(1), ..me.clone() }, other("incarnation")),
        (Identity { volume: VolumeId([9; 16]), ..me.clone() }, other("volume")),
        (Identity { key: key("a", 3).public(), ..me.clone() }, other("key")),
        (
            Identity { operator: RegistrarKey::from_seed(&[77; 32]).public(), ..me.clone() },
            Violation::OtherOperator,
        ),
        (
            Identity { node: node("e"), ..me.clone() },
            Violation::NotMember { number: EpochNumber(0), node: node("e") },
        ),
        (
            Identity { committee: CommitteeId([1; 16]), ..me.clone() },
            Violation::OtherCommittee {
                found: offered.record.committee,
                own: CommitteeId([1; 16]),
            },
        ),
    ];
    for (identity, violation) in rows {
        assert_eq!(accept(None, &identity, &offered), Err(violation));
    }
}

#[test]
fn what_was_accepted_stays() {
    let (me, first) = (identity("a"), four());
    assert_eq!(accept(Some(&first), &me, &signed(first.clone())), Ok(Accept::Already));
    let mut second = four();
    second.policy.undelete_window_millis = 1;
    for offered in [second, replaced(&first, "b")] {
        let violation = Violation::Accepted {
            accepted: EpochNumber(0),
            hash: first.hash(),
            offered: offered.number,
        };
        assert_eq!(accept(Some(&first), &me, &signed(offered)), Err(violation));
    }
}

#[test]
fn no_child_comes_before_record_0() {
    let offered = signed(replaced(&four(), "b"));
    assert_eq!(accept(None, &identity("a"), &offered), Err(Violation::Number(EpochNumber(1))));
}

#[test]
fn a_stranger_cannot_sign_record_0_over() {
    let mut record = four();
    record.members[3] = member("d", 7, &[3]);
    let stranger = RegistrarKey::from_seed(&[1; 32]);
    let mut offered = signed(record);
    offered.signature = stranger.sign(&SignedRecord::statement(&offered.record));
    assert_eq!(check_genesis(&offered), Err(Violation::Signature(EpochNumber(0))));
    offered.key = stranger.public();
    assert_eq!(check_genesis(&offered), Err(Violation::Signer(EpochNumber(0))));
    assert_ne!(operator().public(), stranger.public());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_node_accepts_at_most_one_record(offers in prop::collection::vec(0_u64..6, 1..12)) {
        let me = identity("a");
        let mut accepted: Option<EpochRecord> = None;
        let mut hashes = BTreeSet::new();
        for policy in offers {
            let mut record = four();
            record.policy.undelete_window_millis = policy;
            match accept(accepted.as_ref(), &me, &signed(record.clone())) {
                Ok(Accept::New) => {
                    prop_assert!(accepted.is_none());
                    hashes.insert(record.hash());
                    accepted = Some(record);
                }
                Ok(Accept::Already) => prop_assert_eq!(accepted.as_ref(), Some(&record)),
                Err(violation) => {
                    let refused = matches!(violation, Violation::Accepted { .. });
                    prop_assert!(refused);
                    prop_assert_ne!(accepted.as_ref(), Some(&record));
                }
            }
        }
        prop_assert_eq!(hashes.len(), 1);
    }
}
