//! The next record: examples of every rule, and what holds whatever happens.

mod random;
mod world;

use floe_model::{EpochNumber, Incarnation, ShardIndex};

use super::*;
use crate::tests::fixture::node;
use world::{World, shards};

/// What a decision comes to: changed members with their shards, unfilled ones, blockers.
fn shown(decision: &Decision) -> String {
    match decision {
        Decision::Nothing => "nothing".to_owned(),
        Decision::Wait(blockers) => format!("wait: {}", all(blockers)),
        Decision::Push(_) => "push".to_owned(),
        Decision::Propose(record, blockers) => {
            let owned = record.members.iter().map(|it| {
                let shards: Vec<String> = it.shards.iter().map(ToString::to_string).collect();
                format!("{}.{} {}", it.node, it.incarnation, shards.join("+"))
            });
            let owned: Vec<String> = owned.collect();
            let unfilled: Vec<String> = record.unfilled.iter().map(ToString::to_string).collect();
            let wholes: Vec<String> = record.wholes.iter().map(|it| it.shard.to_string()).collect();
            format!(
                "{}: {}; unfilled {}; whole {}; {}",
                record.number,
                owned.join(", "),
                unfilled.join(" "),
                wholes.join(" "),
                all(blockers)
            )
        }
        Decision::Conflict(tips) => {
            let tips: Vec<String> =
                tips.iter().map(|tip| format!("{} by {}", tip.number, tip.shards)).collect();
            format!("conflict: {}", tips.join(", "))
        }
    }
}

