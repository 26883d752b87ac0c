//! `cargo xtask test`: every check in one command, one family after the other. All run, whatever
//! fails; a table at the end.

mod family;
mod fuzz;
mod kubernetes;
mod report;

use std::time::Instant;

use anyhow::bail;
use clap::{Args, ValueEnum};

use self::family::Family;
use self::report::{Row, table};
use crate::workspace::Workspace;

/// What to run, and how thoroughly.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Families to run; all of them by default
    #[arg(value_name = "FAMILY")]
    families: Vec<Family>,
    /// Run the long versions too: more rounds, more seeds
    #[arg(long)]
    slow: bool,
    /// The seed of every test that draws; each prints the one it used
    #[arg(long, env = "FLOE_SEED", value_name = "SEED")]
    seed: Option<u64>,
    /// Run the family k8s against the cluster of KUBECONFIG, as far as that allows
    #[arg(long)]
    existing: bool,
}

/// Runs the families; an error when any failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let mut families = options.families.clone();
    families.sort_unstable();
    families.dedup();
    if families.is_empty() {
        families = Family::value_variants().to_vec();
    }
    let rows: Vec<Row> =
        families.into_iter().map(|family| row(workspace, options, family)).collect();
    print!("\n{}", table(&rows));
    let failed: Vec<_> = rows.iter().filter(|row| row.failure.is_some()).map(Row::name).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn row(workspace: &Workspace, options: &Options, family: Family) -> Row {
    println!("\n=== {}: {}", family.name(), family.purpose());
    let start = Instant::now();
    let (tests, failure) = match family.run(workspace, options) {
        Ok(ran) => (ran.tests, ran.failure),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    if let Some(failure) = &failure {
        println!("{}: FAILED: {failure}", family.name());
    }
    Row { family, took: start.elapsed(), tests, failure }
}

/// Whether nobody reads along: there, a check that does not run would pass for one that passes.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false")
}
