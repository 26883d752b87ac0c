//! The environment of a real machine.

mod clock;
mod compute;
mod disk;
mod net;
mod random;
mod spawn;

pub use clock::SystemClock;
pub use compute::{ThreadPool, ThreadPoolShape};
pub use disk::RealDisk;
pub use net::TcpNet;
pub use random::OsRandom;
pub use spawn::TokioSpawn;

use std::io::Result;
use std::sync::Arc;

use crate::Env;

/// The real environment, with `compute_threads` threads for CPU work and the store. To be used
/// inside a tokio runtime.
pub fn real_env(compute_threads: usize) -> Result<Env> {
    let pool = ThreadPool::start(ThreadPoolShape::with_threads(compute_threads))?;
    Ok(Env {
        disk: Arc::new(RealDisk),
        net: Arc::new(TcpNet),
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(OsRandom),
        spawn: Arc::new(TokioSpawn),
        compute: Arc::new(pool),
    })
}
