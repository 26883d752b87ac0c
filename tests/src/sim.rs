//! The simulated environment: the same code as on a real machine, on turmoil's network and clock
//! and a disk in memory. Equal seeds give equal event logs.
//!
//! One host of a simulation:
//!
//! ```no_run
//! use floe_tests::sim::{EventLog, SimDisk, SimRandom, sim_builder, sim_env};
//!
//! let log = EventLog::default();
//! let disk = SimDisk::new("node-0", 64 << 20, &log);
//! let mut sim = sim_builder(7).build();
//! let host_disk = disk.clone();
//! sim.host("node-0", move || {
//!     let disk = host_disk.clone();
//!     async move {
//!         let env = sim_env(7, &disk); // inside the async block: one environment per start
//!         // … run the node on `env`; it must never return, or the host stands still
//!         # drop(env);
//!         Ok(())
//!     }
//! });
//! // Power loss: first the process, then the disk, then a new start.
//! sim.crash("node-0");
//! disk.crash(&SimRandom::new(7, 1));
//! sim.bounce("node-0");
//! ```
//!
//! Turmoil crashes a host only between two ticks, where no synchronous store call can be under
//! way: to cut one short use [`SimDisk::halt_after`].
//!
//! What turmoil does not do: a segment lost to a partition or a failing link is never sent again,
//! so the stream hangs until someone's timeout; a host whose listener does not accept panics the
//! simulation after [`TCP_CAPACITY`] waiting connections; the streams of a crashed host end with FIN
//! or RST at its peers, unless a partition hides them.

mod clock;
mod compute;
mod disk;
mod log;
mod net;
mod random;
mod spawn;
#[cfg(test)]
mod tests;

pub use clock::{SIM_EPOCH_UNIX_MILLIS, SimClock};
pub use compute::SimCompute;
pub use disk::{DiskOperation, SimDisk};
pub use log::EventLog;
pub use net::SimNet;
pub use random::SimRandom;
pub use spawn::SimSpawn;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use floe_env::Env;

/// Segments that a stream, and connections that a listener, can hold.
pub const TCP_CAPACITY: usize = 256;

/// Turmoil set up as our simulations want it: seeded in every respect, hosts in random order, 1 ms
/// ticks, messages of 0 to 20 ms, an hour at most.
pub fn sim_builder(seed: u64) -> turmoil::Builder {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .epoch(UNIX_EPOCH + Duration::from_millis(SIM_EPOCH_UNIX_MILLIS))
        .enable_random_order()
        .tick_duration(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .tcp_capacity(TCP_CAPACITY)
        .simulation_duration(Duration::from_hours(1));
    builder
}

/// The seeds a test runs: the one in `FLOE_SEED`, else 0 to `count - 1`. Print each as it begins.
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("FLOE_SEED") {
        Ok(seed) => vec![seed.parse().expect("FLOE_SEED must be a number")],
        Err(_) => (0..count).collect(),
    }
}

/// The environment of one start of one host, to be made inside the host's async block. Each start
/// on the same disk draws other random bytes, as on a real machine.
pub fn sim_env(host_seed: u64, disk: &SimDisk) -> Env {
    let start = disk.count_start();
    Env {
        disk: Arc::new(disk.clone()),
        net: Arc::new(SimNet),
        clock: Arc::new(SimClock::default()),
        random: Arc::new(SimRandom::new(host_seed, 2 * start)),
        spawn: Arc::new(SimSpawn::new(disk)),
        compute: Arc::new(SimCompute::new(disk, SimRandom::new(host_seed, 2 * start + 1))),
    }
}
