//! Chains of epoch records: what continues them, and what proves that a record is committed.

use std::sync::Arc;

use floe_model::epochs::LARGEST_STEP;
use floe_model::keys::{KeyError, RegistrarKey};
use floe_model::record::possession_statement;
use floe_model::{
    Acceptance, Acceptor, ChainError, CommitProof, EpochNumber, EpochRecord, EpochTree,
    Incarnation, Lineage, ProofError, RecordHash, ShardIndex, SignedRecord, VolumeId, Whole,
    WholeError,
};

use crate::fixture::{COMMITTEE, gateway, node_key, operator, record};

fn sign(record: &EpochRecord, key: &RegistrarKey) -> SignedRecord {
    let signature = key.sign(&SignedRecord::statement(record));
    SignedRecord { record: record.clone(), key: key.public(), signature }
}

fn child(parent: &EpochRecord, number: u64) -> EpochRecord {
    EpochRecord { number: EpochNumber(number), parent: parent.hash(), ..parent.clone() }
}

/// The parent with the volumes of these nodes replaced.
fn replaced(parent: &EpochRecord, number: u64, nodes: &[usize]) -> EpochRecord {
    let mut record = child(parent, number);
    for &at in nodes {
        let member = &mut record.members[at];
        member.incarnation.0 += 10;
        member.volume = VolumeId([u8::try_from(at).unwrap() + 0x80; 16]);
        let key = node_key(at + 10);
        let (node, incarnation) = (member.node.clone(), member.incarnation);
        let statement =
            possession_statement(&COMMITTEE, &node, incarnation, &member.volume, &key.public());
        (member.key, member.possession) = (key.public(), key.prove_possession(&statement));
        record.unfilled.push(member.shards[0]);
    }
    record
}

/// Acceptances of `record`: node i with its key of the start, or its second one from 10 on.
fn accepted(record: &EpochRecord, who: &[usize]) -> Vec<Acceptance> {
    let accept = |&key: &usize| {
        let (at, later) = (key % 10, if key < 10 { 0 } else { 10 });
        let incarnation = Incarnation(u32::try_from(at).unwrap() + later);
        let node = format!("node-{at}").parse().unwrap();
        Acceptance::sign(record, node, incarnation, &node_key(key))
    };
    who.iter().map(accept).collect()
}

fn tree(records: &[&EpochRecord]) -> EpochTree {
    let mut tree = EpochTree::default();
    for record in records {
        let signed = sign(record, &operator());
        assert_eq!(tree.check_record(&signed, None), Ok(()));
        assert!(tree.insert(Arc::new(signed)));
    }
    tree
}

fn commit(tree: &mut EpochTree, record: &EpochRecord, who: &[usize]) -> Result<(), ChainError> {
    let lineage = tree.lineage(record).unwrap();
    let number = record.number;
    let proof = CommitProof::gather(record, &lineage, &accepted(record, who))
        .map_err(|source| ChainError::Proof { number, source })?;
    tree.check_proof(&proof)?;
    assert!(tree.insert_proof(Arc::new(proof)));
    Ok(())
}

fn too_few(record: &EpochRecord, over: u64, have: usize) -> Result<(), ChainError> {
    let source = ProofError::TooFew { over: EpochNumber(over), have, need: 3 };
    Err(ChainError::Proof { number: record.number, source })
}

#[test]
fn a_chain_grows_by_what_its_parents_operator_signed() {
    let first = record();
    let tree = tree(&[&first]);
    let check = |record: &EpochRecord| tree.check_record(&sign(record, &operator()), None);
    assert_eq!(check(&child(&first, 1)), Ok(()));
    assert_eq!(check(&child(&first, LARGEST_STEP)), Ok(()));
    for number in [0, LARGEST_STEP + 1, u64::MAX] {
        let wrong = ChainError::Number { number: EpochNumber(number), parent: EpochNumber(0) };
        assert_eq!(check(&child(&first, number)), Err(wrong));
    }
    let second = child(&first, 1);
    let unknown = ChainError::UnknownParent { number: EpochNumber(2), parent: second.hash() };
    assert_eq!(check(&child(&second, 2)), Err(unknown));
    let mut other = record();
    other.policy.undelete_window_millis += 1;
    let genesis = ChainError::OtherGenesis { found: other.hash(), known: first.hash() };
    assert_eq!(check(&other), Err(genesis));
    let orphan = EpochRecord { number: EpochNumber(3), ..record() };
    assert_eq!(check(&orphan), Err(ChainError::Beginning(EpochNumber(3))));
}

