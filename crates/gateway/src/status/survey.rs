//! What the reports of all nodes amount to: pure.

use std::sync::Arc;

use floe_api::report::{NodeReport, ServingState};
use floe_model::{
    CommitteeId, EpochNumber, EpochRecord, Member, NodeName, RecordHash, ShardIndex, Survives,
    Threshold, survives,
};
use serde::Serialize;

/// The committee as the chain says it is.
pub(super) struct Chain {
    /// The record in force.
    pub(super) record: Arc<EpochRecord>,
    /// The highest number that a node named.
    pub(super) named: EpochNumber,
    /// Shard by shard the position of the member that holds what is owed on it: its owner, or while
    /// it moves the owner before; nobody while it is to be rebuilt.
    pub(super) holders: Vec<Option<usize>>,
}

/// The answer of `GET /v1/status`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommitteeStatus {
    committee: CommitteeId,
    epoch: u64,
    epoch_hash: RecordHash,
    forced: bool,
    shards: u16,
    faulty: u16,
    unfilled: Vec<ShardIndex>,
    verdict: String,
    /// The margins in a line.
    survives: String,
    margins: Margins,
    repair: Repair,
    /// What keeps something from going on by itself; empty if nothing does.
    blocked: Vec<String>,
    nodes: Vec<NodeStatus>,
}

/// What may be lost, the heaviest first; `null` where too much is lost already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Margins {
    /// Before some blob cannot be read any more, nodes that are away not counted as lost.
    data: Option<Margin>,
    /// Before some blob cannot be read now.
    reads: Option<Margin>,
    /// Before names are neither resolved nor written.
    writes: Option<Margin>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Margin {
    shards: usize,
    nodes: usize,
    hosts: usize,
}

impl From<Survives> for Margin {
    fn from(Survives { shards, nodes, hosts }: Survives) -> Self {
        Self { shards, nodes, hosts }
    }
}

/// What is left to restore.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Repair {
    slivers: u64,
    bytes: u64,
    bytes_per_second: u64,
    /// At the present rate of the slowest node; `null` if nothing is left, or nothing moves.
    eta_seconds: Option<u64>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeStatus {
    node: NodeName,
    incarnation: u32,
    address: String,
    host: String,
    zone: String,
    state: ServingWord,
    /// The number of the record that it accepted last.
    epoch: Option<u64>,
    shards: usize,
    unfilled: Vec<ShardIndex>,
    slivers_owed: u64,
    slivers_held: u64,
    bytes_held: u64,
    repair: String,
    eta_seconds: Option<u64>,
    detail: String,
}

/// A node's state in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum ServingWord {
    Away,
    Joining,
    Checking,
    Serving,
    Refusing,
    Stopping,
}

impl From<ServingState> for ServingWord {
    fn from(state: ServingState) -> Self {
        match state {
            ServingState::Joining => Self::Joining,
            ServingState::Checking => Self::Checking,
            ServingState::Serving => Self::Serving,
            ServingState::Refusing => Self::Refusing,
            ServingState::Stopping => Self::Stopping,
        }
    }
}

/// Sums up the reports, in the order of the record's members.
pub(super) fn survey(chain: &Chain, reports: &[Result<NodeReport, String>]) -> CommitteeStatus {
    let record = &chain.record;
    let members = record.members.iter().zip(reports);
    let nodes: Vec<NodeStatus> =
        members.map(|(member, report)| node(record, member, report.as_ref())).collect();
    let margins = margins(chain, &nodes);
    CommitteeStatus {
        committee: record.committee,
        epoch: record.number.0,
        epoch_hash: record.hash(),
        forced: record.forced,
        shards: record.geometry.shards(),
        faulty: record.geometry.faulty(),
        unfilled: record.unfilled.clone(),
        verdict: verdict(record, margins, &nodes),
        survives: line(margins),
        margins,
        repair: repair(&nodes, reports),
        blocked: blocked(chain, &nodes),
        nodes,
    }
}

fn node(record: &EpochRecord, member: &Member, report: Result<&NodeReport, &String>) -> NodeStatus {
    let is_unfilled = |shard: &&ShardIndex| record.unfilled.contains(shard);
    let mut status = NodeStatus {
        node: member.node.clone(),
        incarnation: member.incarnation.0,
        address: member.address.clone(),
        host: member.host.clone(),
        zone: member.zone.clone(),
        state: ServingWord::Away,
        epoch: None,
        shards: member.shards.len(),
        unfilled: member.shards.iter().filter(is_unfilled).copied().collect(),
        slivers_owed: 0,
        slivers_held: 0,
        bytes_held: 0,
        repair: "-".to_owned(),
        eta_seconds: None,
        detail: String::new(),
    };
    match report {
        Err(error) => status.detail.clone_from(error),
        Ok(report) => {
            status.state = report.serving.state.into();
            status.epoch = report.epoch.map(|epoch| epoch.number.0);
            status.detail.clone_from(&report.serving.reason);
            status.slivers_owed = report.slivers.owed;
            status.slivers_held = report.slivers.held;
            status.bytes_held = report.held_bytes;
            status.eta_seconds = eta(report);
            status.repair = repair_words(&status);
        }
    }
    status
}

impl NodeStatus {
    fn serves(&self) -> bool {
        self.state == ServingWord::Serving
    }

    const fn missing(&self) -> u64 {
        self.slivers_owed.saturating_sub(self.slivers_held)
    }
}

/// Seconds until a node has what it lacks, at the rate of the last minute.
fn eta(report: &NodeReport) -> Option<u64> {
    let lacks = report.slivers.owed > report.slivers.held;
    report.repair.eta_seconds.filter(|_| lacks)
}

