//! How long the volume has run: undelete windows are counted in that time, so that a node that was
//! away keeps released content as long as any other.

use std::time::Duration;

use floe_model::Timestamp;

/// The time that this process adds to what the volume ran before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Running {
    /// How long the volume had run when this process began.
    before_millis: u64,
    /// When that was.
    since: Duration,
}

impl Running {
    /// A process that begins at `since`, on the monotonic clock.
    pub(crate) const fn new(before_millis: u64, since: Duration) -> Self {
        Self { before_millis, since }
    }

    /// How long the volume has run.
    pub(crate) fn millis(&self, monotonic: Duration) -> u64 {
        let here = monotonic.saturating_sub(self.since).as_millis();
        self.before_millis.saturating_add(u64::try_from(here).unwrap_or(u64::MAX))
    }
}

/// A moment, by both clocks that ends of claims are counted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The time of day.
    pub(crate) now: Timestamp,
    /// How long the volume has run.
    pub(crate) ran_millis: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_add_up() {
        let running = Running::new(500, Duration::from_millis(30));
        assert_eq!(running.millis(Duration::from_millis(30)), 500);
        assert_eq!(running.millis(Duration::from_millis(75)), 545);
        assert_eq!(running.millis(Duration::ZERO), 500, "it never falls");
    }
}
