//! CPU work and the synchronous store, away from the threads that serve the network.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::BoxFuture;
use crate::spawn::panic_message;

/// The two classes of CPU work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Someone waits for it.
    Foreground,
    /// Repair and other background work: at most half of the threads, and only while no
    /// foreground job waits.
    Repair,
}

/// Runs jobs that use the CPU or block.
pub trait Compute: Send + Sync {
    /// Runs a job; the future ends when the job has, in whatever way. While too many jobs wait, the
    /// future waits before it hands the job over. If it is dropped before the job began, the job
    /// may never run; a job that began runs to its end. Use [`compute`] to get a result.
    fn run_boxed(&self, class: Work, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;
}

/// A job gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComputeStopped {
    /// The job panicked: a bug. Others are not affected.
    #[error("compute job panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// The pool was shut down before the job ran.
    #[error("compute pool is shut down")]
    Closed,
}

/// Runs `job` and gives its result.
pub async fn compute<T: Send + 'static>(
    compute: &dyn Compute,
    class: Work,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ComputeStopped> {
    let (sender, mut receiver) = oneshot::channel();
    let job = Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(job)).map_err(|payload| {
            ComputeStopped::Panicked { message: panic_message(payload.as_ref()) }
        });
        // Nobody may be waiting any more: then the result is not wanted.
        let _ = sender.send(result);
    });
    compute.run_boxed(class, job).await;
    receiver.try_recv().unwrap_or(Err(ComputeStopped::Closed))
}
