//! The node's metrics: every name, help text and label stands here. No label holds a blob id.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use floe_api::report::ErrorReport;
use floe_model::{Axis, NodeName, Timestamp};
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::worker::Step;

/// Errors of workers that a report shows.
const ERRORS_KEPT: usize = 8;

/// How a sliver was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RepairPath {
    /// From crossing symbols of the other axis.
    Symbols,
    /// Fetched whole from a peer.
    Slivers,
    /// From the decoded extent.
    Decode,
    /// Brought by a repair job under a lease.
    Lease,
}

impl RepairPath {
    const ALL: [Self; 4] = [Self::Symbols, Self::Slivers, Self::Decode, Self::Lease];

    const fn label(self) -> &'static str {
        match self {
            Self::Symbols => "symbols",
            Self::Slivers => "slivers",
            Self::Decode => "decode",
            Self::Lease => "lease",
        }
    }
}

const fn axis_label(axis: Axis) -> &'static str {
    match axis {
        Axis::Primary => "primary",
        Axis::Secondary => "secondary",
    }
}

/// What is counted and measured in one node.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    body_bytes: IntCounterVec,
    shed: IntCounter,
    foreground_bytes: IntGauge,
    repair_slivers: IntCounterVec,
    repair_bytes_read: IntCounterVec,
    repair_bytes_restored: IntCounterVec,
    repair_overhead_bytes: IntCounter,
    repair_queue: IntGauge,
    leases: IntGauge,
    leases_given: IntCounter,
    lease_bytes_read: IntCounter,
    unfilled_bytes: IntGaugeVec,
    verification_failures: IntCounterVec,
    slivers: IntGaugeVec,
    blobs_owed: IntGauge,
    stored_bytes: IntGauge,
    disk_bytes: IntGaugeVec,
    feed_head: IntGauge,
    serving: IntGauge,
    corrupt_slivers: IntGauge,
    sync_seconds: HistogramVec,
    worker_steps: IntCounterVec,
    last_errors: Mutex<VecDeque<ErrorReport>>,
}

/// What repair did since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RepairTotals {
    pub(crate) restored_slivers: u64,
    pub(crate) restored_bytes: u64,
    pub(crate) read_bytes: u64,
}

/// What is read from the store when someone asks for the metrics.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Levels {
    pub(crate) slivers_owed: u64,
    pub(crate) slivers_held: u64,
    pub(crate) blobs_owed: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) disk_total_bytes: u64,
    pub(crate) disk_free_bytes: u64,
    pub(crate) feed_head: u64,
    pub(crate) serving: bool,
    pub(crate) corrupt_slivers: u64,
    pub(crate) leases: u64,
    pub(crate) unfilled_owed_bytes: u64,
    pub(crate) unfilled_held_bytes: u64,
}

struct Maker(Registry);

