//! What a node needs from the distribution.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use rustix::process::geteuid;

use super::command::done;

/// Programs and the Debian packages that hold them.
const PROGRAMS: [(&str, &str); 7] = [
    ("runc", "runc"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("sysctl", "procps"),
];
const PLUGINS_PACKAGE: &str = "containernetworking-plugins";
/// Where distributions, and upstream's archives, put the plugins.
const PLUGIN_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Installs what is missing where that is possible, else says what is.
pub(super) fn provide() -> anyhow::Result<()> {
    let missing = missing();
    let wanted = missing.join(", ");
    ensure!(
        geteuid().is_root(),
        "a cluster's nodes are network namespaces with mounts and cgroups: run this as root; \
         packages still to install: {}",
        if wanted.is_empty() { "none" } else { &wanted }
    );
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install --yes {}", missing.join(" "));
    println!("$ {install}");
    let mut update = Command::new("apt-get");
    done(update.args(["update", "--quiet"])).with_context(|| format!("needed: `{install}`"))?;
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(&missing);
    done(&mut command)?;
    let missing = self::missing();
    ensure!(missing.is_empty(), "still missing after {install}: {}", missing.join(" "));
    Ok(())
}

/// Where the CNI plugins are.
pub(super) fn plugins() -> anyhow::Result<PathBuf> {
    let mut folders = PLUGIN_FOLDERS.iter().map(Path::new);
    let found = folders.find(|folder| folder.join("bridge").exists());
    found.map(Path::to_owned).context("no CNI plugins: install containernetworking-plugins")
}

/// Names of packages.
fn missing() -> Vec<&'static str> {
    let mut missing: Vec<&str> = PROGRAMS
        .into_iter()
        .filter_map(|(program, package)| (!is_installed(program)).then_some(package))
        .collect();
    if plugins().is_err() {
        missing.push(PLUGINS_PACKAGE);
    }
    missing
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where some of them lie is not in every PATH.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.into_iter().any(|folder| folder.join(program).exists())
}
