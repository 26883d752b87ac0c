//! The traces that the model found in earlier wordings, step by step on the real decisions:
//! n = 4, f = 1, nodes a to d.

use floe_model::{Claim, Threshold};

use super::*;
use crate::expiry::{Expiry, ExpiryFacts, expired};

/// What one node remembers, as far as the traces need it.
#[derive(Debug, Clone, Default)]
struct Memory {
    new_incarnation: bool,
    bound: BTreeSet<BlobId>,
    release: Option<Release>,
    stored: bool,
    closed: bool,
    missing_slivers: u64,
}

impl Memory {
    fn confirms(&mut self, claim: &Claim, record: &EpochRecord) -> Result<Confirm, Refusal> {
        let standing = Standing { cursors_checked: true, caught_up: !self.new_incarnation };
        let release = self.release.as_ref().filter(|release| release.covers(claim));
        let facts = ConfirmFacts {
            standing,
            bound: self.bound.clone(),
            release,
            closed: self.closed,
            missing_slivers: self.missing_slivers,
            ..confirming(claim, record)
        };
        let confirmed = confirm(&facts)?;
        if let Confirm::Sign { .. } = confirmed {
            self.bound.insert(claim.blob);
        }
        Ok(confirmed)
    }

    fn acknowledges(
        &self,
        claim: &Claim,
        record: &EpochRecord,
        certificate: &floe_model::Certificate,
    ) -> Acknowledgement {
        acknowledge(&AcknowledgeFacts {
            standing: SOUND,
            accepted: record,
            under: record,
            claim,
            certificate,
            stored: self.stored,
            release: self.release.as_ref().filter(|release| release.covers(claim)),
            closed: self.closed,
            missing_slivers: self.missing_slivers,
        })
    }
}

fn worth_a_quorum(record: &EpochRecord, names: &[&str]) -> bool {
    let names: Vec<NodeName> = names.iter().map(|name| node(name)).collect();
    record.reaches(Threshold::Correct, &names)
}

#[test]
fn v1_acknowledged_only_by_nodes_that_hold_the_pairs_bit_or_no_bit() {
    let record = four();
    let claim = claim(1, 10, NOW);
    let (mut a, mut b) = (Memory::default(), Memory::default());
    assert_eq!(a.confirms(&claim, &record), Ok(Confirm::Sign { bind: true }));
    assert_eq!(b.confirms(&claim, &record), Ok(Confirm::Sign { bind: true }));
    // d lies, the gateway sleeps; a's pairs expire, just after the day.
    let certificate = certificate(&record, &claim, &["a", "b", "d"]);
    let waiting = ExpiryFacts { confirmed: Some(NOW), ..ExpiryFacts::default() };
    assert_eq!(expired(Timestamp(NOW.0 + DAY + 1), &waiting), Expiry::Expired);
    a.missing_slivers = owed_slivers(&record, &node("a"), claim.length);
    // c has no bit, and no pairs.
    let mut c = Memory {
        missing_slivers: owed_slivers(&record, &node("c"), claim.length),
        ..Memory::default()
    };
    for memory in [&mut a, &mut b, &mut c] {
        memory.stored = true;
    }
    let incomplete = Acknowledgement::Incomplete { missing_slivers: 2 };
    assert_eq!(b.acknowledges(&claim, &record, &certificate), Acknowledgement::Acknowledged);
    assert_eq!(a.acknowledges(&claim, &record, &certificate), incomplete);
    assert_eq!(c.acknowledges(&claim, &record, &certificate), incomplete);
    assert!(!worth_a_quorum(&record, &["b", "d"]), "b and the liar are no quorum");
    // No bit is no hindrance to one that holds the pairs.
    c.missing_slivers = 0;
    assert_eq!(c.acknowledges(&claim, &record, &certificate), Acknowledgement::Acknowledged);
}

