//! Harm to volumes, stewards and their log, at random: never more than f shards are without a volume
//! that holds them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_api::report::{NodeReport, ServingState};
use floe_env::{Disk, Random};
use floe_model::NodeName;
use tokio::sync::watch;

use super::succession::LOSS_GRACE;
use super::world::{DIR, STEWARD};
use super::{ByHand, World};
use crate::sim::{EventLog, SimDisk};

/// How long a new volume may take to be whole.
const FILLING: Duration = Duration::from_mins(20);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upheaval {
    /// A disk is lost: the node comes back with an empty one.
    Wipe,
    /// A node is off for so long that its volume counts as lost, though it is not.
    LongAway,
    /// A node is off, again and again, never for long.
    Flapping,
    /// A node's disk is put back to an earlier copy.
    OldCopy,
    /// A steward's process ends at once.
    StewardKilled,
    /// The log of records is put back to an earlier state.
    LogRestored,
    /// The spare node joins, or leaves.
    Weight,
}

impl Upheaval {
    fn draw(random: &dyn Random) -> Self {
        match random.below(14) {
            0..=3 => Self::Wipe,
            4 | 5 => Self::LongAway,
            6 => Self::Flapping,
            7 | 8 => Self::OldCopy,
            9 | 10 => Self::StewardKilled,
            11 => Self::LogRestored,
            _ => Self::Weight,
        }
    }
}

/// Does harm until told to stop; when it returns, all nodes run.
pub async fn rage(world: &Arc<World>, hand: &ByHand, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::time::sleep(Duration::from_millis(300 + world.random().below(3000))).await;
        match Upheaval::draw(world.random()) {
            Upheaval::StewardKilled => steward_killed(world).await,
            Upheaval::LogRestored => log_restored(world),
            Upheaval::Weight => {
                for node in world.spares() {
                    world.set_weight(node, 1 - world.weight(node).min(1));
                }
            }
            harm => {
                let at = world.random().below(world.nodes().len() as u64);
                let node = world.nodes()[usize::try_from(at).unwrap()].clone();
                if world.atlas().is_faulty(node.as_str()) || !world.atlas().take_node(node.as_str())
                {
                    continue;
                }
                node_harmed(world, &node, harm).await;
                whole(world, hand, &node).await;
                world.atlas().give_back(node.as_str());
            }
        }
    }
}

async fn node_harmed(world: &Arc<World>, node: &NodeName, harm: Upheaval) {
    let host = node.as_str();
    world.log().note("upheaval", format!("{harm:?} {node}"));
    match harm {
        Upheaval::Wipe => wipe(world, host).await,
        Upheaval::LongAway => {
            world.power_loss(host).await;
            let extra = Duration::from_millis(world.random().below(20_000));
            // A steward that gives it up starts the next volume on the host.
            tokio::time::sleep(LOSS_GRACE + extra).await;
            if world.is_down(host) {
                world.start(host).await;
            }
        }
        Upheaval::Flapping => {
            for _ in 0..4 {
                world.power_loss(host).await;
                tokio::time::sleep(LOSS_GRACE / 2).await;
                world.start(host).await;
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
        }
        _ => {
            let copy = world.disk(host).fork("copy", &EventLog::default());
            tokio::time::sleep(Duration::from_millis(world.random().below(10_000))).await;
            world.kill(host).await;
            world.disk(host).restore(&copy);
            world.start(host).await;
        }
    }
}

/// A node's disk is lost; the node starts with an empty one.
pub async fn wipe(world: &World, host: &str) {
    world.kill(host).await;
    world.disk(host).wipe();
    prepare(world.disk(host));
    world.start(host).await;
}

/// What every disk has from the start.
fn prepare(disk: &SimDisk) {
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
}

/// Waits until the node has a volume that holds all it owes, and no shard that is unfilled.
pub async fn whole(world: &World, hand: &ByHand, node: &NodeName) {
    let end = tokio::time::Instant::now() + FILLING;
    let mut last = String::new();
    while tokio::time::Instant::now() < end {
        match hand.nodes.report(&world.target(node)).await {
            Ok(answer) if is_whole(&answer.value) => return,
            Ok(answer) => last = format!("{:#?}", answer.value),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{node} does not become whole: {last}");
}

/// Whether a node serves, holds all it owes, and none of its shards is unfilled.
pub fn is_whole(report: &NodeReport) -> bool {
    report.serving.state == ServingState::Serving
        && report.slivers.owed == report.slivers.held
        && report.unfilled.is_empty()
        && report.epoch.is_some_and(|epoch| epoch.committed)
}

async fn steward_killed(world: &World) {
    let stewards = world.stewards();
    let at = world.random().below(stewards.len() as u64);
    let steward = &stewards[usize::try_from(at).unwrap()];
    world.kill(steward).await;
    tokio::time::sleep(Duration::from_millis(world.random().below(8000))).await;
    world.start(steward).await;
}

/// The newest records are forgotten, as after a backup was played back.
fn log_restored(world: &World) {
    let disk = world.disk(STEWARD);
    let records = Path::new(DIR).join("records");
    let Ok(mut entries) = disk.list(&records) else { return };
    entries.retain(|entry| entry.name.ends_with(".record"));
    let kept = 1 + world.random().below(entries.len() as u64);
    for entry in entries.iter().skip(usize::try_from(kept).unwrap()) {
        disk.remove_file(&records.join(&entry.name)).unwrap();
    }
    world.log().note("upheaval", format!("the log is put back to {kept} records"));
}
