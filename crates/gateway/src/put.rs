//! Writing: PUT of a blob under its name.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use floe_client::{BoxError, Resolution, ResolveError, Wish, WriteError, Written};
use floe_env::timeout;
use floe_model::{BlobName, Certificate, Claim, Namespace, SignedClaim, Ticket};
use futures::{Stream, StreamExt as _};
use http::header::{CONTENT_TYPE, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::app::{App, InPath, MOST_WRITES, json, object_problem, parameter};
use crate::auth::Verb;
use crate::blobs::{BlobStatus, resolve_problem};
use crate::objects::{BlobObject, FullName, ObjectState};
use crate::opening::{Opening, wish};
use crate::pace::{Pace, TooSlow};
use crate::problem::{Kind, Problem};
use crate::ticket::{self, TooLarge};

/// The media type of content that has none.
const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

/// `PUT /v1/namespaces/{namespace}/blobs/{name}`: 201 when it is certified, 200 when the name
/// already has these bytes.
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    InPath((namespace, name)): InPath<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (namespace, name): (Namespace, BlobName) = (parameter(&namespace)?, parameter(&name)?);
    if let Some(ticket) = ticket::shown(&headers) {
        let ticket = ticket::admit(&app, ticket, &headers, (&namespace, &name)).await?;
        return put_for(&app, ticket, &headers, body).await;
    }
    let user = app.allow(&headers, Verb::Update, &namespace, Some(&name)).await?;
    let _place = place(&app.write_places)?;
    let mut promised = promised(&headers)?;
    let content_type = content_type(&headers)?;
    let name = app.full_name(namespace, name).await?;
    let uid = name.namespace_uid;
    let _change = app.resolved.changing((uid, name.name.clone()));
    match app.client.resolve(uid, &name.name).await.map_err(|error| unresolved(&error))? {
        Resolution::Found(certified) if headers.contains_key(IF_NONE_MATCH) => {
            let detail = format!("{name} exists as {}", certified.0.body.blob);
            Err(Problem::new(Kind::PreconditionFailed, detail))
        }
        Resolution::Found(certified) => {
            let Some(object) = successor(&app, &name, &certified.0.body).await? else {
                compare(&certified.0, Checked::new(&app, body, promised).stream()).await?;
                return hold(&app, &certified.0, &certified.1).await;
            };
            promised.extend(object.sha256.map(|digest| Promise { by: "spec.digest", digest }));
            let body = Checked::new(&app, body, promised).stream();
            write(&app, wish(name, object, content_type), body).await
        }
        Resolution::Absent { last_release } => {
            let opening = Opening { user: &user, name: &name, content_type };
            let object = opening.open(&app, last_release.as_deref()).await?;
            promised.extend(object.sha256.map(|digest| Promise { by: "spec.digest", digest }));
            let body = Checked::new(&app, body, promised).stream();
            write(&app, wish(name, object, content_type), body).await
        }
    }
}

/// A PUT under a ticket: the object is the ticket's, whatever the name stands for before it.
async fn put_for(
    app: &Arc<App>,
    ticket: Ticket,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let _place = place(&app.write_places)?;
    let mut promised = promised(headers)?;
    promised.extend(ticket.sha256.map(|digest| Promise { by: "the ticket", digest }));
    let body = ticket::limited(Checked::new(app, body, promised).stream(), ticket.largest_bytes);
    let uid = ticket.namespace_uid;
    let _change = app.resolved.changing((uid, ticket.name.clone()));
    match app.client.resolve(uid, &ticket.name).await.map_err(|error| unresolved(&error))? {
        Resolution::Found(certified) if certified.0.body.claim == ticket.claim => {
            compare(&certified.0, body).await?;
            hold(app, &certified.0, &certified.1).await
        }
        Resolution::Found(certified) if certified.0.body.created > ticket.created => {
            let detail = format!(
                "{}/{} has content of a newer Blob than the ticket's",
                ticket.namespace, ticket.name
            );
            Err(Problem::new(Kind::ContentDiffers, detail))
        }
        // Content of an older one, which nobody could release, is followed by this.
        Resolution::Found(_) | Resolution::Absent { .. } => {
            write(app, ticket::wish(ticket), body).await
        }
    }
}

