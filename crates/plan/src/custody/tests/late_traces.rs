//! The traces that end long after the write: collection, age, retention. (V13 is a reader's: its
//! decision and its test stand in the client.)

use std::collections::BTreeMap;

use super::*;
use crate::expiry::{Expiry, ExpiryFacts, expired};

const RETENTION: u64 = 30 * DAY;

fn acknowledged(
    record: &EpochRecord,
    claim: &floe_model::Claim,
    missing_slivers: u64,
) -> Acknowledgement {
    acknowledge(&AcknowledgeFacts {
        standing: SOUND,
        accepted: record,
        under: record,
        claim,
        certificate: &certificate(record, claim, &["a", "b", "d"]),
        stored: true,
        release: None,
        closed: false,
        missing_slivers,
    })
}

/// What a node decides about an old live claim, given what others say.
fn believed(me: &str, claim: &floe_model::Claim, said: &[(&str, bool)]) -> LiveClaim {
    let (record, me) = (four(), node(me));
    let said: BTreeMap<NodeName, bool> =
        said.iter().map(|(name, live)| (node(name), *live)).collect();
    live_claim(&LiveClaimFacts {
        now: NOW,
        accepted: &record,
        me: &me,
        signed: claim.signed,
        said: &said,
    })
}

#[test]
fn v5_what_is_marked_is_absent_and_what_is_confirmed_is_not_marked() {
    let record = four();
    // c0 was released and its window is over; c1 wants the same content.
    let (c0, c1) = (claim(1, 10, ago(9 * DAY)), claim(2, 10, NOW));
    let over = ExpiryFacts::default();
    // The mark first: from then on nothing is there to be confirmed or acknowledged.
    assert_eq!(expired(NOW, &over), Expiry::Expired);
    let missing_slivers = owed_slivers(&record, &node("a"), c1.length);
    let heal = confirm(&ConfirmFacts { missing_slivers, ..confirming(&c1, &record) });
    assert_eq!(heal, Ok(Confirm::Heal { missing_slivers }));
    let incomplete = Acknowledgement::Incomplete { missing_slivers };
    assert_eq!(acknowledged(&record, &c1, missing_slivers), incomplete);
    // The confirmation first: no mark, until a day without certificate has passed.
    assert_eq!(confirm(&confirming(&c1, &record)), Ok(Confirm::Sign { bind: true }));
    let confirmed = ExpiryFacts { confirmed: Some(NOW), ..over };
    assert!(matches!(expired(NOW, &confirmed), Expiry::NeededUntil(_)));
    assert_eq!(acknowledged(&record, &c1, 0), Acknowledgement::Acknowledged);
    assert_eq!(
        expired(Timestamp(NOW.0 + 9 * DAY), &ExpiryFacts { owed: true, ..confirmed }),
        Expiry::Needed
    );
    // The same for undelete: behind the mark the content is over, though the pairs may lie there.
    let adopted = |kept, held| {
        let source = Some(Source { claim: &c0, kept, held });
        adopt(&AdoptFacts { claim: &c1, from: c0.claim, source })
    };
    assert_eq!(adopted(true, true), Ok(()));
    assert_eq!(adopted(false, false), Err(Refusal::ContentEnded { from: c0.claim }));
}

#[test]
fn v6_a_release_covers_the_older_claims_of_its_name() {
    let record = four();
    // c0's own release never came to n-f; c1 of the same name was written later, and released.
    let (c0, c1) = (claim(1, 10, ago(3 * HOUR)), claim(2, 11, ago(2 * HOUR)));
    let release = release_of(&c1, ago(HOUR));
    let facts = ConfirmFacts { release: Some(&release), ..confirming(&c0, &record) };
    let refusal = Refusal::ClaimReleased { claim: c0.claim, release: c1.claim };
    assert!(release.covers(&c0));
    assert_eq!(confirm(&facts), Err(refusal));
    // However old it gets: as long as c0 is there, the release stays with it.
    let releases = [&release];
    let later = NameFacts {
        now: Timestamp(NOW.0 + 2 * RETENTION),
        retention_millis: RETENTION,
        claims: &[ReleasedClaim { claim: &c0, collected: false }],
        releases: &releases,
    };
    assert_eq!(forget(&later), Forget::default());
    let collected = [ReleasedClaim { claim: &c0, collected: true }];
    let gone = Forget { claims: [c0.claim].into(), releases: [c1.claim].into() };
    assert_eq!(forget(&NameFacts { claims: &collected, ..later }), gone);
}

