//! Lost disks, nodes that join and leave, and a steward that dies: real processes, real directories,
//! epoch after epoch, while blobs are read and written.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it wipes the volumes of real processes, and a broken assumption fails the test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;
use std::time::Duration;

use floe_tests::process::{Committee, Dice, Http, Size, content, is_slow, wait_for};
use serde_json::Value;

const SEVEN: Size = Size { nodes: 7, shards: 10 };
const SOON: Duration = Duration::from_mins(2);
/// What repair may read for a byte that it restores, in thousandths.
const MOST_READ_PER_RESTORED: u64 = 1050;

struct Stage {
    committee: Committee,
    http: Http,
    blobs: BTreeMap<String, Vec<u8>>,
}

fn path(name: &str) -> String {
    format!("/v1/namespaces/default/blobs/{name}")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

impl Stage {
    fn set(test: &str) -> Self {
        let committee = Committee::start(test, SEVEN);
        let http = committee.http();
        let mut stage = Self { committee, http, blobs: BTreeMap::new() };
        // Several full stripes; one that is not full; a small blob; an empty one.
        for length in [3_000_000, 900_001, 1000, 0] {
            stage.write(length);
        }
        stage.committee.wait_all_whole();
        stage
    }

    fn write(&mut self, length: usize) {
        let number = self.blobs.len();
        let (name, bytes) = (format!("blob-{number}"), content(number as u64, length));
        self.http.put(&path(&name), &bytes).expect(201);
        self.blobs.insert(name, bytes);
    }

    fn read_all(&self) {
        for (name, bytes) in &self.blobs {
            assert_eq!(&self.http.get(&path(name)).expect(200).body, bytes, "{name}");
        }
    }

    fn manage(&self, words: &[&str]) -> Output {
        self.committee.manage(words).output().unwrap()
    }

    fn done(&self, words: &[&str]) -> String {
        let output = self.manage(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Shards by node, of the newest committed record.
    fn shards(&self) -> BTreeMap<String, Vec<u64>> {
        let chain = self.committee.chain();
        let nodes = chain["nodes"].as_array().unwrap().iter();
        nodes.map(|it| (it["node"].as_str().unwrap().to_owned(), numbers(&it["shards"]))).collect()
    }

    fn node_of(chain: &Value, node: usize) -> Value {
        let name = format!("node-{node}");
        let nodes = chain["nodes"].as_array().unwrap();
        nodes.iter().find(|it| it["node"] == name.as_str()).cloned().unwrap_or(Value::Null)
    }

    /// The node's disk is lost: it comes back with an empty one.
    fn wipe(&self, node: usize) {
        let name = format!("node-{node}");
        if self.committee.running().contains(&name) {
            self.committee.kill(&[&name]);
        }
        fs::remove_dir_all(self.committee.volume(node)).unwrap();
        self.committee.start_node(node);
    }

    /// Its next incarnation starts.
    fn replace(&self, node: usize) {
        let said = self.done(&["replace", &format!("node-{node}"), "--wait", "0"]);
        assert!(said.contains("incarnation"), "{said}");
        self.committee.kill(&[&format!("node-{node}")]);
        self.committee.start_node(node);
    }

    fn wait_chain(&self, what: &str, such: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, SOON, || {
            let chain = self.committee.chain();
            if such(&chain) { Ok(chain) } else { Err(chain.to_string()) }
        })
    }

    /// Repairs for whoever has unfilled shards until nothing is unfilled, moved or blocked any more.
    fn settle(&self) -> Value {
        wait_for("everything is whole and nothing moves", SOON, || {
            let chain = self.committee.chain();
            if numbers(&chain["unfilled"]).is_empty() && chain["blocked"] == "" {
                return Ok(chain);
            }
            for node in chain["nodes"].as_array().unwrap() {
                if !numbers(&node["unfilled"]).is_empty() && node["state"] == "present" {
                    self.committee.repair(node["node"].as_str().unwrap());
                }
            }
            Err(chain.to_string())
        })
    }

    /// All nodes hold what they owe, and what was written is read back.
    fn all_is_well(&self) {
        self.read_all();
        let whole = |chain: &Value| {
            let nodes = chain["nodes"].as_array().unwrap().iter();
            nodes
                .clone()
                .all(|it| it["sliversOwed"].is_u64() && it["sliversHeld"] == it["sliversOwed"])
        };
        self.wait_chain("all hold what they owe", whole);
    }
}

#[test]
fn a_lost_disk_is_replaced_repaired_and_whole() {
    let mut stage = Stage::set("epochs-lost-disk");
    stage.committee.start_steward("steward");
    let held = stage.committee.metrics(2).sum("floe_node_stored_bytes", &[]);
    stage.wipe(2);
    wait_for("the node says that its volume is not the one of the record", SOON, || {
        match stage.committee.readiness(2)? {
            (503, text) if text.contains("next incarnation") => Ok(()),
            (status, text) => Err(format!("{status}: {text}")),
        }
    });
    // Writes and reads go on.
    stage.write(700_000);
    stage.read_all();
    stage.replace(2);
    let chain = stage.wait_chain("the next incarnation is committed", |chain| {
        chain["nodes"][2]["incarnation"] == 1
    });
    assert_eq!(chain["epoch"], 1);
    assert_eq!(chain["unfilled"], Stage::node_of(&chain, 2)["shards"]);
    // Under the new record, before its shards are whole.
    stage.write(600_000);
    stage.read_all();
    let repaired = stage.committee.repair("node-2");
    let (read, restored) = (&repaired["readBytes"], &repaired["restoredBytes"]);
    let (read, restored) = (read.as_u64().unwrap(), restored.as_u64().unwrap());
    println!("{held} bytes lost, {restored} restored by floe repair from {read} read");
    assert!(restored > 0, "{repaired}");
    assert!(read * 1000 <= restored * MOST_READ_PER_RESTORED, "{repaired}");
    let chain = stage.settle();
    assert_eq!((&chain["epoch"], &chain["forced"]), (&Value::from(2), &Value::from(false)));
    stage.all_is_well();
    // The lost volume's directory is kept where there was one.
    assert!(stage.committee.node_dir(2).join("volume-1").exists());
    assert_eq!(stage.committee.repair("node-2")["slivers"], 0, "nothing is left to do");
}

#[test]
fn more_than_the_rules_can_mend_is_refused_with_the_list() {
    let stage = Stage::set("epochs-beyond-the-limit");
    // Two nodes with two shards each: one more than f.
    let before = stage.shards();
    let heavy: Vec<usize> = (0..7).filter(|it| before[&format!("node-{it}")].len() == 2).collect();
    let (one, other) = (heavy[0], heavy[1]);
    let kept = stage.committee.scene().dir().join("kept");
    stage.committee.kill_nodes(&[one, other]);
    fs::rename(stage.committee.volume(other), &kept).unwrap();
    fs::remove_dir_all(stage.committee.volume(one)).unwrap();
    for node in [one, other] {
        stage.done(&["replace", &format!("node-{node}"), "--wait", "0"]);
        stage.committee.start_node(node);
    }
    let output = stage.manage(&["force"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for words in ["nothing was done", "more than f = 3 shards", "bring one of these volumes back"] {
        assert!(said.contains(words), "{said}");
    }
    for node in [one, other] {
        assert!(said.contains(&format!("node-{node}-0 (shards ")), "{said}");
    }
    let blocked = stage.committee.chain();
    assert_eq!(blocked["epoch"], 0, "nothing was proposed");
    // The way out that loses nothing: one of the volumes comes back under its own incarnation.
    stage.committee.kill_nodes(&[other]);
    let file = stage.committee.dir().join("committee.json");
    let mut wanted: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    wanted["nodes"][other]["incarnation"] = Value::from(0);
    fs::write(&file, wanted.to_string()).unwrap();
    let init = stage.committee.scene().floe(&["committee", "init", "--dir", "committee"]).output();
    assert!(init.as_ref().unwrap().status.success(), "{}", text(&init.unwrap().stderr));
    fs::remove_dir_all(stage.committee.volume(other)).unwrap();
    fs::rename(&kept, stage.committee.volume(other)).unwrap();
    stage.committee.start_node(other);
    stage.committee.start_steward("steward");
    stage.wait_chain("the other one is replaced", |chain| chain["epoch"] == 1);
    stage.settle();
    stage.all_is_well();
}

#[test]
fn an_eighth_node_gets_the_least_and_a_node_that_leaves_gives_all() {
    let mut stage = Stage::set("epochs-join-leave");
    stage.committee.start_steward("steward");
    let before = stage.shards();
    let said = stage.done(&["add", "--wait", "0"]);
    assert!(said.contains("node-7 joins"), "{said}");
    stage.committee.start_node(7);
    stage.wait_chain("a shard moves", |chain| chain["epoch"] == 1);
    stage.write(800_000);
    stage.read_all();
    let chain = stage.settle();
    let after = stage.shards();
    let moved: Vec<u64> = after
        .iter()
        .flat_map(|(node, shards)| {
            let had = before.get(node).cloned().unwrap_or_default();
            shards.iter().filter(move |shard| !had.contains(shard)).copied().collect::<Vec<_>>()
        })
        .collect();
    // Ten shards on eight nodes: the new one gets one, and nothing else moves.
    assert_eq!((moved.len(), after["node-7"].len()), (1, 1), "{before:?} {after:?}");
    let bytes = Stage::node_of(&chain, 7)["bytesHeld"].as_u64().unwrap();
    println!("joined: {} shard moved, {bytes} bytes; least possible: 1", moved.len());
    stage.all_is_well();

    stage.done(&["remove", "node-1", "--wait", "0"]);
    let gone = |chain: &Value| {
        chain["nodes"].as_array().unwrap().iter().all(|node| node["node"] != "node-1")
    };
    wait_for("node-1 has left", SOON, || {
        let chain = stage.settle();
        if gone(&chain) { Ok(()) } else { Err(chain.to_string()) }
    });
    stage.committee.stop_node(1);
    stage.write(500_000);
    stage.all_is_well();
    let left = stage.shards();
    assert_eq!(left.values().map(Vec::len).sum::<usize>(), 10);
    let (least, most) = (left.values().map(Vec::len).min(), left.values().map(Vec::len).max());
    assert_eq!((least, most), (Some(1), Some(2)), "{left:?}");
}

#[test]
fn a_steward_that_is_killed_all_the_time_gets_there() {
    let stage = Stage::set("epochs-killed-steward");
    let mut dice = Dice::new(stage.committee.scene().seed());
    let mut killed = 0;
    for node in [3, 4, 3] {
        stage.wipe(node);
        stage.replace(node);
        let wanted = stage.committee.incarnation(node).0;
        loop {
            stage.committee.start_steward("steward");
            // Anywhere between its start and the end of its second pass.
            std::thread::sleep(Duration::from_millis(dice.within(5..1500)));
            stage.committee.kill(&["steward"]);
            killed += 1;
            let chain = stage.committee.chain();
            let now = Stage::node_of(&chain, node);
            if now["incarnation"] == wanted {
                if numbers(&chain["unfilled"]).is_empty() {
                    break;
                }
                stage.committee.repair(&format!("node-{node}"));
            }
            assert!(killed < 200, "{chain}");
        }
    }
    println!("killed {killed} times");
    stage.committee.start_steward("steward");
    stage.settle();
    stage.all_is_well();
}

/// Whoever works on a lost disk is killed, at any moment: the steward, the repair, the node itself.
#[test]
fn whoever_works_on_lost_disks_is_killed_sixty_times() {
    let stage = Stage::set("epochs-all-killed");
    let committee = &stage.committee;
    let mut dice = Dice::new(committee.scene().seed());
    let most = if is_slow() { 400 } else { 60 };
    let mut killed: BTreeMap<String, usize> = BTreeMap::new();
    let kills = |killed: &BTreeMap<String, usize>| killed.values().sum::<usize>();
    committee.start_steward("steward");
    for lost in 0.. {
        if kills(&killed) >= most {
            break;
        }
        let node = 2 + lost % 3;
        let name = format!("node-{node}");
        stage.wipe(node);
        stage.replace(node);
        let wanted = committee.incarnation(node).0;
        let mut repair = committee.spawn_repair("repair", node);
        while kills(&killed) < most {
            std::thread::sleep(Duration::from_millis(dice.within(5..900)));
            let victim = ["steward", "repair", &name][usize::try_from(dice.within(0..3)).unwrap()];
            *killed.entry(victim.to_owned()).or_default() += 1;
            if victim == "repair" {
                repair.kill();
                repair = committee.spawn_repair("repair", node);
            } else {
                committee.kill(&[victim]);
                if victim == "steward" {
                    committee.start_steward("steward");
                } else {
                    committee.start_node(node);
                }
            }
            if repair.ended().is_some() {
                repair = committee.spawn_repair("repair", node);
            }
            let chain = committee.chain();
            let is_filled = numbers(&chain["unfilled"]).is_empty();
            if Stage::node_of(&chain, node)["incarnation"] == wanted && is_filled {
                break;
            }
        }
        repair.kill();
        stage.settle();
    }
    println!("killed: {killed:?}");
    assert_eq!(kills(&killed), most);
    stage.settle();
    stage.all_is_well();
}
