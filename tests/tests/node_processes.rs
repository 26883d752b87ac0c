//! Real processes that are away, come back, die at random moments, or are too few.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it kills real processes, and a broken assumption fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use floe_model::{BlobLayout, Geometry};
use floe_tests::process::{Committee, Dice, Http, Size, content, is_slow, wait_for};

/// What repair may read for a byte that it restores, in thousandths.
const MOST_READ_PER_RESTORED: u64 = 1050;
const RESTORED: &str = "floe_node_repair_slivers_total";

fn path(name: &str) -> String {
    format!("/v1/namespaces/default/blobs/{name}")
}

/// Slivers of blobs of these lengths that `shards` shards owe.
fn slivers_owed(shards_of_committee: usize, shards: usize, lengths: &[usize]) -> u64 {
    let geometry = Geometry::of_shards(u16::try_from(shards_of_committee).unwrap()).unwrap();
    let extents = |&length: &usize| u64::from(BlobLayout::new(geometry, length as u64).extents());
    lengths.iter().map(extents).sum::<u64>() * 2 * shards as u64
}

fn read_back(http: &Http, blobs: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in blobs {
        let got = http.get(&path(name)).expect(200);
        assert!(got.is_whole && got.body == *bytes, "{name} came back otherwise");
    }
}

/// The node with the most shards.
fn heaviest(shards: &[usize]) -> usize {
    (0..shards.len()).max_by_key(|&node| shards[node]).unwrap()
}

/// Nodes worth as many as possible of `most` shards, beginning with `first`.
fn worth(shards: &[usize], most: usize, first: Option<usize>) -> Vec<usize> {
    let mut left = most;
    let mut chosen = Vec::new();
    for node in first.into_iter().chain(0..shards.len()) {
        if shards[node] <= left && !chosen.contains(&node) {
            left -= shards[node];
            chosen.push(node);
        }
    }
    chosen
}

#[test]
fn a_node_that_missed_writes_heals_by_symbols() {
    heals("processes-heal", Size { nodes: 5, shards: 10 }, "path=\"symbols\"");
}

/// Three of ten pairs weigh more than the stripe.
#[test]
fn a_node_of_three_shards_heals_by_decoding() {
    heals("processes-heal-heavy", Size { nodes: 4, shards: 10 }, "path=\"decode\"");
}

/// A node is away while blobs are written, comes back, and heals in this way.
fn heals(test: &str, size: Size, way: &str) {
    let committee = Committee::start(test, size);
    let (http, shards) = (committee.http(), committee.shards());
    let away = heaviest(&shards);
    let lengths = [0, 1, 70_000, 900_000, 2_000_003, 9_000_000];
    committee.kill_nodes(&[away]);
    let blobs: BTreeMap<String, Vec<u8>> = (lengths.iter().enumerate())
        .map(|(number, &length)| (format!("missed-{number}"), content(number as u64, length)))
        .collect();
    for (name, bytes) in &blobs {
        let status = http.put(&path(name), bytes).expect(201).json();
        let signers = status["certificateSigners"].as_array().unwrap();
        assert!(!signers.contains(&away.into()), "{status}");
    }
    let sent = || committee.gateway_metrics().sum("floe_gateway_received_bytes_total", &[]);
    let sent_before = sent();

    committee.start_node(away);
    let due = slivers_owed(size.shards, shards[away], &lengths);
    committee.wait_whole(away, due);
    let metrics = committee.metrics(away);
    assert_eq!(metrics.sum(RESTORED, &["result=\"ok\""]), due);
    assert_eq!(metrics.sum(RESTORED, &[way, "result=\"ok\""]), due);
    let read = metrics.sum("floe_node_repair_bytes_read_total", &[]);
    let restored = metrics.sum("floe_node_repair_bytes_restored_total", &[]);
    assert!(
        restored > 0 && read * 1000 <= restored * MOST_READ_PER_RESTORED,
        "{read} / {restored}"
    );
    assert_eq!(sent(), sent_before, "somebody sent the blobs again");

    // What was rebuilt is as good as what was written: it is needed now.
    committee.wait_ready();
    let other = worth(&shards, 3, None).into_iter().find(|&node| node != away).unwrap_or(away - 1);
    committee.kill_nodes(&[other]);
    read_back(&http, &blobs);
    committee.stop_node(away);
    assert_eq!(committee.inspect(away).slivers as u64, due);
}

