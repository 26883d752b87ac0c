//! Writing statuses, and telling what happened: only what differs from what the API server has.

use floe_crd::{Committee, CommitteeStatus, StorageNode, StorageNodeStatus, labels};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::story::{Turn, committee_turns, node_turns};
use crate::Context;
use crate::error::{Doing as _, Result};

/// Writes a Committee's status and tells what happened.
pub(super) async fn committee(
    context: &Context,
    committee: &Committee,
    status: &CommitteeStatus,
) -> Result<()> {
    let old = committee.status.clone().unwrap_or_default();
    tell(context, &committee.object_ref(&()), committee_turns(&old, status)).await;
    if committee.status.as_ref() == Some(status) {
        return Ok(());
    }
    write(context, committee, status).await
}

/// Writes a StorageNode's status and tells what happened.
pub(super) async fn storage_node(
    context: &Context,
    node: &StorageNode,
    status: &StorageNodeStatus,
) -> Result<()> {
    let old = node.status.clone().unwrap_or_default();
    tell(context, &node.object_ref(&()), node_turns(&old, status)).await;
    if node.status.as_ref() == Some(status) {
        return Ok(());
    }
    write(context, node, status).await
}

/// Tells turns of an object's story.
pub(super) async fn tell(context: &Context, object: &ObjectReference, turns: Vec<Turn>) {
    for turn in turns {
        context.events.forget(object, turn.reason);
        context.events.say(object, turn.event_type, turn.reason, &turn.message).await;
    }
}

async fn write<K, S>(context: &Context, object: &K, status: &S) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
    S: Serialize,
{
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "uid": object.uid() },
        "status": status,
    });
    let api = Api::<K>::namespaced(context.client.clone(), &namespace);
    let params = PatchParams::apply(labels::COMMITTEE_MANAGER).force();
    match api.patch_status(&name, &params, &Patch::Apply(&patch)).await {
        // It is gone, or another one by now.
        Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => Ok(()),
        written => {
            written.map(drop).doing(|| format!("writing the status of {} {name}", K::kind(&())))
        }
    }
}
