//! `bench codec`: what the codec does, beside the same bytes through its parts alone.
//!
//! The bench itself belongs to the codec's crate and is built for release; here its lines become a
//! table, and a section of the document about performance.

mod goals;
mod tables;

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::workspace::{Workspace, cargo};

const DOCUMENT: &str = "docs/performance.md";
const TITLE: &str = "# Performance\n\nMeasured by `cargo xtask bench`, which writes the sections below; figures are read as ratios.\n";
const BEGIN: &str = "<!-- written by cargo xtask bench codec -->";
const END: &str = "<!-- end of bench codec -->";
/// How to read the tables.
const LEGEND: &str = "\
    Per core; MB = 10^6 bytes of blob (of slivers where those are rebuilt or verified); medians of interleaved rounds; CPU time unless \
    it says wall.\n\n\
    In brackets the ratio to the floor of the same round: the same bytes through bare reed-solomon-simd and four-lane Blake2b, and \
    nothing else is done with them. Encoding: both axes, all leaves and nodes. Decoding: the bare decoder. Serving a symbol: the sliver \
    expanded. Verifying: the sliver expanded and hashed. Rebuilding: decoded, expanded and hashed. Systematic decoding: a copy. Where it \
    says beside, that is the floor. What is marked as not used is what verifying would cost if the writer's word were taken for symbols \
    that a node does not hold; `inconsistency.rs` of the codec says why it is not.";

/// A figure as the bench prints it.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    case: String,
    n: u16,
    blob_bytes: u64,
    value: f64,
    unit: String,
    ratio: Option<f64>,
    peak_bytes: Option<u64>,
}

/// Measures; prints lines, or tables that it also writes down unless the run was a quick one.
pub(super) fn run(workspace: &Workspace, quick: bool, json: bool) -> anyhow::Result<()> {
    let mut bench = cargo();
    bench.current_dir(&workspace.root);
    bench.args(["bench", "--quiet", "--package", "floe-redstuff", "--bench", "codec", "--"]);
    if quick {
        bench.arg("--quick");
    }
    bench.stderr(std::process::Stdio::inherit());
    let output = bench.output().context("cargo bench did not start")?;
    if !output.status.success() {
        bail!("the codec's bench failed ({}), see above", output.status);
    }
    let text = String::from_utf8(output.stdout).context("the codec's bench printed no text")?;
    if json {
        print!("{text}");
        return Ok(());
    }
    let lines = lines(&text)?;
    let tables = format!("{}\n{}", goals::table(&lines), tables::tables(&lines));
    print!("{tables}");
    if !quick {
        write_section(&workspace.root.join(DOCUMENT), &machine(), &tables)?;
    }
    Ok(())
}

fn lines(text: &str) -> anyhow::Result<Vec<Line>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no figure: {line}")))
        .collect()
}

/// Where it ran, as far as the kernel tells.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim())
    };
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let flags = field("flags");
    let lanes = if flags.contains("avx512vl") { "AVX-512" } else { "no AVX-512" };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown").to_owned();
    format!("{count} x {}, {lanes}, load {load} at the end", field("model name"))
}

/// Replaces this bench's section of the document, or appends it.
fn write_section(document: &Path, machine: &str, table: &str) -> anyhow::Result<()> {
    let old = fs::read_to_string(document).unwrap_or_else(|_| TITLE.to_owned());
    if let Some(folder) = document.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    fs::write(document, with_section(&old, machine, table))
        .with_context(|| format!("write {}", document.display()))
}

fn with_section(old: &str, machine: &str, table: &str) -> String {
    let section = format!("{BEGIN}\n## Codec\n\nOn {machine}. {LEGEND}\n\n{table}{END}\n");
    match (old.find(BEGIN), old.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            let rest = old[end + END.len()..].trim_start_matches('\n');
            let gap = if rest.is_empty() { "" } else { "\n" };
            format!("{}{section}{gap}{rest}", &old[..begin])
        }
        _ => format!("{}\n\n{section}", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let first = with_section("# Performance\n", "a machine", "| 1 |\n");
        assert!(first.starts_with("# Performance\n\n<!-- written"));
        let around = format!("{first}\n## Other\n");
        let second = with_section(&around, "a machine", "| 2 |\n");
        assert!(second.contains("| 2 |") && !second.contains("| 1 |"));
        assert!(second.ends_with("\n\n## Other\n"));
        assert_eq!(with_section(&second, "a machine", "| 2 |\n"), second);
    }

    #[test]
    fn what_is_no_figure_is_told() {
        assert!(lines("nonsense").unwrap_err().to_string().contains("nonsense"));
    }
}
