//! The traces that the model found in earlier wordings, step by step on the real decisions: n = 4,
//! f = 1, nodes a to d, one shard each; a.1 is node a's volume after the first one.

use floe_model::BlobId;

use super::*;
use crate::custody::{AcknowledgeFacts, Acknowledgement, Refusal, Standing, acknowledge};
use crate::tests::fixture::{NOW, certificate, claim};

/// What one volume has stored.
#[derive(Clone)]
struct Volume {
    me: Identity,
    tree: EpochTree,
    accepted: Option<RecordHash>,
}

impl Volume {
    fn new(name: &str, incarnation: u32) -> Self {
        let member = member(name, incarnation, &[]);
        let (incarnation, volume, key) = (member.incarnation, member.volume, member.key);
        let me = Identity { incarnation, volume, key, ..identity(name) };
        Self { me, tree: EpochTree::default(), accepted: None }
    }

    /// Takes a chain that begins where it must.
    fn takes(&mut self, from: &EpochTree, tip: &EpochRecord) -> Result<Accept, Violation> {
        let link = |signed: &Arc<SignedRecord>| Link {
            record: signed.as_ref().clone(),
            proof: from.proof(&signed.record.hash()).map(|proof| proof.as_ref().clone()),
        };
        let chain = from.path(&tip.hash()).into_iter().map(link).collect();
        let taken = take(&self.tree, &self.me, self.accepted.as_ref(), chain)?;
        for record in taken.records {
            self.tree.insert(record);
        }
        for proof in taken.proofs {
            self.tree.insert_proof(proof);
        }
        if taken.verdict == Ok(Accept::New) {
            self.accepted = Some(taken.tip);
        }
        taken.verdict
    }

    fn signs(&self) -> (&str, u32) {
        (self.me.node.as_str(), self.me.incarnation.0)
    }
}

/// a to d with record 0 committed everywhere.
fn started(first: &EpochRecord) -> [Volume; 4] {
    let known = tree(&[first]);
    ["a", "b", "c", "d"].map(|name| {
        let mut volume = Volume::new(name, 0);
        assert_eq!(volume.takes(&known, first), Ok(Accept::New));
        volume
    })
}

/// A child that differs from others of its parent.
fn marked(parent: &EpochRecord, mark: u64) -> EpochRecord {
    let mut next = child(parent);
    next.policy.undelete_window_millis = mark;
    next
}

/// The records as they were issued: all that a log and a thief know.
fn issue(tree: &mut EpochTree, record: &EpochRecord) {
    let signed = signed(record.clone());
    assert_eq!(check(tree, &signed, None), Ok(()));
    tree.insert(Arc::new(signed));
}

fn numbered(record: EpochRecord, number: u64) -> EpochRecord {
    EpochRecord { number: EpochNumber(number), ..record }
}

#[test]
fn v1_two_children_of_one_record_never_both_commit() {
    let first = four();
    let (r1, r2) = (marked(&first, 1), numbered(marked(&first, 2), 2));
    let mut known = tree(&[&first, &r1, &r2]);
    let mut nodes = started(&first);
    for volume in &mut nodes[..3] {
        assert_eq!(volume.takes(&known, &r1), Ok(Accept::New));
    }
    commit(&mut known, &r1, &["a", "b", "c"]);
    // A higher number, a known parent, n-f of record 0: and yet nobody leaves what it accepted.
    let (accepted, hash, offered) = (EpochNumber(1), r1.hash(), EpochNumber(2));
    for volume in &mut nodes[..3] {
        let leaves = Violation::Leaves { accepted, hash, offered };
        assert_eq!(volume.takes(&known, &r2), Err(leaves));
    }
    // The one that lagged may accept it, and leaves it for what is proven.
    assert_eq!(nodes[3].takes(&known, &r2), Ok(Accept::New));
    assert!(proof(&known, &r2, &[nodes[3].signs()]).is_none());
    let r3 = numbered(marked(&r1, 3), 3);
    issue(&mut known, &r3);
    assert_eq!(nodes[3].takes(&known, &r3), Ok(Accept::New));
    // The longer way to the same: r2 on a dead sibling of r1 does not help either.
    let sibling = marked(&first, 4);
    let above = marked(&sibling, 5);
    issue(&mut known, &sibling);
    issue(&mut known, &above);
    let refused = nodes[0].takes(&known, &above);
    assert!(matches!(refused, Err(Violation::Leaves { .. })), "{refused:?}");
}

