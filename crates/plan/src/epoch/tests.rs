//! The record checker: one row per invariant, and who accepts what.

mod traces;

use std::sync::Arc;

use floe_model::epochs::LARGEST_STEP;
use floe_model::keys::{KeyError, NodeKey, RegistrarKey};
use floe_model::record::{RECORD_VERSION, RegistrarRole, possession_statement};
use floe_model::{
    Acceptance, CommitProof, DecodeError, EpochRecord, EpochTree, Geometry, Layout, Member,
    SignedRecord, Whole,
};
use proptest::prelude::*;

use super::*;
use crate::tests::fixture::{four, identity, key, member, node, replaced, signed};

type Change = fn(&mut EpochRecord);

/// The child of `parent` with the number behind its own.
fn child(parent: &EpochRecord) -> EpochRecord {
    let number = EpochNumber(parent.number.0 + 1);
    let (parent, base) = (parent.hash(), parent.clone());
    EpochRecord { number, parent, wholes: Vec::new(), ..base }
}

/// The child in which `name` has its next volume.
fn replacing(parent: &EpochRecord, name: &str) -> EpochRecord {
    let mut next = replaced(parent, name);
    next.wholes.clear();
    next.unfilled = unfilled_after(parent, &next, &[]);
    next
}

/// The child that carries what `wholes` say.
fn filling(parent: &EpochRecord, wholes: Vec<Whole>) -> EpochRecord {
    let mut next = child(parent);
    next.unfilled = unfilled_after(parent, &next, &wholes);
    next.wholes = wholes;
    next
}

/// The owner of a shard says that it is whole.
fn whole(record: &EpochRecord, shard: u16) -> Whole {
    let shard = ShardIndex(shard);
    let owner = &record.members[record.owner(shard).unwrap()];
    let signer = key(owner.node.as_str(), owner.incarnation.0);
    Whole::sign(record, shard, (owner.node.clone(), owner.incarnation), &signer)
}

/// The proof by these volumes, however few they are.
fn proof(tree: &EpochTree, record: &EpochRecord, by: &[(&str, u32)]) -> Option<CommitProof> {
    let accepted: Vec<Acceptance> = by
        .iter()
        .map(|&(name, incarnation)| {
            let signer = key(name, incarnation);
            Acceptance::sign(record, node(name), Incarnation(incarnation), &signer)
        })
        .collect();
    CommitProof::gather(record, &tree.lineage(record)?, &accepted).ok()
}

/// A tree of these records, each checked, record 0 committed.
fn tree(records: &[&EpochRecord]) -> EpochTree {
    let mut tree = EpochTree::default();
    for record in records {
        let signed = signed((*record).clone());
        assert_eq!(check(&tree, &signed, None), Ok(()), "{record:?}");
        tree.insert(Arc::new(signed));
        if record.number == EpochNumber(0) {
            commit(&mut tree, record, &["a", "b", "c"]);
        }
    }
    tree
}

/// The volumes that `record` itself names commit it.
fn commit(tree: &mut EpochTree, record: &EpochRecord, names: &[&str]) {
    let incarnation = |name: &str| record.member(&node(name)).unwrap().incarnation.0;
    let by: Vec<(&str, u32)> = names.iter().map(|name| (*name, incarnation(name))).collect();
    let proof = proof(tree, record, &by).expect("enough of them");
    tree.check_proof(&proof).unwrap();
    tree.insert_proof(Arc::new(proof));
}

fn link(record: &EpochRecord, proof: Option<CommitProof>) -> Link {
    Link { record: signed(record.clone()), proof }
}

#[test]
fn record_0_passes() {
    assert_eq!(check_genesis(&signed(four())), Ok(()));
    assert_eq!(check(&EpochTree::default(), &signed(four()), None), Ok(()));
}