#[test]
fn f_shards_may_die_and_more_stop_writes_with_a_reason() {
    let size = Size { nodes: 7, shards: 10 };
    let committee = Committee::start("processes-quorum", size);
    let (http, shards) = (committee.http(), committee.shards());
    let mut blobs: BTreeMap<String, Vec<u8>> = (0..6_usize)
        .map(|number| (format!("early-{number}"), content(number as u64, number * 400_000)))
        .collect();
    for (name, bytes) in &blobs {
        http.put(&path(name), bytes).expect(201);
    }

    let dead = worth(&shards, 3, None);
    assert_eq!(dead.iter().map(|&node| shards[node]).sum::<usize>(), 3);
    committee.kill_nodes(&dead);
    read_back(&http, &blobs);
    let late = content(77, 1_500_000);
    http.put(&path("late"), &late).expect(201);
    blobs.insert("late".to_owned(), late);
    http.put(&path("gone"), b"gone").expect(201);
    http.delete(&path("gone")).expect(202);
    read_back(&http, &blobs);

    // One node more: what is needed is said, and how many there are.
    let next = (0..shards.len()).find(|node| !dead.contains(node)).unwrap();
    let up = 10 - 3 - shards[next];
    committee.kill_nodes(&[next]);
    let tells = |detail: &str| {
        let has = |number: usize| {
            detail.split(|c: char| !c.is_ascii_digit()).any(|word| word == number.to_string())
        };
        assert!(has(up) && has(7), "{up} of 7 shards are up: {detail}");
    };
    tells(&http.put(&path("later"), b"later").expect_problem(503, "write-quorum-missing"));
    tells(&http.put(&path("early-1"), b"other").expect_problem(503, "write-quorum-missing"));
    // A name is resolved by nodes worth n-f shards: fewer cannot know that it was not released.
    tells(&http.get(&path("early-1")).expect_problem(503, "read-quorum-missing"));
    tells(&http.delete(&path("early-1")).expect_problem(503, "read-quorum-missing"));
    let listed = http.get("/v1/namespaces/default/blobs");
    tells(&listed.expect_problem(503, "read-quorum-missing"));

    // The gateway too: it knows nothing that the nodes do not.
    committee.kill_all();
    (0..size.nodes).for_each(|node| committee.start_node(node));
    committee.start_gateway();
    committee.wait_ready();
    read_back(&http, &blobs);
    http.get(&path("later")).expect_problem(404, "not-found");
    http.get(&path("gone")).expect_problem(404, "not-found");
    http.put(&path("later"), b"later").expect(201);
    // Released content is owed too, for as long as it could be undeleted.
    assert_eq!(committee.wait_all_whole(), blobs.len() as u64 + 2);
}

/// A blob that was put while processes died.
struct Attempt {
    name: String,
    bytes: Vec<u8>,
}

/// What was acknowledged, and what may or may not be there.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<String, Vec<u8>>,
    released: BTreeSet<String>,
}

/// Kills processes at random moments for as long as puts go on around it.
struct Killer<'a> {
    committee: &'a Committee,
    dice: Dice,
    kills: u64,
}

impl Killer<'_> {
    fn pause(&mut self, most_millis: u64) {
        // The random moment is the matter; nothing is waited for.
        thread::sleep(Duration::from_millis(self.dice.within(0..most_millis)));
    }

    /// Kills some nodes at a random moment, looks at what they left, and starts them again; some
    /// die once more while they start or heal.
    fn strike(&mut self) {
        let count = match self.dice.within(0..10) {
            0 => 4,
            1 | 2 => 2,
            _ => 1,
        };
        let victims = self.dice.some_of(count, 4);
        self.pause(200);
        self.kill(&victims);
        for &node in &victims {
            self.committee.start_node(node);
        }
        if self.dice.once_in(2) {
            self.pause(400);
            let again = vec![victims[0]];
            self.kill(&again);
            self.committee.start_node(again[0]);
        }
        if self.dice.once_in(8) {
            self.pause(100);
            self.committee.kill(&["gateway"]);
            self.kills += 1;
            self.committee.start_gateway();
        }
    }

    fn kill(&mut self, victims: &[usize]) {
        self.committee.kill_nodes(victims);
        self.kills += victims.len() as u64;
        for &node in victims {
            self.committee.inspect(node);
        }
    }
}

