//! A cgroup per node, above its pods'.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use super::site::Site;

const TOP: &str = "/sys/fs/cgroup";
/// Beside those of version 1, and without a controller of kubelet's; runc makes cgroups there by itself.
const UNIFIED: &str = "unified";
/// What kubelet asks of version 2.
const CONTROLLERS: &str = "+cpu +cpuset +io +memory +pids";

/// Makes those of all nodes. With a `cgroupRoot` kubelet wants it to exist, in version 1 in every
/// hierarchy.
pub(super) fn ensure(site: &Site) -> anyhow::Result<()> {
    for top in hierarchies()?.into_iter().filter(|top| !top.ends_with(UNIFIED)) {
        let ours = top.join(site.cgroup());
        let nodes = site.all_nodes().map(|node| ours.join(format!("node-{node}")));
        for folder in [ours.clone()].into_iter().chain(nodes) {
            if let Some(parent) = folder.parent().filter(|parent| parent.starts_with(TOP)) {
                delegate(parent)?;
            }
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
            inherit_processors(&folder)?;
        }
    }
    Ok(())
}

/// Version 2: a cgroup's children have the controllers that it names.
fn delegate(cgroup: &Path) -> anyhow::Result<()> {
    let file = cgroup.join("cgroup.subtree_control");
    if !file.exists() {
        return Ok(());
    }
    fs::write(&file, CONTROLLERS).with_context(|| format!("write {}", file.display()))
}

/// Version 1: a new cpuset has no processors and no memory.
fn inherit_processors(cgroup: &Path) -> anyhow::Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let (Some(parent), file) = (cgroup.parent(), cgroup.join(name)) else { continue };
        if cgroup.starts_with(Path::new(TOP).join("cpuset")) && file.exists() {
            let inherited = fs::read_to_string(parent.join(name))?;
            fs::write(&file, inherited).with_context(|| format!("write {}", file.display()))?;
        }
    }
    Ok(())
}

/// Kills what runs in a node's pods.
pub(super) fn kill_pods(site: &Site, node: u8) -> anyhow::Result<()> {
    for top in hierarchies()? {
        let folder = top.join(site.cgroup()).join(format!("node-{node}"));
        for cgroup in with_children(&folder)? {
            // It may be removed while it is looked at.
            let pids = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
            for pid in pids.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
                // Fails only when it has ended.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
    Ok(())
}

/// Removes those of all nodes; fails while something runs in one.
pub(super) fn remove(site: &Site) -> anyhow::Result<()> {
    for top in hierarchies()? {
        for cgroup in with_children(&top.join(site.cgroup()))? {
            match fs::remove_dir(&cgroup) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("remove {}", cgroup.display()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A cgroup and all below it, the lowest first; none when it does not exist.
fn with_children(cgroup: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(cgroup) else { return Ok(found) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(with_children(&path)?);
        }
    }
    found.push(cgroup.to_owned());
    Ok(found)
}

/// The tops: one in version 2; in version 1 one per controller, of which some are links to others.
fn hierarchies() -> anyhow::Result<Vec<PathBuf>> {
    let top = Path::new(TOP);
    if top.join("cgroup.controllers").exists() {
        return Ok(vec![top.to_owned()]);
    }
    let mut tops = Vec::new();
    for entry in fs::read_dir(top).context("read /sys/fs/cgroup")? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            tops.push(entry.path());
        }
    }
    Ok(tops)
}
