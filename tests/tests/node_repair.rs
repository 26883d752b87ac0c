//! Lost volumes of real processes, filled by `floe repair`, which may be killed at any moment.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it kills real processes, and a broken assumption fails the test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use floe_tests::process::{Committee, Dice, Http, Size, content, is_slow, wait_for};
use serde_json::Value;

/// What repair may read for a byte that it restores, in thousandths.
const MOST_READ_PER_RESTORED: u64 = 1050;
const RESTORED: &str = "floe_node_repair_slivers_total";
const COMMITS_WITHIN: Duration = Duration::from_mins(2);

fn path(name: &str) -> String {
    format!("/v1/namespaces/default/blobs/{name}")
}

fn write(http: &Http, lengths: impl Iterator<Item = usize>) -> BTreeMap<String, Vec<u8>> {
    let blobs = lengths.enumerate().map(|(number, length)| {
        let (name, bytes) = (format!("blob-{number}"), content(number as u64, length));
        http.put(&path(&name), &bytes).expect(201);
        (name, bytes)
    });
    blobs.collect()
}

fn node_name(node: usize) -> String {
    format!("node-{node}")
}

fn wait_chain(committee: &Committee, what: &str, such: impl Fn(&Value) -> bool) {
    wait_for(what, COMMITS_WITHIN, || {
        let chain = committee.chain();
        if such(&chain) { Ok(()) } else { Err(chain.to_string()) }
    });
}

/// The node's disk is wiped; its next incarnation joins by a new record, with nothing in it.
fn lose_disk(committee: &Committee, node: usize) {
    committee.kill_nodes(&[node]);
    fs::remove_dir_all(committee.volume(node)).unwrap();
    let replace = ["replace", &node_name(node), "--wait", "0"];
    let output = committee.manage(&replace).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "floe committee replace: {said}");
    committee.start_node(node);
    wait_chain(committee, "the next incarnation is committed", |chain| {
        chain["nodes"][node]["incarnation"] == 1
    });
    committee.wait_ready();
}

#[test]
fn a_lost_disk_is_filled_by_repair_that_is_killed_again_and_again() {
    let size = Size { nodes: 7, shards: 10 };
    let committee = Committee::start("repair-killed", size);
    let (http, node) = (committee.http(), 0);
    let lengths = [0, 1, 70_000, 900_000].into_iter().chain((0..20).map(|it| 1_500_000 + it));
    let blobs = write(&http, lengths);
    committee.wait_all_whole();
    committee.start_steward("steward");
    lose_disk(&committee, node);
    let shards = committee.chain()["nodes"][node]["unfilled"].as_array().unwrap().len();
    assert_eq!(shards, 2);

    let mut dice = Dice::new(committee.scene().seed());
    for kill in 0..4 {
        let name = format!("repair-{kill}");
        let process = committee.spawn_repair(&name, node);
        thread::sleep(Duration::from_millis(dice.within(20..600)));
        process.kill();
    }
    committee.repair(&node_name(node));
    let due = 2 * 2 * blobs.len() as u64;
    committee.wait_whole(node, due);
    // Everything came once, under leases: the node itself did nothing.
    let metrics = committee.metrics(node);
    assert_eq!(metrics.sum(RESTORED, &["result=\"ok\""]), due);
    assert_eq!(metrics.sum(RESTORED, &["path=\"lease\"", "result=\"ok\""]), due);
    wait_chain(&committee, "the node is whole", |chain| {
        chain["unfilled"].as_array().is_some_and(Vec::is_empty)
    });
    assert_eq!(committee.repair(&node_name(node))["slivers"], 0, "no work is no failure");

    // What was rebuilt is needed now: three more of ten shards.
    committee.kill_nodes(&[1, 3]);
    for (name, bytes) in &blobs {
        let got = http.get(&path(name)).expect(200);
        assert!(got.is_whole && got.body == *bytes, "{name} came back otherwise");
    }
    committee.stop_node(node);
    assert_eq!(committee.inspect(node).slivers as u64, due);
}

#[test]
fn many_small_blobs_are_rebuilt_at_a_good_rate() {
    let committee = Committee::start("repair-small", Size { nodes: 7, shards: 7 });
    let (http, node) = (committee.http(), 0);
    let blobs = if is_slow() { 5_000 } else { 200 };
    // n = 7: slivers of 2 KiB are primaries of a sixth of the blob, and secondaries of a tenth.
    let blobs = write(&http, (0..blobs).map(|it| 6_144 + it % 7)).len() as u64;
    committee.wait_all_whole();
    committee.start_steward("steward");
    lose_disk(&committee, node);
    wait_for("the node knows what it owes", COMMITS_WITHIN, || {
        let owed = committee.metrics(node).sum("floe_node_slivers", &["state=\"owed\""]);
        if owed == 2 * blobs { Ok(()) } else { Err(format!("it owes {owed}")) }
    });
    let begin = Instant::now();
    let said = committee.repair(&node_name(node));
    let seconds = begin.elapsed().as_secs_f64();
    println!("{} slivers in {seconds:.1} s: {said}", 2 * blobs);
    assert_eq!(said["slivers"], 2 * blobs);
    let number = |member: &str| said[member].as_u64().unwrap();
    assert!(number("readBytes") * 1000 <= number("restoredBytes") * MOST_READ_PER_RESTORED);
    // Questions that came up together went together.
    let batches: u64 = (1..7)
        .map(|peer| {
            let metrics = committee.metrics(peer);
            metrics.sum("floe_node_requests_total", &["route=\"batch\""])
        })
        .sum();
    println!("{batches} batches");
    assert!(batches < 6 * blobs, "{batches} batches for {blobs} blobs");
    committee.wait_whole(node, 2 * blobs);
}