#[test]
fn v2_what_is_committed_does_not_depend_on_whose_proofs_are_known() {
    // r1 replaces b; r2 and r3 both follow it.
    let first = four();
    let r1 = replacing(&first, "b");
    let (r2, r3) = (marked(&r1, 2), numbered(marked(&r1, 3), 3));
    let mut knows_r1 = tree(&[&first, &r1, &r2, &r3]);
    let without = knows_r1.clone();
    commit(&mut knows_r1, &r1, &["a", "c", "d"]);
    // d lies and signs both. By r1's owners for r2, by record 0's for r3:
    let (for_r2, for_r3) = ([("a", 0), ("b", 1), ("d", 0)], [("b", 0), ("c", 0), ("d", 0)]);
    assert!(proof(&knows_r1, &r2, &for_r2).is_some());
    assert!(proof(&without, &r3, &for_r3).is_none(), "it is counted over r1 as well");
    assert!(proof(&knows_r1, &r3, &for_r3).is_none());
    // A verifier without r1's proof waits; it never calls the other one committed.
    assert!(proof(&without, &r2, &for_r2).is_none());
}

#[test]
fn v3_what_is_unfilled_is_reckoned_over_the_parent() {
    let first = four();
    let r1 = replacing(&first, "a");
    let known = tree(&[&first, &r1]);
    // A steward plans on r1, but relative to record 0: the old volume again, nothing unfilled.
    let mut r3 = child(&r1);
    r3.members[0] = first.members[0].clone();
    r3.unfilled.clear();
    let falls = Violation::Falling { node: node("a"), had: Incarnation(1), found: Incarnation(0) };
    assert_eq!(check(&known, &signed(r3), None), Err(falls));
    // Another loss while a is not whole.
    let r2 = replacing(&r1, "d");
    let too_many = Violation::TooManyUnfilled { unfilled: 2, faulty: 1 };
    assert_eq!(check(&known, &signed(r2.clone()), None), Err(too_many));
    let mut hidden = r2;
    hidden.unfilled = vec![ShardIndex(3)];
    let wanted = vec![ShardIndex(0), ShardIndex(3)];
    let wrong = Violation::Miscounted { found: hidden.unfilled.clone(), wanted };
    assert_eq!(check(&known, &signed(hidden), None), Err(wrong));
    // With a's word it passes.
    let mut both = replacing(&r1, "d");
    both.wholes = vec![whole(&r1, 0)];
    both.unfilled = vec![ShardIndex(3)];
    assert_eq!(check(&known, &signed(both), None), Ok(()));
}

#[test]
fn v4_an_old_owners_confirmation_ends_with_its_volume() {
    let first = four();
    let r1 = replacing(&first, "a");
    let claim = claim(1, 10, NOW);
    assert_eq!(claim.blob, BlobId([10; 32]));
    // Confirmed under record 0 by the volume of a that is replaced meanwhile.
    let made = certificate(&first, &claim, &["a", "b", "c"]);
    let facts = |accepted| AcknowledgeFacts {
        standing: Standing { cursors_checked: true, caught_up: true },
        accepted,
        under: &first,
        claim: &claim,
        certificate: &made,
        stored: true,
        release: None,
        closed: false,
        missing_slivers: 0,
    };
    assert_eq!(acknowledge(&facts(&first)), Acknowledgement::Acknowledged);
    let need = Refusal::NeedEpoch { accepted: EpochNumber(1), named: first.hash() };
    assert_eq!(acknowledge(&facts(&r1)), Acknowledgement::Refused(need));
    // Of owners that are still named, it counts.
    let lasting = certificate(&first, &claim, &["b", "c", "d"]);
    let facts = AcknowledgeFacts { certificate: &lasting, ..facts(&r1) };
    assert_eq!(acknowledge(&facts), Acknowledgement::Acknowledged);
}

#[test]
fn v5_a_node_that_accepted_the_new_volume_promises_nothing_to_the_old_one() {
    // The catalogs that a.1 reads before it is whole are of nodes that accepted r1: from then on none
    // of them acknowledges what only the old volume confirmed, whether r1 is committed or not.
    let first = four();
    let r1 = replacing(&first, "a");
    let known = tree(&[&first, &r1]);
    let mut nodes = started(&first);
    for volume in &mut nodes[1..] {
        assert_eq!(volume.takes(&known, &r1), Ok(Accept::New));
        assert!(!volume.tree.is_committed(&r1.hash()));
    }
    // The old volume does not follow: it says nothing under r1.
    let replaced = nodes[0].takes(&known, &r1);
    assert!(matches!(replaced, Err(Violation::OtherVolume { what: "incarnation", .. })));
    assert_eq!(nodes[0].accepted, Some(first.hash()));
    // And nobody goes back to the record under which the old volume counts.
    for volume in &mut nodes[1..] {
        assert_eq!(volume.takes(&known, &first), Ok(Accept::Already));
        assert_eq!(volume.accepted, Some(r1.hash()));
    }
    // The word itself, given under r1, is carried once; one of before r1 is not.
    let mut known = known;
    commit(&mut known, &r1, &["b", "c", "d"]);
    let filled = filling(&r1, vec![whole(&r1, 0)]);
    assert_eq!(check(&known, &signed(filled), None), Ok(()));
}

