//! The traces of the model of epochs.

use std::time::Duration;

use floe_api::ErrorCode;
use floe_api::messages::Acknowledgement;
use floe_model::{EpochRecord, Incarnation};
use floe_steward::Outcome;
use floe_tests::sim_committee::begin;
use floe_tests::sim_committee::scene::content;

use crate::{
    assert_one_chain, assert_read, look, marked, play, refusal, report, rest, settle, targets,
    until, written,
};

const ALL: [usize; 4] = [0, 1, 2, 3];

#[test]
fn v1_two_children_of_one_record_never_both_commit() {
    play(|world, hand, mut chain| async move {
        world.cut_nodes();
        let (zero, all) = (chain.genesis(), targets(&hand, &ALL));
        let one = chain.issue(chain.next(zero, marked(1)));
        let mut other = chain.next(zero, marked(2));
        other.number.0 += 1;
        let two = chain.issue(other);
        let accepted = chain.accepted(&all[..3], one).await;
        // A higher number, a known parent, n-f of record 0: and yet nobody leaves what it accepted.
        for target in &all[..3] {
            let (code, text) = refusal(chain.push(target, two).await);
            assert_eq!(code, ErrorCode::NeedEpoch);
            assert!(text.contains("does not follow it"), "{text}");
        }
        let late = chain.accepted(&all[3..], two).await;
        assert!(chain.prove(two, &late).is_err());
        // The longer way to the same: a child of a sibling that nobody accepted.
        let sibling = chain.issue(chain.next(zero, marked(3)));
        let child = chain.issue(chain.next(sibling, marked(4)));
        for target in &all[..3] {
            assert_eq!(refusal(chain.push(target, child).await).0, ErrorCode::NeedEpoch);
        }
        chain.prove(one, &accepted).unwrap();
        chain.accepted(&all[..3], one).await;
        world.join_nodes();
        // D is on a dead branch, at a higher number: a steward brings all together.
        settle(&world).await;
        let record = assert_one_chain(&world, &hand).await;
        assert_eq!(record.policy, chain.record(one).policy);
        assert!(record.number > chain.record(two).number);
    });
}

#[test]
fn v2_what_is_committed_does_not_depend_on_whose_proofs_are_known() {
    play(|world, hand, mut chain| async move {
        world.cut_nodes();
        let (zero, all) = (chain.genesis(), targets(&hand, &ALL));
        let host = &world.spares()[0];
        let new = world.lend(host, &hand.node(1), Incarnation(1));
        world.restart(host.as_str()).await;
        // Record 1 replaces B, which lives on; records 2 and 3 both follow it, with one number.
        let mut first = chain.next(zero, |_| ());
        chain.renew(&mut first, &new).await;
        first.unfilled = vec![first.members[1].shards[0]];
        let one = chain.issue(first);
        let two = chain.issue(chain.next(one, marked(2)));
        let three = chain.issue(chain.next(one, marked(3)));
        let mut for_two = chain.accepted(&[all[0].clone(), new.clone()], two).await;
        let mut for_three = chain.accepted(&all[2..3], three).await;
        // The old volume accepts nothing that names another one.
        for tip in [one, two, three] {
            assert_eq!(refusal(chain.push(&all[1], tip).await).0, ErrorCode::NotServing);
        }
        // A liar signs everything; and let even the old volume's key be stolen.
        let (liar, old) = (hand.node(3), hand.node(1));
        for_two.push(chain.lie(&liar, two));
        for_three.extend([chain.lie(&liar, three), chain.lie(&old, three)]);
        // n-f of record 1 for the one, n-f of record 0 for the other, and both for neither.
        for (tip, accepted) in [(two, &for_two), (three, &for_three)] {
            let error = chain.prove(tip, accepted).unwrap_err().to_string();
            assert!(error.contains("acceptances worth 2 shards"), "{error}");
        }
        // With C and D for record 1, its child is counted over it alike.
        let mut for_one = chain.accepted(&all[3..], one).await;
        for_one.extend([chain.lie(&hand.node(2), one), chain.lie(&hand.node(0), one)]);
        chain.prove(one, &for_one).unwrap();
        chain.prove(two, &for_two).unwrap();
        assert!(chain.prove(three, &for_three).is_err());
        // C leaves what it accepted for what is committed, as soon as a number above its own comes.
        let four = chain.issue(chain.next(two, marked(4)));
        chain.accepted(&[all[0].clone(), new, all[2].clone(), all[3].clone()], four).await;
        assert!(chain.tree().is_ancestor(&one, &four));
        chain.check();
    });
}

