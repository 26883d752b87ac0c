//! Repair of holes: what this node owes and does not hold it rebuilds from its peers.

mod context;
mod crossing;
mod decode;
mod heal;
mod queue;
mod survey;
mod symbols;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_api::ApiError;
use floe_env::{BoxFuture, Work};
use floe_model::BlobId;
use tokio::sync::Notify;

use crate::node::{Epoch, Node};
use crate::suspects::Suspects;
use crate::throttle::ByteRate;
use crate::worker::{Step, Worker};
use heal::Outcome;
use queue::Queue;

/// How often everything owed is looked through, whatever was heard.
const LOOK_EVERY: Duration = Duration::from_mins(10);
/// How long the worker rests when nothing waits; it is woken by what comes.
const REST: Duration = Duration::from_mins(1);
/// The span over which rates are shown.
const RATE_SPAN: Duration = Duration::from_mins(1);

/// What waits for repair, and what repair knows of peers.
pub(crate) struct Repairs {
    queue: Mutex<Queue>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) rate: ByteRate,
    pub(crate) suspects: Suspects,
    done: Mutex<queue::Window>,
}

impl Repairs {
    /// Nothing waits; everything owed is to be looked through.
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            queue: Mutex::new(Queue::default()),
            wake: Arc::new(Notify::new()),
            rate: ByteRate::new(bytes_per_second),
            suspects: Suspects::default(),
            done: Mutex::new(queue::Window::new(RATE_SPAN)),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A blob lacks something here; `waited_for` if a client waits.
    pub(crate) fn want(&self, blob: BlobId, length: u64, waited_for: bool) {
        self.queue().want(blob, length, waited_for, Duration::ZERO);
        self.wake.notify_one();
    }

    /// A blob may lack something here; its turn comes not before a moment (monotonic).
    pub(crate) fn want_later(&self, blob: BlobId, length: u64, not_before: Duration) {
        self.queue().want(blob, length, false, not_before);
        self.wake.notify_one();
    }

    /// Something that was held is lost: everything owed is to be looked through.
    pub(crate) fn look(&self) {
        self.queue().look_at = Some(Duration::ZERO);
        self.wake.notify_one();
    }

    /// Bytes of blobs that wait.
    pub(crate) fn queued_bytes(&self) -> u64 {
        self.queue().bytes()
    }

    /// Bytes {restored, read} per second over the last minute.
    pub(crate) fn rates(&self, now: Duration) -> (u64, u64) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).rates(now)
    }

    fn note(&self, now: Duration, restored: usize, read: usize) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.add(now, restored as u64, read as u64);
    }
}

/// Repairs one blob's next extents at a time.
pub(crate) struct Repair(pub(crate) Arc<Node>);

impl Worker for Repair {
    fn name(&self) -> &'static str {
        "repair"
    }

    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
        Box::pin(async { step(&self.0).await.map_err(|error| error.to_string()) })
    }
}

async fn step(node: &Arc<Node>) -> Result<Step, ApiError> {
    let Some(epoch) = node.signals.epoch.borrow().clone() else { return Ok(Step::Idle(REST)) };
    if node.gate.refused().is_some() {
        return Ok(Step::Idle(REST));
    }
    let now = node.monotonic();
    if node.repairs.queue().look_due(now) {
        look_through(node, &epoch).await?;
        node.repairs.queue().look_at = Some(now + LOOK_EVERY);
    }
    if let Some(wait) = node.repairs.rate.wait(now) {
        return Ok(Step::Throttled(wait));
    }
    let next = node.repairs.queue().next(now);
    node.metrics.repair_queued(node.repairs.queue().len());
    let (blob, wanted) = match next {
        Ok(next) => next,
        Err(wait) => return Ok(Step::Idle(wait.unwrap_or(REST).min(REST))),
    };
    let outcome = heal::blob(node, &epoch, blob, &wanted).await;
    let now = node.monotonic();
    match outcome {
        Ok(Outcome::Whole | Outcome::Unwanted) => node.repairs.queue().done(&blob),
        Ok(Outcome::Progress { margin }) => node.repairs.queue().progress(&blob, margin),
        Ok(Outcome::Waiting { margin }) => node.repairs.queue().failed(&blob, margin, now),
        Err(error) => {
            node.repairs.queue().failed(&blob, None, now);
            return Err(error);
        }
    }
    node.metrics.repair_queued(node.repairs.queue().len());
    Ok(Step::Busy)
}

/// Queues every owed blob that lacks something.
async fn look_through(node: &Arc<Node>, epoch: &Arc<Epoch>) -> Result<(), ApiError> {
    let (of, released_after) = (Arc::clone(epoch), epoch.released_after(node.now()));
    let lacking = node.with_store(Work::Repair, move |store| {
        Ok(store.read(|state| {
            let lacks = |blob: &floe_store::Owed| {
                state.frozen(&blob.blob).is_none()
                    && !state.holds_all(&blob.blob, of.geometry(), &of.shards)
            };
            state.owed(released_after).filter(lacks).collect::<Vec<_>>()
        }))
    });
    let lacking = lacking.await?;
    let mut queue = node.repairs.queue();
    for blob in lacking {
        queue.want(blob.blob, blob.length, false, Duration::ZERO);
    }
    Ok(())
}
