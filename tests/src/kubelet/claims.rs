//! Claims, and the directories behind them.

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{from_value, json};

use super::Shared;
use super::machines::Tied;

/// The claims that a pod uses.
pub(super) fn names(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.map(|claim| claim.claim_name.clone()).collect()
}

/// The host on which a pod's claims have their volumes; an error if one of them is lost.
pub(super) async fn tied(client: &Client, pod: &Pod) -> anyhow::Result<Tied> {
    let namespace = pod.namespace().context("a pod has a namespace")?;
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &namespace);
    let volumes = Api::<PersistentVolume>::all(client.clone());
    for name in names(pod) {
        let claim = claims.get(&name).await?;
        let status = claim.status.unwrap_or_default();
        if status.phase.as_deref() == Some("Lost") {
            bail!("claim {name} is lost");
        }
        let Some(volume) = claim.spec.and_then(|spec| spec.volume_name) else { continue };
        let volume = volumes.get(&volume).await?;
        return Ok(volume.labels().get(HOST).cloned());
    }
    Ok(None)
}

/// Binds what is not bound yet to a new volume on this host, and makes its directory.
pub(super) async fn bind(shared: &Shared, pod: &Pod, host: &str) -> anyhow::Result<()> {
    let namespace = pod.namespace().context("a pod has a namespace")?;
    let claims = Api::<PersistentVolumeClaim>::namespaced(shared.client.clone(), &namespace);
    for name in names(pod) {
        let claim = claims.get(&name).await?;
        let uid = claim.uid().context("a claim has an uid")?;
        let spec = claim.spec.clone().unwrap_or_default();
        if spec.volume_name.is_none() {
            let volume = format!("pvc-{uid}");
            provision(shared, &claim, &volume, host).await?;
            let bound = json!({
                "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
                "spec": { "volumeName": volume },
            });
            let params = PatchParams::default();
            claims.patch(&name, &params, &Patch::Merge(bound)).await?;
            let size = spec.resources.and_then(|it| it.requests);
            let status = json!({ "status": {
                "phase": "Bound",
                "accessModes": ["ReadWriteOnce"],
                "capacity": size,
            }});
            claims.patch_status(&name, &params, &Patch::Merge(status)).await?;
        }
    }
    Ok(())
}

/// The volume behind a pod's claim.
pub(super) async fn volume(shared: &Shared, pod: &Pod) -> anyhow::Result<String> {
    let namespace = pod.namespace().context("a pod has a namespace")?;
    let claims = Api::<PersistentVolumeClaim>::namespaced(shared.client.clone(), &namespace);
    let name = names(pod).into_iter().next().context("a pod has a claim")?;
    let spec = claims.get(&name).await?.spec;
    spec.and_then(|spec| spec.volume_name).with_context(|| format!("claim {name} is not bound"))
}

/// Which host a volume is on.
const HOST: &str = "floe-tests/host";

async fn provision(
    shared: &Shared,
    claim: &PersistentVolumeClaim,
    volume: &str,
    host: &str,
) -> anyhow::Result<()> {
    let dir = shared.disk(volume);
    std::fs::create_dir_all(&dir)?;
    let size = claim.spec.as_ref().and_then(|spec| spec.resources.clone()?.requests);
    let object = json!({
        "metadata": { "name": volume, "labels": { HOST: host } },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": size,
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": claim.name_any(),
                "namespace": claim.namespace(),
                "uid": claim.uid(),
            },
            "hostPath": { "path": dir },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "kubernetes.io/hostname", "operator": "In", "values": [host] },
            ]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()),
        },
    });
    let volumes = Api::<PersistentVolume>::all(shared.client.clone());
    match volumes.create(&PostParams::default(), &from_value(object)?).await {
        // An earlier try was cut off.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        created => drop(created?),
    }
    Ok(())
}
