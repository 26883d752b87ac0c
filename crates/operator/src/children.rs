//! Every object that the operator makes for a Committee, a StorageNode or a Blob: pure functions
//! from what is wanted to the object, applied by [`crate::apply`].
//!
//! | module | what |
//! |---|---|
//! | [`volume`] | of one volume: StatefulSet, Service, `node.json`, TLS leaf |
//! | [`gateway`] | Deployment, Service, ServiceAccount with its binding, `gateway.json`, TLS leaf, budget, the CA for applications |
//! | [`repair`] | the Job that rebuilds for one StorageNode, and what it is started with |
//! | [`import`] | the Job that brings a Blob's content to the gateway |
//! | [`network`] | who may talk to whom |
//! | [`budget`] | how many storage nodes may be stopped at once |
//! | [`leaf`] | Secrets of TLS leaves, and when they are due |
//! | [`pod`] | what all pods have in common |

pub mod budget;
pub mod gateway;
pub mod import;
pub mod leaf;
mod meta;
pub mod network;
pub mod pod;
pub mod repair;
pub mod volume;

use floe_crd::CommitteeSpec;
use floe_model::keys::RegistrarPublicKey;
use floe_model::{CommitteeId, Incarnation, NodeName};

/// A Committee, as all of its children need it.
#[derive(Debug, Clone)]
pub struct CommitteeScope {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// UID of the Committee object: its children go with it.
    pub uid: String,
    /// What is wanted.
    pub spec: CommitteeSpec,
    /// The committee's id.
    pub committee: CommitteeId,
    /// The operator's key: whose record 0 is believed.
    pub operator: RegistrarPublicKey,
    /// The image of all roles: `spec.image`, or the operator's own.
    pub image: String,
    /// Where the operator runs: it alone talks to storage nodes from another namespace.
    pub operator_namespace: String,
}

/// One volume of a storage node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Whose.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// UID of the StorageNode object.
    pub node_uid: String,
    /// The zone it is tied to, if any.
    pub zone: Option<String>,
    /// Its claim is bound, so that its pod can no longer go anywhere else.
    pub placed: bool,
    /// What its StatefulSet asks for, which cannot change: as found on it, else as `spec.storage`.
    pub size: String,
    /// Like `size`: the StorageClass, `None` for the cluster's default.
    pub storage_class: Option<String>,
}

#[cfg(test)]
mod tests;
