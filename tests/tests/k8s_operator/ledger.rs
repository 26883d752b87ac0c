//! What an operator writes to the API server, seen from outside.

use std::sync::{Arc, Mutex};

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use tower::service_fn;

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) method: Method,
    /// Path behind the namespace: `configmaps/main-0-0`.
    pub(crate) path: String,
}

/// All writes of an operator but those of its Lease. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Write>>>);

impl Ledger {
    /// Counts anew.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Writes since it was cleared.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.0.lock().unwrap().clone()
    }

    /// The operator's way to the API server, through this ledger.
    pub(crate) fn client(&self, client: &Client) -> Client {
        let (ledger, inner) = (self.clone(), client.clone());
        let service = service_fn(move |request: Request<Body>| {
            let inner = inner.clone();
            if let Some(path) = counted(&request) {
                let method = request.method().clone();
                ledger.0.lock().unwrap().push(Write { method, path });
            }
            async move { inner.send(request).await }
        });
        Client::new(service, client.default_namespace())
    }
}

/// What a request writes to; nothing if it only reads, or renews the Lease.
fn counted(request: &Request<Body>) -> Option<String> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path();
    let behind = match path.split_once("/namespaces/") {
        Some((_, rest)) => rest.split_once('/').map_or("namespaces", |(_, behind)| behind),
        None => path.trim_start_matches("/apis/").split_once("/v1/").map_or(path, |(_, it)| it),
    };
    (!behind.starts_with("leases")).then(|| behind.to_owned())
}
