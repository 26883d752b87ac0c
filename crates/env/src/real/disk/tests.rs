use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn create_takes_only_a_new_name_and_keeps_it_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    RealDisk.create(&path).unwrap().write_at(0, b"first").unwrap();
    let error = RealDisk.create(&path).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let below = dir.path().join("b/c");
    RealDisk.create_dir_all(&below).unwrap();
    RealDisk.create_dir_all(&below).unwrap();
    assert_eq!(std::fs::metadata(&below).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn files_read_and_write_at_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    assert_eq!(RealDisk.open(&path).map(drop).unwrap_err().kind(), ErrorKind::NotFound);
    let file = RealDisk.create(&path).unwrap();
    file.write_at(4, b"tail").unwrap();
    file.sync().unwrap();
    assert_eq!(file.length_bytes().unwrap(), 8);
    let again = RealDisk.open(&path).unwrap();
    let mut out = [9; 8];
    again.read_exact_at(0, &mut out).unwrap();
    assert_eq!(&out, b"\0\0\0\0tail");
    assert_eq!(again.read_at(6, &mut out).unwrap(), 2);
    assert_eq!(again.read_at(8, &mut out).unwrap(), 0);
    let error = again.read_exact_at(6, &mut out).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    again.truncate(5).unwrap();
    assert_eq!(file.length_bytes().unwrap(), 5);
}

#[test]
fn rename_replaces_and_list_is_sorted() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["c", "a", "b"] {
        RealDisk.create(&path(name)).unwrap().write_at(0, name.as_bytes()).unwrap();
    }
    RealDisk.create_dir_all(&path("aa")).unwrap();
    RealDisk.rename(&path("c"), &path("a")).unwrap();
    RealDisk.sync_dir(dir.path()).unwrap();
    assert_eq!(std::fs::read(path("a")).unwrap(), b"c");
    assert!(!RealDisk.exists(&path("c")).unwrap());
    assert!(RealDisk.exists(&path("aa")).unwrap());
    let entry =
        |name: &str, is_dir, length_bytes| DirEntry { name: name.into(), is_dir, length_bytes };
    let expected = [entry("a", false, 1), entry("aa", true, 0), entry("b", false, 1)];
    assert_eq!(RealDisk.list(dir.path()).unwrap(), expected);

    assert_eq!(RealDisk.remove_dir(dir.path()).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    RealDisk.remove_dir(&path("aa")).unwrap();
    RealDisk.remove_file(&path("b")).unwrap();
    assert_eq!(RealDisk.remove_file(&path("b")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(RealDisk.list(&path("gone")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(RealDisk.sync_dir(&path("gone")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_lock_excludes_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = RealDisk.lock(&path).unwrap();
    assert_eq!(RealDisk.lock(&path).map(drop).unwrap_err().kind(), ErrorKind::WouldBlock);
    RealDisk.lock(&dir.path().join("other")).unwrap();
    drop(held);
    RealDisk.lock(&path).unwrap();
}

#[test]
fn space_is_that_of_the_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let space = RealDisk.space(dir.path()).unwrap();
    assert!(space.total_bytes > 0);
    assert!(space.free_bytes <= space.total_bytes);
}
