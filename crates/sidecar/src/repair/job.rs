//! The other hand of repair: a process of its own that takes leases from one node, rebuilds what is
//! in them from the node's peers, and brings it back. It keeps nothing: killed at any moment, it is
//! missed for as long as its lease holds, and another goes on.

mod bringing;
mod chain;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use floe_api::messages::{Lease, LeaseProgress, LeasedBlob};
use floe_api::{
    ApiError, CallError, ErrorCode, NodeClient, Target, TlsError, TlsIdentity, TransportLimits,
};
use floe_env::Env;
use floe_model::keys::RegistrarPublicKey;
use floe_model::{BlobId, BlobLayout, BootId, ExtentIndex, LeaseId, NodeName, ShardIndex};
use futures::StreamExt as _;

use super::context::{Context, fetch_manifest};
use super::heal::{self, EXTENTS_PER_SURVEY, EXTENTS_PER_TURN};
use super::holders::Holders;
use super::tools::Tools;
use crate::metrics::Metrics;
use bringing::LeasedHome;
use chain::Chains;

/// Blobs that are worked on side by side, if there is room for their bytes.
const BLOBS_SIDE_BY_SIDE: usize = 64;
/// How long others may take with what is left until it is asked for again, at most; at first it is
/// asked for sooner: the node may only be about to read what it owes.
const OTHERS_PAUSE: Duration = Duration::from_secs(5);
/// The first pause after a lease under which nothing came back.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A lease is renewed this often within its time.
const RENEWALS_PER_TTL: u32 = 4;

/// What a repair job is started with.
#[derive(Debug, Clone)]
pub struct RepairJob {
    /// The operator's key: whose record 0 is believed.
    pub operator: RegistrarPublicKey,
    /// The job's certificate, of the role repair, its key, and the committee's CA.
    pub tls: TlsIdentity,
    /// The node whose unfilled shards are repaired.
    pub node: NodeName,
    /// Where nodes were when the job was written down: some of them tell where they are now.
    pub nodes: Vec<Target>,
    /// What may be read from peers in a second; `None` for as fast as it can.
    pub bytes_per_second: Option<u64>,
    /// How long to go on while nothing comes back.
    pub patience: Duration,
}

/// What a repair job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RepairSummary {
    /// Leases that held work.
    pub leases: u64,
    /// Slivers brought to the node.
    pub slivers: u64,
    /// Their bytes.
    pub restored_bytes: u64,
    /// Payload bytes read from peers.
    pub read_bytes: u64,
}

/// A repair job that gave up; what it brought stays.
#[derive(Debug, thiserror::Error)]
pub enum RepairJobError {
    /// The certificate, its key or the CA is no use.
    #[error("the job's certificate cannot be used")]
    Tls(#[from] TlsError),
    /// A bug.
    #[error("the job's metrics cannot be made: {0}")]
    Metrics(String),
    /// The node gives no leases.
    #[error("node {node} has given no lease for {seconds} s, start the job again later: {reason}")]
    NoLease {
        /// The node.
        node: NodeName,
        /// How long.
        seconds: u64,
        /// Why, at last.
        reason: String,
    },
    /// Too little answers to rebuild anything.
    #[error(
        "nothing could be rebuilt for node {node} for {seconds} s: start nodes that hold slivers of its blobs"
    )]
    NoSources {
        /// The node.
        node: NodeName,
        /// How long.
        seconds: u64,
    },
    /// The node may not be asked.
    #[error("node {node} refuses: {reason}")]
    Refused {
        /// The node.
        node: NodeName,
        /// Why.
        reason: String,
    },
}

/// Repairs until the node has nothing to give out any more.
pub async fn run_repair_job(env: &Env, job: &RepairJob) -> Result<RepairSummary, RepairJobError> {
    let client = NodeClient::new(env, &job.tls, TransportLimits::default())?;
    let metrics = Metrics::new().map_err(|error| RepairJobError::Metrics(error.to_string()))?;
    let bounds = (job.bytes_per_second, EXTENTS_SIDE_BY_SIDE);
    let tools = Arc::new(Tools::new(env, client, Arc::new(metrics), bounds));
    Running { job, tools, chains: Chains::new(job), summary: RepairSummary::default() }.run().await
}

