#![expect(clippy::disallowed_methods, reason = "the real clock is made of the originals")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use tokio::time::{Instant, sleep};

use crate::{BoxFuture, Clock};

/// The machine's clock.
#[derive(Debug, Clone)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Its monotonic time begins now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn unix_millis(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // Made on the first poll: a timer needs the runtime, the call does not.
        async move { sleep(duration).await }.boxed()
    }
}
