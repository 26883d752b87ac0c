//! The chain of epoch records, acted out by real nodes and stewards: the traces of the model of epochs
//! (V1, V2, …: one clause of the rules missing, and this is what forks, is lost, or gets stuck), records
//! that are not in order, crashes after every step, nodes that were away.
//!
//! Four nodes, n = 4, f = 1, and the host of a fifth.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

mod away;
mod bad_records;
mod crashes;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::{Acknowledgement, CertifiedClaim};
use floe_api::report::NodeReport;
use floe_api::{CallError, ErrorCode, Target};
use floe_client::{Client, ReadCheck, Resolution};
use floe_model::EpochRecord;
use floe_steward::{Outcome, Pass};
use floe_tests::sim_committee::scene::content;
use floe_tests::sim_committee::succession::{self, wanted};
use floe_tests::sim_committee::{ByHand, Chronicle, Draft, NAMESPACE_UID, Setup, World, run};
use futures::StreamExt;

/// Plays a script on four nodes that serve.
fn play<S, F>(script: S)
where
    S: FnOnce(Arc<World>, ByHand, Chronicle) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let seed = std::env::var("FLOE_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let tick = Duration::from_millis(4);
    let setup = Setup { gateways: 0, spares: 1, tick, ..Setup::small(seed) };
    let world = run(setup, |world| async move {
        let hand = ByHand::new(&world);
        for node in world.nodes() {
            world.serving(&hand.nodes, node).await;
        }
        let chronicle = Chronicle::new(&world);
        script(world, hand, chronicle).await;
    });
    assert_eq!(world.log().panics(), Vec::<String>::new());
}

async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}

fn targets(hand: &ByHand, nodes: &[usize]) -> Vec<Target> {
    nodes.iter().map(|&at| hand.target(at)).collect()
}

/// A child that differs from others of its parent by its mark.
fn marked(mark: u64) -> impl FnOnce(&mut EpochRecord) {
    move |record| record.policy.undelete_window_millis += mark
}

/// The code and the text of a refusal.
fn refusal<T: std::fmt::Debug>(answer: Result<T, CallError>) -> (ErrorCode, String) {
    match answer {
        Err(CallError::Api(error)) => (error.code, error.to_string()),
        other => panic!("not refused: {other:?}"),
    }
}

async fn report(hand: &ByHand, target: &Target) -> NodeReport {
    hand.nodes.report(target).await.unwrap().value
}

/// Waits until a node's report is as wanted.
async fn until(hand: &ByHand, target: &Target, wanted: impl Fn(&NodeReport) -> bool) {
    let mut last = String::new();
    for _ in 0..1500 {
        match hand.nodes.report(target).await {
            Ok(answer) if wanted(&answer.value) => return,
            Ok(answer) => last = format!("{:#?}", answer.value),
            Err(error) => last = error.to_string(),
        }
        rest(Duration::from_millis(200)).await;
    }
    panic!("{target} is not as wanted: {last}");
}

/// A steward that was never heard of looks once.
async fn look(world: &World) -> Pass {
    succession::open(world, "steward").pass(&wanted(world)).await.unwrap()
}

/// A steward looks until everything is as it is wanted, committed, and filled.
async fn settle(world: &World) -> Pass {
    let mut steward = succession::open(world, "steward");
    let mut last = None;
    for _ in 0..900 {
        match steward.pass(&wanted(world)).await {
            Ok(pass) => {
                let (_, record) = pass.record.as_ref().unwrap();
                if pass.outcome == Outcome::Settled && record.unfilled.is_empty() {
                    return pass;
                }
                last = Some(format!("{:?}, unfilled {:?}", pass.outcome, record.unfilled));
            }
            Err(error) => last = Some(format!("{error}: {:?}", std::error::Error::source(&error))),
        }
        rest(Duration::from_millis(300)).await;
    }
    panic!("the stewards do not settle: {last:?}");
}

/// Writes a blob of two slivers a node by hand, to these nodes.
async fn written(hand: &ByHand, nodes: &[usize], claim: u8) -> (Draft, CertifiedClaim) {
    let draft = hand.draft(claim, &format!("blob-{claim}"), &content(claim));
    let certified = hand.certified_by(nodes, &draft).await;
    for &at in nodes {
        let answer = hand.put_certificate(at, &certified).await.unwrap();
        assert_eq!(answer.state, Acknowledgement::Acknowledged, "node {at}");
    }
    (draft, certified)
}

/// Reads a blob as gateways do, all of it encoded again.
async fn assert_read(client: &Client, draft: &Draft, claim: u8) {
    let name = draft.claim.body.name.clone();
    let found = client.resolve(NAMESPACE_UID, &name).await.unwrap();
    assert!(matches!(&found, Resolution::Found(it) if it.0.body == draft.claim.body), "{found:?}");
    let wish = &draft.claim.body;
    let mut bytes = Vec::new();
    let mut parts = client.read(wish, 0..wish.length, ReadCheck::Strict).await.unwrap();
    while let Some(part) = parts.next().await {
        bytes.extend_from_slice(&part.unwrap());
    }
    assert_eq!(bytes, content(claim));
}

/// All members are whole, in one epoch, on one chain, and nothing was forced.
async fn assert_one_chain(world: &Arc<World>, hand: &ByHand) -> EpochRecord {
    let mut chronicle = Chronicle::new(world);
    let mut heads = Vec::new();
    for node in world.nodes() {
        let target = world.target(node);
        until(hand, &target, |report| report.epoch.is_some_and(|epoch| epoch.committed)).await;
        heads.push(report(hand, &target).await.epoch.unwrap().hash);
        chronicle.read(&target).await;
    }
    chronicle.check();
    let (newest, signed) = chronicle.tree().committed().unwrap();
    assert!(heads.iter().all(|head| *head == newest), "{heads:?}, the newest is {newest}");
    assert!(!signed.record.forced);
    signed.record.clone()
}
