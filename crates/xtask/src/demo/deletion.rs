//! Act 5: a blob is released, brought back, released again; and leaves every disk.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::narration::{act, count_bar, megabytes, seconds, step};
use super::source_file::digest;
use super::{BLOB, Show, WINDOW};
use crate::local_committee::Committee;

/// How long after the window the slivers may still be there.
const GONE_WITHIN: Duration = Duration::from_mins(2);

impl Show {
    pub(super) fn delete(&mut self) -> anyhow::Result<()> {
        act("Act 5: the file is deleted, brought back, deleted for good");
        self.floe(&["rm", BLOB])?;
        let refused = !self.gets()?;
        self.checks.check(refused, "released: it is not found any more");
        self.floe(&["undelete", BLOB])?;
        let back = self.gets()?;
        self.checks.check(back, "floe undelete brought it back, no byte was sent: SHA-256 agrees");
        // One node is away when it happens; of another one an old copy of its disk comes back.
        let (away, old) = (self.parts.away.clone(), self.parts.dead[0].clone());
        self.stage.kill(&old)?;
        let copy = self.stage.directory().join("old-copy");
        copy_directory(&self.committee.volume(&old), &copy)?;
        self.committee.start_node(&self.stage, &old)?;
        self.committee.wait_node_ready(&self.stage, &old)?;
        self.stage.kill(&away)?;
        step(&format!("{away} is killed; {old}'s disk was copied"));
        self.floe(&["rm", BLOB])?;
        let window = WINDOW.as_secs();
        step(&format!("released again; the window is {window} s here, 7 days by default"));
        let begin = Instant::now();
        self.wait_until_gone(&[&away])?;
        let took = seconds(begin.elapsed());
        self.checks.check(true, &format!("its slivers have left six disks ({took})"));
        self.bring_back_an_old_copy(&old, &copy)?;
        self.committee.start_node(&self.stage, &away)?;
        self.wait_until_gone(&[])?;
        let claim = format!("and those of {away}, which was away, and of {old}: nothing came back");
        self.checks.check(!self.gets()?, &claim);
        Ok(())
    }

    /// The node starts with a copy of its disk from before the release: that counts as a loss.
    fn bring_back_an_old_copy(&mut self, node: &str, copy: &Path) -> anyhow::Result<()> {
        self.stage.kill(node)?;
        let volume = self.committee.volume(node);
        fs::remove_dir_all(&volume).with_context(|| format!("remove {}", volume.display()))?;
        fs::rename(copy, &volume).with_context(|| format!("write {}", volume.display()))?;
        self.committee.start_node(&self.stage, node)?;
        let reason = self.committee.wait_node_refuses(&self.stage, node)?;
        let claim = format!("{node} refuses its old copy; it is kept aside, as every lost volume");
        self.checks.check(reason.contains("old copy"), &claim);
        self.stage.kill(node)?;
        self.replace(node)?;
        self.wait_chain("the next incarnation of the old copy is committed", |chain| {
            let nodes = chain["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
            nodes.iter().any(|it| it["node"] == node && it["incarnation"] == 1)
        })?;
        Ok(())
    }

    /// `floe` with these words; an error if it fails.
    fn floe(&self, words: &[&str]) -> anyhow::Result<()> {
        let output = self.committee.command(words).output();
        let output = output.with_context(|| format!("start floe {}", words[0]))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "floe {} failed: {}", words[0], said.trim());
        step(String::from_utf8_lossy(&output.stdout).trim());
        Ok(())
    }

    /// Whether the file is read back as it was.
    fn gets(&self) -> anyhow::Result<bool> {
        let mut get = self.committee.command(&["get", BLOB, "-"]);
        get.stdout(Stdio::piped()).stderr(Stdio::null());
        let output = self.stage.spawn("get", get)?.context("floe get has no output")?;
        let (_, sha256) = digest(output, &indicatif::ProgressBar::hidden())?;
        let status = self.stage.wait("get")?;
        Ok(status.success() && sha256 == self.file.sha256)
    }

    /// Waits until no sliver is left on the disks of the nodes, but for some.
    fn wait_until_gone(&self, but: &[&str]) -> anyhow::Result<()> {
        let bar = count_bar("slivers leave", 1);
        let begin = Instant::now();
        loop {
            self.stage.all_run()?;
            let nodes: Vec<String> =
                Committee::nodes().filter(|node| !but.contains(&node.as_str())).collect();
            let mut left = 0;
            for node in &nodes {
                left += bytes_under(&self.committee.current_volume(node)?.join("slivers"))?;
            }
            if left == 0 {
                bar.finish_and_clear();
                return Ok(());
            }
            bar.set_message(format!("{} left", megabytes(left)));
            if begin.elapsed() > WINDOW + GONE_WITHIN {
                bail!("{} of slivers are still there", megabytes(left));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Bytes of all files under a directory, which may go while they are counted.
fn bytes_under(directory: &Path) -> anyhow::Result<u64> {
    let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let entries = match fs::read_dir(directory) {
        Err(error) if gone(&error) => return Ok(0),
        entries => entries.with_context(|| format!("list {}", directory.display()))?,
    };
    let mut bytes = 0;
    for entry in entries {
        let path = entry?.path();
        match fs::symlink_metadata(&path) {
            Err(error) if gone(&error) => {}
            Ok(metadata) if metadata.is_dir() => bytes += bytes_under(&path)?,
            metadata => bytes += metadata?.len(),
        }
    }
    Ok(bytes)
}

fn copy_directory(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to).with_context(|| format!("write {}", to.display()))?;
        }
    }
    Ok(())
}
