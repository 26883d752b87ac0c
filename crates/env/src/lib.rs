//! The world as traits: disk, network, clock, randomness, spawning and CPU work.
//!
//! Everything that Floe's library crates want from outside themselves comes through an [`Env`], so
//! that the same code runs on a real machine ([`real_env`]) and in a simulation in which equal seeds
//! give equal event logs.
//!
//! | trait | real | what it stands for |
//! |---|---|---|
//! | [`Disk`], [`DiskFile`], [`DiskLock`] | [`RealDisk`] | files and directories; synchronous, called inside [`compute`] |
//! | [`Net`], [`Listener`], [`Stream`] | [`TcpNet`] | byte streams between machines |
//! | [`Clock`] | [`SystemClock`] | time of day, monotonic time, sleeping, [`timeout`] |
//! | [`Random`] | [`OsRandom`] | random bytes, good enough for keys |
//! | [`Spawn`] | [`TokioSpawn`] | tasks, each held by a [`Task`] that ends it when dropped |
//! | [`Compute`] | [`ThreadPool`] | hashing, coding, signatures and the synchronous store |

mod clock;
mod compute;
mod disk;
mod net;
mod random;
mod real;
mod spawn;
mod world;

pub use clock::{Clock, Elapsed, timeout};
pub use compute::{Compute, ComputeStopped, Work, compute};
pub use disk::{
    DirEntry, Disk, DiskFile, DiskLock, Space, create_dir_durably, read_file, write_file_durably,
};
pub use futures::future::BoxFuture;
pub use net::{BoxStream, Listener, Net, Stream};
pub use random::Random;
pub use real::{
    OsRandom, RealDisk, SystemClock, TcpNet, ThreadPool, ThreadPoolShape, TokioSpawn, real_env,
};
pub use spawn::{Spawn, Task, TaskFailed};
pub use world::Env;