#[test]
fn v3_unfilled_shards_are_reckoned_over_the_parent_and_never_more_than_f() {
    play(|world, hand, mut chain| async move {
        let (a, d) = (hand.node(0), hand.node(3));
        let (_, certified) = written(&hand, &ALL, 3).await;
        // A's disk is lost; record 1 replaces it: B and C accept.
        world.cut_nodes();
        for node in [&a, &d] {
            world.set_incarnation(node, Incarnation(1));
            world.restart(node.as_str()).await;
        }
        let (new_a, new_d) = (world.target(&a), world.target(&d));
        let zero = chain.genesis();
        let mut first = chain.next(zero, |_| ());
        let old_a = first.members[0].clone();
        chain.renew(&mut first, &new_a).await;
        let lost = first.members[0].shards.clone();
        first.unfilled.clone_from(&lost);
        let one = chain.issue(first);
        let nodes = targets(&hand, &[1, 2]);
        chain.accepted(&nodes, one).await;
        // D is lost as well. Planned on record 1, but relative to record 0:
        let mut back = chain.next(one, |record| record.members[0] = old_a);
        back.unfilled.clear();
        let mut omitted = chain.next(one, |_| ());
        chain.renew(&mut omitted, &new_d).await;
        omitted.unfilled.clone_from(&omitted.members[3].shards);
        let mut both = omitted.clone();
        both.unfilled = [lost, both.unfilled].concat();
        both.unfilled.sort();
        let cases = [(back, "they never fall"), (omitted, "follow"), (both, "at most 1 may be")];
        for (record, words) in cases {
            let hash = chain.issue(record);
            for target in &nodes {
                let (code, text) = refusal(chain.push(target, hash).await);
                assert_eq!(code, ErrorCode::Malformed);
                assert!(text.contains(words), "{text}");
            }
        }
        // Nor does a steward propose it: it says who is lost, and waits.
        let pass = look(&world).await;
        let Outcome::Waiting(blockers) = &pass.outcome else { panic!("{:?}", pass.outcome) };
        let said: Vec<String> = blockers.iter().map(ToString::to_string).collect();
        assert!(said[0].contains("more than f = 1 shards"), "{said:?}");
        // The old volume of D comes back: all goes on, and nothing is lost.
        world.set_incarnation(&d, Incarnation(0));
        world.restart(d.as_str()).await;
        world.join_nodes();
        settle(&world).await;
        let record = assert_one_chain(&world, &hand).await;
        assert_eq!(record.unfilled, []);
        let under = hand.under(&record);
        for at in ALL {
            until(&hand, &under.target(at), |it| it.slivers.owed == 2 && it.slivers.held == 2)
                .await;
            let answer = under.put_certificate(at, &certified).await.unwrap();
            assert_eq!(answer.state, Acknowledgement::Acknowledged, "node {at}");
        }
    });
}