#[test]
fn v8_releases_end_everywhere() {
    let claim = claim(1, 10, ago(RETENTION + HOUR));
    let release = release_of(&claim, ago(RETENTION + 1));
    // a drops it on day 30 after its signing, and does not take it from b again.
    let facts =
        NameFacts { now: NOW, retention_millis: RETENTION, claims: &[], releases: &[&release] };
    assert_eq!(forget(&facts).releases, [claim.claim].into());
    let offered =
        StoreReleaseFacts { now: NOW, retention_millis: RETENTION, release: &release, held: false };
    let stale = Refusal::Stale {
        kind: "release",
        signed: release.signed,
        now: NOW,
        limit_millis: RETENTION,
    };
    assert_eq!(store_release(&offered), Err(stale));
    // b, whose window goes on, keeps both; who has the claim only by replay gets no voucher.
    let going_on = [ReleasedClaim { claim: &claim, collected: false }];
    assert_eq!(forget(&NameFacts { claims: &going_on, ..facts }), Forget::default());
}

#[test]
fn v9_a_blob_that_waited_long_for_its_bytes_is_as_good_as_any() {
    let record = four();
    let mut slow = claim(1, 10, ago(31 * DAY));
    slow.signed = NOW;
    assert_eq!(confirm(&confirming(&slow, &record)), Ok(Confirm::Sign { bind: true }));
    let facts = StoreCertificateFacts {
        now: NOW,
        accepted: &record,
        claim: &slow,
        number: EpochNumber(0),
        held: None,
        vouchers: BTreeSet::new(),
    };
    assert_eq!(store_certificate(&facts), Ok(Keep::Store));
    assert_eq!(believed("a", &slow, &[]), LiveClaim::Young);
}

#[test]
fn v10_one_that_lags_and_one_that_lies_end_nothing() {
    let record = four();
    // Acknowledged on a, b and the liar d; c is behind; then the claim turns old.
    let old = claim(1, 10, ago(RETENTION + 1));
    assert_eq!(believed("a", &old, &[("c", false), ("d", false)]), LiveClaim::Doubtful);
    let all = [("b", true), ("c", false), ("d", false)];
    assert_eq!(believed("a", &old, &all), LiveClaim::Doubtful);
    assert_eq!(believed("a", &old, &[("b", true), ("d", true)]), LiveClaim::Vouched);
    // c takes it by the word of a and b, and not by the liar's.
    let store = |vouchers: &[&str]| {
        store_certificate(&StoreCertificateFacts {
            now: NOW,
            accepted: &record,
            claim: &old,
            number: EpochNumber(0),
            held: None,
            vouchers: vouchers.iter().map(|name| node(name)).collect(),
        })
    };
    assert_eq!(store(&["a", "b"]), Ok(Keep::Store));
    assert!(matches!(store(&["d"]), Err(Refusal::Stale { kind: "claim", .. })));
}

#[test]
fn v11_what_nobody_else_holds_goes() {
    // c alone got the certificate; or it pulled the claim, and healed for so long that the release
    // came and went. Nobody's silence counts, everybody's denial does.
    let old = claim(1, 10, ago(RETENTION + 1));
    assert_eq!(believed("c", &old, &[("a", false), ("b", false)]), LiveClaim::Doubtful);
    let all = [("a", false), ("b", false), ("d", false)];
    assert_eq!(believed("c", &old, &all), LiveClaim::Ended);
    // Then nothing needs the pairs any more.
    assert_eq!(expired(NOW, &ExpiryFacts::default()), Expiry::Expired);
}
