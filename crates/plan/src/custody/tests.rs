//! Tables of each decision; the traces of the model stand in `tests/traces.rs` and
//! `tests/late_traces.rs`.

mod ageing;
mod late_traces;
mod traces;

use floe_model::{FeedPosition, Incarnation, Member, VolumeId};
use proptest::prelude::*;

use super::*;
use crate::tests::fixture::{
    DAY, HOUR, NOW, certificate, claim, four, member, node, release_of, replaced,
};

const SOUND: Standing = Standing { cursors_checked: true, caught_up: true };
const UNREAD: Standing = Standing { cursors_checked: false, caught_up: true };
const NEW: Standing = Standing { cursors_checked: true, caught_up: false };

fn ago(millis: u64) -> Timestamp {
    Timestamp(NOW.0 - millis)
}

fn served(record: &EpochRecord) -> ServedRecord {
    ServedRecord { accepted: record.number, hash: record.hash(), committed: true, superseded: None }
}

fn confirming<'a>(claim: &'a floe_model::Claim, record: &EpochRecord) -> ConfirmFacts<'a> {
    ConfirmFacts {
        now: NOW,
        standing: SOUND,
        served: served(record),
        claim,
        named: record.hash(),
        bound: BTreeSet::new(),
        release: None,
        closed: false,
        missing_slivers: 0,
    }
}

fn blobs(bytes: &[u8]) -> BTreeSet<BlobId> {
    bytes.iter().map(|&byte| BlobId([byte; 32])).collect()
}

#[test]
fn what_is_confirmed() {
    let record = four();
    let claim = claim(1, 10, NOW);
    let id = claim.claim;
    let base = confirming(&claim, &record);
    let release = release_of(&claim, NOW);
    let other = RecordHash([9; 32]);
    let sign = |bind| Ok(Confirm::Sign { bind });
    let need = Refusal::NeedEpoch { accepted: EpochNumber(0), named: other };
    let bound = Refusal::ClaimBound { claim: id, bound: BlobId([11; 32]), wanted: claim.blob };
    let conflict = |of: &[u8]| Refusal::ClaimConflicted { claim: id, blobs: blobs(of) };
    let uncommitted = ServedRecord { committed: false, ..base.served };
    let superseded = |millis| ServedRecord {
        accepted: EpochNumber(1),
        superseded: Some(ago(millis)),
        ..base.served
    };
    let with = |bound: &[u8]| ConfirmFacts { bound: blobs(bound), ..base.clone() };
    let rows = [
        (base.clone(), sign(true)),
        (with(&[10]), sign(false)),
        (with(&[11]), Err(bound)),
        (with(&[10, 11]), Err(conflict(&[10, 11]))),
        (with(&[11, 12]), Err(conflict(&[11, 12]))),
        (
            ConfirmFacts { missing_slivers: 3, ..base.clone() },
            Ok(Confirm::Heal { missing_slivers: 3 }),
        ),
        (ConfirmFacts { standing: UNREAD, ..base.clone() }, Err(Refusal::CursorsUnread)),
        (ConfirmFacts { standing: NEW, ..base.clone() }, Err(Refusal::BindingsUnread)),
        (ConfirmFacts { named: other, ..base.clone() }, Err(need)),
        (
            ConfirmFacts { served: uncommitted, ..base.clone() },
            Err(Refusal::Uncommitted { accepted: EpochNumber(0) }),
        ),
        // Under an older record, for a day after a newer one is known to be committed.
        (ConfirmFacts { served: superseded(DAY), ..base.clone() }, sign(true)),
        (
            ConfirmFacts { served: superseded(DAY + 1), ..base.clone() },
            Err(Refusal::NeedEpoch { accepted: EpochNumber(1), named: record.hash() }),
        ),
        (
            ConfirmFacts { release: Some(&release), ..base.clone() },
            Err(Refusal::ClaimReleased { claim: id, release: id }),
        ),
        (ConfirmFacts { closed: true, ..base.clone() }, Err(Refusal::ClaimClosed { claim: id })),
        // What is refused is refused before anything is healed for it.
        (
            ConfirmFacts { closed: true, missing_slivers: 3, ..base.clone() },
            Err(Refusal::ClaimClosed { claim: id }),
        ),
    ];
    for (facts, wanted) in rows {
        assert_eq!(confirm(&facts), wanted, "{facts:?}");
    }
}

