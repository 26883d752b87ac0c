//! Volumes that are not the node's own, or not its newest: refused, with what to do, and the data of
//! the others goes on. Volumes that are full.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it moves the volumes of real processes, and a broken assumption fails the test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use floe_tests::process::{Committee, Http, Reply, Size, content, copy_dir, wait_for};

const SMALL: Size = Size { nodes: 4, shards: 4 };
const SOON: Duration = Duration::from_mins(1);

fn path(name: &str) -> String {
    format!("/v1/namespaces/default/blobs/{name}")
}

struct Stage {
    committee: Committee,
    http: Http,
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Stage {
    fn set(test: &str) -> Self {
        let committee = Committee::start(test, SMALL);
        let http = committee.http();
        let mut stage = Self { committee, http, blobs: BTreeMap::new() };
        (0..3).for_each(|_| stage.write());
        stage.committee.wait_all_whole();
        stage
    }

    fn write(&mut self) {
        let number = self.blobs.len();
        let (name, bytes) = (format!("blob-{number}"), content(number as u64, 120_000 * number));
        self.http.put(&path(&name), &bytes).expect(201);
        self.blobs.insert(name, bytes);
    }

    /// Reads go on, and so do writes: one node of four is too little to stop either.
    fn others_go_on(&mut self) {
        self.write();
        for (name, bytes) in &self.blobs {
            assert_eq!(&self.http.get(&path(name)).expect(200).body, bytes, "{name}");
        }
    }

    fn set_aside(&self, node: usize) -> std::path::PathBuf {
        let aside = self.committee.scene().dir().join(format!("volume-{node}-aside"));
        fs::rename(self.committee.volume(node), &aside).unwrap();
        aside
    }

    /// Waits until the node says on `/readyz` that it does not serve, with each of these words.
    fn refuses(&self, node: usize, words: &[&str]) {
        wait_for("the node says what is wrong", SOON, || match self.committee.readiness(node)? {
            (503, text) if words.iter().all(|word| text.contains(word)) => Ok(()),
            (status, text) => Err(format!("{status}: {text}; wanted are {words:?}")),
        });
        let status = self.committee.http_to_node(node).get("/v1/report");
        assert_eq!(status.status, 503, "a node that refuses gives no report");
    }

    /// The proper volume is back: the node serves, and gets what it missed.
    fn recovers(&mut self, node: usize) {
        self.committee.start_node(node);
        self.committee.wait_ready();
        assert_eq!(self.committee.wait_all_whole(), self.blobs.len() as u64);
        self.others_go_on();
    }
}

fn identity(committee: &Committee, node: usize) -> Reply {
    committee.http_to_node(node).get("/v1/identity")
}

#[test]
fn another_nodes_volume() {
    let mut stage = Stage::set("volumes-other-node");
    stage.committee.stop_node(0);
    let own = stage.set_aside(0);
    copy_dir(&stage.committee.volume(1), &stage.committee.volume(0));
    stage.committee.start_node(0);
    stage.refuses(0, &["node-1", "node-0", "mount this node's own volume"]);
    let said = identity(&stage.committee, 0).expect(503).json();
    assert!(said["detail"].as_str().unwrap().contains("node-1"), "{said}");
    stage.others_go_on();
    stage.committee.stop_node(0);
    fs::remove_dir_all(stage.committee.volume(0)).unwrap();
    fs::rename(own, stage.committee.volume(0)).unwrap();
    stage.recovers(0);
}

#[test]
fn another_committees_volume() {
    let mut stage = Stage::set("volumes-other-committee");
    // A node of the same name in another committee, as far as its volume.
    let scene = stage.committee.scene();
    let made =
        scene.floe(&["committee", "init", "--nodes", "4", "--shards", "4", "--dir", "other"]);
    let output = { made }.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let other = scene.dir().join("other/nodes/node-0");
    stage.committee.start_process("stranger", "sidecar", &other);
    wait_for("the stranger's volume", SOON, || {
        let said = scene.log_tail("stranger");
        if said.contains("storage node started") { Ok(()) } else { Err(said) }
    });
    stage.committee.kill(&["stranger"]);

    stage.committee.stop_node(0);
    let own = stage.set_aside(0);
    copy_dir(&other.join("volume-0"), &stage.committee.volume(0));
    stage.committee.start_node(0);
    let ours = stage.committee.id().to_string();
    stage.refuses(0, &["belongs to committee", &ours, "mount this node's own volume"]);
    identity(&stage.committee, 0).expect(503);
    stage.others_go_on();
    stage.committee.stop_node(0);
    fs::remove_dir_all(stage.committee.volume(0)).unwrap();
    fs::rename(own, stage.committee.volume(0)).unwrap();
    stage.recovers(0);
}

#[test]
fn an_empty_volume_under_a_used_incarnation() {
    let mut stage = Stage::set("volumes-empty");
    let before = identity(&stage.committee, 0).expect(200).json();
    stage.committee.stop_node(0);
    let own = stage.set_aside(0);
    stage.committee.start_node(0);
    // Its peers show it the record, which names another key: it says so, and what to do.
    stage.refuses_or_joins(0);
    let after = identity(&stage.committee, 0).expect(200).json();
    assert_eq!((&after["node"], &after["incarnation"]), (&before["node"], &before["incarnation"]));
    assert_ne!((&after["key"], &after["volume"]), (&before["key"], &before["volume"]));
    assert_ne!(after["serving"]["state"], "serving", "{after}");
    stage.others_go_on();
    stage.committee.stop_node(0);
    fs::remove_dir_all(stage.committee.volume(0)).unwrap();
    fs::rename(own, stage.committee.volume(0)).unwrap();
    stage.recovers(0);
}

impl Stage {
    fn refuses_or_joins(&self, node: usize) {
        wait_for("the node says what is wrong", SOON, || match self.committee.readiness(node)? {
            (503, text) if text.contains("next incarnation") => Ok(()),
            (status, text) => Err(format!("{status}: {text}")),
        });
    }
}

#[test]
fn a_volume_that_another_process_uses() {
    let mut stage = Stage::set("volumes-locked");
    // Beside the running node: other addresses, the same volume.
    let (from, to) = (stage.committee.node_dir(0), stage.committee.scene().dir().join("second"));
    copy_dir(&from.join("tls"), &to.join("tls"));
    let mut file: serde_json::Value =
        serde_json::from_slice(&fs::read(from.join("node.json")).unwrap()).unwrap();
    for member in ["listen", "metricsListen"] {
        let mut address: std::net::SocketAddr = file[member].as_str().unwrap().parse().unwrap();
        address.set_port(address.port() + 1);
        file[member] = address.to_string().into();
    }
    fs::write(to.join("node.json"), file.to_string()).unwrap();
    symlink(from.join("volume-0"), to.join("volume-0")).unwrap();
    let mut second = stage.committee.scene().floe(&["sidecar", "--dir"]);
    let output = second.arg(&to).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another process: stop that one first"), "{said}");

    // And with the node's own addresses.
    let mut second = stage.committee.scene().floe(&["sidecar", "--dir"]);
    let output = second.arg(&from).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot listen on"), "{said}");
    stage.others_go_on();
    assert_eq!(stage.committee.wait_all_whole(), stage.blobs.len() as u64);
}

#[test]
fn an_old_copy_of_a_volume() {
    let mut stage = Stage::set("volumes-old-copy");
    stage.committee.stop_node(0);
    let copy = stage.committee.scene().dir().join("copy");
    copy_dir(&stage.committee.volume(0), &copy);
    stage.committee.start_node(0);
    stage.committee.wait_ready();
    (0..3).for_each(|_| stage.write());
    stage.committee.wait_all_whole();
    wait_for("the others have read node 0's feed", SOON, || {
        let report = |node| stage.committee.http_to_node(node).get("/v1/report").expect(200).json();
        let head = report(0)["feedHead"].clone();
        let behind: Vec<usize> =
            (1..4).filter(|&node| report(node)["cursors"]["node-0"] != head).collect();
        if behind.is_empty() { Ok(()) } else { Err(format!("{behind:?} are behind {head}")) }
    });
    stage.committee.stop_node(0);
    let own = stage.set_aside(0);
    fs::rename(copy, stage.committee.volume(0)).unwrap();
    stage.committee.start_node(0);
    stage.refuses(0, &["old copy", "start the next incarnation on an empty volume"]);
    let said = identity(&stage.committee, 0).expect(200).json();
    assert_eq!(said["serving"]["state"], "refusing", "{said}");
    stage.others_go_on();
    // The newest volume, which was only away, is welcome.
    stage.committee.stop_node(0);
    fs::remove_dir_all(stage.committee.volume(0)).unwrap();
    fs::rename(own, stage.committee.volume(0)).unwrap();
    stage.recovers(0);
}

#[test]
fn bodies_above_their_cap() {
    let stage = Stage::set("volumes-caps");
    let node = stage.committee.http_to_node(2);
    let head = |method: &str, path: &str, bytes: &str| {
        let request = node.request(method, path).header("Content-Length", bytes);
        request.begin().unwrap().answer().unwrap()
    };
    // Refused by what is announced; nothing of the body was sent.
    let id = "00000000-0000-0000-0000-000000000000";
    let upload = format!("/v1/uploads/{id}");
    for (method, path) in [
        ("PUT", upload.clone()),
        ("PUT", format!("{upload}/extents/0")),
        ("POST", format!("{upload}/finish")),
        ("PUT", format!("/v1/claims/{id}/certificate")),
        ("PUT", "/v1/epoch".to_owned()),
    ] {
        let reply = head(method, &path, "4000000000");
        assert_eq!(reply.status, 413, "{method} {path}: {}", String::from_utf8_lossy(&reply.body));
        assert_eq!(reply.json()["code"], "body-too-large");
    }
    // Without a length it is refused as soon as there is too much of it.
    let request = node.request("PUT", &upload).header("Transfer-Encoding", "chunked");
    let mut request = request.begin().unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![7; 1 << 20], b"\r\n"].concat();
    for _ in 0..64 {
        if request.send(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(request.answer().unwrap().expect(413).json()["code"], "body-too-large");
}

/// Whether a volume of limited size can be made without being root.
fn can_mount() -> bool {
    let line = "mount -t tmpfs -o size=1m none /tmp && df /tmp";
    let tried = Command::new("unshare").args(["-rm", "sh", "-c", line]).output();
    tried.is_ok_and(|output| output.status.success())
}

#[test]
fn full_volumes_stop_writes_and_not_reads() {
    const VOLUME: &str = "size=24m";
    if !can_mount() {
        println!("left out: this machine makes no small volumes (unshare -rm, mount -t tmpfs)");
        return;
    }
    let committee = Committee::start("volumes-full", SMALL);
    for node in 0..4 {
        committee.stop_node(node);
    }
    // Each node again, on a volume of 24 MiB that begins as what it had.
    for node in 0..4 {
        let (volume, dir) = (committee.volume(node), committee.node_dir(node));
        let script = format!(
            "cp -a '{v}' '{v}.before' && mount -t tmpfs -o {VOLUME} none '{v}' && cp -a '{v}.before/.' '{v}' && \
             exec \"$0\" sidecar --until-stdin-ends --dir '{d}'",
            v = volume.display(),
            d = dir.display()
        );
        let mut command = Command::new("unshare");
        committee.scene().clean(&mut command);
        command.args(["-rm", "sh", "-c", &script]).arg(floe_tests::process::floe_binary());
        let name = format!("node-{node}");
        committee.keep(&name, committee.scene().spawn(&name, command));
    }
    committee.wait_ready();
    let http = committee.http();
    let mut blobs = BTreeMap::new();
    let mut refused = None;
    for number in 0..80 {
        let (name, bytes) = (format!("blob-{number}"), content(number, 1_500_000));
        let reply = http.put(&path(&name), &bytes);
        if reply.status != 201 {
            refused = Some((name, reply));
            break;
        }
        blobs.insert(name, bytes);
    }
    let (name, reply) = refused.expect("24 MiB on each node are full at some time");
    let detail = reply.expect_problem(507, "full");
    println!("{} blobs fitted; then: {detail}", blobs.len());
    assert!(blobs.len() > 10);
    let read = |blobs: &BTreeMap<String, Vec<u8>>| {
        for (name, bytes) in blobs {
            assert_eq!(&http.get(&path(name)).expect(200).body, bytes, "{name}");
        }
    };
    read(&blobs);
    http.get(&path(&name)).expect_problem(404, "not-found");
    // What is kept free is for this: a release is taken.
    http.delete(&path("blob-0")).expect(202);
    http.get(&path("blob-0")).expect_problem(404, "not-found");
    blobs.remove("blob-0");
    read(&blobs);
}
