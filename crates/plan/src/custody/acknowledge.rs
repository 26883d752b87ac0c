//! Acknowledging a certificate.

use floe_model::{Certificate, Claim, EpochRecord, Release, Threshold};

use super::{Refusal, Standing, not_closed, not_released};

/// What is known when a certificate is to be acknowledged. It was verified against the record it
/// names and against the claim.
#[derive(Debug, Clone)]
pub struct AcknowledgeFacts<'a> {
    /// What this node has learnt about its memory.
    pub standing: Standing,
    /// The newest record accepted here.
    pub accepted: &'a EpochRecord,
    /// The record that the certificate names: `accepted` or an older one of its chain.
    pub under: &'a EpochRecord,
    /// The claim.
    pub claim: &'a Claim,
    /// Its certificate.
    pub certificate: &'a Certificate,
    /// Claim and certificate are stored here, or will be in this same step.
    pub stored: bool,
    /// A release at hand that covers the claim.
    pub release: Option<&'a Release>,
    /// The claim id is closed here, and the closing is not void.
    pub closed: bool,
    /// Slivers of the blob that this node owes ([`owed_slivers`](super::owed_slivers)) and does not
    /// hold, whether the certificate carries its bit or not; what is marked as expired is not held.
    pub missing_slivers: u64,
}

/// What a node answers to a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledgement {
    /// It holds everything it owes; to be said once all of it is durable.
    Acknowledged,
    /// It owes the pairs and heals; ask again.
    Incomplete {
        /// How many slivers are missing.
        missing_slivers: u64,
    },
    /// It never will, as things stand.
    Refused(Refusal),
}

/// Whether this node acknowledges: only while it holds all it owes, bit or no bit, and never with a
/// release or a closed mark at hand.
pub fn acknowledge(facts: &AcknowledgeFacts<'_>) -> Acknowledgement {
    match permitted(facts) {
        Err(refusal) => Acknowledgement::Refused(refusal),
        Ok(()) if facts.missing_slivers > 0 => {
            Acknowledgement::Incomplete { missing_slivers: facts.missing_slivers }
        }
        Ok(()) => Acknowledgement::Acknowledged,
    }
}

fn permitted(facts: &AcknowledgeFacts<'_>) -> Result<(), Refusal> {
    let claim = facts.claim.claim;
    facts.standing.may_speak()?;
    if !facts.stored {
        return Err(Refusal::NotStored { claim });
    }
    not_released(claim, facts.release)?;
    not_closed(claim, facts.closed)?;
    if !certificate_counts(facts.accepted, facts.under, facts.certificate) {
        let (accepted, named) = (facts.accepted.number, facts.certificate.record);
        return Err(Refusal::NeedEpoch { accepted, named });
    }
    Ok(())
}

/// Whether the confirmations of those owners and incarnations that `accepted` still names are worth
/// n-f shards: confirmations of replaced volumes prove nothing about what is held now.
pub fn certificate_counts(
    accepted: &EpochRecord,
    under: &EpochRecord,
    certificate: &Certificate,
) -> bool {
    let signers = floe_model::Tally::of(under, certificate.signers.positions());
    signers.still_owned(accepted) >= Threshold::Correct.shards(accepted.geometry)
}