#[test]
fn a_claim_is_confirmed_for_a_day_after_its_signing() {
    let record = four();
    for (signed, fresh) in [
        (ago(DAY), true),
        (ago(DAY + 1), false),
        (Timestamp(0), false),
        (Timestamp(NOW.0 + DAY), true),
        (Timestamp(NOW.0 + DAY + 1), false),
    ] {
        // The Blob may be as old as it likes (V9): only the signing counts.
        let mut claim = claim(1, 10, ago(31 * DAY));
        claim.signed = signed;
        let stale = Refusal::Stale { kind: "claim", signed, now: NOW, limit_millis: DAY };
        let wanted = if fresh { Ok(Confirm::Sign { bind: true }) } else { Err(stale) };
        assert_eq!(confirm(&confirming(&claim, &record)), wanted);
    }
}

#[test]
fn what_is_opened() {
    let record = four();
    let claim = claim(1, 10, NOW);
    let permit = floe_model::Permit {
        upload: UploadId([3; 16]),
        claim: claim.claim,
        namespace_uid: claim.namespace_uid,
        name: claim.name.clone(),
        signed: ago(HOUR),
    };
    let old = floe_model::Permit { signed: ago(DAY + 1), ..permit.clone() };
    let other = floe_model::Permit { claim: ClaimId([2; 16]), ..permit.clone() };
    let release = release_of(&claim, NOW);
    let base = OpenFacts {
        now: NOW,
        served: served(&record),
        permit: &permit,
        named: record.hash(),
        opened: None,
        release: None,
        closed: false,
    };
    let id = claim.claim;
    let named = RecordHash([9; 32]);
    let uncommitted = ServedRecord { committed: false, ..base.served };
    let superseded = |millis| ServedRecord {
        accepted: EpochNumber(1),
        superseded: Some(ago(millis)),
        ..base.served
    };
    let stale = Refusal::Stale { kind: "permit", signed: old.signed, now: NOW, limit_millis: DAY };
    let rows = [
        (base.clone(), Ok(Open::New)),
        (OpenFacts { opened: Some(&permit), ..base.clone() }, Ok(Open::Already)),
        (
            OpenFacts { opened: Some(&other), ..base.clone() },
            Err(Refusal::UploadTaken { upload: permit.upload }),
        ),
        (OpenFacts { permit: &old, ..base.clone() }, Err(stale)),
        (
            OpenFacts { named, ..base.clone() },
            Err(Refusal::NeedEpoch { accepted: EpochNumber(0), named }),
        ),
        (
            OpenFacts { served: uncommitted, ..base.clone() },
            Err(Refusal::Uncommitted { accepted: EpochNumber(0) }),
        ),
        // Under an older record: what began before its successor was known to be committed goes on.
        (OpenFacts { served: superseded(HOUR), ..base.clone() }, Ok(Open::New)),
        (
            OpenFacts { served: superseded(HOUR + 1), ..base.clone() },
            Err(Refusal::NeedEpoch { accepted: EpochNumber(1), named: record.hash() }),
        ),
        (
            OpenFacts { served: superseded(HOUR + 1), opened: Some(&permit), ..base.clone() },
            Ok(Open::Already),
        ),
        (
            OpenFacts { served: superseded(DAY + 1), opened: Some(&permit), ..base.clone() },
            Err(Refusal::NeedEpoch { accepted: EpochNumber(1), named: record.hash() }),
        ),
        (
            OpenFacts { release: Some(&release), ..base.clone() },
            Err(Refusal::ClaimReleased { claim: id, release: id }),
        ),
        (OpenFacts { closed: true, ..base.clone() }, Err(Refusal::ClaimClosed { claim: id })),
    ];
    for (facts, wanted) in rows {
        assert_eq!(open(&facts), wanted, "{facts:?}");
    }
}

