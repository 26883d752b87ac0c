//! `cargo xtask generate`: files that are made from code. They are kept, so that people can read them
//! and Helm needs no build; `--check` tells which are not what the code says.

mod definitions;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::workspace::Workspace;

/// The charts whose README is generated.
const CHARTS: [&str; 2] = ["floe-committee", "floe-operator"];

/// Whether to write or to compare.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write nothing; fail when a file is not as it would be written
    #[arg(long)]
    check: bool,
}

/// Writes what is generated, or compares it.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    if options.check { check(workspace) } else { write(workspace) }
}

/// An error that names the files which are not what the code says.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let files = files(&workspace.root)?;
    let mut stale: Vec<PathBuf> = leftovers(&workspace.root, &files)?;
    for (path, text) in &files {
        if fs::read_to_string(workspace.root.join(path)).ok().as_ref() != Some(text) {
            stale.push(path.clone());
        }
    }
    if stale.is_empty() {
        println!("{} files are what the code says", files.len());
        return Ok(());
    }
    let names: Vec<_> = stale.iter().map(|path| path.display().to_string()).collect();
    bail!("not what the code says: {}; run `cargo xtask generate`", names.join(", "))
}

fn write(workspace: &Workspace) -> anyhow::Result<()> {
    let files = files(&workspace.root)?;
    for path in leftovers(&workspace.root, &files)? {
        fs::remove_file(workspace.root.join(&path))
            .with_context(|| format!("remove {}", path.display()))?;
    }
    for (path, text) in files {
        let target = workspace.root.join(&path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        fs::write(&target, text).with_context(|| format!("write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Every generated file with its text, by its path below `root`.
fn files(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut files = definitions::files()?;
    for chart in CHARTS {
        let folder = PathBuf::from("charts").join(chart);
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(root.join(&path)).with_context(|| format!("read {}", path.display()))
        };
        let readme = values::documented(&read("README.md")?, &read("values.yaml")?)
            .with_context(|| format!("the values of {chart}"))?;
        files.insert(folder.join("README.md"), readme);
    }
    Ok(files)
}

/// What lies in folders of generated files and is not generated.
fn leftovers(root: &Path, files: &BTreeMap<PathBuf, String>) -> anyhow::Result<Vec<PathBuf>> {
    let mut leftovers = Vec::new();
    for folder in definitions::FOLDERS {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        for entry in entries {
            let path = Path::new(folder).join(entry.context("list a folder")?.file_name());
            if !files.contains_key(&path) {
                leftovers.push(path);
            }
        }
    }
    Ok(leftovers)
}
