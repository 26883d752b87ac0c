//! One question put to all members at once: settled as soon as the ballot is, with a bounded tail for
//! the stragglers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use floe_env::BoxFuture;
use floe_model::{EpochRecord, Member};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::ballot::{Ballot, Standing};
use crate::committee::Committee;
use crate::failure::Failure;
use crate::peers::Peers;

/// Stragglers get half of the time that the others took, and this.
const TAIL: Duration = Duration::from_millis(500);
/// How often the tail looks whether anyone is worth waiting for.
const TAIL_LOOK: Duration = Duration::from_millis(100);

/// Epoch records that may come into force while one thing is done.
pub(crate) const MOST_EPOCHS: usize = 4;

type Said<T> = (usize, Result<T, Failure>);

/// Calls under way and what came of them.
pub(crate) struct Round<T> {
    pub(crate) ballot: Ballot<T>,
    peers: Arc<Peers>,
    calls: FuturesUnordered<BoxFuture<'static, Said<T>>>,
    waiting: BTreeSet<usize>,
    started: Duration,
}

impl<T: Send + 'static> Round<T> {
    /// Asks all members of the record.
    pub(crate) fn start<F>(
        peers: &Arc<Peers>,
        record: Arc<EpochRecord>,
        ask: impl Fn(usize, Member) -> F,
    ) -> Self
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let calls: FuturesUnordered<BoxFuture<'static, Said<T>>> = FuturesUnordered::new();
        for (position, member) in record.members.iter().enumerate() {
            let call = ask(position, member.clone());
            calls.push(Box::pin(async move { (position, call.await) }));
        }
        let waiting = (0..record.members.len()).collect();
        let started = peers.now();
        Self { ballot: Ballot::new(record), peers: Arc::clone(peers), calls, waiting, started }
    }

    /// Asks all members of a record until the ballot is settled: of the record that `which` names at
    /// its end. A replaced volume's answer does not count, and its successor is asked.
    pub(crate) async fn counted<F>(
        peers: &Arc<Peers>,
        which: impl Fn(&Committee) -> Arc<EpochRecord>,
        ask: impl Fn(Member) -> F,
    ) -> (Self, Standing)
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let mut epochs = 1;
        loop {
            let record = which(&peers.committee);
            let mut round = Self::start(peers, Arc::clone(&record), |_, member| ask(member));
            let standing = round.settle().await;
            if Arc::ptr_eq(&record, &which(&peers.committee)) {
                return (round, standing);
            }
            epochs += 1;
            if epochs > MOST_EPOCHS {
                return (round, Standing::Lost);
            }
        }
    }

    /// Takes the next answer or failure; false when nobody is left.
    pub(crate) async fn step(&mut self) -> bool {
        match self.calls.next().await {
            Some((member, said)) => {
                self.waiting.remove(&member);
                self.ballot.count(member, said);
                true
            }
            None => false,
        }
    }

    /// As [`Self::step`], for at most `duration`.
    pub(crate) async fn step_within(&mut self, duration: Duration) -> bool {
        let clock = Arc::clone(&self.peers.env.clock);
        floe_env::timeout(&*clock, duration, self.step()).await.unwrap_or(false)
    }

    /// Waits until nodes worth n-f shards answered, or cannot any more.
    pub(crate) async fn settle(&mut self) -> Standing {
        loop {
            match self.ballot.standing() {
                Standing::Open if self.step().await => {}
                Standing::Lost => {
                    self.hear_out().await;
                    return self.ballot.standing();
                }
                standing => return standing,
            }
        }
    }

    /// It is lost: whoever answers within a moment still counts in what is said about it.
    async fn hear_out(&mut self) {
        let end = self.peers.now() + TAIL;
        while self.step_within(end.saturating_sub(self.peers.now())).await {}
    }

    /// Gives the stragglers their time: half of what the others took and 500 ms, less when all who
    /// are left were silent or late before.
    pub(crate) async fn tail(mut self) {
        let taken = self.peers.now().saturating_sub(self.started);
        let end = self.peers.now() + taken / 2 + TAIL;
        while !self.waiting.iter().all(|&member| self.is_avoided(member)) {
            let left = end.saturating_sub(self.peers.now());
            if left.is_zero() {
                break;
            }
            self.step_within(left.min(TAIL_LOOK)).await;
        }
        for &member in &self.waiting {
            if let Some(member) = self.ballot.record().members.get(member) {
                tracing::debug!(node = %member.node, "a straggler is left behind");
                self.peers.health.late(member, self.peers.now());
            }
        }
    }

    /// Runs the tail in the background; `held` is given back at its end.
    pub(crate) fn leave(self, held: impl Send + 'static) {
        let spawn = Arc::clone(&self.peers.env.spawn);
        let tail = async move {
            self.tail().await;
            drop(held);
        };
        spawn.spawn("client-tail", Box::pin(tail)).detach();
    }

    fn is_avoided(&self, member: usize) -> bool {
        let member = self.ballot.record().members.get(member);
        member.is_none_or(|member| self.peers.is_avoided(member))
    }
}
