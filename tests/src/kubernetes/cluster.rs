//! A whole cluster: nodes with kubelets, disks that can be lost, power that can fail.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kube::Client;
use rustix::fs::{FlockOperation, flock};

use super::api_server::client;
use super::kubectl::{Failed, Kubectl, output};
use super::pod_logs::PodLogs;
use crate::process::{Scene, floe_binary};

/// Its name: one of the tests' clusters stands at a time.
const NAME: &str = "test";
/// What tests of other processes wait on while one has the cluster.
const LOCK: &str = "/var/tmp/floe-clusters/test.lock";
/// How often something is looked at that is waited for: every look starts a process.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// What tells most of what went on, for a test that failed.
const STORY: [&str; 4] = [
    "get nodes,pods,pvc,pv,jobs -A -o wide",
    "get committees,storagenodes,blobs -A",
    "get events -A --sort-by=.lastTimestamp",
    "describe pods -A",
];

/// A running cluster. One of its own is made anew for a test and taken down when it is dropped.
pub struct Cluster {
    kubeconfig: PathBuf,
    kubectl: Kubectl,
    dir: PathBuf,
    logs: Option<PodLogs>,
    /// Of the tests' own cluster.
    lock: Option<File>,
}

impl Cluster {
    /// A new cluster of this size, or the one that exists where tests are to use that. None where there
    /// can be no cluster, which `cargo xtask test` tells.
    pub fn start(scene: &Scene, nodes: u8, disks: u8) -> Option<Self> {
        let kind = std::env::var("FLOE_KUBERNETES_CLUSTER").unwrap_or_else(|_| {
            panic!("FLOE_KUBERNETES_CLUSTER is not set: run `cargo xtask test k8s`")
        });
        match kind.as_str() {
            "own" => Some(Self::own(scene, nodes, disks)),
            "existing" => Some(Self::existing(scene)),
            "none" => {
                println!("left out: there can be no cluster here");
                None
            }
            other => panic!("FLOE_KUBERNETES_CLUSTER={other}: own, existing or none"),
        }
    }

    fn own(scene: &Scene, nodes: u8, disks: u8) -> Self {
        fs::create_dir_all(Path::new(LOCK).parent().unwrap()).unwrap();
        let lock = OpenOptions::new().create(true).append(true).open(LOCK).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        // A test that was killed left it.
        xtask(&["down"]).unwrap_or_else(|failed| panic!("{failed}"));
        let [nodes, disks] = [nodes, disks].map(|count| count.to_string());
        let printed = xtask(&["up", "--nodes", &nodes, "--disks", &disks]);
        let printed = printed.unwrap_or_else(|failed| panic!("{failed}"));
        let kubeconfig = printed.lines().find_map(|line| line.strip_prefix("export KUBECONFIG="));
        let kubeconfig = PathBuf::from(kubeconfig.expect("`cluster up` names its kubeconfig"));
        let dir = kubeconfig.parent().unwrap().to_owned();
        let logs = PodLogs::keep(&dir, scene.dir());
        Self::at(scene, kubeconfig, Some((logs, lock)))
    }

    fn existing(scene: &Scene) -> Self {
        let kubeconfig = std::env::var_os("KUBECONFIG").expect("KUBECONFIG names a cluster");
        Self::at(scene, kubeconfig.into(), None)
    }

    fn at(scene: &Scene, kubeconfig: PathBuf, own: Option<(PodLogs, File)>) -> Self {
        let dir = scene.dir().to_owned();
        let for_programs = dir.join("kubectl");
        let plugins = for_programs.join("plugins");
        fs::create_dir_all(&plugins).unwrap();
        std::os::unix::fs::symlink(floe_binary(), plugins.join("kubectl-floe")).unwrap();
        let kubectl = Kubectl::with_plugins(&kubeconfig, &for_programs, &plugins);
        let (logs, lock) = own.unzip();
        Self { kubeconfig, kubectl, dir, logs, lock }
    }

    /// Whether its nodes can be stopped and its disks be lost.
    pub fn is_own(&self) -> bool {
        self.lock.is_some()
    }

    /// The administrator's kubectl, with `kubectl floe`.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// What helm prints; panics with all its output when it fails.
    pub fn helm(&self, words: &[&str]) -> String {
        self.kubectl.helm(words).unwrap_or_else(|failed| panic!("{failed}"))
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with the administrator's rights.
    pub async fn client(&self) -> Client {
        client(&self.kubeconfig).await
    }

    /// Loads the image under test into every node, and tells its name. A cluster that exists already
    /// has it, under the name in `FLOE_IMAGE_NAME`.
    pub fn load_image(&self) -> String {
        if self.is_own() {
            let image = std::env::var("FLOE_IMAGE").expect("FLOE_IMAGE names an OCI archive");
            self.xtask(&["load", &image]);
        }
        std::env::var("FLOE_IMAGE_NAME").unwrap_or_else(|_| "localhost/floe:dev".to_owned())
    }

    /// Node `node-<node>` loses power.
    pub fn stop_node(&self, node: u8) {
        self.xtask(&["stop-node", &node.to_string()]);
    }

    /// Its power returns.
    pub fn start_node(&self, node: u8) {
        self.xtask(&["start-node", &node.to_string()]);
    }

    /// A disk dies: its volume and directory are gone.
    pub fn lose_disk(&self, volume: &str) {
        self.xtask(&["lose-disk", volume]);
    }

    /// A disk dies, and a new, empty one is put in its place; the new volume's name.
    pub fn replace_disk(&self, volume: &str) -> String {
        self.xtask(&["lose-disk", volume, "--replace"]).trim().to_owned()
    }

    fn xtask(&self, words: &[&str]) -> String {
        assert!(self.is_own(), "{words:?}: only tests' own clusters are harmed");
        xtask(words).unwrap_or_else(|failed| panic!("{failed}"))
    }

    /// Looks until there is something, and panics with the last reason after `within`.
    pub fn until<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&Kubectl) -> Result<T, String>,
    ) -> T {
        let begun = Instant::now();
        loop {
            match look(&self.kubectl) {
                Ok(found) => return found,
                Err(reason) if begun.elapsed() > within => {
                    panic!("{what}: not within {} s: {reason}", within.as_secs())
                }
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Writes down what a failed test is understood from.
    fn tell(&self) {
        let path = self.dir.join("cluster.log");
        let mut story = String::new();
        for line in STORY {
            let words: Vec<&str> = line.split(' ').collect();
            let said = self.kubectl.attempt(&words).unwrap_or_else(|failed| failed.to_string());
            write!(story, "$ kubectl {line}\n{said}\n").unwrap();
        }
        let brief = story.split("$ kubectl describe").next().unwrap_or_default();
        eprintln!("{brief}\nmore in {}, logs of pods beside it", path.display());
        if let Err(error) = fs::write(&path, story) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        self.logs = None;
        let is_kept = std::env::var_os("FLOE_KEEP_CLUSTER").is_some();
        if self.is_own() && is_kept {
            eprintln!("kept: eval \"$(cargo xtask cluster --name {NAME} env)\"");
        } else if self.is_own()
            && let Err(failed) = xtask(&["down"])
        {
            eprintln!("{failed}");
        }
    }
}

/// What `cargo xtask cluster` prints, or how it failed.
pub fn xtask(words: &[&str]) -> Result<String, Failed> {
    let program = std::env::var_os("FLOE_XTASK").expect("FLOE_XTASK names cargo xtask's binary");
    let mut command = Command::new(program);
    // Cargo tells it where the workspace is.
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["cluster", "--name", NAME]).args(words);
    output(&mut command, None)
}
