//! The family `k8s`: what it needs is built first. What cannot run here is named and left out, which
//! fails where nobody reads along.

use std::process::Command;

use anyhow::{Context, ensure};
use rustix::process::geteuid;

use super::family::{Ran, running_system};
use super::{Options, is_ci};
use crate::artefact::artefact;
use crate::cluster::programs;
use crate::image;
use crate::workspace::Workspace;

/// Runs the tests.
pub(super) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<Ran> {
    let programs = match programs::provide() {
        Ok(programs) => programs,
        Err(error) => {
            leave_out("the family", &format!("{error:#}"))?;
            return Ok(Ran::default());
        }
    };
    running_system(workspace, options, "k8s_", |command| {
        command.env("FLOE_KUBERNETES_BIN", programs);
        prepare_cluster(workspace, options, command)
    })
}

/// Which cluster there is for the tests that need a whole one.
fn prepare_cluster(
    workspace: &Workspace,
    options: &Options,
    command: &mut Command,
) -> anyhow::Result<()> {
    command.env("FLOE_BIN", artefact(workspace)?);
    if options.existing {
        let kubeconfig = std::env::var_os("KUBECONFIG").context("--existing needs KUBECONFIG")?;
        println!("left out: whatever stops nodes and loses disks, for the cluster exists already");
        command.env("FLOE_KUBERNETES_CLUSTER", "existing").env("KUBECONFIG", kubeconfig);
        return Ok(());
    }
    if !geteuid().is_root() {
        command.env("FLOE_KUBERNETES_CLUSTER", "none");
        return leave_out("tests of whole clusters", "their nodes need root");
    }
    let image = workspace.target.join("floe-image.tar");
    image::write(workspace, &image)?;
    command.env("FLOE_KUBERNETES_CLUSTER", "own").env("FLOE_IMAGE", image);
    command.env("FLOE_XTASK", std::env::current_exe().context("find this program")?);
    Ok(())
}

fn leave_out(what: &str, reason: &str) -> anyhow::Result<()> {
    ensure!(!is_ci(), "{what} cannot run: {reason}");
    println!("left out: {what}: {reason}");
    Ok(())
}
