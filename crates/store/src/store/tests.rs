#![expect(clippy::disallowed_methods, reason = "links and damage are made behind the store's back")]

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use floe_env::{RealDisk, read_file};
use floe_model::{ClaimId, CommitteeId, Incarnation, RecordHash, ShardIndex, Timestamp};
use tempfile::TempDir;

use super::*;
use crate::tests::fixture::{
    Counting, Faulty, certified, claim, expected, extent, extent_entry, geometry, open, reopen,
    sliver, upload, write,
};
use crate::{Expected, KeyState, OpenError};

const KEY: BlobKey = BlobKey(0);
const BLOB: BlobId = BlobId([7; 32]);
const FIRST: ExtentIndex = ExtentIndex(0);
const PAIR: PairIndex = PairIndex(1);

struct Volume {
    dir: TempDir,
    disk: Faulty,
    store: Store,
}

impl Volume {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Faulty::default();
        let store = open(Arc::new(disk.clone()), dir.path()).unwrap();
        Self { dir, disk, store }
    }

    /// One with an upload of one extent, none of whose slivers is there.
    fn with_upload() -> Self {
        let volume = Self::new();
        let manifest =
            Entry::Manifest { key: KEY, blob: BLOB, length: 100, manifest: b"manifest".to_vec() };
        let entries = vec![upload(0, 1), extent_entry(0, 0, &extent(100, 0)), manifest];
        write(&volume.store, entries);
        volume
    }

    fn put(&self, pair: u16, axis: Axis) -> Result<(), StoreError> {
        self.store.put_sliver(KEY, FIRST, PairIndex(pair), &sliver(&extent(100, 0), pair, axis))
    }

    fn get(&self, pair: u16, axis: Axis) -> Option<Vec<u8>> {
        self.store.read_sliver(KEY, FIRST, PairIndex(pair), axis, 0..1000).unwrap()
    }

    fn reopen(self) -> Self {
        let Self { dir, disk, store } = self;
        drop(store);
        let store = open(Arc::new(disk.clone()), dir.path()).unwrap();
        Self { dir, disk, store }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("slivers/0000000000000000").join(name)
    }
}

fn held(store: &Store) -> Vec<(PairIndex, Axis)> {
    store.read(|state| {
        let extents = state.key(KEY).into_iter().flat_map(KeyState::extents);
        extents.flat_map(|(_, extent)| extent.held().collect::<Vec<_>>()).collect()
    })
}

#[test]
fn a_volume_keeps_its_identity_and_refuses_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/here");
    let store = open(Arc::new(RealDisk), &path).unwrap();
    let identity = store.identity();
    assert_eq!((identity.committee, identity.genesis), (CommitteeId([1; 16]), None));
    assert_eq!(identity.key, store.key().public());
    let statement = possession_statement(
        &identity.committee,
        &identity.node,
        identity.incarnation,
        &identity.volume,
        &identity.key,
    );
    identity.key.verify_possession(&statement, &store.possession()).unwrap();

    let try_open =
        |expected: &Expected| Store::open(Arc::new(RealDisk), &Counting::new(99), &path, expected);
    let refused = try_open(&expected()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    drop(store);
    assert_eq!(try_open(&expected()).unwrap().identity(), identity);

    let others = [
        Expected { committee: CommitteeId([2; 16]), ..expected() },
        Expected { node: "node-2".parse().unwrap(), ..expected() },
        Expected { incarnation: Incarnation(1), ..expected() },
    ];
    let refused = others.map(|other| try_open(&other).unwrap_err());
    assert!(matches!(
        refused,
        [
            OpenError::OtherCommittee { .. },
            OpenError::OtherNode { .. },
            OpenError::OtherIncarnation { .. }
        ]
    ));
    assert!(refused[0].to_string().contains("01010101"), "{}", refused[0]);
    // None of the refusals did harm.
    assert_eq!(try_open(&expected()).unwrap().identity(), identity);
}

