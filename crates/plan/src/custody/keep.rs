//! Storing claims with their certificates, and releases.

use std::collections::BTreeSet;

use floe_model::{
    BlobId, Claim, EpochNumber, EpochRecord, NodeName, Release, Threshold, Timestamp,
};

use super::{Refusal, is_old};

/// What to do about something that may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Store it.
    Store,
    /// It is stored.
    Already,
}

/// The certificate that is stored for a claim id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCertificate {
    /// The blob it certifies.
    pub blob: BlobId,
    /// The number of the record it names.
    pub number: EpochNumber,
}

/// What is known when a claim comes with its certificate, from a client or a peer's feed. Both were
/// verified, each against the record it names.
#[derive(Debug, Clone)]
pub struct StoreCertificateFacts<'a> {
    /// This node's clock.
    pub now: Timestamp,
    /// The newest record accepted here: its policy and its weights hold.
    pub accepted: &'a EpochRecord,
    /// The claim.
    pub claim: &'a Claim,
    /// The number of the record that the certificate names.
    pub number: EpochNumber,
    /// What is stored for this claim id.
    pub held: Option<HeldCertificate>,
    /// Other nodes that hold the claim live, as they say themselves; asked only for old claims.
    pub vouchers: BTreeSet<NodeName>,
}

/// Whether claim and certificate are stored, always together. A release or a closed mark at hand
/// does not hinder it: released content is owed too, for its window. A claim that was signed longer
/// ago than releases are kept may be a deleted one: nodes worth f+1 shards must vouch for it.
pub fn store_certificate(facts: &StoreCertificateFacts<'_>) -> Result<Keep, Refusal> {
    let claim = facts.claim;
    if let Some(held) = facts.held {
        if held.blob != claim.blob {
            let blobs = BTreeSet::from([held.blob, claim.blob]);
            return Err(Refusal::ClaimConflicted { claim: claim.claim, blobs });
        }
        // One under a newer record carries the confirmations of the owners of today.
        let newer = facts.number > held.number;
        return Ok(if newer { Keep::Store } else { Keep::Already });
    }
    let retention_millis = facts.accepted.policy.release_retention_millis;
    let vouched = || facts.accepted.reaches(Threshold::Vouching, &facts.vouchers);
    if is_old(claim.signed, facts.now, retention_millis) && !vouched() {
        return Err(Refusal::Stale {
            kind: "claim",
            signed: claim.signed,
            now: facts.now,
            limit_millis: retention_millis,
        });
    }
    Ok(Keep::Store)
}

/// What is known when a release comes. Its signature was checked.
#[derive(Debug, Clone)]
pub struct StoreReleaseFacts<'a> {
    /// This node's clock.
    pub now: Timestamp,
    /// The accepted record's retention of releases, in milliseconds.
    pub retention_millis: u64,
    /// The release.
    pub release: &'a Release,
    /// It is stored.
    pub held: bool,
}

/// Whether a release is stored: with or without its claim. After its retention, counted from its
/// signing, nobody takes it again, so that it ends everywhere.
pub fn store_release(facts: &StoreReleaseFacts<'_>) -> Result<Keep, Refusal> {
    if facts.held {
        return Ok(Keep::Already);
    }
    let (now, limit_millis) = (facts.now, facts.retention_millis);
    if is_old(facts.release.signed, now, limit_millis) {
        let signed = facts.release.signed;
        return Err(Refusal::Stale { kind: "release", signed, now, limit_millis });
    }
    Ok(Keep::Store)
}
