//! What a server says when it refuses.

use std::fmt;

use bytes::Bytes;
use floe_model::{BlobId, ClaimId, DecodeError, EpochNumber, VolumeId};
use http::{HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Serialize};

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The request is not what the route takes.
    Malformed,
    /// No certificate, or one of another committee.
    Unauthenticated,
    /// The certificate's role may not use the route.
    ForbiddenRole,
    /// There is no such route, blob, extent, sliver, claim or name.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// No permit was seen for this upload.
    UnknownUpload,
    /// The node needs the epoch record of the number named first.
    NeedEpoch,
    /// The claim id was confirmed for another blob.
    ClaimBound,
    /// Two blobs were confirmed for the claim id: the Blob object is to be made anew.
    ClaimConflicted,
    /// A release covers the claim.
    ClaimReleased,
    /// The claim was closed.
    ClaimClosed,
    /// The content that is to be taken over is another namespace's, or another blob.
    ContentForeign,
    /// The content that is to be taken over is not kept any more.
    ContentEnded,
    /// Signed too long ago, or under a record that no longer counts.
    StaleStatement,
    /// The signature, or the signer's right to it, is missing.
    StatementInvalid,
    /// The certificate does not prove what it should.
    CertificateInvalid,
    /// A sliver's bytes do not match the metadata.
    SliverInvalid,
    /// The metadata's bytes do not match the id or the length.
    MetadataInvalid,
    /// The manifest's bytes do not match the id or the length.
    ManifestInvalid,
    /// The body has more bytes than the route takes.
    BodyTooLarge,
    /// Slivers are missing that the request needs.
    Incomplete,
    /// The blob's writer is proven to have encoded it wrongly: it is kept, and not served.
    BlobInconsistent,
    /// The feed's volume is unknown, or the entries asked for are compacted away: list instead.
    Gone,
    /// The lease is of an earlier start of the node: ask for a new one.
    LeaseStale,
    /// The lease was not renewed in time, or was ended: ask for a new one.
    LeaseExpired,
    /// What was brought is not in the lease.
    NotLeased,
    /// Too much to do: come back later.
    Overloaded,
    /// The node serves nothing of the kind now; the detail says why and what to do.
    NotServing,
    /// No room is left for data.
    StorageFull,
    /// A fault of the server's own.
    Internal,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 30] = [
        Self::Malformed,
        Self::Unauthenticated,
        Self::ForbiddenRole,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::UnknownUpload,
        Self::NeedEpoch,
        Self::ClaimBound,
        Self::ClaimConflicted,
        Self::ClaimReleased,
        Self::ClaimClosed,
        Self::ContentForeign,
        Self::ContentEnded,
        Self::StaleStatement,
        Self::StatementInvalid,
        Self::CertificateInvalid,
        Self::SliverInvalid,
        Self::MetadataInvalid,
        Self::ManifestInvalid,
        Self::BodyTooLarge,
        Self::Incomplete,
        Self::BlobInconsistent,
        Self::Gone,
        Self::LeaseStale,
        Self::LeaseExpired,
        Self::NotLeased,
        Self::Overloaded,
        Self::NotServing,
        Self::StorageFull,
        Self::Internal,
    ];

    /// The code as it is sent, and as metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::ForbiddenRole => "forbidden-role",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::UnknownUpload => "unknown-upload",
            Self::NeedEpoch => "need-epoch",
            Self::ClaimBound => "claim-bound",
            Self::ClaimConflicted => "claim-conflicted",
            Self::ClaimReleased => "claim-released",
            Self::ClaimClosed => "claim-closed",
            Self::ContentForeign => "content-foreign",
            Self::ContentEnded => "content-ended",
            Self::StaleStatement => "stale-statement",
            Self::StatementInvalid => "statement-invalid",
            Self::CertificateInvalid => "certificate-invalid",
            Self::SliverInvalid => "sliver-invalid",
            Self::MetadataInvalid => "metadata-invalid",
            Self::ManifestInvalid => "manifest-invalid",
            Self::BodyTooLarge => "body-too-large",
            Self::Incomplete => "incomplete",
            Self::BlobInconsistent => "blob-inconsistent",
            Self::Gone => "gone",
            Self::LeaseStale => "lease-stale",
            Self::LeaseExpired => "lease-expired",
            Self::NotLeased => "not-leased",
            Self::Overloaded => "overloaded",
            Self::NotServing => "not-serving",
            Self::StorageFull => "storage-full",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status that carries it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::ForbiddenRole
            | Self::StatementInvalid
            | Self::NotLeased
            | Self::ContentForeign => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnknownUpload => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NeedEpoch
            | Self::ClaimBound
            | Self::ClaimConflicted
            | Self::ClaimReleased
            | Self::ClaimClosed
            | Self::StaleStatement
            | Self::LeaseStale
            | Self::Incomplete => StatusCode::CONFLICT,
            Self::CertificateInvalid
            | Self::SliverInvalid
            | Self::MetadataInvalid
            | Self::ManifestInvalid
            | Self::BlobInconsistent => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Gone | Self::LeaseExpired | Self::ContentEnded => StatusCode::GONE,
            Self::Overloaded | Self::NotServing => StatusCode::SERVICE_UNAVAILABLE,
            Self::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal; sent as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people: what happened, to what, and what to do next.
    pub detail: String,
    /// When to come back; also sent as the header `retry-after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
    /// `need-epoch`: the number of the record that is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<EpochNumber>,
    /// The claim it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimId>,
    /// `claim-bound`: the blob that the claim id is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<BlobId>,
    /// `gone`: the volume whose feed there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeId>,
}

