//! One call to one node, with everything that any call needs: pauses after silence, newer epochs
//! followed, the chain pushed where it is missing, patience with what passes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_api::{EpochHint, ErrorCode};
use floe_env::Env;
use floe_model::{Member, NodeName};

use crate::committee::Committee;
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
const FOLLOW_PAUSE: Duration = Duration::from_secs(5);
/// The longest wait that a node may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(10);

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
        self.health.pause_left(&to.node, self.now())
    }

    /// Whether others are to be asked first, and the node is not to be waited for.
    pub(crate) fn is_avoided(&self, node: &Member) -> bool {
        self.health.is_avoided(&node.node, self.now())
    }

    /// What the node sent does not verify.
    pub(crate) fn unverifiable(&self, from: &Member, what: String) -> Failure {
        tracing::warn!(node = %from.node, what, "a node sent what does not verify");
        self.observer.verification_failed(&from.node, &what);
        Failure::Unverifiable(what)
    }

    /// One call; one that needs a newer epoch is repeated once, behind the chain.
    pub(crate) async fn call<T>(
        &self,
        to: &Member,
        make: impl Fn(&dyn Nodes, &Member) -> Call<T>,
    ) -> Result<T, Failure> {
        let said = self.once(to, make(&*self.nodes, to)).await;
        match &said {
            Err(failure) if failure.code() == Some(ErrorCode::NeedEpoch) => {
                self.once(to, self.nodes.push_epoch(to, self.committee.chain())).await?;
                self.once(to, make(&*self.nodes, to)).await
            }
            _ => said,
        }
    }

    async fn once<T>(&self, to: &Member, call: Call<T>) -> Result<T, Failure> {
        match call.await {
            Ok(answer) => {
                self.health.heard(&to.node);
                if let Some(hint) = answer.epoch {
                    self.follow(to, &hint).await;
                }
                Ok(answer.value)
            }
            Err(error) => {
                let failure = Failure::from(error);
                if failure.is_silence() {
                    self.health.silent(&to.node, self.now());
                } else {
                    self.health.heard(&to.node);
                }
                Err(failure)
            }
        }
    }

    /// Fetches the chain from a node that names a newer record.
    async fn follow(&self, from: &Member, hint: &EpochHint) {
        if !self.committee.wants(hint) || !self.may_follow(from) {
            return;
        }
        let followed = match self.nodes.epoch(from).await {
            Ok(answer) => self.committee.extend(answer.value).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = followed {
            tracing::debug!(node = %from.node, error, "a newer epoch was named and not taken");
        }
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
                Err(failure) if failure.is_passing() => failure,
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
