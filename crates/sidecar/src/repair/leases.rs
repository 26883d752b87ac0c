//! Leases of repair work, in memory: who brings what, until when. Times are monotonic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_api::messages::LeasedBlob;
use floe_api::{ApiError, ErrorCode};
use floe_model::{BlobId, BootId, ExtentIndex, LeaseId, ShardIndex};

/// Leases at a time.
const MOST_LEASES: usize = 64;

/// One lease.
#[derive(Debug)]
struct Held {
    until: Duration,
    shards: Vec<ShardIndex>,
    /// What is still to be brought.
    left: BTreeMap<BlobId, BTreeSet<ExtentIndex>>,
}

#[derive(Debug, Default)]
struct Book {
    live: BTreeMap<LeaseId, Held>,
    /// When the last lease that is gone was held.
    held_last: Duration,
    /// Blobs of which all came that was leased, and that are not synced yet.
    brought: BTreeSet<BlobId>,
    /// Blobs that the node itself works on.
    own: BTreeSet<BlobId>,
    /// Behind which blob the next lease begins.
    next: Option<BlobId>,
}

/// The leases of one start of a node.
#[derive(Debug)]
pub(crate) struct Leases {
    boot: BootId,
    ttl: Duration,
    book: Mutex<Book>,
}

impl Book {
    fn expire(&mut self, now: Duration) {
        let ended = self.live.values().filter(|held| held.until <= now).map(|held| held.until);
        self.held_last = ended.fold(self.held_last, Duration::max);
        self.live.retain(|_, held| held.until > now);
    }

    fn leased(&self) -> BTreeSet<BlobId> {
        self.live.values().flat_map(|held| held.left.keys().copied()).collect()
    }
}

impl Leases {
    /// None is given yet; `now` counts as the end of the last one. A lease holds for `ttl` after it was
    /// given, renewed or worked on.
    pub(crate) fn new(boot: BootId, ttl: Duration, now: Duration) -> Self {
        let book = Book { held_last: now, ..Book::default() };
        Self { boot, ttl, book: Mutex::new(book) }
    }

