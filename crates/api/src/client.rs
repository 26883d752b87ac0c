//! The typed client: one method per route.

mod epochs;
mod repair;

use bytes::Bytes;
use floe_env::Env;
use floe_model::catalog::Bucket;
use floe_model::{
    Axis, BlobId, BlobName, ClaimId, ExtentIndex, FeedPosition, NamespaceUid, NodeName, PairIndex,
    SignedPermit, SignedRelease, UploadId,
};
use http::{Request, header};

use crate::error::ApiError;
use crate::messages::{
    CertificateAnswer, CertifiedClaim, Changes, Closing, CursorAnswer, Decode, Digests,
    EPOCH_HEADER, Encode, EpochHint, Extent, Finish, FinishAnswer, Holdings, Manifest, Metadata,
    Received, ReleaseAnswer, Sliver, Statements, Symbols, SymbolsWanted,
};
use crate::pieces::Pieces;
use crate::report::{IdentityReport, NodeReport};
use crate::role::Peer;
use crate::route::call::{Call, Span};
use crate::tls::{Credentials, TlsError, TlsIdentity};
use crate::transport::{Received as Response, Target, Transport, TransportError, TransportLimits};

/// A call that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke. Whether the node saw the request is unknown.
    #[error("{target} cannot be reached: {reason}")]
    Unreachable {
        /// Whom.
        target: String,
        /// Why.
        reason: String,
    },
    /// No whole answer in time. Whether the node saw the request is unknown.
    #[error("{target} gave no answer within {millis} ms")]
    Timeout {
        /// Who.
        target: String,
        /// The route's timeout.
        millis: u64,
    },
    /// The node refused.
    #[error(transparent)]
    Api(ApiError),
    /// The answer is not what the route carries: a fault of the node, or another version.
    #[error("{target} answered what route {route} does not carry: {reason}")]
    Protocol {
        /// Who.
        target: String,
        /// The route.
        route: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl CallError {
    /// The refusal, if it is one.
    pub const fn refusal(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// The newest epoch record that the answerer accepted, by its own word.
    pub epoch: Option<EpochHint>,
}

/// Calls storage nodes. Clones share their connections. Every call may be made again: all routes
/// are idempotent.
#[derive(Clone, Debug)]
pub struct NodeClient {
    transport: Transport,
}

impl NodeClient {
    /// A client that shows `identity` to the nodes of its own committee.
    pub fn new(
        env: &Env,
        identity: &TlsIdentity,
        limits: TransportLimits,
    ) -> Result<Self, TlsError> {
        Ok(Self { transport: Transport::new(env, identity, limits)? })
    }

    /// A client that shows what the credentials are at the time.
    pub fn with(env: &Env, credentials: Credentials, limits: TransportLimits) -> Self {
        Self { transport: Transport::with(env, credentials, limits) }
    }

    /// Who this process is to the nodes.
    pub fn own(&self) -> &Peer {
        self.transport.own()
    }

    /// [`Route::Identity`](crate::route::Route::Identity).
    pub async fn identity(&self, target: &Target) -> Result<Answer<IdentityReport>, CallError> {
        self.get(target, Call::Identity).await
    }

    /// [`Route::Report`](crate::route::Route::Report).
    pub async fn report(&self, target: &Target) -> Result<Answer<NodeReport>, CallError> {
        self.get(target, Call::Report).await
    }

    /// [`Route::OpenUpload`](crate::route::Route::OpenUpload).
    pub async fn open_upload(
        &self,
        target: &Target,
        permit: &SignedPermit,
    ) -> Result<Answer<()>, CallError> {
        self.send(target, Call::OpenUpload { upload: permit.body.upload }, permit).await
    }

    /// [`Route::PutExtent`](crate::route::Route::PutExtent).
    pub async fn put_extent<B: AsRef<[u8]>>(
        &self,
        target: &Target,
        upload: UploadId,
        extent: ExtentIndex,
        content: &Extent<B>,
    ) -> Result<Answer<()>, CallError> {
        self.send(target, Call::PutExtent { upload, extent }, content).await
    }

    /// As [`Self::put_extent`], for a body that is encoded already: see [`SliverFrame`](crate::messages::SliverFrame).
    pub async fn put_extent_body(
        &self,
        target: &Target,
        upload: UploadId,
        extent: ExtentIndex,
        body: Pieces,
    ) -> Result<Answer<()>, CallError> {
        let media_type = Extent::<Bytes>::MEDIA_TYPE;
        self.send_encoded(target, Call::PutExtent { upload, extent }, media_type, body).await
    }

    /// [`Route::Finish`](crate::route::Route::Finish).
    pub async fn finish<B: AsRef<[u8]>>(
        &self,
        target: &Target,
        upload: UploadId,
        finish: &Finish<B>,
    ) -> Result<Answer<FinishAnswer>, CallError> {
        self.send(target, Call::Finish { upload }, finish).await
    }

    /// As [`Self::finish`], for a body that is encoded already.
    pub async fn finish_body(
        &self,
        target: &Target,
        upload: UploadId,
        body: Pieces,
    ) -> Result<Answer<FinishAnswer>, CallError> {
        let media_type = Finish::<Bytes>::MEDIA_TYPE;
        self.send_encoded(target, Call::Finish { upload }, media_type, body).await
    }

    /// [`Route::PutCertificate`](crate::route::Route::PutCertificate).
    pub async fn put_certificate(
        &self,
        target: &Target,
        certified: &CertifiedClaim,
    ) -> Result<Answer<CertificateAnswer>, CallError> {
        let claim = certified.claim.body.claim;
        self.send(target, Call::PutCertificate { claim }, certified).await
    }

    /// [`Route::PutRelease`](crate::route::Route::PutRelease).
    pub async fn put_release(
        &self,
        target: &Target,
        release: &SignedRelease,
    ) -> Result<Answer<ReleaseAnswer>, CallError> {
        self.send(target, Call::PutRelease { claim: release.body.claim }, release).await
    }

    /// [`Route::Close`](crate::route::Route::Close).
    pub async fn close(
        &self,
        target: &Target,
        claim: ClaimId,
    ) -> Result<Answer<Closing>, CallError> {
        self.send(target, Call::Close { claim }, &()).await
    }

    /// [`Route::Resolve`](crate::route::Route::Resolve).
    pub async fn resolve(
        &self,
        target: &Target,
        namespace_uid: NamespaceUid,
        name: BlobName,
    ) -> Result<Answer<Statements>, CallError> {
        self.get(target, Call::Resolve { namespace_uid, name, released: false }).await
    }

    /// As [`Self::resolve`], with the claims that a release covers and whose content may be taken
    /// over.
    pub async fn resolve_released(
        &self,
        target: &Target,
        namespace_uid: NamespaceUid,
        name: BlobName,
    ) -> Result<Answer<Statements>, CallError> {
        self.get(target, Call::Resolve { namespace_uid, name, released: true }).await
    }

    /// [`Route::List`](crate::route::Route::List).
    pub async fn list(
        &self,
        target: &Target,
        namespace_uid: NamespaceUid,
        after: Option<BlobName>,
        limit: u32,
    ) -> Result<Answer<Statements>, CallError> {
        self.get(target, Call::List { namespace_uid, after, limit }).await
    }

    /// [`Route::Manifest`](crate::route::Route::Manifest).
    pub async fn manifest(
        &self,
        target: &Target,
        blob: BlobId,
    ) -> Result<Answer<Manifest<Received>>, CallError> {
        self.get(target, Call::Manifest { blob }).await
    }

    /// [`Route::Metadata`](crate::route::Route::Metadata).
    pub async fn metadata(
        &self,
        target: &Target,
        blob: BlobId,
        extent: ExtentIndex,
    ) -> Result<Answer<Metadata<Received>>, CallError> {
        self.get(target, Call::Metadata { blob, extent }).await
    }

    /// [`Route::Sliver`](crate::route::Route::Sliver); `stripes` `None` is the whole one. The
    /// answer is of the axis and pair asked for.
    pub async fn sliver(
        &self,
        target: &Target,
        (blob, extent): (BlobId, ExtentIndex),
        (axis, pair): (Axis, PairIndex),
        stripes: Option<Span>,
    ) -> Result<Answer<Sliver<Received>>, CallError> {
        let call = Call::Sliver { blob, extent, axis, pair, stripes };
        let route = call.spec().name;
        let answer: Answer<Sliver<Received>> = self.get(target, call).await?;
        if (answer.value.axis, answer.value.pair) == (axis, pair) {
            return Ok(answer);
        }
        let (found_axis, found) = (answer.value.axis, answer.value.pair);
        let reason = format!("the {found_axis} sliver of pair {found}, not the {axis} of {pair}");
        Err(CallError::Protocol { target: target.to_string(), route, reason })
    }

    /// [`Route::Symbols`](crate::route::Route::Symbols). Every source of the answer is of the axis
    /// that crosses the sliver wanted.
    pub async fn symbols(
        &self,
        target: &Target,
        blob: BlobId,
        extent: ExtentIndex,
        wanted: SymbolsWanted,
    ) -> Result<Answer<Symbols<Received>>, CallError> {
        let call = Call::Symbols { blob, extent };
        let route = call.spec().name;
        let answer: Answer<Symbols<Received>> = self.send(target, call, &wanted).await?;
        let crossing = wanted.axis.other();
        match answer.value.sources.iter().find(|source| source.axis != crossing) {
            None => Ok(answer),
            Some(source) => {
                let reason = format!("symbols of {} sliver {}", source.axis, source.index);
                Err(CallError::Protocol { target: target.to_string(), route, reason })
            }
        }
    }

    /// [`Route::Holdings`](crate::route::Route::Holdings).
    pub async fn holdings(
        &self,
        target: &Target,
        blob: BlobId,
        extents: Span,
    ) -> Result<Answer<Holdings>, CallError> {
        self.get(target, Call::Holdings { blob, extents }).await
    }

    /// [`Route::Changes`](crate::route::Route::Changes).
    pub async fn changes(
        &self,
        target: &Target,
        after: Option<FeedPosition>,
        wait_millis: u64,
    ) -> Result<Answer<Changes>, CallError> {
        self.get(target, Call::Changes { after, wait_millis }).await
    }

    /// [`Route::Cursor`](crate::route::Route::Cursor).
    pub async fn cursor(
        &self,
        target: &Target,
        node: NodeName,
    ) -> Result<Answer<CursorAnswer>, CallError> {
        self.get(target, Call::Cursor { node }).await
    }

    /// [`Route::Digests`](crate::route::Route::Digests).
    pub async fn digests(&self, target: &Target) -> Result<Answer<Digests>, CallError> {
        self.get(target, Call::Digests).await
    }

    /// [`Route::Bucket`](crate::route::Route::Bucket).
    pub async fn bucket(
        &self,
        target: &Target,
        bucket: Bucket,
        after: Option<ClaimId>,
    ) -> Result<Answer<Statements>, CallError> {
        self.get(target, Call::Bucket { bucket, after }).await
    }

    async fn get<T: Decode>(&self, target: &Target, call: Call) -> Result<Answer<T>, CallError> {
        self.send(target, call, &()).await
    }

    async fn send<R: Encode, T: Decode>(
        &self,
        target: &Target,
        call: Call,
        body: &R,
    ) -> Result<Answer<T>, CallError> {
        self.send_encoded(target, call, R::MEDIA_TYPE, body.encode().into()).await
    }

    async fn send_encoded<T: Decode>(
        &self,
        target: &Target,
        call: Call,
        media_type: &'static str,
        body: Pieces,
    ) -> Result<Answer<T>, CallError> {
        let spec = call.spec();
        let protocol = |reason: String| CallError::Protocol {
            target: target.to_string(),
            route: spec.name,
            reason,
        };
        if body.len() > spec.request_cap_bytes {
            return Err(CallError::Api(ApiError::body_too_large(spec.request_cap_bytes)));
        }
        let request =
            request(&call, media_type, body).map_err(|error| protocol(error.to_string()))?;
        let response = self
            .transport
            .call(target, request, spec.response_cap_bytes, spec.timeout)
            .await
            .map_err(|error| call_error(target, spec.name, error))?;
        read_answer(&response).map_err(|error| match error {
            Refused::Api(error) => CallError::Api(*error),
            Refused::Protocol(reason) => protocol(reason),
        })
    }
}

fn request(call: &Call, media_type: &str, body: Pieces) -> Result<Request<Pieces>, http::Error> {
    let request = Request::builder().method(call.spec().method.clone()).uri(call.path_and_query());
    if body.is_empty() {
        request.body(body)
    } else {
        request.header(header::CONTENT_TYPE, media_type).body(body)
    }
}

fn call_error(target: &Target, route: &'static str, error: TransportError) -> CallError {
    let target = target.to_string();
    match error {
        TransportError::Unreachable(reason) => CallError::Unreachable { target, reason },
        TransportError::Timeout(after) => {
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            CallError::Timeout { target, millis }
        }
        TransportError::Protocol(reason) => CallError::Protocol { target, route, reason },
    }
}

enum Refused {
    Api(Box<ApiError>),
    Protocol(String),
}

fn read_answer<T: Decode>(response: &Response) -> Result<Answer<T>, Refused> {
    let status = response.status();
    let body = response.body();
    if !status.is_success() {
        return Err(match serde_json::from_slice::<ApiError>(body) {
            Ok(error) => Refused::Api(Box::new(error)),
            Err(_) => Refused::Protocol(format!("status {status} without an error's JSON")),
        });
    }
    let hint = response.headers().get(EPOCH_HEADER);
    let epoch = hint
        .map(|hint| hint.to_str().map_err(|error| error.to_string())?.parse())
        .transpose()
        .map_err(|error: String| Refused::Protocol(format!("header {EPOCH_HEADER}: {error}")))?;
    let value = T::decode(body).map_err(|error| Refused::Protocol(error.to_string()))?;
    Ok(Answer { value, epoch })
}
