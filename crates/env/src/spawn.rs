//! Background tasks.

use std::any::Any;

use tokio::task::JoinHandle;

use crate::BoxFuture;

/// Starts tasks.
pub trait Spawn: Send + Sync {
    /// Starts a task; `name` says in logs which one it was. It lives as long as the returned value.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> Task;
}

/// A running task, aborted when dropped unless [detached](Task::detach).
#[must_use = "dropping a task aborts it"]
pub struct Task {
    name: &'static str,
    state: State,
}

enum State {
    Running(JoinHandle<()>),
    Ended(Result<(), TaskFailed>),
    Detached,
}

/// A task ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskFailed {
    /// It was aborted, or its runtime ended.
    #[error("task {name} was aborted")]
    Aborted {
        /// Which task.
        name: &'static str,
    },
    /// It panicked: a bug.
    #[error("task {name} panicked: {message}")]
    Panicked {
        /// Which task.
        name: &'static str,
        /// What it said.
        message: String,
    },
}

impl Task {
    /// For implementations of [`Spawn`].
    pub fn new(name: &'static str, handle: JoinHandle<()>) -> Self {
        Self { name, state: State::Running(handle) }
    }

    /// The name it was started with.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Lets it run to its own end, whoever waits or not.
    pub fn detach(mut self) {
        self.state = State::Detached;
    }

    /// Asks it to end at its next await point.
    pub fn abort(&self) {
        if let State::Running(handle) = &self.state {
            handle.abort();
        }
    }

    /// Whether it has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Running(handle) => handle.is_finished(),
            State::Ended(_) | State::Detached => true,
        }
    }

    /// Waits for its end. Cancel safe; later calls give the same answer.
    pub async fn join(&mut self) -> Result<(), TaskFailed> {
        if let State::Running(handle) = &mut self.state {
            let name = self.name;
            let ended = handle.await.map_err(|error| match error.try_into_panic() {
                Ok(payload) => {
                    TaskFailed::Panicked { name, message: panic_message(payload.as_ref()) }
                }
                Err(_) => TaskFailed::Aborted { name },
            });
            self.state = State::Ended(ended);
        }
        match &self.state {
            State::Ended(ended) => ended.clone(),
            State::Running(_) | State::Detached => Ok(()),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.abort();
    }
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
        .to_owned()
}

#[cfg(test)]
mod tests;
