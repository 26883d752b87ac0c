//! What every reconcile has at hand.

use floe_env::Env;

use crate::committee::Actors;
use crate::{Config, Events, Links, Metrics};

/// What every reconcile has at hand.
pub struct Context {
    /// The API server. Every write through it is counted.
    pub client: kube::Client,
    /// Clock, network and everything else from outside.
    pub env: Env,
    /// What the operator was started with.
    pub config: Config,
    /// Tells people what happens.
    pub events: Events,
    /// Tells Prometheus.
    pub metrics: Metrics,
    /// The committees that run.
    pub links: Links,
    /// What is kept of each Committee between reconciles.
    pub actors: Actors,
}
