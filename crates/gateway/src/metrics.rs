//! The gateway's metrics: names, help texts and labels.

use http::{Method, StatusCode};
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

/// Seconds, from a cached answer to a large body.
const SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// All of them.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration_seconds: HistogramVec,
    /// Bytes of bodies read from applications.
    pub(crate) received_bytes: IntCounter,
    /// Bytes of bodies sent to applications.
    pub(crate) sent_bytes: IntCounter,
    /// Writes under way.
    pub(crate) writes: IntGauge,
    /// Reads under way.
    pub(crate) reads: IntGauge,
    /// Verification failures by the node that answered.
    pub(crate) verification_failures: IntCounterVec,
}

impl Metrics {
    /// Registers everything once.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("floe_gateway_requests_total", "Requests answered"),
                &["route", "method", "status"],
            )?,
            duration_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "floe_gateway_request_duration_seconds",
                    "Time from a request's head to its answer's head",
                )
                .buckets(SECONDS.to_vec()),
                &["route", "method"],
            )?,
            received_bytes: IntCounter::new(
                "floe_gateway_received_bytes_total",
                "Bytes of content read from applications",
            )?,
            sent_bytes: IntCounter::new(
                "floe_gateway_sent_bytes_total",
                "Bytes of content sent to applications",
            )?,
            writes: IntGauge::new("floe_gateway_writes_in_flight", "Writes under way")?,
            reads: IntGauge::new("floe_gateway_reads_in_flight", "Reads under way")?,
            verification_failures: IntCounterVec::new(
                Opts::new(
                    "floe_gateway_verification_failures_total",
                    "Answers of a node that did not match their id",
                ),
                &["peer"],
            )?,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(self.requests.clone()))?;
        self.registry.register(Box::new(self.duration_seconds.clone()))?;
        self.registry.register(Box::new(self.received_bytes.clone()))?;
        self.registry.register(Box::new(self.sent_bytes.clone()))?;
        self.registry.register(Box::new(self.writes.clone()))?;
        self.registry.register(Box::new(self.reads.clone()))?;
        self.registry.register(Box::new(self.verification_failures.clone()))
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, route: &str, method: &Method, status: StatusCode, seconds: f64) {
        let class = format!("{}xx", status.as_u16() / 100);
        let method = match *method {
            Method::GET | Method::HEAD | Method::PUT | Method::DELETE => method.as_str(),
            _ => "other",
        };
        self.requests.with_label_values(&[route, method, &class]).inc();
        self.duration_seconds.with_label_values(&[route, method]).observe(seconds);
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Encoding fails only for a family without metrics, which `gather` leaves out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}
