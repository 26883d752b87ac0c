//! What the log and the nodes say, checked: the facts of the next decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_api::messages::Chain;
use floe_api::report::{IdentityReport, NodeReport, ServingState};
use floe_api::{NodeClient, Target};
use floe_model::record::possession_statement;
use floe_model::{EpochNumber, EpochTree, Member, NodeName, RecordHash, SignedRecord, Whole};
use floe_plan::epoch;
use floe_plan::succession::{Volume, VolumeName, Wanted};
use futures::future::join_all;

use crate::genesis::Keys;

/// What one node said.
#[derive(Debug, Clone)]
struct Said {
    identity: IdentityReport,
    chain: Option<Chain>,
    report: Option<NodeReport>,
}

/// All that was read in one pass.
#[derive(Debug, Default)]
pub(crate) struct Observation {
    /// The highest number read.
    pub(crate) highest: u64,
    /// The newest record that each volume accepted.
    pub(crate) heads: BTreeMap<VolumeName, RecordHash>,
    /// Volumes that answer where the wanted ones should.
    pub(crate) volumes: BTreeMap<NodeName, Volume>,
    /// What is said of whole shards.
    pub(crate) wholes: Vec<Whole>,
    /// Who each node says it is, or why it says nothing.
    pub(crate) identities: BTreeMap<NodeName, Result<IdentityReport, String>>,
    /// How each node is, of those that serve.
    pub(crate) reports: BTreeMap<NodeName, NodeReport>,
}

/// Asks all nodes and reads what the log holds into `tree`. What is not in order is left out: a liar
/// can hide a record from us, but not invent one.
pub(crate) async fn observe(
    client: &NodeClient,
    keys: &Keys,
    wanted: &[Wanted],
    logged: Vec<SignedRecord>,
    tree: &mut EpochTree,
) -> Observation {
    let mut seen = Observation::default();
    let mut targets: Vec<Target> = wanted.iter().map(target_of).collect();
    let mut asked = 0;
    // What nodes hold wins over the log; and those that only a record names are asked as well.
    while let Some(open) = targets.get(asked..).filter(|open| !open.is_empty()) {
        let said = join_all(open.iter().map(|target| ask(client, keys, target))).await;
        for (target, said) in open.iter().zip(said) {
            seen.hear(keys, target, said, tree);
        }
        asked = targets.len();
        let newest = tree.committed().map(|(_, signed)| signed.record.members.as_slice());
        let unknown = |it: &&Member| targets.iter().all(|target| target.node != it.node);
        let more: Vec<Target> =
            newest.unwrap_or_default().iter().filter(unknown).map(target_of_member).collect();
        targets.extend(more);
    }
    for signed in logged {
        seen.highest = seen.highest.max(signed.record.number.0);
        insert(tree, keys, signed);
    }
    seen.highest = seen.highest.max(tree.highest().map_or(0, |number| number.0));
    seen
}

/// Where a wanted volume should answer.
pub(crate) fn target_of(wanted: &Wanted) -> Target {
    Target {
        node: wanted.node.clone(),
        incarnation: wanted.incarnation,
        address: wanted.address.clone(),
    }
}

/// Where a record has a volume.
pub(crate) fn target_of_member(member: &Member) -> Target {
    Target {
        node: member.node.clone(),
        incarnation: member.incarnation,
        address: member.address.clone(),
    }
}

async fn ask(client: &NodeClient, keys: &Keys, target: &Target) -> Result<Said, String> {
    let identity = client.identity(target).await.map_err(|error| error.to_string())?.value;
    let who = (identity.committee, &identity.node, identity.incarnation);
    if who != (keys.committee, &target.node, target.incarnation) {
        return Err(format!("{}-{} answers there", identity.node, identity.incarnation));
    }
    let statement = possession_statement(
        &identity.committee,
        &identity.node,
        identity.incarnation,
        &identity.volume,
        &identity.key,
    );
    let proved = identity.key.verify_possession(&statement, &identity.possession);
    proved.map_err(|error| format!("its proof of possession of its key: {error}"))?;
    if identity.genesis.is_none() || identity.serving.state == ServingState::Refusing {
        return Ok(Said { identity, chain: None, report: None });
    }
    let chain = client.epoch(target).await.ok().map(|answer| answer.value);
    let report = client.report(target).await.ok().map(|answer| answer.value);
    Ok(Said { identity, chain, report })
}

impl Observation {
    fn hear(
        &mut self,
        keys: &Keys,
        target: &Target,
        said: Result<Said, String>,
        tree: &mut EpochTree,
    ) {
        let said = match said {
            Ok(said) => said,
            Err(reason) => {
                self.identities.insert(target.node.clone(), Err(reason));
                return;
            }
        };
        let volume: VolumeName = (target.node.clone(), target.incarnation);
        if let Some(head) = said.chain.and_then(|chain| take(tree, keys, chain)) {
            self.heads.insert(volume.clone(), head);
        }
        let wholes = said.report.iter().flat_map(|report| &report.wholes);
        self.wholes.extend(wholes.map(|whole| Whole {
            shard: whole.shard,
            node: volume.0.clone(),
            incarnation: volume.1,
            record: whole.record,
            signature: whole.signature,
        }));
        self.reports.extend(said.report.map(|report| (target.node.clone(), report)));
        let IdentityReport { incarnation, volume, key, possession, .. } = said.identity;
        let volume = Volume { incarnation, volume, key, possession };
        self.volumes.insert(target.node.clone(), volume);
        self.identities.insert(target.node.clone(), Ok(said.identity));
    }
}

/// Takes a node's chain; its head, if all of it is in order.
fn take(tree: &mut EpochTree, keys: &Keys, chain: Chain) -> Option<RecordHash> {
    let mut head = None;
    for link in chain.links {
        let hash = link.record.record.hash();
        if !insert(tree, keys, link.record) {
            return None;
        }
        if let Some(proof) = link.proof.filter(|_| !tree.is_committed(&hash))
            && proof.record == hash
            && tree.check_proof(&proof).is_ok()
        {
            tree.insert_proof(Arc::new(proof));
        }
        head = Some(hash);
    }
    head
}

/// Whether the record is in the tree now.
fn insert(tree: &mut EpochTree, keys: &Keys, signed: SignedRecord) -> bool {
    if tree.record(&signed.record.hash()).is_some() {
        return true;
    }
    let record = &signed.record;
    let ours = record.committee == keys.committee
        && (record.number != EpochNumber(0) || signed.key == keys.operator.public());
    let checked = epoch::check(tree, &signed, Some(&keys.operator.public()));
    if let Err(violation) = &checked {
        tracing::warn!(number = record.number.0, %violation, "an epoch record is not in order");
    }
    let good = ours && checked.is_ok();
    if good {
        tree.insert(Arc::new(signed));
    }
    good
}
