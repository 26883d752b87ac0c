//! Reading and writing at random, and a judge for every answer.

mod book;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_env::Random;
use floe_model::Geometry;
use futures::future::join_all;
use http::StatusCode;
use tokio::sync::watch;

use super::{Application, ByHand, Reply, World};
use crate::sim::SimRandom;
pub use book::{Answer, Book};

/// Draws and remembers contents.
pub struct Contents {
    random: SimRandom,
    geometry: Geometry,
    largest_bytes: usize,
}

impl Contents {
    /// Contents of up to `largest_bytes`; most are small.
    pub fn new(seed: u64, geometry: Geometry, largest_bytes: usize) -> Self {
        Self { random: SimRandom::new(seed, 2), geometry, largest_bytes }
    }

    /// A new content: nothing, a few bytes, one stripe, several, or several extents.
    pub fn draw(&self) -> Bytes {
        let below = |limit: usize| usize::try_from(self.random.below(limit as u64 + 1)).unwrap();
        let stripe = self.geometry.full_stripe_bytes();
        let length = match self.random.below(16) {
            0 => 0,
            1..=5 => below(2000),
            6..=9 => below(stripe),
            10 => stripe,
            11 => stripe + 1,
            12..=14 => below(4 * stripe),
            _ => below(self.largest_bytes),
        };
        let mut bytes = vec![0; length.min(self.largest_bytes)];
        self.random.fill(&mut bytes);
        Bytes::from(bytes)
    }
}

/// How an answer is to be judged.
pub fn answer(reply: &Result<Reply, String>) -> Answer {
    let Ok(reply) = reply else { return Answer::None };
    let reason = || {
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        body["reason"].as_str().unwrap_or("an answer without a reason").to_owned()
    };
    match reply.status {
        StatusCode::CREATED => Answer::Created,
        StatusCode::ACCEPTED => Answer::Released,
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Answer::Ok,
        StatusCode::NOT_FOUND => Answer::NotFound,
        StatusCode::CONFLICT if reason() == "ContentDiffers" => Answer::Differs,
        StatusCode::CONFLICT if reason() == "WriteUnfinished" => Answer::Unfinished,
        StatusCode::PRECONDITION_FAILED => Answer::Certified,
        StatusCode::SERVICE_UNAVAILABLE => Answer::Unavailable(reason()),
        status => panic!("no gateway answers with {status} ({}) here", reason()),
    }
}

/// One user of the committee, with names of its own.
struct Worker<'a> {
    world: &'a World,
    applications: &'a [Application<'a>],
    contents: &'a Contents,
    random: SimRandom,
    books: Vec<Book>,
}

/// Several users at work until they are told to stop. Gives what the names may stand for then.
pub async fn work(
    world: &Arc<World>,
    hand: &ByHand,
    contents: &Contents,
    stop: &watch::Receiver<bool>,
) -> Vec<Book> {
    let applications: Vec<Application<'_>> = world
        .gateways()
        .iter()
        .map(|gateway| Application::new(world, hand.env(), gateway))
        .collect();
    let workers = (0..3).map(|number| {
        let random = SimRandom::new(world.setup().seed, 100 + number);
        let books = (0..4).map(|name| Book::new(format!("name-{number}-{name}"))).collect();
        let applications = &applications[..];
        Worker { world, applications, contents, random, books }.work(stop.clone())
    });
    join_all(workers).await.into_iter().flatten().collect()
}

