//! The status of a Committee.

use std::collections::BTreeMap;

use floe_crd::condition::{
    self, DEGRADED, DURABILITY_AT_RISK, PAUSED, PLACEMENT_UNSAFE, PROGRESSING, READY,
    REPAIR_BLOCKED, REPAIR_IN_PROGRESS, STALLED,
};
use floe_crd::{
    BlobCounts, CommitteeRepair, CommitteeSpec, CommitteeStatus, CommitteeSummary, names,
};
use floe_model::{EpochRecord, NodeName};
use floe_plan::succession::Blocker;
use floe_steward::{Outcome, Standing};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::capacity::{capacity, certified, used};
use super::node_status::{Said, minutes_left, ready, sorted, steady};
use super::repair::Repair;
use super::survival::{Holding, heavy_zones, margin, survives, to_write};
use super::view::View;
use crate::error::Error;

/// What a Committee's status is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// What is wanted.
    pub(super) spec: &'a CommitteeSpec,
    /// Its name and namespace.
    pub(super) committee: (&'a str, &'a str),
    /// All StorageNodes.
    pub(super) views: &'a [View<'a>],
    /// The newest committed record.
    pub(super) record: Option<&'a EpochRecord>,
    /// What the steward came to.
    pub(super) outcome: Option<&'a Outcome>,
    /// What ended the reconcile early.
    pub(super) error: Option<&'a Error>,
    /// Whether the gateway has a pod that serves; `None` where there is to be none.
    pub(super) gateway: Option<bool>,
    /// Pods that may be evicted.
    pub(super) disruptions_allowed: Option<u16>,
}

/// What the status is to be. `old` is what it is.
pub(super) fn committee_status(
    facts: &Facts<'_>,
    old: &CommitteeStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> CommitteeStatus {
    let (name, namespace) = facts.committee;
    let serving = facts.views.iter().filter(|view| view.serves()).count();
    let geometry = facts.record.map(|record| record.geometry);
    let holdings: Vec<Holding> = facts.views.iter().filter_map(holding).collect();
    let survives = geometry.map(|geometry| survives(&holdings, geometry));
    let repair = facts.record.map(|_| repair(facts, old, now));
    let capacity = geometry.map(|geometry| capacity(facts.views, geometry));
    let mut conditions = old.conditions.clone();
    for (type_, (status, reason, message)) in conditions_of(facts, &holdings) {
        condition::set(&mut conditions, type_, (status, reason, &message), generation, now);
    }
    let replicas = count(facts.views.len());
    CommitteeStatus {
        epoch: facts.record.map(|record| record.number.0).max(old.epoch),
        replicas,
        ready_replicas: count(serving),
        margin: geometry.and_then(|geometry| margin(&holdings, geometry)),
        blobs: facts.record.map(|_| BlobCounts { certified: certified(facts.views, old) }),
        disruptions_allowed: facts.disruptions_allowed,
        gateway_url: facts
            .gateway
            .map(|_| format!("https://{}", names::gateway_host(name, namespace))),
        summary: CommitteeSummary {
            nodes: format!("{serving}/{replicas}"),
            data_survives: survives.as_ref().map(|it| plural(it.data.nodes)).unwrap_or_default(),
            writes_survive: survives.as_ref().map(|it| plural(it.writes.nodes)).unwrap_or_default(),
            used: capacity.map(used).unwrap_or_default(),
            repair: repair.as_ref().map(|it| summary(it, now)).unwrap_or_default(),
        },
        survives,
        capacity,
        repair,
        conditions: sorted(conditions),
    }
}

fn conditions_of(facts: &Facts<'_>, holdings: &[Holding]) -> [(&'static str, Said); 9] {
    [
        (READY, is_ready(facts, holdings)),
        (PROGRESSING, progressing(facts)),
        (STALLED, stalled(facts)),
        (PAUSED, paused(facts.spec)),
        (DEGRADED, degraded(facts)),
        (DURABILITY_AT_RISK, at_risk(facts, holdings)),
        (REPAIR_IN_PROGRESS, repairing(facts)),
        (REPAIR_BLOCKED, repair_blocked(facts)),
        (PLACEMENT_UNSAFE, placement(facts)),
    ]
}

fn no(reason: &'static str) -> Said {
    (Some(false), reason, String::new())
}

