//! The processes of a simulated committee.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_api::NodeClient;
use floe_client::Budget;
use floe_env::write_file_durably;
use floe_gateway::{Gateway, TokenFile};
use floe_model::record::Policy;
use floe_model::{Incarnation, NodeName};
use floe_sidecar::Sidecar;
use floe_steward::{FileRecordLog, GenesisConfig, GenesisNode, genesis};

use super::world::{APPLICATION_PORT, DIR, NODE_PORT, PROBE_PORT, STEWARD, TOKEN};
use super::{World, impostor};

const fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

/// A storage node, or whoever has taken its place. Its host never ends: a process that did is noted.
pub(super) async fn storage_node(world: Arc<World>, node: NodeName) -> turmoil::Result {
    let env = world.env(node.as_str());
    let taken = world.state().impostors.get(node.as_str()).cloned();
    if let Some(taken) = taken {
        impostor::serve(&world, &node, env, taken).await;
        return pending().await;
    }
    let config = floe_sidecar::Config {
        committee: world.committee(),
        operator: world.keys().operator.public(),
        incarnation: world.incarnation(&node),
        tls: world.identity(node.as_str()).clone(),
        listen: everywhere(NODE_PORT),
        metrics_listen: everywhere(PROBE_PORT),
        volume_dir: world.volume_dir(&node),
        limits: floe_sidecar::Limits::default(),
        node: node.clone(),
    };
    let ended = match Sidecar::start(env, config).await {
        Ok(sidecar) => format!("ended: {}", sidecar.failed().await),
        Err(error) => format!("did not start: {}", chain(&error)),
    };
    world.log().note(node.as_str(), &ended);
    world.state().ended.insert(node.to_string(), ended);
    pending().await
}

/// An error with all that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A gateway.
pub(super) async fn gateway(world: Arc<World>, host: String) -> turmoil::Result {
    let env = world.env(&host);
    let tokens = Path::new(DIR).join("tokens");
    write_file_durably(&*env.disk, &tokens, format!("{TOKEN} tester\n").as_bytes())?;
    let config = floe_gateway::Config {
        committee: world.committee(),
        operator: world.keys().operator.public(),
        registrar: world.gateway_key().clone(),
        tls: world.identity(&host).clone(),
        listen: everywhere(APPLICATION_PORT),
        metrics_listen: everywhere(PROBE_PORT),
        nodes: world.nodes().iter().map(|node| world.target(node)).collect(),
        authenticator: Arc::new(TokenFile::new(Arc::clone(&env.disk), tokens)),
        budget: Budget::default(),
    };
    let _running = Gateway::start(env, config).await?;
    pending().await
}

/// The steward: brings the committee to its record 0, and ends.
pub(super) async fn steward(world: Arc<World>) -> turmoil::Result {
    let env = world.env(STEWARD);
    let client: NodeClient = world.node_client(&env, STEWARD);
    let log = FileRecordLog::new(env.clone(), Path::new(DIR).join("records"));
    let node = |node: &NodeName| GenesisNode {
        node: node.clone(),
        incarnation: Incarnation(0),
        address: world.target(node).address,
        zone: String::new(),
        host: String::new(),
    };
    let config = GenesisConfig {
        geometry: world.geometry(),
        policy: Policy::default(),
        nodes: world.nodes().iter().map(node).collect(),
        patience: Duration::from_mins(1),
    };
    let begun = genesis(&env, &client, &log, world.keys(), &config).await?;
    world.log().note(STEWARD, format!("genesis {}", begun.record.record.hash()));
    world.state().genesis = Some(begun);
    Ok(())
}
