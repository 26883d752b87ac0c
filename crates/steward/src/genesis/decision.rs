//! Observed identities → what to do about record 0.

use std::collections::BTreeMap;

use floe_api::report::IdentityReport;
use floe_model::record::{NO_PARENT, Registrar, RegistrarRole};
use floe_model::{
    EpochNumber, EpochRecord, Member, NodeName, RecordHash, ShardIndex, SignedRecord,
};
use floe_plan::placement::assign;

use super::{GenesisConfig, GenesisError, GenesisNode, Keys};

/// What a node said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Who it is.
    Identity(Box<IdentityReport>),
    /// Nothing, and why.
    Silent(String),
}

/// What to do about record 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nodes accepted one that is not in the log: get it from this node.
    Adopt {
        /// A node that has it.
        node: NodeName,
        /// The record.
        hash: RecordHash,
    },
    /// The log has it: push it.
    Resume(Box<SignedRecord>),
    /// There is none, and all nodes are known: sign it, create it in the log, push it.
    Propose(Box<EpochRecord>),
    /// Record 0 names all nodes, and these did not say who they are.
    Wait(BTreeMap<NodeName, String>),
}

/// Decides. Where any node has a record 0, or the log does, another one is never made.
pub fn decide(
    keys: &Keys,
    config: &GenesisConfig,
    observed: &BTreeMap<NodeName, Observed>,
    logged: Option<&SignedRecord>,
) -> Result<Decision, GenesisError> {
    if let Some((node, hash)) = accepted(keys, config, observed)? {
        return Ok(match logged {
            Some(logged) if logged.record.hash() == hash => {
                Decision::Resume(Box::new(logged.clone()))
            }
            _ => Decision::Adopt { node, hash },
        });
    }
    if let Some(logged) = logged {
        return Ok(Decision::Resume(Box::new(logged.clone())));
    }
    let shards = place(config)?;
    let mut members = Vec::new();
    let mut missing = BTreeMap::new();
    for (node, shards) in config.nodes.iter().zip(shards) {
        match observed.get(&node.node) {
            Some(Observed::Identity(identity)) => {
                members.push(member(keys, node, identity, shards)?);
            }
            Some(Observed::Silent(reason)) => {
                drop(missing.insert(node.node.clone(), reason.clone()))
            }
            None => drop(missing.insert(node.node.clone(), "not asked".to_owned())),
        }
    }
    if !missing.is_empty() {
        return Ok(Decision::Wait(missing));
    }
    members.sort_by(|one, other| one.node.cmp(&other.node));
    Ok(Decision::Propose(Box::new(record(keys, config, members))))
}

/// The one record 0 that nodes of this committee accepted, and one of those nodes.
fn accepted(
    keys: &Keys,
    config: &GenesisConfig,
    observed: &BTreeMap<NodeName, Observed>,
) -> Result<Option<(NodeName, RecordHash)>, GenesisError> {
    let mut found: Option<(NodeName, RecordHash)> = None;
    for node in &config.nodes {
        let Some(Observed::Identity(identity)) = observed.get(&node.node) else { continue };
        if identity.committee != keys.committee {
            return Err(stranger(
                node,
                "committee",
                "its volume belongs to another one; give it an empty volume",
            ));
        }
        let Some(hash) = identity.genesis else { continue };
        match &found {
            Some((other_node, other)) if *other != hash => {
                return Err(GenesisError::Conflict {
                    one_node: other_node.clone(),
                    one: *other,
                    other_node: node.node.clone(),
                    other: hash,
                });
            }
            Some(_) => {}
            None => found = Some((node.node.clone(), hash)),
        }
    }
    Ok(found)
}

fn place(config: &GenesisConfig) -> Result<Vec<Vec<ShardIndex>>, GenesisError> {
    let nodes: Vec<(NodeName, String)> =
        config.nodes.iter().map(|node| (node.node.clone(), node.zone.clone())).collect();
    Ok(assign(config.geometry, &nodes)?)
}

fn member(
    keys: &Keys,
    node: &GenesisNode,
    identity: &IdentityReport,
    shards: Vec<ShardIndex>,
) -> Result<Member, GenesisError> {
    if identity.node != node.node {
        return Err(stranger(node, "name", "another node answers at this address"));
    }
    if identity.incarnation != node.incarnation {
        return Err(stranger(
            node,
            "incarnation",
            "start it with the incarnation that is wanted here",
        ));
    }
    let member = Member {
        node: node.node.clone(),
        incarnation: identity.incarnation,
        volume: identity.volume,
        address: node.address.clone(),
        zone: node.zone.clone(),
        key: identity.key,
        possession: identity.possession,
        shards,
    };
    match member.verify_possession(&keys.committee) {
        Ok(()) => Ok(member),
        Err(_) => Err(stranger(node, "proof of possession", "its volume is damaged, or it lies")),
    }
}

fn stranger(node: &GenesisNode, what: &'static str, hint: &'static str) -> GenesisError {
    GenesisError::Stranger { node: node.node.clone(), address: node.address.clone(), what, hint }
}

fn record(keys: &Keys, config: &GenesisConfig, members: Vec<Member>) -> EpochRecord {
    EpochRecord {
        committee: keys.committee,
        number: EpochNumber(0),
        parent: NO_PARENT,
        forced: false,
        geometry: config.geometry,
        policy: config.policy,
        registrars: vec![
            Registrar { role: RegistrarRole::Operator, key: keys.operator.public() },
            Registrar { role: RegistrarRole::Gateway, key: keys.gateway },
        ],
        members,
        unfilled: Vec::new(),
    }
}