#[test]
fn a_volume_that_lost_a_part_of_itself_is_damaged() {
    for lost in ["identity", "key", "control.log"] {
        let volume = Volume::with_upload();
        volume.put(1, Axis::Primary).unwrap();
        let Volume { dir, store, .. } = volume;
        drop(store);
        std::fs::remove_file(dir.path().join(lost)).unwrap();
        let refused = open(Arc::new(RealDisk), dir.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "without {lost}: {refused}");
    }
}

#[test]
fn parts_of_another_volume_are_refused() {
    for swapped in ["key", "control.log"] {
        let [one, other] = [7, 8].map(|seed| {
            let dir = tempfile::tempdir().unwrap();
            Store::open(Arc::new(RealDisk), &Counting::new(seed << 58), dir.path(), &expected())
                .unwrap();
            dir
        });
        std::fs::copy(other.path().join(swapped), one.path().join(swapped)).unwrap();
        let refused = open(Arc::new(RealDisk), one.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{swapped}: {refused}");
    }
}

#[test]
fn a_start_that_died_before_the_identity_begins_anew() {
    let volume = Volume::new();
    let Volume { dir, store, .. } = volume;
    drop(store);
    std::fs::remove_file(dir.path().join("identity")).unwrap();
    reopen(dir.path());
}

#[test]
fn newer_files_are_refused_with_both_numbers() {
    for (file, at) in [("identity", 4), ("key", 4), ("control.log", 4)] {
        let Volume { dir, store, .. } = Volume::new();
        drop(store);
        let path = dir.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] = 9;
        std::fs::write(&path, bytes).unwrap();
        let refused = open(Arc::new(RealDisk), dir.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Version { found: 9, known: 1, .. }), "{refused}");
        let text = refused.to_string();
        assert!(text.contains('9') && text.contains('1') && text.contains("upgrade"), "{text}");
    }
}

