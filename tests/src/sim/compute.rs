use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use floe_env::{BoxFuture, Compute, Random, Work};
use futures::FutureExt;

use super::{SimDisk, SimRandom};

/// Jobs run inline. So that other tasks get between, a job waits for a few turns first, and one in
/// eight for up to 3 ms.
pub struct SimCompute {
    disk: SimDisk,
    random: Arc<SimRandom>,
}

impl SimCompute {
    /// No job of a host whose disk has halted gives its result: the machine is off.
    pub fn new(disk: &SimDisk, random: SimRandom) -> Self {
        Self { disk: disk.clone(), random: Arc::new(random) }
    }
}

impl Compute for SimCompute {
    fn run_boxed(&self, _: Work, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let (disk, random) = (self.disk.clone(), Arc::clone(&self.random));
        async move {
            for _ in 0..random.below(3) {
                tokio::task::yield_now().await;
            }
            if random.below(8) == 0 {
                tokio::time::sleep(Duration::from_millis(1 + random.below(3))).await;
            }
            job();
            if disk.is_halted() {
                pending::<()>().await;
            }
        }
        .boxed()
    }
}
