//! Why a write failed.

use std::fmt;

use floe_api::ErrorCode;
use floe_env::ComputeStopped;
use floe_model::{BlobId, ClaimId};

use crate::ballot::Ballot;
use crate::failure::{Failure, NotEnoughNodes, Phase};
use crate::intake::BoxError;

/// A write that was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The sender of the bytes failed.
    #[error("the body broke off: {0}")]
    Body(#[source] BoxError),
    /// Too few nodes did their part.
    #[error(transparent)]
    NotEnoughNodes(#[from] NotEnoughNodes),
    /// The claim id belongs to another content already: another writer was first.
    #[error("claim {claim} is bound to another blob: read that one, or write under a new claim")]
    ClaimBound {
        /// The claim id.
        claim: ClaimId,
        /// The blob it is bound to, by a node's word.
        bound: Option<BlobId>,
    },
    /// Two contents were confirmed for the claim id; neither can be certified.
    #[error("claim {claim} was confirmed for two blobs: make the Blob object anew")]
    ClaimConflicted {
        /// The claim id.
        claim: ClaimId,
    },
    /// The claim was released, or a newer object of its name was.
    #[error("claim {claim} is released: make the Blob object anew")]
    ClaimReleased {
        /// The claim id.
        claim: ClaimId,
    },
    /// The claim was closed: no write under it counts any more.
    #[error("claim {claim} is closed: make the Blob object anew")]
    ClaimClosed {
        /// The claim id.
        claim: ClaimId,
    },
    /// The content that the claim was to take over is not kept any more.
    #[error("the content that claim {claim} was to take over is not kept any more")]
    ContentEnded {
        /// The claim id.
        claim: ClaimId,
    },
    /// Nodes worth f+1 shards are full.
    #[error("the storage nodes are full: add nodes or release blobs; {0}")]
    StorageFull(NotEnoughNodes),
    /// Nodes worth f+1 shards do not take the permit or the claim: an old clock here, or a key that
    /// is no registrar's any more.
    #[error("the nodes refuse this gateway's signature: {detail}")]
    StatementRefused {
        /// What one of them said.
        detail: String,
    },
    /// This client has no key that the epoch record names for gateways.
    #[error("this client has no gateway key that the epoch record names: it may only read")]
    NotRegistrar,
    /// More than fits into a claim.
    #[error("a content type of {length} bytes: at most 255 are allowed")]
    ContentType {
        /// Its length.
        length: usize,
    },
    /// More extents than can be numbered.
    #[error("the blob has more than 2^32 extents")]
    TooLong,
    /// Encoding failed, or its self-check: suspect this machine's memory.
    #[error("the content could not be encoded: {0}")]
    Encoding(String),
    /// A job was lost.
    #[error(transparent)]
    Compute(#[from] ComputeStopped),
    /// A background task was lost.
    #[error("the task that sends an extent ended early")]
    Stopped,
}

impl WriteError {
    /// Whether it may be for the epoch record that nodes were asked under.
    pub(crate) const fn may_be_the_epoch(&self) -> bool {
        matches!(self, Self::NotEnoughNodes(_))
    }

    pub(crate) fn encoding(error: impl fmt::Display) -> Self {
        Self::Encoding(error.to_string())
    }

    /// What a lost ballot means: a refusal that nodes worth f+1 shards gave, or too few nodes.
    pub(crate) fn of_ballot<T>(ballot: &Ballot<T>, phase: Phase, claim: ClaimId) -> Self {
        const TELLING: [ErrorCode; 8] = [
            ErrorCode::ContentEnded,
            ErrorCode::ClaimReleased,
            ErrorCode::ClaimClosed,
            ErrorCode::ClaimConflicted,
            ErrorCode::ClaimBound,
            ErrorCode::StorageFull,
            ErrorCode::StaleStatement,
            ErrorCode::StatementInvalid,
        ];
        let not_enough = ballot.not_enough(phase);
        let Some(Failure::Refused(refusal)) = ballot.vouched_refusal(&TELLING) else {
            return Self::NotEnoughNodes(not_enough);
        };
        match refusal.code {
            ErrorCode::ContentEnded => Self::ContentEnded { claim },
            ErrorCode::ClaimReleased => Self::ClaimReleased { claim },
            ErrorCode::ClaimClosed => Self::ClaimClosed { claim },
            ErrorCode::ClaimConflicted => Self::ClaimConflicted { claim },
            ErrorCode::ClaimBound => Self::ClaimBound { claim, bound: refusal.blob },
            ErrorCode::StorageFull => Self::StorageFull(not_enough),
            _ => Self::StatementRefused { detail: refusal.detail.clone() },
        }
    }
}
