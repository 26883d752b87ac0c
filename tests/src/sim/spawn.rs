use std::panic::{AssertUnwindSafe, resume_unwind};

use floe_env::{BoxFuture, Spawn, Task};
use futures::FutureExt;

use super::SimDisk;

/// Tasks on the host's own runtime, which turmoil drops, and them with it, when the host crashes.
pub struct SimSpawn {
    disk: SimDisk,
}

impl SimSpawn {
    /// Panics are noted in the log of the host's disk.
    pub fn new(disk: &SimDisk) -> Self {
        Self { disk: disk.clone() }
    }
}

impl Spawn for SimSpawn {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> Task {
        let disk = self.disk.clone();
        let watched = async move {
            if let Err(payload) = AssertUnwindSafe(task).catch_unwind().await {
                let text = payload.downcast_ref::<&str>().copied();
                let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                disk.note(format!("task {name} panicked: {}", text.unwrap_or_default()));
                resume_unwind(payload);
            }
        };
        Task::new(name, tokio::spawn(watched))
    }
}
