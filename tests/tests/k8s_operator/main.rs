//! The operator on a real API server with Kubernetes' own controllers; Nodes, volumes and kubelets are
//! played by one process, whose containers are real storage nodes, gateways and repair jobs.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

mod ledger;
mod replicas;
mod stage;
mod town;

use std::time::Duration;

use floe_tests::process::is_slow;

use stage::play;
use town::Town;

#[test]
fn a_committee_is_installed_loses_a_volume_and_becomes_whole() {
    play(async |stage| {
        let town = Town::found(stage, "story").await;
        let _operator = town.operate("one");
        town.install().await;
        town.whole([0; 4]).await;
        town.write("greeting", "hello, floe\n").await;
        town.certified("greeting").await;

        stage.kubelet.lose_disk(&town.namespace, "data-main-1-0-0").await;
        town.whole([0, 1, 0, 0]).await;
        town.delete("greeting").await;
        town.gone("greeting").await;
        stage.kubelet.forget(&town.namespace);
    });
}

#[test]
fn at_rest_nothing_is_written() {
    play(async |stage| {
        let town = Town::found(stage, "rest").await;
        let _operator = town.operate("one");
        town.install().await;
        town.write("kept", "at rest\n").await;
        town.whole([0; 4]).await;
        town.certified("kept").await;
        // What is rounded or counted in minutes would show.
        let calm = Duration::from_secs(if is_slow() { 180 } else { 60 });
        town.calm().await;
        town.ledger.clear();
        tokio::time::sleep(calm).await;
        assert_eq!(town.ledger.writes(), [], "in {} s", calm.as_secs());
        stage.kubelet.forget(&town.namespace);
    });
}
