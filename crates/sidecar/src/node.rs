//! The node's state, and the ways in which everything else touches it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_api::{ApiError, ErrorCode, NodeClient, Role, Target};
use floe_env::{Env, Work, compute};
use floe_model::{
    EpochRecord, FeedPosition, Geometry, Incarnation, NodeName, RecordHash, ShardIndex, Timestamp,
    Unverified,
};
use floe_plan::custody::{AcceptedRecord, Refusal};
use floe_plan::epoch::Identity;
use floe_store::{BlobKey, Entry, State, Store, StoreError, TransactError};
use tokio::sync::{Notify, watch};

use crate::config::Limits;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::refusal;
use crate::repair::Repairs;
use crate::rumours::Rumours;
use crate::throttle::{Foreground, Reserved};

/// Seconds after which a request may come again that found no room.
const OVERLOADED_RETRY_SECONDS: u32 = 1;

/// The epoch record that the node accepted, and this node's place in it.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) hash: RecordHash,
    pub(crate) record: EpochRecord,
    /// Its proof of commitment is held.
    pub(crate) committed: bool,
    /// This node's position among the members.
    pub(crate) position: usize,
    /// This node's shards.
    pub(crate) shards: Vec<ShardIndex>,
}

impl Epoch {
    pub(crate) const fn geometry(&self) -> Geometry {
        self.record.geometry
    }

    pub(crate) const fn accepted(&self) -> AcceptedRecord {
        AcceptedRecord { number: self.record.number, hash: self.hash, committed: self.committed }
    }

    /// Content released earlier than this is not owed any more.
    pub(crate) const fn released_after(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_sub(self.record.policy.undelete_window_millis))
    }

    /// The other members, with their positions.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (usize, Target)> + '_ {
        let members = self.record.members.iter().enumerate();
        let others = members.filter(|(at, _)| *at != self.position);
        others.map(|(at, member)| (at, Target::from(member)))
    }

    /// Whether this is a member's certificate, of its volume of now.
    pub(crate) fn names(&self, node: &str, incarnation: Incarnation) -> bool {
        let mut members = self.record.members.iter();
        members.any(|member| member.node.as_str() == node && member.incarnation == incarnation)
    }
}

/// The number of the last entry of the change feed that is on stable storage. Not a `watch`: that
/// one wakes those who wait in an order drawn from the process's own randomness, so that equal
/// seeds would not give equal simulations.
#[derive(Debug, Default)]
pub(crate) struct FeedEnd {
    sequence: AtomicU64,
    grown: Notify,
}

impl FeedEnd {
    /// The number.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// The feed ends at `sequence`, or further.
    pub(crate) fn reach(&self, sequence: u64) {
        if self.sequence.fetch_max(sequence, Ordering::AcqRel) < sequence {
            self.grown.notify_waiters();
        }
    }

    /// Ends when there is an entry behind `sequence`.
    pub(crate) async fn beyond(&self, sequence: u64) {
        loop {
            let mut grown = pin!(self.grown.notified());
            grown.as_mut().enable();
            if self.sequence() > sequence {
                return;
            }
            grown.await;
        }
    }
}

/// What parts of the node tell each other.
pub(crate) struct Signals {
    pub(crate) feed: FeedEnd,
    /// The accepted record.
    pub(crate) epoch: watch::Sender<Option<Arc<Epoch>>>,
    /// Why the process must end.
    pub(crate) failed: watch::Sender<Option<String>>,
    /// When the last byte came for a key, since the start.
    touched: Mutex<BTreeMap<BlobKey, Timestamp>>,
    /// Turns true when everything is to stop.
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) rumours: Rumours,
    started: Timestamp,
}

impl Signals {
    pub(crate) fn new(started: Timestamp, stop: watch::Receiver<bool>) -> Self {
        Self {
            stop,
            rumours: Rumours::default(),
            feed: FeedEnd::default(),
            epoch: watch::Sender::new(None),
            failed: watch::Sender::new(None),
            touched: Mutex::default(),
            started,
        }
    }

    /// Bytes came for a key.
    pub(crate) fn touch(&self, key: BlobKey, now: Timestamp) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
    }

    /// When the last byte may have come for a key: before the start nobody took notes.
    pub(crate) fn last_byte(&self, key: BlobKey) -> Timestamp {
        let touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.get(&key).copied().unwrap_or(self.started)
    }

    /// The key is gone.
    pub(crate) fn forget(&self, key: BlobKey) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

/// A storage node.
pub(crate) struct Node {
    pub(crate) env: Env,
    pub(crate) me: Identity,
    pub(crate) limits: Limits,
    pub(crate) store: Arc<Store>,
    pub(crate) peers: NodeClient,
    pub(crate) metrics: Arc<Metrics>,
    /// Room for requests of gateways and of the operator, and for the answers to them.
    pub(crate) foreground: Foreground,
    /// Room for those of other nodes: a liar must not take that of writers and readers.
    pub(crate) background: Foreground,
    pub(crate) repairs: Repairs,
    pub(crate) gate: Gate,
    pub(crate) signals: Signals,
}

