//! One call to one node, with everything that any call needs: pauses after silence, newer epochs
//! followed, the chain pushed where it is missing, patience with what passes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_api::EpochHint;
use floe_env::{Env, Work, compute};
use floe_model::{EpochNumber, Member, NodeName, epochs};

use crate::committee::{ChainError, Committee};
use crate::failure::Failure;
use crate::health::Health;
use crate::nodes::{Call, Nodes};
use crate::observer::Observer;

/// The first pause before a request is repeated; doubles up to [`LONGEST_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// How long a node may be silent, request after request, before it is given up.
const SILENCE_PATIENCE: Duration = Duration::from_secs(10);
/// How often the chain of a node that names a newer record is asked for.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);
/// The longest wait that a node may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(10);

/// A chain that was not taken over.
enum Untaken {
    Failed(String),
    Refused(ChainError),
}

/// The nodes as all pipelines of a client see them.
pub(crate) struct Peers {
    pub(crate) env: Env,
    pub(crate) nodes: Arc<dyn Nodes>,
    pub(crate) committee: Arc<Committee>,
    pub(crate) health: Health,
    pub(crate) observer: Arc<dyn Observer>,
    /// When a node's chain was asked for last.
    pub(crate) followed: Mutex<BTreeMap<NodeName, Duration>>,
}

impl Peers {
    /// The same nodes, known anew.
    pub(crate) fn rebuilt(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut peers = Self {
            env: self.env.clone(),
            nodes: Arc::clone(&self.nodes),
            committee: Arc::clone(&self.committee),
            health: Health::default(),
            observer: Arc::clone(&self.observer),
            followed: Mutex::default(),
        };
        change(&mut peers);
        peers
    }

    pub(crate) fn now(&self) -> Duration {
        self.env.clock.monotonic()
    }

    /// What is left of the node's pause.
    pub(crate) fn pause_left(&self, to: &Member) -> Option<Duration> {
        self.health.pause_left(to, self.now())
    }

    /// Whether others are to be asked first, and the node is not to be waited for.
    pub(crate) fn is_avoided(&self, node: &Member) -> bool {
        self.health.is_avoided(node, self.now())
    }

    /// What the node sent does not verify.
    pub(crate) fn unverifiable(&self, from: &Member, what: String) -> Failure {
        tracing::warn!(node = %from.node, what, "a node sent what does not verify");
        self.observer.verification_failed(&from.node, &what);
        Failure::Unverifiable(what)
    }

    /// One call. One that needs an epoch record is repeated once: behind the chain if the node lacks
    /// it. If the node is ahead, its chain is taken, and the caller is to ask under the newer record.
    pub(crate) async fn call<T>(
        &self,
        to: &Member,
        make: impl Fn(&dyn Nodes, &Member) -> Call<T>,
    ) -> Result<T, Failure> {
        let to = &self.committee.located(to);
        let said = self.once(to, make(&*self.nodes, to)).await;
        let Some(accepted) = said.as_ref().err().and_then(Failure::needed_epoch) else {
            return said;
        };
        if accepted > self.committee.newest().number {
            if self.may_follow(to) {
                self.fetch_chain(to).await;
            }
            return said;
        }
        self.push_chain(to, accepted).await?;
        self.once(to, make(&*self.nodes, to)).await
    }

    /// Hands the chain to a node that accepted `held`.
    async fn push_chain(&self, to: &Member, held: EpochNumber) -> Result<(), Failure> {
        let push = |chain| self.once(to, self.nodes.push_epoch(to, chain));
        match push(self.committee.chain_from(held)).await {
            // What it holds may not be what has this number here.
            Err(failure) if !failure.is_silence() && held > EpochNumber(0) => {
                push(self.committee.chain()).await
            }
            said => said,
        }
    }

    async fn once<T>(&self, to: &Member, call: Call<T>) -> Result<T, Failure> {
        match call.await {
            Ok(answer) => {
                self.health.heard(to);
                if let Some(hint) = answer.epoch {
                    self.follow(to, &hint).await;
                }
                Ok(answer.value)
            }
            Err(error) => {
                let failure = Failure::from(error);
                if failure.is_silence() {
                    self.health.silent(to, self.now());
                } else {
                    self.health.heard(to);
                }
                Err(failure)
            }
        }
    }

