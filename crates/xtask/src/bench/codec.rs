//! `bench codec`: what the codec does, beside the same bytes through its parts alone.
//!
//! The bench itself belongs to the codec's crate and is built for release; here its lines become a
//! table, and a section of the document about performance.

mod goals;
mod tables;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::document::{Section, machine};
use crate::workspace::{Workspace, cargo};

/// Its section of the document.
const SECTION: Section = Section { bench: "codec", title: "Codec" };
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
        SECTION.write(workspace, &format!("On {}. {LEGEND}\n\n{tables}", machine()))?;
    }
    Ok(())
}

fn lines(text: &str) -> anyhow::Result<Vec<Line>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no figure: {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_figure_is_told() {
        assert!(lines("nonsense").unwrap_err().to_string().contains("nonsense"));
    }
}
