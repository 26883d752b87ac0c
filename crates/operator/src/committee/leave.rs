//! How a Committee comes and goes. Its volumes stay: no claim, no trust and no epoch record is owned
//! by it.

use floe_crd::{Committee, labels};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::apply::{Dependents, delete};
use crate::children::gateway::binding_name;
use crate::error::{Doing as _, Result};
use crate::{CommitteeKey, Context};

/// Keeps a Committee from going without us.
pub(super) async fn hold(context: &Context, committee: &Committee) -> Result<()> {
    if committee.finalizers().iter().any(|it| it == labels::FINALIZER) {
        return Ok(());
    }
    let mut finalizers = committee.finalizers().to_vec();
    finalizers.push(labels::FINALIZER.to_owned());
    patch(context, committee, &finalizers).await
}

/// Lets a Committee go that is being deleted: what the garbage collector does not see is deleted
/// here. It stops the pods.
pub(super) async fn let_go(context: &Context, committee: &Committee) -> Result<()> {
    let (name, namespace) = (committee.name_any(), committee.namespace().unwrap_or_default());
    context.links.remove(&CommitteeKey { namespace: namespace.clone(), name: name.clone() });
    context.actors.remove(&committee.uid().unwrap_or_default());
    if committee.finalizers().iter().all(|it| it != labels::FINALIZER) {
        return Ok(());
    }
    let bindings = Api::<ClusterRoleBinding>::all(context.client.clone());
    let binding = bindings.get_metadata_opt(&binding_name(&namespace, &name)).await;
    let binding = binding.doing(|| "reading a ClusterRoleBinding".to_owned())?;
    if let Some(found) = binding {
        let binding =
            ClusterRoleBinding { metadata: found.metadata, ..ClusterRoleBinding::default() };
        delete(&context.client, &binding, Dependents::Go).await?;
    }
    let mut finalizers = committee.finalizers().to_vec();
    finalizers.retain(|it| it != labels::FINALIZER);
    patch(context, committee, &finalizers).await
}

async fn patch(context: &Context, committee: &Committee, finalizers: &[String]) -> Result<()> {
    let (name, namespace) = (committee.name_any(), committee.namespace().unwrap_or_default());
    let patch = json!({ "metadata": {
        "uid": committee.uid(),
        "resourceVersion": committee.resource_version(),
        "finalizers": finalizers,
    }});
    let api = Api::<Committee>::namespaced(context.client.clone(), &namespace);
    let params = PatchParams {
        field_manager: Some(labels::COMMITTEE_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch_metadata(&name, &params, &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        patched => patched.map(drop).doing(|| format!("writing finalizers of Committee {name}")),
    }
}
