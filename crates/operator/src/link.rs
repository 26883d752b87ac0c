//! What the committee controller knows of a committee that runs, for the blob controller.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floe_api::report::NodeReport;
use floe_api::{NodeClient, Target};
use floe_model::{EpochRecord, NodeName};
use floe_steward::Keys;

/// Names a Committee.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitteeKey {
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for CommitteeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A committee that runs.
#[derive(Debug, Clone)]
pub struct Link {
    /// Whose it is; its operator's key signs tickets and releases.
    pub keys: Keys,
    /// The operator's way to the nodes.
    pub client: NodeClient,
    /// The newest committed record.
    pub record: EpochRecord,
    /// Where that record has its nodes.
    pub targets: Vec<Target>,
    /// The gateway's `host:port`.
    pub gateway_address: String,
    /// The CA of the gateway's certificate, PEM.
    pub ca_pem: String,
    /// How each node is, by its own word, of those that answered last.
    pub reports: BTreeMap<NodeName, NodeReport>,
}

/// All committees that run, as far as this replica has seen them. Clones share what they hold.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<Mutex<BTreeMap<CommitteeKey, Arc<Link>>>>);

impl Links {
    /// What is known of a committee; nothing before it has formed or was looked at.
    pub fn get(&self, committee: &CommitteeKey) -> Option<Arc<Link>> {
        self.lock().get(committee).cloned()
    }

    /// What a reconcile of the Committee found.
    pub fn set(&self, committee: CommitteeKey, link: Link) {
        self.lock().insert(committee, Arc::new(link));
    }

    /// The Committee is gone.
    pub fn remove(&self, committee: &CommitteeKey) {
        self.lock().remove(committee);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CommitteeKey, Arc<Link>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
