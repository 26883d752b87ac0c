//! The gateway's routes, and what every request goes through first.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use floe_api::NodeClient;
use floe_client::Client;
use floe_env::Env;
use floe_model::{BlobName, Namespace, NamespaceUid, Timestamp};
use http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::auth::{AuthError, Authenticator, User, Verb};
use crate::metrics::Metrics;
use crate::objects::{BlobObjects, FullName, ObjectError, Recency};
use crate::problem::{Kind, Problem};
use crate::resolved::Resolved;
use crate::{blobs, delete, put, status, ticket, undelete};

/// Requests whose answers have not begun; those beyond are turned away.
pub(crate) const MOST_REQUESTS: usize = 256;
/// Writes among them: their answers begin only behind their bodies, and reads always find a place.
pub(crate) const MOST_WRITES: usize = MOST_REQUESTS / 4;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What handlers share.
pub(crate) struct App {
    /// The world.
    pub(crate) env: Env,
    /// The way to single nodes, for their reports.
    pub(crate) nodes: NodeClient,
    /// The way to blobs.
    pub(crate) client: Client,
    /// Who may.
    pub(crate) authenticator: Arc<dyn Authenticator>,
    /// Which claim a name has.
    pub(crate) objects: Arc<dyn BlobObjects>,
    /// What names stood for a moment ago.
    pub(crate) resolved: Resolved,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// A place for each request whose answer has not begun.
    pub(crate) places: Semaphore,
    /// A place for each write among them.
    pub(crate) write_places: Semaphore,
}

impl App {
    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.env.clock.unix_millis())
    }

    /// Who sent the request.
    pub(crate) async fn user(&self, headers: &HeaderMap) -> Result<User, Problem> {
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
            let detail = "send the header Authorization: Bearer TOKEN";
            Problem::new(Kind::Unauthenticated, detail)
        })?;
        if ticket::shown(headers).is_some() {
            let detail = "a ticket is good for the PUT of its blob, for nothing else";
            return Err(Problem::new(Kind::Unauthenticated, detail));
        }
        self.authenticator.authenticate(token.trim()).await.map_err(|error| refusal(&error))
    }

    /// Lets the request through if its sender may do this; before anything is looked up.
    pub(crate) async fn allow(
        &self,
        headers: &HeaderMap,
        verb: Verb,
        namespace: &Namespace,
        name: Option<&BlobName>,
    ) -> Result<User, Problem> {
        let user = self.user(headers).await?;
        self.authorize(&user, verb, namespace, name).await?;
        Ok(user)
    }

    /// Whether somebody may do this.
    pub(crate) async fn authorize(
        &self,
        user: &User,
        verb: Verb,
        namespace: &Namespace,
        name: Option<&BlobName>,
    ) -> Result<(), Problem> {
        let decided = self.authenticator.authorize(user, verb, namespace, name).await;
        decided.map_err(|error| refusal(&error))
    }

    /// The name together with its namespace's UID, asked for now: for what changes something.
    pub(crate) async fn full_name(
        &self,
        namespace: Namespace,
        name: BlobName,
    ) -> Result<FullName, Problem> {
        let namespace_uid = self.namespace_uid(&namespace, Recency::Now).await?;
        Ok(FullName { namespace, namespace_uid, name })
    }

    /// A namespace's UID.
    pub(crate) async fn namespace_uid(
        &self,
        namespace: &Namespace,
        recency: Recency,
    ) -> Result<NamespaceUid, Problem> {
        let uid = self.objects.namespace_uid(namespace, recency).await;
        uid.map_err(|error| object_problem(&error))
    }
}

fn refusal(error: &AuthError) -> Problem {
    let kind = match error {
        AuthError::Unauthenticated(_) => Kind::Unauthenticated,
        AuthError::Forbidden { .. } => Kind::Forbidden,
        AuthError::Unavailable(_) => Kind::AuthorizerUnavailable,
    };
    Problem::new(kind, error.to_string())
}

/// Why there is no usable Blob object.
pub(crate) fn object_problem(error: &ObjectError) -> Problem {
    let kind = match error {
        ObjectError::NoNamespace(_) => Kind::NotFound,
        ObjectError::Forbidden(_) => Kind::Forbidden,
        ObjectError::OtherCommittee(_) => Kind::OtherCommittee,
        ObjectError::Invalid(_) => Kind::InvalidRequest,
        ObjectError::Unavailable(_) => Kind::ApiServerUnavailable,
    };
    Problem::new(kind, error.to_string())
}

/// The routes of applications.
pub(crate) fn router(app: Arc<App>) -> Router {
    routes().layer(middleware::from_fn_with_state(Arc::clone(&app), around)).with_state(app)
}

