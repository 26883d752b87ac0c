//! The operator's metrics: names, help texts and labels.

use std::time::Duration;

use http::Method;
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// Seconds, from a look at rest to one that waits for nodes.
const SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// All of them. Clones share what they count.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_errors: IntCounterVec,
    reconcile_seconds: HistogramVec,
    api_writes: IntCounterVec,
    leader: IntGauge,
}

impl Metrics {
    /// Registers everything once.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            reconciles: IntCounterVec::new(
                Opts::new("floe_operator_reconcile_total", "Reconciles"),
                &["controller", "result"],
            )?,
            reconcile_errors: IntCounterVec::new(
                Opts::new("floe_operator_reconcile_errors_total", "Reconciles that failed"),
                &["controller", "terminal"],
            )?,
            reconcile_seconds: HistogramVec::new(
                HistogramOpts::new("floe_operator_reconcile_time_seconds", "Time of a reconcile")
                    .buckets(SECONDS.to_vec()),
                &["controller"],
            )?,
            api_writes: IntCounterVec::new(
                Opts::new("floe_operator_api_writes_total", "Writes sent to the API server"),
                &["resource", "method"],
            )?,
            leader: IntGauge::new(
                "floe_operator_leader_election_master_status",
                "1 on the replica that leads",
            )?,
        };
        metrics.registry.register(Box::new(metrics.reconciles.clone()))?;
        metrics.registry.register(Box::new(metrics.reconcile_errors.clone()))?;
        metrics.registry.register(Box::new(metrics.reconcile_seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.api_writes.clone()))?;
        metrics.registry.register(Box::new(metrics.leader.clone()))?;
        Ok(metrics)
    }

    /// A reconcile ended; `failed` is whether it was terminal.
    pub(crate) fn reconciled(&self, controller: &str, took: Duration, failed: Option<bool>) {
        let result = if failed.is_some() { "error" } else { "success" };
        self.reconciles.with_label_values(&[controller, result]).inc();
        if let Some(terminal) = failed {
            let terminal = if terminal { "true" } else { "false" };
            self.reconcile_errors.with_label_values(&[controller, terminal]).inc();
        }
        self.reconcile_seconds.with_label_values(&[controller]).observe(took.as_secs_f64());
    }

    /// A write was sent to the API server.
    pub(crate) fn wrote(&self, resource: &str, method: &Method) {
        self.api_writes.with_label_values(&[resource, method.as_str()]).inc();
    }

    /// Whether this replica leads.
    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All values, as Prometheus reads them.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        if let Err(error) = encoded {
            tracing::error!(%error, "the metrics cannot be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}
