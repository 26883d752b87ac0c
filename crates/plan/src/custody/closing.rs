//! Closing a claim id before it is released in the absence of a certificate.

use floe_model::{ClaimId, EpochRecord, NodeName, Threshold};

use super::{Refusal, Standing};

/// What is known when a claim id is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseFacts {
    /// What this node has learnt about its memory: an old copy may have forgotten a certificate.
    pub standing: Standing,
    /// The claim id.
    pub claim: ClaimId,
    /// A certificate for the claim id is stored here.
    pub certified: bool,
    /// The claim id is closed here.
    pub closed: bool,
    /// The closing was voided.
    pub void: bool,
}

/// What to answer to a closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Hand out claim and certificate; nothing is closed.
    Certified,
    /// Mark it closed in this step; say so once that is durable.
    Mark,
    /// It is closed.
    Already,
}

/// Whether this node closes the claim id.
pub fn close(facts: &CloseFacts) -> Result<Close, Refusal> {
    facts.standing.may_speak()?;
    if facts.certified {
        return Ok(Close::Certified);
    }
    if facts.void {
        // A closing that is void would not stop an acknowledgement: it must not be promised.
        return Err(Refusal::ClosingVoid { claim: facts.claim });
    }
    Ok(if facts.closed { Close::Already } else { Close::Mark })
}

/// Whether an unsigned word of peers (a closed mark, or that a closing is void) may be taken over:
/// only when nodes worth f+1 shards say it. One liar could otherwise close every claim, or void the
/// closing under which the operator releases. The operator's own word needs no vouching.
pub fn vouched<'a>(
    accepted: &EpochRecord,
    said_by: impl IntoIterator<Item = &'a NodeName>,
) -> bool {
    accepted.reaches(Threshold::Vouching, said_by)
}