fn is_ready(facts: &Facts<'_>, holdings: &[Holding]) -> Said {
    let Some(record) = facts.record else {
        let (_, reason, message) = progressing(facts);
        return (Some(false), reason, message);
    };
    let up: u16 = holdings.iter().map(|it| it.serving).sum();
    let needed = to_write(record.geometry);
    if up < needed {
        let all = record.geometry.shards();
        let away = named(facts.views, |view| !view.serves());
        let message = format!("{up} of {all} shards are up, writes need {needed}: {away}");
        return (Some(false), "TooFewNodes", message);
    }
    if facts.gateway == Some(false) {
        return (Some(false), "GatewayUnavailable", "no pod of the gateway is ready".to_owned());
    }
    (Some(true), "Serving", String::new())
}

/// What is under way.
pub(super) fn progressing(facts: &Facts<'_>) -> Said {
    if let Some(error) = facts.error {
        return match error {
            Error::Refused { .. } => no("Stalled"),
            Error::Waiting { reason, message } => {
                // What keeps a pod from running says more than that it is waited for.
                let trouble = facts.views.iter().find_map(|view| view.trouble.as_ref());
                trouble.map_or_else(
                    || (Some(true), *reason, message.clone()),
                    |it| (Some(true), it.reason, it.message.clone()),
                )
            }
            error => (Some(true), "Retrying", error.text()),
        };
    }
    if let Some(view) = facts.views.iter().find(|view| !view.serves()) {
        let (_, reason, message) = ready(view);
        return (Some(true), reason, format!("{}: {message}", view.node));
    }
    match facts.outcome {
        Some(Outcome::Settled) => no("Settled"),
        Some(Outcome::Waiting(blockers)) => (Some(true), "Waiting", listed(blockers)),
        Some(Outcome::Committed(number, _)) => {
            (Some(true), "EpochChanges", format!("epoch record {number} is committed"))
        }
        Some(Outcome::Pushed(number, missing)) => {
            let message = format!("epoch record {number} is not committed yet: {missing}");
            (Some(true), "EpochChanges", message)
        }
        Some(Outcome::Conflict(_)) => no("Stalled"),
        None => (Some(true), "Forming", "the first epoch record is on its way".to_owned()),
    }
}

/// What a human must mend.
pub(super) fn stalled(facts: &Facts<'_>) -> Said {
    if let Some(Error::Refused { reason, message }) = facts.error {
        return (Some(true), reason, message.clone());
    }
    if let Some(error) = facts.error.filter(|error| error.is_terminal()) {
        return (Some(true), "Refused", error.text());
    }
    match facts.outcome {
        Some(Outcome::Conflict(tips)) => {
            let tips = tips.iter().map(|tip| format!("{} ({})", tip.number, tip.record));
            let tips: Vec<String> = tips.collect();
            let message = format!(
                "nodes accepted epoch records of which none can be committed: {}; start the nodes \
                 that are away",
                tips.join(", ")
            );
            return (Some(true), "EpochConflict", message);
        }
        Some(Outcome::Waiting(blockers) | Outcome::Committed(_, blockers)) => {
            let hard = blockers.iter().find(|it| matches!(it, Blocker::BeyondLimit { .. }));
            if let Some(blocker) = hard {
                return (Some(true), "TooMuchLost", blocker.to_string());
            }
        }
        _ => {}
    }
    let stalled = facts.views.iter().filter(|view| !view.serves());
    let trouble = stalled.filter_map(|view| view.trouble.as_ref()).find(|it| it.is_stalled);
    trouble.map_or_else(|| no("Fine"), |it| (Some(true), it.reason, it.message.clone()))
}

/// What the spec holds back.
pub(super) fn paused(spec: &CommitteeSpec) -> Said {
    if spec.paused.is_empty() {
        return no("Fine");
    }
    let what: Vec<String> = spec.paused.iter().map(|it| format!("{it:?}")).collect();
    (Some(true), "Spec", format!("spec.paused has {}", what.join(", ")))
}

fn degraded(facts: &Facts<'_>) -> Said {
    if facts.record.is_none() {
        return no("Forming");
    }
    let away = named(facts.views, |view| !view.serves());
    let unfilled = named(facts.views, |view| view.deficit.is_some());
    match (away.is_empty(), unfilled.is_empty()) {
        (true, true) => no("Fine"),
        (false, _) => (Some(true), "NodesAway", format!("not serving: {away}")),
        (true, false) => (Some(true), "Unfilled", format!("being rebuilt: {unfilled}")),
    }
}

