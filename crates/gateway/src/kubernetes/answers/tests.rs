use std::future::{pending, ready};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use floe_env::BoxFuture;
use floe_model::hash;
use futures::executor::block_on;
use futures::{FutureExt as _, pin_mut};

use super::*;

/// A clock that stands where it is put.
#[derive(Default)]
struct Still(AtomicU64);

impl Still {
    fn put(&self, seconds: u64) {
        self.0.store(seconds * 1000, Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn unix_millis(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.unix_millis())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(pending())
    }
}

fn answers() -> (Arc<Still>, Answers<u32>) {
    let clock = Arc::new(Still::default());
    (Arc::clone(&clock), Answers::new(clock, Arc::default()))
}

fn key(number: usize) -> Hash {
    hash(&[&number.to_le_bytes()])
}

fn answer(value: u32, lifetime: Lifetime) -> Answer<u32> {
    Answer { value, lifetime, ends: None, bytes: 0 }
}

fn lost() -> Result<Answer<u32>, Unreachable> {
    Err(Unreachable("lost".to_owned()))
}

#[test]
fn what_an_answer_is_good_for_by_its_age() {
    let table = [
        (Lifetime::ALLOWED, 0, Standing::Fresh),
        (Lifetime::ALLOWED, 59, Standing::Fresh),
        (Lifetime::ALLOWED, 60, Standing::Stretched),
        (Lifetime::ALLOWED, 299, Standing::Stretched),
        (Lifetime::ALLOWED, 300, Standing::Gone),
        (Lifetime::DENIED, 9, Standing::Fresh),
        (Lifetime::DENIED, 10, Standing::Gone),
    ];
    for (lifetime, age, expected) in table {
        let standing = lifetime.standing(Duration::from_secs(age));
        assert_eq!(standing, expected, "{lifetime:?} after {age} s");
    }
}

#[test]
fn an_answer_is_asked_for_again_and_stretched_while_nobody_answers() {
    let (clock, answers) = answers();
    let (allowed, denied) = (Lifetime::ALLOWED, Lifetime::DENIED);
    let asked = AtomicUsize::new(0);
    // At which second, what the API server would say, what is heard, and how often it was asked.
    let table = [
        (0, lost(), None, 1),
        // A moment after a question without an answer nobody is asked.
        (0, Ok(answer(1, allowed)), None, 1),
        (1, Ok(answer(1, allowed)), Some(1), 2),
        (60, Ok(answer(2, allowed)), Some(1), 2),
        (61, lost(), Some(1), 3),
        (61, lost(), Some(1), 3),
        (300, lost(), Some(1), 4),
        (301, lost(), None, 5),
        (302, Ok(answer(3, denied)), Some(3), 6),
        (311, Ok(answer(4, allowed)), Some(3), 6),
        (312, lost(), None, 7),
        (313, Ok(answer(4, allowed)), Some(4), 8),
        // A no takes the place of a yes.
        (373, Ok(answer(5, denied)), Some(5), 9),
        (383, lost(), None, 10),
    ];
    for (second, says, heard, count) in table {
        clock.put(second);
        let question = async {
            asked.fetch_add(1, Ordering::Relaxed);
            says
        };
        assert_eq!(block_on(answers.get(key(1), question)).ok(), heard, "at {second} s");
        assert_eq!(asked.load(Ordering::Relaxed), count, "questions by {second} s");
    }
}

#[test]
fn no_answer_lasts_beyond_its_end() {
    let (clock, answers) = answers();
    let ends = Some(Timestamp(30_000));
    let ending = Answer { ends, ..answer(1, Lifetime::ALLOWED) };
    assert_eq!(block_on(answers.get(key(1), ready(Ok(ending)))), Ok(1));
    clock.put(29);
    assert_eq!(block_on(answers.get(key(1), ready(lost()))), Ok(1));
    clock.put(30);
    assert!(block_on(answers.get(key(1), ready(lost()))).is_err());
}

#[test]
fn equal_questions_are_asked_once_and_by_the_next_one_if_the_first_goes_away() {
    let (_, answers) = answers();
    let asked = AtomicUsize::new(0);
    let slow = || {
        asked.fetch_add(1, Ordering::Relaxed);
        pending::<Result<Answer<u32>, Unreachable>>()
    };
    let mut first = Box::pin(answers.get(key(1), async { slow().await }));
    assert!((&mut first).now_or_never().is_none());
    let second = answers.get(key(1), async {
        asked.fetch_add(1, Ordering::Relaxed);
        Ok(answer(2, Lifetime::ALLOWED))
    });
    pin_mut!(second);
    assert!((&mut second).now_or_never().is_none(), "it waits for the first");
    let other = answers.get(key(2), ready(Ok(answer(3, Lifetime::ALLOWED))));
    assert_eq!(block_on(other), Ok(3), "another question waits for nobody");
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    drop(first);
    assert_eq!(block_on(second), Ok(2));
    let third = answers.get(key(1), async { slow().await });
    assert_eq!(block_on(third), Ok(2));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert!(answers.turns.lock().unwrap().is_empty(), "nobody waits any more");
}

#[test]
fn what_is_kept_is_bounded_and_denials_make_room_first() {
    let (_, answers) = answers();
    let keep = |number, answer: Answer<u32>| {
        block_on(answers.get(key(number), ready(Ok(answer)))).unwrap();
    };
    let is_kept = |number| answers.look(&key(number), Standing::Fresh).is_some();
    keep(0, answer(0, Lifetime::ALLOWED));
    (1..=MOST_ANSWERS).for_each(|number| keep(number, answer(0, Lifetime::DENIED)));
    assert!(is_kept(0) && !is_kept(1) && is_kept(2));
    assert_eq!(answers.kept().entries.len(), MOST_ANSWERS);
    keep(1, Answer { bytes: MOST_BYTES - 10 * OVERHEAD_BYTES, ..answer(0, Lifetime::ALLOWED) });
    assert!(is_kept(0) && is_kept(1), "denials made room");
    keep(2, Answer { bytes: MOST_BYTES, ..answer(0, Lifetime::ALLOWED) });
    assert!(!is_kept(2), "too large to keep");
    let kept = answers.kept();
    assert!(kept.bytes <= MOST_BYTES && kept.order.len() == kept.entries.len());
}
