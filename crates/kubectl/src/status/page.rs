//! The page that `kubectl floe status` shows.

use floe_crd::condition::{self, Condition};
use floe_crd::{Committee, CommitteeStatus, Losses, StorageNode, StorageNodeStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::verdict::{Verdict, faulty, full_margin, is_whole};
use crate::text::{between, plural, size, span, table, time};

/// All of it. `verbose` shows whole nodes too.
pub(super) fn page(
    committee: &Committee,
    nodes: &[StorageNode],
    verdict: Verdict,
    (now, verbose): (Timestamp, bool),
) -> String {
    let status = committee.status.clone().unwrap_or_default();
    let mut lines = vec![head(committee, &status)];
    lines.push(format!("VERDICT   {}", judgement(committee, &status, verdict, now)));
    lines.extend(survives(committee, &status).map(|text| format!("SURVIVES  {text}")));
    lines.push(members(nodes, now, verbose));
    lines.push(format!("REPAIR    {}", repair(committee, nodes, &status)));
    lines.push(format!("BLOCKED   {}", blocked(&status)));
    lines.push(format!("DRAINS    {}", drains(&status, nodes)));
    lines.push(format!("DO        {}", advice(&status, nodes, verdict)));
    lines.join("\n")
}

fn head(committee: &Committee, status: &CommitteeStatus) -> String {
    let epoch = status.epoch.map_or_else(|| "none yet".to_owned(), |epoch| epoch.to_string());
    let mut parts = vec![
        format!("COMMITTEE {}/{}", committee.namespace().unwrap_or_default(), committee.name_any()),
        format!("epoch {epoch}"),
        format!("{} shards, f = {}", committee.spec.encoding.shards, faulty(committee)),
    ];
    let used = status.capacity.map(|capacity| size(capacity.used_bytes));
    let blobs = status.blobs.map(|blobs| plural(blobs.certified, "blob"));
    let content: Vec<String> = [blobs, used].into_iter().flatten().collect();
    if !content.is_empty() {
        parts.push(content.join(", "));
    }
    parts.join(" · ")
}

fn judgement(
    committee: &Committee,
    status: &CommitteeStatus,
    verdict: Verdict,
    now: Timestamp,
) -> String {
    let reason = |type_: &str| {
        condition::get(&status.conditions, type_)
            .filter(|it| !it.message.is_empty())
            .map(|it| it.message.clone())
    };
    match verdict {
        Verdict::Full => "data safe · full margin".to_owned(),
        Verdict::Healing => healing(committee, status, now),
        Verdict::AtRisk if status.margin == Some(0) => {
            let message = reason(condition::DURABILITY_AT_RISK);
            let message = message.unwrap_or_else(|| "no further loss is survived".to_owned());
            format!("AT RISK: {message}")
        }
        Verdict::AtRisk => "AT RISK: what is missing is not being rebuilt (see BLOCKED)".to_owned(),
        Verdict::Unreadable => {
            let needed = committee.spec.encoding.shards.saturating_sub(full_margin(committee));
            format!("UNREADABLE: fewer than {needed} shards have what they owe")
        }
        Verdict::Unknown => {
            let known = reason(condition::STALLED).or_else(|| reason(condition::READY));
            format!(
                "UNKNOWN: {}",
                known.unwrap_or_else(|| "the operator said nothing yet".to_owned())
            )
        }
    }
}

fn healing(committee: &Committee, status: &CommitteeStatus, now: Timestamp) -> String {
    let is_full = status.margin.is_some_and(|margin| margin >= full_margin(committee));
    let mut parts = vec!["data safe".to_owned()];
    let degraded = condition::get(&status.conditions, condition::DEGRADED);
    let since = degraded.filter(|it| it.status == "True").map(|it| it.last_transition_time.0);
    let lasts = since.map_or_else(String::new, |since| {
        format!(" for {} (since {})", span(between(since, now)), time(since, now))
    });
    parts.push(if is_full {
        format!("full margin, not all nodes are whole{lasts}")
    } else {
        format!("below full margin{lasts}")
    });
    if let Some(done) = completion(status) {
        let left = span(between(now, done));
        parts.push(format!("full again in ~{left} ({})", time(done, now)));
    }
    parts.join(" · ")
}

fn completion(status: &CommitteeStatus) -> Option<Timestamp> {
    status.repair.as_ref()?.estimated_completion_time.as_ref().map(|time| time.0)
}

fn survives(committee: &Committee, status: &CommitteeStatus) -> Option<String> {
    let survives = status.survives.as_ref()?;
    let losses = |losses: Losses| {
        let mut text = plural(losses.nodes.into(), "node");
        if losses.zones > 0 {
            text = format!("{text} or {}", plural(losses.zones.into(), "zone"));
        }
        text
    };
    let margin = status.margin.map_or_else(|| "none".to_owned(), |margin| margin.to_string());
    Some(format!(
        "data {} · writes {} · worst: margin {margin} of {}",
        losses(survives.data),
        losses(survives.writes),
        full_margin(committee)
    ))
}

fn members(nodes: &[StorageNode], now: Timestamp, verbose: bool) -> String {
    let shown: Vec<&StorageNode> = nodes.iter().filter(|node| verbose || !is_whole(node)).collect();
    let hidden = nodes.len().saturating_sub(shown.len());
    let whole = plural(hidden as u64, "whole node");
    if shown.is_empty() {
        return format!("NODES     {whole} (-v shows them)");
    }
    let rows = shown.iter().map(|node| row(node, now));
    let table = table(&["NODE", "ZONE", "HOST", "READY", "SHARDS", "HELD", "REPAIR"], rows);
    if hidden == 0 { table } else { format!("{table}\n({whole} hidden, -v)") }
}

fn row(node: &StorageNode, now: Timestamp) -> Vec<String> {
    let status = node.status.clone().unwrap_or_default();
    let dash = |text: Option<String>| text.filter(|it| !it.is_empty()).unwrap_or("-".to_owned());
    let ready = condition::get(&status.conditions, condition::READY);
    vec![
        node.name_any(),
        dash(status.zone.clone()),
        dash(status.node_name.clone()),
        ready.map_or_else(|| "Unknown".to_owned(), |it| it.status.clone()),
        dash(status.shards.as_ref().map(|shards| shards.owned.clone())),
        dash(status.slivers.map(|slivers| format!("{}%", slivers.held_percent))),
        doing(&status, ready, now),
    ]
}

/// What is with a node: why it does not serve, or how far its repair is.
fn doing(status: &StorageNodeStatus, ready: Option<&Condition>, now: Timestamp) -> String {
    if let Some(ready) = ready.filter(|it| it.status != "True") {
        let since = time(ready.last_transition_time.0, now);
        return match ready.message.as_str() {
            "" => format!("{} since {since}", ready.reason),
            message => format!("{} since {since}: {message}", ready.reason),
        };
    }
    let Some(repair) = status.repair.as_ref().filter(|it| it.remaining_bytes > 0) else {
        let repairing = condition::get(&status.conditions, condition::REPAIR_IN_PROGRESS);
        let repairing = repairing.filter(|it| it.status == "True" && !it.message.is_empty());
        return repairing.map_or_else(|| "-".to_owned(), |it| it.message.clone());
    };
    let mut parts = vec![format!("{} missing", size(repair.remaining_bytes))];
    if let Some(done) = &repair.estimated_completion_time {
        parts.push(format!("{} left", span(between(now, done.0))));
    }
    if let Some(job) = &repair.job_name {
        parts.push(format!("Job {job}"));
    }
    parts.join(", ")
}

fn repair(committee: &Committee, nodes: &[StorageNode], status: &CommitteeStatus) -> String {
    let remaining = status.repair.as_ref().map_or(0, |repair| repair.remaining_bytes);
    if remaining == 0 {
        return "nothing is missing".to_owned();
    }
    let repairs = || nodes.iter().filter_map(|node| node.status.as_ref()?.repair.as_ref());
    let read: u64 = repairs().map(|it| it.read_bytes).sum();
    let restored: u64 = repairs().map(|it| it.restored_bytes).sum();
    let mut parts = vec![format!("{} missing", size(remaining))];
    if restored > 0 {
        let hundredths = (u128::from(read) * 100).div_ceil(u128::from(restored));
        parts.push(format!("read/restored {}.{:02}", hundredths / 100, hundredths % 100));
    }
    let limit = &committee.spec.repair.max_bytes_per_second.0;
    parts.push(format!("limit {limit}/s per node (spec.repair.maxBytesPerSecond), readers first"));
    parts.join(" · ")
}

fn blocked(status: &CommitteeStatus) -> String {
    let types = [condition::STALLED, condition::REPAIR_BLOCKED, condition::PAUSED];
    let said = types.iter().filter_map(|type_| condition::get(&status.conditions, type_));
    let texts: Vec<String> = said
        .filter(|it| it.status == "True")
        .map(|it| format!("{}: {}", it.reason, it.message))
        .collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join("; ") }
}

