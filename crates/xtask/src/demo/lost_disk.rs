//! Act 4: a disk is lost, its node's next incarnation joins, and what it owes is rebuilt.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::narration::{act, decimal, megabytes, rate, seconds, step};
use super::{MOST_READ_PER_RESTORED, Show};

/// What act 4 came to.
#[derive(Debug, Default)]
pub(super) struct Rebuilt {
    slivers: u64,
    read_bytes: u64,
    restored_bytes: u64,
    to_commit: Duration,
    to_whole: Duration,
    repair: Duration,
}

impl Show {
    pub(super) fn lose_a_disk(&mut self) -> anyhow::Result<()> {
        let node = self.parts.liar.clone();
        act("Act 4: the liar's disk is lost, and rebuilt elsewhere by itself");
        for dead in &self.parts.dead {
            self.committee.start_node(&self.stage, dead)?;
        }
        let mut steward = self.committee.command(&["committee", "steward", "--dir"]);
        steward.arg(self.committee.directory());
        self.stage.start("steward", steward)?;
        self.stage.kill(&node)?;
        let volume = self.committee.volume(&node);
        fs::remove_dir_all(&volume).with_context(|| format!("remove {}", volume.display()))?;
        let begin = Instant::now();
        self.replace(&node)?;
        let chain = self.wait_chain("the next incarnation is committed", |chain| {
            incarnation(chain, &node) == Some(1)
        })?;
        self.rebuilt.to_commit = begin.elapsed();
        let (epoch, unfilled) = (&chain["epoch"], &chain["unfilled"]);
        let took = seconds(self.rebuilt.to_commit);
        step(&format!("{node}-1 joined by epoch record {epoch}; unfilled {unfilled} ({took})"));
        self.repair(&node)?;
        let chain = self.wait_chain("the node is whole", |chain| {
            chain["unfilled"].as_array().is_some_and(Vec::is_empty)
        })?;
        self.rebuilt.to_whole = begin.elapsed();
        let took = seconds(self.rebuilt.to_whole);
        let claim =
            format!("{node} signed whole, epoch record {} carries it ({took})", chain["epoch"]);
        self.checks.check(chain["forced"] == false, &claim);
        self.wait_until_whole(&node)?;
        let read = u128::from(self.rebuilt.read_bytes) * 1000;
        let most = u128::from(self.rebuilt.restored_bytes) * MOST_READ_PER_RESTORED;
        let claim = format!("{} bytes read per byte restored", self.rebuilt.ratio());
        self.checks.check(read > 0 && read <= most, &claim);
        Ok(())
    }

    /// Gives a node its next incarnation, and starts it.
    pub(super) fn replace(&self, node: &str) -> anyhow::Result<()> {
        let mut replace = self.committee.command(&["committee", "replace", node, "--wait", "0"]);
        replace.arg("--dir").arg(self.committee.directory());
        let output = replace.output().context("start floe committee replace")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "floe committee replace failed: {}", said.trim());
        self.committee.start_node(&self.stage, node)
    }

    /// `floe repair`, with its own process and limits.
    fn repair(&mut self, node: &str) -> anyhow::Result<()> {
        let mut repair = self.committee.command(&["repair", "--json", "--node", node]);
        repair.arg("--dir").arg(self.committee.directory().join("repair"));
        repair.stderr(Stdio::inherit());
        let begin = Instant::now();
        let output = repair.output().context("start floe repair")?;
        ensure!(output.status.success(), "floe repair failed ({})", output.status);
        let said: Value =
            serde_json::from_slice(&output.stdout).context("floe repair printed no JSON")?;
        let number = |member: &str| said[member].as_u64().unwrap_or_default();
        self.rebuilt.slivers = number("slivers");
        self.rebuilt.read_bytes = number("readBytes");
        self.rebuilt.restored_bytes = number("restoredBytes");
        self.rebuilt.repair = begin.elapsed();
        let (slivers, took) = (self.rebuilt.slivers, seconds(self.rebuilt.repair));
        self.checks.check(slivers > 0, &format!("floe repair rebuilt {slivers} slivers ({took})"));
        Ok(())
    }

    /// Waits for what `floe committee status` tells.
    pub(super) fn wait_chain(
        &self,
        what: &str,
        such: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        const WITHIN: Duration = Duration::from_mins(2);
        let begin = Instant::now();
        loop {
            self.stage.all_run()?;
            let chain = self.committee.chain()?;
            if such(&chain) {
                return Ok(chain);
            }
            if begin.elapsed() > WITHIN {
                bail!("{what}: not within {} s: {chain}", WITHIN.as_secs());
            }
        }
    }
}

fn incarnation(chain: &Value, node: &str) -> Option<u64> {
    let nodes = chain["nodes"].as_array()?;
    nodes.iter().find(|it| it["node"] == node)?["incarnation"].as_u64()
}

impl Rebuilt {
    fn ratio(&self) -> String {
        decimal(u128::from(self.read_bytes), u128::from(self.restored_bytes), 3)
    }

    pub(super) fn rows(&self) -> Vec<[String; 3]> {
        let row = |what: &str, value: String, remark: String| [what.to_owned(), value, remark];
        vec![
            row("lost disk: slivers rebuilt", self.slivers.to_string(), String::new()),
            row("bytes restored", megabytes(self.restored_bytes), String::new()),
            row(
                "bytes read from peers",
                megabytes(self.read_bytes),
                format!("{} per byte restored", self.ratio()),
            ),
            row("lost to committed", seconds(self.to_commit), String::new()),
            row("floe repair", seconds(self.repair), rate(self.restored_bytes, self.repair)),
            row("lost to whole", seconds(self.to_whole), String::new()),
        ]
    }
}
