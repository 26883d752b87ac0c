//! The epoch records that nodes show to a job: which node is where, and who may hold what.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_api::{NodeClient, Target};
use floe_model::epochs::EpochTree;
use floe_model::keys::RegistrarPublicKey;
use floe_model::{EpochNumber, NodeName, RecordHash};
use futures::future::join_all;

use super::RepairJob;
use crate::repair::holders::Holders;

/// The records known, all of them signed by the operator of their parent.
pub(super) struct Chains {
    operator: RegistrarPublicKey,
    node: NodeName,
    /// Where to ask.
    nodes: Vec<Target>,
    tree: EpochTree,
    target: Option<Target>,
}

impl Chains {
    /// None is known.
    pub(super) fn new(job: &RepairJob) -> Self {
        Self {
            operator: job.operator,
            node: job.node.clone(),
            nodes: job.nodes.clone(),
            tree: EpochTree::default(),
            target: None,
        }
    }

    /// What is known may be old.
    pub(super) fn forget(&mut self) {
        self.target = None;
    }

    /// Where the node is; asks for it, if that is not known. A wrong answer does no harm: only the
    /// node itself has the certificate.
    pub(super) async fn target(&mut self, client: &NodeClient) -> Option<Target> {
        if self.target.is_none() {
            self.read(client).await;
            let records = self.tree.records().map(|(_, signed)| &signed.record);
            let naming = records.filter_map(|record| Some((record, record.member(&self.node)?)));
            let newest = naming.max_by_key(|(record, _)| record.number);
            self.target = newest.map(|(_, member)| Target::from(member));
        }
        self.target.clone()
    }

    async fn read(&mut self, client: &NodeClient) {
        let chains = join_all(self.nodes.iter().map(|from| client.epoch(from))).await;
        for link in chains.into_iter().flatten().flat_map(|chain| chain.value.links) {
            let record = &link.record;
            let genesis = record.record.number == EpochNumber(0);
            if (!genesis || record.key == self.operator)
                && self.tree.check_record(record, Some(&self.operator)).is_ok()
            {
                self.tree.insert(Arc::new(link.record));
            }
        }
    }

    /// Who may hold what under a record.
    pub(super) fn holders(&self, hash: &RecordHash) -> Option<Holders> {
        let record = &self.tree.record(hash)?.record;
        let previous: BTreeMap<_, _> = record
            .unfilled
            .iter()
            .map(|shard| (*shard, self.tree.previous_owners(hash, *shard)))
            .collect();
        Some(Holders::new(record, None, &previous))
    }
}
