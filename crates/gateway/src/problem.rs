//! Errors of the gateway as RFC 9457 problem details.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// The kinds of problems. The slug is the last part of the `type` URI and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request makes no sense.
    InvalidRequest,
    /// No acceptable token.
    Unauthenticated,
    /// Not allowed.
    Forbidden,
    /// No such blob.
    NotFound,
    /// There is something, but not for this method.
    MethodNotAllowed,
    /// The name holds other bytes.
    ContentDiffers,
    /// An unfinished write of other bytes holds the name.
    WriteUnfinished,
    /// There is nothing to undelete: the name has content.
    NotDeleted,
    /// What was deleted is not kept any more.
    Deleted,
    /// The Blob object is being deleted.
    BeingDeleted,
    /// The Blob object is another committee's.
    OtherCommittee,
    /// The Blob object gets its bytes from elsewhere.
    NotAnUpload,
    /// The Blob object forbids that its content is released.
    Held,
    /// A condition of the request does not hold.
    PreconditionFailed,
    /// The range lies outside of the blob.
    RangeNotSatisfiable,
    /// The body is not what its digest says.
    DigestMismatch,
    /// The body broke off.
    BodyIncomplete,
    /// The blob's encoding is provably wrong.
    InconsistentBlob,
    /// Too busy.
    Overloaded,
    /// Too few nodes to write.
    WriteQuorumMissing,
    /// Too few nodes to know.
    ReadQuorumMissing,
    /// Too few slivers to read.
    NotEnoughSlivers,
    /// Nodes disagree about an old claim.
    Unresolved,
    /// Tokens cannot be checked.
    AuthorizerUnavailable,
    /// Blob objects cannot be looked up or made.
    ApiServerUnavailable,
    /// The body is longer than allowed.
    TooLarge,
    /// The nodes' disks are full.
    Full,
    /// A bug.
    Internal,
}

impl Kind {
    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::BodyIncomplete => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentDiffers
            | Self::WriteUnfinished
            | Self::NotDeleted
            | Self::BeingDeleted
            | Self::OtherCommittee
            | Self::NotAnUpload
            | Self::Held => StatusCode::CONFLICT,
            Self::Deleted | Self::InconsistentBlob => StatusCode::GONE,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::DigestMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Overloaded
            | Self::WriteQuorumMissing
            | Self::ReadQuorumMissing
            | Self::NotEnoughSlivers
            | Self::Unresolved
            | Self::AuthorizerUnavailable
            | Self::ApiServerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The slug and the title.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid-request", "The request is not valid"),
            Self::Unauthenticated => ("unauthenticated", "No acceptable bearer token"),
            Self::Forbidden => ("forbidden", "Not allowed"),
            Self::NotFound => ("not-found", "There is no such blob"),
            Self::MethodNotAllowed => ("method-not-allowed", "This method is of no use here"),
            Self::ContentDiffers => ("content-differs", "The name holds other bytes"),
            Self::WriteUnfinished => {
                ("write-unfinished", "Another write of this name is unfinished")
            }
            Self::NotDeleted => ("not-deleted", "The name has content"),
            Self::Deleted => ("deleted", "The content is not kept any more"),
            Self::BeingDeleted => ("being-deleted", "The blob is being deleted"),
            Self::OtherCommittee => ("other-committee", "Another committee keeps the blob"),
            Self::NotAnUpload => ("not-an-upload", "The blob takes no uploaded bytes"),
            Self::Held => ("held", "The content is to stay"),
            Self::PreconditionFailed => ("precondition-failed", "A condition does not hold"),
            Self::RangeNotSatisfiable => {
                ("range-not-satisfiable", "The range lies outside of the blob")
            }
            Self::DigestMismatch => ("digest-mismatch", "The digest does not match"),
            Self::BodyIncomplete => ("body-incomplete", "The body broke off"),
            Self::InconsistentBlob => ("inconsistent-blob", "The blob is provably wrongly encoded"),
            Self::Overloaded => ("overloaded", "Too busy"),
            Self::WriteQuorumMissing => ("write-quorum-missing", "Writes are stopped"),
            Self::ReadQuorumMissing => ("read-quorum-missing", "Names cannot be resolved"),
            Self::NotEnoughSlivers => ("not-enough-slivers", "Too few slivers answer"),
            Self::Unresolved => ("unresolved", "Nodes do not agree yet"),
            Self::AuthorizerUnavailable => ("authorizer-unavailable", "Tokens cannot be checked"),
            Self::ApiServerUnavailable => {
                ("api-server-unavailable", "The API server does not answer")
            }
            Self::TooLarge => ("too-large", "The body is longer than allowed"),
            Self::Full => ("full", "The nodes' disks are full"),
            Self::Internal => ("internal", "The gateway failed"),
        }
    }

    /// Seconds after which another try makes sense.
    const fn retry_after_seconds(self) -> Option<u32> {
        match self {
            Self::Overloaded | Self::BeingDeleted => Some(1),
            Self::Unresolved | Self::AuthorizerUnavailable | Self::ApiServerUnavailable => Some(5),
            Self::WriteQuorumMissing | Self::ReadQuorumMissing | Self::NotEnoughSlivers => Some(10),
            _ => None,
        }
    }
}

/// A problem of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What kind.
    pub(crate) kind: Kind,
    /// What happened, to what, and what to do next.
    pub(crate) detail: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
}

impl Problem {
    /// A problem of a kind.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, (slug, title)) = (self.kind.status(), self.kind.words());
        let retry_after_seconds = self.kind.retry_after_seconds();
        let body = Body {
            r#type: format!("https://floe.dev/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            reason: format!("{:?}", self.kind),
            retry_after_seconds,
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(seconds) = retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthenticated {
            let challenge = HeaderValue::from_static("Bearer realm=\"floe\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
