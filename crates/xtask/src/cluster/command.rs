//! Foreign commands: they succeed, or the error holds all that they said.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Runs it; what it printed.
pub(super) fn said(command: &mut Command) -> anyhow::Result<String> {
    finish(command, None)
}

/// Runs it with this on standard input; what it printed.
pub(super) fn told(command: &mut Command, input: &str) -> anyhow::Result<String> {
    finish(command, Some(input))
}

/// Runs it.
pub(super) fn done(command: &mut Command) -> anyhow::Result<()> {
    said(command).map(drop)
}

/// Runs `line`, words parted by single spaces.
pub(super) fn run(line: &str) -> anyhow::Result<()> {
    let mut words = line.split(' ');
    done(Command::new(words.next().unwrap_or_default()).args(words))
}

/// The home directory.
pub(super) fn home() -> anyhow::Result<PathBuf> {
    std::env::home_dir().context("no home directory: set HOME")
}

fn finish(command: &mut Command, input: Option<&str>) -> anyhow::Result<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("`{shown}` did not start"))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // Fails when it ended without reading, and then says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().with_context(|| format!("wait for `{shown}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` ended with {}\n{stdout}{stderr}", output.status);
    }
    Ok(stdout)
}
