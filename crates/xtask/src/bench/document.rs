//! The document about performance: each bench writes a section of it, between markers.

use std::fs;

use anyhow::Context;

use crate::workspace::Workspace;

const DOCUMENT: &str = "docs/performance.md";
const TITLE: &str = "# Performance\n\nMeasured by `cargo xtask bench`, which writes the sections below; figures are read as ratios.\n";

/// A bench's section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    /// The bench as it is named on the command line.
    pub(super) bench: &'static str,
    /// The section's heading.
    pub(super) title: &'static str,
}

impl Section {
    /// Replaces the section in the document, or appends it.
    pub(super) fn write(self, workspace: &Workspace, text: &str) -> anyhow::Result<()> {
        let document = workspace.root.join(DOCUMENT);
        let old = fs::read_to_string(&document).unwrap_or_else(|_| TITLE.to_owned());
        if let Some(folder) = document.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        fs::write(&document, self.with(&old, text))
            .with_context(|| format!("write {}", document.display()))
    }

    fn with(self, old: &str, text: &str) -> String {
        let Self { bench, title } = self;
        let begin = format!("<!-- written by cargo xtask bench {bench} -->");
        let end = format!("<!-- end of bench {bench} -->");
        let section = format!("{begin}\n## {title}\n\n{text}{end}\n");
        match (old.find(&begin), old.find(&end)) {
            (Some(from), Some(to)) if from < to => {
                let rest = old[to + end.len()..].trim_start_matches('\n');
                let gap = if rest.is_empty() { "" } else { "\n" };
                format!("{}{section}{gap}{rest}", &old[..from])
            }
            _ => format!("{}\n\n{section}", old.trim_end()),
        }
    }
}

/// Where it ran, as far as the kernel tells.
pub(super) fn machine() -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Section = Section { bench: "one", title: "One" };
    const OTHER: Section = Section { bench: "other", title: "Other" };

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let first = ONE.with("# Performance\n", "| 1 |\n");
        assert!(
            first.starts_with("# Performance\n\n<!-- written by cargo xtask bench one -->\n## One")
        );
        let both = OTHER.with(&first, "| of the other |\n");
        let second = ONE.with(&both, "| 2 |\n");
        assert!(second.contains("| 2 |") && !second.contains("| 1 |"));
        assert!(second.ends_with("| of the other |\n<!-- end of bench other -->\n"));
        assert_eq!(ONE.with(&second, "| 2 |\n"), second);
        let around = format!("{first}\n## By hand\n");
        assert!(ONE.with(&around, "| 2 |\n").ends_with("\n\n## By hand\n"));
    }
}
