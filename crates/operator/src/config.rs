//! What an operator is started with.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// What an operator is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The image of the pods it makes, unless a Committee names another.
    pub image: String,
    /// The operator's own namespace: its Lease is there.
    pub namespace: String,
    /// Namespaces whose objects it looks after; all if empty.
    pub watch_namespaces: BTreeSet<String>,
    /// This replica, as it stands in the Lease and in Events: its pod's name.
    pub identity: String,
    /// The Lease's name.
    pub lease: String,
    /// The Lease's times.
    pub lease_times: LeaseTimes,
    /// Where probes and Prometheus connect.
    pub metrics_listen: SocketAddr,
    /// How soon things are looked at again.
    pub pace: Pace,
}

/// How leadership passes from one replica to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// A Lease that was not renewed for so long is anybody's. Whole seconds.
    pub lasts: Duration,
    /// A leader that could not renew for so long ends: less than `lasts`.
    pub give_up: Duration,
    /// Between two looks at the Lease, and between two renewals.
    pub every: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            lasts: Duration::from_secs(15),
            give_up: Duration::from_secs(10),
            every: Duration::from_secs(3),
        }
    }
}

/// How soon things are looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// While something is under way.
    pub moving: Duration,
    /// When nothing is.
    pub at_rest: Duration,
    /// After the first error; doubled by each that follows.
    pub first_retry: Duration,
    /// After many errors, and after one that only another spec mends.
    pub last_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            moving: Duration::from_secs(1),
            at_rest: Duration::from_secs(5),
            first_retry: Duration::from_millis(500),
            last_retry: Duration::from_mins(1),
        }
    }
}
