//! Opening an upload, and confirming what came.

use std::collections::BTreeSet;

use floe_model::claim::FRESH_MILLIS;
use floe_model::{BlobId, Claim, EpochNumber, Permit, RecordHash, Release, Timestamp};

use super::{Refusal, Standing, not_closed, not_released};

/// How long uploads of a record go on after a node learnt that a record above it is committed.
pub const SUPERSEDED_MILLIS: u64 = 24 * 3600 * 1000;

/// The record under which a request is judged: the newest one accepted here, or an older one of its
/// chain that named this very volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedRecord {
    /// The number of the newest record accepted here.
    pub accepted: EpochNumber,
    /// The hash of the record that is served.
    pub hash: RecordHash,
    /// Its commit proof is held.
    pub committed: bool,
    /// When this node learnt that a record above it is committed.
    pub superseded: Option<Timestamp>,
}

impl ServedRecord {
    /// Uploads and confirmations stand on a committed record only, the newest or one that was so a
    /// short while ago. While the record above it is not committed, and perhaps never is, nothing
    /// ends: what is confirmed under the older one counts only with the owners of the newer one
    /// ([`certificate_counts`](super::certificate_counts)).
    fn serves(self, named: RecordHash, now: Timestamp) -> Result<(), Refusal> {
        let accepted = self.accepted;
        let ended = |at: Timestamp| now.millis_since(at) > SUPERSEDED_MILLIS;
        if named != self.hash || self.superseded.is_some_and(ended) {
            return Err(Refusal::NeedEpoch { accepted, named });
        }
        if self.committed { Ok(()) } else { Err(Refusal::Uncommitted { accepted }) }
    }

    /// No upload begins under a record once a newer one is known to be committed.
    fn opens(self, permit: &Permit) -> Result<(), Refusal> {
        match self.superseded {
            Some(at) if permit.signed > at => {
                Err(Refusal::NeedEpoch { accepted: self.accepted, named: self.hash })
            }
            _ => Ok(()),
        }
    }
}

/// What is known when an upload is to be opened. The permit's signature was checked.
#[derive(Debug, Clone)]
pub struct OpenFacts<'a> {
    /// This node's clock.
    pub now: Timestamp,
    /// The record that the permit names, as it is served here.
    pub served: ServedRecord,
    /// The permit.
    pub permit: &'a Permit,
    /// The record under which it was signed.
    pub named: RecordHash,
    /// The permit that this upload id was opened with before.
    pub opened: Option<&'a Permit>,
    /// A release at hand that names the claim id.
    pub release: Option<&'a Release>,
    /// The claim id is closed here, and the closing is not void.
    pub closed: bool,
}

/// An upload may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Record it.
    New,
    /// It is open.
    Already,
}

/// Whether an upload may begin. A permit replayed for an open upload changes nothing; an upload id
/// that was opened with another permit is taken as that permit's, and refused.
pub fn open(facts: &OpenFacts<'_>) -> Result<Open, Refusal> {
    let permit = facts.permit;
    facts.served.serves(facts.named, facts.now)?;
    if facts.opened.is_none() {
        facts.served.opens(permit)?;
    }
    fresh("permit", permit.signed, facts.now)?;
    not_released(permit.claim, facts.release)?;
    not_closed(permit.claim, facts.closed)?;
    match facts.opened {
        None => Ok(Open::New),
        Some(opened) if opened == permit => Ok(Open::Already),
        Some(_) => Err(Refusal::UploadTaken { upload: permit.upload }),
    }
}

/// What is known when a claim is to be confirmed. The claim's signature was checked, and its length
/// is that of the blob's manifest.
#[derive(Debug, Clone)]
pub struct ConfirmFacts<'a> {
    /// This node's clock.
    pub now: Timestamp,
    /// What it has learnt about its memory.
    pub standing: Standing,
    /// The record that the claim names, as it is served here.
    pub served: ServedRecord,
    /// The claim.
    pub claim: &'a Claim,
    /// The record under which it was signed.
    pub named: RecordHash,
    /// Every blob that the claim id is known to be bound to: by an own confirmation, by a peer's
    /// binding, by a certificate.
    pub bound: BTreeSet<BlobId>,
    /// A release at hand that covers the claim.
    pub release: Option<&'a Release>,
    /// The claim id is closed here, and the closing is not void.
    pub closed: bool,
    /// Slivers of the blob that this node owes ([`owed_slivers`](super::owed_slivers)) and does not
    /// hold; what is marked as expired is not held.
    pub missing_slivers: u64,
}

/// What to do about a claim that may be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// Record the confirmation, and the binding if `bind`, in this step; sync; then sign.
    Sign {
        /// The claim id is not bound here yet.
        bind: bool,
    },
    /// Rebuild these first, and ask again: nothing is bound meanwhile.
    Heal {
        /// How many are missing.
        missing_slivers: u64,
    },
}

/// Whether this node confirms. One blob per claim id, ever.
pub fn confirm(facts: &ConfirmFacts<'_>) -> Result<Confirm, Refusal> {
    let claim = facts.claim;
    facts.standing.may_confirm()?;
    facts.served.serves(facts.named, facts.now)?;
    fresh("claim", claim.signed, facts.now)?;
    not_released(claim.claim, facts.release)?;
    not_closed(claim.claim, facts.closed)?;
    let bind = unbound(claim, &facts.bound)?;
    match facts.missing_slivers {
        0 => Ok(Confirm::Sign { bind }),
        missing_slivers => Ok(Confirm::Heal { missing_slivers }),
    }
}

/// True if the claim id has no blob yet, false if it has this one.
fn unbound(claim: &Claim, bound: &BTreeSet<BlobId>) -> Result<bool, Refusal> {
    let mut blobs = bound.iter();
    match (blobs.next(), blobs.next()) {
        (None, _) => Ok(true),
        (Some(one), None) if *one == claim.blob => Ok(false),
        (Some(&bound), None) => {
            Err(Refusal::ClaimBound { claim: claim.claim, bound, wanted: claim.blob })
        }
        (Some(_), Some(_)) => {
            Err(Refusal::ClaimConflicted { claim: claim.claim, blobs: bound.clone() })
        }
    }
}

/// A statement from the future would never age: it is refused like one from the past.
fn fresh(kind: &'static str, signed: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    if signed.0.abs_diff(now.0) > FRESH_MILLIS {
        return Err(Refusal::Stale { kind, signed, now, limit_millis: FRESH_MILLIS });
    }
    Ok(())
}