    fn book(&self, now: Duration) -> MutexGuard<'_, Book> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.expire(now);
        book
    }

    /// The start that leases are bound to.
    pub(crate) const fn boot(&self) -> BootId {
        self.boot
    }

    /// How long a lease holds, in milliseconds.
    pub(crate) fn ttl_millis(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }

    /// Leases that hold, and the extents in them that are still to be brought.
    pub(crate) fn counts(&self, now: Duration) -> (usize, usize) {
        let book = self.book(now);
        let left = |held: &Held| held.left.values().map(BTreeSet::len).sum::<usize>();
        (book.live.len(), book.live.values().map(left).sum())
    }

    /// How long nobody has held a lease; `None` if someone does.
    pub(crate) fn idle(&self, now: Duration) -> Option<Duration> {
        let book = self.book(now);
        book.live.is_empty().then(|| now.saturating_sub(book.held_last))
    }

    /// The blobs that someone works on, and behind which one the next lease begins.
    pub(crate) fn taken(&self, now: Duration) -> (BTreeSet<BlobId>, Option<BlobId>) {
        let book = self.book(now);
        (book.leased().union(&book.own).copied().collect(), book.next)
    }

    /// The node itself works on these blobs now, and on no others; those of them that are leased.
    pub(crate) fn own_hand(&self, blobs: BTreeSet<BlobId>, now: Duration) -> BTreeSet<BlobId> {
        let mut book = self.book(now);
        let leased = book.leased().intersection(&blobs).copied().collect();
        book.own = blobs;
        leased
    }

    /// Gives a lease; of `blobs` those that nobody holds, which are returned.
    pub(crate) fn grant(
        &self,
        lease: LeaseId,
        now: Duration,
        shards: &[ShardIndex],
        mut blobs: Vec<LeasedBlob>,
    ) -> Result<Vec<LeasedBlob>, ApiError> {
        let mut book = self.book(now);
        if book.live.len() >= MOST_LEASES {
            return Err(ApiError::overloaded("too many leases are held", 5));
        }
        let leased = book.leased();
        blobs.retain(|blob| !leased.contains(&blob.blob) && !book.own.contains(&blob.blob));
        book.next = blobs.last().map(|blob| blob.blob);
        if blobs.is_empty() {
            return Ok(blobs);
        }
        let extents = |blob: &LeasedBlob| blob.extents.iter().map(|extent| extent.extent).collect();
        let left = blobs.iter().map(|blob| (blob.blob, extents(blob))).collect();
        book.live.insert(lease, Held { until: now + self.ttl, shards: shards.to_vec(), left });
        Ok(blobs)
    }

    /// The lease, renewed.
    fn held<'a>(
        &self,
        book: &'a mut Book,
        (lease, boot): (LeaseId, BootId),
        now: Duration,
    ) -> Result<&'a mut Held, ApiError> {
        if boot != self.boot {
            let detail = format!("lease {lease} is of an earlier start of this node");
            return Err(ApiError::new(ErrorCode::LeaseStale, detail + ": ask for a new one"));
        }
        let held = book.live.get_mut(&lease).ok_or_else(|| {
            let detail = format!("lease {lease} was not renewed in time, or was ended");
            ApiError::new(ErrorCode::LeaseExpired, detail + ": ask for a new one")
        })?;
        held.until = held.until.max(now + self.ttl);
        Ok(held)
    }

    /// Renews a lease; the extents that are left of it.
    pub(crate) fn renew(&self, lease: (LeaseId, BootId), now: Duration) -> Result<usize, ApiError> {
        let mut book = self.book(now);
        let held = self.held(&mut book, lease, now)?;
        Ok(held.left.values().map(BTreeSet::len).sum())
    }

    /// The shards whose slivers of this extent may be brought under the lease, which is renewed.
    pub(crate) fn covers(
        &self,
        lease: (LeaseId, BootId),
        (blob, extent): (BlobId, ExtentIndex),
        now: Duration,
    ) -> Result<Vec<ShardIndex>, ApiError> {
        let mut book = self.book(now);
        let held = self.held(&mut book, lease, now)?;
        if held.left.get(&blob).is_some_and(|extents| extents.contains(&extent)) {
            return Ok(held.shards.clone());
        }
        let detail = format!("extent {extent} of blob {blob} is not, or no more, in the lease");
        Err(ApiError::new(ErrorCode::NotLeased, detail))
    }

    /// An extent leaves the lease: all of it came, or its holder gives it back.
    pub(crate) fn leave(
        &self,
        lease: LeaseId,
        (blob, extent): (BlobId, ExtentIndex),
        brought: bool,
        now: Duration,
    ) {
        let mut book = self.book(now);
        let Some(held) = book.live.get_mut(&lease) else { return };
        let Some(extents) = held.left.get_mut(&blob) else { return };
        extents.remove(&extent);
        if extents.is_empty() {
            held.left.remove(&blob);
            if brought {
                book.brought.insert(blob);
            }
        }
    }

    /// Ends a lease.
    pub(crate) fn end(&self, lease: (LeaseId, BootId), now: Duration) -> Result<(), ApiError> {
        let mut book = self.book(now);
        self.held(&mut book, lease, now)?;
        book.live.remove(&lease.0);
        book.held_last = now;
        Ok(())
    }

    /// Blobs that came and are not synced yet; they are not named again.
    pub(crate) fn take_brought(&self, now: Duration) -> Vec<BlobId> {
        std::mem::take(&mut self.book(now).brought).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use floe_api::messages::LeasedExtent;

    use super::*;

    const BOOT: BootId = BootId([1; 16]);
    const SECOND: Duration = Duration::from_secs(1);

    fn blob(id: u8, extents: u32) -> LeasedBlob {
        let extent = |extent| LeasedExtent { extent: ExtentIndex(extent), missing: None };
        LeasedBlob {
            blob: BlobId([id; 32]),
            length: 1,
            extents: (0..extents).map(extent).collect(),
        }
    }

    fn lease(id: u8) -> LeaseId {
        LeaseId([id; 16])
    }

    fn code<T: std::fmt::Debug>(outcome: Result<T, ApiError>) -> ErrorCode {
        outcome.unwrap_err().code
    }

    #[test]
    fn leases_are_disjoint_end_and_expire() {
        let leases = Leases::new(BOOT, 60 * SECOND, SECOND);
        assert_eq!(leases.idle(3 * SECOND), Some(2 * SECOND));
        let shards = [ShardIndex(2)];
        let first = leases.grant(lease(1), SECOND, &shards, vec![blob(1, 2), blob(2, 1)]).unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!(leases.taken(SECOND).1, Some(BlobId([2; 32])));
        let second = leases.grant(lease(2), SECOND, &shards, vec![blob(2, 1), blob(3, 1)]).unwrap();
        assert_eq!(second, [blob(3, 1)]);
        assert_eq!((leases.counts(SECOND), leases.idle(SECOND)), ((2, 4), None));

        let (one, place) = ((lease(1), BOOT), (BlobId([1; 32]), ExtentIndex(0)));
        assert_eq!(leases.covers(one, place, 30 * SECOND), Ok(shards.to_vec()));
        let outside = (BlobId([3; 32]), ExtentIndex(0));
        assert_eq!(code(leases.covers(one, outside, SECOND)), ErrorCode::NotLeased);
        let other_boot = (lease(1), BootId([9; 16]));
        assert_eq!(code(leases.covers(other_boot, place, SECOND)), ErrorCode::LeaseStale);
        // The second one was not touched since.
        let two = (lease(2), BOOT);
        assert_eq!(code(leases.renew(two, 62 * SECOND)), ErrorCode::LeaseExpired);
        assert_eq!(leases.renew(one, 62 * SECOND), Ok(3));
        let again = leases.grant(lease(3), 62 * SECOND, &shards, vec![blob(2, 1), blob(3, 1)]);
        assert_eq!(again.unwrap(), [blob(3, 1)]);
        leases.end(one, 70 * SECOND).unwrap();
        assert_eq!(code(leases.end(one, 70 * SECOND)), ErrorCode::LeaseExpired);
        assert_eq!(leases.idle(70 * SECOND), None);
        assert_eq!(leases.idle(130 * SECOND), Some(8 * SECOND));
    }

    #[test]
    fn what_the_node_itself_works_on_is_not_leased() {
        let leases = Leases::new(BOOT, 60 * SECOND, SECOND);
        let own = BTreeSet::from([BlobId([1; 32])]);
        assert!(leases.own_hand(own.clone(), SECOND).is_empty());
        let both = vec![blob(1, 1), blob(2, 1)];
        assert_eq!(leases.grant(lease(1), SECOND, &[], both.clone()).unwrap(), [blob(2, 1)]);
        assert_eq!(leases.taken(SECOND).0.len(), 2);
        leases.own_hand(BTreeSet::new(), SECOND);
        assert_eq!(leases.grant(lease(2), SECOND, &[], both).unwrap(), [blob(1, 1)]);
        assert_eq!(leases.own_hand(own.clone(), SECOND), own);
    }

    #[test]
    fn what_came_is_not_taken_twice() {
        let leases = Leases::new(BOOT, 60 * SECOND, SECOND);
        leases.grant(lease(1), SECOND, &[ShardIndex(0)], vec![blob(1, 2), blob(2, 1)]).unwrap();
        let place = |id, extent| (BlobId([id; 32]), ExtentIndex(extent));
        leases.leave(lease(1), place(1, 0), true, SECOND);
        assert_eq!(
            code(leases.covers((lease(1), BOOT), place(1, 0), SECOND)),
            ErrorCode::NotLeased
        );
        assert!(leases.take_brought(SECOND).is_empty());
        leases.leave(lease(1), place(1, 1), true, SECOND);
        leases.leave(lease(1), place(2, 0), false, SECOND);
        assert_eq!(leases.take_brought(SECOND), [BlobId([1; 32])]);
        assert!(leases.take_brought(SECOND).is_empty());
        assert_eq!(leases.counts(SECOND), (1, 0));
    }
}
