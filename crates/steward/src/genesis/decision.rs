//! Observed identities → what to do about record 0.

use std::collections::BTreeMap;

use floe_api::report::IdentityReport;
use floe_model::record::{NO_PARENT, Registrar, RegistrarRole};
use floe_model::{
    EpochNumber, EpochRecord, Member, NodeName, RecordHash, ShardIndex, SignedRecord,
};
use floe_plan::epoch::check_genesis;
use floe_plan::placement::assign;

use super::{GenesisConfig, GenesisError, GenesisNode, Keys};

/// What a node said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Who it is.
    Identity {
        /// Its own word.
        report: Box<IdentityReport>,
        /// The first record of its chain, or why it did not show it; none if it reports none.
        shown: Option<Result<Box<SignedRecord>, String>>,
    },
    /// Nothing, and why.
    Silent(String),
}

/// What to do about record 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nodes accepted it: keep it in the log if that has none, then push it.
    Adopt(Box<SignedRecord>),
    /// The log has it: push it.
    Resume(Box<SignedRecord>),
    /// There is none, and all nodes are known: sign it, create it in the log, push it.
    Propose(Box<EpochRecord>),
    /// Record 0 names all nodes, and these did not say enough.
    Wait(BTreeMap<NodeName, String>),
}

/// Decides. Where any node has a record 0, or the log does, another one is never made. What nodes
/// hold wins over the log, but only what this operator signed: a liar cannot invent a beginning.
pub fn decide(
    keys: &Keys,
    config: &GenesisConfig,
    observed: &BTreeMap<NodeName, Observed>,
    logged: Option<&SignedRecord>,
) -> Result<Decision, GenesisError> {
    if let Some(Err(reason)) = logged.map(|logged| adoptable(keys, logged)) {
        return Err(GenesisError::ForeignLog { reason });
    }
    match (accepted(keys, config, observed)?, logged) {
        (Some(shown), Some(logged)) if shown.record == logged.record => {
            Ok(Decision::Resume(Box::new(logged.clone())))
        }
        (Some(shown), _) => Ok(Decision::Adopt(Box::new(shown.clone()))),
        (None, Some(logged)) => Ok(Decision::Resume(Box::new(logged.clone()))),
        (None, None) => propose(keys, config, observed),
    }
}

/// The one record 0 of this operator that nodes show.
fn accepted<'a>(
    keys: &Keys,
    config: &GenesisConfig,
    observed: &'a BTreeMap<NodeName, Observed>,
) -> Result<Option<&'a SignedRecord>, GenesisError> {
    let mut found: Option<(&NodeName, &SignedRecord)> = None;
    for node in &config.nodes {
        let Some(Observed::Identity { shown: Some(Ok(shown)), .. }) = observed.get(&node.node)
        else {
            continue;
        };
        if adoptable(keys, shown).is_err() {
            continue;
        }
        match found {
            Some((other_node, other)) if other.record != shown.record => {
                return Err(GenesisError::Conflict {
                    one_node: other_node.clone(),
                    one: other.record.hash(),
                    other_node: node.node.clone(),
                    other: shown.record.hash(),
                });
            }
            Some(_) => {}
            None => found = Some((&node.node, shown)),
        }
    }
    Ok(found.map(|(_, shown)| shown))
}

/// Only what this operator signed for this committee is adopted, whoever shows it.
fn adoptable(keys: &Keys, shown: &SignedRecord) -> Result<(), String> {
    if shown.record.committee != keys.committee {
        return Err(format!("it is of committee {}", shown.record.committee));
    }
    if shown.key != keys.operator.public() {
        return Err("it is signed by another operator".to_owned());
    }
    check_genesis(shown).map_err(|violation| violation.to_string())
}

fn propose(
    keys: &Keys,
    config: &GenesisConfig,
    observed: &BTreeMap<NodeName, Observed>,
) -> Result<Decision, GenesisError> {
    let shards = place(config)?;
    let mut members = Vec::new();
    let mut missing = BTreeMap::new();
    for (node, shards) in config.nodes.iter().zip(shards) {
        let why = match observed.get(&node.node) {
            Some(Observed::Identity { report, shown }) => {
                members.push(member(keys, node, report, shards)?);
                let Some(hash) = report.genesis else { continue };
                unshown(keys, node, hash, shown.as_ref())?
            }
            Some(Observed::Silent(reason)) => reason.clone(),
            None => "not asked".to_owned(),
        };
        missing.insert(node.node.clone(), why);
    }
    if !missing.is_empty() {
        return Ok(Decision::Wait(missing));
    }
    members.sort_by(|one, other| one.node.cmp(&other.node));
    Ok(Decision::Propose(Box::new(record(keys, config, members))))
}

/// A node says that it accepted a record 0, and none was adopted: no other one is made beside it.
fn unshown(
    keys: &Keys,
    node: &GenesisNode,
    hash: RecordHash,
    shown: Option<&Result<Box<SignedRecord>, String>>,
) -> Result<String, GenesisError> {
    let reason = match shown {
        Some(Ok(shown)) => adoptable(keys, shown).err(),
        Some(Err(reason)) => return Ok(format!("it does not show its record 0: {reason}")),
        None => None,
    };
    match reason {
        Some(reason) => Err(GenesisError::NotAdopted { node: node.node.clone(), hash, reason }),
        None => Ok("it does not show its record 0".to_owned()),
    }
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
    if identity.committee != keys.committee {
        let hint = "its volume belongs to another one; give it an empty volume";
        return Err(stranger(node, "committee", hint));
    }
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
        host: node.host.clone(),
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
        wholes: Vec::new(),
    }
}
