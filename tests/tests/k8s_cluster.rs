//! The cluster that `cargo xtask cluster` makes: what comes, stays, dies, and is left behind.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: a broken assumption fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use floe_tests::kubernetes::{Cluster, Kubectl, xtask};
use floe_tests::process::Scene;

/// How long pods and nodes may take on a loaded machine; far more than they do.
const LONG: Duration = Duration::from_mins(3);

/// Two pods that run nothing, each on a disk of its node.
const PODS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 2
  serviceName: web
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - labelSelector: {matchLabels: {app: web}}
            topologyKey: kubernetes.io/hostname
      securityContext: {runAsUser: 65532, fsGroup: 65532}
      terminationGracePeriodSeconds: 1
      containers:
      - name: pause
        image: localhost/pause:1
        imagePullPolicy: Never
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

/// Everything of this machine that a cluster of tests could leave behind.
fn traces() -> BTreeSet<String> {
    let mut traces = BTreeSet::new();
    let named = |dir: &str, part: &str| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path().display().to_string());
        paths.filter(|path| path.contains(part)).collect()
    };
    traces.extend(named("/sys/class/net", "test-"));
    for hierarchy in
        named("/sys/fs/cgroup", "").iter().map(String::as_str).chain(["/sys/fs/cgroup"])
    {
        traces.extend(named(hierarchy, "floe-test"));
    }
    traces.extend(named("/var/tmp/floe-clusters/test", ""));
    for shared in [
        "/run/containerd",
        "/run/netns",
        "/run/nri",
        "/usr/libexec/kubernetes",
        "/var/lib/cni",
        "/var/lib/kubelet",
        "/var/log/containers",
        "/var/log/pods",
    ] {
        traces.extend(named(shared, ""));
        traces.extend(Path::new(shared).exists().then(|| shared.to_owned()));
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let ours = mounts.lines().filter(|line| line.contains("floe-clusters/test/"));
    traces.extend(ours.map(str::to_owned));
    for process in named("/proc", "") {
        let line = fs::read(format!("{process}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("floe-clusters/test/") {
            traces.insert(line);
        }
    }
    traces
}

/// The numbers of the cluster's processes.
fn pids() -> Vec<(String, String)> {
    let mut pids: Vec<_> = fs::read_dir("/var/tmp/floe-clusters/test/pid")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
        .collect();
    pids.sort();
    pids
}

fn volume_of(kubectl: &Kubectl, claim: &str) -> String {
    kubectl.run(&["get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}"])
}

fn node_of(kubectl: &Kubectl, pod: &str) -> u8 {
    let node = kubectl.run(&["get", "pod", pod, "-o", "jsonpath={.spec.nodeName}"]);
    node.strip_prefix("node-").unwrap().parse().unwrap()
}

fn wait_until_all_run(cluster: &Cluster) {
    cluster.until("two running pods", LONG, |kubectl| {
        let ready = ["get", "sts", "web", "-o", "jsonpath={.status.readyReplicas}"];
        let ready = kubectl.attempt(&ready).map_err(|failed| failed.to_string())?;
        if ready == "2" { Ok(()) } else { Err(format!("{ready} are ready")) }
    });
}

fn wait_for_node(cluster: &Cluster, node: u8, is_ready: &str) {
    let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
    cluster.until("a node's state", LONG, |kubectl| {
        let said = kubectl.run(&["get", "node", &format!("node-{node}"), "-o", path]);
        if said == is_ready { Ok(()) } else { Err(format!("Ready is {said}")) }
    });
}

#[test]
fn it_comes_survives_what_is_done_to_it_and_leaves_nothing() {
    let scene = Scene::new("cluster_comes_and_goes");
    let Some(cluster) = Cluster::start(&scene, 2, 2) else { return };
    if !cluster.is_own() {
        return;
    }
    let kubectl = cluster.kubectl();
    kubectl.apply(PODS).unwrap();
    wait_until_all_run(&cluster);

    let before = pids();
    xtask(&["up"]).unwrap();
    assert_eq!(pids(), before, "a second `up` changes no process");
    xtask(&["up", "--nodes", "3"]).unwrap_err();

    let node = node_of(kubectl, "web-0");
    cluster.stop_node(node);
    wait_for_node(&cluster, node, "Unknown");
    cluster.start_node(node);
    wait_for_node(&cluster, node, "True");
    wait_until_all_run(&cluster);
    assert_eq!(node_of(kubectl, "web-0"), node);

    disks_are_lost_and_replaced(&cluster);

    drop(cluster);
    assert_eq!(traces(), BTreeSet::new(), "left behind");
}

fn disks_are_lost_and_replaced(cluster: &Cluster) {
    let kubectl = cluster.kubectl();
    let volume = volume_of(kubectl, "data-web-0");
    let path = kubectl.run(&["get", "pv", &volume, "-o", "jsonpath={.spec.local.path}"]);
    fs::write(Path::new(&path).join("content"), "").unwrap();
    let replacement = cluster.replace_disk(&volume);
    assert_ne!(replacement, volume);
    assert!(!Path::new(&path).exists());
    cluster.until("the claim's loss", LONG, |kubectl| {
        let phase = kubectl.run(&["get", "pvc", "data-web-0", "-o", "jsonpath={.status.phase}"]);
        if phase == "Lost" { Ok(()) } else { Err(phase) }
    });
    xtask(&["lose-disk", &volume]).unwrap_err();
    let path = kubectl.run(&["get", "pv", &replacement, "-o", "jsonpath={.spec.local.path}"]);
    assert_eq!(fs::read_dir(path).unwrap().count(), 0, "a new disk is empty");

    kubectl.run(&["delete", "pvc", "data-web-0", "--wait=false"]);
    kubectl.run(&["delete", "pod", "web-0"]);
    wait_until_all_run(cluster);
    assert_ne!(volume_of(kubectl, "data-web-0"), volume);
}
