//! The open volume.

mod open;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use floe_env::{Disk, DiskLock, Space};
use floe_model::catalog::{BUCKETS, Bucket, BucketDigest};
use floe_model::codec::Layout as _;
use floe_model::keys::{NodeKey, NodeSignature};
use floe_model::record::possession_statement;
use floe_model::{Axis, BlobId, CatalogEntry, ExtentIndex, PairIndex};
use floe_redstuff::{ExtentSliver, Verified};

use crate::commit::GroupCommit;
use crate::entry::{BlobKey, Entry};
use crate::error::{StoreError, TransactError};
use crate::identity::VolumeIdentity;
use crate::log::{AppendError, ControlLog, LogSpan, Tail};
use crate::slivers::{Found, PutError, SliverAddress, SliverStore};
use crate::state::State;

/// One of so many parts of the file system is kept back for removal and repair.
const RESERVED_PART: u64 = 50;

/// An open volume. All calls block; share it in an `Arc`.
pub struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    identity: VolumeIdentity,
    key: NodeKey,
    shared: RwLock<Shared>,
    log: ControlLog,
    slivers: Box<dyn SliverStore>,
    /// Puts under way, by blob.
    writing: Mutex<BTreeMap<BlobKey, usize>>,
    commit: GroupCommit,
    corrupt: AtomicU64,
    _lock: Box<dyn DiskLock>,
}

struct Shared {
    state: State,
    tail: Tail,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Store {
    /// Whose volume it is, as known now.
    pub fn identity(&self) -> VolumeIdentity {
        let genesis = self.shared().state.genesis();
        VolumeIdentity { genesis, ..self.identity.clone() }
    }

    /// The node's key.
    pub const fn key(&self) -> &NodeKey {
        &self.key
    }

    /// The proof that this volume has its key.
    pub fn possession(&self) -> NodeSignature {
        let VolumeIdentity { committee, node, incarnation, volume, key, .. } = &self.identity;
        let statement = possession_statement(committee, node, *incarnation, volume, key);
        self.key.prove_possession(&statement)
    }

    fn shared(&self) -> RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared_mut(&self) -> RwLockWriteGuard<'_, Shared> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, BTreeMap<BlobKey, usize>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state. Keep it short: writers wait meanwhile. `look` must not call the store: a
    /// writer that waits between two looks of one thread would wait for ever, and both with it.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared().state)
    }

    /// Decides on the state and records the decision, in one step: the entries are appended to the
    /// control log as one and applied, or nothing happens. They are durable after the next `sync`.
    pub fn transact<T, E>(
        &self,
        decide: impl FnOnce(&State) -> Result<(Vec<Entry>, T), E>,
    ) -> Result<T, TransactError<E>> {
        let mut shared = self.shared_mut();
        let (entries, value) = decide(&shared.state).map_err(TransactError::Refused)?;
        if !entries.is_empty() {
            self.append(&mut shared, &entries)?;
        }
        Ok(value)
    }

    fn append(&self, shared: &mut Shared, entries: &[Entry]) -> Result<(), StoreError> {
        self.commit.check()?;
        for entry in entries {
            if let Entry::Stable { key } = entry {
                self.require_synced(*key)?;
            }
        }
        let spans = self.log.append(&mut shared.tail, entries).map_err(|error| match error {
            AppendError::Refused(StoreError::Io(error)) => self.disk_error(error),
            AppendError::Refused(error) => error,
            AppendError::Broken(error) => self.commit.fail(&error),
        })?;
        for (entry, span) in entries.iter().zip(spans) {
            shared.state.apply(entry, span);
        }
        Ok(())
    }

    /// A put under way shows in `writing` first, then among the unsynced: look in that order.
    fn require_synced(&self, key: BlobKey) -> Result<(), StoreError> {
        if self.writing().contains_key(&key) || self.slivers.has_unsynced(key) {
            return Err(StoreError::Unsynced(key));
        }
        Ok(())
    }

