//! A lost volume, and the next one in its place, as a steward would do it.

use std::time::Duration;

use floe_api::{NodeClient, Role, Target, TransportLimits};
use floe_model::Incarnation;
use floe_sidecar::{Limits, RepairJob, RepairJobError, RepairSummary, run_repair_job};

use super::committee::{Cluster, operator_key};

impl Cluster {
    /// The node loses its volume, and gets the next one by a new record.
    pub(crate) async fn replace(&mut self, at: usize, limits: Limits) {
        self.start_next_volume(at, limits).await;
        let record = self.draft(at).await;
        let accepted = self.issue(record).await;
        self.commit(&accepted).await;
        self.ready(at).await;
    }

    /// The node as callers see it.
    pub(crate) fn target(&self, at: usize) -> Target {
        Target::from(&self.record.members[at])
    }

    /// Calls nodes with a repair job's certificate.
    pub(crate) fn repairer(&self) -> NodeClient {
        let identity = self.authority.leaf(Role::Repair, "repair", Incarnation(0));
        NodeClient::new(&self.env, &identity, TransportLimits::default()).unwrap()
    }

    /// Runs a repair job for a node.
    pub(crate) async fn repair(&self, at: usize) -> Result<RepairSummary, RepairJobError> {
        let job = RepairJob {
            operator: operator_key().public(),
            tls: self.authority.leaf(Role::Repair, "repair", Incarnation(0)),
            node: self.nodes[at].name.clone(),
            nodes: (0..self.nodes.len()).map(|at| self.target(at)).collect(),
            bytes_per_second: None,
            patience: Duration::from_mins(1),
        };
        run_repair_job(&self.env, &job).await
    }

    /// Waits until a node knows of so many certified blobs.
    pub(crate) async fn owes(&self, at: usize, blobs: u64) {
        let look = async || (self.report(at).await.owed_blobs >= blobs).then_some(());
        self.until("the node knows of the blobs", look).await;
    }
}