#[test]
fn damage_to_the_synced_log_is_refused() {
    let volume = Volume::with_upload();
    volume.store.sync().unwrap();
    write(&volume.store, vec![Entry::CaughtUp]);
    let Volume { dir, store, .. } = volume;
    drop(store);
    let path = dir.path().join("control.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = open(Arc::new(RealDisk), dir.path()).unwrap_err();
    assert!(matches!(refused, OpenError::LogDamaged { .. }), "{refused}");
}

#[test]
fn links_are_not_followed() {
    for name in ["slivers", "corrupt", "identity", "key", "control.log", "lock"] {
        let Volume { dir, store, .. } = Volume::new();
        drop(store);
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("target");
        std::fs::rename(dir.path().join(name), &target).unwrap();
        symlink(&target, dir.path().join(name)).unwrap();
        let refused = open(Arc::new(RealDisk), dir.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{name}: {refused}");
    }
    // A blob's directory and a sliver: unlinked, their targets untouched.
    let volume = Volume::with_upload();
    volume.put(1, Axis::Primary).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let outside = elsewhere.path().join("outside");
    std::fs::write(&outside, b"outside").unwrap();
    symlink(&outside, volume.file("00000000-0002-p")).unwrap();
    symlink(elsewhere.path(), volume.dir.path().join("slivers/00000000000000ff")).unwrap();
    let volume = volume.reopen();
    assert_eq!(held(&volume.store), [(PAIR, Axis::Primary)]);
    assert_eq!(std::fs::read(&outside).unwrap(), b"outside");
}

#[test]
fn a_transaction_is_decided_recorded_and_applied_in_one_step() {
    let volume = Volume::new();
    let refused = volume.store.transact(|_| Err::<(Vec<Entry>, ()), _>("no"));
    assert!(matches!(refused, Err(TransactError::Refused("no"))));
    let given = volume.store.transact::<_, ()>(|state| {
        assert!(!state.caught_up());
        Ok((vec![upload(0, 1), Entry::CaughtUp], 42))
    });
    assert_eq!(given.unwrap(), 42);

    // The write fails in the second of two entries.
    *volume.disk.short_write.lock().unwrap() = Some((300, io::ErrorKind::StorageFull));
    let failed = volume.store.transact::<_, ()>(|_| Ok((vec![upload(1, 2), upload(2, 3)], ())));
    let full = matches!(failed, Err(TransactError::Store(StoreError::StorageFull { .. })));
    assert!(full, "{failed:?}");
    let uploads = |store: &Store| store.read(|state| state.uploads().count());
    assert_eq!(uploads(&volume.store), 1);
    write(&volume.store, vec![upload(1, 4)]);
    let volume = volume.reopen();
    assert_eq!(uploads(&volume.store), 2);
    assert!(volume.store.read(State::caught_up));
    assert_eq!(volume.store.read(State::next_key), BlobKey(2));
}

#[test]
fn a_failed_sync_ends_all_writing_but_no_reading() {
    let volume = Volume::with_upload();
    volume.put(1, Axis::Primary).unwrap();
    *volume.disk.fail_syncs.lock().unwrap() = true;
    assert!(matches!(volume.store.sync(), Err(StoreError::Failed { .. })));
    *volume.disk.fail_syncs.lock().unwrap() = false;
    let store = &volume.store;
    assert!(store.failed().is_some_and(|reason| reason.contains("medium")));
    assert!(matches!(store.sync(), Err(StoreError::Failed { .. })));
    assert!(matches!(volume.put(2, Axis::Primary), Err(StoreError::Failed { .. })));
    let refused = store.transact::<_, ()>(|_| Ok((vec![Entry::CaughtUp], ())));
    assert!(matches!(refused, Err(TransactError::Store(StoreError::Failed { .. }))));
    assert!(!store.read(State::caught_up));
    assert!(matches!(store.remove_blob(BlobKey(9)), Err(StoreError::Failed { .. })));
    assert!(volume.get(1, Axis::Primary).is_some());
    assert_eq!(store.manifest(KEY).unwrap().unwrap(), b"manifest");
}

#[test]
fn a_sync_syncs_what_is_new_and_nothing_else() {
    let volume = Volume::with_upload();
    let syncs = || volume.disk.syncs.swap(0, Ordering::Relaxed);
    volume.put(1, Axis::Primary).unwrap();
    volume.put(1, Axis::Secondary).unwrap();
    syncs();
    volume.store.sync().unwrap();
    assert_eq!(syncs(), 3, "two slivers, the log");
    volume.store.sync().unwrap();
    assert_eq!(syncs(), 0);
    volume.put(2, Axis::Primary).unwrap();
    volume.store.sync().unwrap();
    assert_eq!(syncs(), 1, "the log is as it was");
    write(&volume.store, vec![Entry::CaughtUp]);
    volume.store.sync().unwrap();
    assert_eq!(syncs(), 1, "the log");
}

#[test]
fn slivers_need_their_extent_and_their_place() {
    let volume = Volume::with_upload();
    let store = &volume.store;
    let primary = sliver(&extent(100, 0), 1, Axis::Primary);
    let put = |key, extent, pair, sliver: &Verified<ExtentSliver>| {
        store.put_sliver(key, extent, pair, sliver).unwrap_err()
    };
    assert!(matches!(put(BlobKey(1), FIRST, PAIR, &primary), StoreError::UnknownKey(_)));
    let unknown = put(KEY, ExtentIndex(1), PAIR, &primary);
    assert!(matches!(unknown, StoreError::UnknownExtent { .. }));
    let longer = sliver(&extent(101, 0), 1, Axis::Primary);
    assert!(matches!(put(KEY, FIRST, PAIR, &longer), StoreError::UnknownExtent { .. }));
    assert!(matches!(put(KEY, FIRST, PairIndex(2), &primary), StoreError::WrongPair { .. }));
    assert_eq!(held(store), []);
    volume.put(1, Axis::Primary).unwrap();
    volume.put(1, Axis::Primary).unwrap();
    assert_eq!(held(store), [(PAIR, Axis::Primary)]);
    assert_eq!(volume.get(1, Axis::Primary).unwrap(), primary.bytes());
    assert_eq!(volume.get(1, Axis::Secondary), None);
}

#[test]
fn a_corrupt_sliver_is_set_aside_missing_and_counted_until_it_comes_again() {
    let volume = Volume::with_upload();
    volume.put(1, Axis::Primary).unwrap();
    let path = volume.file("00000000-0001-p");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[90] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(volume.get(1, Axis::Primary), None);
    assert_eq!((volume.store.corrupt_slivers(), held(&volume.store)), (1, vec![]));
    assert_eq!(volume.get(1, Axis::Primary), None);
    assert_eq!(volume.store.corrupt_slivers(), 1);
    assert_eq!(std::fs::read_dir(volume.dir.path().join("corrupt")).unwrap().count(), 1);
    volume.put(1, Axis::Primary).unwrap();
    assert!(volume.get(1, Axis::Primary).is_some());
    // One that is gone altogether.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(volume.get(1, Axis::Primary), None);
    assert_eq!(volume.store.corrupt_slivers(), 2);
}

#[test]
fn a_start_checks_every_sliver_that_is_not_stable() {
    let volume = Volume::with_upload();
    for pair in 0..3 {
        volume.put(pair, Axis::Primary).unwrap();
    }
    let torn = std::fs::read(volume.file("00000000-0001-p")).unwrap();
    std::fs::write(volume.file("00000000-0001-p"), &torn[..torn.len() - 1]).unwrap();
    let mut altered = std::fs::read(volume.file("00000000-0002-p")).unwrap();
    altered[95] ^= 1;
    std::fs::write(volume.file("00000000-0002-p"), altered).unwrap();
    std::fs::write(volume.file("00000007-0002-p"), b"of an extent that the log lost").unwrap();
    let volume = volume.reopen();
    assert_eq!(held(&volume.store), [(PairIndex(0), Axis::Primary)]);
    assert_eq!(volume.store.corrupt_slivers(), 0, "a crash explains them");
    assert!(!volume.file("00000007-0002-p").exists());
}

#[test]
fn a_start_opens_no_stable_sliver_but_those_of_a_wrong_length() {
    let volume = Volume::with_upload();
    let stable = Entry::Stable { key: KEY };
    volume.put(0, Axis::Primary).unwrap();
    let early = volume.store.transact::<_, ()>(|_| Ok((vec![stable.clone()], ())));
    assert!(matches!(early, Err(TransactError::Store(StoreError::Unsynced(KEY)))));
    volume.store.sync().unwrap();
    write(&volume.store, vec![stable]);
    // From now on each one is durable before it has its name.
    let syncs = volume.disk.syncs.load(Ordering::Relaxed);
    volume.put(1, Axis::Primary).unwrap();
    assert_eq!(volume.disk.syncs.load(Ordering::Relaxed), syncs + 1);
    volume.put(2, Axis::Primary).unwrap();
    std::fs::write(volume.file("00000000-0002-p"), b"short").unwrap();
    volume.disk.opened.store(0, Ordering::Relaxed);
    let volume = volume.reopen();
    // Twice identity, key and log; the short sliver.
    assert_eq!(volume.disk.opened.load(Ordering::Relaxed), 7);
    assert_eq!(held(&volume.store), [(PairIndex(0), Axis::Primary), (PAIR, Axis::Primary)]);
    assert_eq!(volume.store.corrupt_slivers(), 1);
}

#[test]
fn below_two_percent_only_what_adds_bytes_is_refused() {
    let volume = Volume::with_upload();
    volume.put(1, Axis::Primary).unwrap();
    let space = |free_bytes| Some(Space { total_bytes: 1_000_000, free_bytes });
    *volume.disk.space.lock().unwrap() = space(20_010);
    let full = volume.put(2, Axis::Primary);
    assert!(matches!(full, Err(StoreError::StorageFull { free_bytes: 20_010, .. })), "{full:?}");
    assert!(volume.get(1, Axis::Primary).is_some());
    volume.store.sync().unwrap();
    write(&volume.store, vec![Entry::Expired { key: KEY }]);
    volume.store.remove_blob(KEY).unwrap();
    *volume.disk.space.lock().unwrap() = space(30_000);
    write(&volume.store, vec![upload(1, 9)]);
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_sliver_leaves_nothing() {
    let volume = Volume::with_upload();
    *volume.disk.short_write.lock().unwrap() = Some((50, io::ErrorKind::StorageFull));
    assert!(matches!(volume.put(2, Axis::Primary), Err(StoreError::StorageFull { .. })));
    assert_eq!(held(&volume.store), []);
    assert_eq!(std::fs::read_dir(volume.file("")).unwrap().count(), 0);
    volume.put(2, Axis::Primary).unwrap();
}

#[test]
fn a_blob_is_removed_after_it_expired_and_its_key_never_comes_again() {
    let volume = Volume::with_upload();
    volume.put(1, Axis::Primary).unwrap();
    assert!(matches!(volume.store.remove_blob(KEY), Err(StoreError::StillLive(KEY))));
    write(&volume.store, vec![Entry::Expired { key: KEY }]);
    assert_eq!(volume.get(1, Axis::Primary), None);
    assert!(matches!(volume.put(2, Axis::Primary), Err(StoreError::UnknownKey(KEY))));
    volume.store.remove_blob(KEY).unwrap();
    assert!(!volume.file("").exists());
    let volume = volume.reopen();
    assert_eq!(
        volume.store.read(|state| (state.next_key(), state.slivers_held())),
        (BlobKey(1), 0)
    );
}

#[test]
fn what_is_let_go_is_not_held_any_more_and_may_come_again() {
    let volume = Volume::with_upload();
    for (pair, axis) in (0..3).flat_map(|pair| Axis::BOTH.map(|axis| (pair, axis))) {
        volume.put(pair, axis).unwrap();
    }
    let all = held(&volume.store);
    let chosen = |state: &State| {
        assert!(state.key(KEY).is_some(), "in one step with the look at the state");
        vec![(FIRST, PairIndex(0)), (FIRST, PairIndex(2)), (FIRST, PairIndex(3))]
    };
    assert_eq!(volume.store.let_go(KEY, chosen).unwrap(), 4);
    let left = Axis::BOTH.map(|axis| (PAIR, axis));
    assert_eq!(held(&volume.store), left);
    assert_eq!(volume.get(0, Axis::Primary), None);
    assert_eq!(volume.store.let_go(KEY, |_| vec![(FIRST, PairIndex(0))]).unwrap(), 0);
    volume.store.sync().unwrap();
    let volume = volume.reopen();
    assert_eq!(held(&volume.store), left);
    for (pair, axis) in [0, 2].into_iter().flat_map(|pair| Axis::BOTH.map(|axis| (pair, axis))) {
        volume.put(pair, axis).unwrap();
    }
    assert_eq!(held(&volume.store), all);
}

#[test]
fn files_of_a_blob_that_the_log_does_not_know_are_removed_and_their_key_left_out() {
    let volume = Volume::new();
    let left = volume.dir.path().join("slivers/0000000000000004");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("00000000-0001-p"), b"left").unwrap();
    let volume = volume.reopen();
    assert!(!left.exists());
    assert_eq!(volume.store.read(State::next_key), BlobKey(5));
}

#[test]
fn bytes_that_stay_in_the_log_come_back_from_there() {
    let volume = Volume::with_upload().reopen();
    let store = &volume.store;
    assert_eq!(store.manifest(KEY).unwrap().unwrap(), b"manifest");
    let metadata = extent(100, 0).metadata().encode();
    assert_eq!(store.metadata(KEY, FIRST).unwrap().unwrap(), metadata);
    assert_eq!(store.metadata(KEY, ExtentIndex(1)).unwrap(), None);
    assert_eq!(store.manifest(BlobKey(1)).unwrap(), None);
    assert_eq!(store.frozen_proof(&BLOB).unwrap(), None);
    write(store, vec![Entry::Frozen { blob: BLOB, proof: b"proof".to_vec() }]);
    assert_eq!(store.frozen_proof(&BLOB).unwrap().unwrap(), b"proof");
}

#[test]
fn the_feed_shows_what_is_durable_in_order_and_in_bounds() {
    let volume = Volume::new();
    let store = &volume.store;
    let entries: Vec<_> = (1..=4).map(|id| certified(claim(id, "name", 7, 1), 9)).collect();
    let catalog = |entries: &[CatalogEntry]| entries.iter().cloned().map(Entry::Catalog).collect();
    write(store, catalog(&entries[..3]));
    assert_eq!((store.feed(0, 1 << 20).unwrap(), store.feed_head()), (vec![], 0));
    store.sync().unwrap();
    write(store, catalog(&entries[3..]));
    let numbered = |range: Range<usize>| -> Vec<(u64, CatalogEntry)> {
        range.map(|at| (at as u64 + 1, entries[at].clone())).collect()
    };
    assert_eq!(store.feed(0, 1 << 20).unwrap(), numbered(0..3));
    assert_eq!((store.feed_head(), store.read(State::feed_head)), (3, 4));
    assert_eq!(store.feed(0, 1).unwrap(), numbered(0..1), "one at least");
    assert_eq!(store.feed(1, 1100).unwrap(), numbered(1..3));
    assert_eq!(store.feed(1, 600).unwrap(), numbered(1..2));
    assert_eq!(store.feed(3, 1 << 20).unwrap(), []);
    assert_eq!(store.feed(9, 1 << 20).unwrap(), []);
    let volume = volume.reopen();
    assert_eq!(volume.store.feed(0, 1 << 20).unwrap(), numbered(0..4));
}

#[test]
fn what_is_missing_is_told_by_shard() {
    let volume = Volume::with_upload();
    let shards: Vec<ShardIndex> = vec![ShardIndex(0), ShardIndex(2)];
    let encoded = extent(100, 0);
    let pairs = shards
        .iter()
        .map(|&shard| geometry().pair_of_shard(encoded.metadata().first_stripe(), shard));
    for pair in pairs {
        let holds_all =
            |store: &Store| store.read(|state| state.holds_all(&BLOB, geometry(), &shards));
        for axis in Axis::BOTH {
            assert!(!holds_all(&volume.store));
            volume.put(pair.0, axis).unwrap();
        }
    }
    volume.store.read(|state| {
        assert!(state.holds_all(&BLOB, geometry(), &shards));
        let under = state.key(KEY).unwrap();
        assert_eq!(under.missing(geometry(), &shards).count(), 0);
        assert_eq!(under.missing(geometry(), &[ShardIndex(1)]).count(), 1);
        assert_eq!(state.slivers_held(), 4);
    });
}

#[test]
fn nobody_else_can_read_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let volume = Volume::new();
    let path = volume.dir.path().join("key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = read_file(&RealDisk, &path, 4096).unwrap();
    let secret = volume.store.key().to_bytes();
    assert!(bytes.windows(32).any(|window| window == *secret));
    let identity = std::fs::read(volume.dir.path().join("identity")).unwrap();
    assert!(!identity.windows(32).any(|window| window == *secret));
}

#[test]
fn expiry_ends_confirmations_of_the_blob() {
    let volume = Volume::with_upload();
    let id = ClaimId([3; 16]);
    let binding = CatalogEntry::Binding { claim: id, blob: BLOB };
    let confirmed =
        Entry::Confirmed { claim: id, blob: BLOB, record: RecordHash([1; 32]), at: Timestamp(4) };
    write(&volume.store, vec![Entry::Catalog(binding), confirmed]);
    let claim = |store: &Store| store.read(|state| state.claim(&id).cloned().unwrap());
    assert!(claim(&volume.store).confirmed.is_some());
    write(&volume.store, vec![Entry::Expired { key: KEY }]);
    assert_eq!(claim(&volume.store).confirmed, None);
    assert_eq!(claim(&volume.store).bindings, [BLOB]);
}
