use std::sync::OnceLock;
use std::time::Duration;

use floe_env::{BoxFuture, Clock};
use futures::FutureExt;
use tokio::time::{Instant, sleep};

/// When every simulation begins: 2026-01-01 UTC.
pub const SIM_EPOCH_UNIX_MILLIS: u64 = 1_767_225_600_000;

/// The simulation's time, the same for all hosts but for their skew; it goes on over a host's
/// restart. Outside turmoil it is tokio's time since its first use.
#[derive(Debug, Default)]
pub struct SimClock {
    skew_millis: i64,
    origin: OnceLock<Instant>,
}

impl SimClock {
    /// A clock whose time of day is wrong by so much.
    pub fn with_skew_millis(skew_millis: i64) -> Self {
        Self { skew_millis, ..Self::default() }
    }
}

impl Clock for SimClock {
    fn unix_millis(&self) -> u64 {
        let elapsed = u64::try_from(self.monotonic().as_millis()).unwrap_or(u64::MAX);
        SIM_EPOCH_UNIX_MILLIS.saturating_add(elapsed).saturating_add_signed(self.skew_millis)
    }

    fn monotonic(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_else(|| self.origin.get_or_init(Instant::now).elapsed())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        async move { sleep(duration).await }.boxed()
    }
}