/// Puts blobs, and releases one now and then, while the killer strikes.
fn round(committee: &Committee, killer: &mut Killer<'_>, ledger: &mut Ledger, number: u64) {
    const AT_A_TIME: u64 = 3;
    // Up to three stripes of n = 4: of one request, and of several.
    let attempts: Vec<Attempt> = (0..AT_A_TIME)
        .map(|at| {
            let length = usize::try_from(killer.dice.within(0..500_000)).unwrap();
            let seed = number * AT_A_TIME + at;
            Attempt { name: format!("blob-{seed}"), bytes: content(seed, length) }
        })
        .collect();
    let release = killer.dice.once_in(3).then(|| ledger.acknowledged.pop_first()).flatten();
    let (http, said) = (committee.http(), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for attempt in &attempts {
            let (http, said) = (&http, &said);
            scope.spawn(move || {
                let reply = http.request("PUT", &path(&attempt.name)).body(&attempt.bytes);
                let is_certified = reply.try_send().is_ok_and(|reply| reply.status == 201);
                said.lock().unwrap().push((attempt, is_certified));
            });
        }
        if let Some((name, _)) = &release {
            let http = &http;
            // Acknowledged or not: from now on it may be gone.
            scope.spawn(move || drop(http.request("DELETE", &path(name)).try_send()));
        }
        killer.strike();
    });
    ledger.released.extend(release.map(|(name, _)| name));
    for (attempt, is_certified) in said.into_inner().unwrap() {
        let to = if is_certified { &mut ledger.acknowledged } else { &mut ledger.open };
        to.insert(attempt.name.clone(), attempt.bytes.clone());
    }
}

#[test]
fn kill_9_at_any_moment_loses_nothing_that_was_acknowledged() {
    let kills = if is_slow() { 400 } else { 60 };
    let begun = Instant::now();
    let committee = Committee::start("processes-kill-9", Size { nodes: 4, shards: 4 });
    let dice = Dice::new(committee.scene().seed());
    let mut killer = Killer { committee: &committee, dice, kills: 0 };
    let mut ledger = Ledger::default();
    let mut number = 0;
    while killer.kills < kills {
        round(&committee, &mut killer, &mut ledger, number);
        number += 1;
        if number % 8 == 0 {
            committee.wait_ready();
            committee.wait_all_whole();
            read_back(&committee.http(), &ledger.acknowledged);
        }
    }
    committee.wait_ready();
    committee.wait_all_whole();
    let http = committee.http();
    read_back(&http, &ledger.acknowledged);
    // A write without an answer is there, exact, or it is not there.
    for (name, bytes) in &ledger.open {
        let got = http.get(&path(name));
        assert!(got.status == 404 || (got.status == 200 && got.body == *bytes), "{name}");
    }
    // Each node holds what it owes: any of them may be missing.
    for node in 0..committee.size().nodes {
        committee.kill_nodes(&[node]);
        assert!(committee.inspect(node).slivers > 0);
        read_back(&http, &ledger.acknowledged);
        committee.start_node(node);
        committee.wait_ready();
    }
    let (acknowledged, open) = (ledger.acknowledged.len(), ledger.open.len());
    println!(
        "{} kills in {number} rounds, {acknowledged} blobs acknowledged, {open} without an answer, {} released, {} s",
        killer.kills,
        ledger.released.len(),
        begun.elapsed().as_secs()
    );
    assert!(acknowledged > open, "most writes must outlive one kill");
}

#[test]
fn a_repair_that_is_killed_again_and_again_goes_on() {
    let committee = Committee::start("processes-kill-repair", Size { nodes: 4, shards: 4 });
    let mut dice = Dice::new(committee.scene().seed());
    let http = committee.http();
    let away = usize::try_from(dice.within(0..4)).unwrap();
    committee.kill_nodes(&[away]);
    let lengths: Vec<usize> =
        (0..24).map(|_| usize::try_from(dice.within(1..1_500_000)).unwrap()).collect();
    for (number, &length) in lengths.iter().enumerate() {
        let bytes = content(number as u64, length);
        http.put(&path(&format!("blob-{number}")), &bytes).expect(201);
    }
    let due = slivers_owed(4, 1, &lengths);
    let mut before = 0;
    for _ in 0..6 {
        committee.start_node(away);
        // Killed once it has got a little further than the last time.
        wait_for("repair gets further", Duration::from_mins(1), || {
            let plain = committee.metrics_address(away);
            let metrics = floe_tests::process::Metrics::fetch(plain)?;
            let held = metrics.sum("floe_node_slivers", &["state=\"held\""]);
            if held > before || held == due { Ok(()) } else { Err(format!("{held} of {due}")) }
        });
        thread::sleep(Duration::from_millis(dice.within(0..30)));
        committee.kill_nodes(&[away]);
        let found = committee.inspect(away).slivers as u64;
        assert!(found >= before, "{found} slivers are left of {before}");
        before = found;
    }
    committee.start_node(away);
    committee.wait_whole(away, due);
}
