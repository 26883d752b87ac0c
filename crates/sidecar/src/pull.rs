//! Reading peers' change feeds: whatever a feed says is checked before it is taken over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::{CertifiedClaim, Change, Changes};
use floe_api::{ApiError, CallError, ErrorCode, Target};
use floe_env::{BoxFuture, Task};
use floe_model::{
    CatalogEntry, EpochRecord, FeedPosition, SealedHead, SignedRecord, SignedRelease, VolumeId,
};
use floe_plan::epoch::names_me;
use floe_store::{Entry, State};
use tokio::sync::Notify;

use crate::node::{Epoch, Node};
use crate::routes;
use crate::running::Moment;
use crate::throttle::ByteRate;
use crate::worker::{Runner, Step, Worker, stopped};

/// How long a peer may wait for news before it answers.
const LONG_POLL_MILLIS: u64 = 20_000;
/// The same while a shard of this node is unfilled.
const UNFILLED_POLL_MILLIS: u64 = 1000;
/// How long a peer's feed is left alone after a bad signature.
const BAD_SIGNATURE_PAUSE: Duration = Duration::from_mins(1);
/// How often to look whether this node may add to its own feed.
const CHECKING_PAUSE: Duration = Duration::from_millis(100);
/// How long a feed is left alone that was read to its end: every write adds to every feed, so that
/// without a pause each would cost every node as many polls as there are others, twice over. Nor may
/// a peer that answers at once, with nothing, keep this node busy.
const HEAD_PAUSE: Duration = Duration::from_millis(200);
/// How long the repair of a blob waits that was heard of from a peer: its writer may still be
/// sending it here.
const WRITER_GRACE: Duration = Duration::from_millis(1500);

/// Keeps one worker for each peer, as long as the committee names it.
pub(crate) async fn supervise(node: Arc<Node>, runner: Runner) {
    let mut epochs = node.signals.epoch.subscribe();
    let mut stop = runner.stop.clone();
    let mut workers: BTreeMap<Target, Task> = BTreeMap::new();
    loop {
        let epoch = epochs.borrow_and_update().clone();
        let peers: BTreeMap<Target, VolumeId> =
            epoch.as_deref().into_iter().flat_map(volumes).collect();
        workers.retain(|target, _| peers.contains_key(target));
        for (target, volume) in peers {
            let (node, runner) = (Arc::clone(&node), runner.clone());
            workers.entry(target).or_insert_with_key(|target| {
                let pull = Pull::new(Arc::clone(&node), target.clone(), volume);
                let run = runner.run(pull, Arc::new(Notify::new()));
                node.env.spawn.spawn("pull", Box::pin(run))
            });
        }
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            changed = epochs.changed() => if changed.is_err() { break },
        }
    }
    for (_, mut worker) in workers {
        // It was told to stop; how it ends does not matter.
        let _ = worker.join().await;
    }
}

fn volumes(epoch: &Epoch) -> impl Iterator<Item = (Target, VolumeId)> + '_ {
    epoch.peers().filter_map(|(at, target)| {
        epoch.record.members.get(at).map(|member| (target, member.volume))
    })
}

/// Reads one peer's feed.
struct Pull {
    node: Arc<Node>,
    peer: Target,
    volume: VolumeId,
    /// How far it was read; `None` before the first look at the own state.
    position: Option<FeedPosition>,
    /// The feed was read to its end since the start.
    at_head: bool,
    rate: ByteRate,
}

/// An entry that may be taken over.
enum Checked {
    Claim(Box<routes::CheckedClaim>),
    Release(Box<SignedRelease>),
    Plain(CatalogEntry),
}

/// Why an entry was not taken over.
enum Rejected {
    /// The peer shows what it cannot have checked itself.
    Bad(ApiError),
    /// It may do later.
    Later(String),
}

impl Worker for Pull {
    fn name(&self) -> &'static str {
        "pull"
    }

    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
        Box::pin(self.pull())
    }
}

impl Pull {
    fn new(node: Arc<Node>, peer: Target, volume: VolumeId) -> Self {
        let rate = ByteRate::new(Some(node.limits.pull_bytes_per_second));
        Self { node, peer, volume, position: None, at_head: false, rate }
    }