#[test]
fn every_invariant_of_record_0_has_its_name() {
    let number = EpochNumber(0);
    let rows: &[(Change, Violation)] = &[
        (|it| it.number = EpochNumber(1), ChainError::Beginning(EpochNumber(1)).into()),
        (
            |it| it.parent = RecordHash([1; 32]),
            ChainError::UnknownParent { number, parent: RecordHash([1; 32]) }.into(),
        ),
        (|it| it.forced = true, Violation::Forced),
        (|it| it.unfilled = vec![ShardIndex(0)], Violation::Unfilled(1)),
        (|it| it.wholes = vec![whole(&four(), 0)], Violation::Unfilled(1)),
        (|it| it.registrars.truncate(1), Violation::NoRegistrar { number, role: "gateway" }),
        (
            |it| it.registrars[0].role = RegistrarRole::Gateway,
            Violation::NoRegistrar { number, role: "operator" },
        ),
        (|it| it.registrars[1].key = it.registrars[0].key, Violation::DuplicateRegistrar(number)),
        (|it| it.registrars[0].key.0[0] ^= 1, ChainError::Signer { number }.into()),
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
        (
            |it| it.members[0].incarnation.0 = 1,
            ChainError::Possession { number, node: node("a") }.into(),
        ),
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
        (
            |it| it.members[1..3].iter_mut().for_each(|member| member.host = "rack".to_owned()),
            Violation::HeavyHost { host: "rack".to_owned(), shards: 2, faulty: 1 },
        ),
    ];
    for (change, violation) in rows {
        let mut record = four();
        change(&mut record);
        assert_eq!(check_genesis(&signed(record)), Err(violation.clone()));
    }
}

/// Each change of a child that is in order is refused by its name.
fn refuses(rows: &[(Change, Violation)]) {
    let first = four();
    let known = tree(&[&first]);
    assert_eq!(check(&known, &signed(child(&first)), None), Ok(()));
    for (change, violation) in rows {
        let mut record = child(&first);
        change(&mut record);
        assert_eq!(check(&known, &signed(record), None), Err(violation.clone()));
    }
}

#[test]
fn every_invariant_of_a_child_has_its_name() {
    let number = EpochNumber(1);
    let too_far = |found| -> Violation {
        ChainError::Number { number: EpochNumber(found), parent: EpochNumber(0) }.into()
    };
    let rows: &[(Change, Violation)] = &[
        (|it| it.number = EpochNumber(0), too_far(0)),
        (|it| it.number = EpochNumber(LARGEST_STEP + 1), too_far(LARGEST_STEP + 1)),
        (|it| it.number = EpochNumber(u64::MAX), too_far(u64::MAX)),
        (
            |it| it.parent = RecordHash([9; 32]),
            ChainError::UnknownParent { number, parent: RecordHash([9; 32]) }.into(),
        ),
        (
            |it| it.geometry = Geometry::of_shards(5).unwrap(),
            ChainError::Geometry { number, wanted: four().geometry }.into(),
        ),
        (
            |it| it.committee = CommitteeId([1; 16]),
            ChainError::OtherCommittee {
                number,
                found: CommitteeId([1; 16]),
                wanted: four().committee,
            }
            .into(),
        ),
        (|it| it.registrars.truncate(1), Violation::NoRegistrar { number, role: "gateway" }),
        (|it| it.members.swap(1, 2), Violation::Order(node("c"), node("b"))),
        (|it| it.members[3].address.clear(), Violation::Address(node("d"))),
        (|it| it.members[2].shards.clear(), Violation::NoOwner(ShardIndex(2))),
        (
            |it| it.members[..2].iter_mut().for_each(|member| member.host = "rack".to_owned()),
            Violation::HeavyHost { host: "rack".to_owned(), shards: 2, faulty: 1 },
        ),
        // A new volume without a new incarnation; an incarnation of somebody without the key.
        (
            |it| it.members[0].volume.0[5] ^= 1,
            ChainError::Possession { number, node: node("a") }.into(),
        ),
    ];
    refuses(rows);
    let first = four();
    let known = tree(&[&first]);
    let mut unsigned = signed(child(&first));
    unsigned.signature = signed(four()).signature;
    let source = KeyError::Mismatch;
    let violation = ChainError::Signature { number, source }.into();
    assert_eq!(check(&known, &unsigned, None), Err(violation));
}

