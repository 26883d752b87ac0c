//! Another node joins: its share of the shards moves to it, while clients read and write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::repairing::{repair, totals};
use super::scene::{Chain, Node, Scene};
use crate::bench::drive::{Drive, rate, whole};
use crate::bench::figures::{Figures, percentile};
use crate::bench::load::{Task, Verb};
use crate::bench::tell;

/// Clients of each kind.
const CLIENTS: u64 = 2;
/// Old blobs that are read meanwhile: the first, how many, their bytes.
const OLD: Task =
    Task { verb: Verb::Put, clients: CLIENTS, first: 1 << 20, objects: 16, bytes: 1 << 20 };
/// New blobs that are written meanwhile: the first, a round's, their bytes.
const NEW: Task =
    Task { verb: Verb::Put, clients: CLIENTS, first: 1 << 21, objects: CLIENTS, bytes: 64 << 10 };
/// Between two rounds of reading and writing.
const PAUSE: Duration = Duration::from_millis(50);

/// What clients saw while shards moved.
#[derive(Debug, Default)]
struct Seen {
    puts: Vec<Duration>,
    gets: Vec<Duration>,
    failed: Vec<String>,
}

/// Shards by node.
type Shares = BTreeMap<String, Vec<u16>>;

/// What moved.
#[derive(Debug, Default)]
struct Moves {
    took: Duration,
    /// How it was at the end.
    shares: Shares,
    restored_bytes: u64,
    read_bytes: u64,
    /// What of it `floe repair` brought, and in what time.
    brought_bytes: u64,
    repair_took: Duration,
}

/// Adds a node and times the committee until shards are even and whole.
pub(super) fn measure(scene: &Scene<'_>, bytes: &str, figures: &mut Figures) -> anyhow::Result<()> {
    let drive = scene.drive;
    let node = format!("node-{}", drive.committee.first_nodes().count());
    let case = format!("{}, {bytes} of blobs, {node} joins", scene.name);
    tell(&case);
    drive.run(OLD)?;
    let (before, bytes_per_shard) = scene.wait("all nodes hold the blobs", |chain| {
        chain.is_settled()?;
        chain.all_hold_all()?;
        let held = chain.nodes.iter().map(Node::bytes_held).sum::<u64>();
        let shards = chain.nodes.iter().map(|node| node.shards.len() as u64).sum();
        Ok((shares(chain), held.checked_div(shards).ok_or("no shards")?))
    })?;
    drive.cool()?;
    let stop = AtomicBool::new(false);
    let (joined, seen) = thread::scope(|scope| {
        let clients = scope.spawn(|| read_and_write(drive, &stop));
        let joined = join(scene, &node);
        stop.store(true, Ordering::Relaxed);
        (joined, clients.join())
    });
    let moves = joined?;
    let seen = seen.map_err(|_| anyhow!("the clients panicked"))?;
    if let Some(error) = seen.failed.first() {
        tell(&format!(
            "{} requests failed while shards moved, the first: {error}",
            seen.failed.len()
        ));
    }
    let least = least_moves(&before, &node) as u64;
    let least_bytes = whole(least * bytes_per_shard) / 1e6;
    let shards = whole(moved(&before, &moves.shares) as u64);
    figures.add(&case, "added to settled", moves.took.as_secs_f64(), "s");
    figures.add_beside((&case, "shards moved"), (shards, whole(least)), "shards");
    let moved_bytes = whole(moves.restored_bytes) / 1e6;
    figures.add_beside((&case, "bytes moved"), (moved_bytes, least_bytes), "MB");
    figures.add(&case, "read for them", whole(moves.read_bytes) / 1e6, "MB");
    let speed = rate(moves.brought_bytes, moves.repair_took);
    figures.add(&case, "moved by floe repair", speed, "MB/s");
    note_seen(&case, seen, figures);
    Ok(())
}

fn note_seen(case: &str, seen: Seen, figures: &mut Figures) {
    for (what, times) in [("1 MiB read", seen.gets), ("64 KiB written", seen.puts)] {
        let millis: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
        figures.add(case, &format!("{what} meanwhile"), whole(millis.len() as u64), "requests");
        if let Some(worst) = percentile(millis, 99) {
            figures.add(case, &format!("{what} meanwhile, p99"), worst, "ms");
        }
    }
    figures.add(case, "failed meanwhile", whole(seen.failed.len() as u64), "rounds");
}

