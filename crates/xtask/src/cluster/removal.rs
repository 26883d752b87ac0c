//! Taking a cluster away, whatever is left of it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::command::done;
use super::processes::{Processes, wait_for};
use super::site::Site;
use super::{cgroup, network, node};

/// How long what was killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// Takes everything away: processes, namespaces, mounts, links, cgroups, files.
pub(super) fn remove(site: &Site) -> anyhow::Result<()> {
    let dir = site.dir();
    let processes = Processes::in_dir(&dir);
    for node in site.all_nodes() {
        node::kill(site, &processes, node)?;
    }
    processes.kill(&processes.names()?)?;
    wait_for("the end of all pods", GONE_WITHIN, || cgroup::remove(site))?;
    network::remove(site)?;
    wait_for("the end of all mounts", GONE_WITHIN, || unmount(&dir))?;
    wait_for("an empty directory", GONE_WITHIN, || {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))
    })
}

/// Unmounts what lies under `dir`, the last first.
fn unmount(dir: &Path) -> anyhow::Result<()> {
    let under = || -> anyhow::Result<Vec<String>> {
        let mounts = fs::read_to_string("/proc/mounts").context("read /proc/mounts")?;
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        Ok(points.filter(|point| Path::new(point).starts_with(dir)).map(str::to_owned).collect())
    };
    for point in under()?.iter().rev() {
        done(Command::new("umount").arg("--lazy").arg(point))?;
    }
    let left = under()?;
    ensure!(left.is_empty(), "still mounted: {}", left.join(" "));
    Ok(())
}