impl ApiError {
    /// A refusal without further facts.
    pub fn new(code: ErrorCode, detail: impl fmt::Display) -> Self {
        Self {
            code,
            detail: detail.to_string(),
            retry_after_seconds: None,
            epoch: None,
            claim: None,
            blob: None,
            volume: None,
        }
    }

    /// The request is not what the route takes.
    pub fn malformed(detail: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Malformed, detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, detail)
    }

    /// A fault of the server's own.
    pub fn internal(detail: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Internal, detail)
    }

    /// Too much to do.
    pub fn overloaded(detail: impl fmt::Display, retry_after_seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(ErrorCode::Overloaded, detail)
        }
    }

    /// The node needs the chain up to `number` first.
    pub fn need_epoch(number: EpochNumber) -> Self {
        Self {
            epoch: Some(number),
            ..Self::new(
                ErrorCode::NeedEpoch,
                format_args!("epoch record {number} is not accepted here: push the chain first"),
            )
        }
    }

    /// The claim id was confirmed for another blob.
    pub fn claim_bound(claim: ClaimId, bound: BlobId, offered: BlobId) -> Self {
        Self {
            claim: Some(claim),
            blob: Some(bound),
            ..Self::new(
                ErrorCode::ClaimBound,
                format_args!(
                    "claim {claim} is bound to blob {bound}, not {offered}: another writer was \
                     first; read it, or make the blob anew under a new claim"
                ),
            )
        }
    }

    /// The body has more than `cap_bytes`.
    pub fn body_too_large(cap_bytes: usize) -> Self {
        Self::new(
            ErrorCode::BodyTooLarge,
            format_args!("the body has more than the {cap_bytes} bytes that are taken here"),
        )
    }

    /// With a time to come back.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    /// With the claim it is about.
    #[must_use]
    pub fn about_claim(self, claim: ClaimId) -> Self {
        Self { claim: Some(claim), ..self }
    }

    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// The whole HTTP response.
    pub fn to_response(&self) -> Response<Bytes> {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        Self::malformed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_text_and_a_status_of_refusal() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
        let texts: std::collections::BTreeSet<_> =
            ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn an_error_comes_back_with_its_facts() {
        let (claim, bound) = (ClaimId([1; 16]), BlobId([2; 32]));
        let error = ApiError::claim_bound(claim, bound, BlobId([3; 32])).retry_after(7);
        let response = error.to_response();
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(serde_json::from_slice::<ApiError>(response.body()).unwrap(), error);
        let plain = ApiError::not_found("no blob");
        let json = serde_json::to_string(&plain).unwrap();
        assert_eq!(json, r#"{"code":"not-found","detail":"no blob"}"#);
    }
}
