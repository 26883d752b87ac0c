//! What rebuilding works with, in a storage node and in a repair job alike.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_api::{ApiError, CallError, NodeClient, Target};
use floe_env::{Env, Work, compute};
use floe_model::{NodeName, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::post::Post;
use super::queue::Window;
use crate::metrics::Metrics;
use crate::suspects::Suspects;
use crate::throttle::ByteRate;

/// The span over which rates are shown.
const RATE_SPAN: Duration = Duration::from_mins(1);
/// Bytes of blobs that are worked on side by side.
const ROOM_BYTES: u64 = 16 << 20;
/// They are counted in units of so many.
const UNIT_BYTES: u64 = 64 << 10;

/// What rebuilding works with.
pub(crate) struct Tools {
    pub(crate) env: Env,
    pub(crate) peers: Post,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rate: ByteRate,
    pub(crate) suspects: Suspects,
    /// Extents of one blob that are worked on side by side.
    pub(crate) extents: usize,
    room: Semaphore,
    done: Mutex<Window>,
}

impl Tools {
    /// Calls peers through `client`, and reads so many bytes in a second from them.
    pub(crate) fn new(
        env: &Env,
        client: NodeClient,
        metrics: Arc<Metrics>,
        (bytes_per_second, extents): (Option<u64>, usize),
    ) -> Self {
        Self {
            env: env.clone(),
            peers: Post::new(client),
            metrics,
            rate: ByteRate::new(bytes_per_second),
            suspects: Suspects::default(),
            extents: extents.max(1),
            room: Semaphore::new(usize::try_from(ROOM_BYTES / UNIT_BYTES).unwrap_or(1)),
            done: Mutex::new(Window::new(RATE_SPAN)),
        }
    }

    /// Time since some moment.
    pub(crate) fn monotonic(&self) -> Duration {
        self.env.clock.monotonic()
    }

    /// Waits for room to work on a blob of so many bytes.
    pub(crate) async fn room(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        let units = bytes.clamp(UNIT_BYTES, ROOM_BYTES).div_ceil(UNIT_BYTES);
        self.room.acquire_many(u32::try_from(units).unwrap_or(1)).await.ok()
    }

    /// Runs a job on the pool, in the class of repair.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        compute(&*self.env.compute, Work::Repair, job).await.map_err(ApiError::internal)
    }

    /// What a peer sent fails its check.
    pub(crate) fn lied(&self, peer: &NodeName, what: &str) {
        tracing::warn!(%peer, what, "a peer's bytes fail their check");
        self.metrics.verification_failed(peer);
        let text = format!("node {peer} sent what does not verify: {what}");
        self.metrics.worker_failed("repair", Timestamp(self.env.clock.unix_millis()), &text);
        self.suspects.lied(peer, self.monotonic());
    }

    /// Whether the peer is worth asking now.
    pub(crate) fn answers(&self, target: &Target) -> bool {
        !self.suspects.is_silent(&target.node, self.monotonic())
    }

    /// A peer's answer, if there is one; silence is remembered.
    pub(crate) fn heard<T>(&self, target: &Target, answer: Result<T, CallError>) -> Option<T> {
        match answer {
            Ok(value) => {
                self.suspects.answered(&target.node);
                return Some(value);
            }
            Err(CallError::Unreachable { .. }) => {
                self.suspects.silent(&target.node, self.monotonic());
            }
            Err(CallError::Timeout { .. }) => self.suspects.hung(&target.node, self.monotonic()),
            Err(error) => tracing::debug!(%error, "a peer has nothing for repair"),
        }
        None
    }

    /// Payload for a sliver of some axis came in.
    pub(crate) fn spent(&self, bytes: usize) {
        self.rate.spend(self.monotonic(), bytes);
        self.note(0, bytes);
    }

    /// Waits until repair may read again.
    pub(crate) async fn pace(&self) {
        if let Some(wait) = self.rate.wait(self.monotonic()) {
            self.env.clock.sleep(wait).await;
        }
    }

    /// Bytes were {restored, read}.
    pub(crate) fn note(&self, restored: usize, read: usize) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.add(self.monotonic(), restored as u64, read as u64);
    }

    /// Bytes {restored, read} per second over the last minute.
    pub(crate) fn rates(&self) -> (u64, u64) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).rates(self.monotonic())
    }
}
