//! Reconciles Committee, StorageNode and Blob.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | what an operator is started with |
//! | [`context`] | what every reconcile has at hand |
//! | [`link`] | what the committee controller knows of a committee that runs, for the blob controller |
//! | [`error`] | what ends a reconcile early: told apart by whether trying again helps |
//! | [`events`] | Kubernetes Events, one per turn of the story |
//! | [`metrics`] | reconciles, API writes, leadership |

pub mod config;
pub mod context;
pub mod error;
pub mod events;
pub mod link;
pub mod metrics;

pub use config::Config;
pub use context::Context;
pub use error::{Error, Result};
pub use events::Events;
pub use link::{CommitteeKey, Link, Links};
pub use metrics::Metrics;