/// Extents of one blob that are worked on side by side.
const EXTENTS_SIDE_BY_SIDE: usize = 2;

struct Running<'a> {
    job: &'a RepairJob,
    tools: Arc<Tools>,
    chains: Chains,
    summary: RepairSummary,
}

/// Why a lease was left before its end.
enum Left {
    /// The node does not know it any more.
    Lost(ApiError),
}

impl Running<'_> {
    async fn run(mut self) -> Result<RepairSummary, RepairJobError> {
        let clock = Arc::clone(&self.tools.env.clock);
        let mut moved = clock.monotonic();
        let mut pause = FIRST_PAUSE;
        loop {
            let waited = clock.monotonic().saturating_sub(moved);
            let (target, lease) = self.lease(waited).await?;
            if lease.blobs.is_empty() {
                if !lease.others {
                    return Ok(self.summary);
                }
                moved = clock.monotonic();
                clock.sleep(pause.min(OTHERS_PAUSE)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            let before = self.summary.slivers;
            self.summary.leases += 1;
            let returned = self.work(&target, &lease).await;
            if self.summary.slivers > before || returned {
                (moved, pause) = (clock.monotonic(), FIRST_PAUSE);
                continue;
            }
            if waited > self.job.patience {
                let (node, seconds) = (self.job.node.clone(), waited.as_secs());
                return Err(RepairJobError::NoSources { node, seconds });
            }
            clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The next lease; asks until the node gives one.
    async fn lease(&mut self, before: Duration) -> Result<(Target, Lease), RepairJobError> {
        let clock = Arc::clone(&self.tools.env.clock);
        let begin = clock.monotonic();
        loop {
            let reason = match self.chains.target(&self.tools.peers.client).await {
                None => "no epoch record names it, or no node answers".to_owned(),
                Some(target) => match self.tools.peers.client.lease(&target).await {
                    Ok(answer) => return Ok((target, answer.value)),
                    Err(CallError::Api(error))
                        if matches!(
                            error.code,
                            ErrorCode::ForbiddenRole | ErrorCode::Unauthenticated
                        ) =>
                    {
                        let (node, reason) = (self.job.node.clone(), error.to_string());
                        return Err(RepairJobError::Refused { node, reason });
                    }
                    Err(error) => {
                        // It may be elsewhere by now.
                        self.chains.forget();
                        error.to_string()
                    }
                },
            };
            let waited = before + clock.monotonic().saturating_sub(begin);
            if waited > self.job.patience {
                let (node, seconds) = (self.job.node.clone(), waited.as_secs());
                return Err(RepairJobError::NoLease { node, seconds, reason });
            }
            tracing::debug!(reason, "no lease, it is asked for again");
            clock.sleep(FIRST_PAUSE * 2).await;
        }
    }

    /// Does what is in a lease; true if some of it was given back.
    async fn work(&mut self, target: &Target, lease: &Lease) -> bool {
        let Some(holders) = self.chains.holders(&lease.record) else {
            // The node accepted it a moment ago: the chain is read again.
            self.chains.forget();
            let held = (lease.lease, lease.boot);
            let ended = self.tools.peers.client.end_lease(target, held).await;
            tracing::debug!(?ended, "the lease is under a record that is not known here yet");
            return false;
        };
        let bench = Arc::new(Bench {
            target: target.clone(),
            held: (lease.lease, lease.boot),
            shards: lease.shards.clone(),
            slivers: AtomicU64::new(0),
            restored_bytes: AtomicU64::new(0),
        });
        let read = self.tools.metrics.repair_totals().read_bytes;
        let holders = Arc::new(holders);
        let worked = tokio::select! {
            biased;
            returned = self.blobs(&bench, &holders, lease) => Ok(returned),
            lost = self.keep(&bench, lease) => Err(lost),
        };
        let read_bytes = self.tools.metrics.repair_totals().read_bytes - read;
        self.summary.read_bytes += read_bytes;
        self.summary.slivers += bench.slivers.load(Ordering::Relaxed);
        self.summary.restored_bytes += bench.restored_bytes.load(Ordering::Relaxed);
        match worked {
            Ok(returned) => {
                let gave_back = !returned.is_empty();
                self.end(&bench, LeaseProgress { read_bytes, returned }).await;
                gave_back
            }
            Err(Left::Lost(error)) => {
                tracing::info!(%error, "the lease is lost, another is asked for");
                false
            }
        }
    }

    async fn end(&self, bench: &Bench, progress: LeaseProgress) {
        let client = &self.tools.peers.client;
        let ended = match client.renew_lease(&bench.target, bench.held, &progress).await {
            Ok(_) => client.end_lease(&bench.target, bench.held).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            // It ends by itself.
            tracing::debug!(%error, "a lease could not be ended");
        }
    }

    /// Renews a lease until it is lost.
    async fn keep(&self, bench: &Bench, lease: &Lease) -> Left {
        let every = Duration::from_millis(lease.ttl_millis) / RENEWALS_PER_TTL;
        let client = &self.tools.peers.client;
        loop {
            self.tools.env.clock.sleep(every).await;
            let nothing = LeaseProgress::default();
            match client.renew_lease(&bench.target, bench.held, &nothing).await {
                Err(CallError::Api(error)) if is_lost(&error) => return Left::Lost(error),
                Err(error) => tracing::debug!(%error, "a lease was not renewed"),
                Ok(_) => {}
            }
        }
    }

    /// All blobs of a lease, side by side; what is to be given back.
    async fn blobs(
        &self,
        bench: &Arc<Bench>,
        holders: &Arc<Holders>,
        lease: &Lease,
    ) -> Vec<(BlobId, ExtentIndex)> {
        let each = lease.blobs.iter().map(|blob| async move {
            let _room = self.tools.room(blob.length).await;
            match self.blob(bench, holders, blob).await {
                Ok(false) => Vec::new(),
                Ok(true) => blob.extents.iter().map(|it| (blob.blob, it.extent)).collect(),
                Err(error) => {
                    tracing::debug!(blob = %blob.blob, %error, "a blob was not repaired");
                    Vec::new()
                }
            }
        });
        // Collected, for a future that holds the closure is not seen to be `Send`.
        let each: Vec<_> = each.collect();
        futures::stream::iter(each).buffer_unordered(BLOBS_SIDE_BY_SIDE).concat().await
    }

    /// One blob of a lease; true if the node itself is to look at it.
    async fn blob(
        &self,
        bench: &Arc<Bench>,
        holders: &Arc<Holders>,
        leased: &LeasedBlob,
    ) -> Result<bool, ApiError> {
        let layout = BlobLayout::new(holders.geometry, leased.length);
        let found = fetch_manifest(&self.tools, holders, leased.blob, layout).await?;
        let Some(manifest) = found else { return Ok(false) };
        let home = LeasedHome::new(Arc::clone(bench), Arc::clone(&self.tools), leased);
        let context = Context {
            tools: Arc::clone(&self.tools),
            holders: Arc::clone(holders),
            blob: leased.blob,
            manifest,
            home: Arc::new(home),
        };
        let within = |extent: &&_| **extent < ExtentIndex(layout.extents());
        let extents: Vec<ExtentIndex> = leased.extents.iter().map(|it| it.extent).collect();
        let mut rest: Vec<ExtentIndex> = extents.iter().filter(within).copied().collect();
        while let Some(first) = rest.first().copied() {
            let near = |it: &&ExtentIndex| it.0.saturating_sub(first.0) < EXTENTS_PER_SURVEY;
            let next: Vec<ExtentIndex> =
                rest.iter().take(EXTENTS_PER_TURN).take_while(near).copied().collect();
            let tally = heal::extents(&context, &next, 0).await?;
            if tally.frozen {
                return Ok(true);
            }
            rest.drain(..next.len());
        }
        Ok(false)
    }
}

/// What all blobs of one lease share.
struct Bench {
    target: Target,
    held: (LeaseId, BootId),
    shards: Vec<ShardIndex>,
    slivers: AtomicU64,
    restored_bytes: AtomicU64,
}

/// Whether the lease is gone.
fn is_lost(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::LeaseStale | ErrorCode::LeaseExpired)
}
