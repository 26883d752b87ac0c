//! Time.

use std::time::Duration;

use crate::BoxFuture;

/// A clock.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01 UTC. May jump either way: for what is signed, stored or shown.
    fn unix_millis(&self) -> u64;

    /// Time since some fixed moment of this process; never goes back. For measuring and deadlines.
    fn monotonic(&self) -> Duration;

    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// A future took longer than it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no result within {} ms", .after.as_millis())]
pub struct Elapsed {
    /// What it was given.
    pub after: Duration,
}

/// Runs `future` for at most `duration`, then drops it. A future that is ready in time wins over a
/// clock that has run out.
pub async fn timeout<T>(
    clock: &dyn Clock,
    duration: Duration,
    future: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    let sleep = clock.sleep(duration);
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = sleep => Err(Elapsed { after: duration }),
    }
}

#[cfg(test)]
mod tests;
