//! `cargo xtask sizes`: budgets that no compiler checks. Lengths of functions are clippy's
//! (`clippy.toml`).

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::source::{Sources, Use, blank, lines_with, production};
use crate::workspace::{Workspace, report};

/// Lines of a production file, its test items not counted.
const LARGEST_FILE_LINES: usize = 500;

/// Macros that mark unfinished work.
const LEFTOVERS: &[&str] = &["todo!", "unimplemented!", "dbg!"];

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] =
    &["common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"];

/// Checks the workspace.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    report("sizes", &problems(&Sources::load(workspace)?))
}

fn problems(sources: &Sources) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text, how) in sources.files() {
        let shown = path.display();
        if how == Use::Undeclared {
            problems
                .push(format!("{shown}: no module declares this file; declare it or delete it"));
        }
        problems.extend(name_problem(path).map(|problem| format!("{shown}: {problem}")));
        let code = blank(text);
        for macro_name in LEFTOVERS {
            let lines = lines_with(&code, macro_name);
            problems
                .extend(lines.iter().map(|line| format!("{shown}:{line}: {macro_name} left over")));
        }
        let lines = production(&code).lines;
        if how == Use::Production && lines > LARGEST_FILE_LINES {
            problems.push(format!(
                "{shown}: {lines} lines without tests, the budget is {LARGEST_FILE_LINES}; split it by topic"
            ));
        }
    }
    problems
}

/// What is wrong with the name of a file or of the folders it lies in.
fn name_problem(path: &Path) -> Option<String> {
    if path.ends_with("mod.rs") {
        return Some("a module lives in NAME.rs beside NAME/, not in mod.rs".to_owned());
    }
    let stem = path.with_extension("");
    let empty = stem
        .components()
        .filter_map(|part| part.as_os_str().to_str())
        .find(|part| EMPTY_NAMES.contains(part))?;
    Some(format!("`{empty}` says nothing about what is inside; name it after its topic"))
}
