//! The blobs that wait for repair, and how fast it goes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use floe_model::{Axis, BlobId};
use floe_plan::repair::{RepairItem, order};

/// The first pause after a turn that restored nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest one while a client waits.
const LONGEST_PAUSE_WAITED_FOR: Duration = Duration::from_secs(2);

/// Why and when a blob is repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Bytes of the blob.
    pub(crate) length: u64,
    /// A client waits for it.
    pub(crate) waited_for: bool,
    /// Since when (monotonic); `None` before its first turn.
    pub(crate) since: Option<Duration>,
    not_before: Duration,
    failures: u32,
    margin: Option<i32>,
}

/// What waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    blobs: BTreeMap<BlobId, Wanted>,
    /// When everything owed is to be looked through; `None` for now.
    pub(crate) look_at: Option<Duration>,
}

impl Queue {
    /// Whether everything owed is to be looked through.
    pub(crate) fn look_due(&self, now: Duration) -> bool {
        self.look_at.is_none_or(|at| at <= now)
    }

    /// Blobs that wait.
    pub(crate) fn len(&self) -> usize {
        self.blobs.len()
    }

    /// Bytes of the blobs that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.blobs.values().map(|wanted| wanted.length).sum()
    }

    /// A blob waits, from a moment on. A client that waits makes it come at once.
    pub(crate) fn want(
        &mut self,
        blob: BlobId,
        length: u64,
        waited_for: bool,
        not_before: Duration,
    ) {
        let known = self.blobs.entry(blob).or_insert(Wanted {
            length,
            waited_for: false,
            since: None,
            not_before,
            failures: 0,
            margin: None,
        });
        if waited_for && !known.waited_for {
            known.waited_for = true;
            known.not_before = Duration::ZERO;
        }
    }

    /// The blobs whose turn it is, the most urgent first, as many and as many bytes of them as are given,
    /// one at least; or how long to wait for one (`None`: nothing waits). While a client waits for
    /// some, only those.
    pub(crate) fn next(
        &mut self,
        now: Duration,
        (most, most_bytes): (usize, u64),
    ) -> Result<Vec<(BlobId, Wanted)>, Option<Duration>> {
        let due = || self.blobs.iter().filter(|(_, wanted)| wanted.not_before <= now);
        let waited_for = due().any(|(_, wanted)| wanted.waited_for);
        let candidates = due().filter(|(_, wanted)| wanted.waited_for == waited_for);
        let items = candidates.map(|(blob, wanted)| RepairItem {
            what: *blob,
            // What was never looked at may be at risk.
            read_margin: wanted.margin.unwrap_or(0),
            axis: Axis::Secondary,
            bytes: wanted.length,
        });
        let items = order(items.collect());
        if items.is_empty() {
            let next = self.blobs.values().map(|wanted| wanted.not_before).min();
            return Err(next.map(|at| at.saturating_sub(now)));
        }
        let mut taken = Vec::new();
        let mut bytes = 0_u64;
        for item in items.into_iter().take(most) {
            bytes = bytes.saturating_add(item.bytes);
            if !taken.is_empty() && bytes > most_bytes {
                break;
            }
            if let Some(wanted) = self.blobs.get_mut(&item.what) {
                wanted.since.get_or_insert(now);
                taken.push((item.what, wanted.clone()));
            }
        }
        Ok(taken)
    }

    /// Nothing is missing any more.
    pub(crate) fn done(&mut self, blob: &BlobId) {
        self.blobs.remove(blob);
    }

    /// Something was restored, more is to do.
    pub(crate) fn progress(&mut self, blob: &BlobId, margin: Option<i32>) {
        if let Some(wanted) = self.blobs.get_mut(blob) {
            wanted.margin = margin.or(wanted.margin);
            wanted.failures = 0;
        }
    }

    /// Nothing could be restored now.
    pub(crate) fn failed(&mut self, blob: &BlobId, margin: Option<i32>, now: Duration) {
        if let Some(wanted) = self.blobs.get_mut(blob) {
            wanted.margin = margin.or(wanted.margin);
            let pause = FIRST_PAUSE.saturating_mul(1 << wanted.failures.min(10));
            wanted.failures += 1;
            let longest = if wanted.waited_for { LONGEST_PAUSE_WAITED_FOR } else { LONGEST_PAUSE };
            wanted.not_before = now + pause.min(longest);
        }
    }
}