#[test]
fn what_is_acknowledged() {
    use Acknowledgement::{Acknowledged, Incomplete, Refused};
    let record = four();
    let claim = claim(1, 10, NOW);
    let id = claim.claim;
    let release = release_of(&claim, NOW);
    let certificate = certificate(&record, &claim, &["a", "b", "c"]);
    let base = AcknowledgeFacts {
        standing: SOUND,
        accepted: &record,
        under: &record,
        claim: &claim,
        certificate: &certificate,
        stored: true,
        release: None,
        closed: false,
        missing_slivers: 0,
    };
    let rows = [
        (base.clone(), Acknowledged),
        // A new incarnation may acknowledge what it holds before it knows all bindings.
        (AcknowledgeFacts { standing: NEW, ..base.clone() }, Acknowledged),
        (
            AcknowledgeFacts { missing_slivers: 2, ..base.clone() },
            Incomplete { missing_slivers: 2 },
        ),
        (AcknowledgeFacts { standing: UNREAD, ..base.clone() }, Refused(Refusal::CursorsUnread)),
        (
            AcknowledgeFacts { stored: false, ..base.clone() },
            Refused(Refusal::NotStored { claim: id }),
        ),
        (
            AcknowledgeFacts { closed: true, ..base.clone() },
            Refused(Refusal::ClaimClosed { claim: id }),
        ),
        (
            AcknowledgeFacts { release: Some(&release), ..base.clone() },
            Refused(Refusal::ClaimReleased { claim: id, release: id }),
        ),
        (
            AcknowledgeFacts { closed: true, missing_slivers: 2, ..base.clone() },
            Refused(Refusal::ClaimClosed { claim: id }),
        ),
    ];
    for (facts, wanted) in rows {
        assert_eq!(acknowledge(&facts), wanted, "{facts:?}");
    }
}

#[test]
fn a_certificate_of_an_older_record_counts_by_the_owners_of_today() {
    let old = four();
    let claim = claim(1, 10, NOW);
    let all = certificate(&old, &claim, &["a", "b", "c", "d"]);
    let without_d = certificate(&old, &claim, &["a", "b", "c"]);
    let a_lost = replaced(&old, "a");
    let two_lost = replaced(&a_lost, "b");
    let renumbered = EpochRecord { number: EpochNumber(5), ..old.clone() };
    let mut moved = old.clone();
    let shard = moved.members[2].shards.pop().unwrap();
    moved.members[3].shards.insert(0, shard);
    for (newer, certificate, counts) in [
        (&old, &without_d, true),
        (&renumbered, &without_d, true),
        (&a_lost, &all, true),
        (&a_lost, &without_d, false),
        (&two_lost, &all, false),
        // d never confirmed for the shard that it got from c.
        (&moved, &all, true),
        (&moved, &without_d, false),
    ] {
        assert_eq!(certificate_counts(newer, &old, certificate), counts, "{newer:?}");
    }
    let facts = AcknowledgeFacts {
        standing: SOUND,
        accepted: &a_lost,
        under: &old,
        claim: &claim,
        certificate: &without_d,
        stored: true,
        release: None,
        closed: false,
        missing_slivers: 0,
    };
    let need = Refusal::NeedEpoch { accepted: EpochNumber(1), named: old.hash() };
    assert_eq!(acknowledge(&facts), Acknowledgement::Refused(need));
}

#[test]
fn storing_certificates() {
    const RETENTION: u64 = 30 * DAY;
    let record = four();
    let young = claim(1, 10, NOW);
    let edge = claim(1, 10, ago(RETENTION));
    let old = claim(1, 10, ago(RETENTION + 1));
    let base = StoreCertificateFacts {
        now: NOW,
        accepted: &record,
        claim: &young,
        number: EpochNumber(2),
        held: None,
        vouchers: BTreeSet::new(),
    };
    let held = |blob, number| {
        Some(HeldCertificate { blob: BlobId([blob; 32]), number: EpochNumber(number) })
    };
    let vouchers = |names: &[&str]| names.iter().map(|name| node(name)).collect();
    let stale =
        Refusal::Stale { kind: "claim", signed: old.signed, now: NOW, limit_millis: RETENTION };
    let conflict = Refusal::ClaimConflicted { claim: young.claim, blobs: blobs(&[10, 11]) };
    let aged = StoreCertificateFacts { claim: &old, ..base.clone() };
    let rows = [
        (base.clone(), Ok(Keep::Store)),
        (StoreCertificateFacts { held: held(10, 2), ..base.clone() }, Ok(Keep::Already)),
        (StoreCertificateFacts { held: held(10, 3), ..base.clone() }, Ok(Keep::Already)),
        (StoreCertificateFacts { held: held(10, 1), ..base.clone() }, Ok(Keep::Store)),
        (StoreCertificateFacts { held: held(11, 2), ..base.clone() }, Err(conflict)),
        (StoreCertificateFacts { claim: &edge, ..base.clone() }, Ok(Keep::Store)),
        (aged.clone(), Err(stale.clone())),
        (StoreCertificateFacts { vouchers: vouchers(&["b"]), ..aged.clone() }, Err(stale.clone())),
        (
            StoreCertificateFacts { vouchers: vouchers(&["b", "nobody"]), ..aged.clone() },
            Err(stale),
        ),
        (
            StoreCertificateFacts { vouchers: vouchers(&["b", "c"]), ..aged.clone() },
            Ok(Keep::Store),
        ),
        (StoreCertificateFacts { held: held(10, 2), ..aged.clone() }, Ok(Keep::Already)),
    ];
    for (facts, wanted) in rows {
        assert_eq!(store_certificate(&facts), wanted, "{facts:?}");
    }
}

