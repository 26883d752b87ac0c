//! Harm at random, from the seed: but for blackouts never more at a time than the committee must
//! stand.

use std::sync::Arc;
use std::time::Duration;

use floe_env::Random;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use super::{ByHand, Lie, World, inspect, upheaval};

/// How long streams may hang after a link that lost messages works again: as long as their
/// longest timeout, for no segment is ever sent again.
const HANGING: Duration = Duration::from_secs(40);
/// How long a link that only held messages back needs to hand them out.
const CALMING: Duration = Duration::from_secs(1);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// A node loses power, amid its disk's work or not, and stays off for a while.
    PowerLoss,
    /// A node's process ends at once, and is started again.
    Kill,
    /// A node is away from everyone.
    Away { messages_are_lost: bool },
    /// Links between nodes do not work.
    Links { messages_are_lost: bool },
    /// A node's slivers are altered, with good checksums.
    Lie,
    /// A node's disk fails a sync: its process must end, and is started again.
    BadSync,
    /// A gateway's process ends at once, and is started again.
    Gateway,
    /// All nodes lose power at once: more than the committee stands, and nothing is lost for it.
    Blackout,
}

impl Harm {
    fn draw(random: &dyn Random) -> Self {
        let messages_are_lost = random.below(3) == 0;
        match random.below(20) {
            0..=4 => Self::PowerLoss,
            5 => Self::Kill,
            6..=8 => Self::Away { messages_are_lost },
            9 | 10 => Self::Links { messages_are_lost },
            11..=13 => Self::Lie,
            14 => Self::BadSync,
            15..=18 => Self::Gateway,
            _ => Self::Blackout,
        }
    }
}

/// Does harm until told to stop; when it returns, everything runs and is joined.
pub async fn rage(world: &Arc<World>, hand: &ByHand, stop: watch::Receiver<bool>) {
    let mut running: FuturesUnordered<LocalBoxFuture<'_, ()>> = FuturesUnordered::new();
    loop {
        let pause = Duration::from_millis(300 + world.random().below(4000));
        let pause = last(&stop, pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                Some(()) = running.next() => {}
                () = &mut pause => break,
            }
        }
        if *stop.borrow() {
            break;
        }
        let harm = Harm::draw(world.random());
        running.push(Box::pin(inflict(world, hand, harm, stop.clone())));
    }
    while running.next().await.is_some() {}
}

