//! Reading and listing blobs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floe_client::{ReadCheck, ReadError, Resolution, ResolveError};
use floe_model::{
    BlobId, BlobName, Certificate, Claim, ClaimId, Namespace, SignedClaim, Timestamp,
};
use futures::StreamExt as _;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::app::{App, InPath, InQuery, json, parameter};
use crate::auth::Verb;
use crate::objects::Recency;
use crate::problem::{Kind, Problem};
use crate::range::{Wanted, names_tag, wanted};
use crate::resolved::{Certified, weight};

/// Names of one page of a list.
const MOST_LISTED: u32 = 1000;

/// What is known of a certified blob.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlobStatus {
    namespace: Namespace,
    name: BlobName,
    #[serde(rename = "blobID")]
    blob: BlobId,
    size: u64,
    content_type: String,
    created: String,
    #[serde(rename = "claimID")]
    claim: ClaimId,
    sha256: String,
    shards: u16,
    max_faulty_shards: u16,
    stripes: u64,
    certificate_signers: Vec<usize>,
}

impl BlobStatus {
    /// The status of a claim with its certificate.
    pub(crate) fn new(claim: &SignedClaim, certificate: &Certificate) -> Self {
        let claim = &claim.body;
        let geometry = certificate.confirmation.geometry;
        Self {
            namespace: claim.namespace.clone(),
            name: claim.name.clone(),
            blob: claim.blob,
            size: claim.length,
            content_type: claim.policy.content_type.clone(),
            created: time(claim.created),
            claim: claim.claim,
            sha256: STANDARD.encode(claim.policy.sha256),
            shards: geometry.shards(),
            max_faulty_shards: geometry.faulty(),
            stripes: floe_model::BlobLayout::new(geometry, claim.length).stripes(),
            certificate_signers: certificate.signers.positions().collect(),
        }
    }
}

/// How a read is checked.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ReadQuery {
    #[serde(default)]
    check: String,
}

/// `GET` and `HEAD /v1/namespaces/{namespace}/blobs/{name}`.
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    InPath((namespace, name)): InPath<(String, String)>,
    InQuery(query): InQuery<ReadQuery>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let certified = found(&app, &headers, Verb::Get, &namespace, &name).await?;
    let claim = &certified.0.body;
    let tag = format!("\"{}\"", claim.blob);
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if header(IF_MATCH).is_some_and(|tags| !names_tag(tags, &tag, false)) {
        return Err(Problem::new(Kind::PreconditionFailed, format!("the blob is {tag}")));
    }
    if header(IF_NONE_MATCH).is_some_and(|tags| names_tag(tags, &tag, true)) {
        return answer(claim, &tag, StatusCode::NOT_MODIFIED, Body::empty());
    }
    let ranged = header(IF_RANGE).is_none_or(|condition| condition == tag);
    let (status, range) = match wanted(header(RANGE).filter(|_| ranged), claim.length) {
        Wanted::Whole => (StatusCode::OK, 0..claim.length),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => return unsatisfiable(claim),
    };
    let count = range.end - range.start;
    let part = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), claim.length);
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => content(&app, claim, range, &query).await.inspect_err(|_| {
            // What cannot be read may have been replaced: the next one asks nodes.
            app.resolved.forget(&(claim.namespace_uid, claim.name.clone()));
        })?,
    };
    let mut response = answer(claim, &tag, status, body)?;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(count));
    if status == StatusCode::PARTIAL_CONTENT {
        response.headers_mut().insert(CONTENT_RANGE, value(&part)?);
    }
    Ok(response)
}

/// The bytes, counted. What waits to be taken holds room that all readers share: the server drops a
/// connection that takes nothing for 30 s (`Limits::write_stall_timeout`), and with it this body and
/// its room. The stream breaks off if a check fails: the body is never ended cleanly.
async fn content(
    app: &Arc<App>,
    claim: &Claim,
    range: std::ops::Range<u64>,
    query: &ReadQuery,
) -> Result<Body, Problem> {
    let check = match query.check.as_str() {
        "" | "default" => ReadCheck::Default,
        "strict" => ReadCheck::Strict,
        other => {
            let detail = format!("check={other}: want default or strict");
            return Err(Problem::new(Kind::InvalidRequest, detail));
        }
    };
    let mut stream =
        app.client.read(claim, range, check).await.map_err(|error| read_problem(&error))?;
    // The first bytes decide over the status; after that an error can only cut the body off.
    let first = stream.next().await.transpose().map_err(|error| read_problem(&error))?;
    let app = Arc::clone(app);
    let counted = futures::stream::iter(first.map(Ok)).chain(stream).inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            app.metrics.sent_bytes.inc_by(chunk.len() as u64);
        }
    });
    Ok(Body::from_stream(counted))
}

fn answer(claim: &Claim, tag: &str, status: StatusCode, body: Body) -> Result<Response, Problem> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ETAG, value(tag)?);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(CONTENT_TYPE, value(&claim.policy.content_type)?);
    headers.insert(LAST_MODIFIED, value(&http_date(claim.created))?);
    let digest = format!("sha-256=:{}:", STANDARD.encode(claim.policy.sha256));
    headers.insert("repr-digest", value(&digest)?);
    Ok(response)
}