    async fn pull(&mut self) -> Result<Step, String> {
        if let Some(wait) = self.rate.wait(self.node.monotonic()) {
            return Ok(Step::Throttled(wait));
        }
        let epoch = self.node.epoch().map_err(|error| error.to_string())?;
        if self.node.gate.standing().may_speak().is_err() {
            // An old copy that reads what it has forgotten would look as if it had not.
            // A peer without the chain is helped by the check itself.
            return Ok(Step::Throttled(CHECKING_PAUSE));
        }
        let after = self.start().await?;
        let wait_millis = match self.at_head {
            false => 0,
            // What the peer accepts meanwhile counts only in its next answer.
            true if epoch.is_unfilled() => UNFILLED_POLL_MILLIS,
            true => LONG_POLL_MILLIS,
        };
        let changes = match self.node.peers.changes(&self.peer, Some(after), wait_millis).await {
            Ok(answer) => {
                routes::epoch_heard(&self.node, &self.peer, answer.epoch);
                answer.value
            }
            Err(error) => return self.no_answer(&error),
        };
        if changes.head.volume != self.volume {
            return Err(format!(
                "{} shows the feed of volume {}, not {}",
                self.peer, changes.head.volume, self.volume
            ));
        }
        let last = read_to(after, &changes).map_err(|what| format!("{}: {what}", self.peer))?;
        if let Some(step) = self.take(&epoch, (after.sequence, last), &changes).await? {
            return Ok(step);
        }
        self.position = Some(FeedPosition { volume: self.volume, sequence: last });
        if last >= changes.head.sequence {
            self.at_head = true;
            self.node.wholes.catalog_read(&self.peer, changes.accepted.hash);
            self.head_reached(&epoch).await?;
            return Ok(Step::Throttled(HEAD_PAUSE));
        }
        Ok(Step::Busy)
    }

    /// Where to go on reading.
    async fn start(&mut self) -> Result<FeedPosition, String> {
        if let Some(position) = self.position {
            return Ok(position);
        }
        let peer = self.peer.node.clone();
        let known = self.node.read(move |state| state.cursor(&peer)).await;
        let known = known.map_err(|error| error.to_string())?;
        let begin = FeedPosition { volume: self.volume, sequence: 0 };
        let position = known.filter(|known| known.volume == self.volume).unwrap_or(begin);
        self.position = Some(position);
        Ok(position)
    }

    fn no_answer(&mut self, error: &CallError) -> Result<Step, String> {
        if let Some(ApiError { code: ErrorCode::Gone, volume: Some(volume), .. }) = error.refusal()
            && *volume == self.volume
        {
            // It ends before the place where it was read to: an old copy, which it is to find out.
            self.at_head = false;
        }
        match error.refusal().map(|refusal| refusal.code) {
            Some(ErrorCode::NeedEpoch) => push_chain(&self.node, &self.peer),
            // It may know a record in which this volume is replaced.
            Some(ErrorCode::ForbiddenRole) => routes::fetch_chain(&self.node, &self.peer),
            _ => {}
        }
        Err(format!("change feed: {error}"))
    }

    /// Takes the entries over; a step if that must wait.
    async fn take(
        &mut self,
        epoch: &Arc<Epoch>,
        (after, last): (u64, u64),
        changes: &Changes,
    ) -> Result<Option<Step>, String> {
        if last == after {
            return Ok(None);
        }
        let sealed = SealedHead { position: changes.head, seal: changes.seal };
        let mut checked = Vec::new();
        for change in self.news(changes).await? {
            match self.check(epoch, change).await {
                Ok(entry) => checked.extend(entry),
                Err(Rejected::Later(reason)) => return Err(reason),
                Err(Rejected::Bad(error)) => {
                    let what = format!("entry {} of its change feed: {error}", change.sequence);
                    self.node.metrics.verification_failed(&self.peer.node);
                    let text = format!("node {} sent what does not verify: {what}", self.peer.node);
                    self.node.metrics.worker_failed("pull", self.node.now(), &text);
                    tracing::warn!(peer = %self.peer.node, what, "a peer's feed shows what does not verify, it pauses");
                    return Ok(Some(Step::Throttled(BAD_SIGNATURE_PAUSE)));
                }
            }
        }
        let wanted =
            self.record(epoch, checked, (last, sealed)).await.map_err(|error| error.to_string())?;
        for (blob, length) in wanted {
            self.node.repairs.want_later(blob, length, self.node.monotonic() + WRITER_GRACE);
        }
        Ok(None)
    }

