//! Bounds, in bytes, on what all pipelines of a client hold in memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Semaphores count in these units.
const UNIT_BYTES: usize = 4096;
/// Bytes of a body that are taken before room for a whole extent is asked for.
pub(crate) const FIRST_BYTES: usize = 256 * 1024;

/// How much memory the pipelines of one client may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of bodies that are being received and not yet encoded.
    pub receiving_bytes: usize,
    /// Bytes of encoded extents that are being sent.
    pub sending_bytes: usize,
    /// Bytes of extents that are being read, or wait to be taken by their reader.
    pub reading_bytes: usize,
}

impl Budget {
    /// Bytes of memory without use that writes under way may keep for what they encode next.
    pub(crate) const fn idle_bytes(self) -> usize {
        self.sending_bytes / 2
    }
}

impl Default for Budget {
    /// Room for a few full extents each, below 200 MiB together.
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { receiving_bytes: 32 * MIB, sending_bytes: 112 * MIB, reading_bytes: 56 * MIB }
    }
}

/// One bound. Who wants more than all of it gets all of it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    semaphore: Arc<Semaphore>,
    units: usize,
}

/// Bytes held, until dropped.
pub(crate) type Held = Option<OwnedSemaphorePermit>;

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let units = bytes.div_ceil(UNIT_BYTES).clamp(1, most);
        Self { semaphore: Arc::new(Semaphore::new(units)), units }
    }

    /// Waits, first come first served, for room for `bytes`.
    pub(crate) async fn hold(&self, bytes: usize) -> Held {
        let units = bytes.div_ceil(UNIT_BYTES).clamp(1, self.units);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        // It is never closed.
        Arc::clone(&self.semaphore).acquire_many_owned(units).await.ok()
    }

    #[cfg(test)]
    pub(crate) fn free_bytes(&self) -> usize {
        self.semaphore.available_permits() * UNIT_BYTES
    }
}

/// Gives back all but `bytes` of what is held.
pub(crate) fn shrink(held: &mut Held, bytes: usize) {
    let Some(permit) = held else { return };
    let keep = bytes.div_ceil(UNIT_BYTES);
    drop(permit.split(permit.num_permits().saturating_sub(keep)));
}

/// The bounds of a client. Whoever holds room in one waits only for room further down, and what is
/// held furthest down is given back without anybody's help, so nobody waits for ever.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    /// The first bytes of bodies: most blobs are small.
    pub(crate) starting: Room,
    pub(crate) receiving: Room,
    pub(crate) sending: Room,
    pub(crate) reading: Room,
}

impl Rooms {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            starting: Room::new((budget.receiving_bytes / 4).max(FIRST_BYTES)),
            receiving: Room::new(budget.receiving_bytes / 4 * 3),
            sending: Room::new(budget.sending_bytes),
            reading: Room::new(budget.reading_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn what_does_not_fit_waits_and_what_never_fits_gets_everything() {
        let room = Room::new(10 * UNIT_BYTES);
        let mut first = room.hold(6 * UNIT_BYTES).now_or_never().unwrap();
        let mut second = Box::pin(room.hold(100 * UNIT_BYTES));
        assert!((&mut second).now_or_never().is_none());
        shrink(&mut first, UNIT_BYTES + 1);
        assert_eq!(room.free_bytes(), 0, "the one who waits has a right to what is given back");
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert!(second.now_or_never().is_some());
        assert_eq!(room.free_bytes(), 10 * UNIT_BYTES);
    }
}
