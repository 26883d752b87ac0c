//! Putting away what is left of volumes that were replaced, and of StorageNodes that left. Claims are
//! labelled and stay, whatever happens.

use floe_crd::{labels, names};
use floe_plan::succession::VolumeName;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::observed::{Observed, is_retired};
use super::plan::Plan;
use crate::apply::{Dependents, delete};
use crate::error::{Doing as _, Result};

/// Marks a volume as given up: from now on, the next one is wanted, whoever decides. `false` if it has
/// no claim that could be marked.
pub(super) async fn give_up(
    client: &Client,
    observed: &Observed,
    volume: &VolumeName,
) -> Result<bool> {
    let Some(claim) = observed.claims.get(volume) else { return Ok(false) };
    retire::<PersistentVolumeClaim>(client, claim.meta()).await?;
    Ok(true)
}

/// Puts away all that the plan calls stale or gone. The claim is marked first, and what shows that
/// something is left goes last.
pub(super) async fn put_away(client: &Client, observed: &Observed, plan: &Plan) -> Result<()> {
    for volume in &plan.stale {
        put_away_volume(client, observed, volume).await?;
    }
    for node in observed.nodes.iter().filter(|node| {
        let name = node.name_any();
        plan.gone.iter().any(|gone| gone.as_str() == name)
            && node.metadata.deletion_timestamp.is_none()
    }) {
        delete(client, node, Dependents::Go).await?;
    }
    Ok(())
}

async fn put_away_volume(client: &Client, observed: &Observed, volume: &VolumeName) -> Result<()> {
    let (node, incarnation) = volume;
    if let Some(claim) = observed.claims.get(volume) {
        retire::<PersistentVolumeClaim>(client, claim.meta()).await?;
    }
    if let Some(pod) = observed.pods.get(volume) {
        retire::<Pod>(client, pod.meta()).await?;
    }
    let leaf = observed.leaves.get(&names::volume_tls(node.as_str(), *incarnation));
    let set = observed.sets.get(volume);
    let Some(namespace) = leaf.or(set.map(Resource::meta)).and_then(|it| it.namespace.clone())
    else {
        return Ok(());
    };
    let name = names::volume(node.as_str(), *incarnation);
    if let Some(set) = set.filter(|set| set.metadata.deletion_timestamp.is_none()) {
        delete(client, set, Dependents::Go).await?;
    }
    delete_named::<Service>(client, &namespace, &name).await?;
    delete_named::<ConfigMap>(client, &namespace, &name).await?;
    if let Some(leaf) = leaf {
        let secret = Secret { metadata: leaf.clone(), ..Secret::default() };
        delete(client, &secret, Dependents::Go).await?;
    }
    Ok(())
}

/// Labels an object as one of a volume that was replaced.
async fn retire<K>(client: &Client, meta: &ObjectMeta) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Clone,
    K: std::fmt::Debug,
{
    if is_retired(meta) {
        return Ok(());
    }
    let (name, namespace) = (meta.name.as_deref(), meta.namespace.as_deref());
    let (name, namespace) = (name.unwrap_or_default(), namespace.unwrap_or_default());
    // The UID: this very object, and none that took its name since.
    let patch = json!({
        "metadata": { "uid": meta.uid, "labels": { labels::RETIRED: labels::TRUE } },
    });
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let params = PatchParams {
        field_manager: Some(labels::COMMITTEE_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch_metadata(name, &params, &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        patched => patched.map(drop).doing(|| format!("labelling {} {name}", K::kind(&()))),
    }
}

/// Deletes what has this name, if anything does.
pub(super) async fn delete_named<K>(client: &Client, namespace: &str, name: &str) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Clone
        + Default
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let found = api.get_metadata_opt(name).await;
    let found = found.doing(|| format!("reading {} {name}", K::kind(&())))?;
    if let Some(found) = found.filter(|it| it.metadata.deletion_timestamp.is_none()) {
        let mut object = K::default();
        *object.meta_mut() = found.metadata;
        delete(client, &object, Dependents::Go).await?;
    }
    Ok(())
}
