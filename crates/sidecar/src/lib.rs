//! The storage node: it keeps the pairs of its shards, promises what it holds, and rebuilds what it
//! lacks from its peers.
//!
//! ```text
//!            7443, mutual TLS                       9090
//!   router ── role, cap, gate ── routes      probes ── livez, readyz, metrics
//!                                  │
//!                        node: store · gate · signals · repairs
//!                                  │
//!   cursors    pull (one per peer)    digests                workers, one unit of work at a time
//!   repair     whole     handover     expiry
//! ```
//!
//! | module | what |
//! |---|---|
//! | `node` | the state, and the ways in which everything else touches it |
//! | `gate` | what a started node must learn before it serves, speaks, confirms |
//! | `router`, `routes` | the routes of `floe_api::ROUTES` |
//! | `facts` | what decisions of `floe_plan::custody` are told |
//! | `pull`, `rumours`, `vouching` | peers' change feeds, and what of them is believed |
//! | `repair` | what is missing is rebuilt, by the node itself or by jobs under leases |
//! | `whole`, `handover` | saying that a new shard is whole; letting go of one that another node has |
//! | `ageing`, `digests` | old claims, and catalogs compared: the safety net |
//! | `running`, `expiry` | time that windows are counted in; what nobody needs any more goes away |
//! | `metrics`, `probes` | what is seen from outside |

mod ageing;
mod config;
mod cursors;
mod digests;
mod expiry;
mod facts;
mod gate;
mod handover;
mod metrics;
mod node;
mod probes;
mod pull;
mod refusal;
mod repair;
mod router;
mod routes;
mod rumours;
mod running;
mod sidecar;
mod suspects;
#[cfg(test)]
mod tests;
mod throttle;
mod vouching;
mod whole;
mod worker;

pub use config::{Config, Limits};
pub use repair::{RepairJob, RepairJobError, RepairSummary, run_repair_job};
pub use sidecar::{Addresses, Sidecar, StartError};
