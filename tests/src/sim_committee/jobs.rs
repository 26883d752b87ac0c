//! Repair jobs, each on a host of its own, started again and again as by a controller.

use std::sync::Arc;
use std::time::Duration;

use floe_model::NodeName;
use floe_sidecar::{RepairJob, RepairSummary, run_repair_job};

use super::World;

/// How long after its end a job is started again.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a job goes on while nothing comes back.
const PATIENCE: Duration = Duration::from_secs(30);

/// What jobs are to do.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// Whose unfilled shards are repaired.
    pub node: NodeName,
    /// What each job may read in a second.
    pub bytes_per_second: Option<u64>,
}

/// How a job ended.
pub type JobOutcome = Result<RepairSummary, String>;

pub(super) async fn repair(world: Arc<World>, host: String) -> turmoil::Result {
    let env = world.env(&host);
    loop {
        let assigned = world.state().assigned.clone();
        if let Some(Assigned { node, bytes_per_second }) = assigned {
            let job = RepairJob {
                operator: world.keys().operator.public(),
                tls: world.identity(&host).clone(),
                nodes: world.nodes().iter().map(|node| world.target(node)).collect(),
                patience: PATIENCE,
                node,
                bytes_per_second,
            };
            let done = run_repair_job(&env, &job).await.map_err(|error| error.to_string());
            world.log().note(&host, format!("{done:?}"));
            world.state().jobs_done.push((host.clone(), done));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl World {
    /// What repair jobs are to do when they begin anew.
    pub fn assign(&self, assigned: Option<Assigned>) {
        self.state().assigned = assigned;
    }

    /// What jobs did that ended by themselves since this was asked for last.
    pub fn take_jobs_done(&self) -> Vec<(String, JobOutcome)> {
        std::mem::take(&mut self.state().jobs_done)
    }
}