#[test]
fn what_is_unfilled_follows_from_the_parent() {
    let unfilled = |found: &[u16], wanted: &[u16]| Violation::Miscounted {
        found: found.iter().copied().map(ShardIndex).collect(),
        wanted: wanted.iter().copied().map(ShardIndex).collect(),
    };
    let rows: &[(Change, Violation)] = &[
        // Shards that change hands, or volumes that are replaced, are unfilled; nothing else is.
        (|it| it.members[0] = member("a", 1, &[0]), unfilled(&[], &[0])),
        (|it| it.unfilled = vec![ShardIndex(2)], unfilled(&[2], &[])),
        (
            |it| {
                it.members[0].shards = vec![ShardIndex(1)];
                it.members[1].shards = vec![ShardIndex(0)];
                it.unfilled = vec![ShardIndex(0)];
            },
            unfilled(&[0], &[0, 1]),
        ),
        (
            |it| {
                it.members[0] = member("a", 1, &[0]);
                it.members[1] = member("b", 1, &[1]);
                it.unfilled = vec![ShardIndex(0), ShardIndex(1)];
            },
            Violation::TooManyUnfilled { unfilled: 2, faulty: 1 },
        ),
        (|it| it.wholes = vec![whole(&four(), 2)], Violation::WholeOfFilled(ShardIndex(2))),
    ];
    refuses(rows);
}

#[test]
fn a_layout_of_the_future_is_refused_with_both_numbers() {
    let mut bytes = signed(four()).to_bytes();
    bytes[0] += 1;
    let (found, known) = (RECORD_VERSION + 1, RECORD_VERSION);
    let refused = DecodeError::Version { what: "the epoch record", found, known };
    assert_eq!(SignedRecord::from_bytes(&bytes), Err(refused));
}

#[test]
fn incarnations_never_fall_also_of_a_node_that_was_gone() {
    // d goes and leaves its place to e.
    let first = four();
    let second = replacing(&first, "d");
    let mut gone = child(&second);
    gone.members[3] = member("e", 0, &[3]);
    let known = tree(&[&first, &second, &gone]);
    let back = |returning: Member| {
        let mut record = child(&gone);
        record.members[3] = returning;
        check(&known, &signed(record), None)
    };
    let falls = |found| Violation::Falling {
        node: node("d"),
        had: Incarnation(1),
        found: Incarnation(found),
    };
    assert_eq!(back(member("d", 0, &[3])), Err(falls(0)));
    assert_eq!(back(member("d", 1, &[3])), Ok(()));
    assert_eq!(back(member("d", 2, &[3])), Ok(()));
    // Its old volume with another key, and another node with its volume, or with its key.
    let possessed = |name: &str, incarnation, volume: VolumeId, signer: &NodeKey| {
        let mut made = member(name, incarnation, &[3]);
        (made.volume, made.key) = (volume, signer.public());
        let statement = possession_statement(
            &first.committee,
            &made.node,
            made.incarnation,
            &made.volume,
            &made.key,
        );
        made.possession = signer.prove_possession(&statement);
        made
    };
    let old = member("d", 1, &[]);
    let other = VolumeId([0x77; 16]);
    let reused = |name, incarnation, what| {
        let incarnation = Incarnation(incarnation);
        Err(Violation::Reused { node: node(name), incarnation, what })
    };
    let rows = [
        (possessed("d", 1, old.volume, &key("d", 9)), reused("d", 1, "key")),
        (possessed("d", 1, other, &key("d", 1)), reused("d", 1, "volume")),
        (possessed("d", 2, old.volume, &key("d", 9)), reused("d", 2, "volume")),
        (possessed("d", 2, other, &key("d", 1)), reused("d", 2, "key")),
        (possessed("x", 0, old.volume, &key("d", 9)), reused("x", 0, "volume")),
        (possessed("x", 0, other, &key("e", 0)), reused("x", 0, "key")),
    ];
    for (returning, refused) in rows {
        assert_eq!(back(returning), refused);
    }
}