#[test]
fn v4_a_replaced_volumes_confirmation_does_not_count() {
    play(|world, hand, mut chain| async move {
        // A is away from all but one writer; its next volume is on another host.
        for at in 1..4 {
            world.cut("node-0", hand.node(at).as_str());
        }
        let (host, zero) = (world.spares()[0].clone(), chain.genesis());
        let new = world.lend(&host, &hand.node(0), Incarnation(1));
        world.restart(host.as_str()).await;
        let mut first = chain.next(zero, |_| ());
        chain.renew(&mut first, &new).await;
        first.unfilled.clone_from(&first.members[0].shards);
        let one = chain.issue(first.clone());
        let draft = hand.draft(4, "blob-4", &content(4));
        let others = [targets(&hand, &[1, 2, 3]), vec![new.clone()]].concat();
        chain.commit(&others, one).await;
        until(&hand, &new, |report| report.wholes.len() == 1).await;
        // An upload that began under record 0 may still end: confirmed by the old A, B and C.
        let late = hand.draft(14, "blob-14", &content(14));
        assert_eq!(refusal(hand.finish(1, &late, true).await).0, ErrorCode::NeedEpoch);
        let old = hand.certified_by(&[0, 1, 2], &draft).await;
        // B's disk dies.
        world.kill("node-1").await;
        assert_eq!(
            hand.put_certificate(0, &old).await.unwrap().state,
            Acknowledgement::Acknowledged,
            "it knows no better"
        );
        for at in [2, 3] {
            let refused = refusal(hand.put_certificate(at, &old).await);
            assert_eq!(refused.0, ErrorCode::NeedEpoch, "node {at}: {}", refused.1);
        }
        // The writer collects the new owner's confirmation: C, D and the new A hold it.
        let under = hand.under(&first);
        let again = under.renewed(&draft);
        let new = under.certified_by(&[0, 2, 3], &again).await;
        for at in [0, 2, 3] {
            let answer = under.put_certificate(at, &new).await.unwrap();
            assert_eq!(answer.state, Acknowledgement::Acknowledged, "node {at}");
        }
        // The old A has nothing to do with it any more.
        world.kill("node-0").await;
        assert_read(&hand.client_of(chain.chain(one)), &again, 4).await;
    });
}

#[test]
fn v5_whole_waits_for_nodes_that_accepted_the_new_volume() {
    play(|world, hand, mut chain| async move {
        world.cut_nodes();
        let (host, zero) = (world.spares()[0].clone(), chain.genesis());
        let new = world.lend(&host, &hand.node(0), Incarnation(1));
        world.restart(host.as_str()).await;
        let mut first = chain.next(zero, |_| ());
        chain.renew(&mut first, &new).await;
        first.unfilled.clone_from(&first.members[0].shards);
        let one = chain.issue(first.clone());
        // Only the new A accepted it: nobody else knows it, or shows it a catalog.
        chain.accepted(std::slice::from_ref(&new), one).await;
        rest(Duration::from_secs(20)).await;
        let read = report(&hand, &new).await;
        assert_eq!((read.cursors.len(), read.wholes.len()), (0, 0), "{read:#?}");
        // Legal under record 0: the old A, B and C confirm; the old A and B acknowledge.
        let draft = hand.draft(5, "blob-5", &content(5));
        let certified = hand.certified_by(&[0, 1, 3], &draft).await;
        for at in [0, 1] {
            let answer = hand.put_certificate(at, &certified).await.unwrap();
            assert_eq!(answer.state, Acknowledgement::Acknowledged, "node {at}");
        }
        // B and C accept record 1; D lags.
        chain.accepted(&targets(&hand, &[1, 2]), one).await;
        rest(Duration::from_secs(20)).await;
        let read = report(&hand, &new).await;
        assert_eq!((read.cursors.len(), read.wholes.len()), (2, 0), "D may still acknowledge");
        let answer = hand.put_certificate(3, &certified).await.unwrap();
        assert_eq!(answer.state, Acknowledgement::Acknowledged, "and so it does: n-f of record 0");
        // D follows. Now the new A knows what it owes, and is whole when it holds that.
        chain.commit(&[targets(&hand, &[1, 2, 3]), vec![new.clone()]].concat(), one).await;
        world.kill("node-0").await;
        world.join_nodes();
        let mut leased = world.repair_job(&hand.node(0));
        leased.nodes = vec![new.clone()];
        let done = floe_sidecar::run_repair_job(hand.env(), &leased).await.unwrap();
        assert_eq!(done.slivers, 2);
        until(&hand, &new, |report| report.wholes.len() == 1 && report.slivers.held == 2).await;
        // B is lost: what was acknowledged is read from those that record 1 names.
        world.kill("node-1").await;
        until(&hand, &hand.target(2), |report| report.slivers.held == 2).await;
        assert_read(&hand.client_of(chain.chain(one)), &draft, 5).await;
    });
}

