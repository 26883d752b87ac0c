//! A reader and a writer in the background, who count what fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use floe_tests::process::content;

use super::archive::Application;

const BETWEEN: Duration = Duration::from_millis(700);
/// What each write writes.
pub(crate) const WRITTEN_BYTES: usize = 48 << 10;
/// The name that is read all the while.
pub(crate) const READ: &str = "toolchain-small";

/// What they did.
#[derive(Debug, Default)]
struct Tally {
    reads: u64,
    writes: u64,
    slowest: Duration,
    failures: Vec<String>,
}

/// Runs until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Reads [`READ`], which holds `expected`, and writes `load-0`, `load-1`, ….
    pub(crate) fn start(reader: Application, writer: Application, expected: Vec<u8>) -> Self {
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Tally>>::default());
        let read = {
            let (stop, tally) = (Arc::clone(&stop), Arc::clone(&tally));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let begin = Instant::now();
                    let got = reader.get(READ).and_then(|bytes| {
                        (bytes == expected).then_some(()).ok_or("other bytes".to_owned())
                    });
                    let mut tally = tally.lock().unwrap();
                    tally.reads += 1;
                    tally.slowest = tally.slowest.max(begin.elapsed());
                    tally.failures.extend(got.err().map(|why| format!("read: {why}")));
                    drop(tally);
                    std::thread::sleep(BETWEEN);
                }
            }
        };
        let write = {
            let (stop, tally) = (Arc::clone(&stop), Arc::clone(&tally));
            move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let begin = Instant::now();
                    let name = format!("load-{number}");
                    let put = writer.put(&name, &content(1000 + number, WRITTEN_BYTES));
                    let mut tally = tally.lock().unwrap();
                    tally.writes += 1;
                    tally.slowest = tally.slowest.max(begin.elapsed());
                    tally.failures.extend(put.err().map(|why| format!("write {name}: {why}")));
                    drop(tally);
                    std::thread::sleep(BETWEEN);
                }
            }
        };
        let threads = vec![std::thread::spawn(read), std::thread::spawn(write)];
        Self { stop, tally, threads }
    }

    /// Nothing failed so far.
    pub(crate) fn check(&self, after: &str) {
        let tally = self.tally.lock().unwrap();
        let Tally { reads, writes, slowest, failures } = &*tally;
        assert!(failures.is_empty(), "after {after}: {}", failures.join("\n"));
        println!(
            "after {after}: {reads} reads, {writes} writes, slowest {slowest:.1?}, none failed"
        );
    }

    /// Ends both; what they wrote: names of how many writes.
    pub(crate) fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.tally.lock().unwrap().writes
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
