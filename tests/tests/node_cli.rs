//! The command line against real processes: what it prints, and how it ends.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it runs real processes, and a broken assumption fails the test"
)]

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use floe_tests::process::{Committee, Scene, Server, Size, content, wait_for};
use serde_json::Value;

const SMALL: Size = Size { nodes: 4, shards: 4 };

/// Runs a command to its end, with this on standard input.
fn run(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}{complained}");
    said.into_owned()
}

#[track_caller]
fn ends_with(output: &Output, code: i32, words: &[&str]) {
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{complained}");
    for word in words {
        assert!(complained.contains(word), "{word:?} is not in: {complained}");
    }
}

#[test]
fn blobs_by_hand() {
    let committee = Committee::start("cli-blobs", SMALL);
    let floe = |words: &[&str], input: &[u8]| run(committee.floe(words), input);
    let dir = committee.scene().dir();
    let bytes = content(1, 400_000);
    fs::write(dir.join("model.bin"), &bytes).unwrap();
    let id = done(&floe(&["id", "--shards", "4", "model.bin"], b"")).trim().to_owned();
    assert_eq!(done(&floe(&["id", "--shards", "4", "-"], &bytes)).trim(), id);
    let json: Value =
        serde_json::from_str(&done(&floe(&["id", "--shards", "4", "--json", "model.bin"], b"")))
            .unwrap();
    assert_eq!((&json["blobID"], &json["size"]), (&id.as_str().into(), &400_000.into()));

    // A name with its namespace, one without, one from the file, one for standard input.
    let said = done(&floe(&["put", "shop/model", "model.bin"], b""));
    assert!(said.contains("shop/model stored") && said.contains(&id), "{said}");
    let again = done(&floe(&["put", "shop/model", "model.bin"], b""));
    assert!(again.contains("already there"), "{again}");
    done(&floe(&["put", "model.bin"], b""));
    done(&floe(&["put", "notes", "-", "--namespace", "shop"], b"from a pipe"));
    done(&floe(&["put", "empty", "-"], b""));
    let json: Value =
        serde_json::from_str(&done(&floe(&["put", "--json", "other", "-"], &bytes))).unwrap();
    assert_eq!((&json["blobID"], &json["name"]), (&id.as_str().into(), &"other".into()));

    done(&floe(&["get", "shop/model", "copy.bin"], b""));
    assert!(fs::read(dir.join("copy.bin")).unwrap() == bytes);
    assert!(floe(&["get", "model.bin"], b"").stdout == bytes);
    assert!(floe(&["get", "model.bin", "-"], b"").stdout == bytes);
    assert_eq!(floe(&["get", "shop/notes"], b"").stdout, b"from a pipe");
    assert_eq!(done(&floe(&["get", "empty"], b"")), "");
    assert_eq!(floe(&["get", "--range", "5-9", "shop/notes"], b"").stdout, b"a pipe"[..5]);
    assert_eq!(floe(&["get", "--range", "-4", "shop/notes"], b"").stdout, b"pipe");

    let listed = done(&floe(&["ls", "shop"], b""));
    assert!(listed.contains("model") && listed.contains("notes") && !listed.contains("other"));
    let json: Value = serde_json::from_str(&done(&floe(&["ls", "--json"], b""))).unwrap();
    let names: Vec<&str> =
        json.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["empty", "model.bin", "other"]);
    let stat = done(&floe(&["stat", "shop/model"], b""));
    assert!(stat.contains(&id) && stat.contains("400000"), "{stat}");
    let json: Value =
        serde_json::from_str(&done(&floe(&["stat", "--json", "shop/model"], b""))).unwrap();
    assert_eq!((&json["blobID"], &json["namespace"]), (&id.as_str().into(), &"shop".into()));

    let status = done(&floe(&["status"], b""));
    for word in ["COMMITTEE", "VERDICT", "node-0", "node-3", "serving", "4 shards, f = 1"] {
        assert!(status.contains(word), "{word} is not in: {status}");
    }
    let json: Value = serde_json::from_str(&done(&floe(&["status", "--json"], b""))).unwrap();
    assert_eq!((json["nodes"].as_array().unwrap().len(), &json["faulty"]), (4, &1.into()));

    done(&floe(&["rm", "shop/model"], b""));
    ends_with(&floe(&["get", "shop/model"], b""), 4, &["not-found"]);
    done(&floe(&["rm", "--json", "shop/notes"], b""));
    assert_eq!(done(&floe(&["ls", "shop", "--json"], b"")).trim(), "[]");
}

