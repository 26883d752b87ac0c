//! Sending extents: each node gets its own body; nodes worth n-f shards let the extent be forgotten.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_api::{ErrorCode, Pieces};
use floe_env::Task;
use floe_model::{EpochRecord, ExtentIndex, Member, SignedPermit};
use tokio::sync::oneshot;

use crate::ballot::Standing;
use crate::failure::{Failure, Phase};
use crate::peers::Peers;
use crate::round::Round;
use crate::write::WriteError;
use crate::write::encode::Outgoing;

/// How long a node that is needed may take to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// One upload.
pub(crate) struct Upload {
    peers: Arc<Peers>,
    record: Arc<EpochRecord>,
    permit: SignedPermit,
    /// Members that have the permit.
    opened: Mutex<BTreeSet<usize>>,
}

/// An extent on its way.
pub(crate) struct Sending {
    task: Task,
    settled: oneshot::Receiver<Result<(), WriteError>>,
}

impl Sending {
    /// Waits until the extent may be forgotten; stragglers get their tail in the background.
    pub(crate) async fn settled(self) -> Result<(), WriteError> {
        let Self { task, settled } = self;
        let settled = settled.await.unwrap_or(Err(WriteError::Stopped));
        task.detach();
        settled
    }
}

impl Upload {
    pub(crate) const fn new(
        peers: Arc<Peers>,
        record: Arc<EpochRecord>,
        permit: SignedPermit,
    ) -> Self {
        Self { peers, record, permit, opened: Mutex::new(BTreeSet::new()) }
    }

    pub(crate) const fn record(&self) -> &Arc<EpochRecord> {
        &self.record
    }

    pub(crate) const fn permit(&self) -> &SignedPermit {
        &self.permit
    }

    /// Hands the permit to all members, until nodes worth n-f shards have it: they serve the upload
    /// to its end, whatever record comes into force meanwhile.
    pub(crate) async fn begin(self: &Arc<Self>) -> Result<(), WriteError> {
        let record = Arc::clone(&self.record);
        let mut round = Round::start(&self.peers, record, |position, member| {
            let upload = Arc::clone(self);
            async move {
                let attempt = || upload.open(position, &member);
                upload.peers.insist(&member, PATIENCE, attempt).await
            }
        });
        if round.settle().await == Standing::Reached {
            // Who is late gets it with the first extent.
            return Ok(());
        }
        let phase = Phase::Store(ExtentIndex(0));
        Err(WriteError::of_ballot(&round.ballot, phase, self.permit.body.claim))
    }

    /// Sends an extent to all members.
    pub(crate) fn send(self: &Arc<Self>, extent: ExtentIndex, outgoing: Outgoing) -> Sending {
        let mut round = Round::start(&self.peers, Arc::clone(&self.record), |position, member| {
            let (upload, body) = (Arc::clone(self), outgoing.body(&member));
            async move { upload.put((position, member), extent, body).await }
        });
        let held = outgoing.into_held();
        let (settle, settled) = oneshot::channel();
        let claim = self.permit.body.claim;
        let task = async move {
            let standing = round.settle().await;
            let result = match standing {
                Standing::Reached => Ok(()),
                Standing::Open | Standing::Lost => {
                    Err(WriteError::of_ballot(&round.ballot, Phase::Store(extent), claim))
                }
            };
            let reached = result.is_ok();
            // Nobody waits any more when the write failed elsewhere.
            let _ = settle.send(result);
            if reached {
                round.tail().await;
            }
            drop(held);
        };
        Sending { task: self.peers.env.spawn.spawn("client-extent", Box::pin(task)), settled }
    }

    async fn put(
        &self,
        (position, member): (usize, Member),
        extent: ExtentIndex,
        body: Pieces,
    ) -> Result<(), Failure> {
        let attempt = || self.attempt((position, &member), extent, &body);
        self.peers.insist(&member, PATIENCE, attempt).await
    }

    async fn attempt(
        &self,
        (position, member): (usize, &Member),
        extent: ExtentIndex,
        body: &Pieces,
    ) -> Result<(), Failure> {
        let at = (self.permit.body.upload, extent);
        self.open(position, member).await?;
        let put = || self.peers.call(member, |nodes, to| nodes.put_extent(to, at, body.clone()));
        match put().await {
            Err(failure) if failure.code() == Some(ErrorCode::UnknownUpload) => {
                // It lost the permit, which was not yet on stable storage.
                self.opened().remove(&position);
                self.open(position, member).await?;
                put().await
            }
            said => said,
        }
    }

    async fn open(&self, position: usize, member: &Member) -> Result<(), Failure> {
        if !self.opened().contains(&position) {
            self.peers.call(member, |nodes, to| nodes.open_upload(to, &self.permit)).await?;
            self.opened().insert(position);
        }
        Ok(())
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, BTreeSet<usize>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
