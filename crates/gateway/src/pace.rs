//! How slowly a body may come. A body under way holds room and a place that others wait for, so a
//! sender must not only send now and then, but enough.

use std::time::Duration;

/// How long a sender may send nothing; also how far it may fall behind the least rate.
const PATIENCE: Duration = Duration::from_secs(30);
/// The least rate, far below that of a bad mobile connection.
const LEAST_BYTES_PER_SECOND: u64 = 64 * 1024;

/// What is left of the patience with one sender. Waiting uses it up, bytes win it back, never more
/// than all of it: what was sent fast before does not pay for a trickle now. Only the time in which
/// the sender is waited for counts, not that in which it waits for the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    left: Duration,
}

/// The sender was too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the body came slower than {LEAST_BYTES_PER_SECOND} bytes/s for {} s; nothing was certified",
    PATIENCE.as_secs()
)]
pub(crate) struct TooSlow;

impl Pace {
    /// A body that begins.
    pub(crate) const fn new() -> Self {
        Self { left: PATIENCE }
    }

    /// How long its next bytes may take.
    pub(crate) const fn left(&self) -> Duration {
        self.left
    }

    /// That many bytes came after so long a wait.
    pub(crate) fn came(&mut self, bytes: usize, waited: Duration) {
        let micros = (bytes as u64).saturating_mul(1_000_000) / LEAST_BYTES_PER_SECOND;
        let left = self.left.saturating_sub(waited);
        self.left = left.saturating_add(Duration::from_micros(micros)).min(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For how many chunks, at most 10,000, a sender is waited for that sends `bytes` after each
    /// `wait`.
    fn chunks(pace: &mut Pace, bytes: usize, wait: Duration) -> usize {
        let mut count = 0;
        while count < 10_000 && wait <= pace.left() {
            pace.came(bytes, wait);
            count += 1;
        }
        count
    }

    #[test]
    fn who_sends_too_little_is_cut_off_and_who_sends_enough_never() {
        let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
        let table = [
            (1, seconds(29), 1),
            (1, seconds(31), 0),
            (1, seconds(1), 30),
            (16 * 1024, seconds(1), 39),
            (64 * 1024, seconds(1), 10_000),
            (1, millis(0), 10_000),
            (1024, millis(15), 10_000),
            (4 * 1024 * 1024, seconds(30), 10_000),
        ];
        for (bytes, wait, expected) in table {
            let count = chunks(&mut Pace::new(), bytes, wait);
            assert_eq!(count, expected, "{bytes} bytes after {wait:?} each");
        }
    }

    #[test]
    fn a_fast_beginning_does_not_pay_for_a_trickle() {
        let mut pace = Pace::new();
        pace.came(1024 * 1024 * 1024, Duration::from_secs(1));
        assert_eq!(chunks(&mut pace, 1, Duration::from_secs(10)), 3);
    }
}
