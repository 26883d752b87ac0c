use std::path::PathBuf;
use std::sync::Arc;

use floe_env::{Disk, RealDisk, read_file, write_file_durably};
use floe_model::frame::CHUNK_BYTES;
use floe_model::{Geometry, VolumeId};
use tempfile::TempDir;

use super::*;
use crate::tests::fixture::Faulty;

struct Place {
    dir: TempDir,
    slivers: PlainFiles,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let slivers = PlainFiles::open(Arc::new(RealDisk), dir.path(), VolumeId([1; 16])).unwrap();
        Self { dir, slivers }
    }

    fn path(&self, sliver: &SliverAddress) -> PathBuf {
        let axis = if sliver.axis == Axis::Primary { 'p' } else { 's' };
        let name = format!("{:08x}-{:04x}-{axis}", sliver.extent.0, sliver.pair.0);
        self.dir.path().join("slivers").join(sliver.key.to_string()).join(name)
    }

    fn files(&self, directory: &str) -> Vec<String> {
        let listed = RealDisk.list(&self.dir.path().join(directory)).unwrap();
        listed.into_iter().map(|entry| entry.name).collect()
    }
}

fn address(extent: u32, pair: u16, axis: Axis) -> SliverAddress {
    SliverAddress { key: BlobKey(5), extent: ExtentIndex(extent), pair: PairIndex(pair), axis }
}

fn shape(length: usize) -> ExtentShape {
    ExtentShape::new(Geometry::of_shards(4).unwrap(), length).unwrap()
}

fn content(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at + seed) % 251).unwrap()).collect()
}

#[test]
fn ranges_come_back_across_chunks() {
    let place = Place::new();
    let shape = shape(500_000);
    let sliver = address(0, 1, Axis::Primary);
    let bytes = content(shape.sliver_bytes(Axis::Primary), 0);
    assert!(bytes.len() > 2 * CHUNK_BYTES);
    place.slivers.put(&sliver, shape, &bytes, false).unwrap();
    let border = CHUNK_BYTES;
    let end = bytes.len();
    for range in [
        0..0,
        0..end,
        0..usize::MAX,
        border - 1..border + 1,
        border..border,
        border..2 * border,
        5..2 * border + 7,
        end - 1..end + 9,
        end..end + 1,
        end + 5..end + 9,
    ] {
        let expected = bytes.get(range.start.min(end)..range.end.min(end)).unwrap();
        let read = place.slivers.read(&sliver, shape, range.clone()).unwrap();
        assert_eq!(read, Found::Good(expected.to_vec()), "{range:?}");
    }
    let other = address(0, 2, Axis::Primary);
    assert_eq!(place.slivers.read(&other, shape, 0..1).unwrap(), Found::Nothing);
}

#[test]
fn every_altered_byte_and_every_cut_is_found() {
    let place = Place::new();
    let shape = shape(100);
    let sliver = address(0, 1, Axis::Secondary);
    let bytes = content(shape.sliver_bytes(Axis::Secondary), 3);
    place.slivers.put(&sliver, shape, &bytes, false).unwrap();
    let good = read_file(&RealDisk, &place.path(&sliver), u64::MAX).unwrap();
    assert_eq!(good.len() as u64, place.slivers.stored_bytes(shape, Axis::Secondary));
    let corrupt = |stored: &[u8]| {
        write_file_durably(&RealDisk, &place.path(&sliver), stored).unwrap();
        let checked = place.slivers.check(&sliver, shape).unwrap();
        let read = place.slivers.read(&sliver, shape, 0..bytes.len()).unwrap();
        matches!((checked, read), (Found::Corrupt(_), Found::Corrupt(_)))
    };
    assert!(!corrupt(&good));
    for at in 0..good.len() {
        let mut altered = good.clone();
        altered[at] ^= 0x40;
        assert!(corrupt(&altered), "byte {at}");
        assert!(corrupt(&good[..at]), "cut at {at}");
    }
    assert!(corrupt(&[&good[..], &[0]].concat()));
}

