//! The cluster, with what is on it, as the story needs it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use floe_tests::kubernetes::{Cluster, Failed};
use floe_tests::process::Scene;

use super::archive::{Application, empty_dir};

const HOSTS: u8 = 5;
const DISKS: u8 = 2;
/// How long `kubectl drain` may be refused before it counts as such.
const DRAIN_WITHIN: &str = "--timeout=40s";
/// What may be read for what is restored.
const MOST_READ_PER_100_RESTORED: u64 = 110;

/// A cluster of five hosts.
pub(crate) struct Site {
    cluster: Cluster,
    image: String,
    dir: PathBuf,
    // Behind the cluster: what it leaves for a person is kept where a test failed.
    _scene: Scene,
}

impl Site {
    /// A cluster that runs, with the image on every host; none where there can be none.
    pub(crate) fn up(test: &str) -> Option<Self> {
        let scene = Scene::new(test);
        let cluster = Cluster::start(&scene, HOSTS, DISKS)?;
        let image = cluster.load_image();
        let dir = empty_dir(&scene.dir().join("files"));
        Some(Self { cluster, image, dir, _scene: scene })
    }

    /// A path in the project's folder.
    pub(crate) fn path(path: &str) -> String {
        format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))
    }

    /// Repository and tag of the image under test.
    pub(crate) fn image(&self) -> (&str, &str) {
        self.image.rsplit_once(':').unwrap()
    }

    /// `kubectl` with these words; panics with all it said.
    pub(crate) fn kubectl(&self, words: &[&str]) -> String {
        self.cluster.kubectl().run(words)
    }

    /// `kubectl floe`, as the administrator.
    pub(crate) fn kubectl_floe(&self, words: &[&str]) -> String {
        self.kubectl(&[&["floe"], words].concat())
    }

    /// `helm` with these words.
    pub(crate) fn helm(&self, line: &str) -> String {
        self.cluster.helm(&line.split(' ').collect::<Vec<_>>())
    }

    /// Somebody who reads and writes with a token of the ServiceAccount `ci`.
    pub(crate) fn application(&self, who: &str) -> Application {
        Application {
            kubectl: self.cluster.kubectl().clone(),
            service_account: "ci",
            dir: empty_dir(&self.dir.join(who)),
        }
    }

    /// Prints how long it took.
    pub(crate) fn timed(what: &str, work: impl FnOnce()) {
        let begin = Instant::now();
        work();
        println!("{what}: {:.1} s", begin.elapsed().as_secs_f64());
    }

    /// Until it holds; else what there is to be known of the cluster.
    pub(crate) fn wait(
        &self,
        what: &str,
        within: Duration,
        holds: impl Fn() -> Result<(), String>,
    ) {
        self.cluster.until(what, within, |_| holds());
    }

    fn jsonpath(&self, object: &str, path: &str) -> String {
        self.kubectl(&["-n", "floe", "get", object, "-o", &format!("jsonpath={path}")])
    }

    /// Every StorageNode is Ready and holds what it owes, and no shard is unfilled.
    pub(crate) fn wait_whole(&self, within: Duration) {
        self.wait("every StorageNode holds what it owes", within, || {
            let path = concat!(
                "{range .items[*]}{.metadata.name} ",
                r#"{.status.conditions[?(@.type=="Ready")].status} "#,
                "{.status.slivers.owed} {.status.slivers.held} {.status.repair.state}",
                r#"{"\n"}{end}"#
            );
            let nodes = self.jsonpath("fn", path);
            let is_whole = |line: &str| {
                let words: Vec<&str> = line.split(' ').collect();
                matches!(words[..], [_, "True", owed, held, "Idle"] if owed == held)
            };
            let whole = nodes.lines().count() == 4 && nodes.lines().all(is_whole);
            let committee = self.jsonpath(
                "fc/main",
                r#"{.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="RepairInProgress")].status}"#,
            );
            if whole && committee == "True False" { Ok(()) } else { Err(format!("{nodes}{committee}")) }
        });
    }

    /// Repair Jobs.
    pub(crate) fn jobs(&self) -> Vec<String> {
        self.names("app.kubernetes.io/component=repair")
    }

    /// Repair Jobs of one StorageNode.
    pub(crate) fn jobs_of(&self, node: &str) -> Vec<String> {
        self.names(&format!("app.kubernetes.io/component=repair,floe.dev/storage-node={node}"))
    }

    fn names(&self, selector: &str) -> Vec<String> {
        let jobs = self.kubectl(&["-n", "floe", "get", "jobs", "-o", "name", "-l", selector]);
        jobs.lines().map(str::to_owned).collect()
    }

    /// Which incarnation a StorageNode has.
    pub(crate) fn incarnation(&self, node: &str) -> u32 {
        let text = self.jsonpath(&format!("fn/{node}"), "{.status.incarnation}");
        text.parse().unwrap_or_else(|_| panic!("{node}: incarnation {text:?}"))
    }

    /// Its pod.
    pub(crate) fn pod(&self, node: &str) -> String {
        self.jsonpath(&format!("fn/{node}"), "{.status.podName}")
    }

    /// Its host.
    pub(crate) fn host(&self, node: &str) -> String {
        self.jsonpath(&format!("fn/{node}"), "{.status.nodeName}")
    }

    /// What one of its conditions says.
    pub(crate) fn condition(&self, node: &str, type_: &str) -> String {
        let path = format!(r#"{{.status.conditions[?(@.type=="{type_}")].message}}"#);
        self.jsonpath(&format!("fn/{node}"), &path)
    }

    /// Events of a StorageNode.
    pub(crate) fn events(&self, node: &str) -> String {
        self.kubectl(&["-n", "floe", "events", "--for", &format!("storagenode/{node}")])
    }

    /// Its volume dies with what is in it; another disk is put in.
    pub(crate) fn lose_disk(&self, node: &str) {
        let claim = self.jsonpath(&format!("fn/{node}"), "{.status.volume.claimName}");
        let volume = self.jsonpath(&format!("pvc/{claim}"), "{.spec.volumeName}");
        println!("{node} loses {volume}");
        self.cluster.replace_disk(&volume);
    }

    /// Power loss of a host.
    pub(crate) fn stop_host(&self, host: &str) {
        println!("{host} loses power");
        self.cluster.stop_node(number(host));
    }

    /// It comes back.
    pub(crate) fn start_host(&self, host: &str) {
        self.cluster.start_node(number(host));
    }

    /// The API server has noticed.
    pub(crate) fn wait_not_ready(&self, host: &str) {
        let words = ["wait", &format!("node/{host}"), "--for=condition=Ready=Unknown"];
        self.kubectl(&[words.as_slice(), &["--timeout=90s"]].concat());
    }

    /// `kubectl drain`.
    pub(crate) fn drain(&self, host: &str) -> Result<String, String> {
        let words = [
            "drain",
            host,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--force",
            DRAIN_WITHIN,
        ];
        let drained = self.cluster.kubectl().attempt(&words);
        drained.map_err(|failed: Failed| failed.to_string())
    }

    fn metric(&self, node: &str, name: &str) -> u64 {
        let pod = self.pod(node);
        let path = format!("/api/v1/namespaces/floe/pods/{pod}:9090/proxy/metrics");
        let page = self.kubectl(&["get", "--raw", &path]);
        let of = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let its_name = series.split('{').next()?;
            (its_name == name).then(|| value.parse::<u64>().ok()).flatten()
        };
        page.lines().filter_map(of).sum()
    }

    /// Bytes that a storage node itself restored since its process began.
    pub(crate) fn restored_bytes(&self, node: &str) -> u64 {
        self.metric(node, "floe_node_repair_bytes_restored_total")
    }

    /// Slivers that all hold; with a bound, once it is kept.
    pub(crate) fn held_slivers_at_most(&self, most: Option<u64>) -> u64 {
        let held = || {
            let text = self.jsonpath("fn", r#"{range .items[*]}{.status.slivers.held}{"\n"}{end}"#);
            text.lines().map(|line| line.parse::<u64>().unwrap()).sum::<u64>()
        };
        if let Some(most) = most {
            self.wait(
                "the slivers of what was deleted leave the disks",
                Duration::from_mins(4),
                || {
                    let held = held();
                    if held <= most { Ok(()) } else { Err(format!("{held} slivers, not {most}")) }
                },
            );
        }
        held()
    }

    /// Payload that was read for what was restored.
    pub(crate) fn check_figures(&self) {
        let (mut read, mut restored) = (0, 0);
        for at in 0..4 {
            let node = format!("main-{at}");
            restored += self.restored_bytes(&node);
            read += self.metric(&node, "floe_node_repair_bytes_read_total");
        }
        println!("by the nodes themselves: {restored} bytes restored, {read} read");
        if restored > 0 {
            let most = restored * MOST_READ_PER_100_RESTORED / 100;
            assert!(read <= most, "{read} bytes were read for {restored} restored");
        }
    }
}

/// Of `node-<number>`.
fn number(host: &str) -> u8 {
    host.strip_prefix("node-").and_then(|number| number.parse().ok()).unwrap_or_else(|| {
        panic!("{host:?} is no host of this cluster");
    })
}
