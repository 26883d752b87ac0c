//! When a reconcile that failed is tried again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_env::Random;

use crate::config::Pace;

/// How long to wait after so many failures in a row; `drawn` is any number, the same for the same
/// wait. Between half the doubled pause and all of it, so that what failed together does not come
/// back together.
fn pause(pace: Pace, failures: u32, terminal: bool, drawn: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let doubled = pace.first_retry.saturating_mul(1 << doublings);
    let whole = if terminal { pace.last_retry } else { doubled.min(pace.last_retry) };
    let half = whole / 2;
    let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    half + Duration::from_millis(drawn.checked_rem(millis.saturating_add(1)).unwrap_or(0))
}

/// Failures in a row, by object.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<BTreeMap<String, u32>>);

impl Failures {
    /// The object's reconcile went well.
    pub(crate) fn forget(&self, object: &str) {
        self.lock().remove(object);
    }

    /// The object's reconcile failed: when to try again.
    pub(crate) fn count(
        &self,
        object: &str,
        pace: Pace,
        terminal: bool,
        random: &dyn Random,
    ) -> Duration {
        let failures = {
            let mut all = self.lock();
            let failures = all.entry(object.to_owned()).or_insert(0);
            *failures = failures.saturating_add(1);
            *failures
        };
        pause(pace, failures, terminal, random.next_u64())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        moving: Duration::from_secs(1),
        at_rest: Duration::from_secs(5),
        first_retry: Duration::from_millis(500),
        last_retry: Duration::from_mins(1),
    };

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread_over_their_second_half() {
        let table = [
            (1, false, 250, 500),
            (2, false, 500, 1000),
            (5, false, 4000, 8000),
            (8, false, 30_000, 60_000),
            (u32::MAX, false, 30_000, 60_000),
            (1, true, 30_000, 60_000),
        ];
        for (failures, terminal, least, most) in table {
            let pauses =
                (0..200_000).step_by(7).map(|drawn| pause(PACE, failures, terminal, drawn));
            let pauses: Vec<u128> = pauses.map(|pause| pause.as_millis()).collect();
            assert_eq!(pauses.iter().min(), Some(&least), "{failures} {terminal}");
            assert_eq!(pauses.iter().max(), Some(&most), "{failures} {terminal}");
        }
    }

    #[test]
    fn failures_are_counted_per_object_until_one_goes_well() {
        struct Zero;
        impl Random for Zero {
            fn fill(&self, out: &mut [u8]) {
                out.fill(0);
            }
        }
        let failures = Failures::default();
        let next = |object| failures.count(object, PACE, false, &Zero).as_millis();
        assert_eq!([next("a"), next("a"), next("b"), next("a")], [250, 500, 250, 1000]);
        failures.forget("a");
        assert_eq!(failures.count("a", PACE, false, &Zero).as_millis(), 250);
    }
}
