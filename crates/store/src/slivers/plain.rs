//! Slivers as plain files, one frame each: `<key>/<extent>-<pair>-<axis>`.

mod name;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floe_env::{Disk, DiskFile, create_dir_durably};
use floe_model::codec::{Encoder, Layout};
use floe_model::frame::{CHUNK_BYTES, FrameHead, frame_bytes, write_frame};
use floe_model::{Axis, ExtentShape, VolumeId};

use super::{Found, Listed, PutError, SliverAddress, SliverStore};
use crate::entry::BlobKey;
use name::{file_name, parse_file_name, parse_key};

/// The kind of a sliver's frame.
const KIND_SLIVER: u16 = 1;
/// The version of the head's layout.
const SLIVER_VERSION: u16 = 1;
/// Bytes of the head: version, volume, key, extent, pair, axis, n, f, length.
const HEAD_BYTES: usize = 2 + 16 + 8 + 4 + 2 + 1 + 2 + 2 + 8;
/// Files kept open until the next sync; a put beyond them syncs its own.
const MOST_UNSYNCED_FILES: usize = 256;
/// Corrupt files kept for whoever wants to know; later ones are removed.
const MOST_CORRUPT_FILES: usize = 64;

/// Slivers as plain files.
pub(crate) struct PlainFiles {
    disk: Arc<dyn Disk>,
    slivers: PathBuf,
    corrupt: PathBuf,
    volume: VolumeId,
    unsynced: Mutex<Unsynced>,
    temporary: AtomicU64,
}

/// What a sync has to do.
#[derive(Default)]
struct Unsynced {
    /// Files by put, with their blob.
    files: BTreeMap<u64, (BlobKey, Arc<dyn DiskFile>)>,
    /// Directories of blobs, each with the number of its last put.
    directories: BTreeMap<BlobKey, u64>,
    next: u64,
}