/// Waits so long, or until all harm is to end. It looks again and again: those who wait on one
/// signal are woken in an order that no seed decides.
async fn last(stop: &watch::Receiver<bool>, time: Duration) {
    let end = tokio::time::Instant::now() + time;
    while !*stop.borrow() && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn inflict(world: &Arc<World>, hand: &ByHand, harm: Harm, stop: watch::Receiver<bool>) {
    let time = Duration::from_millis(500 + world.random().below(15_000));
    match harm {
        Harm::Links { messages_are_lost } => links(world, messages_are_lost, time, stop).await,
        Harm::Gateway => {
            let gateways = world.gateways();
            let gateway = &gateways[pick(world, gateways.len())];
            if world.atlas().is_faulty(gateway) {
                return;
            }
            world.atlas().take(gateway);
            world.kill(gateway).await;
            last(&stop, time / 4).await;
            world.start(gateway).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            world.atlas().give_back(gateway);
        }
        Harm::Blackout => blackout(world, hand, time / 4, &stop).await,
        Harm::PowerLoss | Harm::Kill | Harm::Away { .. } | Harm::Lie | Harm::BadSync => {
            let node = world.nodes()[pick(world, world.nodes().len())].clone();
            // One fault per node at a time: a lie told to a disk that is off would be lost.
            if world.atlas().is_faulty(node.as_str()) || !world.atlas().take_node(node.as_str()) {
                return;
            }
            match harm {
                Harm::PowerLoss => {
                    let changes = world.random().below(40);
                    world.power_loss_amid(node.as_str(), changes, Duration::from_secs(3)).await;
                    inspect::volume(world, &node, false);
                    last(&stop, time).await;
                    restart(world, hand, &node).await;
                }
                Harm::Kill => {
                    world.kill(node.as_str()).await;
                    last(&stop, time / 2).await;
                    restart(world, hand, &node).await;
                }
                Harm::BadSync => {
                    world.disk(node.as_str()).fail_syncs(1);
                    last(&stop, time / 4).await;
                    world.power_loss(node.as_str()).await;
                    inspect::volume(world, &node, false);
                    restart(world, hand, &node).await;
                }
                Harm::Away { messages_are_lost } => {
                    away(world, node.as_str(), messages_are_lost, time, stop).await;
                }
                _ => {
                    let lie = Lie::tell(world, node.as_str(), false);
                    last(&stop, time).await;
                    lie.take_back(world);
                }
            }
            sound(world, hand, &node).await;
            world.atlas().give_back(node.as_str());
        }
    }
}

/// Where stewards look on, whoever was away for long may have been given up: it is faulty until its
/// new volume is whole.
async fn sound(world: &World, hand: &ByHand, node: &floe_model::NodeName) {
    if !world.stewards().is_empty() {
        upheaval::whole(world, hand, node).await;
    }
}

/// Whoever is not faulty already loses power.
async fn blackout(world: &World, hand: &ByHand, time: Duration, stop: &watch::Receiver<bool>) {
    if world.atlas().has_bad_links() {
        return;
    }
    let nodes = world.nodes().iter();
    let lost: Vec<_> = nodes.filter(|node| !world.atlas().is_faulty(node.as_str())).collect();
    for node in &lost {
        world.atlas().take(node.as_str());
        world.disk(node.as_str()).halt_after(world.random().below(10));
    }
    tokio::time::sleep(Duration::from_millis(world.random().below(200))).await;
    for node in &lost {
        world.power_loss(node.as_str()).await;
        inspect::volume(world, node, false);
    }
    last(stop, time).await;
    for node in &lost {
        world.start(node.as_str()).await;
    }
    for node in &lost {
        world.serving(&hand.nodes, node).await;
        sound(world, hand, node).await;
        world.atlas().give_back(node.as_str());
    }
}

fn pick(world: &World, count: usize) -> usize {
    usize::try_from(world.random().below(count as u64)).unwrap()
}

/// A node that starts is faulty until it serves everything.
async fn restart(world: &World, hand: &ByHand, node: &floe_model::NodeName) {
    world.start(node.as_str()).await;
    world.serving(&hand.nodes, node).await;
}

async fn away(
    world: &World,
    node: &str,
    messages_are_lost: bool,
    time: Duration,
    stop: watch::Receiver<bool>,
) {
    let others = world.nodes().iter().map(ToString::to_string).chain(world.gateways());
    let links: Vec<(String, String)> =
        others.filter(|other| other != node).map(|other| (node.to_owned(), other)).collect();
    part(world, &links, messages_are_lost);
    last(&stop, time).await;
    rejoin(world, &links, messages_are_lost).await;
}

async fn links(
    world: &World,
    messages_are_lost: bool,
    time: Duration,
    stop: watch::Receiver<bool>,
) {
    // Turmoil does not count: a link that is parted twice is joined by the first who joins it.
    if world.atlas().worth() > 0 || world.atlas().has_bad_links() {
        return;
    }
    let (few, many) = two_sides(world);
    let links: Vec<(String, String)> = few
        .iter()
        .flat_map(|one| many.iter().map(move |other| (one.clone(), other.clone())))
        .collect();
    world.atlas().take_links();
    part(world, &links, messages_are_lost);
    last(&stop, time).await;
    rejoin(world, &links, messages_are_lost).await;
    world.atlas().give_back_links();
}

/// Two random sets of nodes.
fn two_sides(world: &World) -> (Vec<String>, Vec<String>) {
    let nodes = world.nodes().iter().map(ToString::to_string);
    nodes.partition(|_| world.random().below(2) == 0)
}

fn part(world: &World, links: &[(String, String)], messages_are_lost: bool) {
    for (one, other) in links {
        if messages_are_lost { world.cut(one, other) } else { world.hold(one, other) }
    }
}

async fn rejoin(world: &World, links: &[(String, String)], messages_are_lost: bool) {
    for (one, other) in links {
        if messages_are_lost { world.join(one, other) } else { world.release(one, other) }
    }
    tokio::time::sleep(if messages_are_lost { HANGING } else { CALMING }).await;
}
