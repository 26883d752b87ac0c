//! The committee as its nodes report it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use floe_api::Target;
use floe_api::report::{NodeReport, ServingState};
use floe_model::{CommitteeId, EpochRecord, Member, NodeName, Tally, Threshold};
use futures::future::join_all;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::app::{App, json};
use crate::problem::Problem;

/// The answer of `GET /v1/status`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct CommitteeStatus {
    committee: CommitteeId,
    epoch: u64,
    shards: u16,
    faulty: u16,
    verdict: String,
    survives: String,
    nodes: Vec<NodeStatus>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeStatus {
    node: NodeName,
    incarnation: u32,
    address: String,
    state: ServingWord,
    shards: usize,
    slivers_owed: u64,
    slivers_held: u64,
    bytes_held: u64,
    repair: String,
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

/// `GET /v1/status`: for everyone whose token is accepted; it names no blob.
pub(crate) async fn committee(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.user(&headers).await?;
    let record = app.client.committee().newest();
    let asked = record.members.iter().map(async |member| {
        let target = Target {
            node: member.node.clone(),
            incarnation: member.incarnation,
            address: member.address.clone(),
        };
        app.nodes
            .report(&target)
            .await
            .map(|answer| answer.value)
            .map_err(|error| error.to_string())
    });
    let reports = join_all(asked).await;
    Ok(json(StatusCode::OK, &summary(&record, &reports)))
}

fn summary(record: &EpochRecord, reports: &[Result<NodeReport, String>]) -> CommitteeStatus {
    let nodes: Vec<NodeStatus> = record
        .members
        .iter()
        .zip(reports)
        .map(|(member, report)| node(member, report.as_ref()))
        .collect();
    let serving: Vec<usize> = (0..nodes.len())
        .filter(|&position| {
            nodes.get(position).is_some_and(|node| node.state == ServingWord::Serving)
        })
        .collect();
    CommitteeStatus {
        committee: record.committee,
        epoch: record.number.0,
        shards: record.geometry.shards(),
        faulty: record.geometry.faulty(),
        verdict: verdict(record, &serving, &nodes),
        survives: survives(record, &serving),
        nodes,
    }
}

fn node(member: &Member, report: Result<&NodeReport, &String>) -> NodeStatus {
    let mut status = NodeStatus {
        node: member.node.clone(),
        incarnation: member.incarnation.0,
        address: member.address.clone(),
        state: ServingWord::Away,
        shards: member.shards.len(),
        slivers_owed: 0,
        slivers_held: 0,
        bytes_held: 0,
        repair: "-".to_owned(),
        detail: String::new(),
    };
    match report {
        Err(error) => status.detail.clone_from(error),
        Ok(report) => {
            status.state = match report.serving.state {
                ServingState::Joining => ServingWord::Joining,
                ServingState::Checking => ServingWord::Checking,
                ServingState::Serving => ServingWord::Serving,
                ServingState::Refusing => ServingWord::Refusing,
                ServingState::Stopping => ServingWord::Stopping,
            };
            status.detail.clone_from(&report.serving.reason);
            status.slivers_owed = report.slivers.owed;
            status.slivers_held = report.slivers.held;
            status.bytes_held = report.held_bytes;
            status.repair = repair(report);
        }
    }
    status
}

/// What is left to rebuild, and how long at the present rate.
fn repair(report: &NodeReport) -> String {
    let missing = report.slivers.owed.saturating_sub(report.slivers.held);
    if missing == 0 {
        return "-".to_owned();
    }
    let rate = report.repair.restored_bytes_per_second;
    match report.repair.queued_bytes.checked_div(rate) {
        Some(seconds) => format!("{missing} slivers, ~{seconds} s left"),
        None => format!("{missing} slivers"),
    }
}

fn verdict(record: &EpochRecord, serving: &[usize], nodes: &[NodeStatus]) -> String {
    let up = Tally::of(record, serving.iter().copied());
    let missing: u64 =
        nodes.iter().map(|node| node.slivers_owed.saturating_sub(node.slivers_held)).sum();
    let need = |threshold: Threshold| threshold.shards(record.geometry);
    if !up.reaches(Threshold::Decoding) {
        let (have, need) = (up.shards(), need(Threshold::Decoding));
        return format!(
            "nothing can be read: {have} shards serve, decoding needs {need}; start nodes, replace none"
        );
    }
    if !up.reaches(Threshold::Correct) {
        let (have, need) = (up.shards(), need(Threshold::Correct));
        return format!(
            "data safe, but names cannot be resolved nor written: {have} shards serve, {need} are \
             needed; start nodes"
        );
    }
    if serving.len() < nodes.len() {
        let away = nodes.len() - serving.len();
        return format!("data safe; {away} of {} nodes do not serve", nodes.len());
    }
    match missing {
        0 => "data safe, every node holds what it owes".to_owned(),
        missing => format!("data safe, healing: {missing} slivers are missing"),
    }
}

/// How many more nodes may stop, the heaviest first: before blobs that every node holds cannot be
/// decoded, and before names are neither resolved nor written.
fn survives(record: &EpochRecord, serving: &[usize]) -> String {
    let data = losses(record, serving, Threshold::Decoding);
    let service = losses(record, serving, Threshold::Correct);
    let shown = |count: Option<usize>| match count {
        None => "no longer".to_owned(),
        Some(1) => "1 node".to_owned(),
        Some(count) => format!("{count} nodes"),
    };
    format!("data {} · reads and writes {}", shown(data), shown(service))
}

fn losses(record: &EpochRecord, serving: &[usize], threshold: Threshold) -> Option<usize> {
    let weight = |position: &usize| record.members.get(*position).map_or(0, |m| m.shards.len());
    let mut left: Vec<usize> = serving.to_vec();
    left.sort_by_key(weight);
    let mut lost: Option<usize> = None;
    let enough = |left: &[usize]| {
        let counted: BTreeSet<usize> = left.iter().copied().collect();
        Tally::of(record, counted).reaches(threshold)
    };
    while enough(&left) {
        lost = Some(lost.map_or(0, |count| count + 1));
        if left.pop().is_none() {
            break;
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use floe_model::keys::NodeKey;
    use floe_model::record::{NO_PARENT, Policy};
    use floe_model::{EpochNumber, Geometry, Incarnation, ShardIndex, VolumeId};

    use super::*;

    /// n = 10 on seven nodes: three with two shards, four with one.
    fn record() -> EpochRecord {
        let key = NodeKey::generate(&[1; 32]).unwrap();
        let members = (0..7_u16).map(|node| Member {
            node: format!("node-{node}").parse().unwrap(),
            incarnation: Incarnation(0),
            volume: VolumeId([0; 16]),
            address: String::new(),
            zone: String::new(),
            host: String::new(),
            key: key.public(),
            possession: key.prove_possession(b""),
            shards: (node..10).step_by(7).map(ShardIndex).collect(),
        });
        EpochRecord {
            committee: CommitteeId([0; 16]),
            number: EpochNumber(0),
            parent: NO_PARENT,
            forced: false,
            geometry: Geometry::of_shards(10).unwrap(),
            policy: Policy::default(),
            registrars: Vec::new(),
            members: members.collect(),
            unfilled: Vec::new(),
            wholes: Vec::new(),
        }
    }

    #[test]
    fn what_survives_follows_from_the_shards_that_serve() {
        let record = record();
        let table: [(&[usize], &str); 4] = [
            (&[0, 1, 2, 3, 4, 5, 6], "data 3 nodes · reads and writes 1 node"),
            (&[0, 1, 2, 3, 4, 5], "data 2 nodes · reads and writes 1 node"),
            (&[0, 3, 4, 5, 6], "data 1 node · reads and writes no longer"),
            (&[0, 3], "data no longer · reads and writes no longer"),
        ];
        for (serving, expected) in table {
            assert_eq!(survives(&record, serving), expected, "{serving:?}");
        }
    }

    #[test]
    fn a_silent_node_is_away_and_says_why() {
        let record = record();
        let reports = vec![Err("connection refused".to_owned()); 7];
        let status = summary(&record, &reports);
        assert!(status.verdict.starts_with("nothing can be read: 0 shards"), "{}", status.verdict);
        assert_eq!(status.nodes[3].state, ServingWord::Away);
        assert_eq!(status.nodes[3].detail, "connection refused");
    }
}