fn drains(status: &CommitteeStatus, nodes: &[StorageNode]) -> String {
    let blocked = nodes.iter().find_map(|node| {
        let conditions = node.status.as_ref()?.conditions.as_slice();
        condition::get(conditions, condition::DRAIN_BLOCKED).filter(|it| it.status == "True")
    });
    match (status.disruptions_allowed, blocked) {
        (_, Some(blocked)) => format!("locked: {}", blocked.message),
        (Some(0), None) => "locked: no pod may be evicted now".to_owned(),
        (Some(pods), None) => format!("{} may be evicted", plural(pods.into(), "pod")),
        (None, None) => "not held back".to_owned(),
    }
}

fn advice(status: &CommitteeStatus, nodes: &[StorageNode], verdict: Verdict) -> String {
    let away: Vec<String> = nodes
        .iter()
        .filter(|node| {
            let conditions = node.status.as_ref().map(|it| it.conditions.as_slice());
            !condition::is_true(conditions.unwrap_or_default(), condition::READY)
        })
        .map(ResourceExt::name_any)
        .collect();
    let bring_back = match away.as_slice() {
        [] => "let what runs go on".to_owned(),
        away => format!("bring back {}", away.join(" or ")),
    };
    let is_blocked = condition::is_true(&status.conditions, condition::REPAIR_BLOCKED);
    match verdict {
        Verdict::Full => "nothing".to_owned(),
        Verdict::Healing => "nothing, it heals by itself".to_owned(),
        Verdict::AtRisk if status.margin == Some(0) => format!("{bring_back} first"),
        Verdict::AtRisk if is_blocked => format!("{bring_back}, or add what BLOCKED asks for"),
        Verdict::AtRisk => "mend what BLOCKED says".to_owned(),
        Verdict::Unreadable => format!("{bring_back}; recover volumes, do not replace them"),
        Verdict::Unknown => "see that the operator runs, and its log".to_owned(),
    }
}
