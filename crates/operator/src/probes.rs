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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use floe_env::{BoxStream, real_env};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn get(env: &Env, address: &str, path: &str) -> String {
        let mut stream: BoxStream = env.net.connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_say_whether_it_lives_and_does_its_part_and_what_it_did() {
        let env = real_env(1).unwrap();
        let listener = env.net.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address().unwrap().to_string();
        let (metrics, ready) = (Metrics::new().unwrap(), Readiness::default());
        metrics.reconciled("blob", Duration::from_millis(7), Some(true));
        metrics.wrote("blobs/status", &http::Method::PATCH);
        metrics.leads(true);
        let answering = answer(env.clone(), listener, metrics, ready.clone());
        let _answering = env.spawn.spawn("probes", Box::pin(answering));

        assert!(get(&env, &address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(get(&env, &address, "/readyz").await.starts_with("HTTP/1.1 503"));
        ready.set(true);
        assert!(get(&env, &address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(&env, &address, "/").await.starts_with("HTTP/1.1 404"));
        let shown = get(&env, &address, "/metrics").await;
        for line in [
            "floe_operator_reconcile_total{controller=\"blob\",result=\"error\"} 1",
            "floe_operator_reconcile_errors_total{controller=\"blob\",terminal=\"true\"} 1",
            "floe_operator_reconcile_time_seconds_count{controller=\"blob\"} 1",
            "floe_operator_api_writes_total{method=\"PATCH\",resource=\"blobs/status\"} 1",
            "floe_operator_leader_election_master_status 1",
        ] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
    }
}