#[test]
fn a_shard_is_filled_by_its_owners_word_and_by_no_other() {
    let first = four();
    let second = replacing(&first, "a");
    let third = child(&second);
    let known = tree(&[&first, &second, &third]);
    let offered = |wholes: Vec<Whole>| check(&known, &signed(filling(&third, wholes)), None);
    // Under the record that made the change, or a later one of this chain.
    assert_eq!(offered(vec![whole(&second, 0)]), Ok(()));
    assert_eq!(offered(vec![whole(&third, 0)]), Ok(()));
    let shard = ShardIndex(0);
    // Another incarnation's, from before the loss; another node's.
    let other = Violation::WholeOfOther { shard, node: node("a"), incarnation: Incarnation(0) };
    assert_eq!(offered(vec![whole(&first, 0)]), Err(other));
    let foreign = Whole { node: node("b"), incarnation: Incarnation(0), ..whole(&second, 0) };
    let other = Violation::WholeOfOther { shard, node: node("b"), incarnation: Incarnation(0) };
    assert_eq!(offered(vec![foreign]), Err(other));
    // Under a record from before the change, or of another chain.
    for named in [first.hash(), replacing(&first, "b").hash()] {
        let misnamed = Whole { record: named, ..whole(&second, 0) };
        assert_eq!(offered(vec![misnamed]), Err(Violation::WholeTooOld { shard, named }));
    }
    let forged = Whole { signature: whole(&third, 0).signature, ..whole(&second, 0) };
    let source = WholeError::Signature(KeyError::Mismatch);
    assert_eq!(offered(vec![forged]), Err(Violation::Whole { shard, source }));
    assert_eq!(offered(vec![whole(&second, 1)]), Err(Violation::WholeOfFilled(ShardIndex(1))));
    let twice = vec![whole(&second, 0), whole(&third, 0)];
    assert_eq!(offered(twice), Err(Violation::WholeOfFilled(shard)));
    // One that fills and says unfilled, one that just omits the shard.
    let mut both = filling(&third, vec![whole(&second, 0)]);
    both.unfilled = vec![shard];
    let wrong = Violation::Miscounted { found: vec![shard], wanted: vec![] };
    assert_eq!(check(&known, &signed(both), None), Err(wrong));
    let mut omitted = child(&third);
    omitted.unfilled.clear();
    let wrong = Violation::Miscounted { found: vec![], wanted: vec![shard] };
    assert_eq!(check(&known, &signed(omitted), None), Err(wrong));
}

#[test]
fn a_whole_from_before_the_shard_left_and_came_back_does_not_count() {
    let first = four();
    let swapped = |parent: &EpochRecord| {
        let mut next = child(parent);
        let shards = next.members[0].shards.clone();
        next.members[0].shards = next.members[1].shards.clone();
        next.members[1].shards = shards;
        next.unfilled = unfilled_after(parent, &next, &[]);
        next.forced = true;
        next
    };
    let there = swapped(&first);
    let back = swapped(&there);
    let known = tree(&[&first, &there, &back]);
    let offered = |whole| check(&known, &signed(filling(&back, vec![whole])), None);
    let named = first.hash();
    let old = Violation::WholeTooOld { shard: ShardIndex(0), named };
    assert_eq!(offered(whole(&first, 0)), Err(old));
    assert_eq!(offered(whole(&back, 0)), Ok(()));
}

