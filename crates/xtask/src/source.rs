//! Rust sources as text: comments and literals blanked, test items cut out, module files followed
//! from the roots that cargo knows.

mod blank;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

pub(crate) use self::blank::blank;
use crate::workspace::Workspace;

/// What marks an item that only tests see.
const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

/// Every Rust file of the workspace, by its path from the top folder.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: BTreeMap<PathBuf, String>,
    roots: Vec<Root>,
}

/// A file that cargo compiles by itself.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    production: bool,
}

/// How a file gets into a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// No module declares it.
    Undeclared,
    /// Only tests see it.
    Test,
    /// It is part of a library or binary.
    Production,
}

impl Sources {
    /// Reads them all.
    pub(crate) fn load(workspace: &Workspace) -> anyhow::Result<Self> {
        let mut sources = Self::default();
        for member in &workspace.members {
            let folder = member.manifest.parent().unwrap_or(&workspace.root);
            sources.read_folder(workspace, folder)?;
            for target in &member.targets {
                sources.roots.push(Root {
                    path: workspace.relative(&target.src_path).to_owned(),
                    production: !["floe-tests", "floe-fuzz"].contains(&member.name.as_str())
                        && target.kind.iter().any(|kind| kind != "test" && kind != "bench"),
                });
            }
        }
        Ok(sources)
    }

    fn read_folder(&mut self, workspace: &Workspace, folder: &Path) -> anyhow::Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("target") {
                self.read_folder(workspace, &path)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("read {}", path.display()))?;
                self.files.insert(workspace.relative(&path).to_owned(), text);
            }
        }
        Ok(())
    }

    /// The files with how each is used.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, &str, Use)> {
        let uses = self.uses();
        self.files.iter().map(move |(path, text)| {
            let how = uses.get(path.as_path()).copied().unwrap_or(Use::Undeclared);
            (path.as_path(), text.as_str(), how)
        })
    }

    /// Follows `mod name;` from every root.
    fn uses(&self) -> BTreeMap<&Path, Use> {
        let mut uses = BTreeMap::new();
        let mut open: Vec<(PathBuf, bool, bool)> =
            self.roots.iter().map(|root| (root.path.clone(), true, root.production)).collect();
        while let Some((path, is_root, in_production)) = open.pop() {
            let Some((path, text)) = self.files.get_key_value(&path) else { continue };
            let path = path.as_path();
            let how = if in_production { Use::Production } else { Use::Test };
            if uses.get(&path).is_some_and(|known| *known >= how) {
                continue;
            }
            uses.insert(path, how);
            let code = blank(text);
            let outside_tests = modules(&production(&code).code);
            for module in modules(&code) {
                let seen = in_production && outside_tests.contains(&module);
                open.extend(
                    self.module_file(path, is_root, &module).map(|file| (file, false, seen)),
                );
            }
        }
        uses
    }

    /// The file of a module declared in `path`.
    fn module_file(&self, path: &Path, is_root: bool, module: &Path) -> Option<PathBuf> {
        let folder = if is_root || path.ends_with("mod.rs") {
            path.parent()?.to_owned()
        } else {
            path.with_extension("")
        };
        let module = folder.join(module);
        [module.with_extension("rs"), module.join("mod.rs")]
            .into_iter()
            .find(|file| self.files.contains_key(file))
    }
}

/// Blanked code without its test items.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Production {
    /// The code; a test item leaves its lines behind, empty.
    pub(crate) code: String,
    /// Lines that belong to no test item.
    pub(crate) lines: usize,
}

/// Takes the test items out of blanked code.
pub(crate) fn production(code: &str) -> Production {
    let mut kept = String::with_capacity(code.len());
    let mut test_lines = 0;
    let mut rest = code;
    while let Some((before, item)) = rest.split_once(TEST_ATTRIBUTE) {
        let (item, after) = item.split_at(item_length(item));
        kept.push_str(before);
        kept.extend(item.chars().filter(|character| *character == '\n'));
        test_lines += item.lines().count().max(1);
        rest = after;
    }
    kept.push_str(rest);
    Production { code: kept, lines: code.lines().count() - test_lines }
}

/// Bytes up to the end of the item that blanked code begins with: its closing brace, or the
/// semicolon or comma that ends it.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' | ',' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Modules that live in files of their own (`mod name;`), each below the inline modules around it.
fn modules(code: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut around: Vec<Option<&str>> = Vec::new();
    let mut inline = None;
    for window in tokens(code).windows(3) {
        match window {
            ["mod", name, ";"] => {
                found.push(around.iter().flatten().copied().chain([*name]).collect());
            }
            ["mod", name, "{"] => inline = Some(*name),
            ["{", ..] => around.push(inline.take()),
            ["}", ..] => drop(around.pop()),
            _ => {}
        }
    }
    found
}

/// Words and single other characters.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// Whether `character` may stand inside a name.
pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Lines (from 1) of blanked `code` on which `pattern` stands as a whole: what comes before it, and
/// after a pattern that ends in a word, is no part of a name.
pub(crate) fn lines_with(code: &str, pattern: &str) -> Vec<usize> {
    let stands = |line: &str| {
        line.match_indices(pattern).any(|(at, found)| {
            let (before, after) = line.split_at(at);
            let open_end = found.ends_with(is_word)
                && after.strip_prefix(found).is_some_and(|after| after.starts_with(is_word));
            !before.ends_with(is_word) && !open_end
        })
    };
    code.lines().enumerate().filter(|(_, line)| stands(line)).map(|(at, _)| at + 1).collect()
}

#[cfg(test)]
impl Sources {
    /// Made up: (path, text), and (root, production).
    pub(crate) fn of(files: &[(&str, &str)], roots: &[(&str, bool)]) -> Self {
        Self {
            files: files.iter().map(|(path, text)| (path.into(), (*text).to_owned())).collect(),
            roots: roots
                .iter()
                .map(|(path, production)| Root { path: path.into(), production: *production })
                .collect(),
        }
    }
}