#[test]
fn v6_a_log_that_was_put_back_stops_nobody() {
    let first = four();
    let lost = marked(&first, 1);
    let again = marked(&first, 2);
    let mut known = tree(&[&first, &lost, &again]);
    let mut nodes = started(&first);
    // a accepts r1, which the log forgets; the next record gets the same number.
    assert_eq!(nodes[0].takes(&known, &lost), Ok(Accept::New));
    let not_above = Violation::NotAbove { accepted: EpochNumber(1), offered: EpochNumber(1) };
    assert_eq!(nodes[0].takes(&known, &again), Err(not_above));
    for volume in &mut nodes[1..] {
        assert_eq!(volume.takes(&known, &again), Ok(Accept::New));
    }
    commit(&mut known, &again, &["b", "c", "d"]);
    // Even far above: a leaves its dead branch for the first record above it with a proof on its way.
    let dead = numbered(marked(&lost, 3), 7);
    issue(&mut known, &dead);
    assert_eq!(nodes[0].takes(&known, &dead), Ok(Accept::New));
    let next = numbered(marked(&again, 4), 8);
    issue(&mut known, &next);
    for volume in &mut nodes {
        assert_eq!(volume.takes(&known, &next), Ok(Accept::New));
    }
    commit(&mut known, &next, &["a", "b", "c"]);
}

#[test]
fn v7_a_record_that_few_accepted_is_passed_over() {
    let first = four();
    let (refused, made) = (marked(&first, 2), numbered(marked(&first, 1), 2));
    let mut known = tree(&[&first, &refused, &made]);
    let mut nodes = started(&first);
    // a has it, its answer was lost; the steward builds on record 0, with a number of its own.
    assert_eq!(nodes[0].takes(&known, &refused), Ok(Accept::New));
    for volume in &mut nodes[1..] {
        assert_eq!(volume.takes(&known, &made), Ok(Accept::New));
    }
    commit(&mut known, &made, &["b", "c", "d"]);
    // With the proof a follows at once, without a higher record.
    assert_eq!(nodes[0].takes(&known, &made), Ok(Accept::New));
    // And the other one, late, moves nobody.
    for volume in &mut nodes {
        let late = volume.takes(&known, &refused);
        assert!(matches!(late, Err(Violation::NotAbove { .. })), "{late:?}");
    }
}

#[test]
fn v8_record_0_cannot_be_superseded_before_it_is_committed() {
    let first = four();
    let r1 = marked(&first, 1);
    let full = tree(&[&first, &r1]);
    let mut unproved = EpochTree::default();
    issue(&mut unproved, &first);
    issue(&mut unproved, &r1);
    let mut a = Volume::new("a", 0);
    assert_eq!(a.takes(&unproved, &first), Ok(Accept::New));
    assert_eq!(a.takes(&unproved, &r1), Err(Violation::GenesisUncommitted));
    assert_eq!(a.accepted, Some(first.hash()), "it still counts for record 0");
    assert_eq!(a.takes(&full, &r1), Ok(Accept::New));
    // Another record 0 is never taken once one is known.
    let mut other = four();
    other.policy.undelete_window_millis += 1;
    let (found, known) = (other.hash(), first.hash());
    let genesis = Violation::Chain(ChainError::OtherGenesis { found, known });
    assert_eq!(a.takes(&tree(&[&other]), &other), Err(genesis));
}

#[test]
fn v9_invented_records_and_omitted_wholes() {
    let first = four();
    let known = tree(&[&first]);
    let mut a = started(&first)[0].clone();
    // (a) A head that a liar invented names its own keys: nobody signed that.
    let liar = RegistrarKey::from_seed(&[66; 32]);
    let mut record = replacing(&first, "b");
    record.registrars[0].key = liar.public();
    let signature = liar.sign(&SignedRecord::statement(&record));
    let invented = Link {
        record: SignedRecord { record: record.clone(), key: liar.public(), signature },
        proof: None,
    };
    let taken = take(&a.tree, &a.me, a.accepted.as_ref(), vec![invented]);
    let number = EpochNumber(1);
    assert_eq!(taken, Err(ChainError::Signer { number }.into()));
    // An unknown parent is asked for, not believed.
    let orphan = child(&record);
    let taken = take(&a.tree, &a.me, a.accepted.as_ref(), vec![link(&orphan, None)]);
    let unknown = ChainError::UnknownParent { number: EpochNumber(2), parent: record.hash() };
    assert_eq!(taken, Err(unknown.into()));
    // (b) A stolen key just omits the shard that is not filled; or burns all numbers; or gives
    // everything to one host.
    let r1 = replacing(&first, "b");
    let mut known = known;
    issue(&mut known, &r1);
    assert_eq!(a.takes(&known, &r1), Ok(Accept::New));
    let rows: [Change; 3] = [
        |it| it.unfilled.clear(),
        |it| it.number = EpochNumber(u64::MAX),
        |it| it.members.iter_mut().for_each(|member| member.host = "one".to_owned()),
    ];
    for change in rows {
        let mut record = child(&r1);
        change(&mut record);
        let taken = take(&a.tree, &a.me, a.accepted.as_ref(), vec![link(&record, None)]);
        assert!(taken.is_err(), "{record:?}");
    }
}