    /// The entries that would change something here: most come from every peer.
    async fn news<'a>(&self, changes: &'a Changes) -> Result<Vec<&'a Change>, String> {
        let entries: Vec<CatalogEntry> =
            changes.entries.iter().map(|change| change.entry.clone()).collect();
        let bytes = (size_of::<Change>() + 1024) * entries.len();
        self.rate.spend(self.node.monotonic(), bytes);
        let look = move |state: &State| {
            entries.iter().map(|entry| state.knows(entry)).collect::<Vec<bool>>()
        };
        let known = self.node.read(look).await.map_err(|error| error.to_string())?;
        let news = changes.entries.iter().zip(known).filter(|(_, known)| !known);
        Ok(news.map(|(change, _)| change).collect())
    }

    /// Checks one entry; nothing if it need not be taken over.
    async fn check(
        &self,
        epoch: &Arc<Epoch>,
        change: &Change,
    ) -> Result<Option<Checked>, Rejected> {
        match &change.entry {
            CatalogEntry::Claim(claim, certificate) => {
                let certified = CertifiedClaim {
                    claim: claim.as_ref().clone(),
                    certificate: certificate.as_ref().clone(),
                };
                let checked = routes::check_claim(&self.node, certified).await;
                let checked = checked.map_err(|error| self.rejected(error))?;
                if !checked.vouching.decided {
                    return Err(Rejected::Later(
                        "too few nodes could be asked about an old claim".to_owned(),
                    ));
                }
                Ok(Some(Checked::Claim(Box::new(checked))))
            }
            CatalogEntry::Release(release) => {
                let checked = routes::check_release(&self.node, release.as_ref().clone()).await;
                checked
                    .map(|it| Some(Checked::Release(Box::new(it))))
                    .map_err(|error| self.rejected(error))
            }
            // Unsigned: what a node confirmed itself is its law once its memory is whole. One that
            // lost its memory takes over what others remember.
            CatalogEntry::Binding { .. } => {
                let lost = !self.node.gate.standing().caught_up;
                Ok(lost.then(|| Checked::Plain(change.entry.clone())))
            }
            closing @ (CatalogEntry::Closed { .. } | CatalogEntry::ClosingVoid { .. }) => {
                let heard =
                    self.node.signals.rumours.heard(&epoch.record, &self.peer.node, closing);
                Ok(heard.then(|| Checked::Plain(closing.clone())))
            }
        }
    }

    fn rejected(&self, error: ApiError) -> Rejected {
        match error.code {
            ErrorCode::StatementInvalid | ErrorCode::CertificateInvalid => Rejected::Bad(error),
            ErrorCode::NeedEpoch => {
                routes::fetch_chain(&self.node, &self.peer);
                Rejected::Later(format!("{}: {error}", self.peer))
            }
            _ => Rejected::Later(error.to_string()),
        }
    }

    /// Records entries and cursor in one step; returns the blobs that became owed.
    async fn record(
        &self,
        epoch: &Arc<Epoch>,
        checked: Vec<Checked>,
        (sequence, head): (u64, SealedHead),
    ) -> Result<Vec<(floe_model::BlobId, u64)>, ApiError> {
        let (epoch, moment) = (Arc::clone(epoch), self.node.moment());
        let cursor = Entry::Cursor {
            node: self.peer.node.clone(),
            position: FeedPosition { volume: self.volume, sequence },
        };
        // Kept for the peer: only it can tell by it that it forgot something.
        let sealed = Entry::Head { node: self.peer.node.clone(), head };
        let (news, wanted) = self
            .node
            .transact(move |state| {
                let mut entries = Vec::new();
                let mut wanted = Vec::new();
                for entry in &checked {
                    let kept = keep(state, &epoch, entry, moment);
                    if let Checked::Claim(claim) = entry
                        && !kept.is_empty()
                    {
                        let claim = &claim.certified.claim.body;
                        wanted.push((claim.blob, claim.length));
                    }
                    entries.extend(kept);
                }
                let news = !entries.is_empty();
                entries.push(cursor);
                entries.push(sealed);
                Ok((entries, (news, wanted)))
            })
            .await?;
        if news {
            // A cursor alone may wait for the next sync: reading again does no harm.
            self.node.sync().await?;
        }
        Ok(wanted)
    }

    async fn head_reached(&self, epoch: &Epoch) -> Result<(), String> {
        if self.node.gate.standing().caught_up {
            return Ok(());
        }
        let (me, hash) = (self.node.me.clone(), epoch.hash);
        // From the last record that does not name this volume on.
        let since = move |state: &State| {
            let path = state.epochs().path(&hash);
            let other = |signed: &&Arc<SignedRecord>| names_me(&signed.record, &me).is_err();
            let before = path.iter().rposition(other).unwrap_or(0);
            path.into_iter().skip(before).map(Arc::clone).collect::<Vec<_>>()
        };
        let since = self.node.read(since).await.map_err(|error| error.to_string())?;
        let records: Vec<&EpochRecord> = since.iter().map(|signed| &signed.record).collect();
        let me = (&self.node.me.node, self.node.me.incarnation);
        if !self.node.gate.feed_read(&records, me, self.peer.node.clone()) {
            return Ok(());
        }
        let recorded = async {
            self.node.transact(|_| Ok((vec![Entry::CaughtUp], ()))).await?;
            self.node.sync().await
        };
        recorded.await.map_err(|error: ApiError| error.to_string())?;
        self.node.gate.set_caught_up();
        Ok(())
    }
}

