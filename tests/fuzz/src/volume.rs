//! A node's volume: the control log, the identity, the slivers. Whoever reads them does not know who
//! wrote them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use floe_env::{Disk, Random};
use floe_model::{
    Axis, BlobId, CommitteeId, ExtentIndex, Incarnation, PairIndex, SignedPermit, Timestamp,
    Unverified,
};
use floe_redstuff::verify_sliver;
use floe_store::{BlobKey, Entry, Expected, OpenError, Store};

use crate::memory_disk::{Files, MemoryDisk};
use crate::reseal::{reseal, reseal_only};
use crate::samples::{extent, slivers, value};
use crate::target::Target;

pub(crate) const TARGETS: &[Target] = &[
    // A volume is opened four times; the log is read through a window of 256 KiB.
    Target { base_bytes: 4 << 20, factor: 64, ..Target::of_values("store_log", log_seeds, log) },
    Target { base_bytes: 4 << 20, ..Target::of_values("store_identity", identity_seeds, identity) },
    Target { base_bytes: 4 << 20, ..Target::of_values("store_slivers", sliver_seeds, sliver) },
];

const DIRECTORY: &str = "/volume";
const KEY: BlobKey = BlobKey(0);
const FIRST: ExtentIndex = ExtentIndex(0);

/// Always the same bytes: one volume is like the other.
struct Fixed;

impl Random for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

fn open(disk: &Arc<dyn Disk>) -> Result<Store, OpenError> {
    let expected = Expected {
        committee: CommitteeId([0xc0; 16]),
        node: "node-1".parse().unwrap(),
        incarnation: Incarnation(1),
    };
    Store::open(disk.clone(), &Fixed, Path::new(DIRECTORY), &expected)
}

fn file(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// The files of a volume on which something of everything happened.
static FILES: LazyLock<Files> = LazyLock::new(|| {
    let disk = Arc::new(MemoryDisk::default());
    let shared: Arc<dyn Disk> = disk.clone();
    let store = open(&shared).unwrap();
    let extent = extent();
    let metadata = extent.metadata();
    let blob = BlobId([7; 32]);
    let permit: SignedPermit = value("signed permit");
    let record = permit.record;
    let claim = permit.body.claim;
    let entries = vec![
        Entry::Record(Box::new(value("signed record"))),
        Entry::Accepted(record),
        Entry::Committed { proof: Box::new(value("commit proof")), learnt: Timestamp(4) },
        Entry::Upload { key: KEY, permit: Box::new(permit), opened: Timestamp(5) },
        Entry::Extent {
            key: KEY,
            extent: FIRST,
            shape: metadata.shape(),
            first_stripe: *metadata.first_stripe(),
            metadata: metadata.encode(),
        },
        Entry::Manifest { key: KEY, blob, length: 100, manifest: vec![3; 54] },
    ];
    store.transact::<_, ()>(|_| Ok((entries, ()))).unwrap();
    for (axis, index, bytes) in slivers(&extent) {
        let pair = metadata.shape().geometry().pair_of_sliver(axis, index);
        let sliver = verify_sliver(metadata, axis, index, Unverified::new(bytes)).unwrap();
        store.put_sliver(KEY, FIRST, pair, &sliver).unwrap();
    }
    store.sync().unwrap();
    for entry in [
        Entry::Stable { key: KEY },
        Entry::Confirmed { claim, blob, record, at: Timestamp(6) },
        Entry::Catalog(value("catalog claim")),
        Entry::Catalog(value("catalog release")),
        Entry::Catalog(value("catalog binding")),
        Entry::CaughtUp,
        Entry::Frozen { blob, proof: vec![9; 70] },
    ] {
        store.transact::<_, ()>(|_| Ok((vec![entry], ()))).unwrap();
    }
    store.sync().unwrap();
    drop(store);
    disk.files()
});

/// What a volume says that was opened; opened once more, it must say the same.
fn opened(files: &Files) {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::of(files));
    let Ok(store) = open(&disk) else { return };
    let first = said(&store);
    drop(store);
    let again = open(&disk).unwrap_or_else(|error| panic!("opened once and not again: {error}"));
    assert_eq!(said(&again), first, "a volume that changes by being opened");
}

