//! Taking over the content of another claim without its bytes: undelete.

use floe_model::{Claim, ClaimId};

use super::Refusal;

/// The claim whose content is to be taken over, as it is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// The claim; it is certified.
    pub claim: &'a Claim,
    /// It is live, or was released within the undelete window.
    pub kept: bool,
    /// Its blob lives here: it was not marked as expired.
    pub held: bool,
}

/// What is known when a claim comes that brings no bytes, but names a claim that had them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdoptFacts<'a> {
    /// The new claim.
    pub claim: &'a Claim,
    /// The claim id whose content it takes over.
    pub from: ClaimId,
    /// That claim; `None` if it is not known here.
    pub source: Option<Source<'a>>,
}

/// Whether the content may be taken over, as far as this node can tell: inside one namespace (by
/// UID), while it is kept. A node that never heard of the old claim cannot tell, and treats the new
/// one as any other: it rebuilds what it lacks, or cannot.
pub fn adopt(facts: &AdoptFacts<'_>) -> Result<(), Refusal> {
    let AdoptFacts { claim, from, source } = *facts;
    let Some(source) = source else { return Ok(()) };
    let old = source.claim;
    if old.namespace_uid != claim.namespace_uid {
        return Err(Refusal::ContentForeign { from, namespace: old.namespace_uid });
    }
    if (old.blob, old.length) != (claim.blob, claim.length) {
        return Err(Refusal::ContentOther { from, blob: old.blob, wanted: claim.blob });
    }
    if source.kept && source.held { Ok(()) } else { Err(Refusal::ContentEnded { from }) }
}
