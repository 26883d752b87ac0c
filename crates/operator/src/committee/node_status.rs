//! The status of a StorageNode.

use floe_crd::condition::{
    self, DRAIN_BLOCKED, PROGRESSING, READY, REPAIR_IN_PROGRESS, STALLED, VOLUME_LOST,
};
use floe_crd::{
    NodeRepair, OwnedShards, RepairState, SliverCounts, StorageNodeStatus, StorageNodeSummary,
    Volume, VolumeState,
};
use floe_model::ShardIndex;
use floe_steward::Standing;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::repair::Repair;
use super::view::View;

/// A condition: whether, why, and in words.
pub(super) type Said = (Option<bool>, &'static str, String);

/// What the status is to be. `old` is what it is; times that did not move much stay.
pub(super) fn node_status(
    view: &View<'_>,
    old: &StorageNodeStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> StorageNodeStatus {
    let repair = node_repair(view, old, now);
    let slivers = view.report.map(slivers);
    let mut conditions = old.conditions.clone();
    for (type_, (status, reason, message)) in conditions_of(view) {
        condition::set(&mut conditions, type_, (status, reason, &message), generation, now);
    }
    StorageNodeStatus {
        epoch: view.report.and_then(|it| it.epoch).map(|epoch| epoch.number.0).or(old.epoch),
        zone: view.place.as_ref().map(|it| it.zone.clone()).filter(|it| !it.is_empty()),
        node_name: view.place.as_ref().map(|it| it.host.clone()),
        pod_name: view.pod.map(ResourceExt::name_any),
        incarnation: Some(view.incarnation.0),
        volume: view.claim.map(|claim| volume(view, claim)),
        shards: view.member.map(|member| owned(&member.shards)),
        slivers,
        summary: StorageNodeSummary {
            held: slivers.map(|it| format!("{}%", it.held_percent)).unwrap_or_default(),
            repair: repair.as_ref().map_or_else(|| "-".to_owned(), |it| time_left(it, now)),
        },
        repair,
        conditions: sorted(conditions),
    }
}

/// Conditions in the order of their names, as they are told apart by.
pub(super) fn sorted(mut conditions: Vec<Condition>) -> Vec<Condition> {
    conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    conditions
}

fn conditions_of(view: &View<'_>) -> [(&'static str, Said); 6] {
    let stalled = view.trouble.as_ref().filter(|it| it.is_stalled && !view.serves());
    let settled = view.serves() && view.deficit.is_none();
    [
        (READY, ready(view)),
        (
            PROGRESSING,
            if settled || stalled.is_some() {
                (Some(false), "Settled", String::new())
            } else {
                let (_, reason, message) = ready(view);
                (Some(true), if view.serves() { "Repairing" } else { reason }, message)
            },
        ),
        (
            STALLED,
            stalled.map_or((Some(false), "Fine", String::new()), |it| {
                (Some(true), it.reason, it.message.clone())
            }),
        ),
        (VOLUME_LOST, volume_lost(view)),
        (REPAIR_IN_PROGRESS, repairing(view)),
        (DRAIN_BLOCKED, drain(view)),
    ]
}

/// Whether it serves, and else why not.
pub(super) fn ready(view: &View<'_>) -> Said {
    if view.serves() {
        return (Some(true), "Serving", String::new());
    }
    let (_, lost, why) = volume_lost(view);
    if lost != "Fine" {
        let trouble = view.trouble.as_ref().map(|it| format!("; {}", it.message));
        return (Some(false), lost, format!("{why}{}", trouble.unwrap_or_default()));
    }
    if let Some(trouble) = &view.trouble {
        return (Some(false), trouble.reason, trouble.message.clone());
    }
    if let Some(Standing::Away { reason, .. }) = view.standing {
        return (Some(false), "Away", format!("its storage node does not answer: {reason}"));
    }
    match view.report {
        Some(report) if !report.serving.reason.is_empty() => {
            (Some(false), "NotServing", report.serving.reason.clone())
        }
        _ => (Some(false), "Starting", "its storage node is about to start".to_owned()),
    }
}

fn volume_lost(view: &View<'_>) -> Said {
    let fine = (Some(false), "Fine", String::new());
    let Some(member) = view.member else { return fine };
    let lost = member.incarnation;
    if member.incarnation < view.incarnation {
        let message = format!(
            "volume {lost} was given up; volume {} takes its place as soon as it answers",
            view.incarnation
        );
        return (Some(true), "Replacing", message);
    }
    match view.standing {
        Some(Standing::Lost { reason, .. }) => {
            (Some(true), "VolumeLost", format!("volume {lost}: {reason}"))
        }
        _ => fine,
    }
}

fn repairing(view: &View<'_>) -> Said {
    let Some(deficit) = view.deficit else {
        return (Some(false), "Whole", String::new());
    };
    let shards = owned(&deficit.shards).owned;
    let message = match &view.repair {
        Repair::Nothing => format!("shards {shards}: what they lack is found out"),
        Repair::Paused => format!("shards {shards} wait: spec.paused has Repair"),
        Repair::Start | Repair::Running(_) => format!("shards {shards} are rebuilt by a Job"),
        Repair::Ended(_) => format!("shards {shards} are rebuilt by the storage node itself"),
        Repair::Failed(job, reason) => {
            format!("shards {shards} are rebuilt by the storage node itself: Job {job}: {reason}")
        }
    };
    let reason = match &view.repair {
        Repair::Paused => "Paused",
        Repair::Failed(..) => "JobFailed",
        _ => "Repairing",
    };
    (Some(view.repair != Repair::Paused), reason, message)
}

fn drain(view: &View<'_>) -> Said {
    match (&view.drain, &view.place) {
        (Some(blocked), Some(place)) if view.is_cordoned => {
            let message = format!("{} is cordoned, but {}", place.host, blocked.message);
            (Some(true), blocked.cause.as_str(), message)
        }
        (_, Some(place)) if view.is_cordoned => {
            (Some(false), "SafeToStop", format!("{} is cordoned, and may be drained", place.host))
        }
        _ => (Some(false), "NotCordoned", String::new()),
    }
}

fn node_repair(view: &View<'_>, old: &StorageNodeStatus, now: Timestamp) -> Option<NodeRepair> {
    let report = view.report?;
    let remaining_bytes = view.remaining_bytes();
    let is_idle = remaining_bytes == 0 && view.deficit.is_none();
    let state = match (&view.repair, is_idle) {
        (_, true) => RepairState::Idle,
        (Repair::Paused, _) => RepairState::Paused,
        _ => RepairState::Active,
    };
    let job_name = match &view.repair {
        Repair::Running(job) | Repair::Ended(job) | Repair::Failed(job, _) => Some(job.clone()),
        _ => None,
    };
    let left = report.repair.eta_seconds.filter(|_| remaining_bytes > 0);
    let before = old.repair.as_ref().and_then(|it| it.estimated_completion_time.as_ref());
    Some(NodeRepair {
        state,
        remaining_bytes,
        restored_bytes: report.repair.restored_bytes,
        read_bytes: report.repair.read_bytes,
        job_name,
        estimated_completion_time: left.and_then(|left| steady(before, left, now)),
    })
}

/// When it will be done, if `seconds` are left: as before, unless that moved by more than a fifth.
pub(super) fn steady(before: Option<&Time>, seconds: u64, now: Timestamp) -> Option<Time> {
    let left = SignedDuration::from_secs(i64::try_from(seconds).ok()?);
    let done = now.checked_add(left).ok()?;
    let moved = |before: &Time| done.duration_since(before.0).abs() > left / 5;
    match before {
        Some(before) if !moved(before) => Some(before.clone()),
        _ => Some(Time(Timestamp::from_second(done.as_second()).ok()?)),
    }
}

/// `12m left`, or what keeps it from being said.
fn time_left(repair: &NodeRepair, now: Timestamp) -> String {
    match (repair.state, &repair.estimated_completion_time) {
        (RepairState::Idle, _) => "-".to_owned(),
        (RepairState::Paused, _) => "paused".to_owned(),
        (_, Some(time)) => minutes_left(time, now),
        (_, None) => "active".to_owned(),
    }
}

/// `12m left`.
pub(super) fn minutes_left(time: &Time, now: Timestamp) -> String {
    let seconds = time.0.duration_since(now).as_secs().max(0);
    format!("{}m left", (seconds + 59) / 60)
}

fn slivers(report: &floe_api::report::NodeReport) -> SliverCounts {
    let (owed, held) = (report.slivers.owed, report.slivers.held.min(report.slivers.owed));
    let percent = if owed == 0 { 100 } else { u128::from(held) * 100 / u128::from(owed) };
    SliverCounts { owed, held, corrupt: 0, held_percent: u8::try_from(percent).unwrap_or(100) }
}

fn volume(view: &View<'_>, claim: &PersistentVolumeClaim) -> Volume {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let state = match phase {
        Some("Bound") => VolumeState::Bound,
        Some("Lost") => VolumeState::Missing,
        _ => VolumeState::Pending,
    };
    let id = view.member.filter(|_| view.is_current()).map(|member| member.volume.to_string());
    Volume { id, claim_name: claim.name_any(), state }
}

/// Such as `0-2,7`.
fn owned(shards: &[ShardIndex]) -> OwnedShards {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for shard in shards {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == shard.0 => *last = shard.0,
            _ => runs.push((shard.0, shard.0)),
        }
    }
    let texts =
        runs.iter().map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        );
    OwnedShards {
        owned: texts.collect::<Vec<_>>().join(","),
        count: u16::try_from(shards.len()).unwrap_or(u16::MAX),
    }
}

#[cfg(test)]
mod tests;