/// The object that takes the place of what the name holds; `None` if that stays.
async fn successor(
    app: &App,
    name: &FullName,
    held: &Claim,
) -> Result<Option<BlobObject>, Problem> {
    let found = app.objects.find(name, None, app.now()).await;
    let found = found.map_err(|error| object_problem(&error))?;
    match found.as_ref().map_or(Fate::Stays, |object| fate(object, held)) {
        Fate::Stays => Ok(None),
        Fate::Followed => Ok(found),
        Fate::Leaves => {
            let detail = format!("Blob {name} is being deleted; try again");
            Err(Problem::new(Kind::BeingDeleted, detail))
        }
    }
}

/// What becomes of the content that a name holds.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Its bytes are those of the name.
    Stays,
    /// It is about to be released: to say that its bytes are there would be true for a moment.
    Leaves,
    /// Its object went without a release; the one that the name has now waits for bytes.
    Followed,
}

fn fate(object: &BlobObject, held: &Claim) -> Fate {
    match object.state {
        ObjectState::Leaving if object.claim == held.claim => Fate::Leaves,
        ObjectState::Uploaded if object.claim != held.claim && object.created >= held.created => {
            Fate::Followed
        }
        _ => Fate::Stays,
    }
}

/// A write holds its place until its whole body has come.
fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, Problem> {
    places.try_acquire().map_err(|_| {
        let detail = format!("{MOST_WRITES} writes are under way; try again");
        Problem::new(Kind::Overloaded, detail)
    })
}

fn content_type(headers: &HeaderMap) -> Result<&str, Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(DEFAULT_CONTENT_TYPE) };
    match value.to_str() {
        Ok("") => Ok(DEFAULT_CONTENT_TYPE),
        Ok(text) if text.len() <= floe_model::claim::LONGEST_CONTENT_TYPE_BYTES => Ok(text),
        _ => {
            let detail = "Content-Type: at most 255 ASCII characters";
            Err(Problem::new(Kind::InvalidRequest, detail))
        }
    }
}

async fn write(
    app: &App,
    wish: Wish,
    body: impl Stream<Item = Result<Bytes, BoxError>> + Send + Unpin + 'static,
) -> Result<Response, Problem> {
    app.metrics.writes.inc();
    let written = app.client.write(wish, body).await;
    app.metrics.writes.dec();
    let Written { claim, certificate, .. } = written.map_err(write_problem)?;
    let status = BlobStatus::new(&claim, &certificate);
    let mut response = json(StatusCode::CREATED, &status);
    let location = format!("/v1/namespaces/{}/blobs/{}", claim.body.namespace, claim.body.name);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The name has content: the same bytes are fine, others are a conflict. Nothing is stored.
async fn compare(
    claim: &SignedClaim,
    mut body: impl Stream<Item = Result<Bytes, BoxError>> + Unpin,
) -> Result<(), Problem> {
    let mut digest = Sha256::new();
    let mut length = 0_u64;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| body_problem(error.as_ref()))?;
        digest.update(&chunk);
        length += chunk.len() as u64;
        if length > claim.body.length {
            break;
        }
    }
    let same = length == claim.body.length
        && <[u8; 32]>::from(digest.finalize()) == claim.body.policy.sha256;
    if !same {
        let detail = format!(
            "{}/{} holds other bytes ({}, {} bytes); bytes never change under a name: use a new \
             name, or delete this one first",
            claim.body.namespace, claim.body.name, claim.body.blob, claim.body.length
        );
        return Err(Problem::new(Kind::ContentDiffers, detail));
    }
    Ok(())
}

/// The writer that had the certificate made may have ended before nodes acknowledged it: to say that
/// the bytes are there is a promise like that of the first write.
async fn hold(
    app: &App,
    claim: &SignedClaim,
    certificate: &Certificate,
) -> Result<Response, Problem> {
    app.client.acknowledge(claim, certificate).await.map_err(write_problem)?;
    Ok(json(StatusCode::OK, &BlobStatus::new(claim, certificate)))
}

/// A SHA-256 that the body is said to have.
struct Promise {
    /// Where that is said.
    by: &'static str,
    digest: [u8; 32],
}

/// What the sender promises: no coding is undone here, so both headers speak of the same bytes.
fn promised(headers: &HeaderMap) -> Result<Vec<Promise>, Problem> {
    let read = |by| header_digest(headers, by).transpose();
    let digests = ["Repr-Digest", "Content-Digest"].into_iter();
    digests.filter_map(|by| read(by).map(|digest| Ok(Promise { by, digest: digest? }))).collect()
}

