#![expect(clippy::disallowed_methods, reason = "real tasks are tokio's")]

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt;

use crate::spawn::panic_message;
use crate::{BoxFuture, Spawn, Task};

/// Tasks on the tokio runtime of the caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioSpawn;

impl Spawn for TokioSpawn {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> Task {
        let logged = async move {
            if let Err(payload) = AssertUnwindSafe(task).catch_unwind().await {
                tracing::error!(
                    task = name,
                    message = panic_message(payload.as_ref()),
                    "task panicked"
                );
                resume_unwind(payload);
            }
        };
        Task::new(name, tokio::spawn(logged))
    }
}