fn all(blockers: &[Blocker]) -> String {
    blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn proposed(decision: Decision) -> EpochRecord {
    match decision {
        Decision::Propose(record, _) => *record,
        other => panic!("{}", shown(&other)),
    }
}

#[test]
fn nothing_changes_unless_something_is_wanted() {
    let world = World::seven();
    assert_eq!(world.decide(), Decision::Nothing);
}

#[test]
fn a_lost_volume_is_replaced_when_the_next_one_answers() {
    let mut world = World::seven();
    world.want("a").incarnation = Incarnation(1);
    world.silence("a");
    assert_eq!(
        shown(&world.decide()),
        "wait: a is to have incarnation 1, which does not answer; start it"
    );
    world.answer("a", 1);
    let record = proposed(world.decide());
    assert_eq!(record.number, EpochNumber(1));
    assert_eq!(record.unfilled, shards(&[0, 7]));
    let member = record.member(&node("a")).unwrap();
    assert_eq!((member.incarnation, &member.shards), (Incarnation(1), &shards(&[0, 7])));
    // Committed, then whole: carried when both shards are.
    world.commit(record.clone());
    assert_eq!(world.decide(), Decision::Nothing);
    world.whole("a", 0);
    assert_eq!(world.decide(), Decision::Nothing);
    world.whole("a", 7);
    let next = proposed(world.decide());
    assert_eq!((next.number, next.unfilled.as_slice()), (EpochNumber(2), [].as_slice()));
    assert_eq!(next.wholes.iter().map(|it| it.shard).collect::<Vec<_>>(), shards(&[0, 7]));
    world.commit(next);
    assert_eq!(world.decide(), Decision::Nothing);
}

#[test]
fn where_the_next_volume_is_stands_in_the_record_that_names_it() {
    let mut world = World::seven();
    world.want("a").incarnation = Incarnation(1);
    world.want("a").address = "a-1:7443".to_owned();
    world.want("a").host = "spare".to_owned();
    world.silence("a");
    assert!(matches!(world.decide(), Decision::Wait(_)));
    world.answer("a", 1);
    let record = proposed(world.decide());
    let member = record.member(&node("a")).unwrap();
    assert_eq!((member.address.as_str(), member.host.as_str()), ("a-1:7443", "spare"));
    // A host that holds too much already is not taken over.
    for name in ["b", "c"] {
        world.want(name).host = "spare".to_owned();
    }
    let (record, blockers) = match world.decide() {
        Decision::Propose(record, blockers) => (record, all(&blockers)),
        other => panic!("{}", shown(&other)),
    };
    assert_eq!(record.member(&node("a")).unwrap().incarnation, Incarnation(1));
    assert!(blockers.contains("stays where the epoch record has it: on host spare"), "{blockers}");
}

#[test]
fn several_are_replaced_at_once_within_the_limit_and_beyond_it_none() {
    let mut world = World::seven();
    for name in ["a", "d"] {
        world.replace(name, 1);
    }
    let record = proposed(world.decide());
    assert_eq!(record.unfilled, shards(&[0, 3, 7]));
    // One more: four shards of three.
    world.replace("e", 1);
    let text = shown(&world.decide());
    assert!(text.starts_with("wait: more than f = 3 shards have no volume"), "{text}");
    assert!(text.contains("a-0 (shards 0 7), d-0 (shards 3), e-0 (shards 4)"), "{text}");
    assert!(text.contains("bring one of these volumes back"), "{text}");
    // Commits are out of reach as well.
    assert!(text.contains("nodes worth 6 shards say"), "{text}");
    // The same when two were replaced before, and are not filled.
    let mut world = World::seven();
    world.replace("a", 1);
    world.commit_proposal();
    world.replace("b", 1);
    let text = shown(&world.decide());
    assert!(text.contains("a-1 (shards 0 7), b-0 (shards 1 8)"), "{text}");
    // What a has filled by now is carried first.
    world.whole("a", 0);
    world.whole("a", 7);
    let record = proposed(world.decide());
    assert_eq!((record.unfilled, record.wholes.len()), (shards(&[1, 8]), 2));
}

#[test]
fn a_lost_volume_without_a_next_one_is_named() {
    let mut world = World::seven();
    world.lost.insert((node("b"), Incarnation(0)));
    assert_eq!(shown(&world.decide()), "wait: b-0 is lost; replace its volume, or remove the node");
    // Removed: all its shards go at once, and with them the node.
    world.want("b").weight = 0;
    let record = proposed(world.decide());
    assert_eq!(record.unfilled, shards(&[1, 8]));
    assert_eq!(record.member(&node("b")).unwrap().shards, []);
    world.commit(record);
    let record = proposed(world.decide());
    assert_eq!(record.member(&node("b")), None);
}

#[test]
fn a_word_that_is_not_of_the_owner_of_now_does_not_count() {
    let mut world = World::seven();
    world.replace("d", 1);
    let under_genesis = world.parent();
    world.commit_proposal();
    // Signed under a record that does not name this volume.
    let mut early = world.whole_of("d", 3);
    early.record = under_genesis;
    world.wholes.push(early);
    assert_eq!(world.decide(), Decision::Nothing);
    // Of the volume that was lost meanwhile.
    let old = world.whole_of("d", 3);
    world.replace("d", 2);
    world.commit_proposal();
    world.wholes.push(old.clone());
    assert_eq!(world.decide(), Decision::Nothing);
    // With a signature of something else.
    let mut forged = world.whole_of("d", 3);
    forged.signature = old.signature;
    world.wholes.push(forged);
    assert_eq!(world.decide(), Decision::Nothing);
    world.whole("d", 3);
    assert_eq!(proposed(world.decide()).wholes.len(), 1);
    // Said, and then replaced in the same record: not carried.
    world.replace("d", 3);
    let record = proposed(world.decide());
    assert_eq!((record.unfilled, record.wholes.len()), (shards(&[3]), 0));
}

#[test]
fn an_eighth_node_takes_one_shard_and_its_former_owner_stays() {
    let mut world = World::seven();
    world.join("h");
    world.silence("h");
    assert_eq!(
        shown(&world.decide()),
        "wait: h is to have incarnation 0, which does not answer; start it"
    );
    world.answer("h", 0);
    assert_eq!(
        shown(&world.decide()),
        "1: a.0 0, b.0 1+8, c.0 2+9, d.0 3, e.0 4, f.0 5, g.0 6, h.0 7; unfilled 7; whole ; "
    );
    world.commit_proposal();
    assert_eq!(world.decide(), Decision::Nothing);
    // A loss meanwhile fits, because a place was left free for it.
    world.replace("b", 1);
    let record = proposed(world.decide());
    assert_eq!(record.unfilled, shards(&[1, 7, 8]));
    world.commit(record);
    world.whole("h", 7);
    world.commit_proposal();
    world.whole("b", 1);
    world.whole("b", 8);
    world.commit_proposal();
    assert_eq!(world.decide(), Decision::Nothing);
}

#[test]
fn moves_wait_while_a_shard_is_missing() {
    let mut world = World::seven();
    world.replace("d", 1);
    world.commit_proposal();
    world.join("h");
    assert_eq!(
        shown(&world.decide()),
        "wait: 1 shards move when those that are unfilled now are whole"
    );
    world.whole("d", 3);
    let record = proposed(world.decide());
    assert_eq!((record.unfilled, record.wholes.len()), (shards(&[7]), 1));
}

#[test]
fn a_node_that_leaves_gives_one_shard_after_the_other_and_then_goes() {
    let mut world = World::seven();
    world.want("a").weight = 0;
    let mut story = Vec::new();
    for _ in 0..5 {
        let decision = world.decide();
        story.push(shown(&decision));
        let Decision::Propose(record, _) = decision else { break };
        world.commit(*record);
        world.fill_all();
    }
    assert_eq!(
        story,
        [
            "1: a.0 0, b.0 1+8, c.0 2+9, d.0 3+7, e.0 4, f.0 5, g.0 6; unfilled 7; whole ; \
             1 shards move when those that are unfilled now are whole",
            "2: a.0 , b.0 1+8, c.0 2+9, d.0 3+7, e.0 0+4, f.0 5, g.0 6; unfilled 0; whole 7; ",
            "3: b.0 1+8, c.0 2+9, d.0 3+7, e.0 0+4, f.0 5, g.0 6; unfilled ; whole 0; ",
            "nothing",
        ]
    );
}

#[test]
fn what_nodes_accepted_is_built_on_and_what_is_not_committed_is_pushed() {
    let mut world = World::seven();
    world.replace("d", 1);
    let tip = world.create_proposal();
    // In the log only: the same record again, not another number.
    assert_eq!(world.decide(), Decision::Push(tip));
    world.accept(tip, &["a"]);
    assert_eq!(world.decide(), Decision::Push(tip));
    // Something more is wanted: a child of the tip.
    world.replace("e", 1);
    let record = proposed(world.decide());
    assert_eq!((record.parent, record.unfilled.as_slice()), (tip, shards(&[3, 4]).as_slice()));
    assert_eq!(record.number, EpochNumber(2));
}

#[test]
fn of_two_tips_the_one_that_can_still_be_committed_is_pushed() {
    let mut world = World::seven();
    world.replace("d", 1);
    let one = world.create_proposal();
    world.accept(one, &["e"]);
    // The log was restored: a steward that read none of the others' heads makes another child.
    world.replace("g", 1);
    let genesis = world.genesis();
    let rival = EpochRecord { parent: genesis, number: EpochNumber(5), ..proposed(world.decide()) };
    let other = world.create(rival);
    world.accept(other, &["a", "b"]);
    assert_eq!(world.decide(), Decision::Push(other));
    world.accept(one, &["c"]);
    assert_eq!(shown(&world.decide()), "conflict: 5 by 4, 1 by 3");
    // A human decides.
    let (record, _) = world.force(Some(one)).unwrap();
    assert!(record.forced && record.parent == one && record.number == EpochNumber(6));
    // A commit decides it too.
    world.prove(other);
    assert_eq!(world.decide(), Decision::Nothing);
}

#[test]
fn heads_of_enough_nodes_are_needed() {
    let mut world = World::seven();
    for name in ["a", "b"] {
        world.silence(name);
    }
    assert_eq!(
        shown(&world.decide()),
        "wait: nodes worth 6 shards say which epoch record they accepted, 7 are needed; start nodes"
    );
}

#[test]
fn numbers_are_never_used_twice_and_never_burnt() {
    let mut world = World::seven();
    world.replace("d", 1);
    world.highest = EpochNumber(41);
    assert_eq!(proposed(world.decide()).number, EpochNumber(42));
    // Too far for one step: as near as one leads, and the next one goes on.
    world.highest = EpochNumber(1500);
    let record = proposed(world.decide());
    assert_eq!(record.number, EpochNumber(1024));
    world.commit(record.clone());
    world.highest = EpochNumber(1500);
    world.replace("e", 1);
    assert_eq!(proposed(world.decide()).number, EpochNumber(1501));
    for number in 1025..=2048 {
        let number = EpochNumber(number);
        world.create(EpochRecord { number, parent: record.hash(), ..record.clone() });
    }
    assert!(shown(&world.decide()).contains("all epoch numbers that may follow 1024 were used"));
}

#[test]
fn a_member_on_a_dead_branch_is_brought_back_by_the_same_record_again() {
    let mut world = World::seven();
    let dead = EpochRecord {
        number: EpochNumber(3),
        parent: world.genesis(),
        policy: floe_model::record::Policy { undelete_window_millis: 1, ..world.newest().policy },
        ..world.newest().clone()
    };
    let dead = world.create(dead);
    world.replace("a", 1);
    world.commit_proposal();
    world.fill_all();
    world.commit_proposal();
    assert_eq!(world.decide(), Decision::Nothing);
    // Below: the proof alone takes it back.
    world.accept(dead, &["d"]);
    assert_eq!(world.decide(), Decision::Nothing);
    let far = EpochRecord { number: EpochNumber(9), parent: dead, ..world.newest().clone() };
    let far = EpochRecord { wholes: vec![], ..far };
    let far = world.create(EpochRecord {
        members: world.tree().record(&dead).unwrap().record.members.clone(),
        ..far
    });
    world.accept(far, &["d"]);
    let record = proposed(world.decide());
    assert_eq!((record.number, record.parent), (EpochNumber(10), world.parent()));
    assert_eq!(record.members, world.newest().members);
    // Created, and nobody was told: no second one.
    let hash = world.create(record.clone());
    assert_eq!(world.decide(), Decision::Push(hash));
    world.commit(record);
    assert_eq!(world.decide(), Decision::Nothing);
    // A liar that shows it for ever costs no more.
    world.accept(far, &["d"]);
    assert_eq!(world.decide(), Decision::Nothing);
}

#[test]
fn force_goes_beyond_the_limit_and_says_so() {
    let mut world = World::seven();
    for name in ["a", "b"] {
        world.replace(name, 1);
    }
    let (record, blockers) = world.force(None).unwrap();
    assert!(record.forced && blockers.is_empty());
    assert_eq!(record.unfilled, shards(&[0, 1, 7, 8]));
    // Unfilled beyond the limit stays so without force, and heals.
    world.commit(record);
    assert_eq!(world.decide(), Decision::Wait(vec![world.beyond_limit(&[("a", 1), ("b", 1)])]));
    world.fill_all();
    world.commit_proposal();
    assert_eq!(world.decide(), Decision::Nothing);
}

#[test]
fn a_node_that_moves_is_written_down() {
    let mut world = World::seven();
    world.want("c").address = "elsewhere:7443".to_owned();
    world.want("c").zone = "east".to_owned();
    let record = proposed(world.decide());
    assert_eq!(record.member(&node("c")).unwrap().address, "elsewhere:7443");
    assert_eq!(record.unfilled, []);
    world.commit(record);
    for name in ["a", "b"] {
        world.want(name).host = "one".to_owned();
    }
    let text = shown(&world.decide());
    assert!(text.contains("b stays where the epoch record has it: on host one"), "{text}");
}