#[test]
fn exit_codes() {
    let committee = Committee::start("cli-exit-codes", SMALL);
    let floe = |words: &[&str], input: &[u8]| run(committee.floe(words), input);
    let dir = committee.scene().dir();
    done(&floe(&["put", "here", "-"], b"here"));

    ends_with(&floe(&["put", "here", "-"], b"other"), 1, &["content-differs"]);
    ends_with(&floe(&["put", "here", "no-such-file"], b""), 1, &["no-such-file"]);
    ends_with(&floe(&["id", "no-such-file"], b""), 1, &["no-such-file"]);

    for words in [
        &["put", "-"][..],
        &["put"],
        &["put", "Not A Name", "-"],
        &["get", "shop/"],
        &["get", "here", "--range"],
        &["ls", "Shop"],
        &["id", "--shards", "3", "here"],
        &["stat"],
        &["fetch", "here"],
        &["get", "here", "--no-such-flag"],
        &["get", "--url", "http://127.0.0.1:1", "here"],
        &["status", "--log", "a=b=c"],
    ] {
        let output = floe(words, b"");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{words:?}");
    }
    let output = run(committee.scene().floe(&["ls"]), b"");
    ends_with(&output, 2, &["--url"]);

    ends_with(&floe(&["get", "nowhere"], b""), 4, &["not-found", "default/nowhere"]);
    ends_with(&floe(&["get", "nowhere", "into.bin"], b""), 4, &["not-found"]);
    assert!(!dir.join("into.bin").exists(), "a file was made of nothing");
    ends_with(&floe(&["stat", "nowhere"], b""), 4, &["not-found"]);
    ends_with(&floe(&["rm", "nowhere"], b""), 4, &["not-found"]);
    let mut guess = committee.floe(&["get", "here", "--token", "guess"]);
    guess.env_remove("FLOE_TOKEN_FILE");
    ends_with(&run(guess, b""), 4, &["unauthenticated"]);
    let tokens = fs::read_to_string(committee.tokens()).unwrap();
    fs::write(committee.tokens(), format!("{tokens}shop-token ci shop\n")).unwrap();
    // After a token that it did not know, the gateway looks into the file once a second.
    let foreign = wait_for("a new token counts", Duration::from_secs(10), || {
        let output = floe(&["ls", "default", "--token", "shop-token"], b"");
        let unknown = String::from_utf8_lossy(&output.stderr).contains("unauthenticated");
        if unknown { Err(format!("{output:?}")) } else { Ok(output) }
    });
    ends_with(&foreign, 4, &["forbidden"]);

    committee.kill_nodes(&[1, 2]);
    ends_with(&floe(&["put", "more", "-"], b"more"), 3, &["write-quorum-missing", "2", "3"]);
    ends_with(&floe(&["get", "here"], b""), 3, &["quorum-missing", "2", "3"]);
    ends_with(&floe(&["rm", "here"], b""), 3, &["quorum-missing"]);
    let status = done(&floe(&["status"], b""));
    assert!(
        status.contains("away") && status.contains("cannot be resolved nor written"),
        "{status}"
    );
    committee.kill(&["gateway"]);
    ends_with(&floe(&["get", "here"], b""), 1, &["is it running?"]);
}

#[test]
fn a_committee_by_hand_is_made_and_formed_once() {
    let scene = Scene::new("cli-committee");
    let few = run(scene.floe(&["committee", "init", "--nodes", "3", "--dir", "few"]), b"");
    ends_with(&few, 2, &["at least 4"]);
    assert!(!scene.dir().join("few").exists(), "something was made of a wrong wish");
    let unmade = run(scene.floe(&["committee", "form", "--dir", "nowhere"]), b"");
    ends_with(&unmade, 1, &["floe committee init"]);
    let unmade = run(scene.floe(&["sidecar", "--dir", "nowhere"]), b"");
    ends_with(&unmade, 1, &["floe committee init"]);

    let committee = Committee::init(scene, "committee", SMALL);
    let form = |wait: &str| {
        let words = ["committee", "form", "--dir", "committee", "--wait", wait];
        run(committee.scene().floe(&words), b"")
    };
    ends_with(&form("1"), 3, &["node-0", "node-3"]);
    committee.form();
    let said = done(&form("20"));
    assert!(said.contains("is formed"), "{said}");
    let mut records = names(&committee.dir().join("records"));
    records.retain(|name| name.ends_with(".record"));
    assert_eq!(records.len(), 1, "another record 0 was made");
    let other = ["committee", "init", "--dir", "committee", "--nodes", "5"];
    ends_with(&run(committee.scene().floe(&other), b""), 2, &["4 nodes"]);
}

/// `floe standalone` in a scene.
struct Standalone<'a> {
    scene: &'a Scene,
    listen: SocketAddr,
}

impl<'a> Standalone<'a> {
    fn new(scene: &'a Scene) -> Self {
        // Only to draw a port; nobody else takes it on purpose.
        let drawn = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self { scene, listen: drawn.local_addr().unwrap() }
    }

