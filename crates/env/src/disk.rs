//! Files and directories.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// A file system. Calls block: run them inside [`compute`](crate::compute).
///
/// What a power loss leaves: of a file's bytes those before its last [`DiskFile::sync`]; of a
/// directory's entries (files and directories created, renamed, removed in it) those before its last
/// [`Disk::sync_dir`]. Anything later may survive in part, in any order.
pub trait Disk: Send + Sync {
    /// Makes the directory and its missing parents (0700). Not durable by itself:
    /// see [`create_dir_durably`].
    fn create_dir_all(&self, path: &Path) -> Result<()>;

    /// Makes a new file (0600), open for reading and writing; `AlreadyExists` if there is one.
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>>;

    /// Opens an existing file for reading only: where this process may not write, that works still.
    fn open_to_read(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    /// Renames a file or directory; an existing file `to` is replaced at once.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> Result<()>;

    /// What is in a directory, sorted by name. A name that is not UTF-8 is `InvalidData`.
    fn list(&self, path: &Path) -> Result<Vec<DirEntry>>;

    /// Brings the directory's own entries to stable storage.
    fn sync_dir(&self, path: &Path) -> Result<()>;

    /// Whether there is a file or directory of this name.
    fn exists(&self, path: &Path) -> Result<bool>;

    /// Takes an exclusive lock on the file (made if missing) until the value is dropped or the
    /// process ends; `WouldBlock` if someone else, in this process or another, holds it.
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>>;

    /// Room on the file system that holds `path`.
    fn space(&self, path: &Path) -> Result<Space>;
}

/// An open file. Reads and writes carry their offset, so one value serves several callers.
pub trait DiskFile: Send + Sync {
    /// Reads up to `out.len()` bytes; 0 at or beyond the end.
    fn read_at(&self, offset_bytes: u64, out: &mut [u8]) -> Result<usize>;

    /// Writes all bytes; a gap before them reads as zeros.
    fn write_at(&self, offset_bytes: u64, bytes: &[u8]) -> Result<()>;

    /// The length as it is now.
    fn length_bytes(&self) -> Result<u64>;

    /// Cuts the file, or extends it with zeros.
    fn truncate(&self, length_bytes: u64) -> Result<()>;

    /// Brings content and length to stable storage (fdatasync). The name needs
    /// [`Disk::sync_dir`] of the directory.
    ///
    /// After an error, what was written since the last success is in doubt for good: trying again
    /// proves nothing.
    fn sync(&self) -> Result<()>;

    /// Fills `out`, or `UnexpectedEof`.
    fn read_exact_at(&self, offset_bytes: u64, out: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(offset_bytes.saturating_add(done as u64), rest) {
                Ok(0) => {
                    return Err(Error::new(
                        ErrorKind::UnexpectedEof,
                        format!(
                            "file ends {} bytes before offset {offset_bytes} + {} bytes",
                            rest.len(),
                            done + rest.len()
                        ),
                    ));
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// An exclusive lock, released when dropped.
pub trait DiskLock: Send + Sync {}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length of a file; 0 for a directory.
    pub length_bytes: u64,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Everything, used or not.
    pub total_bytes: u64,
    /// What this process may still use.
    pub free_bytes: u64,
}

/// Reads a whole file; `FileTooLarge` if it is longer than `limit_bytes`.
pub fn read_file(disk: &dyn Disk, path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    let file = disk.open_to_read(path)?;
    let length_bytes = file.length_bytes()?;
    if length_bytes > limit_bytes {
        return Err(too_large(path, length_bytes, limit_bytes));
    }
    let length =
        usize::try_from(length_bytes).map_err(|_| too_large(path, length_bytes, limit_bytes))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(0, &mut bytes)?;
    Ok(bytes)
}

fn too_large(path: &Path, length_bytes: u64, limit_bytes: u64) -> Error {
    let path = path.display();
    Error::new(
        ErrorKind::FileTooLarge,
        format!("{path} has {length_bytes} bytes, at most {limit_bytes} are allowed"),
    )
}

/// Writes a file so that after a crash at any point its old or its new content is there, whole;
/// durable when it returns. The temporary name is `.NAME.tmp` beside it, so callers take turns
/// per path.
pub fn write_file_durably(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(not_a_file(path));
    };
    let temporary = directory.join(format!(".{}.tmp", name.to_string_lossy()));
    // Left over from a crash: never read by anyone.
    match disk.remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let replaced = write_and_rename(disk, &temporary, path, bytes);
    if replaced.is_err() {
        // The first error is the one to tell; the next attempt removes what may be left.
        let _ = disk.remove_file(&temporary);
    }
    replaced?;
    disk.sync_dir(directory)
}

fn write_and_rename(disk: &dyn Disk, temporary: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let file = disk.create(temporary)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk.rename(temporary, path)
}

fn not_a_file(path: &Path) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("{} does not name a file", path.display()))
}

/// Makes the directory and its missing parents, durable when it returns: the entry of each in its
/// parent is synced, the topmost existing one included.
pub fn create_dir_durably(disk: &dyn Disk, path: &Path) -> Result<()> {
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut next = Some(path);
    while let Some(directory) = next.filter(|path| !path.as_os_str().is_empty()) {
        if disk.exists(directory)? {
            break;
        }
        missing.push(directory.to_owned());
        next = directory.parent();
    }
    disk.create_dir_all(path)?;
    // An earlier call may have died between making `path` and syncing it.
    let made = missing.iter().map(PathBuf::as_path).chain([path]);
    let parents: std::collections::BTreeSet<&Path> =
        made.filter_map(Path::parent).filter(|path| !path.as_os_str().is_empty()).collect();
    parents.into_iter().try_for_each(|parent| disk.sync_dir(parent))
}

#[cfg(test)]
mod tests;
