//! What the API server answered, believed for a while. Equal questions that come at a time are asked
//! once; while the API server cannot be reached, what it allowed goes on to count a little longer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_env::Clock;
use floe_model::{Hash, Timestamp};
use tokio::sync::Mutex as AsyncMutex;

/// Answers that are kept.
const MOST_ANSWERS: usize = 4096;
/// Bytes that they may take together.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What an answer takes beside its value: its places in the maps.
const OVERHEAD_BYTES: usize = 256;
/// For how long nothing more is asked after a question that nobody answered.
const PAUSE: Duration = Duration::from_secs(1);

/// For how long an answer is believed, from when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// Without asking again.
    fresh: Duration,
    /// While nobody can be asked.
    stretched: Duration,
}

impl Lifetime {
    /// Of a yes.
    pub(crate) const ALLOWED: Self =
        Self { fresh: Duration::from_mins(1), stretched: Duration::from_mins(5) };
    /// Of a no: what was forbidden may be allowed by now.
    pub(crate) const DENIED: Self =
        Self { fresh: Duration::from_secs(10), stretched: Duration::from_secs(10) };

    fn standing(self, age: Duration) -> Standing {
        if age < self.fresh {
            Standing::Fresh
        } else if age < self.stretched {
            Standing::Stretched
        } else {
            Standing::Gone
        }
    }
}

/// What an answer of some age is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It counts.
    Fresh,
    /// It counts while nobody can be asked.
    Stretched,
    /// Nothing.
    Gone,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer<V> {
    /// What was said.
    pub(crate) value: V,
    /// For how long that is believed.
    pub(crate) lifetime: Lifetime,
    /// From when on it is not, in any case.
    pub(crate) ends: Option<Timestamp>,
    /// Bytes that the value takes, about.
    pub(crate) bytes: usize,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub(crate) String);

/// Whether the API server answers, as the last questions showed.
#[derive(Default)]
pub(crate) struct Reach {
    lost: Mutex<Option<(Duration, Unreachable)>>,
}

impl Reach {
    /// Why it makes no sense to ask just now.
    fn lost(&self, now: Duration) -> Option<Unreachable> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, why) = lost.as_ref()?;
        (now.saturating_sub(*at) < PAUSE).then(|| why.clone())
    }

    fn learn(&self, now: Duration, error: Option<&Unreachable>) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        *lost = error.map(|error| (now, error.clone()));
    }
}

/// Answers by the hash of their question.
pub(crate) struct Answers<V> {
    clock: Arc<dyn Clock>,
    reach: Arc<Reach>,
    kept: Mutex<Kept<V>>,
    turns: Mutex<BTreeMap<Hash, Arc<AsyncMutex<()>>>>,
}

struct Kept<V> {
    entries: BTreeMap<Hash, Entry<V>>,
    /// What makes room first: short-lived before long-lived, older before younger.
    order: BTreeMap<(Duration, u64), Hash>,
    next: u64,
    bytes: usize,
}

struct Entry<V> {
    answer: Answer<V>,
    asked_at: Duration,
    order: (Duration, u64),
}

impl<V: Clone> Answers<V> {
    /// Keeps nothing yet.
    pub(crate) fn new(clock: Arc<dyn Clock>, reach: Arc<Reach>) -> Self {
        let kept = Kept { entries: BTreeMap::new(), order: BTreeMap::new(), next: 0, bytes: 0 };
        Self { clock, reach, kept: Mutex::new(kept), turns: Mutex::default() }
    }

    /// The answer to a question, asked if nothing fresh is kept.
    pub(crate) async fn get(
        &self,
        key: Hash,
        question: impl Future<Output = Result<Answer<V>, Unreachable>>,
    ) -> Result<V, Unreachable> {
        if let Some(value) = self.look(&key, Standing::Fresh) {
            return Ok(value);
        }
        let turn = Turn::new(&self.turns, key);
        let _asking = turn.lock.lock().await;
        if let Some(value) = self.look(&key, Standing::Fresh) {
            return Ok(value);
        }
        if let Some(why) = self.reach.lost(self.clock.monotonic()) {
            return self.look(&key, Standing::Stretched).ok_or(why);
        }
        let answer = self.renew(key, question).await;
        answer.or_else(|why| self.look(&key, Standing::Stretched).ok_or(why))
    }

    /// Asks, whatever is kept.
    pub(crate) async fn renew(
        &self,
        key: Hash,
        question: impl Future<Output = Result<Answer<V>, Unreachable>>,
    ) -> Result<V, Unreachable> {
        let asked_at = self.clock.monotonic();
        let answer = question.await;
        self.reach.learn(self.clock.monotonic(), answer.as_ref().err());
        let answer = answer?;
        let value = answer.value.clone();
        self.keep(key, asked_at, answer);
        Ok(value)
    }

    /// The answer that is kept, if it is still that good.
    fn look(&self, key: &Hash, worst: Standing) -> Option<V> {
        let now = self.clock.monotonic();
        let mut kept = self.kept();
        let entry = kept.entries.get(key)?;
        let has_ended = entry.answer.ends.is_some_and(|ends| self.clock.unix_millis() >= ends.0);
        let standing = match entry.answer.lifetime.standing(now.saturating_sub(entry.asked_at)) {
            _ if has_ended => Standing::Gone,
            standing => standing,
        };
        if standing == Standing::Gone {
            kept.remove(key);
            return None;
        }
        (standing <= worst).then(|| entry.answer.value.clone())
    }

    fn keep(&self, key: Hash, asked_at: Duration, answer: Answer<V>) {
        let bytes = answer.bytes.saturating_add(OVERHEAD_BYTES);
        let mut kept = self.kept();
        kept.remove(&key);
        if bytes > MOST_BYTES {
            return;
        }
        while kept.entries.len() >= MOST_ANSWERS || kept.bytes.saturating_add(bytes) > MOST_BYTES {
            let Some((_, first)) = kept.order.pop_first() else { break };
            kept.remove(&first);
        }
        let order = (answer.lifetime.stretched, kept.next);
        kept.next += 1;
        kept.bytes += bytes;
        kept.order.insert(order, key);
        kept.entries.insert(key, Entry { answer, asked_at, order });
    }

    fn kept(&self) -> MutexGuard<'_, Kept<V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Kept<V> {
    fn remove(&mut self, key: &Hash) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.order);
            let bytes = entry.answer.bytes.saturating_add(OVERHEAD_BYTES);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

/// One of those who have the same question. The first asks, the others wait for what it hears; should
/// it go away, the next one asks.
struct Turn<'a> {
    turns: &'a Mutex<BTreeMap<Hash, Arc<AsyncMutex<()>>>>,
    key: Hash,
    lock: Arc<AsyncMutex<()>>,
}

impl<'a> Turn<'a> {
    fn new(turns: &'a Mutex<BTreeMap<Hash, Arc<AsyncMutex<()>>>>, key: Hash) -> Self {
        let mut waiting = turns.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(waiting.entry(key).or_default());
        Self { turns, key, lock }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut waiting = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and this one.
        if Arc::strong_count(&self.lock) == 2 {
            waiting.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
