//! What this crate's tests share.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use floe_env::{DirEntry, Disk, DiskFile, DiskLock, Random, RealDisk, Space};
use floe_model::codec::Decoder;
use floe_model::keys::{RegistrarPublicKey, RegistrarSignature};
use floe_model::{
    Axis, BlobId, BlobName, CatalogEntry, Certificate, Claim, ClaimId, CommitteeId, Confirmation,
    ContentPolicy, ExtentIndex, ExtentShape, Geometry, Incarnation, Layout, NamespaceUid, Permit,
    RecordHash, Release, Signed, SignedPermit, Signers, Timestamp, Unverified, UploadId,
};
use floe_redstuff::{EncodedExtent, ExtentSliver, Verified, encode_extent, verify_sliver};

use crate::{BlobKey, Entry, Expected, OpenError, Store};

pub(crate) struct Counting(AtomicU64);

impl Counting {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) {
        for byte in out {
            let next = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            *byte = (next ^ (next >> 29)).to_be_bytes()[0];
        }
    }
}

pub(crate) fn expected() -> Expected {
    Expected {
        committee: CommitteeId([1; 16]),
        node: "node-1".parse().unwrap(),
        incarnation: Incarnation(0),
    }
}

pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Store, OpenError> {
    Store::open(disk, &Counting::new(7), dir, &expected())
}

pub(crate) fn reopen(dir: &Path) -> Store {
    open(Arc::new(RealDisk), dir).unwrap()
}

pub(crate) fn signed<B>(body: B) -> Signed<B> {
    Signed {
        body,
        record: RecordHash([9; 32]),
        key: RegistrarPublicKey([8; 32]),
        signature: RegistrarSignature([7; 64]),
    }
}

pub(crate) const NAMESPACE: NamespaceUid = NamespaceUid([5; 16]);

pub(crate) fn name(text: &str) -> BlobName {
    text.parse().unwrap()
}

pub(crate) fn permit(upload: u8) -> SignedPermit {
    signed(Permit {
        upload: UploadId([upload; 16]),
        claim: ClaimId([upload; 16]),
        namespace_uid: NAMESPACE,
        name: name("blob"),
        signed: Timestamp(1),
    })
}

pub(crate) fn upload(key: u64, id: u8) -> Entry {
    Entry::Upload { key: BlobKey(key), permit: Box::new(permit(id)), opened: Timestamp(5) }
}

/// A claim for blob [blob; 32] of 100 bytes.
pub(crate) fn claim(id: u8, named: &str, blob: u8, created: u64) -> Claim {
    Claim {
        claim: ClaimId([id; 16]),
        namespace: "space".parse().unwrap(),
        namespace_uid: NAMESPACE,
        name: name(named),
        blob: BlobId([blob; 32]),
        length: 100,
        policy: ContentPolicy { content_type: "text/plain".to_owned(), sha256: [0; 32] },
        created: Timestamp(created),
        signed: Timestamp(created),
    }
}

pub(crate) fn certified(claim: Claim, record: u8) -> CatalogEntry {
    let certificate = Certificate {
        confirmation: Confirmation::of(&claim, geometry()),
        record: RecordHash([record; 32]),
        signers: Signers::decode(&mut Decoder::new(&[1, 0, 0, 0, 7])).unwrap(),
        signature: floe_model::keys::NodeSignature([3; 96]),
    };
    CatalogEntry::Claim(Box::new(signed(claim)), Box::new(certificate))
}

pub(crate) fn released(id: u8, named: &str, created: u64, at: u64) -> CatalogEntry {
    CatalogEntry::Release(Box::new(signed(Release {
        claim: ClaimId([id; 16]),
        namespace_uid: NAMESPACE,
        name: name(named),
        created: Timestamp(created),
        signed: Timestamp(at),
    })))
}

pub(crate) fn geometry() -> Geometry {
    Geometry::of_shards(4).unwrap()
}

/// An encoded extent of `length` bytes that differ by `seed`.
pub(crate) fn extent(length: usize, seed: u8) -> EncodedExtent {
    let shape = ExtentShape::new(geometry(), length).unwrap();
    let data: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap() ^ seed).collect();
    encode_extent(shape, &data).unwrap()
}

pub(crate) fn extent_entry(key: u64, number: u32, extent: &EncodedExtent) -> Entry {
    let metadata = extent.metadata();
    Entry::Extent {
        key: BlobKey(key),
        extent: ExtentIndex(number),
        shape: metadata.shape(),
        first_stripe: *metadata.first_stripe(),
        metadata: metadata.encode(),
    }
}

/// The sliver of `axis` of pair `pair`.
pub(crate) fn sliver(extent: &EncodedExtent, pair: u16, axis: Axis) -> Verified<ExtentSliver> {
    let index = geometry().sliver_of_pair(axis, floe_model::PairIndex(pair));
    let bytes = extent.sliver(axis, index).unwrap();
    verify_sliver(extent.metadata(), axis, index, Unverified::new(bytes)).unwrap()
}

pub(crate) fn write(store: &Store, entries: Vec<Entry>) {
    store.transact::<_, ()>(|_| Ok((entries, ()))).unwrap();
}

/// A real disk whose calls can be made to fail.
#[derive(Clone, Default)]
pub(crate) struct Faulty(Arc<Faults>);

#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) syncs: AtomicU32,
    /// Syncs of files from now on fail.
    pub(crate) fail_syncs: Mutex<bool>,
    /// The next write stops after so many bytes.
    pub(crate) short_write: Mutex<Option<(usize, io::ErrorKind)>>,
    /// What `space` says.
    pub(crate) space: Mutex<Option<Space>>,
    /// Files opened or made.
    pub(crate) opened: AtomicU32,
}

impl std::ops::Deref for Faulty {
    type Target = Faults;

    fn deref(&self) -> &Faults {
        &self.0
    }
}

struct FaultyFile(Box<dyn DiskFile>, Faulty);

impl Faulty {
    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Box::new(FaultyFile(file, self.clone()))
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some((count, kind)) = self.1.short_write.lock().unwrap().take() {
            self.0.write_at(offset, &bytes[..count.min(bytes.len())])?;
            return Err(kind.into());
        }
        self.0.write_at(offset, bytes)
    }

    fn length_bytes(&self) -> io::Result<u64> {
        self.0.length_bytes()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        if *self.1.fail_syncs.lock().unwrap() {
            return Err(io::Error::other("the medium failed"));
        }
        self.0.sync()
    }
}

impl Disk for Faulty {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.create(path).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path).map(|file| self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        RealDisk.lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.space.lock().unwrap().map_or_else(|| RealDisk.space(path), Ok)
    }
}
