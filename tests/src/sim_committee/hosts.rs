//! The processes of a simulated committee.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_api::NodeClient;
use floe_client::Budget;
use floe_env::write_file_durably;
use floe_gateway::{DerivedObjects, Gateway, TokenFile};
use floe_model::record::Policy;
use floe_model::{Incarnation, NodeName};
use floe_sidecar::Sidecar;
use floe_steward::{FileRecordLog, Genesis, GenesisConfig, GenesisError, GenesisNode, genesis};

use super::world::{APPLICATION_PORT, DIR, NODE_PORT, PROBE_PORT, STEWARD, TOKEN};
use super::{World, impostor};

const fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

/// A storage node, or whoever has taken its place. Its host never ends: a process that did is noted.
pub(super) async fn storage_node(world: Arc<World>, host: NodeName) -> turmoil::Result {
    let env = world.env(host.as_str());
    let taken = world.state().impostors.get(host.as_str()).cloned();
    if let Some(taken) = taken {
        impostor::serve(&world, &host, env, taken).await;
        return pending().await;
    }
    let (node, incarnation) = world.seat(&host);
    let config = floe_sidecar::Config {
        committee: world.committee(),
        operator: world.keys().operator.public(),
        incarnation,
        tls: world.leaf(&node, incarnation).into(),
        listen: everywhere(NODE_PORT),
        metrics_listen: everywhere(PROBE_PORT),
        volume_dir: world.volume_dir(&host),
        limits: floe_sidecar::Limits::default(),
        node,
    };
    let ended = match Sidecar::start(env, config).await {
        Ok(sidecar) => format!("ended: {}", sidecar.failed().await),
        Err(error) => format!("did not start: {}", chain(&error)),
    };
    world.log().note(host.as_str(), &ended);
    world.state().ended.insert(host.to_string(), ended);
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
        tls: world.identity(&host).clone().into(),
        listen: everywhere(APPLICATION_PORT),
        metrics_listen: everywhere(PROBE_PORT),
        nodes: world.nodes().iter().map(|node| world.target(node)).collect(),
        authenticator: Arc::new(TokenFile::new(env.clone(), tokens)),
        objects: Arc::new(DerivedObjects::new(world.committee())),
        budget: Budget::default(),
    };
    let _running = Gateway::start(env, config).await?;
    pending().await
}

/// The steward: brings the committee to its record 0, and ends.
pub(super) async fn steward(world: Arc<World>) -> turmoil::Result {
    let begun = begin(&world).await?;
    world.log().note(STEWARD, format!("genesis {}", begun.record.record.hash()));
    world.state().genesis = Some(begun);
    Ok(())
}

/// Brings the committee to its record 0, or finds it there.
pub async fn begin(world: &World) -> Result<Genesis, GenesisError> {
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
    genesis(&env, &client, &log, world.keys(), &config).await
}
