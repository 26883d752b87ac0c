//! `/livez`, `/readyz` and `/metrics`, in the clear.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use floe_api::server::{Limits, Security, serve};
use floe_env::{Env, Listener};
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::service_fn;

use crate::Metrics;

/// Whether a replica does its part: it waits for its turn, or leads and has read what there is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Answers until it is dropped.
pub(crate) async fn answer(
    env: Env,
    listener: Box<dyn Listener>,
    metrics: Metrics,
    ready: Readiness,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (status, text) = match request.uri().path() {
            "/livez" => (StatusCode::OK, "alive\n".to_owned()),
            "/readyz" if ready.get() => (StatusCode::OK, "ready\n".to_owned()),
            "/readyz" => {
                (StatusCode::SERVICE_UNAVAILABLE, "the objects were not read yet\n".to_owned())
            }
            "/metrics" => (StatusCode::OK, metrics.text()),
            _ => (StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let content_type = http::HeaderValue::from_static("text/plain; version=0.0.4");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        async { Ok::<_, Infallible>(response) }
    });
    serve(env, listener, Security::Plain, service, Limits::default(), std::future::pending()).await;
}