/// What was restored and read, over the last while.
#[derive(Debug)]
pub(crate) struct Window {
    span: Duration,
    events: VecDeque<(Duration, u64, u64)>,
}

impl Window {
    /// Over so long.
    pub(crate) const fn new(span: Duration) -> Self {
        Self { span, events: VecDeque::new() }
    }

    /// Bytes {restored, read} at a moment; what falls into one second is one event.
    pub(crate) fn add(&mut self, now: Duration, restored: u64, read: u64) {
        self.forget(now);
        match self.events.back_mut() {
            Some((at, known_restored, known_read)) if at.as_secs() == now.as_secs() => {
                *known_restored += restored;
                *known_read += read;
            }
            _ => self.events.push_back((now, restored, read)),
        }
    }

    fn forget(&mut self, now: Duration) {
        while self.events.front().is_some_and(|(at, _, _)| *at + self.span < now) {
            self.events.pop_front();
        }
    }

    /// Bytes {restored, read} per second.
    pub(crate) fn rates(&mut self, now: Duration) -> (u64, u64) {
        self.forget(now);
        let seconds = self.span.as_secs().max(1);
        let sum = |of: fn(&(Duration, u64, u64)) -> u64| self.events.iter().map(of).sum::<u64>();
        (sum(|event| event.1) / seconds, sum(|event| event.2) / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ONE: (usize, u64) = (1, 0);

    #[test]
    fn who_is_waited_for_comes_first_then_the_lowest_margin_then_the_largest() {
        let mut queue = Queue::default();
        let blob = |id: u8| BlobId([id; 32]);
        assert_eq!(queue.next(SECOND, ONE), Err(None));
        queue.want(blob(1), 10, false, Duration::ZERO);
        queue.want(blob(2), 20, false, Duration::ZERO);
        queue.want(blob(3), 5, false, Duration::ZERO);
        queue.want(blob(4), 99, false, 3 * SECOND);
        queue.progress(&blob(2), Some(4));
        queue.progress(&blob(3), Some(-1));
        let mut turns = Vec::new();
        while let Ok(next) = queue.next(SECOND, ONE) {
            let [(next, _)] = next[..] else { panic!("{next:?}") };
            turns.push(next);
            queue.done(&next);
        }
        assert_eq!(turns, [blob(3), blob(1), blob(2)]);
        assert_eq!(queue.next(SECOND, ONE), Err(Some(2 * SECOND)));
        queue.want(blob(5), 1, false, Duration::ZERO);
        queue.want(blob(4), 99, true, 3 * SECOND);
        assert_eq!(queue.next(SECOND, ONE).unwrap()[0].0, blob(4));
        queue.done(&blob(4));
        for (id, length) in [(6, 40), (7, 30), (8, 20)] {
            queue.want(blob(id), length, false, Duration::ZERO);
        }
        let ids = |most| queue.clone().next(SECOND, most).unwrap().iter().map(|it| it.0).collect();
        let (two, few): (Vec<_>, Vec<_>) = (ids((2, 1000)), ids((9, 75)));
        assert_eq!((two, few), (vec![blob(6), blob(7)], vec![blob(6), blob(7)]));
    }

    #[test]
    fn a_blob_that_fails_waits_longer_each_time_but_never_for_ever() {
        let mut queue = Queue::default();
        let blob = BlobId([1; 32]);
        queue.want(blob, 10, false, Duration::ZERO);
        let mut now = SECOND;
        for _ in 0..100 {
            queue.next(now, ONE).unwrap();
            queue.failed(&blob, None, now);
            let wait = queue.next(now, ONE).unwrap_err().unwrap();
            assert!(wait <= LONGEST_PAUSE);
            now += wait;
        }
        assert_eq!(queue.next(now, ONE).unwrap()[0].1.since, Some(SECOND));
    }

    #[test]
    fn rates_forget() {
        let mut window = Window::new(10 * SECOND);
        window.add(SECOND, 100, 200);
        window.add(SECOND, 100, 200);
        assert_eq!(window.rates(2 * SECOND), (20, 40));
        assert_eq!(window.rates(12 * SECOND), (0, 0));
    }
}
