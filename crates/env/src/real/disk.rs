#![expect(clippy::disallowed_methods, reason = "the real disk is made of the originals")]

use std::fmt::Display;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::{DirEntry, Disk, DiskFile, DiskLock, Space};

/// The machine's file system. Errors keep their kind and name the path.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile {
    file: File,
    path: PathBuf,
}

/// The lock belongs to the open file: closing it releases it.
struct RealLock {
    _file: File,
}

impl DiskLock for RealLock {}

fn failed(what: &str, path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
}

/// For `map_err`: says what could not be done, and to what.
fn naming(what: &'static str, path: &Path) -> impl FnOnce(Error) -> Error {
    move |error| failed(what, path, &error)
}

fn read_write() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

impl Disk for RealDisk {
    fn create_dir_all(&self, path: &Path) -> Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(naming("create directory", path))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = read_write().create_new(true).open(path).map_err(naming("create", path))?;
        Ok(Box::new(RealFile { file, path: path.to_owned() }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = read_write().open(path).map_err(naming("open", path))?;
        Ok(Box::new(RealFile { file, path: path.to_owned() }))
    }

    fn open_to_read(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = File::open(path).map_err(naming("open", path))?;
        Ok(Box::new(RealFile { file, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to).map_err(|error| {
            let (from, to) = (from.display(), to.display());
            Error::new(error.kind(), format!("cannot rename {from} to {to}: {error}"))
        })
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path).map_err(naming("remove", path))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        std::fs::remove_dir(path).map_err(naming("remove directory", path))
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path).map_err(naming("list", path))? {
            let entry = entry.map_err(naming("list", path))?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed since the directory was read.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("read metadata of", &entry.path(), &error)),
            };
            let name = entry.file_name().into_string().map_err(|name| {
                let message =
                    format!("name is not UTF-8 in {}: {}", path.display(), name.display());
                Error::new(ErrorKind::InvalidData, message)
            })?;
            let is_dir = metadata.is_dir();
            entries.push(DirEntry {
                name,
                is_dir,
                length_bytes: if is_dir { 0 } else { metadata.len() },
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
            .and_then(rustix::fs::fsync)
            .map_err(|error| failed("sync directory", path, &error.into()))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        path.try_exists().map_err(naming("look up", path))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>> {
        let file =
            read_write().create(true).truncate(false).open(path).map_err(naming("open", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(locked(path.display())),
            Err(TryLockError::Error(error)) => Err(failed("lock", path, &error)),
        }
    }

    fn space(&self, path: &Path) -> Result<Space> {
        let stat = rustix::fs::statvfs(path)
            .map_err(|error| failed("read the free space of", path, &error.into()))?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

fn locked(path: impl Display) -> Error {
    Error::new(
        ErrorKind::WouldBlock,
        format!("{path} is locked by another process, stop that one first"),
    )
}

impl DiskFile for RealFile {
    fn read_at(&self, offset_bytes: u64, out: &mut [u8]) -> Result<usize> {
        self.file.read_at(out, offset_bytes).map_err(naming("read", &self.path))
    }

    fn write_at(&self, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset_bytes).map_err(naming("write", &self.path))
    }

    fn length_bytes(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(naming("read metadata of", &self.path))?;
        Ok(metadata.len())
    }

    fn truncate(&self, length_bytes: u64) -> Result<()> {
        self.file.set_len(length_bytes).map_err(naming("truncate", &self.path))
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(naming("sync", &self.path))
    }
}

#[cfg(test)]
mod tests;
