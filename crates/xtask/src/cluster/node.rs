//! A node: its own containerd, kubelet and kube-proxy in network and mount namespaces of its own, with
//! disks and a zone of its own. The mount namespace hangs on its processes: when they die, what kubelet
//! mounted is gone, as after a power failure.

mod settings;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::process::Pid;

use super::command::{done, said};
use super::processes::{Processes, kill_by_words, wait_for};
use super::site::Site;
use super::{cgroup, network};

const ANSWERS_WITHIN: Duration = Duration::from_mins(1);
/// What a pod's namespaces hang on.
pub(super) const SANDBOX_IMAGE: &str = "localhost/pause:1";
/// Directories of which each node has its own: sockets of shims, what CNI gave to whom, kubelet's
/// volumes and links to logs lie there, and only some programs can be told otherwise.
const OWN: [&str; 3] = ["run", "var/lib", "var/log"];

/// A node's processes.
fn names(node: u8) -> [String; 3] {
    ["kubelet", "proxy", "containerd"].map(|name| format!("{name}-{node}"))
}

/// Starts what does not run of all nodes, at the same time.
pub(super) fn ensure_all(site: &Site, processes: &Processes) -> anyhow::Result<()> {
    on_each(site, |node| start(site, processes, node))
}

/// Does it for every node at the same time; an error when one failed.
pub(super) fn on_each(
    site: &Site,
    act: impl Fn(u8) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> =
            site.all_nodes().map(|node| (node, scope.spawn(move || act(node)))).collect();
        let mut result = Ok(());
        for (node, thread) in threads {
            let done = thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")));
            result = result.and(done.with_context(|| format!("node {node}")));
        }
        result
    })
}

/// Starts a node, unless all of it runs.
pub(super) fn start(site: &Site, processes: &Processes, node: u8) -> anyhow::Result<()> {
    if names(node).iter().all(|name| processes.running(name).is_some()) {
        return Ok(());
    }
    // What is left of it would stay in the old mount namespace.
    kill(site, processes, node)?;
    settings::write(site, node)?;
    network::plug(site, node)?;
    let dir = site.node_dir(node);
    let [kubelet, proxy, containerd] = names(node);
    processes.ensure(&containerd, &boot(site, node)?)?;
    wait_for("an answer of containerd", ANSWERS_WITHIN, || {
        processes.check(&containerd)?;
        said(ctr(site, node).arg("version"))
    })?;
    load(site, node, &site.dir().join("pause.tar"))?;
    let host = processes.running(&containerd).context("containerd has ended")?;
    let mut command = beside(site, host, "kubelet");
    command.arg("--config").arg(dir.join("kubelet.json"));
    command.arg("--kubeconfig").arg(site.kubeconfig(&format!("node-{node}")));
    command.args([
        format!("--hostname-override=node-{node}"),
        format!("--node-ip={}", site.address(node)),
        format!("--node-labels=topology.kubernetes.io/zone=zone-{node}"),
    ]);
    processes.ensure(&kubelet, &command)?;
    let mut command = beside(site, host, "kube-proxy");
    processes.ensure(&proxy, command.arg("--config").arg(dir.join("proxy.json")))
}

/// Its power fails: the network is silent first, then everything dies at once.
pub(super) fn stop(site: &Site, processes: &Processes, node: u8) -> anyhow::Result<()> {
    network::unplug(site, node)?;
    kill(site, processes, node)
}

/// Kills everything that runs on a node.
pub(super) fn kill(site: &Site, processes: &Processes, node: u8) -> anyhow::Result<()> {
    processes.kill(&names(node))?;
    // Shims outlive their containerd, and name its socket.
    let socket = site.containerd_socket(node);
    let socket = socket.to_string_lossy();
    kill_by_words(|words| {
        let is_shim = words.first().is_some_and(|word| word.ends_with("containerd-shim-runc-v2"));
        is_shim && words.contains(&&*socket)
    })?;
    cgroup::kill_pods(site, node)
}

/// Loads an image into one node.
pub(super) fn load(site: &Site, node: u8, image: &Path) -> anyhow::Result<()> {
    let mut import = ctr(site, node);
    done(import.args(["--namespace", "k8s.io", "images", "import"]).arg(image))
}

fn ctr(site: &Site, node: u8) -> Command {
    let mut command = site.program("ctr");
    command.arg("--address").arg(site.containerd_socket(node));
    command
}

/// containerd in the node's network namespace and a new mount namespace. There, the directories that
/// programs take for granted are the node's own; what was under /run did not survive.
fn boot(site: &Site, node: u8) -> anyhow::Result<Command> {
    let own = site.node_dir(node).join("own");
    let run = own.join("run");
    if run.exists() {
        fs::remove_dir_all(&run).with_context(|| format!("remove {}", run.display()))?;
    }
    let mut script = "mount --make-rshared /".to_owned();
    for name in OWN {
        let folder = own.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        // Writing to a string cannot fail.
        let _ = write!(script, " && mount --bind '{}' /{name}", folder.display());
    }
    script.push_str(r#" && exec "$@""#);
    let mut command = site.enter(node);
    command.args(["unshare", "--mount", "--propagation=slave", "sh", "-c", &script, "sh"]);
    command.arg(site.programs.join("containerd"));
    command.arg("--config").arg(site.node_dir(node).join("containerd.toml"));
    set_path(site, &mut command);
    Ok(command)
}

/// A program in the namespaces of a node's containerd.
fn beside(site: &Site, containerd: Pid, name: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--target={}", containerd.as_raw_nonzero())).args(["--net", "--mount"]);
    command.arg(site.programs.join(name));
    set_path(site, &mut command);
    command
}

/// containerd looks for its shim, the others for what Debian has.
fn set_path(site: &Site, command: &mut Command) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = [site.programs.clone(), "/usr/sbin".into(), "/sbin".into()];
    if let Ok(path) = std::env::join_paths(std::env::split_paths(&path).chain(own)) {
        command.env("PATH", path);
    }
}

/// Makes a node's directories.
pub(super) fn make_dirs(site: &Site, node: u8) -> anyhow::Result<()> {
    for name in ["cni", "manifests", "disks", "lost"] {
        let folder = site.node_dir(node).join(name);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    }
    Ok(())
}
