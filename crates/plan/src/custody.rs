//! Whether a node opens, confirms, stores, acknowledges, releases, closes.
//!
//! Each function takes facts that were gathered, and whose signatures were checked, by the caller;
//! the caller decides and records in one step, and answers only when that step is durable. The odd
//! clauses are those of DESIGN.md §5 and §6: without any one of them a short trace loses, forks or
//! resurrects a blob. The tests are named after those traces (V1, V2, …).
//!
//! | decision | what it promises |
//! |---|---|
//! | [`open`] | bytes may be sent for this permit |
//! | [`confirm`] | this node holds the claim's blob, and confirms no other one for this claim id, ever |
//! | [`store_certificate`] | claim and certificate are kept together; this node owes the pairs |
//! | [`acknowledge`] | it holds them all now, and nothing at hand ends the claim |
//! | [`store_release`] | what the release covers is not shown as live any more |
//! | [`close`] | no certificate is at hand, and none that comes later is acknowledged |
//! | [`adopt`] | a claim without bytes may take over those of another one: undelete |
//! | [`live_claim`] | a claim that outlived the releases is one that others hold too, or goes |
//! | [`forget`] | claims and releases leave together, when nobody takes them again |

mod acknowledge;
mod adopt;
mod ageing;
mod closing;
mod confirm;
mod keep;
mod standing;

use std::collections::BTreeSet;

use floe_model::{
    BlobId, BlobLayout, ClaimId, EpochNumber, EpochRecord, NamespaceUid, NodeName, RecordHash,
    Release, Timestamp, UploadId,
};

pub use acknowledge::{AcknowledgeFacts, Acknowledgement, acknowledge, certificate_counts};
pub use adopt::{AdoptFacts, Source, adopt};
pub use ageing::{Forget, LiveClaim, LiveClaimFacts, NameFacts, ReleasedClaim, forget, live_claim};
pub use closing::{Close, CloseFacts, close, vouched};
pub use confirm::{
    Confirm, ConfirmFacts, Open, OpenFacts, SUPERSEDED_MILLIS, ServedRecord, confirm, open,
};
pub use keep::{
    HeldCertificate, Keep, StoreCertificateFacts, StoreReleaseFacts, store_certificate,
    store_release,
};
pub use standing::{CatchUp, CursorAnswer, CursorCheck, Standing, caught_up, check_cursors};

/// A request that this node must not follow, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Peers' cursors on this node's feed were not read yet: the volume may be an old copy.
    #[error(
        "this node has not yet learnt from nodes worth n-f shards that its volume is no old copy; try again later"
    )]
    CursorsUnread,
    /// A new incarnation has not read the bindings that others made.
    #[error(
        "this incarnation has not yet read the catalogs of other nodes worth n-f shards; try again later"
    )]
    BindingsUnread,
    /// Asked under a record that does not hold here.
    #[error(
        "asked under epoch record {named}, this node's is number {accepted}: push the chain, or ask again under the newest record"
    )]
    NeedEpoch {
        /// The newest record accepted here.
        accepted: EpochNumber,
        /// The record that the request stands on.
        named: RecordHash,
    },
    /// The accepted record is not known to be committed.
    #[error("epoch record {accepted} is not known here to be committed: push its proof")]
    Uncommitted {
        /// The newest record accepted here.
        accepted: EpochNumber,
    },
    /// The claim id has another blob.
    #[error("claim {claim} is bound to blob {bound}, not {wanted}: re-create the Blob")]
    ClaimBound {
        /// The claim id.
        claim: ClaimId,
        /// The blob it has.
        bound: BlobId,
        /// The blob asked for.
        wanted: BlobId,
    },
    /// The claim id was bound to several blobs, by different nodes.
    #[error("claim {claim} is bound to several blobs, {} of them: re-create the Blob", .blobs.len())]
    ClaimConflicted {
        /// The claim id.
        claim: ClaimId,
        /// The blobs.
        blobs: BTreeSet<BlobId>,
    },
    /// A release covers the claim.
    #[error("claim {claim} is covered by the release of {release}")]
    ClaimReleased {
        /// The claim id.
        claim: ClaimId,
        /// The claim id that the release names.
        release: ClaimId,
    },
    /// The claim id was closed for want of a certificate.
    #[error("claim {claim} was closed: it had no certificate when it was to be released")]
    ClaimClosed {
        /// The claim id.
        claim: ClaimId,
    },
    /// The claim has a certificate somewhere, so it cannot be closed.
    #[error("claim {claim} has a certificate, its closing is void")]
    ClosingVoid {
        /// The claim id.
        claim: ClaimId,
    },
    /// Signed too long ago, or in the future.
    #[error(
        "the {kind} was signed at {} ms, it is {} ms here: at most {limit_millis} ms apart are allowed",
        .signed.0, .now.0
    )]
    Stale {
        /// "permit", "claim", "release".
        kind: &'static str,
        /// When it was signed.
        signed: Timestamp,
        /// This node's clock.
        now: Timestamp,
        /// What is allowed.
        limit_millis: u64,
    },
    /// The upload id was opened with another permit.
    #[error("upload {upload} was opened with another permit: draw a new upload id")]
    UploadTaken {
        /// The upload id.
        upload: UploadId,
    },
    /// The content that is to be taken over belongs to another namespace.
    #[error(
        "the content of claim {from} belongs to namespace {namespace}: it can be taken over in that one only"
    )]
    ContentForeign {
        /// The claim whose content was asked for.
        from: ClaimId,
        /// The namespace it belongs to.
        namespace: NamespaceUid,
    },
    /// The claim whose content is to be taken over had another blob.
    #[error("claim {from} had blob {blob}, not {wanted}")]
    ContentOther {
        /// The claim whose content was asked for.
        from: ClaimId,
        /// The blob it had.
        blob: BlobId,
        /// The blob asked for.
        wanted: BlobId,
    },
    /// The content that is to be taken over is not kept any more.
    #[error(
        "the content of claim {from} is not kept any more: its undelete window has ended; write it again"
    )]
    ContentEnded {
        /// The claim whose content was asked for.
        from: ClaimId,
    },
    /// The claim and its certificate are not stored here.
    #[error("claim {claim} and its certificate are not stored on this node: send both")]
    NotStored {
        /// The claim id.
        claim: ClaimId,
    },
}

/// Slivers that `node` owes of a blob of `length` bytes: both of each own pair, of every extent.
pub fn owed_slivers(record: &EpochRecord, node: &NodeName, length: u64) -> u64 {
    let extents = BlobLayout::new(record.geometry, length).extents();
    let shards = record.member(node).map_or(0, |member| member.shards.len());
    2 * u64::from(extents) * shards as u64
}

/// Nobody takes a statement that was signed longer ago without further ado.
const fn is_old(signed: Timestamp, now: Timestamp, retention_millis: u64) -> bool {
    now.millis_since(signed) > retention_millis
}

fn not_released(claim: ClaimId, release: Option<&Release>) -> Result<(), Refusal> {
    match release {
        Some(release) => Err(Refusal::ClaimReleased { claim, release: release.claim }),
        None => Ok(()),
    }
}

const fn not_closed(claim: ClaimId, closed: bool) -> Result<(), Refusal> {
    if closed { Err(Refusal::ClaimClosed { claim }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