    /// Takes the chain of a node that names a newer record. What it answered is not looked at before
    /// its chain was asked for, if that record is unknown here: the answer may count only over the
    /// record's own owners.
    async fn follow(&self, from: &Member, hint: &EpochHint) {
        if !self.committee.heard(hint) {
            return;
        }
        if self.committee.record(&hint.hash).is_none() {
            self.env.clock.sleep(self.follow_pause_left(from)).await;
        }
        if self.may_follow(from) {
            self.fetch_chain(from).await;
        }
        // Another call may have taken it meanwhile.
        self.committee.heard(hint);
    }

    /// How long not to ask for the node's chain again.
    fn follow_pause_left(&self, from: &Member) -> Duration {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let last = followed.get(&from.node);
        last.map_or(Duration::ZERO, |&last| (last + FOLLOW_PAUSE).saturating_sub(self.now()))
    }

    /// Takes what a node's chain has behind the record in force; false if it gave nothing that
    /// continues what is known.
    pub(crate) async fn fetch_chain(&self, from: &Member) -> bool {
        let newest = self.committee.newest().number;
        let mut taken = self.take_chain(from, Some(newest)).await;
        if let Err(Untaken::Refused(ChainError::Broken(epochs::ChainError::UnknownParent {
            ..
        }))) = taken
        {
            taken = self.take_chain(from, None).await;
        }
        match taken {
            Ok(changed) => {
                if changed {
                    let newest = self.committee.newest();
                    tracing::info!(epoch = %newest.number, from = %from.node, "a newer epoch record is in force");
                }
                true
            }
            Err(Untaken::Failed(error)) => {
                tracing::debug!(node = %from.node, error, "a node gives no chain of epoch records");
                false
            }
            Err(Untaken::Refused(error)) => {
                tracing::warn!(node = %from.node, %error, "a node's chain of epoch records is not followed");
                false
            }
        }
    }

    async fn take_chain(&self, from: &Member, after: Option<EpochNumber>) -> Result<bool, Untaken> {
        let answer = self.nodes.epoch(from, after).await;
        let chain = answer.map_err(|error| Untaken::Failed(error.to_string()))?.value;
        let committee = Arc::clone(&self.committee);
        let job = move || committee.extend(chain);
        let extended = compute(&*self.env.compute, Work::Foreground, job).await;
        let extended = extended.map_err(|stopped| Untaken::Failed(stopped.to_string()))?;
        extended.map_err(Untaken::Refused)
    }

    /// Whether the node's chain was not asked for lately: anyone can name a high number.
    fn may_follow(&self, from: &Member) -> bool {
        let now = self.now();
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = followed.get(&from.node).is_some_and(|&last| now < last + FOLLOW_PAUSE);
        if !lately {
            followed.insert(from.node.clone(), now);
        }
        !lately
    }

    /// Whether a failure may pass: also that of a node which is ahead by a record that is not proved
    /// here to be committed.
    fn may_pass(&self, failure: &Failure) -> bool {
        let newest = self.committee.newest().number;
        failure.is_passing() || failure.needed_epoch().is_some_and(|accepted| accepted > newest)
    }

    /// Calls until there is an answer, a failure that will not pass, or no patience left.
    pub(crate) async fn persist<T>(
        &self,
        to: &Member,
        patience: Duration,
        make: impl Fn(&dyn Nodes, &Member) -> Call<T>,
    ) -> Result<T, Failure> {
        self.insist(to, patience, || self.call(to, &make)).await
    }

    /// Repeats `attempt` as [`Self::persist`] repeats a call.
    pub(crate) async fn insist<T, F>(
        &self,
        to: &Member,
        patience: Duration,
        attempt: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let end = self.now() + patience;
        let mut backoff = FIRST_BACKOFF;
        let mut silence_end = None;
        loop {
            if let Some(pause) = self.pause_left(to) {
                self.env.clock.sleep(pause).await;
            }
            let failure = match attempt().await {
                Err(failure) if self.may_pass(&failure) => failure,
                said => return said,
            };
            let wait =
                failure.retry_after().map_or(backoff, |asked| asked.min(LONGEST_RETRY_AFTER));
            let now = self.now();
            silence_end =
                failure.is_silence().then(|| silence_end.unwrap_or_else(|| now + SILENCE_PATIENCE));
            if now + wait >= silence_end.map_or(end, |silence_end| end.min(silence_end)) {
                return Err(failure);
            }
            self.env.clock.sleep(wait).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }
}
