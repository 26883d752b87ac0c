//! What names stood for a moment ago, so that reading one name again and again does not ask nodes
//! each time. Only what was found is kept: a name that is written appears at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_model::{BlobName, Certificate, NamespaceUid, SignedClaim};

/// For how long an answer of nodes is believed.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// Names that are kept.
const MOST_NAMES: usize = 4096;
/// Bytes that they may take together.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What a name takes beside its texts: fields, signers, and its places in the maps.
const OVERHEAD_BYTES: usize = 1024;

/// A certified claim, as it was resolved.
pub(crate) type Certified = (SignedClaim, Certificate);

/// A name with its namespace.
pub(crate) type Key = (NamespaceUid, BlobName);

/// Names that were resolved less than 10 s ago.
pub(crate) struct Resolved<T = Certified> {
    kept: Mutex<Kept<T>>,
}

struct Kept<T> {
    entries: BTreeMap<Key, Entry<T>>,
    /// By the order in which they were kept: the oldest makes room.
    order: BTreeMap<u64, Key>,
    next: u64,
    bytes: usize,
    /// How often a name of this slot was forgotten: an answer that was asked for before is not kept.
    forgotten: BTreeMap<u8, u64>,
}

struct Entry<T> {
    value: Arc<T>,
    asked_at: Duration,
    order: u64,
    bytes: usize,
}

/// Nodes are being asked about a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    at: Duration,
    forgotten: u64,
}

/// A name is being changed: what is kept of it is dropped now, and again when the change has ended
/// in whatever way.
pub(crate) struct Changing<'a, T = Certified> {
    resolved: &'a Resolved<T>,
    key: Key,
}

impl<T> Drop for Changing<'_, T> {
    fn drop(&mut self) {
        self.resolved.forget(&self.key);
    }
}

impl<T> Default for Resolved<T> {
    fn default() -> Self {
        let kept = Kept {
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            next: 0,
            bytes: 0,
            forgotten: BTreeMap::new(),
        };
        Self { kept: Mutex::new(kept) }
    }
}

impl<T> Resolved<T> {
    /// What the name stood for, if that was asked less than 10 s before `now` (monotonic).
    pub(crate) fn get(&self, key: &Key, now: Duration) -> Option<Arc<T>> {
        let mut kept = self.lock();
        let entry = kept.entries.get(key)?;
        if now.saturating_sub(entry.asked_at) < KEPT_FOR {
            return Some(Arc::clone(&entry.value));
        }
        kept.remove(key);
        None
    }

    /// Nodes are asked from `now` on: hand the result to [`Resolved::keep`].
    pub(crate) fn ask(&self, key: &Key, now: Duration) -> Asking {
        let forgotten = self.lock().forgotten.get(&slot(key)).copied().unwrap_or_default();
        Asking { at: now, forgotten }
    }

    /// Keeps an answer, unless the name was changed here since it was asked for.
    pub(crate) fn keep(&self, key: Key, asking: Asking, value: Arc<T>, bytes: usize) {
        let mut kept = self.lock();
        let forgotten = kept.forgotten.get(&slot(&key)).copied().unwrap_or_default();
        if forgotten != asking.forgotten || bytes > MOST_BYTES {
            return;
        }
        kept.remove(&key);
        while kept.entries.len() >= MOST_NAMES || kept.bytes.saturating_add(bytes) > MOST_BYTES {
            let Some((_, oldest)) = kept.order.pop_first() else { break };
            kept.remove(&oldest);
        }
        let order = kept.next;
        kept.next += 1;
        kept.bytes += bytes;
        kept.order.insert(order, key.clone());
        kept.entries.insert(key, Entry { value, asked_at: asking.at, order, bytes });
    }

    /// Drops what is kept of a name, and what is being asked about it.
    pub(crate) fn forget(&self, key: &Key) {
        let mut kept = self.lock();
        kept.remove(key);
        *kept.forgotten.entry(slot(key)).or_default() += 1;
    }