#[test]
fn storing_releases() {
    const RETENTION: u64 = 30 * DAY;
    let claim = claim(1, 10, NOW);
    for (signed, held, taken) in [
        (NOW, false, Some(Keep::Store)),
        (Timestamp(NOW.0 + 2 * DAY), false, Some(Keep::Store)),
        (ago(RETENTION), false, Some(Keep::Store)),
        (ago(RETENTION + 1), false, None),
        (ago(RETENTION + 1), true, Some(Keep::Already)),
        (NOW, true, Some(Keep::Already)),
    ] {
        let release = release_of(&claim, signed);
        let facts =
            StoreReleaseFacts { now: NOW, retention_millis: RETENTION, release: &release, held };
        let stale = Refusal::Stale { kind: "release", signed, now: NOW, limit_millis: RETENTION };
        assert_eq!(store_release(&facts), taken.ok_or(stale));
    }
}

#[test]
fn what_is_closed() {
    let claim = ClaimId([1; 16]);
    let base = CloseFacts { standing: SOUND, claim, certified: false, closed: false, void: false };
    let rows = [
        (base, Ok(Close::Mark)),
        (CloseFacts { closed: true, ..base }, Ok(Close::Already)),
        (CloseFacts { certified: true, ..base }, Ok(Close::Certified)),
        (CloseFacts { certified: true, closed: true, ..base }, Ok(Close::Certified)),
        (CloseFacts { void: true, ..base }, Err(Refusal::ClosingVoid { claim })),
        (CloseFacts { void: true, closed: true, ..base }, Err(Refusal::ClosingVoid { claim })),
        (CloseFacts { void: true, certified: true, ..base }, Ok(Close::Certified)),
        (CloseFacts { standing: UNREAD, ..base }, Err(Refusal::CursorsUnread)),
        (CloseFacts { standing: UNREAD, certified: true, ..base }, Err(Refusal::CursorsUnread)),
    ];
    for (facts, wanted) in rows {
        assert_eq!(close(&facts), wanted, "{facts:?}");
    }
}

#[test]
fn an_unsigned_word_needs_more_than_the_liars() {
    let record = four();
    for (names, believed) in
        [(&[][..], false), (&["d"], false), (&["d", "d"], false), (&["c", "d"], true)]
    {
        let names: Vec<NodeName> = names.iter().map(|name| node(name)).collect();
        assert_eq!(vouched(&record, &names), believed, "{names:?}");
    }
}

#[test]
fn what_a_node_owes_of_a_blob() {
    let record = four();
    let extent = record.geometry.full_extent_bytes() as u64;
    for (name, length, owed) in
        [("a", 0, 2), ("a", extent, 2), ("a", extent + 1, 4), ("nobody", extent, 0)]
    {
        assert_eq!(owed_slivers(&record, &node(name), length), owed);
    }
}

