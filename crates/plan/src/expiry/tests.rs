//! Expiry: at the limits, and whoever needs the blob longest decides.

use super::*;

const HOUR: u64 = 3_600_000;
const START: Timestamp = Timestamp(1_700_000_000_000);

const fn after(millis: u64) -> Timestamp {
    Timestamp(START.0 + millis)
}

#[test]
fn what_still_needs_a_blob() {
    let nothing = ExpiryFacts::default();
    let upload = ExpiryFacts { last_byte: Some(START), ..nothing };
    let confirmed = ExpiryFacts { confirmed: Some(START), ..nothing };
    let both = ExpiryFacts { last_byte: Some(after(23 * HOUR + HOUR / 2)), ..confirmed };
    let owed = ExpiryFacts { owed: true, ..both };
    let rows = [
        (nothing, 0, Expiry::Expired),
        (upload, 0, Expiry::NeededUntil(after(HOUR))),
        (upload, HOUR, Expiry::NeededUntil(after(HOUR))),
        (upload, HOUR + 1, Expiry::Expired),
        (confirmed, HOUR + 1, Expiry::NeededUntil(after(24 * HOUR))),
        (confirmed, 24 * HOUR, Expiry::NeededUntil(after(24 * HOUR))),
        (confirmed, 24 * HOUR + 1, Expiry::Expired),
        (both, 24 * HOUR + 1, Expiry::NeededUntil(after(24 * HOUR + HOUR / 2))),
        (both, 25 * HOUR, Expiry::Expired),
        (owed, 1000 * HOUR, Expiry::Needed),
    ];
    for (facts, passed, wanted) in rows {
        assert_eq!(expired(after(passed), &facts), wanted, "{facts:?} after {passed} ms");
    }
}

#[test]
fn a_clock_that_went_back_expires_nothing() {
    let facts = ExpiryFacts { last_byte: Some(START), ..ExpiryFacts::default() };
    assert_eq!(expired(Timestamp(0), &facts), Expiry::NeededUntil(after(HOUR)));
    let last = ExpiryFacts { last_byte: Some(Timestamp(u64::MAX)), ..facts };
    assert_eq!(expired(START, &last), Expiry::NeededUntil(Timestamp(u64::MAX)));
}
