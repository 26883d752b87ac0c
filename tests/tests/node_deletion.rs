//! Deletion by real processes: what is removed leaves every disk after its window, and nothing else.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it runs real processes, and a broken assumption fails the test"
)]

use std::fs;
use std::process::Output;
use std::time::Duration;

use floe_tests::process::{Committee, Scene, Size, content, wait_for};

const SMALL: Size = Size { nodes: 4, shards: 4 };
/// Long enough to bring something back.
const WINDOW: &str = "20s";
/// How long after the window slivers may still be there.
const GONE_WITHIN: Duration = Duration::from_mins(3);

fn floe(committee: &Committee, words: &[&str]) -> Output {
    committee.floe(words).output().unwrap()
}

#[track_caller]
fn done(committee: &Committee, words: &[&str]) -> String {
    let output = floe(committee, words);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "floe {words:?}: {complained}");
    String::from_utf8(output.stdout).unwrap_or_default()
}

#[track_caller]
fn ends_with(committee: &Committee, words: &[&str], code: i32, word: &str) {
    let output = floe(committee, words);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "floe {words:?}: {complained}");
    assert!(complained.contains(word), "{word:?} is not in: {complained}");
}

/// Files of slivers on a node's disk, which may go while they are counted.
fn slivers(committee: &Committee, node: usize) -> usize {
    let keys = fs::read_dir(committee.volume(node).join("slivers")).unwrap();
    let of_key = |key: fs::DirEntry| fs::read_dir(key.path()).map_or(0, Iterator::count);
    keys.map(|key| of_key(key.unwrap())).sum()
}

fn wait_slivers(committee: &Committee, node: usize, count: usize) {
    wait_for(&format!("node-{node} has {count} slivers"), GONE_WITHIN, || {
        let there = slivers(committee, node);
        if there == count { Ok(()) } else { Err(format!("it has {there}")) }
    });
}

#[test]
fn what_is_removed_is_brought_back_or_leaves_every_disk() {
    let scene = Scene::new("deletion");
    let policy = format!("--undelete-window={WINDOW}");
    let committee = Committee::init_with(scene, "committee", SMALL, &[&policy]);
    committee.form();
    let (model, kept) = (content(1, 400_000), content(2, 300_000));
    for (name, bytes) in [("model.bin", &model), ("kept.bin", &kept)] {
        fs::write(committee.scene().dir().join(name), bytes).unwrap();
        done(&committee, &["put", name]);
    }
    committee.wait_all_whole();
    let all = slivers(&committee, 0);
    assert!(
        (0..4).all(|node| slivers(&committee, node) == all),
        "a pair of each blob on each node"
    );
    let rest = all / 2;

    assert!(done(&committee, &["rm", "model.bin"]).contains("model.bin"));
    ends_with(&committee, &["get", "model.bin"], 4, "not-found");
    ends_with(&committee, &["rm", "model.bin"], 4, "not-found");
    done(&committee, &["undelete", "model.bin"]);
    assert!(floe(&committee, &["get", "model.bin"]).stdout == model);
    ends_with(&committee, &["undelete", "model.bin"], 1, "not-deleted");
    ends_with(&committee, &["undelete", "nowhere"], 4, "not-found");

    committee.kill_nodes(&[3]);
    done(&committee, &["rm", "model.bin"]);
    for node in 0..3 {
        wait_slivers(&committee, node, rest);
    }
    assert_eq!(slivers(&committee, 3), all, "node-3 is away");
    ends_with(&committee, &["undelete", "model.bin"], 1, "410 deleted");
    committee.start_node(3);
    committee.wait_ready();
    wait_slivers(&committee, 3, rest);

    // Nothing of it comes back with a restart, and what is wanted is all there.
    for node in 0..3 {
        committee.kill_nodes(&[node]);
        committee.start_node(node);
        committee.wait_ready();
    }
    ends_with(&committee, &["get", "model.bin"], 4, "not-found");
    assert!(floe(&committee, &["get", "kept.bin"]).stdout == kept);
    committee.wait_all_whole();
    assert!((0..4).all(|node| slivers(&committee, node) == rest), "only what is kept");
    done(&committee, &["put", "model.bin"]);
    assert!(floe(&committee, &["get", "model.bin"]).stdout == model);
    committee.wait_all_whole();
    for node in 0..4 {
        committee.stop_node(node);
        assert_eq!(committee.inspect(node).slivers, all, "node {node}");
    }
}