fn unsatisfiable(claim: &Claim) -> Result<Response, Problem> {
    use axum::response::IntoResponse as _;
    let detail = format!("the blob has {} bytes", claim.length);
    let mut response = Problem::new(Kind::RangeNotSatisfiable, detail).into_response();
    let range = value(&format!("bytes */{}", claim.length))?;
    response.headers_mut().insert(CONTENT_RANGE, range);
    Ok(response)
}

/// `GET /v1/namespaces/{namespace}/blobs/{name}/status`.
pub(crate) async fn blob_status(
    State(app): State<Arc<App>>,
    InPath((namespace, name)): InPath<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let certified = found(&app, &headers, Verb::Status, &namespace, &name).await?;
    Ok(json(StatusCode::OK, &BlobStatus::new(&certified.0, &certified.1)))
}

/// Which names to list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ListQuery {
    limit: Option<u32>,
    #[serde(default, rename = "continue")]
    after: String,
}

/// `GET /v1/namespaces/{namespace}/blobs`.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    InPath(namespace): InPath<String>,
    InQuery(query): InQuery<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let namespace: Namespace = parameter(&namespace)?;
    app.allow(&headers, Verb::List, &namespace, None).await?;
    let after = match query.after.as_str() {
        "" => None,
        name => Some(parameter::<BlobName>(name)?),
    };
    let limit = query.limit.unwrap_or(MOST_LISTED).clamp(1, MOST_LISTED);
    let uid = app.namespace_uid(&namespace, Recency::Kept).await?;
    let page = app.client.list(uid, after, limit).await.map_err(|error| resolve_problem(&error))?;
    let items: Vec<BlobStatus> =
        page.found.iter().map(|(claim, certificate)| BlobStatus::new(claim, certificate)).collect();
    let next = page.next.map(|name| name.to_string()).unwrap_or_default();
    let body = serde_json::json!({"items": items, "metadata": {"continue": next}});
    Ok(json(StatusCode::OK, &body))
}

/// The certified blob of a name, for those who may. To read it, an answer of the last seconds will
/// do, unless the request says otherwise.
async fn found(
    app: &App,
    headers: &HeaderMap,
    verb: Verb,
    namespace: &str,
    name: &str,
) -> Result<Arc<Certified>, Problem> {
    let (namespace, name): (Namespace, BlobName) = (parameter(namespace)?, parameter(name)?);
    app.allow(headers, verb, &namespace, Some(&name)).await?;
    let key = (app.namespace_uid(&namespace, Recency::Kept).await?, name);
    if !wants_fresh(headers)
        && let Some(kept) = app.resolved.get(&key, app.env.clock.monotonic())
    {
        return Ok(kept);
    }
    let asking = app.resolved.ask(&key, app.env.clock.monotonic());
    let resolution = app.client.resolve(key.0, &key.1).await;
    match resolution.map_err(|error| resolve_problem(&error))? {
        Resolution::Found(certified) => {
            let bytes = weight(&certified);
            let certified = Arc::<Certified>::from(certified);
            app.resolved.keep(key, asking, Arc::clone(&certified), bytes);
            Ok(certified)
        }
        Resolution::Absent { .. } => {
            app.resolved.forget(&key);
            Err(Problem::new(Kind::NotFound, format!("there is no blob {namespace}/{}", key.1)))
        }
    }
}

/// `Cache-Control: no-cache`: only what nodes say now will do.
fn wants_fresh(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split(',')).map(str::trim);
    words.any(|word| word.eq_ignore_ascii_case("no-cache"))
}

/// Why a name is not resolved.
pub(crate) fn resolve_problem(error: &ResolveError) -> Problem {
    let kind = match error {
        ResolveError::NotEnoughNodes(_) => Kind::ReadQuorumMissing,
        ResolveError::Unresolved { .. } => Kind::Unresolved,
    };
    Problem::new(kind, error.to_string())
}

pub(crate) fn read_problem(error: &ReadError) -> Problem {
    let kind = match error {
        ReadError::OutOfRange { .. } => Kind::RangeNotSatisfiable,
        ReadError::NoManifest { .. }
        | ReadError::NoMetadata { .. }
        | ReadError::NotEnoughSlivers { .. } => Kind::NotEnoughSlivers,
        ReadError::Inconsistent { .. } => Kind::InconsistentBlob,
        ReadError::Compute(_) | ReadError::Stopped => Kind::Internal,
    };
    Problem::new(kind, error.to_string())
}

fn value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text)
        .map_err(|_| Problem::new(Kind::Internal, "a header cannot be written"))
}

pub(crate) fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map(|time| time.to_string()).unwrap_or_default()
}

fn http_date(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_no_cache_asks_for_a_fresh_answer() {
        let table: [(&[&str], bool); 6] = [
            (&[], false),
            (&["no-cache"], true),
            (&["max-age=5, No-Cache"], true),
            (&["max-age=5", "no-cache"], true),
            (&["no-store"], false),
            (&["private, no-caches"], false),
        ];
        for (values, expected) in table {
            let value = |text: &&str| (CACHE_CONTROL, HeaderValue::from_str(text).unwrap());
            let mut headers = HeaderMap::new();
            values.iter().map(value).for_each(|(name, value)| {
                headers.append(name, value);
            });
            assert_eq!(wants_fresh(&headers), expected, "{values:?}");
        }
    }
}
