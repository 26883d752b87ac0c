//! Bounds in bytes: what may be in flight for the foreground, and how fast repair may read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Metrics;

/// Bytes are counted in units, so that a semaphore can hold large bounds.
const UNIT_BYTES: usize = 1024;

/// Bytes of foreground requests that may be in flight.
pub(crate) struct Foreground {
    room: Arc<Semaphore>,
    units: usize,
    metrics: Arc<Metrics>,
}

/// An answer's body with the room that it takes: given back when the last byte is on its way,
/// however slowly the other end takes them.
struct Kept {
    bytes: Bytes,
    _room: Reserved,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Room taken by one request or answer, given back when dropped.
pub(crate) struct Reserved {
    _permit: OwnedSemaphorePermit,
    bytes: i64,
    metrics: Arc<Metrics>,
}

impl Reserved {
    /// Bytes that keep their room as long as they live.
    pub(crate) fn keep_with(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Kept { bytes, _room: self })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.metrics.foreground_changed(-self.bytes);
    }
}

impl Foreground {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: usize, metrics: Arc<Metrics>) -> Self {
        let units = bytes.div_ceil(UNIT_BYTES).clamp(1, u32::MAX as usize >> 3);
        Self { room: Arc::new(Semaphore::new(units)), units, metrics }
    }

    /// Takes room for a request, or `None` if there is not enough. A request larger than all room
    /// gets it alone.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reserved> {
        let units = bytes.div_ceil(UNIT_BYTES).clamp(1, self.units);
        let permits = u32::try_from(units).ok()?;
        let Ok(permit) = Arc::clone(&self.room).try_acquire_many_owned(permits) else {
            self.metrics.request_shed();
            return None;
        };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.foreground_changed(bytes);
        Some(Reserved { _permit: permit, bytes, metrics: Arc::clone(&self.metrics) })
    }
}

/// How many bytes per second may be read. Spending goes into debt, and the debt is waited for.
pub(crate) struct ByteRate {
    bytes_per_second: Option<u64>,
    /// The moment at which everything spent so far is paid for.
    paid_at: Mutex<Duration>,
}

impl ByteRate {
    /// A bound, or none.
    pub(crate) const fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, paid_at: Mutex::new(Duration::ZERO) }
    }

    /// Bytes were read at the moment `now`.
    pub(crate) fn spend(&self, now: Duration, bytes: usize) {
        let Some(rate) = self.bytes_per_second else { return };
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let nanos = (bytes as u128).saturating_mul(1_000_000_000) / u128::from(rate.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        *paid_at = (*paid_at).max(now).saturating_add(cost);
    }

    /// How long to wait before more may be read.
    pub(crate) fn wait(&self, now: Duration) -> Option<Duration> {
        let paid_at = *self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        paid_at.checked_sub(now).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_room_until_its_last_byte_is_gone() {
        let room = Foreground::new(4 * UNIT_BYTES, Arc::new(Metrics::new().unwrap()));
        let bytes = Bytes::from(vec![7; 4 * UNIT_BYTES]);
        let mut answer = room.reserve(bytes.len()).unwrap().keep_with(bytes);
        let sent = answer.split_to(UNIT_BYTES);
        drop(answer);
        assert!(room.reserve(1).is_none(), "a part of it is on its way");
        assert_eq!(sent[..], [7; UNIT_BYTES]);
        drop(sent);
        assert!(room.reserve(4 * UNIT_BYTES).is_some());
    }

    #[test]
    fn foreground_room_comes_back() {
        let room = Foreground::new(10 * UNIT_BYTES, Arc::new(Metrics::new().unwrap()));
        let first = room.reserve(6 * UNIT_BYTES).unwrap();
        assert!(room.reserve(5 * UNIT_BYTES).is_none());
        let second = room.reserve(4 * UNIT_BYTES).unwrap();
        drop((first, second));
        assert!(room.reserve(1000 * UNIT_BYTES).is_some());
    }

    #[test]
    fn who_spends_waits_for_it() {
        let second = Duration::from_secs(1);
        let rate = ByteRate::new(Some(1000));
        assert_eq!(rate.wait(second), None);
        rate.spend(second, 500);
        rate.spend(second, 1500);
        assert_eq!(rate.wait(second), Some(2 * second));
        assert_eq!(rate.wait(3 * second), None);
        let free = ByteRate::new(None);
        free.spend(second, usize::MAX);
        assert_eq!(free.wait(second), None);
    }
}