type Answers<'a> = &'a [(&'a str, Option<FeedPosition>)];

#[test]
fn cursors() {
    let record = four();
    let head = FeedPosition { volume: VolumeId([1; 16]), sequence: 40 };
    let at = |sequence| Some(FeedPosition { sequence, ..head });
    let earlier = Some(FeedPosition { volume: VolumeId([2; 16]), sequence: 99 });
    let waiting = |have| CursorCheck::Waiting { have, need: 3 };
    let old = |name: &str, sequence| CursorCheck::OldCopy {
        node: node(name),
        cursor: FeedPosition { sequence, ..head },
    };
    let rows: &[(Answers<'_>, CursorCheck)] = &[
        (&[], waiting(1)),
        (&[("b", at(40))], waiting(2)),
        (&[("b", at(40)), ("b", at(40))], waiting(2)),
        (&[("b", at(40)), ("a", at(40))], waiting(2)),
        (&[("b", at(40)), ("nobody", None)], waiting(2)),
        (&[("b", at(40)), ("c", None)], CursorCheck::Passed),
        (&[("b", at(3)), ("c", earlier)], CursorCheck::Passed),
        (&[("b", at(41))], old("b", 41)),
        (&[("b", at(40)), ("c", None), ("d", at(50))], old("d", 50)),
    ];
    for (answers, wanted) in rows {
        let answers: Vec<CursorAnswer> = answers
            .iter()
            .map(|(name, cursor)| CursorAnswer { node: node(name), cursor: *cursor })
            .collect();
        assert_eq!(check_cursors(&record, &node("a"), head, &answers), *wanted, "{answers:?}");
    }
}

#[test]
fn catching_up_needs_other_nodes() {
    let record = four();
    let me = node("a");
    for (names, enough) in [
        (&[][..], false),
        (&["b", "c"], false),
        (&["a", "b", "c"], false),
        (&["b", "c", "d"], true),
    ] {
        let read: BTreeSet<NodeName> = names.iter().map(|name| node(name)).collect();
        // Its volume before this one is a's in the record.
        let facts =
            CatchUp { me: &me, incarnation: Incarnation(1), since_genesis: false, read: &read };
        assert_eq!(caught_up(&[&record], &facts), enough, "{names:?}");
        assert!(caught_up(&[&record], &CatchUp { since_genesis: true, ..facts }));
        assert!(!caught_up(&[], &facts));
    }
}

/// e takes over d's shard, while c may be away.
#[test]
fn whoever_takes_over_from_a_living_node_reads_that_node() {
    let before = four();
    let mut since = before.clone();
    let shards = std::mem::take(&mut since.members[3].shards);
    let e = Member { shards, ..member("e", 0, &[]) };
    since.members.push(e);
    let me = node("e");
    for (names, enough) in [
        (&["a", "b"][..], false),
        // Itself counts, in the record that names it, and in no other.
        (&["a", "b", "d"], true),
        (&["b", "c", "d"], true),
        (&["b", "d", "e"], false),
    ] {
        let read: BTreeSet<NodeName> = names.iter().map(|name| node(name)).collect();
        let facts =
            CatchUp { me: &me, incarnation: Incarnation(0), since_genesis: false, read: &read };
        assert_eq!(caught_up(&[&before, &since], &facts), enough, "{names:?}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A writer asks for a confirmation.
    Confirm { claim: u8, blob: u8 },
    /// A peer's binding arrives.
    Learn { claim: u8, blob: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    (0_u8..3, 0_u8..3, prop::bool::weighted(0.7)).prop_map(|(claim, blob, confirm)| {
        if confirm { Step::Confirm { claim, blob } } else { Step::Learn { claim, blob } }
    })
}

proptest! {
    #[test]
    fn a_node_confirms_one_blob_per_claim_id_ever(steps in prop::collection::vec(step(), 0..40)) {
        let record = four();
        let mut bound = [const { BTreeSet::new() }; 3];
        let mut confirmed = [None; 3];
        for step in steps {
            match step {
                Step::Learn { claim, blob } => {
                    bound[usize::from(claim)].insert(BlobId([blob; 32]));
                }
                Step::Confirm { claim: id, blob } => {
                    let at = usize::from(id);
                    let claim = claim(id, blob, NOW);
                    let known = bound[at].clone();
                    let facts = ConfirmFacts { bound: known.clone(), ..confirming(&claim, &record) };
                    if let Ok(Confirm::Sign { bind }) = confirm(&facts) {
                        prop_assert_eq!(bind, known.is_empty());
                        prop_assert!(known.len() <= 1);
                        prop_assert_eq!(*confirmed[at].get_or_insert(blob), blob);
                        bound[at].insert(claim.blob);
                    } else {
                        prop_assert!(known != blobs(&[blob]) && !known.is_empty());
                    }
                }
            }
        }
    }
}