/// What B, C and D hold is record 1 of one making; A holds another one of the same number, or of a
/// higher one, that nobody else heard of.
fn a_dead_branch_at(number: u64) {
    play(move |world, hand, mut chain| async move {
        // A record was created and A accepted it; then the log was put back.
        let zero = chain.genesis();
        let mut dead = chain.next(zero, marked(1));
        dead.number.0 = number;
        let dead = chain.issue(dead);
        world.cut_nodes();
        chain.accepted(&targets(&hand, &[0]), dead).await;
        // The steward does not reach A. It gives C a new volume, under the number 1.
        world.cut("script", "node-0");
        let c = hand.node(2);
        world.set_incarnation(&c, Incarnation(1));
        world.restart(c.as_str()).await;
        for at in [1, 2] {
            world.join(hand.node(at).as_str(), "node-3");
        }
        world.join("node-1", "node-2");
        chain.identity(&world.target(&c)).await;
        // A may be away and C is new: D, B and the old C would be needed. It must be A that is asked.
        assert!(matches!(look(&world).await.outcome, Outcome::Waiting(_)));
        world.join("script", "node-0");
        world.join_nodes();
        settle(&world).await;
        let record = assert_one_chain(&world, &hand).await;
        assert_eq!(record.members[2].incarnation, Incarnation(1));
        written(&hand.under(&record), &ALL, 6).await;
    });
}

#[test]
fn v6_a_log_that_was_put_back_stops_nobody() {
    a_dead_branch_at(1);
    a_dead_branch_at(2);
}

/// As V6, but the others commit a record of their own before A is heard of again.
#[test]
fn v7_a_record_that_few_accepted_is_passed_over() {
    for number in [1, 2, 1500] {
        play(move |world, hand, mut chain| async move {
            let zero = chain.genesis();
            let step = |number: u64| move |record: &mut EpochRecord| record.number.0 = number;
            let between = chain.issue(chain.next(zero, step(number.min(1000))));
            // Further above than one step leads.
            let dead = match number {
                1500 => chain.issue(chain.next(between, step(number))),
                _ => between,
            };
            world.cut_nodes();
            chain.accepted(&targets(&hand, &[0]), dead).await;
            world.cut("script", "node-0");
            let one = chain.issue(chain.next(zero, marked(7)));
            chain.commit(&targets(&hand, &[1, 2, 3]), one).await;
            world.join("script", "node-0");
            world.join_nodes();
            settle(&world).await;
            let record = assert_one_chain(&world, &hand).await;
            assert_eq!(record.policy, chain.record(one).policy, "the committed branch goes on");
            written(&hand.under(&record), &ALL, 7).await;
            // And the dead one, late, moves nobody.
            for target in targets(&hand, &ALL) {
                assert_eq!(refusal(chain.push(&target, dead).await).0, ErrorCode::NeedEpoch);
            }
        });
    }
}

