use std::io::{Error, ErrorKind, Result as IoResult};
use std::path::Path;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use floe_env::{Clock, Compute, DirEntry, Disk, DiskFile, DiskLock, Space, real_env};
use futures::executor::block_on;

use super::*;

#[test]
fn a_token_file_names_users_and_namespaces() {
    let grants = parse(b"# comment\n\nsecret anna\nother ci shop web\n").unwrap();
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[0].user, User { name: "anna".into(), rights: Rights::Listed(None) });
    let named = ["shop", "web"].map(|name| name.parse().unwrap()).to_vec();
    assert_eq!(grants[1].user.rights, Rights::Listed(Some(named)));
    assert!(parse(b"secret\n").err().unwrap().starts_with("line 1"));
    assert!(parse(b"ok anna\nsecret ci Shop\n").err().unwrap().starts_with("line 2"));
}

/// One file that is read, and a clock that stands still: all that [`TokenFile`] sees.
#[derive(Clone, Default)]
struct World {
    /// `None`: there is no file.
    text: Arc<StdMutex<Option<&'static str>>>,
    reads: Arc<AtomicUsize>,
    millis: Arc<AtomicU64>,
}

struct Text(&'static str);

impl DiskFile for Text {
    fn read_at(&self, offset_bytes: u64, out: &mut [u8]) -> IoResult<usize> {
        let rest = &self.0.as_bytes()[usize::try_from(offset_bytes).unwrap()..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn length_bytes(&self) -> IoResult<u64> {
        Ok(self.0.len() as u64)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> IoResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn truncate(&self, _: u64) -> IoResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> IoResult<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Disk for World {
    fn open(&self, _: &Path) -> IoResult<Box<dyn DiskFile>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let text = self.text.lock().unwrap().ok_or_else(|| Error::from(ErrorKind::NotFound))?;
        Ok(Box::new(Text(text)))
    }

    fn create_dir_all(&self, _: &Path) -> IoResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn create(&self, _: &Path) -> IoResult<Box<dyn DiskFile>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> IoResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn remove_file(&self, _: &Path) -> IoResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn remove_dir(&self, _: &Path) -> IoResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn list(&self, _: &Path) -> IoResult<Vec<DirEntry>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self, _: &Path) -> IoResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn exists(&self, _: &Path) -> IoResult<bool> {
        Err(ErrorKind::Unsupported.into())
    }

    fn lock(&self, _: &Path) -> IoResult<Box<dyn DiskLock>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn space(&self, _: &Path) -> IoResult<Space> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Clock for World {
    fn unix_millis(&self) -> u64 {
        self.millis.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.unix_millis())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl Compute for World {
    fn run_boxed(&self, _: Work, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        job();
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn the_file_is_read_at_most_once_a_second_and_once_more_for_an_unknown_token() {
    let world = World::default();
    let shared = Arc::new(world.clone());
    let real = real_env(1).unwrap();
    let env = Env { disk: shared.clone(), clock: shared.clone(), compute: shared, ..real };
    let tokens = TokenFile::new(env, PathBuf::from("tokens"));
    let (unavailable, nobody) = ("unavailable", "nobody");
    // At which millisecond the file has which text; who asks; who that is; how often it was read.
    let table = [
        (0, None, "a", unavailable, 1),
        (999, Some("a anna"), "a", unavailable, 1),
        (1000, Some("a anna"), "a", "anna", 2),
        (1500, Some("a anna"), "a", "anna", 2),
        (1500, Some("a anna\nb berta"), "b", "berta", 3),
        (1600, Some("a anna\nb berta\nc cora"), "c", nobody, 3),
        (2499, Some("b berta"), "a", "anna", 3),
        (2500, Some("b berta"), "a", nobody, 4),
        (2600, Some("b berta"), "guess", nobody, 5),
        (2700, Some("b berta"), "guess", nobody, 5),
        (3600, None, "b", unavailable, 6),
        (3600, Some("b berta"), "b", unavailable, 6),
        (4600, Some("b"), "b", unavailable, 7),
        (5600, Some("b berta"), "b", "berta", 8),
    ];
    for (millis, text, token, expected, reads) in table {
        world.millis.store(millis, Ordering::Relaxed);
        *world.text.lock().unwrap() = text;
        let answer = match block_on(tokens.authenticate(token)) {
            Ok(user) => user.name,
            Err(AuthError::Unavailable(_)) => unavailable.to_owned(),
            Err(error) => {
                assert_eq!(error, unknown());
                nobody.to_owned()
            }
        };
        assert_eq!(answer, expected, "{token} at {millis} ms");
        assert_eq!(world.reads.load(Ordering::Relaxed), reads, "reads at {millis} ms");
    }
}
