//! `bench codec`: what the codec does, beside the same bytes through its parts alone.
//!
//! The bench itself belongs to the codec's crate and is built for release; here its lines become a
//! table, and a section of the document about performance.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::workspace::{Workspace, cargo};

const DOCUMENT: &str = "docs/performance.md";
const TITLE: &str = "# Performance\n\nMeasured by `cargo xtask bench`, which writes the sections below; figures are read as ratios.\n";
const BEGIN: &str = "<!-- written by cargo xtask bench codec -->";
const END: &str = "<!-- end of bench codec -->";
/// Blobs below this are small ones, with a table of their own.
const SMALL_BYTES: u64 = 64 * 1024;

/// A figure as the bench prints it.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    case: String,
    n: u16,
    blob_bytes: u64,
    value: f64,
    unit: String,
    ratio: Option<f64>,
    peak_bytes: u64,
}

/// Measures; prints lines, or a table that it also writes down unless the run was a quick one.
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
    let table = table(&lines(&text)?);
    print!("{table}");
    if !quick {
        write_section(&workspace.root.join(DOCUMENT), &machine(), &table)?;
    }
    Ok(())
}

fn lines(text: &str) -> anyhow::Result<Vec<Line>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no figure: {line}")))
        .collect()
}

/// A row for each case, a column for each n; ratios to the floor in brackets.
fn table(lines: &[Line]) -> String {
    let (small, large): (Vec<&Line>, Vec<&Line>) =
        lines.iter().partition(|line| line.blob_bytes < SMALL_BYTES);
    let mut shards: Vec<u16> = large.iter().map(|line| line.n).collect();
    shards.sort_unstable();
    shards.dedup();
    let mut text = String::from("| full stripes and extents |");
    for n in &shards {
        let _ = write!(text, " n={n} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(shards.len()));
    for case in cases(&large) {
        let of = |n: &u16| large.iter().find(|line| line.case == case && line.n == *n);
        let unit = large.iter().find(|line| line.case == case).map_or("", |line| &line.unit);
        row(&mut text, &format!("{case}, {unit}"), shards.iter().map(|n| of(n).map(|of| cell(of))));
        if case.starts_with("encode an extent") {
            let peak = |n: &u16| of(n).map(|line| mebibytes(line.peak_bytes));
            row(&mut text, &format!("{case}: allocated at its peak, MiB"), shards.iter().map(peak));
        }
    }
    text.push_str("\n| small blobs, n=10 | |\n|---|---:|\n");
    for line in small {
        let name = format!("{}, {} B, {}", line.case, line.blob_bytes, line.unit);
        row(&mut text, &name, std::iter::once(Some(cell(line))));
    }
    text
}

fn cases<'a>(lines: &[&'a Line]) -> Vec<&'a str> {
    let mut cases: Vec<&str> = Vec::new();
    for line in lines {
        if !cases.contains(&line.case.as_str()) {
            cases.push(&line.case);
        }
    }
    cases
}

fn row(text: &mut String, name: &str, cells: impl Iterator<Item = Option<String>>) {
    let _ = write!(text, "| {name} |");
    for cell in cells {
        let _ = write!(text, " {} |", cell.unwrap_or_default());
    }
    text.push('\n');
}

fn cell(line: &Line) -> String {
    let digits = usize::from(line.value < 100.0);
    let value = line.value;
    let ratio = line.ratio.map_or_else(String::new, |ratio| format!(" ({ratio:.2})"));
    format!("{value:.digits$}{ratio}")
}

fn mebibytes(bytes: u64) -> String {
    let tenths = (bytes * 10) >> 20;
    format!("{}.{}", tenths / 10, tenths % 10)
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
    let section = format!(
        "{BEGIN}\n## Codec\n\nOn {machine}. Per core, MB = 10^6 bytes of blob (of slivers where those are rebuilt or verified), medians of \
         interleaved rounds, CPU time unless it says wall. In brackets the ratio to the floor of the same run: the same bytes through \
         reed-solomon-simd on both axes and four-lane Blake2b, nothing else; for two threads, to one.\n\n{table}{END}\n"
    );
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

    const LINES: &str = concat!(
        r#"{"bench":"codec","case":"encode","n":4,"blob_bytes":196608,"threads":1,"value":1194.2,"unit":"MB/s","floor":909.4,"ratio":1.313,"peak_bytes":0}"#,
        "\n",
        r#"{"bench":"codec","case":"encode an extent","n":10,"blob_bytes":917504,"threads":1,"value":17.44,"unit":"MB/s","peak_bytes":1572864}"#,
        "\n",
        r#"{"bench":"codec","case":"id only","n":10,"blob_bytes":4096,"threads":1,"value":32.54,"unit":"us","peak_bytes":0}"#,
    );

    #[test]
    fn cases_are_rows_and_shards_columns() {
        let table = table(&lines(LINES).unwrap());
        assert!(table.contains("| full stripes and extents | n=4 | n=10 |\n|---|---:|---:|\n"));
        assert!(table.contains("| encode, MB/s | 1194 (1.31) |  |\n"), "{table}");
        assert!(table.contains("| encode an extent, MB/s |  | 17.4 |\n"));
        assert!(table.contains("| encode an extent: allocated at its peak, MiB |  | 1.5 |\n"));
        assert!(table.contains("| id only, 4096 B, us | 32.5 |\n"));
    }

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
