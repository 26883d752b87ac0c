//! What `floe committee status` shows: the chain, and the nodes by their own word.

use floe_model::{EpochRecord, Member, ShardIndex};
use floe_steward::Pass;
use floe_steward::loss::Standing;
use serde_json::{Value, json};

use crate::report::{joined, line, number, size, table, text};
use crate::stewarding::describe;

/// As JSON.
pub(crate) fn json(pass: &Pass) -> Value {
    let blocked = describe(&pass.outcome);
    let Some((hash, record)) = &pass.record else { return json!({ "blocked": blocked }) };
    let nodes: Vec<Value> = record.members.iter().map(|it| node(pass, record, it)).collect();
    json!({
        "committee": record.committee.to_string(),
        "epoch": record.number.0,
        "record": hash.to_string(),
        "forced": record.forced,
        "shards": record.geometry.shards(),
        "faulty": record.geometry.faulty(),
        "unfilled": numbers(&record.unfilled),
        "blocked": blocked,
        "nodes": nodes,
    })
}

fn node(pass: &Pass, record: &EpochRecord, member: &Member) -> Value {
    let standing = pass.standings.get(&(member.node.clone(), member.incarnation));
    let (state, detail) = match standing {
        Some(Standing::Present) => ("present", ""),
        Some(Standing::Away { reason, .. }) => ("away", reason.as_str()),
        Some(Standing::Lost { reason, .. }) => ("lost", reason.as_str()),
        None => ("unknown", ""),
    };
    let unfilled = member.shards.iter().filter(|shard| record.unfilled.contains(shard));
    let unfilled: Vec<ShardIndex> = unfilled.copied().collect();
    let report = pass.reports.get(&member.node);
    json!({
        "node": member.node.as_str(),
        "incarnation": member.incarnation.0,
        "address": member.address,
        "zone": member.zone,
        "host": member.host,
        "state": state,
        "detail": detail,
        "shards": numbers(&member.shards),
        "unfilled": numbers(&unfilled),
        "sliversHeld": report.map(|report| report.slivers.held),
        "sliversOwed": report.map(|report| report.slivers.owed),
        "bytesHeld": report.map(|report| report.held_bytes),
    })
}

fn numbers(shards: &[ShardIndex]) -> Vec<u16> {
    shards.iter().map(|shard| shard.0).collect()
}

/// For people.
pub(crate) fn show(pass: &Pass) -> anyhow::Result<()> {
    let chain = json(pass);
    let blocked = text(&chain, "blocked");
    let blocked = if blocked.is_empty() { "nothing" } else { &blocked };
    if pass.record.is_none() {
        return line(&format!("BLOCKED   {blocked}"));
    }
    line(&format!(
        "COMMITTEE {} · epoch {} · {} shards, f = {}{}",
        text(&chain, "committee"),
        number(&chain, "epoch"),
        number(&chain, "shards"),
        number(&chain, "faulty"),
        if chain["forced"] == true { " · forced" } else { "" }
    ))?;
    line(&format!("RECORD    {}", text(&chain, "record")))?;
    line(&format!("UNFILLED  {}", joined(&chain["unfilled"])))?;
    line(&format!("BLOCKED   {blocked}"))?;
    let nodes = chain["nodes"].as_array().cloned().unwrap_or_default();
    let rows = nodes.iter().map(|node| {
        let held = match node["sliversOwed"].as_u64() {
            Some(owed) => format!("{}/{owed}", number(node, "sliversHeld")),
            None => "-".to_owned(),
        };
        vec![
            text(node, "node"),
            number(node, "incarnation").to_string(),
            text(node, "state"),
            joined(&node["shards"]),
            joined(&node["unfilled"]),
            held,
            size(number(node, "bytesHeld")),
            text(node, "detail"),
        ]
    });
    let head = ["NODE", "INCARNATION", "STATE", "SHARDS", "UNFILLED", "HELD/OWED", "BYTES", ""];
    table(&head, rows)
}