impl Maker {
    fn kept<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let made = made?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.kept(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.kept(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.kept(IntCounter::new(name, help))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.kept(IntGauge::new(name, help))
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        const BUCKETS: [f64; 12] =
            [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
        self.kept(HistogramVec::new(
            HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()),
            labels,
        ))
    }
}

impl Metrics {
    /// All metrics, at zero.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let maker = Maker(Registry::new());
        let build = maker.gauges(
            "floe_node_build_info",
            "1, with the version of the program",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            requests: maker.counters("floe_node_requests_total", "Requests answered, by route and class of status", &["route", "class"])?,
            request_seconds: maker.seconds("floe_node_request_seconds", "Time from a request's head to its answer", &["route"])?,
            body_bytes: maker.counters("floe_node_body_bytes_total", "Bytes of bodies, by route and direction", &["route", "direction"])?,
            shed: maker.counter("floe_node_shed_requests_total", "Requests refused because too many bytes were in flight")?,
            foreground_bytes: maker.gauge("floe_node_foreground_bytes", "Bytes of requests in flight")?,
            repair_slivers: maker.counters("floe_node_repair_slivers_total", "Slivers that repair worked on", &["axis", "path", "result"])?,
            repair_bytes_read: maker.counters("floe_node_repair_bytes_read_total", "Bytes of symbols and slivers read from peers for repair", &["axis"])?,
            repair_bytes_restored: maker.counters("floe_node_repair_bytes_restored_total", "Bytes of slivers that repair restored", &["axis"])?,
            repair_overhead_bytes: maker.counter("floe_node_repair_overhead_bytes_total", "Bytes read for repair that are neither symbol nor sliver: proofs, metadata, manifests, headers")?,
            repair_queue: maker.gauge("floe_node_repair_queue_blobs", "Blobs that wait for repair")?,
            leases: maker.gauge("floe_node_repair_leases", "Leases of repair work that jobs hold")?,
            leases_given: maker.counter("floe_node_repair_leases_given_total", "Leases of repair work given to jobs")?,
            lease_bytes_read: maker.counter("floe_node_repair_lease_bytes_read_total", "Bytes of symbols and slivers that jobs read from peers for this node, by their word")?,
            unfilled_bytes: maker.gauges("floe_node_unfilled_bytes", "Bytes of slivers of certified blobs that unfilled shards owe, and those of them that they hold", &["state"])?,
            verification_failures: maker.counters("floe_node_verification_failures_total", "Bytes from a peer that failed their check", &["peer"])?,
            slivers: maker.gauges("floe_node_slivers", "Slivers of certified blobs that this node owes, and those of them it holds", &["state"])?,
            blobs_owed: maker.gauge("floe_node_blobs_owed", "Certified blobs whose slivers this node owes")?,
            stored_bytes: maker.gauge("floe_node_stored_bytes", "Bytes of slivers on the volume")?,
            disk_bytes: maker.gauges("floe_node_disk_bytes", "Room on the volume's file system", &["state"])?,
            feed_head: maker.gauge("floe_node_feed_head", "Entries in the node's change feed")?,
            serving: maker.gauge("floe_node_serving", "1 if the node serves its accepted epoch")?,
            corrupt_slivers: maker.gauge("floe_node_corrupt_slivers", "Slivers found corrupt and moved aside since the start")?,
            sync_seconds: maker.seconds("floe_node_store_sync_seconds", "Time a promise waited for stable storage", &[])?,
            worker_steps: maker.counters("floe_node_worker_steps_total", "Units of background work, by worker and outcome", &["worker", "outcome"])?,
            last_errors: Mutex::default(),
            registry: maker.0,
        };
        for axis in Axis::BOTH.map(axis_label) {
            metrics.repair_bytes_read.with_label_values(&[axis]);
            metrics.repair_bytes_restored.with_label_values(&[axis]);
            for path in RepairPath::ALL.map(RepairPath::label) {
                for result in ["ok", "failed"] {
                    metrics.repair_slivers.with_label_values(&[axis, path, result]);
                }
            }
        }
        Ok(metrics)
    }

