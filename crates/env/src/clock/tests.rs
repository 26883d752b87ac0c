use futures::FutureExt;
use futures::future::{pending, ready};

use super::*;

/// A clock whose sleeps all end at once, or never.
struct Still {
    ends: bool,
}

impl Clock for Still {
    fn unix_millis(&self) -> u64 {
        0
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        if self.ends { ready(()).boxed() } else { pending().boxed() }
    }
}

#[tokio::test]
async fn a_ready_future_wins_over_a_clock_that_ran_out() {
    let after = Duration::from_millis(5);
    assert_eq!(timeout(&Still { ends: true }, after, ready(3)).await, Ok(3));
    assert_eq!(timeout(&Still { ends: false }, after, ready(3)).await, Ok(3));
    let out = timeout(&Still { ends: true }, after, pending::<()>()).await;
    assert_eq!(out, Err(Elapsed { after }));
    assert_eq!(out.unwrap_err().to_string(), "no result within 5 ms");
}

#[tokio::test]
async fn the_real_clock_ends_a_future_that_never_does() {
    let clock = crate::SystemClock::new();
    let before = clock.monotonic();
    let after = Duration::from_millis(2);
    assert_eq!(timeout(&clock, after, pending::<()>()).await, Err(Elapsed { after }));
    assert!(clock.monotonic() >= before + after);
    // 2026-01-01.
    assert!(clock.unix_millis() > 1_767_225_600_000);
}