impl Worker<'_> {
    async fn work(mut self, stop: watch::Receiver<bool>) -> Vec<Book> {
        while !*stop.borrow() {
            let at = self.pick(self.books.len());
            match self.random.below(16) {
                0..=4 => self.put(at).await,
                5..=8 => self.read(at, false).await,
                9..=10 => self.read(at, true).await,
                11..=13 => self.delete(at).await,
                14 => self.put_again(at).await,
                _ => self.duel(at).await,
            }
            let pause = Duration::from_millis(self.random.below(1200));
            tokio::time::sleep(pause).await;
        }
        self.books
    }

    fn pick(&self, count: usize) -> usize {
        usize::try_from(self.random.below(count as u64)).unwrap()
    }

    fn application(&self) -> &Application<'_> {
        &self.applications[self.pick(self.applications.len())]
    }

    fn note(
        &self,
        what: &str,
        gateway: &str,
        book: &Book,
        reply: &Result<Reply, String>,
    ) -> Answer {
        let answer = answer(reply);
        let said = reply.as_ref().err().map(|error| format!(" ({error})")).unwrap_or_default();
        let text = format!("{what} {} by {gateway}: {answer:?}{said}", book.name());
        self.world.log().note("worker", text);
        answer
    }

    /// Mostly under a name that has no content.
    async fn put(&mut self, at: usize) {
        let content = self.contents.draw();
        let free = (0..self.books.len()).find(|at| self.books[*at].is_free());
        let at = free.filter(|_| self.random.below(4) > 0).unwrap_or(at);
        self.put_content(at, content).await;
    }

    /// The bytes that the name has, or may have.
    async fn put_again(&mut self, at: usize) {
        let content = self.books[at].any_content().unwrap_or_else(|| self.contents.draw());
        self.put_content(at, content).await;
    }

    async fn put_content(&mut self, at: usize, content: Bytes) {
        let application = self.application();
        let book = &self.books[at];
        let gateway = application.gateway().to_owned();
        let reply = application.put(book.name(), content.clone()).await;
        let what = format!("put {} bytes", content.len());
        let answer = self.note(&what, &gateway, book, &reply);
        self.books[at].put(content, &answer);
        if answer == Answer::Unfinished && self.random.below(2) == 0 {
            self.delete_unfinished(at).await;
        }
    }

    /// Two write one name with different bytes, or with the same, at one time.
    async fn duel(&mut self, at: usize) {
        if !self.books[at].is_free() {
            return self.put(at).await;
        }
        let one = self.contents.draw();
        let other = if self.random.below(4) == 0 { one.clone() } else { self.contents.draw() };
        let (left, right) =
            (&self.applications[0], &self.applications[self.applications.len() - 1]);
        let name = self.books[at].name();
        let delay = Duration::from_millis(self.random.below(60));
        let late = async {
            tokio::time::sleep(delay).await;
            right.put(name, other.clone()).await
        };
        let (first, second) = tokio::join!(left.put(name, one.clone()), late);
        let book = &self.books[at];
        let what = format!("duel {} bytes", one.len());
        let first = self.note(&what, left.gateway(), book, &first);
        let what = format!("duel {} bytes", other.len());
        let second = self.note(&what, right.gateway(), book, &second);
        self.books[at].duel((one, &first), (other, &second));
    }

    async fn read(&mut self, at: usize, in_part: bool) {
        let application = self.application();
        let book = &self.books[at];
        let length = book.any_content().map_or(0, |content| content.len() as u64);
        let range = (in_part && length > 0).then(|| {
            let first = self.random.below(length);
            (first, first + self.random.below(length - first))
        });
        let gateway = application.gateway().to_owned();
        let mark = self.world.atlas().mark(&gateway);
        let reply = application.get(book.name(), range).await;
        let is_calm = self.world.atlas().was_calm(&gateway, mark);
        let answer = self.note(&format!("get {range:?}"), &gateway, book, &reply);
        book.read(range, &answer, reply.as_ref().ok().map(|reply| &reply.body));
        let is_answered = !matches!(answer, Answer::None | Answer::Unavailable(_));
        assert!(
            !is_calm || is_answered,
            "I1: {} is not read ({reply:?}) though no more than f shards are faulty",
            book.name()
        );
    }

    async fn delete(&mut self, at: usize) {
        let application = self.application();
        let book = &self.books[at];
        let gateway = application.gateway().to_owned();
        let reply = application.delete(book.name()).await;
        let answer = self.note("delete", &gateway, book, &reply);
        self.books[at].delete(&answer);
    }

    async fn delete_unfinished(&mut self, at: usize) {
        let application = self.application();
        let book = &self.books[at];
        let gateway = application.gateway().to_owned();
        let reply = application.delete_unfinished(book.name()).await;
        let answer = self.note("delete unfinished", &gateway, book, &reply);
        self.books[at].delete_unfinished(&answer);
    }
}

/// After everything has healed: each name is read, strictly, by every gateway.
pub async fn read_all(world: &Arc<World>, hand: &ByHand, books: &[Book]) {
    for book in books {
        let mut seen = Vec::new();
        for gateway in world.gateways() {
            let application = Application::new(world, hand.env(), &gateway);
            let reply = application.get_strictly(book.name()).await;
            let answer = answer(&reply);
            world
                .log()
                .note("worker", format!("last get {} by {gateway}: {answer:?}", book.name()));
            assert!(
                matches!(answer, Answer::Ok | Answer::NotFound),
                "{} is not read at the end: {reply:?}",
                book.name()
            );
            let body = reply.unwrap().body;
            book.read(None, &answer, Some(&body));
            seen.push((answer, body));
        }
        assert!(seen.windows(2).all(|two| two[0] == two[1]), "gateways read {} apart", book.name());
    }
}