#[test]
fn a_child_is_signed_by_a_key_that_its_parent_names() {
    let first = record();
    let tree = tree(&[&first]);
    let mut second = child(&first, 1);
    let number = EpochNumber(1);
    let stranger = RegistrarKey::from_seed(&[9; 32]);
    // It may hand over to another key, but not by that key's own word.
    second.registrars[0].key = stranger.public();
    assert_eq!(tree.check_record(&sign(&second, &operator()), None), Ok(()));
    let signer = Err(ChainError::Signer { number });
    for key in [&stranger, &gateway()] {
        assert_eq!(tree.check_record(&sign(&second, key), None), signer);
    }
    assert_eq!(tree.check_record(&sign(&second, &stranger), Some(&stranger.public())), signer);
    let forced = EpochRecord { forced: true, ..second.clone() };
    assert_eq!(tree.check_record(&sign(&forced, &stranger), Some(&stranger.public())), Ok(()));
    assert_eq!(tree.check_record(&sign(&forced, &stranger), None), signer);
    let mut altered = sign(&second, &operator());
    altered.record.policy.undelete_window_millis = 1;
    let source = KeyError::Mismatch;
    assert_eq!(tree.check_record(&altered, None), Err(ChainError::Signature { number, source }));
    // A key of somebody who never had it would let its inventor sign for others.
    let mut rogue = child(&first, 1);
    rogue.members[2].key = node_key(7).public();
    let node = rogue.members[2].node.clone();
    let possession = Err(ChainError::Possession { number, node });
    assert_eq!(tree.check_record(&sign(&rogue, &operator()), None), possession);
}

#[test]
fn record_0_is_counted_over_itself_and_each_owner_once() {
    let first = record();
    let mut known = tree(&[&first]);
    for few in [&[0, 1][..], &[0, 1, 1], &[0, 1, 12]] {
        assert_eq!(commit(&mut known, &first, few), too_few(&first, 0, 2));
    }
    let mut elsewhere = accepted(&first, &[0, 1, 2]);
    elsewhere[2].record = RecordHash([1; 32]);
    let lineage = Lineage::of_genesis(&first);
    assert!(CommitProof::gather(&first, &lineage, &elsewhere).is_err());
    let mut forged = accepted(&first, &[0, 1, 2]);
    forged[2].signature = forged[1].signature;
    let named = CommitProof::gather(&first, &lineage, &forged).unwrap_err();
    assert!(matches!(named, ProofError::Acceptor { ref node, .. } if node.as_str() == "node-2"));
    commit(&mut known, &first, &[3, 1, 0]).unwrap();
    assert_eq!(known.committed().unwrap().0, first.hash());

    let proof = known.proof(&first.hash()).unwrap().as_ref().clone();
    let mut more = proof.clone();
    more.signers.push(Acceptor { node: "node-9".parse().unwrap(), incarnation: Incarnation(0) });
    assert!(matches!(more.verify(&first, &lineage), Err(ProofError::Stranger { .. })));
    let mut other = proof.clone();
    other.signers.pop();
    other.signers.push(Acceptor { node: "node-2".parse().unwrap(), incarnation: Incarnation(2) });
    other.signers.sort();
    assert!(matches!(other.verify(&first, &lineage), Err(ProofError::Aggregate(_))));
    let second = child(&first, 1);
    assert!(matches!(proof.verify(&second, &lineage), Err(ProofError::OtherRecord { .. })));
}

