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
        return format!("reads are stopped: {have} shards serve, reads need {need}; start nodes");
    }
    if !up.reaches(Threshold::Correct) {
        let (have, need) = (up.shards(), need(Threshold::Correct));
        return format!("writes are stopped: {have} shards serve, writes need {need}; reads go on");
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

/// How many more nodes may stop, the heaviest first. Data: of what every node holds.
fn survives(record: &EpochRecord, serving: &[usize]) -> String {
    let data = losses(record, serving, Threshold::Decoding);
    let writes = losses(record, serving, Threshold::Correct);
    let shown = |count: Option<usize>| count.map_or("stopped".to_owned(), |n| format!("{n} nodes"));
    format!("reads {} · writes {}", shown(data), shown(writes))
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
