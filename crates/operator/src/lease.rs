//! Which replica leads: a `coordination.k8s.io` Lease of our own.
//!
//! [`decide`] is the whole decision. Clocks of machines differ, so a replica believes no time that
//! another wrote: a Lease has run out when it did not change for as long as it lasts, by one's own
//! clock. A Lease is no fence: a leader that was halted may still send what it had begun, so
//! destructive steps carry resourceVersion and UID themselves.

use std::time::Duration;

use floe_env::{Env, timeout};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};

use crate::Config;
use crate::config::LeaseTimes;

/// After a failed look or renewal.
const AGAIN: Duration = Duration::from_secs(1);

/// What was seen of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sight {
    holder: Option<String>,
    lasts: Duration,
    version: Option<String>,
    /// When this version was first seen, by our own clock.
    since: Duration,
}

/// What to do about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is none: make it.
    Create,
    /// Nobody holds it, or its holder has gone silent.
    Take,
    /// It is ours.
    Renew,
    /// Somebody else's.
    Wait,
}

fn decide(sight: Option<&Sight>, own: &str, now: Duration) -> Step {
    let Some(sight) = sight else { return Step::Create };
    match sight.holder.as_deref() {
        None | Some("") => Step::Take,
        Some(holder) if holder == own => Step::Renew,
        Some(_) if now.saturating_sub(sight.since) >= sight.lasts => Step::Take,
        Some(_) => Step::Wait,
    }
}

/// One replica's part in the election.
pub(crate) struct Election {
    leases: Api<Lease>,
    env: Env,
    name: String,
    identity: String,
    times: LeaseTimes,
    sight: Option<Sight>,
}

impl Election {
    pub(crate) fn new(client: kube::Client, env: Env, config: &Config) -> Self {
        Self {
            leases: Api::namespaced(client, &config.namespace),
            env,
            name: config.lease.clone(),
            identity: config.identity.clone(),
            times: config.lease_times,
            sight: None,
        }
    }

    /// Returns when this replica holds the Lease.
    pub(crate) async fn acquire(&mut self) {
        loop {
            let pause = match self.turn().await {
                Ok(true) => return,
                Ok(false) => self.times.every,
                Err(error) => {
                    tracing::warn!(%error, lease = self.name, "the lease cannot be taken");
                    AGAIN.min(self.times.every)
                }
            };
            self.env.clock.sleep(pause).await;
        }
    }

    /// Keeps the Lease; returns why this replica holds it no longer.
    pub(crate) async fn hold(&mut self) -> String {
        let clock = self.env.clock.clone();
        let mut renewed = clock.monotonic();
        loop {
            clock.sleep(self.times.every.min(self.left(renewed))).await;
            let failed = match timeout(clock.as_ref(), self.left(renewed), self.turn()).await {
                Ok(Ok(true)) => {
                    renewed = clock.monotonic();
                    continue;
                }
                Ok(Ok(false)) => return format!("another replica holds lease {}", self.name),
                Ok(Err(error)) => error.to_string(),
                Err(elapsed) => elapsed.to_string(),
            };
            if self.left(renewed).is_zero() {
                let millis = self.times.give_up.as_millis();
                return format!("lease {} was not renewed for {millis} ms: {failed}", self.name);
            }
            tracing::warn!(error = failed, lease = self.name, "the lease was not renewed");
            clock.sleep(AGAIN.min(self.times.every).min(self.left(renewed))).await;
        }
    }

    /// Gives the Lease back, so that another replica need not wait until it runs out.
    pub(crate) async fn release(&mut self) {
        let Some(sight) = self.sight.clone() else { return };
        if sight.holder.as_deref() != Some(self.identity.as_str()) {
            return;
        }
        let released = async {
            let mut lease = self.leases.get(&self.name).await?;
            if lease.metadata.resource_version == sight.version {
                lease.spec.get_or_insert_default().holder_identity = None;
                self.leases.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match timeout(self.env.clock.as_ref(), self.times.every, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lease was not given back"),
            Err(error) => tracing::warn!(%error, "the lease was not given back"),
        }
    }

    fn left(&self, renewed: Duration) -> Duration {
        let since = self.env.clock.monotonic().saturating_sub(renewed);
        self.times.give_up.saturating_sub(since)
    }

    /// Looks at the Lease and does what is to be done; whether it is ours then.
    async fn turn(&mut self) -> Result<bool, kube::Error> {
        let found = self.leases.get_opt(&self.name).await?;
        let now = self.env.clock.monotonic();
        self.sight = found.as_ref().map(|lease| look(lease, self.sight.as_ref(), now, self.times));
        let step = decide(self.sight.as_ref(), &self.identity, now);
        let wanted = self.wanted(found, step);
        let params = PostParams::default();
        let written = match step {
            Step::Wait => return Ok(false),
            Step::Create => self.leases.create(&params, &wanted).await,
            Step::Take | Step::Renew => self.leases.replace(&self.name, &params, &wanted).await,
        };
        match written {
            Ok(lease) => {
                let now = self.env.clock.monotonic();
                self.sight = Some(look(&lease, None, now, self.times));
                Ok(true)
            }
            // Somebody else was faster: what they wrote is looked at next time.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn wanted(&self, found: Option<Lease>, step: Step) -> Lease {
        let millis = i64::try_from(self.env.clock.unix_millis()).unwrap_or(i64::MAX);
        let now = MicroTime(Timestamp::from_millisecond(millis).unwrap_or_default());
        let mut lease = found.unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: None,
        });
        let spec = lease.spec.get_or_insert_default();
        if step != Step::Renew {
            let before = spec.lease_transitions.map_or(0, |count| count.saturating_add(1));
            spec.lease_transitions = Some(before);
            spec.acquire_time = Some(now.clone());
        }
        let seconds = i32::try_from(self.times.lasts.as_secs()).unwrap_or(i32::MAX);
        *spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(seconds.max(1)),
            renew_time: Some(now),
            ..spec.clone()
        };
        lease
    }
}

/// What is seen now; an unchanged Lease was first seen when it was first seen.
fn look(lease: &Lease, before: Option<&Sight>, now: Duration, times: LeaseTimes) -> Sight {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
    let lasts = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let version = lease.metadata.resource_version.clone();
    let same = before.filter(|before| before.version == version);
    Sight {
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        lasts: lasts.map_or(times.lasts, Duration::from_secs),
        version,
        since: same.map_or(now, |before| before.since),
    }
}

#[cfg(test)]
mod tests;
