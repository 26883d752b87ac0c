//! The release artefact: one static binary `floe`, used by the demo and by tests of real processes.

use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::workspace::{Workspace, cargo};

/// The one platform that is released.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds `floe` if need be; its path.
pub(crate) fn artefact(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let status = cargo()
        .current_dir(&workspace.root)
        .args(["build", "--release", "--locked", "--package", "floe", "--target", TARGET])
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
        // Both would silently replace the flags above.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .context("cargo build did not start")?;
    if !status.success() {
        bail!("the release binary floe did not build ({status}), see above");
    }
    Ok(workspace.target.join(TARGET).join("release").join("floe"))
}
