//! `/livez`, `/readyz` and `/metrics`, in the clear.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;

use crate::metrics::Metrics;

/// The routes of probes and Prometheus.
pub(crate) fn router(metrics: Metrics, ready: Arc<AtomicBool>) -> Router {
    let readiness = move || async move {
        if ready.load(Ordering::Acquire) {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "no node has shown a committed epoch record yet\n")
        }
    };
    let text = move || async move {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.text())
    };
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readiness))
        .route("/metrics", get(text))
}
