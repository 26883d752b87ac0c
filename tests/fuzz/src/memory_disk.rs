//! A disk that is a map, quickly copied: every input gets a volume of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use floe_env::{DirEntry, Disk, DiskFile, DiskLock, Space};

type Content = Arc<Mutex<Vec<u8>>>;

/// What a volume's files hold.
pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

#[derive(Default)]
pub(crate) struct MemoryDisk {
    files: Mutex<BTreeMap<PathBuf, Content>>,
    directories: Mutex<BTreeSet<PathBuf>>,
}

impl MemoryDisk {
    pub(crate) fn of(files: &Files) -> Self {
        let disk = Self::default();
        for (path, bytes) in files {
            for directory in path.ancestors().skip(1) {
                disk.directories.lock().unwrap().insert(directory.to_owned());
            }
            let content = Arc::new(Mutex::new(bytes.clone()));
            disk.files.lock().unwrap().insert(path.clone(), content);
        }
        disk
    }

    pub(crate) fn files(&self) -> Files {
        let files = self.files.lock().unwrap();
        files
            .iter()
            .map(|(path, content)| (path.clone(), content.lock().unwrap().clone()))
            .collect()
    }
}

struct MemoryFile(Content);

struct MemoryLock;

impl DiskLock for MemoryLock {}

impl DiskFile for MemoryFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize> {
        let content = self.0.lock().unwrap();
        let rest = usize::try_from(offset).ok().and_then(|offset| content.get(offset..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut content = self.0.lock().unwrap();
        let offset = usize::try_from(offset).map_err(Error::other)?;
        let end = offset + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset..end].copy_from_slice(bytes);
        Ok(())
    }

    fn length_bytes(&self) -> Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.0.lock().unwrap().resize(usize::try_from(length).map_err(Error::other)?, 0);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.directories.lock().unwrap().extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let content = Content::default();
        match self.files.lock().unwrap().entry(path.to_owned()) {
            std::collections::btree_map::Entry::Occupied(_) => Err(ErrorKind::AlreadyExists.into()),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(content.clone());
                Ok(Box::new(MemoryFile(content)))
            }
        }
    }

    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let content = self.files.lock().unwrap().get(path).cloned().ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(MemoryFile(content)))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut files = self.files.lock().unwrap();
        let content = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let removed = self.files.lock().unwrap().remove(path);
        removed.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.directories.lock().unwrap().remove(path);
        Ok(())
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let directories = self.directories.lock().unwrap();
        if !directories.contains(path) {
            return Err(ErrorKind::NotFound.into());
        }
        let name = |inner: &Path| {
            let here = inner.parent() == Some(path);
            here.then(|| inner.file_name()?.to_str().map(str::to_owned)).flatten()
        };
        let inner = directories.iter().filter_map(|directory| {
            Some(DirEntry { name: name(directory)?, is_dir: true, length_bytes: 0 })
        });
        let files = self.files.lock().unwrap();
        let files = files.iter().filter_map(|(file, content)| {
            let length_bytes = content.lock().unwrap().len() as u64;
            Some(DirEntry { name: name(file)?, is_dir: false, length_bytes })
        });
        let mut listed: Vec<DirEntry> = inner.chain(files).collect();
        listed.sort();
        Ok(listed)
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        let is_file = self.files.lock().unwrap().contains_key(path);
        Ok(is_file || self.directories.lock().unwrap().contains(path))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>> {
        self.files.lock().unwrap().entry(path.to_owned()).or_default();
        Ok(Box::new(MemoryLock))
    }

    fn space(&self, _: &Path) -> Result<Space> {
        Ok(Space { total_bytes: 1 << 40, free_bytes: 1 << 40 })
    }
}