fn routes() -> Router<Arc<App>> {
    let one = get(blobs::read).head(blobs::read).put(put::put).delete(delete::delete);
    let router = Router::new()
        .route("/v1/namespaces/{namespace}/blobs", get(blobs::list))
        .route("/v1/namespaces/{namespace}/blobs/{name}", one)
        .route("/v1/namespaces/{namespace}/blobs/{name}/status", get(blobs::blob_status))
        .route("/v1/namespaces/{namespace}/blobs/{name}/undelete", post(undelete::undelete))
        .route("/v1/status", get(status::committee));
    refusing(router)
}

/// What no route serves is a problem like any other.
fn refusing<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.fallback(unknown_path).method_not_allowed_fallback(unknown_method)
}

async fn unknown_path(request: Request) -> Problem {
    Problem::new(Kind::NotFound, format!("there is nothing at {}", request.uri().path()))
}

/// Allow, which says what is possible, is added by the router.
async fn unknown_method(request: Request) -> Problem {
    let detail = format!("{} cannot be done at {}", request.method(), request.uri().path());
    Problem::new(Kind::MethodNotAllowed, detail)
}

/// Counts and dresses every answer.
async fn around(
    State(app): State<Arc<App>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let route = path.map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let id = floe_model::ClaimId(app.env.random.bytes::<16>()).to_string();
    let started = app.env.clock.monotonic();
    let mut response = if let Ok(_place) = app.places.try_acquire() {
        next.run(request).await
    } else {
        let detail = format!("{MOST_REQUESTS} requests are under way; try again");
        Problem::new(Kind::Overloaded, detail).into_response()
    };
    let seconds = app.env.clock.monotonic().saturating_sub(started).as_secs_f64();
    app.metrics.answered(&route, &method, response.status(), seconds);
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    response
}

/// The parameters of the path; what cannot be read is a problem like any other.
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Path::from_request_parts(parts, state).await;
        let refused = |text: String| Problem::new(Kind::InvalidRequest, text);
        read.map(|Path(read)| Self(read)).map_err(|error| refused(error.body_text()))
    }
}

/// The parameters behind the question mark; what cannot be read is a problem like any other.
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Query::from_request_parts(parts, state).await;
        let refused = |text: String| Problem::new(Kind::InvalidRequest, text);
        read.map(|Query(read)| Self(read)).map_err(|error| refused(error.body_text()))
    }
}

/// A path parameter that must parse.
pub(crate) fn parameter<T>(text: &str) -> Result<T, Problem>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error: T::Err| Problem::new(Kind::InvalidRequest, error.to_string()))
}

/// JSON with a status.
pub(crate) fn json(status: http::StatusCode, body: &impl serde::Serialize) -> Response {
    (status, axum::Json(serde_json::to_value(body).unwrap_or_default())).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures::executor::block_on;
    use http::{Method, StatusCode};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn answer(method: Method, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let routes = Router::new().route("/blob", get(async || "bytes").put(async || "written"));
        let request = http::Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let answer = block_on(refusing(routes).oneshot(request)).unwrap();
        let (head, body) = answer.into_parts();
        let body = block_on(body.collect()).unwrap().to_bytes();
        (head.status, head.headers, body.to_vec())
    }

    #[test]
    fn what_no_route_serves_is_a_problem() {
        let nothing = (StatusCode::NOT_FOUND, "not-found");
        let unable = (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed");
        let table = [
            (Method::GET, "/nowhere", nothing),
            (Method::POST, "/nowhere", nothing),
            (Method::HEAD, "/nowhere", nothing),
            (Method::POST, "/blob", unable),
            (Method::DELETE, "/blob", unable),
            (Method::OPTIONS, "/blob", unable),
        ];
        for (method, path, (status, slug)) in table {
            let (found, headers, body) = answer(method.clone(), path);
            assert_eq!(found, status, "{method} {path}");
            assert_eq!(headers["content-type"], "application/problem+json", "{method} {path}");
            let allow = headers.get("allow").map(|value| value.to_str().unwrap());
            let expected = (status == unable.0).then_some("GET,HEAD,PUT");
            assert_eq!(allow, expected, "{method} {path}");
            if method == Method::HEAD {
                assert!(body.is_empty(), "an answer to HEAD has no body");
                continue;
            }
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["type"], format!("https://floe.dev/problems/{slug}"));
            assert_eq!(body["status"], status.as_u16());
        }
        assert_eq!(answer(Method::HEAD, "/blob").0, StatusCode::OK);
    }
}