#[test]
fn a_child_is_counted_over_its_ancestors_back_to_a_committed_one() {
    let first = record();
    let second = replaced(&first, 1, &[0]);
    let third = child(&second, 2);
    let mut known = tree(&[&first, &second, &third]);
    assert!(known.lineage(&second).is_none(), "record 0 comes first");
    commit(&mut known, &first, &[0, 1, 2]).unwrap();
    // The new volume's word does not count over record 0, the old one's not over record 1.
    assert_eq!(commit(&mut known, &second, &[10, 1, 2]), too_few(&second, 0, 2));
    assert_eq!(commit(&mut known, &third, &[10, 1, 2]), too_few(&third, 0, 2));
    assert_eq!(commit(&mut known, &third, &[0, 1, 2]), too_few(&third, 1, 2));
    let mut with_both = known.clone();
    commit(&mut with_both, &third, &[0, 10, 1, 2]).unwrap();
    commit(&mut known, &second, &[1, 2, 3]).unwrap();
    commit(&mut known, &third, &[10, 1, 2]).unwrap();
    assert_eq!(known.committed().unwrap().0, third.hash());
    // What was counted over an older ancestor holds where a newer one is known to be committed.
    let proof = with_both.proof(&third.hash()).unwrap();
    assert_eq!(known.check_proof(proof), Ok(()));
}

#[test]
fn a_forced_record_needs_the_owners_of_n_2f_shards() {
    let first = record();
    let forced = EpochRecord { forced: true, ..replaced(&first, 1, &[0, 1]) };
    let mut known = tree(&[&first, &forced]);
    commit(&mut known, &first, &[0, 1, 2, 3]).unwrap();
    let source = ProofError::TooFew { over: EpochNumber(0), have: 1, need: 2 };
    let few = Err(ChainError::Proof { number: EpochNumber(1), source });
    assert_eq!(commit(&mut known, &forced, &[10, 11, 3]), few);
    commit(&mut known, &forced, &[2, 3]).unwrap();
}

#[test]
fn a_tree_knows_paths_tips_and_former_owners() {
    let first = record();
    let mut second = child(&first, 1);
    // Shard 0 goes from node 0 to node 1, then to node 2.
    let shard = second.members[0].shards.remove(0);
    second.members[1].shards.insert(0, shard);
    second.unfilled = vec![shard];
    let mut third = child(&second, 2);
    third.members[1].shards.remove(0);
    third.members[2].shards.insert(0, shard);
    let mut fourth = child(&third, 5);
    fourth.unfilled = vec![];
    let side = child(&first, 4);
    let known = tree(&[&first, &second, &third, &fourth, &side]);
    assert_eq!(known.path(&third.hash()).len(), 3);
    assert!(known.is_ancestor(&first.hash(), &fourth.hash()));
    assert!(!known.is_ancestor(&side.hash(), &fourth.hash()));
    assert!(!known.is_ancestor(&fourth.hash(), &third.hash()));
    let mut tips = vec![fourth.hash(), side.hash()];
    tips.sort();
    assert_eq!((known.tips(), known.highest()), (tips, Some(EpochNumber(5))));
    let owners = |tip: &EpochRecord| -> Vec<String> {
        let owners = known.previous_owners(&tip.hash(), shard);
        owners.into_iter().map(|owner| owner.node.to_string()).collect()
    };
    assert_eq!(owners(&first), Vec::<String>::new());
    assert_eq!(owners(&second), ["node-0"]);
    assert_eq!(owners(&third), ["node-1", "node-0"]);
    assert_eq!(owners(&fourth), Vec::<String>::new());
}

#[test]
fn a_replaced_volume_is_no_former_owner() {
    let first = record();
    let second = replaced(&first, 1, &[2]);
    let known = tree(&[&first, &second]);
    assert_eq!(known.previous_owners(&second.hash(), ShardIndex(2)), []);
}

#[test]
fn whole_is_the_word_of_the_shards_owner_under_the_record_it_names() {
    let record = record();
    let owner = |at: u32| (format!("node-{at}").parse().unwrap(), Incarnation(at));
    let whole = Whole::sign(&record, ShardIndex(2), owner(2), &node_key(2));
    assert_eq!(whole.verify(&record), Ok(()));
    let other = child(&record, 1);
    assert!(matches!(whole.verify(&other), Err(WholeError::OtherRecord { .. })));
    let foreign = Whole::sign(&record, ShardIndex(2), owner(1), &node_key(1));
    assert!(matches!(foreign.verify(&record), Err(WholeError::NotOwner { .. })));
    let later = Whole { incarnation: Incarnation(3), ..whole.clone() };
    assert!(matches!(later.verify(&record), Err(WholeError::NotOwner { .. })));
    let forged = Whole::sign(&record, ShardIndex(2), owner(2), &node_key(3));
    assert_eq!(forged.verify(&record), Err(WholeError::Signature(KeyError::Mismatch)));
}
