//! `cargo xtask image`: the one image of all roles, made without a container engine.

mod oci;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

pub(crate) use self::oci::{Image, archive};
use crate::artefact::artefact;
use crate::workspace::Workspace;

/// What the image is called where nobody renames it; nowhere to pull it from.
pub(crate) const NAME: &str = "localhost/floe:dev";

/// Where to write it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The OCI archive [default: floe-image.tar in the target directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Builds and writes it.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let path = options.out.clone().unwrap_or_else(|| workspace.target.join("floe-image.tar"));
    write(workspace, &path)?;
    let length = fs::metadata(&path)?.len();
    println!("{NAME}: {} ({} MB)", path.display(), length.div_ceil(1_000_000));
    Ok(())
}

/// Builds the binary and writes the image of it.
pub(crate) fn write(workspace: &Workspace, path: &Path) -> anyhow::Result<()> {
    let program = artefact(workspace)?;
    let program = fs::read(&program).with_context(|| format!("read {}", program.display()))?;
    let bytes = archive(&Image { name: NAME, entrypoint: "/floe", program: &program })?;
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
