//! Stewards that keep the chain going, and the hands that put new volumes in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_model::{Incarnation, NodeName};
use floe_plan::succession::Wanted;
use floe_steward::loss::Standing;
use floe_steward::{FileRecordLog, Pass, Steward};

use super::World;
use super::world::{DIR, STEWARD};

/// How long a node may be away before its volume counts as lost.
pub const LOSS_GRACE: Duration = Duration::from_secs(20);
/// How often a steward looks.
const LOOK: Duration = Duration::from_secs(2);

/// The nodes as they are to be now.
pub fn wanted(world: &World) -> Vec<Wanted> {
    let nodes = world.nodes().iter().chain(world.spares());
    let nodes = nodes.filter(|node| world.nodes().contains(node) || world.weight(node) > 0);
    let wanted = |node: &NodeName| Wanted {
        node: node.clone(),
        incarnation: world.incarnation(node),
        address: world.target(node).address,
        zone: String::new(),
        host: String::new(),
        weight: world.weight(node),
    };
    nodes.map(wanted).collect()
}

/// A steward by itself, with the certificate of `host` and the one log.
pub fn open(world: &World, host: &str) -> Steward {
    let mut env = world.env(host);
    env.disk = Arc::new(world.disk(STEWARD).clone());
    let client = world.node_client(&env, host);
    let log = FileRecordLog::new(env.clone(), Path::new(DIR).join("records"));
    Steward::new(env, client, Arc::new(log), world.keys().clone(), LOSS_GRACE)
}

/// Looks again and again; what is lost gets its next volume.
pub(super) async fn steward(world: Arc<World>, host: String) -> turmoil::Result {
    while world.state().genesis.is_none() {
        tokio::time::sleep(LOOK).await;
    }
    let mut steward = open(&world, &host);
    loop {
        match steward.pass(&wanted(&world)).await {
            Ok(pass) => {
                world.log().note(&host, format!("{:?}", pass.outcome));
                replace(&world, &pass).await;
            }
            Err(error) => world.log().note(&host, format!("{error}")),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Puts an empty volume in the place of each lost one.
async fn replace(world: &World, pass: &Pass) {
    for ((node, incarnation), standing) in &pass.standings {
        let is_lost = matches!(standing, Standing::Lost { .. });
        if is_lost && world.incarnation(node) == *incarnation {
            world.set_incarnation(node, Incarnation(incarnation.0 + 1));
            world.restart(node.as_str()).await;
        }
    }
}