#[test]
fn swapped_files_are_found_at_both_places() {
    let place = Place::new();
    let shape = shape(100);
    let one = address(0, 1, Axis::Primary);
    for other in [
        address(1, 1, Axis::Primary),
        address(0, 2, Axis::Primary),
        SliverAddress { key: BlobKey(6), ..one },
    ] {
        for (sliver, seed) in [(&one, 1), (&other, 2)] {
            let bytes = content(shape.sliver_bytes(Axis::Primary), seed);
            place.slivers.put(sliver, shape, &bytes, false).unwrap();
        }
        let aside = place.dir.path().join("aside");
        RealDisk.rename(&place.path(&one), &aside).unwrap();
        RealDisk.rename(&place.path(&other), &place.path(&one)).unwrap();
        RealDisk.rename(&aside, &place.path(&other)).unwrap();
        for sliver in [&one, &other] {
            let read = place.slivers.read(sliver, shape, 0..4).unwrap();
            assert!(matches!(read, Found::Corrupt(_)), "{sliver} instead of {other}");
        }
    }
}

#[test]
fn a_file_of_another_volume_is_not_taken() {
    let place = Place::new();
    let other = Place {
        slivers: PlainFiles::open(Arc::new(RealDisk), place.dir.path(), VolumeId([2; 16])).unwrap(),
        dir: tempfile::tempdir().unwrap(),
    };
    let (shape, sliver) = (shape(10), address(0, 0, Axis::Primary));
    let bytes = content(shape.sliver_bytes(Axis::Primary), 0);
    other.slivers.put(&sliver, shape, &bytes, false).unwrap();
    assert!(matches!(place.slivers.check(&sliver, shape).unwrap(), Found::Corrupt(_)));
}

#[test]
fn what_is_set_aside_is_bounded() {
    let place = Place::new();
    let shape = shape(10);
    let bytes = content(shape.sliver_bytes(Axis::Primary), 0);
    for pair in 0..80 {
        let sliver = address(0, pair, Axis::Primary);
        place.slivers.put(&sliver, shape, &bytes, false).unwrap();
        place.slivers.set_aside(&sliver).unwrap();
        assert_eq!(place.slivers.check(&sliver, shape).unwrap(), Found::Nothing);
    }
    assert_eq!(place.files("corrupt").len(), 64);
    place.slivers.set_aside(&address(0, 0, Axis::Primary)).unwrap();
}

#[test]
fn a_listing_drops_what_unfinished_puts_left_and_leaves_strangers() {
    let place = Place::new();
    let (shape, sliver) = (shape(10), address(3, 1, Axis::Secondary));
    let bytes = content(shape.sliver_bytes(Axis::Secondary), 0);
    place.slivers.put(&sliver, shape, &bytes, false).unwrap();
    let directory = place.path(&sliver).parent().unwrap().to_owned();
    for name in [".7.tmp", "README"] {
        RealDisk.create(&directory.join(name)).unwrap();
    }
    RealDisk.create(&place.dir.path().join("slivers/notes")).unwrap();
    assert_eq!(place.slivers.keys().unwrap(), [BlobKey(5)]);
    let stored_bytes = place.slivers.stored_bytes(shape, Axis::Secondary);
    assert_eq!(place.slivers.list(BlobKey(5)).unwrap(), [Listed { sliver, stored_bytes }]);
    assert_eq!(place.files("slivers/0000000000000005"), ["00000003-0001-s", "README"]);
    place.slivers.remove_blob(BlobKey(5)).unwrap();
    place.slivers.remove_blob(BlobKey(5)).unwrap();
    assert_eq!(place.files("slivers"), ["notes"]);
}

#[test]
fn unsynced_files_are_synced_once_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let slivers = PlainFiles::open(Arc::new(disk.clone()), dir.path(), VolumeId([1; 16])).unwrap();
    let syncs = || disk.syncs.load(std::sync::atomic::Ordering::Relaxed);
    let shape = shape(10);
    let bytes = content(shape.sliver_bytes(Axis::Primary), 0);
    for pair in 0..260 {
        slivers.put(&address(0, pair, Axis::Primary), shape, &bytes, false).unwrap();
    }
    assert_eq!(syncs(), 4, "256 may stay open");
    assert!(slivers.has_unsynced(BlobKey(5)) && !slivers.has_unsynced(BlobKey(6)));
    slivers.sync().unwrap();
    assert_eq!(syncs(), 260);
    assert!(!slivers.has_any_unsynced());
    slivers.sync().unwrap();
    assert_eq!(syncs(), 260);
    slivers.put(&address(1, 0, Axis::Primary), shape, &bytes, true).unwrap();
    assert_eq!(syncs(), 261);
    assert!(!slivers.has_any_unsynced());
}
