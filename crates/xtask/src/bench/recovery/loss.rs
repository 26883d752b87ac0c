//! A volume is lost: its node's next incarnation joins, and `floe repair` rebuilds what it owes.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::copying::Copied;
use super::repairing::{Repaired, repair, totals};
use super::scene::{Chain, Scene};
use crate::bench::drive::{gibibytes, rate, whole};
use crate::bench::figures::Figures;
use crate::bench::tell;

/// Times since the wipe, and what had been done at the end.
#[derive(Debug, Default)]
struct Milestones {
    lost: Duration,
    committed: Duration,
    repaired: Duration,
    whole: Duration,
    restored_bytes: u64,
    read_bytes: u64,
}

/// Takes a node's volume away, and times the committee until everything is whole.
pub(super) fn measure(scene: &Scene<'_>, bytes: &str, figures: &mut Figures) -> anyhow::Result<()> {
    let (node, held_bytes) = scene.wait("all nodes hold the blobs", |chain| {
        chain.all_hold_all()?;
        heaviest(chain)
    })?;
    let case = format!("{}, {bytes} of blobs, {node} lost", scene.name);
    tell(&case);
    let mut floor = Copied::default();
    floor.go_on(scene.drive, held_bytes / 2)?;
    scene.drive.cool()?;
    let (milestones, repaired) = lose(scene, &node)?;
    let after = scene.wait("the node holds as much as before", |chain| {
        chain.all_hold_all()?;
        Ok(chain.node(&node)?.bytes_held())
    })?;
    ensure!(after >= held_bytes, "{case}: it held {held_bytes} bytes, and holds {after} now");
    floor.go_on(scene.drive, held_bytes - held_bytes / 2)?;
    note(&case, (&milestones, &repaired), &floor, figures);
    Ok(())
}

/// The first of those nodes that hold the most.
fn heaviest(chain: &Chain) -> Result<(String, u64), String> {
    let most = chain.nodes.iter().map(|node| node.shards.len()).max();
    let node = chain.nodes.iter().find(|node| Some(node.shards.len()) == most);
    node.map(|node| (node.name.clone(), node.bytes_held())).ok_or_else(|| "no nodes".to_owned())
}

fn lose(scene: &Scene<'_>, node: &str) -> anyhow::Result<(Milestones, Repaired)> {
    let (stage, committee) = (scene.drive.stage, &scene.drive.committee);
    let kept = stage.directory().join("lost");
    let volume = committee.volume(node);
    let mut milestones = Milestones::default();
    stage.kill(node)?;
    fs::rename(&volume, &kept).with_context(|| format!("take {} away", volume.display()))?;
    let wiped = Instant::now();
    committee.start_node(stage, node)?;
    scene.wait(&format!("{node} is known to be lost"), |chain| {
        let state = &chain.node(node)?.state;
        if state == "lost" { Ok(()) } else { Err(format!("{node} is {state}")) }
    })?;
    milestones.lost = wiped.elapsed();
    scene.manage(&["replace", node, "--wait", "0"])?;
    stage.kill(node)?;
    committee.start_node(stage, node)?;
    scene.wait(&format!("the next incarnation of {node} is committed"), |chain| {
        match chain.node(node)?.incarnation {
            1 => Ok(()),
            other => Err(format!("it has incarnation {other}; blocked: {:?}", chain.blocked)),
        }
    })?;
    milestones.committed = wiped.elapsed();
    let repaired = repair(scene, node)?;
    milestones.repaired = wiped.elapsed();
    scene.wait(&format!("{node} is whole"), Chain::is_settled)?;
    milestones.whole = wiped.elapsed();
    let (restored, read) = totals(scene, &[node.to_owned()])?;
    milestones.restored_bytes = restored;
    milestones.read_bytes = repaired.read_bytes + read;
    fs::remove_dir_all(&kept).with_context(|| format!("remove {}", kept.display()))?;
    Ok((milestones, repaired))
}

fn note(
    case: &str,
    (milestones, repaired): (&Milestones, &Repaired),
    floor: &Copied,
    figures: &mut Figures,
) {
    let Milestones { lost, committed, repaired: done, whole: settled, .. } = milestones;
    let steps = [("lost", lost), ("committed", committed), ("repaired", done), ("whole", settled)];
    for (what, after) in steps {
        figures.add(case, &format!("wiped to {what}"), after.as_secs_f64(), "s");
    }
    let (restored, read) = (milestones.restored_bytes, milestones.read_bytes);
    figures.add(case, "restored", whole(restored) / 1e6, "MB");
    figures.add(case, "read from peers", whole(read) / 1e6, "MB");
    figures.add(case, "payload read", whole(read) / whole(restored), "bytes/byte");
    let speed = rate(repaired.restored_bytes, repaired.took);
    figures.add_beside((case, "restored by floe repair"), (speed, floor.rate()), "MB/s");
    let gib = gibibytes(repaired.restored_bytes);
    let parts = [
        ("cpu, floe repair", repaired.own_cpu_seconds),
        ("cpu, the node", repaired.node_cpu_seconds),
        ("cpu, its peers", repaired.peers_cpu_seconds),
    ];
    for (what, seconds) in parts {
        figures.add(case, what, seconds / gib, "s/GiB");
    }
    let all = parts.iter().map(|(_, seconds)| seconds).sum::<f64>() / gib;
    figures.add_beside((case, "cpu, all"), (all, floor.cpu_seconds_per_gib()), "s/GiB");
}
