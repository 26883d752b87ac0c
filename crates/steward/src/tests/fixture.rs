//! Nodes and records for tests, from fixed seeds.

pub(crate) mod fake_node;

use std::time::Duration;

use floe_api::report::{IdentityReport, Serving, ServingState};
use floe_model::keys::{NodeKey, RegistrarKey};
use floe_model::record::{Policy, possession_statement};
use floe_model::{CommitteeId, Geometry, Incarnation, Member, NodeName, SignedRecord, VolumeId};

use crate::genesis::{GenesisConfig, GenesisNode, Keys, Observed};

pub(crate) fn keys() -> Keys {
    Keys {
        committee: CommitteeId([0xc0; 16]),
        operator: RegistrarKey::from_seed(&[1; 32]),
        gateway: RegistrarKey::from_seed(&[2; 32]).public(),
    }
}

pub(crate) fn name(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub(crate) fn node_key(node: &str) -> NodeKey {
    NodeKey::generate(&[node.as_bytes()[0]; 32]).unwrap()
}

/// n = 4, f = 1; nodes d, c, b, a, in this order.
pub(crate) fn config() -> GenesisConfig {
    let node = |text: &&str| GenesisNode {
        node: name(text),
        incarnation: Incarnation(0),
        address: format!("{text}:7443"),
        zone: String::new(),
        host: String::new(),
    };
    GenesisConfig {
        geometry: Geometry::of_shards(4).unwrap(),
        policy: Policy::default(),
        nodes: ["d", "c", "b", "a"].iter().map(node).collect(),
        patience: Duration::ZERO,
    }
}

/// What a sound node says before the beginning.
pub(crate) fn report(node: &str) -> IdentityReport {
    let (committee, volume) = (keys().committee, VolumeId([node.as_bytes()[0]; 16]));
    let (key, node, incarnation) = (node_key(node), name(node), Incarnation(0));
    let statement = possession_statement(&committee, &node, incarnation, &volume, &key.public());
    IdentityReport {
        committee,
        node,
        incarnation,
        volume,
        key: key.public(),
        possession: key.prove_possession(&statement),
        genesis: None,
        serving: Serving { state: ServingState::Joining, reason: String::new() },
    }
}

pub(crate) fn identity(report: IdentityReport) -> Observed {
    Observed::Identity { report: Box::new(report), shown: None }
}

/// The node accepted `record`, and shows it.
pub(crate) fn accepted(node: &str, record: &SignedRecord) -> Observed {
    let mut report = report(node);
    report.genesis = Some(record.record.hash());
    Observed::Identity { report: Box::new(report), shown: Some(Ok(Box::new(record.clone()))) }
}

pub(crate) fn signed(record: floe_model::EpochRecord, operator: &RegistrarKey) -> SignedRecord {
    let signature = operator.sign(&SignedRecord::statement(&record));
    SignedRecord { record, key: operator.public(), signature }
}

/// The node as a record names it.
pub(crate) fn accepting_member(node: &str) -> Member {
    let report = report(node);
    Member {
        node: report.node,
        incarnation: report.incarnation,
        volume: report.volume,
        address: format!("{node}:7443"),
        zone: String::new(),
        host: String::new(),
        key: report.key,
        possession: report.possession,
        shards: Vec::new(),
    }
}
