//! Writing, deleting and bringing back at random: few contents under many names, and a judge for every
//! answer, who knows which windows are over.

mod windows;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use floe_env::Random;
use floe_model::{BlobId, Timestamp};
use futures::future::join_all;
use http::StatusCode;
use tokio::sync::watch;

use super::workload::{Answer, Book, Contents, answer};
use super::{Application, ByHand, Reply, World};
use crate::sim::SimRandom;
pub use windows::{RETENTION, WINDOW, Windows};

/// Users, each with names of its own.
const WORKERS: u64 = 3;
/// Names of each.
const NAMES: usize = 5;
/// Contents that all of them write.
const CONTENTS: usize = 4;
/// How far the judge's clock and the nodes' may be apart, and how long a deletion may take.
const SLACK: Duration = Duration::from_mins(20);

/// All that is known of the names, and of what time did to them.
pub struct Archive {
    names: Vec<Mutex<Entry>>,
    /// No two of one length.
    contents: Vec<Bytes>,
    /// By the content's length.
    ids: Mutex<BTreeMap<usize, BlobId>>,
    /// Which windows are over.
    pub windows: Mutex<Windows>,
}

struct Entry {
    book: Book,
    /// All that it had and that was deleted, or may have been.
    had: Vec<Bytes>,
    /// What was deleted last, if nothing is in doubt: when that began, and in which round it ended.
    last: Option<Ended>,
}

#[derive(Clone)]
struct Ended {
    content: Bytes,
    begun: Timestamp,
    round: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Archive {
    /// Names without content.
    pub fn new(world: &World, largest_bytes: usize) -> Self {
        let source = Contents::new(world.setup().seed, world.geometry(), largest_bytes);
        let mut contents: BTreeMap<usize, Bytes> = BTreeMap::new();
        while contents.len() < CONTENTS {
            let content = source.draw();
            contents.insert(content.len(), content);
        }
        let name = |worker, at| Entry {
            book: Book::new(format!("name-{worker}-{at}")),
            had: Vec::new(),
            last: None,
        };
        let names = (0..WORKERS).flat_map(|worker| (0..NAMES).map(move |at| (worker, at)));
        Self {
            names: names.map(|(worker, at)| Mutex::new(name(worker, at))).collect(),
            contents: contents.into_values().collect(),
            ids: Mutex::default(),
            windows: Mutex::new(Windows::new(world)),
        }
    }

    /// What the names may stand for.
    pub fn books(&self) -> Vec<Book> {
        self.names.iter().map(|entry| lock(entry).book.clone()).collect()
    }

    /// The contents whose blobs are known: the blob, and whether some name may have it.
    pub fn blobs(&self) -> Vec<(BlobId, bool)> {
        let ids = lock(&self.ids);
        let wanted = |content: &Bytes| self.names.iter().any(|entry| lock(entry).book.has(content));
        let known = self.contents.iter();
        known.filter_map(|it| Some((*ids.get(&it.len())?, wanted(it)))).collect()
    }

    /// So much time passes for all; nodes that do not run have none of it.
    pub fn pass(&self, world: &World, time: Duration) {
        world.pass(time);
        lock(&self.windows).pass(world, time);
        self.names.iter().for_each(|entry| lock(entry).book.ages());
    }

    fn learn(&self, reply: &Result<Reply, String>) -> Option<Bytes> {
        let reply = reply.as_ref().ok()?;
        let body: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
        let length = usize::try_from(body["size"].as_u64()?).ok()?;
        let content = self.contents.iter().find(|content| content.len() == length)?;
        lock(&self.ids).insert(length, body["blobID"].as_str()?.parse().unwrap());
        Some(content.clone())
    }
}

/// Users at work until they are told to stop.
pub async fn work(
    world: &Arc<World>,
    hand: &ByHand,
    archive: &Archive,
    round: usize,
    stop: &watch::Receiver<bool>,
) {
    let applications: Vec<Application<'_>> = world
        .gateways()
        .iter()
        .map(|gateway| Application::new(world, hand.env(), gateway))
        .collect();
    let workers = (0..WORKERS).map(|number| {
        let stream = 1000 + 16 * round as u64 + number;
        let first = usize::try_from(number).unwrap() * NAMES;
        Worker {
            hand,
            world,
            archive,
            names: &archive.names[first..first + NAMES],
            applications: &applications,
            random: SimRandom::new(world.setup().seed, stream),
            round,
        }
        .work(stop.clone())
    });
    join_all(workers).await;
}

/// Brings back what every name had, when all windows are over: nothing comes.
pub async fn undelete_all(world: &Arc<World>, hand: &ByHand, archive: &Archive) {
    let gateways = world.gateways();
    for (at, entry) in archive.names.iter().enumerate() {
        let book = lock(entry).book.clone();
        if !book.is_free() {
            continue;
        }
        let application = Application::new(world, hand.env(), &gateways[at % gateways.len()]);
        let reply = application.undelete(book.name()).await;
        let status = reply.as_ref().map(|reply| reply.status);
        assert!(
            matches!(status, Ok(StatusCode::GONE | StatusCode::NOT_FOUND)),
            "{} is brought back after its window: {reply:?}",
            book.name()
        );
    }
}

struct Worker<'a> {
    hand: &'a ByHand,
    world: &'a World,
    archive: &'a Archive,
    names: &'a [Mutex<Entry>],
    applications: &'a [Application<'a>],
    random: SimRandom,
    round: usize,
}

