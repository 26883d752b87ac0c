//! Repair: what a node owes and does not hold is rebuilt from its peers.
//!
//! Two hands do it. The node itself repairs *holes*; what an unfilled shard lacks, a *deficit*, is
//! leased to repair jobs, and the node turns to it when nobody has held a lease for a while.
//!
//! | module | what |
//! |---|---|
//! | `heal`, `symbols`, `decode`, `crossing` | rebuilding slivers of extents, path by path |
//! | `context`, `survey`, `holders`, `post`, `tools` | who holds what, and asking for it |
//! | `home` | where what is rebuilt goes: `volume` or, for a job, the node that gave the lease |
//! | `queue`, `own` | the node's own hand |
//! | `leases`, `deficit` | the leases that a node gives |
//! | `job` | the other hand, in a process of its own |

mod context;
mod crossing;
mod decode;
mod deficit;
mod heal;
mod holders;
mod home;
mod job;
mod leases;
mod own;
mod post;
mod queue;
mod survey;
mod symbols;
mod tools;
mod volume;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_api::{ApiError, NodeClient};
use floe_env::{BoxFuture, Env, Work};
use floe_model::{BlobId, BootId, ShardIndex};
use floe_store::BlobKey;
use futures::StreamExt as _;
use tokio::sync::Notify;

use crate::config::Limits;
use crate::metrics::Metrics;
use crate::node::{Epoch, Node};
use crate::worker::{Step, Worker};
pub(crate) use context::{Context, parse as parse_metadata};
pub(crate) use deficit::{Grant, deficit_of, work};
pub(crate) use holders::Holders;
pub(crate) use home::Rebuilt;
pub use job::{RepairJob, RepairJobError, RepairSummary, run_repair_job};
pub(crate) use leases::Leases;
use own::Outcome;
pub(crate) use own::settle;
use queue::{Queue, Wanted};
pub(crate) use tools::Tools;
pub(crate) use volume::open as open_home;

/// How often everything owed is looked through, whatever was heard.
const LOOK_EVERY: Duration = Duration::from_mins(10);
/// How long the worker rests when nothing waits; it is woken by what comes.
const REST: Duration = Duration::from_secs(30);
/// Blobs that are worked on in one step, and bytes of them.
const BLOBS_PER_STEP: usize = 64;
const BYTES_PER_STEP: u64 = 32 << 20;

