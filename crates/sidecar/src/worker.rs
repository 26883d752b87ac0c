//! Background work: every job is a [`Worker`] that does one unit of work at a time.

use std::sync::Arc;
use std::time::Duration;

use floe_env::{BoxFuture, Env};
use floe_model::Timestamp;
use tokio::sync::{Notify, watch};

use crate::metrics::Metrics;

/// The first pause after an error; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// The longest pause after errors.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// What one unit of work came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was done, more may wait.
    Busy,
    /// Nothing to do; look again after this long, or when woken.
    Idle(Duration),
    /// There is work that must wait this long, whoever wakes it.
    Throttled(Duration),
}

/// One kind of background work.
pub(crate) trait Worker: Send + 'static {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// One unit of work. An error is counted and tried again after a pause.
    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>>;
}

/// What a worker runs with.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) env: Env,
    pub(crate) metrics: Arc<Metrics>,
    /// Turns true when everything is to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Runner {
    /// Runs a worker until it is told to stop; a unit of work that runs then is dropped.
    pub(crate) async fn run(mut self, mut worker: impl Worker, wake: Arc<Notify>) {
        let mut failures = 0;
        loop {
            let mut stop = self.stop.clone();
            let step = tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                step = worker.step() => step,
            };
            self.metrics.worker_step(worker.name(), step.as_ref());
            let (pause, wakeable) = match step {
                Ok(Step::Busy) => {
                    failures = 0;
                    continue;
                }
                Ok(Step::Idle(pause)) => (pause, true),
                Ok(Step::Throttled(pause)) => (pause, false),
                Err(error) => {
                    failures += 1;
                    let now = Timestamp(self.env.clock.unix_millis());
                    self.metrics.worker_failed(worker.name(), now, &error);
                    if failures == 1 {
                        tracing::warn!(worker = worker.name(), %error, "a unit of work failed, it is tried again");
                    } else {
                        tracing::debug!(worker = worker.name(), %error, failures, "a unit of work failed again");
                    }
                    (self.backoff(failures), false)
                }
            };
            if wakeable {
                failures = 0;
            }
            if self.pause(pause, wakeable.then_some(&*wake)).await {
                return;
            }
        }
    }

    /// Waits; true if it is time to stop.
    async fn pause(&mut self, pause: Duration, wake: Option<&Notify>) -> bool {
        let woken = async {
            match wake {
                Some(wake) => wake.notified().await,
                None => std::future::pending().await,
            }
        };
        let sleep = self.env.clock.sleep(pause);
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => true,
            () = woken => false,
            () = sleep => false,
        }
    }

    fn backoff(&self, failures: u32) -> Duration {
        let longest = backoff(failures);
        let half = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX);
        Duration::from_millis(half + self.env.random.below(half + 1))
    }
}

/// The longest pause after so many failures in a row.
fn backoff(failures: u32) -> Duration {
    let factor = 1_u32 << failures.saturating_sub(1).min(10);
    FIRST_BACKOFF.saturating_mul(factor).min(LONGEST_BACKOFF)
}

/// Ends when the flag is true, or nobody is left who could set it.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: everything ends.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Script(Vec<Result<Step, String>>, Arc<AtomicUsize>, watch::Sender<bool>);

    impl Worker for Script {
        fn name(&self) -> &'static str {
            "script"
        }

        fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
            let at = self.1.fetch_add(1, Ordering::Relaxed);
            if at + 1 == self.0.len() {
                self.2.send_replace(true);
            }
            let step = self.0[at].clone();
            Box::pin(async move { step })
        }
    }

    #[tokio::test]
    async fn a_worker_goes_on_after_errors_and_ends_when_told() {
        let env = floe_env::real_env(1).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let (sender, stop) = watch::channel(false);
        let calls = Arc::new(AtomicUsize::new(0));
        let script = vec![
            Ok(Step::Busy),
            Err("no luck".to_owned()),
            Ok(Step::Idle(Duration::from_hours(1))),
            Ok(Step::Throttled(Duration::from_millis(1))),
            Ok(Step::Busy),
        ];
        let wake = Arc::new(Notify::new());
        wake.notify_one();
        let worker = Script(script, Arc::clone(&calls), sender);
        Runner { env, metrics: Arc::clone(&metrics), stop }.run(worker, wake).await;
        assert_eq!(calls.load(Ordering::Relaxed), 5);
        let text = metrics.text();
        assert!(
            text.contains(r#"floe_node_worker_steps_total{outcome="failed",worker="script"} 1"#),
            "{text}"
        );
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!(backoff(1), FIRST_BACKOFF);
        assert_eq!(backoff(3), FIRST_BACKOFF * 4);
        assert_eq!(backoff(1000), LONGEST_BACKOFF);
    }
}