#[test]
fn more_than_f_unfilled_need_force_and_heal_without() {
    let first = four();
    let mut lost = replacing(&first, "a");
    lost.members[1] = member("b", 1, &[1]);
    lost.unfilled = unfilled_after(&first, &lost, &[]);
    let known = tree(&[&first]);
    let too_many = Violation::TooManyUnfilled { unfilled: 2, faulty: 1 };
    assert_eq!(check(&known, &signed(lost.clone()), None), Err(too_many));
    lost.forced = true;
    let known = tree(&[&first, &lost]);
    let mut healing = child(&lost);
    healing.forced = false;
    assert_eq!(check(&known, &signed(healing.clone()), None), Ok(()), "nothing is added");
    healing.members[2] = member("c", 1, &[2]);
    healing.unfilled = unfilled_after(&lost, &healing, &[]);
    let too_many = Violation::TooManyUnfilled { unfilled: 3, faulty: 1 };
    assert_eq!(check(&known, &signed(healing), None), Err(too_many));
}

#[test]
fn a_new_control_plane_starts_with_a_forced_record() {
    let first = four();
    let known = tree(&[&first]);
    let stranger = RegistrarKey::from_seed(&[5; 32]);
    let mut record = child(&first);
    record.registrars[0].key = stranger.public();
    let by_stranger = |record: &EpochRecord| SignedRecord {
        record: record.clone(),
        key: stranger.public(),
        signature: stranger.sign(&SignedRecord::statement(record)),
    };
    let me = Identity { operator: stranger.public(), ..identity("a") };
    let chain = |record: &EpochRecord| vec![Link { record: by_stranger(record), proof: None }];
    let signer = Violation::Chain(ChainError::Signer { number: EpochNumber(1) });
    let accepted = first.hash();
    assert_eq!(take(&known, &me, Some(&accepted), chain(&record)), Err(signer.clone()));
    record.forced = true;
    let taken = take(&known, &me, Some(&accepted), chain(&record)).unwrap();
    assert_eq!(taken.verdict, Ok(Accept::New));
    // Only those who were started with that key believe it.
    assert_eq!(take(&known, &identity("a"), Some(&accepted), chain(&record)), Err(signer));
}

#[test]
fn a_node_accepts_only_the_record_that_names_its_volume() {
    let offered = || vec![link(&four(), None)];
    let none = EpochTree::default();
    let me = identity("a");
    let verdict = |me: &Identity| take(&none, me, None, offered()).and_then(|taken| taken.verdict);
    assert_eq!(verdict(&me), Ok(Accept::New));
    let number = EpochNumber(0);
    let other = |what| Violation::OtherVolume { number, node: node("a"), what };
    let found = four().committee;
    let own = CommitteeId([1; 16]);
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
            Violation::NotMember { number, node: node("e") },
        ),
        (Identity { committee: own, ..me.clone() }, Violation::OtherCommittee { found, own }),
    ];
    for (identity, violation) in rows {
        assert_eq!(verdict(&identity), Err(violation));
    }
}

