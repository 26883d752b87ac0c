//! Opening an upload, and confirming what came.

use std::collections::BTreeSet;

use floe_model::claim::FRESH_MILLIS;
use floe_model::{BlobId, Claim, EpochNumber, Permit, RecordHash, Release, Timestamp};

use super::{Refusal, Standing, not_closed, not_released};

/// The newest record that this node accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedRecord {
    /// Its number.
    pub number: EpochNumber,
    /// Its hash.
    pub hash: RecordHash,
    /// Its commit proof is held.
    pub committed: bool,
}

impl AcceptedRecord {
    /// Uploads and confirmations stand on a committed record only.
    fn serves(self, named: RecordHash) -> Result<(), Refusal> {
        if named != self.hash {
            return Err(Refusal::NeedEpoch { accepted: self.number, named });
        }
        if self.committed { Ok(()) } else { Err(Refusal::Uncommitted { accepted: self.number }) }
    }
}

/// What is known when an upload is to be opened. The permit's signature was checked.
#[derive(Debug, Clone)]
pub struct OpenFacts<'a> {
    /// This node's clock.
    pub now: Timestamp,
    /// The newest record accepted here.
    pub accepted: AcceptedRecord,
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
    facts.accepted.serves(facts.named)?;
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
    /// The newest record accepted here.
    pub accepted: AcceptedRecord,
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
    facts.accepted.serves(facts.named)?;
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
