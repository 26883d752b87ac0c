//! What commands print on standard output.

use std::io::Write as _;

pub(crate) use floe_kubectl::text::size;
use serde_json::Value;

/// One line.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

/// JSON, indented.
pub(crate) fn json(value: &Value) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// A member that is text; empty if it is not there.
pub(crate) fn text(value: &Value, member: &str) -> String {
    value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A member that is a number; 0 if it is not there.
pub(crate) fn number(value: &Value, member: &str) -> u64 {
    value.get(member).and_then(Value::as_u64).unwrap_or_default()
}

/// A table with left-aligned columns.
pub(crate) fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> anyhow::Result<()> {
    line(&floe_kubectl::text::table(head, rows))
}

/// The members of an object, one a line.
pub(crate) fn fields(value: &Value) -> anyhow::Result<()> {
    for (member, value) in value.as_object().into_iter().flatten() {
        let shown = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        line(&format!("{member:16} {shown}"))?;
    }
    Ok(())
}

/// A committee's status.
pub(crate) fn committee(status: &Value) -> anyhow::Result<()> {
    line(&format!(
        "COMMITTEE {} · epoch {} · {} shards, f = {}{}",
        text(status, "committee"),
        number(status, "epoch"),
        number(status, "shards"),
        number(status, "faulty"),
        if status["forced"] == true { " · forced" } else { "" },
    ))?;
    line(&format!("VERDICT   {}", text(status, "verdict")))?;
    line(&format!("SURVIVES  {}", text(status, "survives")))?;
    line(&format!("UNFILLED  {}", joined(&status["unfilled"])))?;
    line(&format!("REPAIR    {}", repair(&status["repair"])))?;
    let blocked = status["blocked"].as_array().map(Vec::as_slice).unwrap_or_default();
    let blocked: Vec<&str> = blocked.iter().filter_map(Value::as_str).collect();
    let blocked = if blocked.is_empty() { "nothing".to_owned() } else { blocked.join("; ") };
    line(&format!("BLOCKED   {blocked}"))?;
    let nodes = status.get("nodes").and_then(Value::as_array).cloned().unwrap_or_default();
    let rows = nodes.iter().map(|node| {
        vec![
            text(node, "node"),
            number(node, "incarnation").to_string(),
            text(node, "state"),
            number(node, "shards").to_string(),
            joined(&node["unfilled"]),
            format!("{}/{}", number(node, "sliversHeld"), number(node, "sliversOwed")),
            size(number(node, "bytesHeld")),
            text(node, "repair"),
            text(node, "detail"),
        ]
    });
    let head =
        ["NODE", "INCARNATION", "STATE", "SHARDS", "UNFILLED", "HELD/OWED", "BYTES", "REPAIR", ""];
    table(&head, rows)
}

/// What is left to restore, and for how long.
fn repair(repair: &Value) -> String {
    let slivers = number(repair, "slivers");
    if slivers == 0 {
        return "nothing to do".to_owned();
    }
    let (left, rate) = (size(number(repair, "bytes")), size(number(repair, "bytesPerSecond")));
    let eta = repair["etaSeconds"].as_u64().map(|seconds| format!(" · ~{seconds} s left"));
    format!("{slivers} slivers, {left} · {rate}/s{}", eta.unwrap_or_default())
}

/// Shards in a cell; `-` for none.
pub(crate) fn joined(shards: &Value) -> String {
    let shards = shards.as_array().map(Vec::as_slice).unwrap_or_default();
    let shards: Vec<String> = shards.iter().map(ToString::to_string).collect();
    if shards.is_empty() { "-".to_owned() } else { shards.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_restore() {
        let json = serde_json::json!({"slivers": 3, "bytes": 2048, "bytesPerSecond": 1024, "etaSeconds": 2});
        assert_eq!(repair(&json), "3 slivers, 2.0 KiB · 1.0 KiB/s · ~2 s left");
        let stuck = serde_json::json!({"slivers": 3, "bytes": 2048, "bytesPerSecond": 0, "etaSeconds": null});
        assert_eq!(repair(&stuck), "3 slivers, 2.0 KiB · 0 B/s");
        assert_eq!(repair(&serde_json::json!({"slivers": 0})), "nothing to do");
    }
}