#[test]
fn chains_are_taken_whole_or_as_far_as_they_are_committed() {
    let first = four();
    let second = replacing(&first, "d");
    let third = filling(&second, vec![whole(&second, 3)]);
    let full = tree(&[&first, &second, &third]);
    let of_first = full.proof(&first.hash()).unwrap().as_ref().clone();
    let none = EpochTree::default();
    let me = identity("a");
    // All at once, to a node that has nothing.
    let chain = vec![link(&first, Some(of_first.clone())), link(&second, None), link(&third, None)];
    let taken = take(&none, &me, None, chain.clone()).unwrap();
    assert_eq!(taken.verdict, Ok(Accept::New));
    assert_eq!((taken.records.len(), taken.proofs.len(), taken.tip), (3, 1, third.hash()));
    // Without the proof of record 0 no child is accepted, and none is kept.
    let unproved = vec![link(&first, None), link(&second, None)];
    let taken = take(&none, &me, None, unproved).unwrap();
    assert_eq!(taken.verdict, Err(Violation::GenesisUncommitted));
    assert!(taken.records.is_empty());
    // What is known already, or was passed already, changes nothing.
    let known = tree(&[&first, &second]);
    let accepted = second.hash();
    let again = take(&known, &me, Some(&accepted), chain[..1].to_vec()).unwrap();
    assert_eq!((again.verdict, again.records.len()), (Ok(Accept::Already), 0));
    let grown = take(&known, &me, Some(&accepted), chain.clone()).unwrap();
    assert_eq!((grown.verdict, grown.records.len()), (Ok(Accept::New), 1));
    // The volume that was replaced accepts nothing, and learns so once it is committed.
    let lost = take(&known, &identity("d"), Some(&first.hash()), chain.clone()).unwrap();
    assert!(matches!(lost.verdict, Err(Violation::OtherVolume { what: "incarnation", .. })));
    assert!(lost.records.is_empty());
    let mut proved = chain.clone();
    proved[1].proof = proof(&known, &second, &[("a", 0), ("b", 0), ("c", 0)]);
    let before = tree(&[&first]);
    let lost = take(&before, &identity("d"), Some(&first.hash()), proved).unwrap();
    assert_eq!((lost.records.len(), lost.proofs.len()), (1, 1));
    // Nothing is not a chain, and neither is what does not hang together.
    assert_eq!(take(&known, &me, Some(&accepted), vec![]), Err(Violation::Nothing));
    let torn = vec![chain[0].clone(), chain[2].clone()];
    let broken = Violation::Broken { number: EpochNumber(2) };
    assert_eq!(take(&known, &me, Some(&accepted), torn), Err(broken));
    let mut swapped = chain;
    swapped[1].proof = Some(of_first);
    let unknown = ChainError::UnknownRecord(first.hash()).into();
    assert_eq!(take(&known, &me, Some(&accepted), swapped), Err(unknown));
}

#[test]
fn the_record_that_a_node_stands_on() {
    let first = four();
    let second = replacing(&first, "d");
    let mut known = tree(&[&first, &second]);
    let named = |tree: &EpochTree, accepted: Option<&EpochRecord>| {
        let accepted = accepted.map(EpochRecord::hash);
        standing_record(tree, accepted.as_ref()).map(|signed| signed.record.number.0)
    };
    assert_eq!(named(&known, None), None);
    assert_eq!(named(&known, Some(&first)), Some(0));
    assert_eq!(named(&known, Some(&second)), Some(1));
    commit(&mut known, &second, &["a", "b", "c"]);
    assert_eq!(named(&known, Some(&first)), Some(1), "a proof says who is replaced");
    assert_eq!(named(&known, None), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn without_proofs_a_node_follows_one_chain_upwards(offers in prop::collection::vec(0_u64..12, 1..16)) {
        // Three children of record 0, each with three children of its own.
        let first = four();
        let varied = |parent: &EpochRecord, policy: u64| {
            let mut next = child(parent);
            next.policy.undelete_window_millis = policy;
            next
        };
        let children: Vec<EpochRecord> = (0..3).map(|at| varied(&first, at)).collect();
        let grandchildren: Vec<EpochRecord> =
            (0..9).map(|at| varied(&children[at / 3], 10 + at as u64)).collect();
        let records: Vec<&EpochRecord> =
            [&first].into_iter().chain(&children).chain(&grandchildren).collect();
        let known = tree(&records);
        let me = identity("a");
        let mut own = first.hash();
        for offer in offers {
            let tip = records[usize::try_from(offer).unwrap() + 1].hash();
            match accept(&known, &me, Some(&own), &tip) {
                Ok(Accept::New) => {
                    prop_assert!(known.is_ancestor(&own, &tip));
                    own = tip;
                }
                Ok(Accept::Already) => prop_assert!(known.is_ancestor(&tip, &own)),
                Err(Violation::NotAbove { .. } | Violation::Leaves { .. }) => {
                    prop_assert!(!known.is_ancestor(&own, &tip));
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}