    /// Returns when everything that was written before the call is durable. Calls at the same time
    /// share one sync. An error ends all writing.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.commit.check()?;
        let clean = |shared: &Shared| shared.tail.entries_end <= shared.tail.durable;
        if clean(&self.shared()) && !self.slivers.has_any_unsynced() {
            return Ok(());
        }
        self.commit.sync(|| self.sync_round())
    }

    fn sync_round(&self) -> io::Result<()> {
        self.slivers.sync()?;
        let Tail { end, entries_end, durable } = self.shared().tail;
        if entries_end <= durable {
            return Ok(());
        }
        self.log.sync()?;
        let mut shared = self.shared_mut();
        shared.tail.durable = end;
        match self.log.mark(&mut shared.tail) {
            // Without the mark a later damage at the end would pass for a torn tail: no more.
            Ok(()) | Err(AppendError::Refused(_)) => Ok(()),
            Err(AppendError::Broken(error)) => Err(error),
        }
    }

    /// Why writing ended: the process is to end too.
    pub fn failed(&self) -> Option<String> {
        self.commit.failed()
    }

    /// Writes a sliver that is not held yet; durable after the next `sync`.
    pub fn put_sliver(
        &self,
        key: BlobKey,
        extent: ExtentIndex,
        pair: PairIndex,
        sliver: &Verified<ExtentSliver>,
    ) -> Result<(), StoreError> {
        self.commit.check()?;
        let (axis, index) = (sliver.axis(), sliver.index());
        if sliver.shape().geometry().sliver_of_pair(axis, pair) != index {
            return Err(StoreError::WrongPair { axis, index, pair });
        }
        let address = SliverAddress { key, extent, pair, axis };
        *self.writing().entry(key).or_default() += 1;
        let put = self.put_new(&address, sliver);
        let mut writing = self.writing();
        if let Some(under_way) = writing.get_mut(&key) {
            *under_way = under_way.saturating_sub(1);
            if *under_way == 0 {
                writing.remove(&key);
            }
        }
        put
    }

    fn put_new(&self, address: &SliverAddress, sliver: &ExtentSliver) -> Result<(), StoreError> {
        let SliverAddress { key, extent, pair, axis } = *address;
        let stable = {
            let shared = self.shared();
            let under = shared.state.key(key).ok_or(StoreError::UnknownKey(key))?;
            let known = under.extent(extent).filter(|known| known.shape() == sliver.shape());
            let known = known.ok_or(StoreError::UnknownExtent { key, extent })?;
            if known.holds(pair, axis) {
                return Ok(());
            }
            under.is_stable()
        };
        self.require_space(sliver.bytes().len() as u64)?;
        // Nobody checks a stable blob's slivers at the next start.
        let put = self.slivers.put(address, sliver.shape(), sliver.bytes(), stable);
        put.map_err(|error| match error {
            PutError::Write(error) => self.disk_error(error),
            PutError::Sync(error) => self.commit.fail(&error),
        })?;
        if self.shared_mut().state.hold(address) {
            return Ok(());
        }
        // Expired meanwhile.
        self.slivers.remove(address)?;
        Err(StoreError::UnknownKey(key))
    }

    /// Room on the volume's file system.
    pub fn space(&self) -> io::Result<Space> {
        self.disk.space(&self.dir)
    }

    /// Refuses when less than 2 % would be left.
    pub fn require_space(&self, bytes: u64) -> Result<(), StoreError> {
        let Space { total_bytes, free_bytes } = self.space()?;
        if free_bytes.saturating_sub(bytes) < total_bytes / RESERVED_PART {
            return Err(StoreError::StorageFull { free_bytes, total_bytes });
        }
        Ok(())
    }

    fn disk_error(&self, error: io::Error) -> StoreError {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        match self.space() {
            Ok(Space { total_bytes, free_bytes }) if full.contains(&error.kind()) => {
                StoreError::StorageFull { free_bytes, total_bytes }
            }
            _ => StoreError::Io(error),
        }
    }

    /// Reads a range of a sliver, cut at its end; `None` if it is not held. A corrupt one is set
    /// aside, counted, and not held from then on.
    pub fn read_sliver(
        &self,
        key: BlobKey,
        extent: ExtentIndex,
        pair: PairIndex,
        axis: Axis,
        range: Range<usize>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let address = SliverAddress { key, extent, pair, axis };
        let held = |state: &State| {
            let known = state.key(key)?.extent(extent)?;
            known.holds(pair, axis).then_some(known.shape())
        };
        let Some(shape) = self.read(held) else { return Ok(None) };
        if let Found::Good(bytes) = self.slivers.read(&address, shape, range)? {
            return Ok(Some(bytes));
        }
        // Under the lock and once more: it may have been removed, or replaced by a good one.
        let mut shared = self.shared_mut();
        let reason = match self.slivers.check(&address, shape)? {
            _ if held(&shared.state).is_none() => return Ok(None),
            Found::Good(()) => "it was, a moment ago".to_owned(),
            Found::Nothing => "it is gone".to_owned(),
            Found::Corrupt(reason) => reason,
        };
        tracing::warn!(%address, reason, "a sliver is corrupt, it counts as missing");
        self.corrupt.fetch_add(1, Ordering::Relaxed);
        shared.state.unhold(&address);
        self.slivers.set_aside(&address)?;
        Ok(None)
    }

    /// Slivers found corrupt since the start.
    pub fn corrupt_slivers(&self) -> u64 {
        self.corrupt.load(Ordering::Relaxed)
    }

    /// An extent's metadata, as `Entry::Extent` brought it.
    pub fn metadata(
        &self,
        key: BlobKey,
        extent: ExtentIndex,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.payload(|state| Some(state.key(key)?.extent(extent)?.metadata()))
    }

    /// A blob's manifest, as `Entry::Manifest` brought it.
    pub fn manifest(&self, key: BlobKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.payload(|state| state.key(key)?.manifest())
    }

    /// The proof that a blob is inconsistent.
    pub fn frozen_proof(&self, blob: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        self.payload(|state| state.frozen(blob))
    }

    fn payload(
        &self,
        find: impl FnOnce(&State) -> Option<LogSpan>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(find).map(|span| self.log.payload(span)).transpose()
    }

    /// The digests of all buckets of the catalog, in their order. Writers get between two of them: the
    /// state is not looked at for long.
    pub fn digests(&self) -> Vec<BucketDigest> {
        let buckets = (0..BUCKETS).map(Bucket);
        buckets.map(|bucket| self.read(|state| state.digest(bucket))).collect()
    }

    /// The number of the newest durable entry of the change feed; 0 for none.
    pub fn feed_head(&self) -> u64 {
        let shared = self.shared();
        shared.state.feed_durable(shared.tail.durable)
    }

    /// The change feed's durable entries behind number `after`: as many as fit into `limit_bytes`
    /// of log, but one at least. What is not durable yet is never shown: a reader's cursor must
    /// not run ahead of what this volume remembers.
    pub fn feed(
        &self,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<(u64, CatalogEntry)>, StoreError> {
        let spans: Vec<(u64, LogSpan)> = {
            let shared = self.shared();
            let mut left = limit_bytes as u64;
            let fits = |(position, (_, span)): &(usize, (u64, LogSpan))| {
                let fits = *position == 0 || left >= u64::from(span.bytes);
                left = left.saturating_sub(u64::from(span.bytes));
                fits && span.end() <= shared.tail.durable
            };
            let behind = shared.state.feed_spans(after).enumerate().take_while({
                let mut fits = fits;
                move |item| fits(item)
            });
            behind.map(|(_, item)| item).collect()
        };
        let read = |(sequence, span): (u64, LogSpan)| {
            let payload = self.log.payload(span)?;
            let entry = CatalogEntry::from_bytes(&payload)
                .map_err(|_| StoreError::LogDamaged { offset_bytes: span.offset_bytes })?;
            Ok((sequence, entry))
        };
        spans.into_iter().map(read).collect()
    }

    /// Removes both slivers of the pairs of a blob that `choose` says, in one step with the look at the
    /// state: from then on they are not held. A crash may bring them back. Gives how many there were.
    pub fn let_go(
        &self,
        key: BlobKey,
        choose: impl FnOnce(&State) -> Vec<(ExtentIndex, PairIndex)>,
    ) -> Result<u64, StoreError> {
        self.commit.check()?;
        let mut shared = self.shared_mut();
        let mut gone = 0;
        for (extent, pair) in choose(&shared.state) {
            for axis in Axis::BOTH {
                let address = SliverAddress { key, extent, pair, axis };
                let known = shared.state.key(key).and_then(|under| under.extent(extent));
                if known.is_some_and(|known| known.holds(pair, axis)) {
                    shared.state.unhold(&address);
                    self.slivers.remove(&address)?;
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }

    /// Removes the files of a blob whose key has expired, after making sure that this is durable.
    pub fn remove_blob(&self, key: BlobKey) -> Result<(), StoreError> {
        if self.read(|state| state.key(key).is_some()) {
            return Err(StoreError::StillLive(key));
        }
        self.sync()?;
        Ok(self.slivers.remove_blob(key)?)
    }
}

#[cfg(test)]
mod tests;
