//! The real disk, with less room on it when a test says so.

use std::io::Result;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use floe_env::{DirEntry, Disk, DiskFile, DiskLock, RealDisk, Space};

/// A disk that can be filled to 1 % of its room, and emptied again.
#[derive(Default)]
pub struct TightDisk(AtomicBool);

impl TightDisk {
    /// Leaves 1 % of the room, or all that there is.
    pub fn fill(&self, full: bool) {
        self.0.store(full, Ordering::SeqCst);
    }
}

impl Disk for TightDisk {
    fn create_dir_all(&self, path: &Path) -> Result<()> {
        RealDisk.create_dir_all(path)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        RealDisk.create(path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        RealDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        RealDisk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        RealDisk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>> {
        RealDisk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        RealDisk.sync_dir(path)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        RealDisk.exists(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>> {
        RealDisk.lock(path)
    }

    /// A volume of fixed size, so that a busy file system of the machine makes no difference.
    fn space(&self, _: &Path) -> Result<Space> {
        const TOTAL_BYTES: u64 = 100 << 30;
        let free_bytes =
            if self.0.load(Ordering::SeqCst) { TOTAL_BYTES / 100 } else { TOTAL_BYTES };
        Ok(Space { total_bytes: TOTAL_BYTES, free_bytes })
    }
}
