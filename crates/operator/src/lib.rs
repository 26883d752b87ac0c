//! Reconciles Committee, StorageNode and Blob.
//!
//! | module | what |
//! |---|---|
//! | [`apply`] | writes to the API server: applied if changed, created once, deleted by UID |
//! | [`blob`] | Blobs: brought, certified, released |
//! | [`children`] | every object that is made for a Committee, a StorageNode, a Blob |
//! | [`committee`] | the Committee controller: everything from genesis to repair |
//! | [`config`] | what an operator is started with |
//! | [`context`] | what every reconcile has at hand |
//! | [`link`] | what the committee controller knows of a committee that runs, for the blob controller |
//! | [`disruption`] | what may be stopped: by anyone, and by a roll-out |
//! | [`error`] | what ends a reconcile early: told apart by whether trying again helps |
//! | [`events`] | Kubernetes Events, one per turn of the story |
//! | [`metrics`] | reconciles, API writes, leadership |
//! | [`record_log`] | epoch records as ControllerRevisions |
//! | [`trust_store`] | a committee's secrets |
//! | [`operator`] | the operator's life: wait for the Lease, lead, end |

pub mod apply;
pub mod blob;
pub mod children;
pub mod committee;
pub mod config;
pub mod context;
mod controllers;
mod counted;
pub mod disruption;
pub mod error;
pub mod events;
mod lease;
pub mod link;
mod loss;
pub mod metrics;
pub mod operator;
mod probes;
pub mod record_log;
mod retry;
pub mod trust_store;

pub use config::Config;
pub use context::Context;
pub use error::{Error, Result};
pub use events::Events;
pub use link::{CommitteeKey, Link, Links};
pub use metrics::Metrics;
pub use operator::{OperatorError, run};