/// What waits for repair, what is leased to others, and what repair works with.
pub(crate) struct Repairs {
    queue: Mutex<Queue>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) tools: Arc<Tools>,
    pub(crate) leases: Leases,
    lease_patience: Duration,
    /// The blob into which slivers came last under a lease.
    pub(crate) brought_last: Mutex<Option<(BlobKey, Arc<Context>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repairs {
    /// Nothing waits; everything owed is to be looked through.
    pub(crate) fn new(
        env: &Env,
        limits: &Limits,
        peers: NodeClient,
        metrics: Arc<Metrics>,
    ) -> Self {
        let bounds = (limits.repair_bytes_per_second, limits.repair_extents);
        let boot = BootId(env.random.bytes());
        Self {
            queue: Mutex::new(Queue::default()),
            wake: Arc::new(Notify::new()),
            tools: Arc::new(Tools::new(env, peers, metrics, bounds)),
            leases: Leases::new(boot, limits.lease_ttl, env.clock.monotonic()),
            lease_patience: limits.lease_patience,
            brought_last: Mutex::default(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
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

    /// The shards whose slivers the node restores by itself now: a deficit only when nobody has held
    /// a lease for a while.
    fn shards(&self, epoch: &Epoch, now: Duration) -> Vec<ShardIndex> {
        let alone = self.leases.idle(now).is_some_and(|idle| idle >= self.lease_patience);
        let mine = |shard: &&ShardIndex| alone || !epoch.record.unfilled.contains(shard);
        epoch.shards.iter().filter(mine).copied().collect()
    }
}

/// Repairs the blobs whose turn it is, some at a time.
pub(crate) struct Repair {
    node: Arc<Node>,
    /// The shards for which everything was looked through last.
    looked_for: Vec<ShardIndex>,
}

impl Worker for Repair {
    fn name(&self) -> &'static str {
        "repair"
    }

    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
        Box::pin(async { self.step_now().await.map_err(|error| error.to_string()) })
    }
}

impl Repair {
    /// For this node.
    pub(crate) const fn new(node: Arc<Node>) -> Self {
        Self { node, looked_for: Vec::new() }
    }

    async fn step_now(&mut self) -> Result<Step, ApiError> {
        let node = Arc::clone(&self.node);
        let Some(epoch) = node.signals.epoch.borrow().clone() else { return Ok(Step::Idle(REST)) };
        if node.gate.refused().is_some() {
            return Ok(Step::Idle(REST));
        }
        let (repairs, now) = (&node.repairs, node.monotonic());
        let brought = repairs.leases.take_brought(now);
        if !brought.is_empty() {
            settle(&node, &epoch, &brought).await?;
        }
        let mine = repairs.shards(&epoch, now);
        if repairs.queue().look_due(now) || mine != self.looked_for {
            look_through(&node, &epoch, &mine).await?;
            repairs.queue().look_at = Some(now + LOOK_EVERY);
            self.looked_for.clone_from(&mine);
        }
        if let Some(wait) = repairs.tools.rate.wait(now) {
            return Ok(Step::Throttled(wait));
        }
        let next = repairs.queue().next(now, (BLOBS_PER_STEP, BYTES_PER_STEP));
        node.metrics.repair_queued(repairs.queue().len());
        let next = match next {
            Ok(next) => next,
            Err(wait) => return Ok(Step::Idle(wait.unwrap_or(REST).min(REST))),
        };
        turns(&node, &epoch, &mine, next).await?;
        node.metrics.repair_queued(repairs.queue().len());
        Ok(Step::Busy)
    }
}

/// One turn for each of these blobs, side by side as far as there is room.
async fn turns(
    node: &Arc<Node>,
    epoch: &Arc<Epoch>,
    mine: &[ShardIndex],
    next: Vec<(BlobId, Wanted)>,
) -> Result<(), ApiError> {
    let holders = holders_of(epoch);
    let (working, leased) = Working::begin(node, next.iter().map(|(blob, _)| *blob).collect());
    let turns = next.into_iter().map(|(blob, wanted)| {
        let (holders, leased) = (&holders, leased.contains(&blob));
        // Whoever waits for a blob waits for all of it, but for what others bring.
        let shards = if wanted.waited_for && !leased { &epoch.shards } else { mine };
        async move {
            let _room = node.repairs.tools.room(wanted.length).await;
            let outcome = own::blob(node, (epoch, holders), (blob, &wanted), shards).await;
            (blob, wanted, leased, outcome)
        }
    });
    let mut turns = futures::stream::iter(turns).buffer_unordered(BLOBS_PER_STEP);
    let mut failed = None;
    while let Some((blob, wanted, leased, outcome)) = turns.next().await {
        let now = node.monotonic();
        let mut queue = node.repairs.queue();
        match outcome {
            Ok(Outcome::Whole) if wanted.waited_for && leased => {
                queue.failed(&blob, None, now);
            }
            Ok(Outcome::Whole | Outcome::Unwanted) => queue.done(&blob),
            Ok(Outcome::Progress { margin }) => queue.progress(&blob, margin),
            Ok(Outcome::Waiting { margin }) => queue.failed(&blob, margin, now),
            Err(error) => {
                queue.failed(&blob, None, now);
                failed.get_or_insert(error);
            }
        }
    }
    drop(working);
    failed.map_or(Ok(()), Err)
}

/// The blobs that the node's own hand works on, as long as it does.
struct Working<'a>(&'a Node);

impl<'a> Working<'a> {
    /// With those of the blobs that are leased.
    fn begin(node: &'a Node, blobs: BTreeSet<BlobId>) -> (Self, BTreeSet<BlobId>) {
        let leased = node.repairs.leases.own_hand(blobs, node.monotonic());
        (Self(node), leased)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.repairs.leases.own_hand(BTreeSet::new(), self.0.monotonic());
    }
}

/// Who may hold what, as this node sees it.
pub(crate) fn holders_of(epoch: &Epoch) -> Arc<Holders> {
    Arc::new(Holders::new(&epoch.record, Some(epoch.position), &epoch.previous))
}

/// Queues every owed blob that lacks something on these shards.
async fn look_through(
    node: &Arc<Node>,
    epoch: &Arc<Epoch>,
    shards: &[ShardIndex],
) -> Result<(), ApiError> {
    let (geometry, shards) = (epoch.geometry(), shards.to_vec());
    let window = node.window(epoch);
    let lacking = node.with_store(Work::Repair, move |store| {
        Ok(store.read(|state| {
            let lacks = |blob: &floe_store::Owed| {
                state.frozen(&blob.blob).is_none()
                    && !state.holds_all(&blob.blob, geometry, &shards)
            };
            state.owed(window).filter(lacks).collect::<Vec<_>>()
        }))
    });
    let lacking = lacking.await?;
    let mut queue = node.repairs.queue();
    for blob in lacking {
        queue.want(blob.blob, blob.length, false, Duration::ZERO);
    }
    Ok(())
}