impl Node {
    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.env.clock.unix_millis())
    }

    /// Time since some moment, for measuring and deadlines.
    pub(crate) fn monotonic(&self) -> Duration {
        self.env.clock.monotonic()
    }

    /// The accepted record.
    pub(crate) fn epoch(&self) -> Result<Arc<Epoch>, ApiError> {
        let epoch = self.signals.epoch.borrow().clone();
        epoch.ok_or_else(|| self.gate.no_epoch())
    }

    /// Runs a job on the pool.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        class: Work,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        compute(&*self.env.compute, class, job).await.map_err(ApiError::internal)
    }

    /// Runs a job with the store on the pool.
    pub(crate) async fn with_store<T: Send + 'static>(
        &self,
        class: Work,
        job: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = Arc::clone(&self.store);
        self.run(class, move || job(&store)).await?.map_err(|error| self.store_failed(&error))
    }

    /// Looks at the state.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        self.with_store(Work::Foreground, move |store| Ok(store.read(look))).await
    }

    /// Decides on the state and records the decision, in one step. Not durable by itself.
    pub(crate) async fn transact<T, D>(&self, decide: D) -> Result<T, ApiError>
    where
        T: Send + 'static,
        D: FnOnce(&State) -> Result<(Vec<Entry>, T), ApiError> + Send + 'static,
    {
        let store = Arc::clone(&self.store);
        let outcome = self.run(Work::Foreground, move || store.transact(decide)).await?;
        outcome.map_err(|error| match error {
            TransactError::Refused(refused) => refused,
            TransactError::Store(error) => self.store_failed(&error),
        })
    }

    /// Waits until everything written so far is on stable storage.
    pub(crate) async fn sync(&self) -> Result<(), ApiError> {
        let started = self.monotonic();
        let head = self
            .with_store(Work::Foreground, |store| store.sync().map(|()| store.feed_head()))
            .await?;
        self.metrics.synced(self.monotonic().saturating_sub(started));
        self.signals.feed.reach(head);
        Ok(())
    }

    /// What a client is told of a failed store; a store that takes no more writes ends the process.
    pub(crate) fn store_failed(&self, error: &StoreError) -> ApiError {
        let code = match error {
            StoreError::StorageFull { .. } => ErrorCode::StorageFull,
            StoreError::Failed { .. } | StoreError::LogDamaged { .. } => {
                self.signals.failed.send_if_modified(|failed| {
                    let first = failed.is_none();
                    failed.get_or_insert_with(|| error.to_string());
                    first
                });
                ErrorCode::NotServing
            }
            StoreError::UnknownKey(_) | StoreError::UnknownExtent { .. } => ErrorCode::NotFound,
            _ => ErrorCode::Internal,
        };
        ApiError::new(code, error)
    }

    /// The end of the node's own change feed that is on stable storage.
    pub(crate) fn feed_position(&self) -> FeedPosition {
        FeedPosition { volume: self.me.volume, sequence: self.signals.feed.sequence() }
    }

    /// The record of the node's chain with this hash: a statement signed under an unknown one
    /// cannot be judged.
    pub(crate) async fn record_named(&self, named: RecordHash) -> Result<EpochRecord, ApiError> {
        let epoch = self.epoch()?;
        if named == epoch.hash {
            return Ok(epoch.record.clone());
        }
        let known = self.read(move |state| state.record(&named).cloned()).await?;
        let refused =
            || refusal::refused(Refusal::NeedEpoch { accepted: epoch.record.number, named });
        known.map(|signed| signed.record.clone()).ok_or_else(refused)
    }

    /// Takes room for bytes of a request or its answer.
    pub(crate) fn reserve(&self, role: Role, bytes: usize) -> Result<Reserved, ApiError> {
        let room = match role {
            Role::Gateway | Role::Operator => &self.foreground,
            Role::Node | Role::Repair => &self.background,
        };
        room.reserve(bytes).ok_or_else(|| {
            let detail = "too many bytes are in flight on this node: come back later";
            ApiError::overloaded(detail, OVERLOADED_RETRY_SECONDS)
        })
    }

    /// A peer sent bytes that fail their check.
    pub(crate) fn verification_failed(&self, peer: &NodeName, what: &str) {
        tracing::warn!(%peer, what, "a peer's bytes fail their check");
        self.metrics.verification_failed(peer);
        let text = format!("node {peer} sent what does not verify: {what}");
        self.metrics.worker_failed("repair", self.now(), &text);
        self.repairs.suspects.lied(peer, self.monotonic());
    }
}

/// Bytes that came over the wire.
pub(crate) type Received = Unverified<Vec<u8>>;