/// The peer has missed its epoch record: it gets the chain from here.
pub(crate) fn push_chain(node: &Arc<Node>, peer: &Target) {
    let (from, peer) = (Arc::clone(node), peer.clone());
    let push = async move {
        let pushed = match routes::known_chain(&from).await {
            Ok(chain) => from.peers.push_epoch(&peer, &chain).await.map_err(|it| it.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = pushed {
            tracing::debug!(%peer, error, "a peer does not take the chain of epoch records");
        }
    };
    node.env.spawn.spawn("push-epoch", Box::pin(push)).detach();
}

/// How far an answer leads. Its entries must rise from where it was asked for. If there are none,
/// whatever stood up to the end is forgotten there.
fn read_to(after: FeedPosition, changes: &Changes) -> Result<u64, String> {
    let mut last = after.sequence;
    for change in &changes.entries {
        if change.sequence <= last {
            return Err(format!("entry {} of its feed stands behind {last}", change.sequence));
        }
        last = change.sequence;
    }
    Ok(if changes.entries.is_empty() { changes.head.sequence.max(last) } else { last })
}

/// The entry as the state takes it now; nothing if it is refused or known.
fn keep(state: &State, epoch: &Epoch, entry: &Checked, moment: Moment) -> Vec<Entry> {
    let kept = match entry {
        Checked::Claim(checked) => routes::keep_claim(state, checked),
        Checked::Release(release) => routes::keep_release(state, epoch, release, moment),
        Checked::Plain(entry) => Ok(vec![Entry::Catalog(entry.clone())]),
    };
    kept.unwrap_or_else(|error| {
        // Old releases, old claims nobody vouches for: they end here, for good.
        tracing::debug!(%error, "an entry of a peer's feed is not taken over");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use floe_api::EpochHint;
    use floe_model::{ClaimId, EpochNumber, RecordHash};

    use super::*;

    #[test]
    fn a_feed_that_leads_nowhere_is_refused() {
        let at = |sequence| FeedPosition { volume: VolumeId([1; 16]), sequence };
        let told = |sequences: &[u64], head| {
            let entry = CatalogEntry::Closed { claim: ClaimId([2; 16]) };
            let change = |&sequence: &u64| Change { sequence, entry: entry.clone() };
            let entries = sequences.iter().map(change).collect();
            let accepted = EpochHint { number: EpochNumber(0), hash: RecordHash([3; 32]) };
            read_to(at(5), &Changes { head: at(head), accepted, seal: [0; 32], entries })
        };
        assert_eq!(told(&[], 5), Ok(5));
        assert_eq!(told(&[6, 7], 9), Ok(7));
        assert_eq!(told(&[6, 8], 8), Ok(8));
        assert_eq!(told(&[], 6), Ok(6), "what stood there is forgotten");
        for backwards in [&[5][..], &[7, 7], &[8, 7], &[1]] {
            assert!(told(backwards, 9).is_err(), "{backwards:?}");
        }
    }
}
