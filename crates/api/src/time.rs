//! The environment's clock, as hyper and rustls want it.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use floe_env::{BoxFuture, Clock};
use hyper::rt::{Sleep, Timer};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Time for hyper.
#[derive(Clone)]
pub(crate) struct HyperTimer {
    clock: Arc<dyn Clock>,
    /// What hyper takes for the moment at which `clock` read `origin_reading`.
    origin: Instant,
    origin_reading: Duration,
}

impl HyperTimer {
    #[expect(
        clippy::disallowed_methods,
        reason = "hyper's type for moments has no other source; only differences to it are used"
    )]
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let origin_reading = clock.monotonic();
        Self { clock, origin: Instant::now(), origin_reading }
    }
}

impl Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(ClockSleep(Mutex::new(self.clock.sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        self.origin + self.clock.monotonic().saturating_sub(self.origin_reading)
    }
}

/// In a mutex only because hyper wants it `Sync`: it is never locked.
struct ClockSleep(Mutex<BoxFuture<'static, ()>>);

impl Future for ClockSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        sleep.as_mut().poll(context)
    }
}

impl Sleep for ClockSleep {}

/// Time for rustls: certificates are valid in the environment's time.
pub(crate) struct TlsTime(pub(crate) Arc<dyn Clock>);

impl fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTime")
    }
}

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = Duration::from_millis(self.0.unix_millis());
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}
