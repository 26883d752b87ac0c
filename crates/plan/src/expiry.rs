//! Whether anything still needs a blob: nobody certified it in time, or all its claims have ended.

use floe_model::Timestamp;

/// How long an upload may rest after its last byte.
pub const UPLOAD_MILLIS: u64 = 3600 * 1000;
/// How long a confirmed blob waits for its certificate.
pub const CONFIRMED_MILLIS: u64 = 24 * 3600 * 1000;

/// Who may still need what lives under one blob key. To be gathered in the step that marks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpiryFacts {
    /// The last byte of the newest upload that is open under this key.
    pub last_byte: Option<Timestamp>,
    /// The newest confirmation of this node for this blob, for a claim without certificate here.
    pub confirmed: Option<Timestamp>,
    /// Some certified claim of the blob is live, or was released within the undelete window.
    pub owed: bool,
}

/// What becomes of the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// A claim needs it.
    Needed,
    /// Something needs it until then; look again at that time.
    NeededUntil(Timestamp),
    /// Nothing needs it: mark it in this same step.
    Expired,
}

/// Uploads expire an hour after their last byte, confirmed blobs without certificate after a day, and
/// certified ones with the undelete window of their last claim, unless a new upload or confirmation
/// of the same content needs them. Both ends belong to the blob: at the limit itself it is still needed.
pub fn expired(now: Timestamp, facts: &ExpiryFacts) -> Expiry {
    if facts.owed {
        return Expiry::Needed;
    }
    let until = |since: Option<Timestamp>, millis: u64| {
        since.map(|since| Timestamp(since.0.saturating_add(millis)))
    };
    let until = until(facts.last_byte, UPLOAD_MILLIS).max(until(facts.confirmed, CONFIRMED_MILLIS));
    match until {
        Some(until) if now <= until => Expiry::NeededUntil(until),
        _ => Expiry::Expired,
    }
}

#[cfg(test)]
mod tests;