fn header_digest(headers: &HeaderMap, name: &str) -> Result<Option<[u8; 32]>, Problem> {
    let Some(header) = headers.get(name) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default();
    let entry = text.split(',').map(str::trim).find_map(|one| one.strip_prefix("sha-256=:"));
    // Other algorithms are allowed beside it, and cannot be checked.
    let Some(entry) = entry else { return Ok(None) };
    let mut digest = [0; 32];
    if STANDARD.decode_slice(entry.trim_end_matches(':'), &mut digest) == Ok(32) {
        return Ok(Some(digest));
    }
    let detail = format!("{name} is not sha-256=:<44 characters of base64>:");
    Err(Problem::new(Kind::InvalidRequest, detail))
}

/// The bytes are not those of a promised digest.
#[derive(Debug, thiserror::Error)]
#[error("the body has the SHA-256 {found}, {by} says {promised}; nothing was certified")]
struct DigestMismatch {
    found: String,
    by: &'static str,
    promised: String,
}

/// A body that is counted, and that ends well only if it is what was promised.
struct Checked {
    app: Arc<App>,
    body: BodyDataStream,
    digest: Option<Sha256>,
    promised: Vec<Promise>,
    pace: Pace,
}

impl Checked {
    fn new(app: &Arc<App>, body: Body, promised: Vec<Promise>) -> Self {
        let digest = (!promised.is_empty()).then(Sha256::new);
        let body = body.into_data_stream();
        Self { app: Arc::clone(app), body, digest, promised, pace: Pace::new() }
    }

    fn stream(self) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + Unpin + 'static {
        Box::pin(futures::stream::unfold(Some(self), async |state| {
            let mut state = state?;
            let clock = Arc::clone(&state.app.env.clock);
            let (asked, left) = (clock.monotonic(), state.pace.left());
            let Ok(chunk) = timeout(clock.as_ref(), left, state.body.next()).await else {
                return Some((Err(TooSlow.into()), None));
            };
            match chunk {
                Some(Ok(chunk)) => {
                    state.pace.came(chunk.len(), clock.monotonic().saturating_sub(asked));
                    state.app.metrics.received_bytes.inc_by(chunk.len() as u64);
                    if let Some(digest) = &mut state.digest {
                        digest.update(&chunk);
                    }
                    Some((Ok(chunk), Some(state)))
                }
                Some(Err(error)) => Some((Err(error.into()), None)),
                None => state.verdict().map(|error| (Err(error), None)),
            }
        }))
    }

    fn verdict(self) -> Option<BoxError> {
        let found: [u8; 32] = self.digest?.finalize().into();
        broken(&self.promised, found).map(Into::into)
    }
}

fn broken(promised: &[Promise], found: [u8; 32]) -> Option<DigestMismatch> {
    let Promise { by, digest } = promised.iter().find(|promise| promise.digest != found)?;
    let (found, promised) = (STANDARD.encode(found), STANDARD.encode(digest));
    Some(DigestMismatch { found, by, promised })
}

