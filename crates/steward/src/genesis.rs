//! Record 0: who the committee is at its start.
//!
//! [`decide`] is the whole decision; the rest asks, creates, pushes and gathers. Every step may be
//! the last one before the process dies: the next run starts from what the nodes and the log hold.
//!
//! ```text
//! ask every node who it is ── some node has a record 0 ───────────────► adopt it ─┐
//!          │                  the log has one ────────────────────────► resume ───┤
//!          ├─ all answered, all in order ─► propose: plan, sign, create in the log ┤
//!          └─ else ─► wait for whom                                               ▼
//!                                     push ─► acceptances worth n-f ─► proof ─► push to all
//! ```

mod decision;
mod rollout;

use std::collections::BTreeMap;
use std::time::Duration;

use floe_api::{NodeClient, Target};
use floe_env::Env;
use floe_model::keys::RegistrarKey;
use floe_model::record::Policy;
use floe_model::{
    CommitProof, CommitteeId, Geometry, Incarnation, NodeName, RecordHash, SignedRecord,
};
use floe_plan::epoch::Violation;
use floe_plan::placement::PlacementError;
use futures::future::join_all;

use crate::record_log::{LogError, RecordLog};

pub use decision::{Decision, Observed, decide};

/// How long to wait before the nodes are asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// A node that is to be in record 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisNode {
    /// Its name.
    pub node: NodeName,
    /// Which of its volumes: 0, unless one was lost before the start.
    pub incarnation: Incarnation,
    /// Host and port of its internal API.
    pub address: String,
    /// Its zone, empty if it has none.
    pub zone: String,
    /// The host it runs on, empty for one of its own.
    pub host: String,
}

impl GenesisNode {
    fn target(&self) -> Target {
        Target {
            node: self.node.clone(),
            incarnation: self.incarnation,
            address: self.address.clone(),
        }
    }
}

/// What record 0 is to say.
#[derive(Debug, Clone)]
pub struct GenesisConfig {
    /// n and f.
    pub geometry: Geometry,
    /// What holds for all blobs.
    pub policy: Policy,
    /// All nodes.
    pub nodes: Vec<GenesisNode>,
    /// How long to wait for nodes before giving up.
    pub patience: Duration,
}

/// Whose committee it is, and who signs for it.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The committee.
    pub committee: CommitteeId,
    /// Signs record 0; its public half stands in it.
    pub operator: RegistrarKey,
    /// The public half of the gateways' key.
    pub gateway: floe_model::keys::RegistrarPublicKey,
}

impl From<&crate::Trust> for Keys {
    fn from(trust: &crate::Trust) -> Self {
        Self {
            committee: trust.committee(),
            operator: trust.operator_key().clone(),
            gateway: trust.gateway_public(),
        }
    }
}

/// A committee that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Record 0.
    pub record: SignedRecord,
    /// The proof that it is committed.
    pub proof: CommitProof,
    /// Nodes that were not told, and why: they learn it from whoever pushes the chain to them.
    pub untold: BTreeMap<NodeName, String>,
}

