//! A committee with a steward, watched by what `floe committee status` tells, until a deadline.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::bench::drive::Drive;

/// Between two looks at the chain.
const LOOK: Duration = Duration::from_millis(100);

/// What `floe committee status --json` tells.
#[derive(Debug, Deserialize)]
pub(super) struct Chain {
    /// The newest committed record's number.
    pub(super) epoch: u64,
    /// Shards that are not whole.
    pub(super) unfilled: Vec<u16>,
    /// What the steward waits for; empty if for nothing.
    pub(super) blocked: String,
    /// The members.
    pub(super) nodes: Vec<Node>,
}

/// A member.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    /// Its name.
    #[serde(rename = "node")]
    pub(super) name: String,
    /// Of the volume that the record names.
    pub(super) incarnation: u64,
    /// `present`, `away`, `lost`, `unknown`.
    pub(super) state: String,
    /// Its shards.
    pub(super) shards: Vec<u16>,
    /// Those of them that are not whole.
    pub(super) unfilled: Vec<u16>,
    slivers_held: Option<u64>,
    slivers_owed: Option<u64>,
    bytes_held: Option<u64>,
}

impl Node {
    /// Bytes of slivers.
    pub(super) fn bytes_held(&self) -> u64 {
        self.bytes_held.unwrap_or_default()
    }

    /// Slivers that it owes for each of its shards, if it holds them all.
    fn whole_shards(&self) -> Option<u64> {
        let owed = self.slivers_owed.filter(|owed| self.slivers_held == Some(*owed))?;
        owed.checked_div(self.shards.len() as u64)
    }
}

impl Chain {
    /// A member; an error with its name if it is none.
    pub(super) fn node(&self, name: &str) -> Result<&Node, String> {
        self.nodes.iter().find(|it| it.name == name).ok_or_else(|| format!("{name} is no member"))
    }

    /// Whether all nodes know of the same blobs and hold what they owe of them.
    pub(super) fn all_hold_all(&self) -> Result<(), String> {
        let first = self.nodes.first().and_then(Node::whole_shards);
        let behind = self.nodes.iter().find(|it| it.whole_shards() != first || first.is_none());
        behind.map_or(Ok(()), |node| {
            let (held, owed) = (node.slivers_held, node.slivers_owed);
            Err(format!("{} holds {held:?} of {owed:?} slivers", node.name))
        })
    }

    /// Whether every shard is whole and the steward has nothing more to do.
    pub(super) fn is_settled(&self) -> Result<(), String> {
        if self.unfilled.is_empty() && self.blocked.is_empty() {
            return Ok(());
        }
        let (epoch, unfilled, blocked) = (self.epoch, &self.unfilled, &self.blocked);
        Err(format!("epoch {epoch}, shards {unfilled:?} are not whole; blocked: {blocked:?}"))
    }
}

/// A committee with blobs.
pub(super) struct Scene<'a> {
    /// Its processes and clients.
    pub(super) drive: &'a Drive<'a>,
    /// What it is called in the tables.
    pub(super) name: String,
    end: Instant,
}

impl<'a> Scene<'a> {
    /// Starts the steward. Nothing that is waited for may take longer than to the deadline.
    pub(super) fn set(
        drive: &'a Drive<'a>,
        name: String,
        deadline: Duration,
    ) -> anyhow::Result<Self> {
        let mut steward = drive.committee.command(&["committee", "steward", "--dir"]);
        steward.arg(drive.committee.directory());
        drive.stage.start("steward", steward)?;
        Ok(Self { drive, name, end: Instant::now() + deadline })
    }

    /// What is left until the deadline.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// The chain as it is now.
    pub(super) fn chain(&self) -> anyhow::Result<Chain> {
        let chain = self.drive.committee.chain()?;
        let text = chain.to_string();
        serde_json::from_value(chain)
            .with_context(|| format!("the status tells too little: {text}"))
    }

    /// Waits until the chain is such; after the deadline an error with what is missing.
    pub(super) fn wait<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&Chain) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        loop {
            self.drive.stage.all_run()?;
            let missing = match self.chain() {
                Ok(chain) => match look(&chain) {
                    Ok(found) => return Ok(found),
                    Err(missing) => missing,
                },
                Err(error) => format!("{error:#}"),
            };
            if self.left().is_zero() {
                bail!("{}: the deadline has passed before {what}: {missing}", self.name);
            }
            thread::sleep(LOOK);
        }
    }

    /// `floe committee` with these words.
    pub(super) fn manage(&self, words: &[&str]) -> anyhow::Result<()> {
        let mut command: Command = self.drive.committee.command(&["committee"]);
        command.args(words).arg("--dir").arg(self.drive.committee.directory());
        let output = command.stdin(Stdio::null()).output().context("start floe committee")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "floe committee {words:?} failed: {}", said.trim());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(held: u64) -> Chain {
        let node = |name: &str, shards: &[u16], held: u64, owed: u64| {
            serde_json::json!({
                "node": name, "incarnation": 0, "state": "present", "shards": shards,
                "unfilled": [], "sliversHeld": held, "sliversOwed": owed, "bytesHeld": 7,
            })
        };
        let nodes = [node("node-0", &[0, 2], 8, 8), node("node-1", &[1], held, 4)];
        let chain = serde_json::json!({
            "epoch": 3, "unfilled": [1], "blocked": "", "nodes": nodes, "forced": false
        });
        serde_json::from_value(chain).unwrap()
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(chain(4).all_hold_all(), Ok(()));
        let missing = chain(3).all_hold_all().unwrap_err();
        assert_eq!(missing, "node-1 holds Some(3) of Some(4) slivers");
        assert!(chain(4).is_settled().unwrap_err().contains("shards [1] are not whole"));
        assert_eq!(chain(4).node("node-7").unwrap_err(), "node-7 is no member");
    }
}