fn body_problem(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Problem {
    let kind = if error.is::<DigestMismatch>() {
        Kind::DigestMismatch
    } else if error.is::<TooLarge>() {
        Kind::TooLarge
    } else {
        Kind::BodyIncomplete
    };
    Problem::new(kind, error.to_string())
}

/// To know what a name stands for takes as many nodes as to write it.
fn unresolved(error: &ResolveError) -> Problem {
    match error {
        ResolveError::NotEnoughNodes(few) => {
            Problem::new(Kind::WriteQuorumMissing, few.to_string())
        }
        ResolveError::Unresolved { .. } => resolve_problem(error),
    }
}

/// Why bytes are not, or not yet, certified.
pub(crate) fn write_problem(error: WriteError) -> Problem {
    let detail = error.to_string();
    let kind = match error {
        WriteError::Body(source) => return body_problem(source.as_ref()),
        WriteError::NotEnoughNodes(_) => Kind::WriteQuorumMissing,
        WriteError::StorageFull(_) => Kind::Full,
        WriteError::ClaimBound { .. }
        | WriteError::ClaimConflicted { .. }
        | WriteError::ClaimClosed { .. } => {
            let next =
                "release the name with ?unfinished=true (floe rm --unfinished), then write again";
            return Problem::new(Kind::WriteUnfinished, format!("{detail}; {next}"));
        }
        WriteError::ContentEnded { .. } => Kind::Deleted,
        WriteError::ClaimReleased { .. } => {
            return Problem::new(Kind::WriteUnfinished, format!("{detail}; write it again"));
        }
        WriteError::ContentType { .. } | WriteError::TooLong => Kind::InvalidRequest,
        WriteError::StatementRefused { .. }
        | WriteError::NotRegistrar
        | WriteError::Encoding(_)
        | WriteError::Compute(_)
        | WriteError::Stopped => Kind::Internal,
    };
    Problem::new(kind, detail)
}

#[cfg(test)]
mod tests {
    use floe_model::{BlobId, ClaimId, ContentPolicy, NamespaceUid, Timestamp};

    use super::*;
    use crate::app::MOST_REQUESTS;

    #[test]
    fn writes_leave_most_places_to_reads_and_give_theirs_back() {
        const { assert!(MOST_WRITES * 4 <= MOST_REQUESTS) };
        let places = Semaphore::new(MOST_WRITES);
        let mut held: Vec<_> = (0..MOST_WRITES).map(|_| place(&places).unwrap()).collect();
        assert_eq!(place(&places).unwrap_err().kind, Kind::Overloaded);
        held.pop();
        assert!(place(&places).is_ok());
    }

    #[test]
    fn content_stays_until_its_object_goes_or_another_waits() {
        let claim = |id: u8| ClaimId([id; 16]);
        let held = Claim {
            claim: claim(1),
            namespace: "shop".parse().unwrap(),
            namespace_uid: NamespaceUid([2; 16]),
            name: "model".parse().unwrap(),
            blob: BlobId([3; 32]),
            length: 1,
            policy: ContentPolicy { content_type: String::new(), sha256: [0; 32] },
            created: Timestamp(5),
            signed: Timestamp(6),
        };
        let imported = ObjectState::Imported("spec.source.inline");
        let table = [
            (1, 5, ObjectState::Uploaded, Fate::Stays),
            (1, 5, imported, Fate::Stays),
            (1, 5, ObjectState::Leaving, Fate::Leaves),
            (4, 9, ObjectState::Implied, Fate::Stays),
            (4, 9, ObjectState::Leaving, Fate::Stays),
            (4, 9, imported, Fate::Stays),
            (4, 9, ObjectState::Uploaded, Fate::Followed),
            (4, 5, ObjectState::Uploaded, Fate::Followed),
            (4, 4, ObjectState::Uploaded, Fate::Stays),
        ];
        for (id, created, state, expected) in table {
            let (content_type, sha256) = (None, None);
            let (claim, created) = (claim(id), Timestamp(created));
            let keeps_content = false;
            let object = BlobObject { claim, created, state, keeps_content, content_type, sha256 };
            assert_eq!(fate(&object, &held), expected, "{object:?}");
        }
    }

    #[test]
    fn every_promise_is_kept() {
        let header = |digest| format!("sha-256=:{}:", STANDARD.encode([digest; 32]));
        let mut headers = HeaderMap::new();
        headers.insert("repr-digest", header(1).parse().unwrap());
        headers.insert("content-digest", format!("md5=:eA==:, {}", header(2)).parse().unwrap());
        let both = promised(&headers).unwrap();
        assert_eq!(broken(&both, [1; 32]).unwrap().by, "Content-Digest");
        assert_eq!(broken(&both, [2; 32]).unwrap().by, "Repr-Digest");
        assert!(broken(&both[..1], [1; 32]).is_none() && broken(&[], [3; 32]).is_none());

        headers.insert("content-digest", "sha-256=:short:".parse().unwrap());
        let refused = promised(&headers).err().unwrap();
        assert_eq!(refused.kind, Kind::InvalidRequest);
        assert!(refused.detail.starts_with("Content-Digest"), "{}", refused.detail);
        headers.insert("content-digest", "md5=:eA==:".parse().unwrap());
        assert_eq!(promised(&headers).unwrap().len(), 1);
    }

    #[test]
    fn a_body_that_comes_too_slowly_is_incomplete() {
        let problem = body_problem(BoxError::from(TooSlow).as_ref());
        assert_eq!(problem.kind, Kind::BodyIncomplete);
        let expected = "the body came slower than 65536 bytes/s for 30 s; nothing was certified";
        assert_eq!(problem.detail, expected);
    }
}
