//! The node's state, and the ways in which everything else touches it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_api::{ApiError, EpochHint, ErrorCode, NodeClient, Role, Target};
use floe_env::{Env, Work, compute};
use floe_model::{
    ClaimId, EpochRecord, FeedPosition, Geometry, Incarnation, Member, RecordHash, ShardIndex,
    SignedRecord, Timestamp, Unverified,
};
use floe_plan::custody::{Refusal, ServedRecord};
use floe_plan::epoch::Identity;
use floe_store::{BlobKey, Entry, State, Store, StoreError, TransactError, Window};
use tokio::sync::{Notify, watch};

use crate::ageing::Ageing;
use crate::config::Limits;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::refusal;
use crate::repair::Repairs;
use crate::rumours::Rumours;
use crate::running::{Moment, Running};
use crate::throttle::{Foreground, Reserved};
use crate::whole::Wholes;

/// Seconds after which a request may come again that found no room.
const OVERLOADED_RETRY_SECONDS: u32 = 1;

/// An epoch record as this node sees it: the one that it accepted last, or an older one under which
/// uploads go on ([`Epoch::under`]).
#[derive(Debug, Clone)]
pub(crate) struct Epoch {
    pub(crate) hash: RecordHash,
    pub(crate) record: EpochRecord,
    /// Its proof of commitment is held.
    pub(crate) committed: bool,
    /// This node's position among the members.
    pub(crate) position: usize,
    /// This node's shards.
    pub(crate) shards: Vec<ShardIndex>,
    /// The record that the node had accepted last when this was looked at.
    pub(crate) accepted: EpochHint,
    /// When the node learnt that a record above this one is committed.
    pub(crate) superseded: Option<Timestamp>,
    /// The older records of the chain that are committed and name this very volume.
    pub(crate) older: Vec<Arc<Self>>,
    /// Records from the newest committed one up to, without, this one: their members are heard too.
    pub(crate) uncertain: Vec<Arc<SignedRecord>>,
    /// Members that may hold what an unfilled shard lacks, newest owner first.
    pub(crate) previous: BTreeMap<ShardIndex, Vec<Member>>,
}

impl Epoch {
    pub(crate) const fn geometry(&self) -> Geometry {
        self.record.geometry
    }

    /// As decisions about uploads see it.
    pub(crate) const fn served(&self) -> ServedRecord {
        ServedRecord {
            accepted: self.accepted.number,
            hash: self.hash,
            committed: self.committed,
            superseded: self.superseded,
        }
    }

    /// The view of the record that a request names; of this one if it is served no more, or never
    /// was: decisions then refuse.
    pub(crate) fn under(self: &Arc<Self>, named: &RecordHash) -> Arc<Self> {
        Arc::clone(self.older.iter().find(|older| older.hash == *named).unwrap_or(self))
    }

    /// This node's shards that are unfilled.
    pub(crate) fn unfilled(&self) -> impl Iterator<Item = ShardIndex> + '_ {
        self.shards.iter().filter(|shard| self.record.unfilled.contains(shard)).copied()
    }

    /// Whether there are any.
    pub(crate) fn is_unfilled(&self) -> bool {
        self.unfilled().next().is_some()
    }

    /// The other members, with their positions.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (usize, Target)> + '_ {
        let members = self.record.members.iter().enumerate();
        let others = members.filter(|(at, _)| *at != self.position);
        others.map(|(at, member)| (at, Target::from(member)))
    }

    /// Whether this is a member's certificate, of its volume of now. While the record is not known to
    /// be committed, perhaps never is, those whom it replaces are members still.
    pub(crate) fn names(&self, node: &str, incarnation: Incarnation) -> bool {
        let records = self.uncertain.iter().map(|signed| &signed.record).chain([&self.record]);
        let mut members = records.flat_map(|record| &record.members);
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
    /// When the last byte came for a key, since the start, and under which claim.
    touched: Mutex<BTreeMap<BlobKey, BTreeMap<ClaimId, Timestamp>>>,
    pub(crate) running: Running,
    /// Turns true when everything is to stop.
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) rumours: Rumours,
    pub(crate) ageing: Ageing,
    /// A chain of epoch records is being fetched.
    pub(crate) fetching: AtomicBool,
    /// Held by who announces an epoch record.
    pub(crate) announcing: tokio::sync::Mutex<()>,
    started: Timestamp,
}

impl Signals {
    pub(crate) fn new(started: Timestamp, running: Running, stop: watch::Receiver<bool>) -> Self {
        Self {
            stop,
            running,
            rumours: Rumours::default(),
            ageing: Ageing::default(),
            fetching: AtomicBool::new(false),
            announcing: tokio::sync::Mutex::default(),
            feed: FeedEnd::default(),
            epoch: watch::Sender::new(None),
            failed: watch::Sender::new(None),
            touched: Mutex::default(),
            started,
        }
    }

    /// Bytes came for a key, or a claim was to be finished with what lies there.
    pub(crate) fn touch(&self, key: BlobKey, claim: ClaimId, now: Timestamp) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.entry(key).or_default().insert(claim, now);
    }

    /// When bytes came for a key the last time since the start, under a claim that is `open`.
    pub(crate) fn touched(
        &self,
        key: BlobKey,
        open: impl Fn(&ClaimId) -> bool,
    ) -> Option<Timestamp> {
        let touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = touched.get(&key).into_iter().flatten();
        of_key.filter(|(claim, _)| open(claim)).map(|(_, at)| *at).max()
    }

    /// What came before is of no use any more.
    pub(crate) fn forget_touches(&self, before: Timestamp) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.retain(|_, claims| {
            claims.retain(|_, at| *at >= before);
            !claims.is_empty()
        });
    }

    /// The start of this process: before it nobody took notes.
    pub(crate) const fn started(&self) -> Timestamp {
        self.started
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
    pub(crate) wholes: Wholes,
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

    /// The moment at which something is stored.
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.now(), ran_millis: self.signals.running.millis(self.monotonic()) }
    }

    /// What is released is owed for so long.
    pub(crate) fn window(&self, epoch: &Epoch) -> Window {
        Window {
            now: self.now(),
            ran_millis: self.signals.running.millis(self.monotonic()),
            undelete_millis: epoch.record.policy.undelete_window_millis,
        }
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

    /// Decides under an epoch record and records the decision, in one step, in which the node has still
    /// accepted the record that it had accepted when `epoch` was looked at. Without that a node would
    /// promise something under an older record after it accepted a newer one, and after a new volume
    /// has read its feed.
    pub(crate) async fn transact_in<T, D>(&self, epoch: &Epoch, decide: D) -> Result<T, ApiError>
    where
        T: Send + 'static,
        D: FnOnce(&State) -> Result<(Vec<Entry>, T), ApiError> + Send + 'static,
    {
        let accepted = epoch.accepted.hash;
        self.transact(move |state| match state.accepted() {
            Some((hash, newer)) if hash != accepted => {
                Err(ApiError::need_epoch(newer.record.number))
            }
            _ => decide(state),
        })
        .await
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
}

/// Bytes that came over the wire.
pub(crate) type Received = Unverified<Vec<u8>>;
