//! Scenes: four nodes, n = 4, f = 1, and a script that drives them by hand.

use std::sync::Arc;

use floe_api::report::NodeReport;
use floe_api::{CallError, ErrorCode};
use floe_model::{FeedPosition, NodeName};

use super::{ByHand, Impostor, Setup, World, run};

/// Plays a script on four nodes that serve, without gateways, with the seed in `FLOE_SEED` or 1.
pub fn play<S, F>(script: S)
where
    S: FnOnce(Arc<World>, ByHand) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    play_on(bare, script);
}

/// As [`play`], with this seed.
pub fn play_seed<S, F>(seed: u64, script: S)
where
    S: FnOnce(Arc<World>, ByHand) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    stage(bare(seed), script);
}

/// As [`play`], on another committee.
pub fn play_on<S, F>(setup: impl FnOnce(u64) -> Setup, script: S)
where
    S: FnOnce(Arc<World>, ByHand) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    stage(setup(std::env::var("FLOE_SEED").map_or(1, |seed| seed.parse().unwrap())), script);
}

fn bare(seed: u64) -> Setup {
    Setup { gateways: 0, ..Setup::small(seed) }
}

fn stage<S, F>(setup: Setup, script: S)
where
    S: FnOnce(Arc<World>, ByHand) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    println!("seed {}", setup.seed);
    let world = run(setup, |world| async move {
        let hand = ByHand::new(&world);
        for node in world.nodes() {
            world.serving(&hand.nodes, node).await;
        }
        script(world, hand).await;
    });
    assert_eq!(world.log().panics(), Vec::<String>::new());
}

/// Content of 20,000 bytes that differs by `seed`.
pub fn content(seed: u8) -> Vec<u8> {
    (0..20_000_u32).map(|at| (at % 251) as u8 ^ seed).collect()
}

/// Files of slivers on a node's disk.
pub fn slivers(world: &World, hand: &ByHand, at: usize) -> usize {
    let files = world.disk(hand.node(at).as_str()).files();
    files.iter().filter(|(path, _)| path.starts_with("/data/slivers")).count()
}

/// The code of a refusal.
pub fn code<T: std::fmt::Debug>(answer: Result<T, CallError>) -> ErrorCode {
    match answer {
        Err(CallError::Api(error)) => error.code,
        other => panic!("not refused: {other:?}"),
    }
}

/// Waits until every node has read all feeds to where they end now.
pub async fn gossip(world: &World, hand: &ByHand) {
    gossip_among(world, hand, world.nodes()).await;
}

/// Waits until each of these nodes has read the others' feeds to where they end now.
pub async fn gossip_among(world: &World, hand: &ByHand, nodes: &[NodeName]) {
    for node in nodes {
        let head = hand.nodes.report(&world.target(node)).await.unwrap().value.feed_head;
        let has_read = |report: &NodeReport| {
            let read = report.cursors.get(node);
            let is_at = |head: FeedPosition| {
                read.is_some_and(|it| it.volume == head.volume && it.sequence >= head.sequence)
            };
            head.is_none_or(|head| head.sequence == 0 || is_at(head))
        };
        for peer in nodes.iter().filter(|peer| *peer != node) {
            world.until(&hand.nodes, peer, has_read).await;
        }
    }
}

/// From now on an impostor stands in a node's place.
pub async fn become_impostor(world: &World, hand: &ByHand, at: usize, impostor: Impostor) {
    let node = hand.node(at);
    world.kill(node.as_str()).await;
    world.replace_by_impostor(&node, impostor);
    world.start(node.as_str()).await;
}