fn at_risk(facts: &Facts<'_>, holdings: &[Holding]) -> Said {
    let Some(record) = facts.record else { return no("Forming") };
    match margin(holdings, record.geometry) {
        Some(0) | None => {
            let lost = named(facts.views, |view| {
                view.deficit.is_some() || view.standing.is_some_and(Standing::is_lost)
            });
            (Some(true), "NoMargin", format!("no further loss is survived; lost: {lost}"))
        }
        Some(_) => no("Fine"),
    }
}

fn repairing(facts: &Facts<'_>) -> Said {
    let lacking = named(facts.views, |view| view.deficit.is_some() || view.remaining_bytes() > 0);
    if lacking.is_empty() {
        return no("Whole");
    }
    (Some(true), "Repairing", format!("being rebuilt: {lacking}"))
}

fn repair_blocked(facts: &Facts<'_>) -> Said {
    let stuck = facts
        .views
        .iter()
        .find(|view| view.member.is_some() && !view.is_current() && view.trouble.is_some());
    if let Some((view, trouble)) = stuck.and_then(|view| Some((view, view.trouble.as_ref()?))) {
        let message = format!("{} has no new volume: {}", view.node, trouble.message);
        return (Some(true), "NoPlacement", message);
    }
    let failed = facts.views.iter().find_map(|view| match &view.repair {
        Repair::Failed(job, reason) => Some(format!("{}: Job {job}: {reason}", view.node)),
        _ => None,
    });
    failed.map_or_else(|| no("Fine"), |message| (Some(true), "JobFailed", message))
}

fn placement(facts: &Facts<'_>) -> Said {
    let Some(record) = facts.record else { return no("Forming") };
    let heavy_host = match facts.outcome {
        Some(Outcome::Waiting(blockers) | Outcome::Committed(_, blockers)) => {
            blockers.iter().find(|it| matches!(it, Blocker::HeavyHost { .. }))
        }
        _ => None,
    };
    if let Some(blocker) = heavy_host {
        return (Some(true), "HostOverF", blocker.to_string());
    }
    let mut zones: BTreeMap<String, u16> = BTreeMap::new();
    for member in &record.members {
        *zones.entry(member.zone.clone()).or_default() += count(member.shards.len());
    }
    let heavy = heavy_zones(&zones, record.geometry);
    if heavy.is_empty() {
        return no("Fine");
    }
    let zones: Vec<String> =
        heavy.iter().map(|(zone, shards)| format!("{zone} ({shards} shards)")).collect();
    let message = format!(
        "writes stop, reads go on, while one of these zones is away: {}; use more zones",
        zones.join(", ")
    );
    (Some(true), "ZoneOverF", message)
}

fn holding(view: &View<'_>) -> Option<Holding> {
    let member = view.member?;
    let unfilled = view.deficit.map_or(0, |deficit| deficit.shards.len());
    let is_lost = !view.is_current() || view.standing.is_none_or(Standing::is_lost);
    let shards = count(member.shards.len());
    Some(Holding {
        node: member.node.to_string(),
        host: member.host.clone(),
        zone: member.zone.clone(),
        durable: if is_lost { 0 } else { shards - count(unfilled).min(shards) },
        serving: if view.serves() { shards } else { 0 },
    })
}

fn repair(facts: &Facts<'_>, old: &CommitteeStatus, now: Timestamp) -> CommitteeRepair {
    let remaining_bytes = facts.views.iter().map(View::remaining_bytes).sum();
    let reports = facts.views.iter().filter_map(|view| view.report);
    let left = reports.filter_map(|report| report.repair.eta_seconds).max();
    let before = old.repair.as_ref().and_then(|it| it.estimated_completion_time.as_ref());
    let estimated_completion_time = match left.filter(|_| remaining_bytes > 0) {
        Some(left) => steady(before, left, now),
        None => None,
    };
    CommitteeRepair { remaining_bytes, estimated_completion_time }
}

fn summary(repair: &CommitteeRepair, now: Timestamp) -> String {
    match (&repair.estimated_completion_time, repair.remaining_bytes) {
        (Some(Time(time)), _) => minutes_left(&Time(*time), now),
        (None, 0) => "-".to_owned(),
        (None, _) => "active".to_owned(),
    }
}

fn named(views: &[View<'_>], such: impl Fn(&View<'_>) -> bool) -> String {
    let names = views.iter().filter(|view| such(view)).map(|view| &view.node);
    names.map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

fn listed(blockers: &[Blocker]) -> String {
    blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn plural(nodes: u16) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

fn count(of: usize) -> u16 {
    u16::try_from(of).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