/// Bytes that a node is to restore: what it repairs itself, or what jobs do for its unfilled shards.
fn missing_bytes(report: &NodeReport) -> u64 {
    let deficit = report.unfilled.iter().map(|it| it.owed_bytes.saturating_sub(it.held_bytes));
    report.repair.queued_bytes.max(deficit.sum())
}

fn repair_words(node: &NodeStatus) -> String {
    match (node.missing(), node.eta_seconds) {
        (0, _) if node.unfilled.is_empty() => "-".to_owned(),
        (0, _) => "holds all it owes, about to be whole".to_owned(),
        (missing, None) => format!("{missing} slivers"),
        (missing, Some(seconds)) => format!("{missing} slivers, ~{seconds} s left"),
    }
}

fn repair(nodes: &[NodeStatus], reports: &[Result<NodeReport, String>]) -> Repair {
    let mut sum = Repair::default();
    for report in reports.iter().flatten() {
        sum.bytes += missing_bytes(report);
        sum.bytes_per_second += report.repair.restored_bytes_per_second;
    }
    let lacking = || nodes.iter().filter(|node| node.missing() > 0);
    sum.slivers = lacking().map(NodeStatus::missing).sum();
    let all_move = lacking().all(|node| node.eta_seconds.is_some());
    sum.eta_seconds = lacking().filter_map(|node| node.eta_seconds).max().filter(|_| all_move);
    sum
}

fn margins(chain: &Chain, nodes: &[NodeStatus]) -> Margins {
    let record = &chain.record;
    let is = |position: usize, what: fn(&NodeStatus) -> bool| nodes.get(position).is_some_and(what);
    let held = |what: fn(&NodeStatus) -> bool| {
        let held = chain.holders.iter().map(|holder| holder.filter(|&at| is(at, what)));
        held.collect::<Vec<_>>()
    };
    let serving: Vec<Option<usize>> = (0..record.geometry.shards())
        .map(|shard| record.owner(ShardIndex(shard)).filter(|&at| is(at, NodeStatus::serves)))
        .collect();
    let margin = |holders: &[Option<usize>], threshold| {
        survives(record, holders, threshold).map(Margin::from)
    };
    Margins {
        data: margin(&held(|node| node.missing() == 0), Threshold::Decoding),
        reads: margin(&held(|node| node.missing() == 0 && node.serves()), Threshold::Decoding),
        writes: margin(&serving, Threshold::Correct),
    }
}

fn line(margins: Margins) -> String {
    let count = |count: usize, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {what}{plural}")
    };
    let shown = |margin: Option<Margin>| match margin {
        None => "no longer".to_owned(),
        Some(Margin { nodes, hosts, .. }) if nodes == hosts => count(nodes, "node"),
        Some(Margin { nodes, hosts, .. }) => {
            format!("{} or {}", count(nodes, "node"), count(hosts, "host"))
        }
    };
    let now = if margins.reads == margins.data {
        String::new()
    } else {
        format!(" (serving now: {})", shown(margins.reads))
    };
    format!("data {}{now} · names and writes {}", shown(margins.data), shown(margins.writes))
}

fn verdict(record: &EpochRecord, margins: Margins, nodes: &[NodeStatus]) -> String {
    let serving: usize = nodes.iter().filter(|node| node.serves()).map(|node| node.shards).sum();
    let need = |threshold: Threshold| threshold.shards(record.geometry);
    if serving < need(Threshold::Decoding) {
        let need = need(Threshold::Decoding);
        return format!(
            "nothing can be read: {serving} shards serve, decoding needs {need}; start nodes, \
             replace none"
        );
    }
    let safe = if margins.data.is_some() { "data safe" } else { "some blobs may not be readable" };
    if margins.writes.is_none() {
        let need = need(Threshold::Correct);
        return format!(
            "{safe}, but names cannot be resolved nor written: {serving} shards serve, {need} are \
             needed; start nodes"
        );
    }
    let away = nodes.iter().filter(|node| !node.serves()).count();
    if away > 0 {
        return format!("{safe}; {away} of {} nodes do not serve", nodes.len());
    }
    match nodes.iter().map(NodeStatus::missing).sum::<u64>() {
        0 if record.unfilled.is_empty() => "data safe, every node holds what it owes".to_owned(),
        0 => format!("{safe}, {} shards are about to be whole", record.unfilled.len()),
        missing => format!("{safe}, healing: {missing} slivers are missing"),
    }
}

fn blocked(chain: &Chain, nodes: &[NodeStatus]) -> Vec<String> {
    let (record, mut blocked) = (&chain.record, Vec::new());
    if chain.named > record.number {
        blocked.push(format!(
            "epoch {} is accepted by some nodes and not committed: it needs {} shards of epoch {}",
            chain.named,
            Threshold::Correct.shards(record.geometry),
            record.number
        ));
    }
    let faulty = usize::from(record.geometry.faulty());
    if record.unfilled.len() >= faulty {
        blocked.push(format!(
            "{} shards are unfilled, as many as may be: no further node is replaced and no shard \
             moves before one is whole",
            record.unfilled.len()
        ));
    }
    for node in nodes {
        if !node.serves() && !node.unfilled.is_empty() {
            let (name, count) = (&node.node, node.unfilled.len());
            blocked.push(format!("{name} does not serve and is to fill {count} shards: start it"));
        }
        if let Some(epoch) = node.epoch.filter(|epoch| *epoch < record.number.0) {
            let (name, newest) = (&node.node, record.number);
            blocked.push(format!("{name} is in epoch {epoch}, {newest} is in force"));
        }
        if node.state == ServingWord::Refusing {
            blocked.push(format!("{} refuses: {}", node.node, node.detail));
        }
    }
    blocked
}

#[cfg(test)]
mod tests;