#[test]
fn v2_a_release_without_its_claim_covers_the_name() {
    let record = four();
    let first = claim(1, 10, ago(2 * HOUR));
    let second = claim(2, 11, ago(HOUR));
    let release = release_of(&second, NOW);
    // c stored the release and never had any claim: it is found by name, and covers older ones too.
    let mut c = Memory { release: Some(release.clone()), stored: true, ..Memory::default() };
    for claim in [&first, &second] {
        let refusal = Refusal::ClaimReleased { claim: claim.claim, release: ClaimId([2; 16]) };
        assert_eq!(c.confirms(claim, &record), Err(refusal.clone()));
        let certificate = certificate(&record, claim, &["a", "b", "d"]);
        let answer = c.acknowledges(claim, &record, &certificate);
        assert_eq!(answer, Acknowledgement::Refused(refusal));
    }
    // A later Blob of the same name, and another name, are not covered.
    let later = claim(3, 12, NOW);
    assert_eq!(c.confirms(&later, &record), Ok(Confirm::Sign { bind: true }));
    let mut other_name = claim(4, 13, ago(2 * HOUR));
    other_name.name = "vocabulary".parse().unwrap();
    assert!(!release.covers(&other_name));
}

#[test]
fn v3_a_claim_that_nobody_can_certify() {
    let record = four();
    let (x, y) = (claim(1, 10, NOW), claim(1, 11, NOW));
    assert_eq!(x.created, y.created, "a tie, but for the certificate");
    let mut honest = [Memory::default(), Memory::default(), Memory::default()];
    for memory in &mut honest {
        assert_eq!(memory.confirms(&x, &record), Ok(Confirm::Sign { bind: true }));
    }
    for memory in &mut honest {
        let refusal = Refusal::ClaimBound { claim: y.claim, bound: x.blob, wanted: y.blob };
        assert_eq!(memory.confirms(&y, &record), Err(refusal));
    }
    // The liar alone cannot certify Y, and a signed claim without certificate is stored by nobody:
    // there is no decision that takes one. What is certified for X is refused for Y.
    assert!(!worth_a_quorum(&record, &["d"]));
    let for_x = certificate(&record, &x, &["a", "b", "c"]);
    assert!(for_x.verify(&record, &x).is_ok());
    assert!(for_x.verify(&record, &y).is_err());
}

#[test]
fn v4_bindings_outlive_the_volumes_that_made_them() {
    let record = four();
    let (x, y) = (claim(1, 10, NOW), claim(1, 11, NOW));
    let mut old: Vec<Memory> = vec![Memory::default(); 3];
    for memory in &mut old {
        assert_eq!(memory.confirms(&x, &record), Ok(Confirm::Sign { bind: true }));
    }
    // a is wiped: nothing is confirmed before the others' bindings are read, and a does not count.
    let after_a = replaced(&record, "a");
    let me = node("a");
    let mut a = Memory { new_incarnation: true, ..Memory::default() };
    let refusal = Err(Refusal::BindingsUnread);
    assert_eq!(a.confirms(&y, &after_a), refusal);
    for (names, enough) in [(&["a", "b", "d"][..], false), (&["b", "c", "d"], true)] {
        let read: BTreeSet<NodeName> = names.iter().map(|name| node(name)).collect();
        let facts =
            CatchUp { me: &me, incarnation: Incarnation(1), since_genesis: false, read: &read };
        assert_eq!(caught_up(&[&four(), &after_a], &facts), enough);
    }
    a = Memory { bound: old[1].bound.clone(), ..Memory::default() };
    // Then b is wiped and reads a', c, d: the binding is still there.
    let after_b = replaced(&after_a, "b");
    let mut b = Memory { bound: a.bound.clone(), ..Memory::default() };
    let bound = Err(Refusal::ClaimBound { claim: y.claim, bound: x.blob, wanted: y.blob });
    assert_eq!(a.confirms(&y, &after_a), bound);
    assert_eq!(b.confirms(&y, &after_b), bound);
    // One that finds two confirms neither.
    b.bound.insert(y.blob);
    for claim in [&x, &y] {
        let answer = b.confirms(claim, &after_b);
        assert!(matches!(answer, Err(Refusal::ClaimConflicted { .. })), "{answer:?}");
    }
}

