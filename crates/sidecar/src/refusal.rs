//! Decisions against a request, as clients are told.

use floe_api::{ApiError, ErrorCode};
use floe_plan::custody::Refusal;

/// Seconds after which a request may come again that a starting node could not take.
const STARTING_RETRY_SECONDS: u32 = 1;

/// What a client is told of a refusal.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err` everywhere")]
pub(crate) fn refused(refusal: Refusal) -> ApiError {
    let plain = |code| ApiError::new(code, &refusal);
    match refusal {
        Refusal::CursorsUnread | Refusal::BindingsUnread => {
            plain(ErrorCode::NotServing).retry_after(STARTING_RETRY_SECONDS)
        }
        Refusal::NeedEpoch { accepted, .. } | Refusal::Uncommitted { accepted } => {
            ApiError { epoch: Some(accepted), ..plain(ErrorCode::NeedEpoch) }
        }
        Refusal::ClaimBound { claim, bound, wanted } => ApiError::claim_bound(claim, bound, wanted),
        Refusal::ClaimConflicted { claim, .. } => {
            plain(ErrorCode::ClaimConflicted).about_claim(claim)
        }
        Refusal::ClaimReleased { claim, .. } => plain(ErrorCode::ClaimReleased).about_claim(claim),
        Refusal::ClaimClosed { claim } => plain(ErrorCode::ClaimClosed).about_claim(claim),
        Refusal::ClosingVoid { claim } => plain(ErrorCode::StaleStatement).about_claim(claim),
        Refusal::Stale { .. } | Refusal::UploadTaken { .. } => plain(ErrorCode::StaleStatement),
        Refusal::ContentForeign { from, .. } | Refusal::ContentOther { from, .. } => {
            plain(ErrorCode::ContentForeign).about_claim(from)
        }
        Refusal::ContentEnded { from } => plain(ErrorCode::ContentEnded).about_claim(from),
        Refusal::NotStored { claim } => plain(ErrorCode::NotFound).about_claim(claim),
    }
}

#[cfg(test)]
mod tests {
    use floe_model::{BlobId, ClaimId, EpochNumber, NamespaceUid, RecordHash, Timestamp, UploadId};

    use super::*;

    #[test]
    fn every_refusal_has_its_code() {
        let claim = ClaimId([1; 16]);
        let accepted = EpochNumber(0);
        for (refusal, code) in [
            (Refusal::CursorsUnread, ErrorCode::NotServing),
            (Refusal::NeedEpoch { accepted, named: RecordHash([2; 32]) }, ErrorCode::NeedEpoch),
            (Refusal::Uncommitted { accepted }, ErrorCode::NeedEpoch),
            (
                Refusal::ClaimBound { claim, bound: BlobId([3; 32]), wanted: BlobId([4; 32]) },
                ErrorCode::ClaimBound,
            ),
            (Refusal::ClaimReleased { claim, release: claim }, ErrorCode::ClaimReleased),
            (Refusal::ClaimClosed { claim }, ErrorCode::ClaimClosed),
            (
                Refusal::ContentForeign { from: claim, namespace: NamespaceUid([6; 16]) },
                ErrorCode::ContentForeign,
            ),
            (Refusal::ContentEnded { from: claim }, ErrorCode::ContentEnded),
            (Refusal::UploadTaken { upload: UploadId([5; 16]) }, ErrorCode::StaleStatement),
            (
                Refusal::Stale {
                    kind: "claim",
                    signed: Timestamp(0),
                    now: Timestamp(9),
                    limit_millis: 1,
                },
                ErrorCode::StaleStatement,
            ),
        ] {
            assert_eq!(refused(refusal.clone()).code, code, "{refusal}");
        }
    }
}