    /// A request was answered.
    pub(crate) fn request(&self, route: &str, status: u16, took: Duration) {
        let class = format!("{}xx", status / 100);
        self.requests.with_label_values(&[route, &class]).inc();
        self.request_seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// Bytes of a request's body.
    pub(crate) fn body_read(&self, route: &str, bytes: usize) {
        self.body_bytes.with_label_values(&[route, "in"]).inc_by(bytes as u64);
    }

    /// Bytes of an answer's body.
    pub(crate) fn body_sent(&self, route: &str, bytes: usize) {
        self.body_bytes.with_label_values(&[route, "out"]).inc_by(bytes as u64);
    }

    /// A request was refused for want of room.
    pub(crate) fn request_shed(&self) {
        self.shed.inc();
    }

    /// Bytes in flight changed.
    pub(crate) fn foreground_changed(&self, bytes: i64) {
        self.foreground_bytes.add(bytes);
    }

    /// A sliver was restored.
    pub(crate) fn sliver_restored(&self, axis: Axis, path: RepairPath, bytes: usize) {
        self.repair_slivers.with_label_values(&[axis_label(axis), path.label(), "ok"]).inc();
        self.repair_bytes_restored.with_label_values(&[axis_label(axis)]).inc_by(bytes as u64);
    }

    /// A sliver could not be restored this time.
    pub(crate) fn sliver_failed(&self, axis: Axis, path: RepairPath) {
        self.repair_slivers.with_label_values(&[axis_label(axis), path.label(), "failed"]).inc();
    }

    /// Payload of symbols or slivers came in for the repair of a sliver of this axis.
    pub(crate) fn repair_read(&self, axis: Axis, bytes: usize) {
        self.repair_bytes_read.with_label_values(&[axis_label(axis)]).inc_by(bytes as u64);
    }

    /// Bytes beside the payload came in for repair.
    pub(crate) fn repair_overhead(&self, bytes: usize) {
        self.repair_overhead_bytes.inc_by(bytes as u64);
    }

    /// Blobs that wait for repair.
    pub(crate) fn repair_queued(&self, blobs: usize) {
        self.repair_queue.set(i64::try_from(blobs).unwrap_or(i64::MAX));
    }

    /// A lease was given.
    pub(crate) fn lease_given(&self) {
        self.leases_given.inc();
    }

    /// A job says that it read so much for this node.
    pub(crate) fn lease_read(&self, bytes: u64) {
        self.lease_bytes_read.inc_by(bytes);
    }

    /// Bytes of a peer failed their check.
    pub(crate) fn verification_failed(&self, peer: &NodeName) {
        self.verification_failures.with_label_values(&[peer.as_str()]).inc();
    }

    /// A peer is known: its series starts at zero.
    pub(crate) fn peer_known(&self, peer: &NodeName) {
        self.verification_failures.with_label_values(&[peer.as_str()]);
    }

    /// What repair did since the start.
    pub(crate) fn repair_totals(&self) -> RepairTotals {
        let mut totals = RepairTotals::default();
        for axis in Axis::BOTH.map(axis_label) {
            for path in RepairPath::ALL.map(RepairPath::label) {
                let slivers = self.repair_slivers.with_label_values(&[axis, path, "ok"]);
                totals.restored_slivers += slivers.get();
            }
            totals.restored_bytes += self.repair_bytes_restored.with_label_values(&[axis]).get();
            totals.read_bytes += self.repair_bytes_read.with_label_values(&[axis]).get();
        }
        totals.read_bytes += self.lease_bytes_read.get();
        totals
    }

    /// A worker failed.
    pub(crate) fn worker_failed(&self, worker: &str, at: Timestamp, text: &str) {
        let report = ErrorReport { at, worker: worker.to_owned(), text: text.to_owned() };
        let mut errors = self.last_errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.push_front(report);
        errors.truncate(ERRORS_KEPT);
    }

    /// The last errors of workers, the newest first.
    pub(crate) fn last_errors(&self) -> Vec<ErrorReport> {
        let errors = self.last_errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().cloned().collect()
    }

    /// A promise waited for stable storage.
    pub(crate) fn synced(&self, took: Duration) {
        self.sync_seconds.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
    }

    /// A worker did one unit of work.
    pub(crate) fn worker_step(&self, worker: &str, step: Result<&Step, &String>) {
        let outcome = match step {
            Ok(Step::Busy) => "busy",
            Ok(Step::Idle(_)) => "idle",
            Ok(Step::Throttled(_)) => "throttled",
            Err(_) => "failed",
        };
        self.worker_steps.with_label_values(&[worker, outcome]).inc();
    }

    /// Sets what is read from the store.
    pub(crate) fn set_levels(&self, levels: &Levels) {
        let set =
            |gauge: &IntGauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.slivers.with_label_values(&["owed"]), levels.slivers_owed);
        set(&self.slivers.with_label_values(&["held"]), levels.slivers_held);
        set(&self.blobs_owed, levels.blobs_owed);
        set(&self.stored_bytes, levels.stored_bytes);
        set(&self.disk_bytes.with_label_values(&["total"]), levels.disk_total_bytes);
        set(&self.disk_bytes.with_label_values(&["free"]), levels.disk_free_bytes);
        set(&self.feed_head, levels.feed_head);
        set(&self.serving, u64::from(levels.serving));
        set(&self.corrupt_slivers, levels.corrupt_slivers);
        set(&self.leases, levels.leases);
        set(&self.unfilled_bytes.with_label_values(&["owed"]), levels.unfilled_owed_bytes);
        set(&self.unfilled_bytes.with_label_values(&["held"]), levels.unfilled_held_bytes);
    }

    /// Everything in the text format of Prometheus.
    pub(crate) fn text(&self) -> String {
        let mut bytes = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut bytes) {
            Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("# metrics cannot be shown: {error}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_start_at_zero_and_count() {
        let metrics = Metrics::new().unwrap();
        let zero = r#"floe_node_repair_slivers_total{axis="primary",path="decode",result="ok"} 0"#;
        assert!(metrics.text().contains(zero));
        metrics.sliver_restored(Axis::Primary, RepairPath::Decode, 7);
        metrics.request("finish", 202, Duration::from_millis(3));
        metrics.set_levels(&Levels { slivers_owed: 4, slivers_held: 3, ..Levels::default() });
        let text = metrics.text();
        assert!(!text.contains(zero));
        for line in [
            r#"floe_node_repair_bytes_restored_total{axis="primary"} 7"#,
            r#"floe_node_requests_total{class="2xx",route="finish"} 1"#,
            r#"floe_node_slivers{state="owed"} 4"#,
            r#"floe_node_slivers{state="held"} 3"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
