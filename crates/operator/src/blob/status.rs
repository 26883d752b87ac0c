//! What is said of a Blob: its status from a verdict, purely.

use floe_crd::condition::{self, DELETION_BLOCKED, PROGRESSING, READY, STALLED};
use floe_crd::{BlobStatus, BlobSummary, CommitteeReference, Import, Protection};
use floe_model::{EpochRecord, Threshold};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::plan::{Reason, Verdict};

/// What is certified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certified {
    /// The blob's id.
    pub(crate) blob_id: String,
    /// Bytes of content.
    pub(crate) size_bytes: u64,
    /// The number of the record that the certificate names.
    pub(crate) epoch: u64,
}

/// What was found out, besides the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Findings {
    /// The Committee.
    pub(crate) keeper: Option<CommitteeReference>,
    /// Where the gateway serves the blob.
    pub(crate) url: Option<String>,
    /// The content.
    pub(crate) certified: Option<Certified>,
    /// How well the committee protects what it holds, and how many more shards that survives.
    pub(crate) protection: Option<(Protection, u16)>,
    /// The Job that imports.
    pub(crate) job: Option<String>,
}

/// The status of a Blob that stays.
pub(crate) fn status(
    old: &BlobStatus,
    verdict: &Verdict,
    findings: Findings,
    generation: Option<i64>,
    now: Timestamp,
) -> BlobStatus {
    let mut status = old.clone();
    status.committee_ref = old.committee_ref.clone().or(findings.keeper);
    status.url = findings.url.or(status.url);
    status.importing = findings.job.map(|job_name| Import { job_name });
    if let Some(certified) = findings.certified {
        status.summary = BlobSummary { size: human(certified.size_bytes) };
        status.blob_id.get_or_insert(certified.blob_id);
        status.size = Some(certified.size_bytes);
        status.certified_epoch = Some(certified.epoch);
        status.certified_time.get_or_insert(Time(now));
    }
    (status.protection, status.margin) = match (verdict, findings.protection) {
        (Verdict::Certified, Some((protection, margin))) => (Some(protection), Some(margin)),
        (Verdict::Certified, None) => (old.protection, old.margin),
        _ => (Some(Protection::Pending), None),
    };
    let (ready, progressing, stalled, reason, message) = match verdict {
        Verdict::Certified => {
            let size = &status.summary.size;
            let message =
                format!("{size} are durable: nodes worth n-f shards hold the certificate");
            (true, false, false, Reason::Certified, message)
        }
        Verdict::Waiting { reason, message } => (false, true, false, *reason, message.clone()),
        Verdict::Refused { reason, message } => (false, false, true, *reason, message.clone()),
    };
    for (type_, holds) in [(READY, ready), (PROGRESSING, progressing), (STALLED, stalled)] {
        let said = (Some(holds), reason.word(), message.as_str());
        condition::set(&mut status.conditions, type_, said, generation, now);
    }
    status
}

/// The status of a Blob that cannot leave yet.
pub(crate) fn blocked(
    old: &BlobStatus,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> BlobStatus {
    let mut status = old.clone();
    let said = (Some(true), "ReleaseNotStored", message);
    condition::set(&mut status.conditions, DELETION_BLOCKED, said, generation, now);
    status
}

/// The status says all that there is to say of this generation of the spec.
pub(crate) fn is_final(status: &BlobStatus, generation: Option<i64>) -> bool {
    let Some(ready) = condition::get(&status.conditions, READY) else { return false };
    let never = [Reason::DigestMismatch, Reason::UploadExpired, Reason::ContentMissing];
    ready.observed_generation == generation
        && never.iter().any(|reason| ready.reason == reason.word())
}

/// The status says that the blob is certified, for this generation of the spec.
pub(crate) fn is_certified(status: &BlobStatus, generation: Option<i64>) -> bool {
    let ready = condition::get(&status.conditions, READY);
    ready.is_some_and(|ready| ready.status == "True" && ready.observed_generation == generation)
}

/// How well a committee protects what it holds: what is unfilled counts as lost. A lower bound for
/// each of its blobs: those written since have more.
pub(crate) fn protection(record: &EpochRecord) -> (Protection, u16) {
    let shards = usize::from(record.geometry.shards());
    let needed = Threshold::Decoding.shards(record.geometry);
    let whole = shards.saturating_sub(record.unfilled.len());
    let margin = u16::try_from(whole.saturating_sub(needed)).unwrap_or(u16::MAX);
    let protection = match margin {
        _ if record.unfilled.is_empty() => Protection::Full,
        _ if whole < needed => Protection::Unreadable,
        0 => Protection::AtRisk,
        _ => Protection::Reduced,
    };
    (protection, margin)
}

/// A size as people read it: `12 B`, `4.3 MiB`.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let bytes = u128::from(bytes);
    let mut unit_bytes: u128 = 1;
    let mut shown = String::new();
    for unit in UNITS {
        unit_bytes <<= 10;
        let tenths = (bytes * 10 + unit_bytes / 2) / unit_bytes;
        shown = format!("{}.{} {unit}", tenths / 10, tenths % 10);
        if tenths < 10_240 {
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests;