fn said(store: &Store) -> impl PartialEq + std::fmt::Debug + use<> {
    let slivers = Axis::BOTH.map(|axis| {
        (0..4)
            .map(|pair| store.read_sliver(KEY, FIRST, PairIndex(pair), axis, 0..usize::MAX).ok())
            .collect::<Vec<_>>()
    });
    let head = store.feed_head();
    let feed = store.feed(0, 1 << 20).map_err(|error| error.to_string());
    let payloads = (
        store.metadata(KEY, FIRST).map_err(|error| error.to_string()),
        store.manifest(KEY).map_err(|error| error.to_string()),
        store.frozen_proof(&BlobId([7; 32])).map_err(|error| error.to_string()),
    );
    (slivers, head, feed, payloads)
}

fn log_seeds() -> Vec<Vec<u8>> {
    let whole = FILES[&file("control.log")].clone();
    let half = whole[..whole.len() / 2].to_vec();
    vec![whole, half]
}

/// The log as given, and with every frame where it says it is, of this log.
fn log(input: &[u8]) {
    let mut files = FILES.clone();
    files.insert(file("control.log"), input.to_vec());
    opened(&files);
    let id = log_id();
    let sealed = reseal(input, |offset, head| {
        if offset > 0 && head.len() >= 16 {
            head[..8].copy_from_slice(&id);
            head[8..16].copy_from_slice(&(offset as u64).to_le_bytes());
        }
    });
    files.insert(file("control.log"), sealed);
    opened(&files);
}

/// Behind the prefix of the first frame, a version and the volume.
fn log_id() -> [u8; 8] {
    let log = &FILES[&file("control.log")];
    log[20 + 2 + 16..][..8].try_into().unwrap()
}

/// Which file, then its bytes.
fn identity_seeds() -> Vec<Vec<u8>> {
    let seed = |(which, name)| [&[which], &FILES[&file(name)][..]].concat();
    [(0, "identity"), (1, "key")].map(seed).to_vec()
}

fn identity(input: &[u8]) {
    let Some((which, bytes)) = input.split_first() else { return };
    let name = if which % 2 == 0 { "identity" } else { "key" };
    for bytes in [bytes.to_vec(), reseal_only(bytes)] {
        let mut files = FILES.clone();
        files.insert(file(name), bytes);
        opened(&files);
    }
}

/// Pair and axis, then the bytes of the file.
fn sliver_seeds() -> Vec<Vec<u8>> {
    let slivers = FILES.iter().filter(|(path, _)| path.starts_with(file("slivers")));
    let seed = |(path, bytes): (&PathBuf, &Vec<u8>)| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let pair: u8 = name[12..13].parse().unwrap();
        let axis = u8::from(name.ends_with('s'));
        // The head and a little: what follows is one chunk like the other.
        [&[pair, axis], &bytes[..200]].concat()
    };
    slivers.map(seed).collect()
}

fn sliver(input: &[u8]) {
    let Some((&[pair, axis], given)) = input.split_first_chunk::<2>() else { return };
    let name =
        format!("0000000000000000/00000000-{:04x}-{}", pair % 4, ["p", "s"][usize::from(axis % 2)]);
    let path = file("slivers").join(name);
    let Some(honest) = FILES.get(&path) else { return };
    let mut bytes = given.to_vec();
    bytes.extend_from_slice(honest.get(given.len()..).unwrap_or_default());
    for bytes in [bytes.clone(), reseal_only(&bytes)] {
        let mut files = FILES.clone();
        files.insert(path.clone(), bytes);
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::of(&files));
        let store = open(&disk).unwrap();
        let axis = if axis % 2 == 0 { Axis::Primary } else { Axis::Secondary };
        let read =
            store.read_sliver(KEY, FIRST, PairIndex(u16::from(pair % 4)), axis, 0..usize::MAX);
        if let Some(read) = read.unwrap() {
            assert_eq!(read.len(), extent_sliver_bytes(axis), "a sliver of another length");
        }
    }
}

fn extent_sliver_bytes(axis: Axis) -> usize {
    static SHAPE: LazyLock<floe_model::ExtentShape> = LazyLock::new(|| extent().metadata().shape());
    SHAPE.sliver_bytes(axis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_to_start_from_is_whole() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::of(&FILES));
        let store = open(&disk).unwrap();
        assert_eq!(store.feed_head(), 3);
        assert!(
            store.read_sliver(KEY, FIRST, PairIndex(0), Axis::Primary, 0..9).unwrap().is_some()
        );
        assert!(store.metadata(KEY, FIRST).unwrap().is_some());
        let log = &FILES[&file("control.log")];
        assert!(reseal_only(log) == *log, "resealing changes a whole log");
    }
}