    fn start(&self) -> Server {
        let mut command = self.scene.floe(&["standalone", "--nodes", "4", "--dir", "data"]);
        command.args(["--listen", &self.listen.to_string(), "--until-stdin-ends"]);
        let mut server = self.scene.spawn("standalone", command);
        wait_for("standalone serves", Duration::from_mins(1), || {
            if let Some(status) = server.ended() {
                panic!("it ended with {status}:\n{}", self.scene.log_tail("standalone"));
            }
            let output = run(self.client(&["status", "--json"]), b"");
            let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
            let all = nodes.len() == 4 && nodes.iter().all(|node| node["state"] == "serving");
            if all { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
        });
        server
    }

    fn client(&self, words: &[&str]) -> Command {
        let mut command = self.scene.floe(words);
        let dir = self.scene.dir().join("data");
        command.env("FLOE_URL", format!("https://{}", self.listen));
        command.env("FLOE_CA", dir.join("gateway/tls/ca.pem"));
        command.env("FLOE_TOKEN_FILE", dir.join("gateway/tokens"));
        command
    }

    /// Nothing of it runs any more: nobody listens, and every volume can be locked.
    fn is_gone(&self) {
        assert!(TcpStream::connect(self.listen).is_err(), "somebody still listens");
        let nodes = self.scene.dir().join("data/nodes");
        for node in fs::read_dir(nodes).unwrap() {
            let file = fs::read(node.unwrap().path().join("node.json")).unwrap();
            let file: Value = serde_json::from_slice(&file).unwrap();
            for member in ["listen", "metricsListen"] {
                let address: SocketAddr = file[member].as_str().unwrap().parse().unwrap();
                assert!(TcpStream::connect(address).is_err(), "{address} still answers");
            }
        }
    }
}

#[test]
fn standalone_goes_on_where_it_ended() {
    let scene = Scene::new("cli-standalone");
    let standalone = Standalone::new(&scene);
    let bytes = content(2, 3_000_000);
    fs::write(scene.dir().join("big.bin"), &bytes).unwrap();

    let server = standalone.start();
    done(&run(standalone.client(&["put", "shop/big", "big.bin"]), b""));
    let said = fs::read_to_string(scene.log("standalone")).unwrap();
    assert!(said.contains("client.env") && said.contains("Ctrl-C ends it"), "{said}");
    // A second one on the same directory does not disturb the first.
    let other = scene.floe(&["standalone", "--dir", "data"]);
    assert_eq!(run(other, b"").status.code(), Some(1));
    assert!(run(standalone.client(&["get", "shop/big"]), b"").stdout == bytes);
    assert!(server.stop("TERM").success());
    standalone.is_gone();

    let server = standalone.start();
    assert!(run(standalone.client(&["get", "shop/big"]), b"").stdout == bytes);
    done(&run(standalone.client(&["put", "later", "-"]), b"later"));
    assert!(server.stop("INT").success());
    standalone.is_gone();

    let server = standalone.start();
    server.kill();
    let server = standalone.start();
    assert!(run(standalone.client(&["get", "shop/big"]), b"").stdout == bytes);
    assert_eq!(run(standalone.client(&["get", "later"]), b"").stdout, b"later");
    drop(server);
}

#[test]
fn standalone_replaces_a_lost_volume_by_itself() {
    let scene = Scene::new("cli-standalone-loss");
    let standalone = Standalone::new(&scene);
    let bytes = content(3, 2_000_000);
    fs::write(scene.dir().join("big.bin"), &bytes).unwrap();
    let server = standalone.start();
    done(&run(standalone.client(&["put", "big", "big.bin"]), b""));
    assert!(server.stop("TERM").success());
    fs::remove_dir_all(scene.dir().join("data/nodes/node-1/volume-0")).unwrap();

    let server = standalone.start();
    wait_for("the next volume is whole", Duration::from_mins(2), || {
        let said = done(&run(standalone.client(&["status", "--json"]), b""));
        let status: Value = serde_json::from_str(&said).unwrap();
        let node = &status["nodes"][1];
        let whole = status["unfilled"] == Value::Array(Vec::new())
            && node["incarnation"] == 1
            && node["sliversOwed"] != 0
            && node["sliversOwed"] == node["sliversHeld"];
        if whole { Ok(()) } else { Err(said) }
    });
    let said = done(&run(standalone.client(&["status"]), b""));
    for word in ["epoch 2", "UNFILLED  -", "REPAIR    nothing to do", "BLOCKED   nothing"] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    assert!(run(standalone.client(&["get", "big"]), b"").stdout == bytes);
    let chain = done(&run(scene.floe(&["committee", "status", "--dir", "data"]), b""));
    assert!(chain.contains("epoch 2") && chain.contains("BLOCKED   nothing"), "{chain}");
    drop(server);
}

#[test]
fn standalone_wants_four_nodes_and_its_own_directory() {
    let scene = Scene::new("cli-standalone-usage");
    for nodes in ["0", "1", "3"] {
        let few = run(scene.floe(&["standalone", "--nodes", nodes, "--dir", "few"]), b"");
        ends_with(&few, 2, &["at least 4"]);
    }
    assert!(!scene.dir().join("few").exists());
    let many = run(scene.floe(&["standalone", "--nodes", "11", "--dir", "many"]), b"");
    ends_with(&many, 2, &["at most 10 nodes"]);
    fs::create_dir(scene.dir().join("photos")).unwrap();
    fs::write(scene.dir().join("photos/one.jpg"), b"not ours").unwrap();
    let foreign = run(scene.floe(&["standalone", "--dir", "photos"]), b"");
    ends_with(&foreign, 2, &["holds no committee"]);
    assert_eq!(names(&scene.dir().join("photos")), ["one.jpg"]);
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
