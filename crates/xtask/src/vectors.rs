//! `cargo xtask vectors`: holds the codec and the signed layouts against cases kept as data.
//!
//! One JSON object per line. Its kind says what it is; without one it is a case of the reference
//! codec. Every field is compared. `--write` writes the cases of our own, from definitions that do
//! not use the code under test (see the README beside each file).

mod extent;
mod input;
mod manifest;
#[path = "../../redstuff/tests/codec/plain.rs"]
mod plain;
mod signed;
mod stripe;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Map, Value};

use self::input::Input;
use crate::workspace::Workspace;

/// Cases computed by the reference codec.
const REFERENCE: &str = "crates/redstuff/tests/vectors/rs2.jsonl";

/// Cases of our own, and what writes them.
const OWN: [(&str, Cases); 2] = [
    ("crates/redstuff/tests/vectors/floe.jsonl", encoded_cases),
    ("crates/model/tests/vectors/signed.jsonl", signed::plainly),
];
type Cases = fn() -> Vec<Value>;

/// What to check, or that the cases of our own are to be written.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Files of one JSON case per line; by default those kept in the repository
    files: Vec<PathBuf>,
    /// Write the cases of our own, for a format that was changed on purpose
    #[arg(long, conflicts_with = "files")]
    write: bool,
}

/// Checks every case of every file, or writes ours.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    if options.write {
        return write(workspace);
    }
    if options.files.is_empty() {
        return conform(workspace);
    }
    options.files.iter().try_for_each(|file| checked(file))
}

/// Checks all cases kept in the repository, and that ours are what would be written today.
pub(crate) fn conform(workspace: &Workspace) -> anyhow::Result<()> {
    checked(&workspace.root.join(REFERENCE))?;
    for (file, cases) in OWN {
        let path = workspace.root.join(file);
        checked(&path)?;
        let kept = fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
        current(&kept, &lines(&cases())).with_context(|| format!("{file} is stale"))?;
    }
    Ok(())
}

fn write(workspace: &Workspace) -> anyhow::Result<()> {
    for (file, cases) in OWN {
        let path = workspace.root.join(file);
        fs::write(&path, lines(&cases())).with_context(|| format!("write {file}"))?;
        checked(&path)?;
    }
    Ok(())
}

fn encoded_cases() -> Vec<Value> {
    let stripes = stripe::OWN.into_iter().map(stripe::plainly);
    let extents = extent::OWN.into_iter().map(extent::plainly);
    let manifests = manifest::OWN.into_iter().map(manifest::plainly);
    stripes.chain(extents).chain(manifests).collect()
}

fn lines(cases: &[Value]) -> String {
    cases.iter().flat_map(|case| [case.to_string(), "\n".to_owned()]).collect()
}

/// Names the first line that differs.
fn current(kept: &str, written: &str) -> anyhow::Result<()> {
    const TODO: &str =
        "run `cargo xtask vectors --write` and review the change as one of the format";
    for (number, (kept, written)) in kept.lines().zip(written.lines()).enumerate() {
        ensure!(kept == written, "line {} would be written otherwise: {TODO}", number + 1);
    }
    ensure!(kept == written, "it has more or fewer lines than would be written: {TODO}");
    Ok(())
}

fn checked(file: &Path) -> anyhow::Result<()> {
    let cases = check_file(file).with_context(|| format!("vectors {}", file.display()))?;
    println!("{}: {cases} cases agree", file.display());
    Ok(())
}

fn check_file(file: &Path) -> anyhow::Result<usize> {
    let mut cases = 0;
    for line in BufReader::new(fs::File::open(file)?).lines() {
        let number = cases + 1;
        let case: Map<String, Value> =
            serde_json::from_str(&line?).with_context(|| format!("case {number} is no case"))?;
        check(&case).with_context(|| format!("case {number}"))?;
        cases = number;
    }
    ensure!(cases > 0, "the file has no cases");
    Ok(cases)
}

/// Computes the case anew from its inputs, with the code under test, and compares.
fn check(case: &Map<String, Value>) -> anyhow::Result<()> {
    let computed = match case.get("kind").map(Value::as_str) {
        None => stripe::of_the_reference(Input::of(case)?)?,
        Some(Some("stripe")) => stripe::by_the_codec(Input::of(case)?)?,
        Some(Some("extent")) => extent::by_the_codec(Input::of(case)?)?,
        Some(Some("manifest")) => manifest::by_the_codec(Input::of(case)?)?,
        Some(Some("signed")) => signed::by_the_model(case)?,
        Some(kind) => bail!("a kind of case that this program does not know: {kind:?}"),
    };
    same(case, &computed)
}

/// Names the first field that differs, is missing, or is not known.
fn same(case: &Map<String, Value>, computed: &Value) -> anyhow::Result<()> {
    let computed = computed.as_object().context("a computed case is an object")?;
    for (field, value) in computed {
        let expected = case.get(field).with_context(|| format!("{field} is missing"))?;
        ensure!(value == expected, "{field} is {value}, expected {expected}");
    }
    let unknown =
        case.iter().find(|(field, value)| !value.is_null() && !computed.contains_key(*field));
    ensure!(unknown.is_none(), "a field that is not known: {unknown:?}");
    Ok(())
}
