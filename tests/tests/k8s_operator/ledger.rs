//! What an operator writes to the API server, seen from outside; and its death at any of these writes.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use http::{Method, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tower::service_fn;

/// Whether the API server sees the last write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// The write at which an operator dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Death {
    /// Counted from 1.
    pub(crate) write: usize,
    pub(crate) moment: Moment,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) method: Method,
    /// Path behind the namespace: `configmaps/main-0-0`.
    pub(crate) path: String,
    /// Nothing if no answer came.
    pub(crate) status: Option<StatusCode>,
}

/// All writes of an operator but those of its Lease. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    /// Operators that have died: what they were about to write is not heard.
    buried: usize,
    writes: Vec<Write>,
    death: Option<(Death, watch::Sender<bool>)>,
}

impl Ledger {
    /// Counts anew.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().writes.clear();
    }

    /// Counts anew; ends when the operator is to die.
    pub(crate) fn arm(&self, death: Death) -> impl Future<Output = ()> + Send + 'static {
        let (sender, mut receiver) = watch::channel(false);
        let mut pages = self.0.lock().unwrap();
        pages.writes.clear();
        pages.death = Some((death, sender));
        async move {
            // Disarmed: nobody dies.
            if receiver.wait_for(|died| *died).await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Whoever has this ledger's clients now is dead; whoever comes after lives.
    pub(crate) fn bury(&self) {
        let mut pages = self.0.lock().unwrap();
        pages.buried += 1;
        pages.death = None;
    }

    /// Writes since it was cleared or armed.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.0.lock().unwrap().writes.clone()
    }

    /// How many objects of each kind were made and deleted; Events tell of that and are not counted.
    pub(crate) fn made_and_deleted(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for write in self.writes() {
            let kind = write.path.split('/').next().unwrap_or_default().to_owned();
            let what = match (&write.method, write.status) {
                (_, Some(StatusCode::CREATED)) => "made",
                (&Method::DELETE, Some(status)) if status.is_success() => "deleted",
                _ => continue,
            };
            if kind != "events" {
                *counts.entry(format!("{kind} {what}")).or_default() += 1;
            }
        }
        counts
    }

    /// The operator's way to the API server, through this ledger.
    pub(crate) fn client(&self, client: &Client) -> Client {
        let (ledger, inner) = (self.clone(), client.clone());
        let life = self.0.lock().unwrap().buried;
        let service = service_fn(move |request: Request<Body>| {
            let (ledger, inner) = (ledger.clone(), inner.clone());
            async move {
                let Some(path) = counted(&request) else { return inner.send(request).await };
                let method = request.method().clone();
                if ledger.0.lock().unwrap().buried != life {
                    pending::<()>().await;
                }
                let (at, due) = ledger.note(Write { method, path, status: None });
                if due == Some(Moment::Before) {
                    ledger.die().await;
                }
                let answer = inner.send(request).await;
                ledger.answered(at, answer.as_ref().ok().map(http::Response::status));
                if due == Some(Moment::After) {
                    ledger.die().await;
                }
                answer
            }
        });
        Client::new(service, client.default_namespace())
    }

    fn note(&self, write: Write) -> (usize, Option<Moment>) {
        let mut pages = self.0.lock().unwrap();
        pages.writes.push(write);
        let at = pages.writes.len();
        let death = pages.death.as_ref().map(|(death, _)| *death);
        // Whoever writes on after the last write of its life is not heard either.
        let due = death
            .filter(|death| at >= death.write)
            .map(|death| if at == death.write { death.moment } else { Moment::Before });
        (at - 1, due)
    }

    fn answered(&self, at: usize, status: Option<StatusCode>) {
        if let Some(write) = self.0.lock().unwrap().writes.get_mut(at) {
            write.status = status;
        }
    }

    async fn die(&self) {
        if let Some((_, died)) = &self.0.lock().unwrap().death {
            died.send_replace(true);
        }
        pending::<()>().await;
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