impl PlainFiles {
    /// Slivers in the volume at `dir`; makes the directories.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path, volume: VolumeId) -> io::Result<Self> {
        let (slivers, corrupt) = (dir.join("slivers"), dir.join("corrupt"));
        create_dir_durably(disk.as_ref(), &slivers)?;
        create_dir_durably(disk.as_ref(), &corrupt)?;
        Ok(Self {
            disk,
            slivers,
            corrupt,
            volume,
            unsynced: Mutex::default(),
            temporary: AtomicU64::new(0),
        })
    }

    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, key: BlobKey) -> PathBuf {
        self.slivers.join(key.to_string())
    }

    fn path(&self, sliver: &SliverAddress) -> PathBuf {
        self.directory(sliver.key).join(file_name(sliver))
    }

    fn head(&self, sliver: &SliverAddress, shape: ExtentShape) -> Vec<u8> {
        let mut head = Encoder::default();
        head.u16(SLIVER_VERSION);
        head.fixed(self.volume.as_bytes());
        head.u64(sliver.key.0);
        head.u32(sliver.extent.0);
        head.u16(sliver.pair.0);
        head.u8(match sliver.axis {
            Axis::Primary => 1,
            Axis::Secondary => 2,
        });
        shape.geometry().encode(&mut head);
        head.u64(shape.length() as u64);
        head.finish()
    }

    fn framed(&self, sliver: &SliverAddress, shape: ExtentShape, payload: &[u8]) -> Vec<u8> {
        let mut framed = Vec::new();
        write_frame(&mut framed, KIND_SLIVER, &self.head(sliver, shape), payload);
        framed
    }

    fn write_and_rename(
        &self,
        temporary: &Path,
        path: &Path,
        bytes: &[u8],
        sync: bool,
    ) -> Result<Box<dyn DiskFile>, PutError> {
        let file = self.disk.create(temporary).map_err(PutError::Write)?;
        file.write_at(0, bytes).map_err(PutError::Write)?;
        if sync {
            file.sync().map_err(PutError::Sync)?;
        }
        self.disk.rename(temporary, path).map_err(PutError::Write)?;
        Ok(file)
    }

    /// Reads a range, or says why the file is not what was written.
    fn read_checked(
        &self,
        file: &dyn DiskFile,
        sliver: &SliverAddress,
        shape: ExtentShape,
        range: &Range<usize>,
    ) -> Result<Vec<u8>, String> {
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        let expected = FrameHead {
            kind: KIND_SLIVER,
            head: self.head(sliver, shape),
            payload_bytes: shape.sliver_bytes(sliver.axis),
        };
        let length = file.length_bytes().map_err(|error| wrong(&error))?;
        if length != expected.frame_bytes() as u64 {
            return Err(format!("{length} bytes instead of {}", expected.frame_bytes()));
        }
        let mut head = vec![0; expected.encoded_bytes()];
        file.read_exact_at(0, &mut head).map_err(|error| wrong(&error))?;
        let head = FrameHead::read(&head, expected.payload_bytes).map_err(|error| wrong(&error))?;
        if head != expected {
            return Err("it is another sliver's".to_owned());
        }
        let end = range.end.min(head.payload_bytes);
        let start = range.start.min(end);
        let chunks = start / CHUNK_BYTES..end.div_ceil(CHUNK_BYTES);
        let mut bytes = Vec::with_capacity(end - start);
        for chunk in chunks {
            let stored = head.chunk_range(chunk);
            let mut buffer = vec![0; stored.len()];
            file.read_exact_at(stored.start as u64, &mut buffer).map_err(|error| wrong(&error))?;
            let good = FrameHead::check_chunk(chunk, &buffer).map_err(|error| wrong(&error))?;
            let first = chunk * CHUNK_BYTES;
            let wanted = start.saturating_sub(first)..good.len().min(end - first);
            bytes.extend_from_slice(good.get(wanted).unwrap_or_default());
        }
        Ok(bytes)
    }

    fn open_file(&self, sliver: &SliverAddress) -> io::Result<Option<Box<dyn DiskFile>>> {
        match self.disk.open(&self.path(sliver)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn remove_entries(&self, directory: &Path) -> io::Result<()> {
        for entry in self.disk.list(directory)? {
            let path = directory.join(&entry.name);
            if entry.is_dir {
                // Nothing of ours: never emptied, so its removal fails and says so.
                self.disk.remove_dir(&path)?;
            } else {
                ignore_missing(self.disk.remove_file(&path))?;
            }
        }
        Ok(())
    }
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

impl SliverStore for PlainFiles {
    fn put(
        &self,
        sliver: &SliverAddress,
        shape: ExtentShape,
        bytes: &[u8],
        at_once: bool,
    ) -> Result<(), PutError> {
        let directory = self.directory(sliver.key);
        self.disk.create_dir_all(&directory).map_err(PutError::Write)?;
        let framed = self.framed(sliver, shape, bytes);
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!(".{number}.tmp"));
        let sync = at_once || self.unsynced().files.len() >= MOST_UNSYNCED_FILES;
        let path = self.path(sliver);
        let written = self.write_and_rename(&temporary, &path, &framed, sync);
        let file = written.inspect_err(|_| {
            // The first error is the one to tell; what is left is removed at the next start.
            let _ = self.disk.remove_file(&temporary);
        })?;
        if at_once {
            return self.sync_names(&[sliver.key]).map_err(PutError::Sync);
        }
        let mut unsynced = self.unsynced();
        let put = unsynced.next;
        unsynced.next += 1;
        unsynced.directories.insert(sliver.key, put);
        if !sync {
            unsynced.files.insert(put, (sliver.key, file.into()));
        }
        Ok(())
    }

    fn read(
        &self,
        sliver: &SliverAddress,
        shape: ExtentShape,
        range: Range<usize>,
    ) -> io::Result<Found<Vec<u8>>> {
        let Some(file) = self.open_file(sliver)? else { return Ok(Found::Nothing) };
        let read = self.read_checked(file.as_ref(), sliver, shape, &range);
        Ok(read.map_or_else(Found::Corrupt, Found::Good))
    }

    fn check(&self, sliver: &SliverAddress, shape: ExtentShape) -> io::Result<Found<()>> {
        let Some(file) = self.open_file(sliver)? else { return Ok(Found::Nothing) };
        let payload = match self.read_checked(file.as_ref(), sliver, shape, &(0..usize::MAX)) {
            Ok(payload) => payload,
            Err(reason) => return Ok(Found::Corrupt(reason)),
        };
        // The same bytes once more: after a sync that failed, in an earlier process, the kernel
        // takes what it holds for clean.
        file.write_at(0, &self.framed(sliver, shape, &payload))?;
        file.sync()?;
        Ok(Found::Good(()))
    }

    fn stored_bytes(&self, shape: ExtentShape, axis: Axis) -> u64 {
        frame_bytes(HEAD_BYTES, shape.sliver_bytes(axis)) as u64
    }

    fn has_unsynced(&self, key: BlobKey) -> bool {
        self.unsynced().directories.contains_key(&key)
    }

    fn has_any_unsynced(&self) -> bool {
        !self.unsynced().directories.is_empty()
    }

    fn sync(&self) -> io::Result<()> {
        let (upto, files, keys) = {
            let unsynced = self.unsynced();
            let files: Vec<_> = unsynced.files.values().map(|(_, file)| file.clone()).collect();
            let keys: Vec<BlobKey> = unsynced.directories.keys().copied().collect();
            (unsynced.next, files, keys)
        };
        files.iter().try_for_each(|file| file.sync())?;
        self.sync_names(&keys)?;
        let mut unsynced = self.unsynced();
        unsynced.files = unsynced.files.split_off(&upto);
        unsynced.directories.retain(|_, last| *last >= upto);
        Ok(())
    }

    fn keys(&self) -> io::Result<Vec<BlobKey>> {
        let mut keys = BTreeSet::new();
        for entry in self.disk.list(&self.slivers)? {
            match parse_key(&entry.name) {
                Some(key) if entry.is_dir => {
                    keys.insert(key);
                }
                // A link or a file in place of a directory: nothing of ours is in it.
                Some(_) => ignore_missing(self.disk.remove_file(&self.slivers.join(&entry.name)))?,
                None => {
                    tracing::warn!(name = entry.name, "unknown name among the slivers, left alone");
                }
            }
        }
        Ok(keys.into_iter().collect())
    }

    fn list(&self, key: BlobKey) -> io::Result<Vec<Listed>> {
        let directory = self.directory(key);
        let mut listed = Vec::new();
        for entry in self.disk.list(&directory)? {
            if !entry.is_dir && entry.name.starts_with('.') {
                ignore_missing(self.disk.remove_file(&directory.join(&entry.name)))?;
                continue;
            }
            match parse_file_name(key, &entry.name) {
                Some(sliver) if !entry.is_dir => {
                    listed.push(Listed { sliver, stored_bytes: entry.length_bytes });
                }
                _ => tracing::warn!(
                    name = entry.name, %key, "unknown name among the slivers, left alone"
                ),
            }
        }
        Ok(listed)
    }

    fn set_aside(&self, sliver: &SliverAddress) -> io::Result<()> {
        let path = self.path(sliver);
        let name = format!("{}-{}", sliver.key, file_name(sliver));
        let kept = self.disk.list(&self.corrupt).map_or(usize::MAX, |kept| kept.len());
        if kept < MOST_CORRUPT_FILES && self.disk.rename(&path, &self.corrupt.join(name)).is_ok() {
            return Ok(());
        }
        ignore_missing(self.disk.remove_file(&path))
    }

    fn remove(&self, sliver: &SliverAddress) -> io::Result<()> {
        ignore_missing(self.disk.remove_file(&self.path(sliver)))
    }

    fn remove_blob(&self, key: BlobKey) -> io::Result<()> {
        let directory = self.directory(key);
        match self.remove_entries(&directory).and_then(|()| self.disk.remove_dir(&directory)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed?,
        }
        let mut unsynced = self.unsynced();
        unsynced.files.retain(|_, (of, _)| *of != key);
        unsynced.directories.remove(&key);
        Ok(())
    }

    fn sync_names(&self, keys: &[BlobKey]) -> io::Result<()> {
        for key in keys {
            // A blob that was removed meanwhile has no names to keep.
            ignore_missing(self.disk.sync_dir(&self.directory(*key)))?;
        }
        self.disk.sync_dir(&self.slivers)
    }
}
