//! Questions to peers: small ones that come up while others are on their way go together, so that
//! many small slivers do not cost a round trip each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use floe_api::messages::{
    Batch, Decode, Encode as _, Holdings, Metadata, Part, Symbols, SymbolsOf, SymbolsWanted,
};
use floe_api::{ApiError, Call, CallError, NodeClient, Span, Target};
use floe_env::BoxFuture;
use floe_model::{BlobId, ExtentIndex};
use futures::FutureExt as _;
use futures::future::{Shared, WeakShared};
use tokio::sync::Semaphore;

use crate::node::Received;

/// Requests with batches that are on their way to one peer.
const BATCHES_PER_PEER: usize = 2;
/// Bytes of answers that one batch asks for.
const BATCH_BYTES: usize = 1 << 20;
/// An answer above this comes alone.
const SMALL_BYTES: usize = 128 << 10;
/// What an answer of unknown length may have.
const SHORT_BYTES: usize = 4 << 10;

type Answers = Result<Arc<Vec<Result<Bytes, ApiError>>>, CallError>;
type Sending = Shared<BoxFuture<'static, Answers>>;

/// Calls that go together; `None` once they are on their way.
type Waiting = Arc<Mutex<Option<(Vec<Part>, usize)>>>;

/// What batches to one peer share.
struct Peer {
    target: Target,
    permits: Semaphore,
    /// How often it was silent: who waited behind a question that was not answered waits no longer.
    silences: AtomicU64,
}

/// What goes to one peer.
struct Line {
    peer: Arc<Peer>,
    /// The batch that is being gathered; gone when nobody waits for it any more.
    open: Option<(Waiting, WeakShared<BoxFuture<'static, Answers>>)>,
}

impl Line {
    fn new(target: Target) -> Self {
        let (permits, silences) = (Semaphore::new(BATCHES_PER_PEER), AtomicU64::new(0));
        Self { peer: Arc::new(Peer { target, permits, silences }), open: None }
    }
}

/// Asks peers.
pub(crate) struct Post {
    /// For what does not come in batches.
    pub(crate) client: NodeClient,
    lines: Mutex<BTreeMap<Target, Line>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Post {
    /// Through this client.
    pub(crate) fn new(client: NodeClient) -> Self {
        Self { client, lines: Mutex::default() }
    }

    /// What a peer holds of some extents of a blob.
    pub(crate) async fn holdings(
        &self,
        target: &Target,
        blob: BlobId,
        extents: Span,
    ) -> Result<Holdings, CallError> {
        let part = Part { call: Call::Holdings { blob, extents }, body: Bytes::new() };
        self.ask(target, part, SHORT_BYTES).await
    }

    /// An extent's metadata, unchecked.
    pub(crate) async fn metadata(
        &self,
        target: &Target,
        (blob, extent): (BlobId, ExtentIndex),
        bytes: usize,
    ) -> Result<Received, CallError> {
        let part = Part { call: Call::Metadata { blob, extent }, body: Bytes::new() };
        Ok(self.ask::<Metadata<Received>>(target, part, bytes).await?.0)
    }

    /// Crossing symbols, `bytes` of them in all.
    pub(crate) async fn symbols(
        &self,
        target: &Target,
        (blob, extent): (BlobId, ExtentIndex),
        wanted: SymbolsWanted,
        bytes: usize,
    ) -> Result<Vec<SymbolsOf<Received>>, CallError> {
        if bytes > SMALL_BYTES {
            let answer = self.client.symbols(target, blob, extent, wanted).await;
            return answer.map(|answer| answer.value.sources);
        }
        let crossing = wanted.axis.other();
        let part = Part { call: Call::Symbols { blob, extent }, body: wanted.encode() };
        let symbols: Symbols<Received> = self.ask(target, part, bytes).await?;
        Ok(symbols.sources.into_iter().filter(|source| source.axis == crossing).collect())
    }

    async fn ask<T: Decode>(
        &self,
        target: &Target,
        part: Part,
        bytes: usize,
    ) -> Result<T, CallError> {
        let route = part.call.spec().name;
        let (sending, at) = self.join(target, part, bytes);
        let answers = sending.await?;
        // There are as many answers as calls.
        let answer = answers.get(at).cloned().unwrap_or_else(|| Ok(Bytes::new()));
        let body = answer.map_err(CallError::Api)?;
        T::decode(&body).map_err(|error| CallError::Protocol {
            target: target.to_string(),
            route,
            reason: error.to_string(),
        })
    }

    /// The batch that the call goes with, and its place there.
    fn join(&self, target: &Target, part: Part, bytes: usize) -> (Sending, usize) {
        let mut lines = lock(&self.lines);
        let line = lines.entry(target.clone()).or_insert_with(|| Line::new(target.clone()));
        if let Some((waiting, sending)) = &line.open
            && let Some(sending) = sending.upgrade()
            && let Some((parts, sum)) = &mut *lock(waiting)
            && parts.len() < Batch::MOST_PARTS
            && *sum + bytes <= BATCH_BYTES
        {
            parts.push(part);
            *sum += bytes;
            return (sending, parts.len() - 1);
        }
        let waiting: Waiting = Arc::new(Mutex::new(Some((vec![part], bytes))));
        let send = send(self.client.clone(), Arc::clone(&line.peer), Arc::clone(&waiting));
        let sending = send.boxed().shared();
        line.open = sending.downgrade().map(|sending| (waiting, sending));
        (sending, 0)
    }
}

/// Whoever waits for the batch drives it; if nobody does any more, it ends.
async fn send(client: NodeClient, peer: Arc<Peer>, waiting: Waiting) -> Answers {
    let silences = peer.silences.load(Ordering::Acquire);
    // An error means that the semaphore is closed, which nobody does.
    let _permit = peer.permits.acquire().await;
    let (parts, _) = lock(&waiting).take().unwrap_or_default();
    if peer.silences.load(Ordering::Acquire) != silences {
        let reason = "it did not answer what was asked before".to_owned();
        return Err(CallError::Unreachable { target: peer.target.to_string(), reason });
    }
    let answer = client.batch(&peer.target, &Batch { parts }).await;
    if matches!(answer, Err(CallError::Unreachable { .. } | CallError::Timeout { .. })) {
        peer.silences.fetch_add(1, Ordering::AcqRel);
    }
    Ok(Arc::new(answer?.value.answers))
}
