//! The internal API as an axum router, built from the one table of routes: role, cap, timeout and
//! the epoch header are the same for all of them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use floe_api::messages::EPOCH_HEADER;
use floe_api::{
    ApiError, Call, EpochHint, ErrorCode, Peer, ROUTES, Role, Route, RouteSpec, authorize,
};
use http::{HeaderValue, Response};
use http_body::Body as _;
use tokio::sync::oneshot;

use crate::node::Node;
use crate::routes;
use crate::throttle::Reserved;

/// Answers up to here take no room: there are no more of them than connections.
const SMALL_ANSWER_BYTES: usize = 16 * 1024;

/// The router of a node.
pub(crate) fn router(node: &Arc<Node>) -> Router {
    let mut router = Router::new();
    for spec in &ROUTES {
        let node = Arc::clone(node);
        let handler = move |request: Request| {
            let node = Arc::clone(&node);
            async move { handle(&node, spec, request).await.map(Body::from) }
        };
        router = router.route(spec.path, on(filter(spec), handler));
    }
    with_fallbacks(router)
}

/// The router of a node whose volume is not its own: it says so.
pub(crate) fn refusing(reason: &str) -> Router {
    let error = ApiError::new(ErrorCode::NotServing, reason);
    let refuse = move || {
        let response = error.to_response().map(Body::from);
        async move { response }
    };
    Router::new().fallback(refuse)
}

fn with_fallbacks(router: Router) -> Router {
    // The table's own reader names what is wrong with a path or a method.
    let refuse = |request: Request| async move {
        let (uri, method) = (request.uri(), request.method());
        let error = match Call::parse(method, uri.path(), uri.query()) {
            Err(error) => error,
            Ok(_) => ApiError::not_found("there is no such route"),
        };
        error.to_response().map(Body::from)
    };
    router.fallback(refuse).method_not_allowed_fallback(refuse)
}

fn filter(spec: &RouteSpec) -> MethodFilter {
    // The table has only methods that axum knows.
    MethodFilter::try_from(spec.method.clone()).unwrap_or(MethodFilter::TRACE)
}

async fn handle(node: &Arc<Node>, spec: &'static RouteSpec, request: Request) -> Response<Bytes> {
    let started = node.monotonic();
    let answer = floe_env::timeout(&*node.env.clock, spec.timeout, answer(node, spec, request));
    let answer = answer.await.unwrap_or_else(|elapsed| {
        Err(ApiError::overloaded(format_args!("route {}: {elapsed}", spec.name), 1))
    });
    let mut response = answer.unwrap_or_else(|error| {
        tracing::debug!(route = spec.name, %error, "a request was refused");
        error.to_response()
    });
    if let Some(hint) = epoch_hint(node) {
        response.headers_mut().insert(EPOCH_HEADER, hint);
    }
    let took = node.monotonic().saturating_sub(started);
    node.metrics.request(spec.name, response.status().as_u16(), took);
    node.metrics.body_sent(spec.name, response.body().len());
    response
}

fn epoch_hint(node: &Node) -> Option<HeaderValue> {
    let epoch = node.signals.epoch.borrow();
    let hint =
        epoch.as_ref().map(|epoch| EpochHint { number: epoch.record.number, hash: epoch.hash });
    HeaderValue::from_str(&hint?.to_string()).ok()
}

async fn answer(node: &Arc<Node>, spec: &RouteSpec, request: Request) -> routes::Answer {
    let peer = admitted(node, spec, &request)?;
    let uri = request.uri();
    let call = Call::parse(request.method(), uri.path(), uri.query())?;
    let announced = request.body().size_hint().exact();
    let bytes = announced
        .map_or(spec.request_cap_bytes, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if bytes > spec.request_cap_bytes {
        return Err(ApiError::body_too_large(spec.request_cap_bytes));
    }
    let reserved = if bytes > 0 { Some(node.reserve(peer.role, bytes)?) } else { None };
    let body = floe_api::body::read_capped(request.into_body(), spec.request_cap_bytes).await?;
    node.metrics.body_read(spec.name, body.len());
    let role = peer.role;
    let response = if spec.method == http::Method::GET {
        routes::answer(node, &peer, call, body).await?
    } else {
        to_its_end(node, (peer, reserved), call, body).await?
    };
    if response.body().len() <= SMALL_ANSWER_BYTES {
        return Ok(response);
    }
    let room = node.reserve(role, response.body().len())?;
    Ok(response.map(|bytes| room.keep_with(bytes)))
}

/// Answers what changes something, whether the one who asks still waits or not: what was recorded has
/// consequences (files to remove, slivers to rebuild) that nobody else would see to.
async fn to_its_end(
    node: &Arc<Node>,
    (peer, reserved): (Peer, Option<Reserved>),
    call: Call,
    body: Bytes,
) -> routes::Answer {
    let (said, answer) = oneshot::channel();
    let on_node = Arc::clone(node);
    let work = async move {
        let answer = routes::answer(&on_node, &peer, call, body).await;
        drop(reserved);
        // Whoever asked may be gone.
        let _ = said.send(answer);
    };
    node.env.spawn.spawn("answer", Box::pin(work)).detach();
    answer.await.unwrap_or_else(|_| Err(ApiError::internal("the request was not carried out")))
}

/// Who asks, if that one may and the node serves the route now.
fn admitted(node: &Node, spec: &RouteSpec, request: &Request) -> Result<Peer, ApiError> {
    let peer = request.extensions().get::<Peer>();
    authorize(spec, peer, &node.me.committee)?;
    let epoch = node.signals.epoch.borrow().clone();
    node.gate.admit(spec.route, epoch.is_some())?;
    let Some(peer) = peer else {
        return Err(ApiError::new(ErrorCode::Unauthenticated, "no client certificate"));
    };
    // A volume that was replaced, or is new, may not know so, or know more: chains are for all.
    let open = matches!(spec.route, Route::Identity | Route::Epoch | Route::PushEpoch);
    if let Some(epoch) = epoch
        && peer.role == Role::Node
        && !open
        && !epoch.names(&peer.name, peer.incarnation)
    {
        let (number, detail) = (epoch.record.number, "is not a member of epoch record");
        return Err(ApiError::new(
            ErrorCode::ForbiddenRole,
            format_args!("{peer} {detail} {number}"),
        ));
    }
    Ok(peer.clone())
}