/// Adds the node, and repairs whoever has shards that are not whole, until all is settled.
fn join(scene: &Scene<'_>, node: &str) -> anyhow::Result<Moves> {
    let (stage, committee) = (scene.drive.stage, &scene.drive.committee);
    let mut nodes: Vec<String> = committee.first_nodes().collect();
    let (restored_before, read_before) = totals(scene, &nodes)?;
    let mut moves = Moves::default();
    let begin = Instant::now();
    scene.manage(&["add", "--wait", "0"])?;
    committee.start_node(stage, node)?;
    nodes.push(node.to_owned());
    loop {
        let (unfilled, shares) =
            scene.wait(&format!("{node} has its share"), |chain| next(chain, node))?;
        let Some(unfilled) = unfilled else {
            moves.took = begin.elapsed();
            moves.shares = shares;
            let (restored, read) = totals(scene, &nodes)?;
            moves.restored_bytes = restored - restored_before;
            moves.read_bytes += read - read_before;
            return Ok(moves);
        };
        let repaired = repair(scene, &unfilled)?;
        moves.brought_bytes += repaired.restored_bytes;
        moves.read_bytes += repaired.read_bytes;
        moves.repair_took += repaired.took;
    }
}

/// A node to be repaired, or none when all is settled; and the shares.
fn next(chain: &Chain, node: &str) -> Result<(Option<String>, Shares), String> {
    let is_next = |it: &&Node| !it.unfilled.is_empty() && it.state == "present";
    let unfilled = chain.nodes.iter().find(is_next).map(|it| it.name.clone());
    let shares = shares(chain);
    if unfilled.is_none() {
        chain.is_settled()?;
        is_even(&shares, node)?;
    }
    Ok((unfilled, shares))
}

/// Reads old blobs and writes new ones until it is told to stop.
fn read_and_write(drive: &Drive<'_>, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        let first = OLD.first + round * CLIENTS % OLD.objects;
        let get = Task { verb: Verb::Get, first, objects: CLIENTS, ..OLD };
        let put = Task { first: NEW.first + round * CLIENTS, ..NEW };
        for task in [get, put] {
            match (drive.load().run(task), task.verb) {
                (Ok(times), Verb::Get) => seen.gets.extend(times.each),
                (Ok(times), Verb::Put) => seen.puts.extend(times.each),
                (Err(error), _) => seen.failed.push(format!("{error:#}")),
            }
        }
        round += 1;
        thread::sleep(PAUSE);
    }
    seen
}

fn shares(chain: &Chain) -> Shares {
    chain.nodes.iter().map(|node| (node.name.clone(), node.shards.clone())).collect()
}

/// Whether the node is a member and no node has two shards more than another.
fn is_even(shares: &Shares, node: &str) -> Result<(), String> {
    let counts = || shares.values().map(Vec::len);
    let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    if shares.contains_key(node) && most - least <= 1 { Ok(()) } else { Err(format!("{shares:?}")) }
}

/// Shards that have another owner.
fn moved(before: &Shares, after: &Shares) -> usize {
    let gained = after.iter().map(|(node, shards)| {
        let had = before.get(node).map_or(&[][..], Vec::as_slice);
        shards.iter().filter(|shard| !had.contains(shard)).count()
    });
    gained.sum()
}

/// The fewest moves after which every node has its share, the new one too: all weigh the same, so a
/// share is the mean, rounded down or up.
fn least_moves(before: &Shares, node: &str) -> usize {
    let mut counts: Vec<usize> = before.values().map(Vec::len).collect();
    if !before.contains_key(node) {
        counts.push(0);
    }
    let shards: usize = counts.iter().sum();
    let (down, up) = (shards / counts.len(), shards.div_ceil(counts.len()));
    let wanting: usize = counts.iter().map(|count| down.saturating_sub(*count)).sum();
    let too_many: usize = counts.iter().map(|count| count.saturating_sub(up)).sum();
    wanting.max(too_many)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares_of(all: &[&[u16]]) -> Shares {
        let entry = |(node, shards): (usize, &&[u16])| (format!("node-{node}"), shards.to_vec());
        all.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn an_eighth_node_needs_one_of_ten_shards() {
        let before = shares_of(&[&[0, 7], &[1, 8], &[2, 9], &[3], &[4], &[5], &[6]]);
        assert_eq!(least_moves(&before, "node-7"), 1);
        let after = shares_of(&[&[0], &[1, 8], &[2, 9], &[3], &[4], &[5], &[6], &[7]]);
        assert_eq!(moved(&before, &after), 1);
        assert_eq!(is_even(&after, "node-7"), Ok(()));
        assert!(is_even(&before, "node-7").is_err());
        assert_eq!(least_moves(&shares_of(&[&[0, 1, 2], &[3, 4, 5]]), "node-2"), 2);
        assert_eq!(least_moves(&shares_of(&[&[0, 1, 2], &[3, 4, 5]]), "node-1"), 0);
    }
}
