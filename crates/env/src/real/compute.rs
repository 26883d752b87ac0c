#![expect(clippy::disallowed_methods, reason = "the pool's threads are real ones")]

use std::collections::VecDeque;
use std::io::Result;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::spawn::panic_message;
use crate::{BoxFuture, Compute, Work};

/// How large a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadPoolShape {
    /// Threads, at least 1.
    pub threads: usize,
    /// Jobs of each class that may wait in the queue; further ones wait with their callers.
    pub queued_jobs: usize,
}

impl ThreadPoolShape {
    /// As many threads as said, at least one, and four queued jobs of each class for each.
    pub fn with_threads(threads: usize) -> Self {
        let threads = threads.max(1);
        Self { threads, queued_jobs: threads.saturating_mul(4) }
    }

    fn repair_threads(self) -> usize {
        (self.threads / 2).max(1)
    }
}

/// Threads for CPU work and the synchronous store. [`Work::Repair`] runs on at most half of them
/// (on the only one, if there is one) and begins only while no foreground job waits. Dropping the
/// pool drops the jobs that have not begun; those that have run to their end.
pub struct ThreadPool {
    shared: Arc<Shared>,
    foreground_room: Arc<Semaphore>,
    repair_room: Arc<Semaphore>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    repair_threads: usize,
}

#[derive(Default)]
struct Queue {
    foreground: VecDeque<Job>,
    repair: VecDeque<Job>,
    running_repairs: usize,
    closed: bool,
}

struct Job {
    run: Box<dyn FnOnce() + Send>,
    /// Closed by the caller when it waits no more; dropped by the pool when the job has ended.
    ended: oneshot::Sender<()>,
    room: OwnedSemaphorePermit,
}

impl ThreadPool {
    /// Starts the threads.
    pub fn start(shape: ThreadPoolShape) -> Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            repair_threads: shape.repair_threads(),
        });
        let room = || Arc::new(Semaphore::new(shape.queued_jobs.clamp(1, Semaphore::MAX_PERMITS)));
        let pool = Self { shared, foreground_room: room(), repair_room: room() };
        for index in 0..shape.threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            std::thread::Builder::new()
                .name(format!("compute-{index}"))
                .spawn(move || shared.work())?;
        }
        Ok(pool)
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        let unbegun = [std::mem::take(&mut queue.foreground), std::mem::take(&mut queue.repair)];
        drop(queue);
        self.shared.changed.notify_all();
        drop(unbegun);
    }
}

impl Compute for ThreadPool {
    fn run_boxed(&self, class: Work, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let room = match class {
            Work::Foreground => Arc::clone(&self.foreground_room),
            Work::Repair => Arc::clone(&self.repair_room),
        };
        let shared = Arc::clone(&self.shared);
        async move {
            // The semaphore is never closed.
            let Ok(room) = room.acquire_owned().await else { return };
            let (ended, waiting) = oneshot::channel();
            shared.push(class, Job { run: job, ended, room });
            // The sender is dropped, never used: the error says that the job has ended.
            let _ = waiting.await;
        }
        .boxed()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No job runs under the lock, so its content is sound even if poisoned.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, class: Work, job: Job) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        match class {
            Work::Foreground => queue.foreground.push_back(job),
            Work::Repair => queue.repair.push_back(job),
        }
        drop(queue);
        self.changed.notify_one();
    }

    fn work(&self) {
        while let Some((class, job)) = self.next() {
            run(job);
            if class == Work::Repair {
                self.lock().running_repairs -= 1;
                // A thread may be idle that was woken while repair had all its threads.
                self.changed.notify_one();
            }
        }
    }

    fn next(&self) -> Option<(Work, Job)> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.foreground.pop_front() {
                return Some((Work::Foreground, job));
            }
            if queue.running_repairs < self.repair_threads
                && let Some(job) = queue.repair.pop_front()
            {
                queue.running_repairs += 1;
                return Some((Work::Repair, job));
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn run(job: Job) {
    drop(job.room);
    if job.ended.is_closed() {
        return;
    }
    if let Err(payload) = catch_unwind(AssertUnwindSafe(job.run)) {
        tracing::error!(message = panic_message(payload.as_ref()), "compute job panicked");
    }
    drop(job.ended);
}

#[cfg(test)]
mod tests;