    /// Forgets the name, now and when the result is dropped.
    pub(crate) fn changing(&self, key: Key) -> Changing<'_, T> {
        self.forget(&key);
        Changing { resolved: self, key }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Kept<T> {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.order);
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }
}

/// Names share counters: a bound on them costs a needless question now and then.
fn slot((_, name): &Key) -> u8 {
    name.as_str().bytes().fold(0, u8::wrapping_add)
}

/// Bytes that a kept claim takes, about.
pub(crate) fn weight((claim, _): &Certified) -> usize {
    let claim = &claim.body;
    let names = 3 * claim.name.as_str().len() + claim.namespace.as_str().len();
    OVERHEAD_BYTES + names + claim.policy.content_type.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (NamespaceUid([1; 16]), name.parse().unwrap())
    }

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn an_answer_is_believed_for_ten_seconds_from_when_it_was_asked_for() {
        let resolved = Resolved::default();
        let asking = resolved.ask(&key("a"), seconds(5));
        assert_eq!(resolved.get(&key("a"), seconds(6)), None);
        resolved.keep(key("a"), asking, Arc::new(1), 10);
        assert_eq!(resolved.get(&key("a"), seconds(14)).as_deref(), Some(&1));
        let other_namespace = (NamespaceUid([2; 16]), key("a").1);
        assert_eq!(resolved.get(&other_namespace, seconds(14)), None);
        assert_eq!(resolved.get(&key("a"), seconds(15)), None);
        assert_eq!(resolved.lock().bytes, 0, "what is too old goes");
    }

    #[test]
    fn a_change_drops_what_was_known_before_during_and_while_it_went_on() {
        let resolved = Resolved::default();
        let now = seconds(1);
        let before = resolved.ask(&key("a"), now);
        resolved.keep(key("a"), before, Arc::new(1), 10);
        let under_way = resolved.ask(&key("a"), now);

        let change = resolved.changing(key("a"));
        assert_eq!(resolved.get(&key("a"), now), None, "forgotten before the change");
        resolved.keep(key("a"), under_way, Arc::new(1), 10);
        assert_eq!(resolved.get(&key("a"), now), None, "asked for before the change");
        let meanwhile = resolved.ask(&key("a"), now);
        let late = resolved.ask(&key("a"), now);
        resolved.keep(key("a"), meanwhile, Arc::new(1), 10);
        drop(change);
        assert_eq!(resolved.get(&key("a"), now), None, "forgotten after the change");
        resolved.keep(key("a"), late, Arc::new(1), 10);
        assert_eq!(resolved.get(&key("a"), now), None, "asked for during the change");

        let after = resolved.ask(&key("a"), now);
        resolved.keep(key("a"), after, Arc::new(2), 10);
        assert_eq!(resolved.get(&key("a"), now).as_deref(), Some(&2));
    }

    #[test]
    fn names_and_bytes_are_bounded_and_the_oldest_goes() {
        let resolved = Resolved::default();
        let now = seconds(1);
        let keep = |name: &str, bytes| {
            let asking = resolved.ask(&key(name), now);
            resolved.keep(key(name), asking, Arc::new(()), bytes);
        };
        (0..=MOST_NAMES).for_each(|number| keep(&format!("n-{number}"), 1));
        assert_eq!(resolved.lock().entries.len(), MOST_NAMES);
        assert!(resolved.get(&key("n-0"), now).is_none());
        assert!(resolved.get(&key("n-1"), now).is_some());
        keep("n-1", 1);
        keep("large", MOST_BYTES - 1);
        assert_eq!(resolved.lock().entries.len(), 2);
        assert!(resolved.get(&key("n-1"), now).is_some(), "kept anew, so not the oldest");
        keep("too-large", MOST_BYTES + 1);
        assert!(resolved.get(&key("large"), now).is_some());
        assert!(resolved.get(&key("too-large"), now).is_none());
        let kept = resolved.lock();
        assert_eq!((kept.bytes, kept.order.len()), (MOST_BYTES, 2));
    }
}
