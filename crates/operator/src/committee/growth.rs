//! Volumes grow with `spec.storage.size`: their claims ask for more, and whoever provides the volumes
//! makes room. What cannot grow is told as an Event.

use std::time::Duration;

use floe_crd::{CommitteeSpec, labels, quantity_bytes};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use super::carry_out::Applications;
use super::observed::{Observed, is_retired};
use super::plan::Plan;
use super::{places, report, story};
use crate::Context;
use crate::error::{Doing as _, Result};

/// How long nobody asks again for what was refused.
const AGAIN: Duration = Duration::from_mins(10);
const GROWTH: &str = "growth";

/// Asks for larger volumes where they are smaller than wanted.
pub(super) async fn grow(
    context: &Context,
    spec: &CommitteeSpec,
    (plan, observed): (&Plan, &Observed),
    applied: &mut Applications,
) -> Result<()> {
    let claims = to_grow(spec, plan, observed);
    let (size, now) = (&spec.storage.size.0, context.env.clock.monotonic());
    let names: Vec<String> = claims.iter().map(|claim| claim.name_any()).collect();
    let print = format!("{size} {}", names.join(" "));
    if claims.is_empty() || applied.is_recent(GROWTH, &print, AGAIN, now) {
        return Ok(());
    }
    for claim in claims {
        ask(context, claim, size, observed).await?;
    }
    applied.note(GROWTH, print, now);
    Ok(())
}

/// Claims that ask for less than is wanted. One without a volume cannot ask for more.
fn to_grow<'a>(
    spec: &CommitteeSpec,
    plan: &Plan,
    observed: &'a Observed,
) -> Vec<&'a PersistentVolumeClaim> {
    let Ok(wanted) = spec.storage.size.bytes() else { return Vec::new() };
    let volumes = plan.current.iter().map(|(node, it)| (node.clone(), *it));
    let claims = volumes.filter_map(|volume| observed.claims.get(&volume));
    let is_small = |claim: &&PersistentVolumeClaim| {
        let is_bound = claim.status.as_ref().is_some_and(|it| it.phase.as_deref() == Some("Bound"));
        let asked = claim.spec.as_ref().and_then(|spec| {
            let requests = spec.resources.as_ref()?.requests.as_ref()?;
            quantity_bytes(&requests.get("storage")?.0).ok()
        });
        is_bound && !is_retired(claim.meta()) && asked.is_some_and(|asked| asked < wanted)
    };
    claims.filter(is_small).collect()
}

async fn ask(
    context: &Context,
    claim: &PersistentVolumeClaim,
    size: &str,
    observed: &Observed,
) -> Result<()> {
    let (name, namespace) = (claim.name_any(), claim.namespace().unwrap_or_default());
    let patch = json!({
        "metadata": { "uid": claim.uid() },
        "spec": { "resources": { "requests": { "storage": size } } },
    });
    let params = PatchParams {
        field_manager: Some(labels::COMMITTEE_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let api = Api::<PersistentVolumeClaim>::namespaced(context.client.clone(), &namespace);
    let node = claim.labels().get(labels::STORAGE_NODE).and_then(|node| node.parse().ok());
    let object = node.and_then(|node| places::storage_node(observed, &node));
    let turn = match api.patch(&name, &params, &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if status.is_invalid() || status.is_forbidden() => {
            let message = format!(
                "claim {name} cannot grow to {size}: {}; use a StorageClass that can expand volumes",
                status.message
            );
            story::warning("VolumeCannotGrow", message)
        }
        asked => {
            asked.doing(|| format!("growing claim {namespace}/{name}"))?;
            story::normal("VolumeGrows", format!("claim {name} asks for {size}"))
        }
    };
    if let Some(object) = object {
        report::tell(context, &object.object_ref(&()), vec![turn]).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use floe_model::Incarnation;
    use floe_plan::succession::VolumeName;
    use serde_json::{Value, from_value};

    use super::*;

    #[test]
    fn what_asks_for_less_grows() {
        let claim = |size: &str, phase: &str, labels: Value| -> PersistentVolumeClaim {
            from_value(json!({
                "metadata": {"name": "data-main-0-0-0", "labels": labels},
                "spec": {"resources": {"requests": {"storage": size}}},
                "status": {"phase": phase},
            }))
            .unwrap()
        };
        let spec: CommitteeSpec =
            from_value(json!({"replicas": 4, "storage": {"size": "2Gi"}})).unwrap();
        let volume: VolumeName = ("main-0".parse().unwrap(), Incarnation(0));
        let retired = json!({"floe.dev/retired": "true"});
        let table = [
            ("smaller", claim("1Gi", "Bound", json!({})), true),
            ("as wanted, in other words", claim("2048Mi", "Bound", json!({})), false),
            ("larger", claim("3Gi", "Bound", json!({})), false),
            ("without a volume", claim("1Gi", "Pending", json!({})), false),
            ("given up", claim("1Gi", "Bound", retired), false),
            ("nobody can read it", claim("much", "Bound", json!({})), false),
        ];
        for (name, claim, expected) in table {
            let mut plan = Plan::default();
            plan.current.insert(volume.0.clone(), volume.1);
            let mut observed = Observed::default();
            observed.claims.insert(volume.clone(), claim);
            assert_eq!(to_grow(&spec, &plan, &observed).len(), usize::from(expected), "{name}");
            plan.current.insert(volume.0.clone(), Incarnation(1));
            assert!(to_grow(&spec, &plan, &observed).is_empty(), "{name}, of another volume");
        }
    }
}
