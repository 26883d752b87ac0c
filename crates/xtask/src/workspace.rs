//! The workspace as `cargo metadata` tells it, and cargo as a command.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// The workspace: where it lies and what its members declare.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// The repository's top folder.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// Our packages.
    #[serde(rename = "packages")]
    pub(crate) members: Vec<Member>,
}

/// One of our packages.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    /// `floe-model`.
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    #[serde(rename = "manifest_path")]
    pub(crate) manifest: PathBuf,
    /// Direct dependencies of every kind.
    pub(crate) dependencies: Vec<Dependency>,
    /// Libraries, binaries, tests.
    pub(crate) targets: Vec<Target>,
}

/// A direct dependency as declared.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// Name of the package depended on.
    pub(crate) name: String,
    /// None for a normal one.
    pub(crate) kind: Option<DependencyKind>,
    /// Features asked for.
    pub(crate) features: Vec<String>,
    /// Whether its default features are on.
    pub(crate) uses_default_features: bool,
}

/// What a dependency that is not a normal one is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DependencyKind {
    /// Tests only.
    Dev,
    /// The build script.
    Build,
}

/// What cargo builds from a package.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    /// As `--test` and its like select it.
    pub(crate) name: String,
    /// `lib`, `bin`, `test`, `custom-build`, …
    pub(crate) kind: Vec<String>,
    /// Its root source file.
    pub(crate) src_path: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cargo metadata did not start")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).context("cargo metadata printed unexpected json")
    }

    /// `path` as seen from the repository's top folder.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// Prints each problem; an error with their number when there are any.
pub(crate) fn report(check: &str, problems: &[String]) -> anyhow::Result<()> {
    for problem in problems {
        println!("{check}: {problem}");
    }
    match problems.len() {
        0 => {
            println!("{check}: ok");
            Ok(())
        }
        count => bail!("{count} problems, see above"),
    }
}

/// The cargo that runs us, without what it set for us alone: build scripts that watch those
/// variables would otherwise run again after every plain `cargo build`.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name.starts_with("CARGO_BIN_")
                || matches!(name, "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR")
        });
        if ours {
            command.env_remove(name);
        }
    }
    command
}