impl Worker<'_> {
    async fn work(self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let entry = &self.names[self.pick(NAMES)];
            match self.random.below(16) {
                0..=4 => self.put(entry).await,
                5..=7 => self.get(entry).await,
                8..=11 => self.delete(entry).await,
                _ => self.undelete(entry).await,
            }
            tokio::time::sleep(Duration::from_millis(self.random.below(700))).await;
        }
    }

    fn pick(&self, count: usize) -> usize {
        usize::try_from(self.random.below(count as u64)).unwrap()
    }

    fn application(&self) -> &Application<'_> {
        &self.applications[self.pick(self.applications.len())]
    }

    fn note(&self, what: &str, entry: &Mutex<Entry>, application: &Application<'_>, said: &str) {
        let name = lock(entry).book.name().to_owned();
        let text = format!("{what} {name} by {}: {said}", application.gateway());
        self.world.log().note("worker", text);
    }

    async fn put(&self, entry: &Mutex<Entry>) {
        let content = self.archive.contents[self.pick(CONTENTS)].clone();
        let application = self.application();
        let name = lock(entry).book.name().to_owned();
        let reply = application.put(&name, content.clone()).await;
        let answer = answer(&reply);
        let what = format!("put {} bytes", content.len());
        self.note(&what, entry, application, &format!("{answer:?}"));
        self.archive.learn(&reply);
        let mut entry = lock(entry);
        entry.book.put(content, &answer);
        // Of what is in doubt nobody knows whether it was deleted in its turn.
        entry.last = None;
    }

    async fn get(&self, entry: &Mutex<Entry>) {
        let application = self.application();
        let (name, certain) = {
            let entry = lock(entry);
            (entry.book.name().to_owned(), entry.book.certain())
        };
        let mark = self.world.atlas().mark(application.gateway());
        let reply = application.get(&name, None).await;
        let is_calm = self.world.atlas().was_calm(application.gateway(), mark);
        let answer = answer(&reply);
        self.note("get", entry, application, &format!("{answer:?}"));
        lock(entry).book.read(None, &answer, reply.as_ref().ok().map(|reply| &reply.body));
        let is_answered = !matches!(answer, Answer::None | Answer::Unavailable(_));
        assert!(
            is_answered || certain.is_none() || !is_calm,
            "I1: {name} is not read ({reply:?}) though no more than f shards are faulty"
        );
    }

    async fn delete(&self, entry: &Mutex<Entry>) {
        let application = self.application();
        let begun = self.hand.now();
        let name = lock(entry).book.name().to_owned();
        let reply = application.delete(&name).await;
        let answer = answer(&reply);
        self.note("delete", entry, application, &format!("{answer:?}"));
        let mut entry = lock(entry);
        let (certain, any) = (entry.book.certain(), entry.book.any_content());
        entry.book.delete(&answer);
        entry.had.extend(any);
        match answer {
            Answer::Released => {
                let ended = |content| Ended { content, begun, round: self.round };
                entry.last = certain.map(ended);
            }
            Answer::NotFound => {}
            _ => entry.last = None,
        }
    }

    async fn undelete(&self, entry: &Mutex<Entry>) {
        let application = self.application();
        let name = lock(entry).book.name().to_owned();
        let reply = application.undelete(&name).await;
        let status = reply.as_ref().map(|reply| reply.status);
        self.note("undelete", entry, application, &format!("{status:?}"));
        let now = self.hand.now();
        let mut guard = lock(entry);
        let entry = &mut *guard;
        let last = entry.last.as_ref();
        let age = last.map(|last| Duration::from_millis(now.millis_since(last.begun)));
        match status {
            Ok(StatusCode::CREATED) => {
                let content = self.archive.learn(&reply).expect("one of the contents");
                let knows = entry.had.contains(&content) || entry.book.has(&content);
                assert!(knows, "{name} never had what was brought back: {reply:?}");
                // When the last one is being forgotten, an older one may be known best.
                if let Some(last) = last.filter(|_| age.is_some_and(|age| age < RETENTION)) {
                    assert_eq!(last.content, content, "{name}: something older is brought back");
                    let windows = lock(&self.archive.windows);
                    assert!(!windows.are_over(last.round), "{name} is brought back too late");
                }
                entry.book.undeleted(content);
                entry.last = None;
            }
            Ok(StatusCode::CONFLICT) => {
                let is_free = entry.book.is_free();
                assert!(!is_free, "{name} has no content, and is not brought back: {reply:?}");
            }
            Ok(StatusCode::GONE | StatusCode::NOT_FOUND) => {
                let is_certain = entry.book.certain().is_some();
                assert!(!is_certain, "I1: {name} was acknowledged: {reply:?}");
                let is_late = age.is_none_or(|age| age + SLACK > WINDOW);
                assert!(is_late, "{name} is not brought back within its window: {reply:?}");
            }
            Ok(StatusCode::SERVICE_UNAVAILABLE) | Err(_) => {
                for content in entry.had.clone() {
                    entry.book.undelete_sent(content);
                }
                entry.last = None;
            }
            Ok(status) => panic!("an undelete is answered with {status}: {reply:?}"),
        }
    }
}