#[test]
fn v7_old_copies_and_dead_incarnations_do_not_count() {
    let record = four();
    let claim = claim(1, 10, NOW);
    // a acknowledged entry 41 and was put back to an older copy: b read further than a's head.
    let head = FeedPosition { volume: VolumeId([1; 16]), sequence: 40 };
    let read = FeedPosition { sequence: 41, ..head };
    let answers = [
        CursorAnswer { node: node("c"), cursor: Some(head) },
        CursorAnswer { node: node("d"), cursor: None },
        CursorAnswer { node: node("b"), cursor: Some(read) },
    ];
    assert_eq!(
        check_cursors(&record, &node("a"), head, &answers),
        CursorCheck::OldCopy { node: node("b"), cursor: read },
    );
    let made = certificate(&record, &claim, &["a", "b", "c"]);
    let facts = AcknowledgeFacts {
        standing: UNREAD,
        accepted: &record,
        under: &record,
        claim: &claim,
        certificate: &made,
        stored: true,
        release: None,
        closed: false,
        missing_slivers: 0,
    };
    let unread = Acknowledgement::Refused(Refusal::CursorsUnread);
    assert_eq!(acknowledge(&facts), unread);
    // a is replaced: the confirmation of the dead incarnation proves nothing any more.
    let next = replaced(&record, "a");
    let facts = AcknowledgeFacts { standing: SOUND, accepted: &next, ..facts };
    let need = Refusal::NeedEpoch { accepted: EpochNumber(1), named: record.hash() };
    assert_eq!(acknowledge(&facts), Acknowledgement::Refused(need));
    // Once a' has confirmed too, the certificate of the newest record counts.
    let renewed = certificate(&next, &claim, &["a", "b", "c"]);
    let facts = AcknowledgeFacts { under: &next, certificate: &renewed, ..facts };
    assert_eq!(acknowledge(&facts), Acknowledgement::Acknowledged);
}

#[test]
fn v12_who_releases_on_absence_closes_first() {
    let record = four();
    let claim = claim(1, 10, NOW);
    // a, b, c hold the pairs; the operator closes before the gateway's certificate arrives.
    let made = certificate(&record, &claim, &["a", "b", "c"]);
    let facts = CloseFacts {
        standing: SOUND,
        claim: claim.claim,
        certified: false,
        closed: false,
        void: false,
    };
    let mut nodes = vec![Memory { stored: true, ..Memory::default() }; 3];
    for memory in &mut nodes {
        assert_eq!(close(&facts), Ok(Close::Mark));
        memory.closed = true;
    }
    let refused = Acknowledgement::Refused(Refusal::ClaimClosed { claim: claim.claim });
    for memory in &nodes {
        assert_eq!(memory.acknowledges(&claim, &record, &made), refused);
    }
    // The other way round: one of any n-f has the certificate, hands it out, and nothing is released.
    let answered = close(&CloseFacts { certified: true, ..facts });
    assert_eq!(answered, Ok(Close::Certified));
    // Then the closing is void. One liar cannot say so; the voided claim can be acknowledged, and is
    // never promised closed again.
    assert!(!vouched(&record, &[node("d")]));
    assert!(vouched(&record, &[node("b"), node("c")]));
    nodes[0].closed = false;
    let answer = nodes[0].acknowledges(&claim, &record, &made);
    assert_eq!(answer, Acknowledgement::Acknowledged);
    let again = close(&CloseFacts { closed: true, void: true, ..facts });
    assert_eq!(again, Err(Refusal::ClosingVoid { claim: claim.claim }));
}