#[test]
fn v8_record_0_is_not_superseded_before_it_is_committed_and_made_once() {
    play(|world, hand, mut chain| async move {
        // The fifth node joins in record 1; it has seen nothing yet.
        let spare = world.spares()[0].clone();
        let target = world.target(&spare);
        let identity = chain.identity(&target).await;
        let zero = chain.genesis();
        let one = chain.issue(chain.next(zero, |record| {
            let mut member = record.members[3].clone();
            member.node.clone_from(&spare);
            member.incarnation = identity.incarnation;
            (member.volume, member.key) = (identity.volume, identity.key);
            member.possession = identity.possession;
            member.address.clone_from(&target.address);
            member.shards.clear();
            record.members.push(member);
        }));
        let mut unproved = chain.chain(one);
        unproved.links[0].proof = None;
        let (code, text) = refusal(chain.offer(&target, &unproved).await);
        assert_eq!(code, ErrorCode::NeedEpoch);
        assert!(text.contains("record 0 is not known here to be committed"), "{text}");
        // Another record 0, by the operator's own hand, is nobody's.
        let mut other = chain.record(zero).clone();
        other.policy.undelete_window_millis += 1;
        let link = floe_api::messages::ChainLink { record: chain.sign(other), proof: None };
        let beginning = floe_api::messages::Chain { links: vec![link] };
        for target in targets(&hand, &ALL) {
            let (code, text) = refusal(chain.offer(&target, &beginning).await);
            assert_eq!(code, ErrorCode::Malformed);
            assert!(text.contains("another beginning"), "{text}");
        }
        let mut committed = targets(&hand, &ALL);
        committed.push(target);
        chain.commit(&committed, one).await;
        // A steward whose log is empty adopts what the nodes have.
        forget(&world, 0);
        assert_eq!(begin(&world).await.unwrap().record, world.genesis().record);
        assert_one_chain(&world, &hand).await;
    });
}

/// The records from a number on leave the log, as if a backup was played back.
fn forget(world: &floe_tests::sim_committee::World, from: u64) {
    use floe_env::Disk;
    let disk = world.disk("steward");
    let dir = std::path::Path::new("/data/records");
    for entry in disk.list(dir).unwrap() {
        let number = entry.name.strip_suffix(".record").and_then(|it| it.parse::<u64>().ok());
        if number.is_some_and(|number| number >= from) {
            disk.remove_file(&dir.join(entry.name)).unwrap();
        }
    }
}

#[test]
fn v9_nobody_follows_what_a_liar_invented_and_a_log_without_anything_is_filled_by_the_nodes() {
    use floe_api::Call;
    use floe_api::messages::Encode;
    use floe_model::keys::RegistrarKey;
    use floe_tests::sim_committee::{Impostor, scene};
    play(|world, hand, mut chain| async move {
        let zero = chain.genesis();
        let real = chain.issue(chain.next(zero, marked(9)));
        chain.commit(&targets(&hand, &ALL), real).await;
        // D says that it accepted a record in which A's volume is one of its own, signed by a key of its own.
        let report = chain.identity(&hand.target(3)).await;
        let key = RegistrarKey::from_seed(&[9; 32]);
        let mut invented = chain.next(real, |record| {
            record.members[0].incarnation = Incarnation(1);
            record.members[0].volume = report.volume;
        });
        invented.unfilled.clear();
        let signature = key.sign(&floe_model::SignedRecord::statement(&invented));
        let record = floe_model::SignedRecord { record: invented, key: key.public(), signature };
        let mut shown = chain.chain(real);
        shown.links.push(floe_api::messages::ChainLink { record, proof: None });
        let liar: Impostor = std::sync::Arc::new(move |call, _| match call {
            Call::Identity => Some(report.to_response(http::StatusCode::OK)),
            Call::Epoch { .. } => Some(shown.to_response(http::StatusCode::OK)),
            _ => None,
        });
        scene::become_impostor(&world, &hand, 3, liar).await;
        chain.identity(&hand.target(3)).await;
        // Nothing of the log is left either.
        forget(&world, 0);
        assert_eq!(look(&world).await.outcome, Outcome::Settled);
        // A node takes over another one's shard: the next record follows the real one.
        let spare = world.spares()[0].clone();
        world.set_weight(&spare, 1);
        world.set_weight(&hand.node(1), 0);
        let pass = look(&world).await;
        assert!(matches!(pass.outcome, Outcome::Committed(_, _)), "{:?}", pass.outcome);
        let (_, record) = pass.record.unwrap();
        assert_eq!((record.parent, record.members.len()), (real, 5));
        assert_eq!(record.members[0].incarnation, Incarnation(0));
    });
}
