//! Port 9090: `/livez`, `/readyz`, `/metrics`, and nothing else.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use floe_api::report::ServingState;
use http::StatusCode;

use crate::node::Node;
use crate::routes;

/// The router of a node's probes.
pub(crate) fn router(node: &Arc<Node>) -> Router {
    let (live, ready, metered) = (Arc::clone(node), Arc::clone(node), Arc::clone(node));
    Router::new()
        .route("/livez", get(move || std::future::ready(livez(&live))))
        .route("/readyz", get(move || std::future::ready(readyz(&ready))))
        .route("/metrics", get(move || metrics(Arc::clone(&metered))))
}

/// The probes of a node whose volume is not its own: alive, never ready.
pub(crate) fn refusing(reason: &str) -> Router {
    let reason = reason.to_owned();
    let not_ready = move || std::future::ready((StatusCode::SERVICE_UNAVAILABLE, reason.clone()));
    Router::new().route("/livez", get(|| std::future::ready("ok"))).route("/readyz", get(not_ready))
}

fn livez(node: &Node) -> (StatusCode, String) {
    match node.signals.failed.borrow().as_ref() {
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason.clone()),
        None => (StatusCode::OK, "ok".to_owned()),
    }
}

fn readyz(node: &Node) -> (StatusCode, String) {
    let serving = routes::serving(node);
    match serving.state {
        ServingState::Serving => (StatusCode::OK, "ok".to_owned()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, serving.reason),
    }
}

async fn metrics(node: Arc<Node>) -> (StatusCode, String) {
    match routes::levels(&node).await {
        Ok(levels) => {
            node.metrics.set_levels(&levels);
            (StatusCode::OK, node.metrics.text())
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