/// A committee that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// No two nodes may have one name, and so on.
    #[error("the nodes cannot hold the shards")]
    Placement(#[from] PlacementError),
    /// A node is not who it should be.
    #[error("node {node} at {address}: its {what} is not what it should be; {hint}")]
    Stranger {
        /// The node.
        node: NodeName,
        /// Where it was asked.
        address: String,
        /// "committee", "name", "incarnation", "proof of possession".
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// The nodes do not agree on record 0.
    #[error(
        "nodes {one_node} and {other_node} accepted different records 0 ({one}, {other}): they belong to two beginnings; start one of them with an empty volume"
    )]
    Conflict {
        /// A node.
        one_node: NodeName,
        /// Its record.
        one: RecordHash,
        /// Another node.
        other_node: NodeName,
        /// Its record.
        other: RecordHash,
    },
    /// A node accepted a record 0 that is not this operator's.
    #[error("node {node} accepted record 0 {hash}, which cannot be adopted: {reason}")]
    NotAdopted {
        /// The node.
        node: NodeName,
        /// The record.
        hash: RecordHash,
        /// Why.
        reason: String,
    },
    /// Record 0 is not in order.
    #[error("epoch record 0 is not in order")]
    Violation(#[from] Violation),
    /// Nodes did not answer in time.
    #[error("nodes are missing: {}", listed(.0))]
    Waiting(BTreeMap<NodeName, String>),
    /// Too few nodes accepted record 0.
    #[error(
        "record 0 was accepted by nodes worth {have} shards, {need} are needed; not by: {}",
        listed(.refused)
    )]
    TooFew {
        /// Shards of those that accepted.
        have: usize,
        /// n-f.
        need: usize,
        /// Who did not, and why.
        refused: BTreeMap<NodeName, String>,
    },
    /// The log is another committee's.
    #[error(
        "the record log has a record 0 that is not this committee's: {reason}; name the right directory"
    )]
    ForeignLog {
        /// What is wrong with it.
        reason: String,
    },
    /// The log failed.
    #[error("the record log failed")]
    Log(#[from] LogError),
}

fn listed(nodes: &BTreeMap<NodeName, String>) -> String {
    let each = nodes.iter().map(|(node, reason)| format!("{node} ({reason})"));
    each.collect::<Vec<_>>().join(", ")
}

/// Brings the committee to a committed record 0 and tells all nodes. May be killed anywhere and run
/// again; where a record 0 exists it is adopted.
pub async fn genesis(
    env: &Env,
    client: &NodeClient,
    log: &dyn RecordLog,
    keys: &Keys,
    config: &GenesisConfig,
) -> Result<Genesis, GenesisError> {
    let deadline = env.clock.monotonic() + config.patience;
    loop {
        let attempt = attempt(client, log, keys, config).await;
        let patient =
            matches!(attempt, Err(GenesisError::Waiting(_) | GenesisError::TooFew { .. }));
        if !patient || env.clock.monotonic() + AGAIN > deadline {
            return attempt;
        }
        env.clock.sleep(AGAIN).await;
    }
}

async fn attempt(
    client: &NodeClient,
    log: &dyn RecordLog,
    keys: &Keys,
    config: &GenesisConfig,
) -> Result<Genesis, GenesisError> {
    let logged = log.read_all().await?.into_iter().find(|signed| signed.record.number.0 == 0);
    let observed = observe(client, config).await;
    let record = match decide(keys, config, &observed, logged.as_ref())? {
        Decision::Resume(record) => *record,
        Decision::Propose(record) => {
            let signature = keys.operator.sign(&SignedRecord::statement(&record));
            let signed = SignedRecord { record: *record, key: keys.operator.public(), signature };
            floe_plan::epoch::check_genesis(&signed)?;
            log.create(&signed).await?;
            signed
        }
        Decision::Adopt(record) => {
            if logged.is_none() {
                log.create(&record).await?;
            }
            *record
        }
        Decision::Wait(missing) => return Err(GenesisError::Waiting(missing)),
    };
    rollout::roll_out(client, config, record).await
}

async fn observe(client: &NodeClient, config: &GenesisConfig) -> BTreeMap<NodeName, Observed> {
    let asked = config.nodes.iter().map(|node| async move {
        let target = node.target();
        let observed = match client.identity(&target).await {
            Ok(answer) => {
                let shown = match answer.value.genesis {
                    Some(_) => Some(first_record(client, &target).await),
                    None => None,
                };
                Observed::Identity { report: Box::new(answer.value), shown }
            }
            Err(error) => Observed::Silent(error.to_string()),
        };
        (node.node.clone(), observed)
    });
    join_all(asked).await.into_iter().collect()
}

async fn first_record(client: &NodeClient, target: &Target) -> Result<Box<SignedRecord>, String> {
    let chain = client.epoch(target).await.map_err(|error| error.to_string())?.value;
    let first = chain.links.into_iter().next().ok_or("its chain is empty")?;
    Ok(Box::new(first.record))
}

#[cfg(test)]
mod tests;
