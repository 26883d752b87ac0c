use std::io::Result;
use std::sync::Mutex;

use super::*;
use crate::RealDisk;

/// The real disk, noting what is done; one kind of call can be made to fail.
struct Noting {
    calls: Mutex<Vec<String>>,
    failing: &'static str,
}

impl Noting {
    fn failing(failing: &'static str) -> Self {
        Self { calls: Mutex::default(), failing }
    }

    fn note(&self, call: &str, path: &Path) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.calls.lock().unwrap().push(format!("{call} {name}"));
        if call == self.failing { Err(Error::other("failing on purpose")) } else { Ok(()) }
    }
}

impl Disk for Noting {
    fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.note("mkdir", path).and_then(|()| RealDisk.create_dir_all(path))
    }
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        self.note("create", path).and_then(|()| RealDisk.create(path))
    }
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        RealDisk.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.note("rename", to).and_then(|()| RealDisk.rename(from, to))
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
        self.note("sync", path).and_then(|()| RealDisk.sync_dir(path))
    }
    fn exists(&self, path: &Path) -> Result<bool> {
        RealDisk.exists(path)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>> {
        RealDisk.lock(path)
    }
    fn space(&self, path: &Path) -> Result<Space> {
        RealDisk.space(path)
    }
}

#[test]
fn a_file_is_replaced_whole_and_its_directory_synced_last() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("d");
    RealDisk.create_dir_all(&below).unwrap();
    let path = below.join("f");
    // As a crash in an earlier attempt leaves it.
    RealDisk.create(&below.join(".f.tmp")).unwrap().write_at(0, b"half of something").unwrap();
    let disk = Noting::failing("");
    write_file_durably(&disk, &path, b"one").unwrap();
    write_file_durably(&disk, &path, b"two").unwrap();
    assert_eq!(read_file(&disk, &path, 3).unwrap(), b"two");
    let round = ["create .f.tmp", "rename f", "sync d"];
    assert_eq!(*disk.calls.lock().unwrap(), [round, round].concat());
    assert_eq!(disk.list(&below).unwrap().len(), 1);
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    write_file_durably(&RealDisk, &path, b"old").unwrap();
    assert!(write_file_durably(&Noting::failing("rename"), &path, b"new").is_err());
    assert_eq!(read_file(&RealDisk, &path, 10).unwrap(), b"old");
    assert_eq!(RealDisk.list(dir.path()).unwrap().len(), 1);
    assert!(write_file_durably(&Noting::failing("sync"), &path, b"new").is_err());
}

#[test]
fn a_file_above_its_limit_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    write_file_durably(&RealDisk, &path, b"four").unwrap();
    let error = read_file(&RealDisk, &path, 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    assert!(error.to_string().ends_with("has 4 bytes, at most 3 are allowed"), "{error}");
    assert_eq!(read_file(&RealDisk, &path, 4).unwrap(), b"four");
}

#[test]
fn every_new_directory_is_synced_in_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    RealDisk.create_dir_all(&base).unwrap();
    let disk = Noting::failing("");
    create_dir_durably(&disk, &base.join("x/y")).unwrap();
    assert_eq!(*disk.calls.lock().unwrap(), ["mkdir y", "sync base", "sync x"]);
    create_dir_durably(&disk, &base.join("x/y")).unwrap();
    assert_eq!(disk.calls.lock().unwrap()[3..], ["mkdir y", "sync x"]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_may_not_be_written_can_be_read() {
    // A program that runs is open to readers only, for root too.
    let path = Path::new("/proc/self/exe");
    assert!(RealDisk.open(path).is_err());
    let mut magic = [0; 4];
    RealDisk.open_to_read(path).unwrap().read_exact_at(0, &mut magic).unwrap();
    assert_eq!(&magic, b"\x7fELF");
}
