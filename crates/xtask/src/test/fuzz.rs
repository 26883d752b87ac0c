//! Fuzzing guided by coverage: every target for a minute under libFuzzer, from its seeds and from
//! what earlier runs kept. Needs a C++ compiler; stable Rust will do.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::workspace::{Workspace, cargo};

/// How long each target runs.
const SECONDS: u32 = 60;
/// Bytes of an input at most.
const LONGEST_INPUT_BYTES: u32 = 16 << 10;
/// What `guided` is built for; named, so that build scripts are built without the flags.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// Counters on every edge, and comparisons reported: what libFuzzer is guided by.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Runs all targets, one after the other; an error names those that found something.
pub(super) fn guided(workspace: &Workspace) -> anyhow::Result<()> {
    let folder = workspace.target.join("fuzz");
    build(workspace, &folder)?;
    let program = folder.join(PLATFORM).join("release/guided");
    let listed = Command::new(&program).output().context("guided did not start")?;
    let names = String::from_utf8(listed.stdout).context("names of targets")?;
    ensure!(!names.is_empty(), "guided lists no targets");
    let mut found = Vec::new();
    for target in names.lines() {
        if !is_quiet(&program, &folder, target)? {
            found.push(target);
        }
    }
    if !found.is_empty() {
        let found = found.join(", ");
        bail!("{found}: the inputs are under {}", folder.join("found").display());
    }
    Ok(())
}

fn build(workspace: &Workspace, folder: &Path) -> anyhow::Result<()> {
    let line = format!(
        "build --release --locked -p floe-fuzz --features guided --bin guided --target {PLATFORM}"
    );
    let mut build = cargo();
    build.current_dir(&workspace.root).args(line.split(' ')).arg("--target-dir").arg(folder);
    build.env("RUSTFLAGS", FLAGS).env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
    let status = build.status().context("cargo did not start")?;
    ensure!(status.success(), "the build for libFuzzer ended with {status}");
    Ok(())
}

/// Runs one target; what it keeps is where the next run begins.
fn is_quiet(program: &Path, folder: &Path, target: &str) -> anyhow::Result<bool> {
    let [kept, seeds, found] =
        ["kept", "seeds", "found"].map(|what| folder.join(what).join(target));
    for folder in [&kept, &seeds, &found] {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    println!("{target}: {SECONDS} seconds");
    let mut run = Command::new(program);
    run.env("FLOE_FUZZ_TARGET", target).env("FLOE_FUZZ_SEEDS", &seeds);
    run.arg(format!("-max_total_time={SECONDS}")).arg(format!("-max_len={LONGEST_INPUT_BYTES}"));
    run.arg(format!("-artifact_prefix={}/", found.display()));
    run.args(["-timeout=10", "-rss_limit_mb=2048", "-verbosity=0", "-print_final_stats=1"]);
    let status = run.arg(&kept).arg(&seeds).status().context("guided did not start")?;
    Ok(status.success())
}
