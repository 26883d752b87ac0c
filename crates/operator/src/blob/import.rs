//! The Job that imports a ConfigMap's content: what became of it, making it, dropping it.

use std::time::Duration;

use floe_crd::{Blob, Committee, ConfigMapKey, labels, names};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};

use super::plan::{Entry, Import};
use super::source;
use crate::apply::{self, Dependents};
use crate::children::{CommitteeScope, import};
use crate::context::Context;
use crate::error::{Doing as _, Result};
use crate::link::Link;

/// The label by which the pods of just this Job are found.
const JOB_UID: &str = "batch.kubernetes.io/controller-uid";
/// How the importer ends its last line when the content was another than the ticket says.
const DIGEST_MISMATCH: &str = "digest-mismatch)";

/// The Job of this Blob, if there is one.
pub(crate) async fn find(client: &Client, blob: &Blob) -> Result<Option<Job>> {
    let namespace = blob.namespace().unwrap_or_default();
    let name = names::import_job(&blob.name_any());
    let jobs = Api::<Job>::namespaced(client.clone(), &namespace);
    jobs.get_opt(&name).await.doing(|| format!("reading Job {namespace}/{name}"))
}

/// What the Job's last pod said last.
pub(crate) async fn last_words(client: &Client, job: &Job) -> Result<Option<String>> {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let uid = job.uid().unwrap_or_default();
    let of_job = ListParams::default().labels(&format!("{JOB_UID}={uid}"));
    let pods =
        pods.list(&of_job).await.doing(|| format!("reading the pods of Job {namespace}/{name}"))?;
    let mut pods = pods.items;
    pods.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
    Ok(pods.iter().rev().find_map(said))
}

fn said(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let message = statuses
        .iter()
        .find_map(|container| container.state.as_ref()?.terminated.as_ref()?.message.as_deref())?;
    let line = message.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.to_owned())
}

/// What became of a Job.
pub(crate) fn outcome(
    job: Option<&Job>,
    blob_uid: &str,
    last_words: Option<&str>,
    now: Timestamp,
) -> Import {
    let Some(job) = job else { return Import::None };
    let is_ours = job.owner_references().iter().any(|owner| owner.uid == blob_uid);
    if !is_ours || job.metadata.deletion_timestamp.is_some() {
        return Import::Foreign;
    }
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref());
    let ended = |type_: &str| {
        let is = |condition: &&k8s_openapi::api::batch::v1::JobCondition| {
            condition.type_ == type_ && condition.status == "True"
        };
        conditions.unwrap_or_default().iter().find(is)
    };
    if ended("Complete").is_some() {
        return Import::Done;
    }
    let Some(failed) = ended("Failed") else { return Import::Running };
    if last_words.is_some_and(|words| words.ends_with(DIGEST_MISMATCH)) {
        return Import::Changed;
    }
    let since = failed.last_transition_time.as_ref().map_or(now, |time| time.0);
    let ago = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let message = last_words.or(failed.message.as_deref()).unwrap_or("the Job failed");
    Import::Failed { message: message.to_owned(), ago }
}

/// What the ConfigMap has under the key.
pub(crate) async fn entry(client: &Client, namespace: &str, key: &ConfigMapKey) -> Result<Entry> {
    let config_maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let found = config_maps.get_opt(&key.name).await;
    let found = found.doing(|| format!("reading ConfigMap {namespace}/{}", key.name))?;
    Ok(source::entry(found.as_ref(), &key.key))
}

/// Makes the Job with its ticket.
pub(crate) async fn start(
    context: &Context,
    (committee, link): (&Committee, &Link),
    blob: &Blob,
    (key, ticket): (&ConfigMapKey, &str),
) -> Result<()> {
    let scope = scope(context, committee, link);
    let secret = import::secret(&scope, blob, ticket, &link.ca_pem);
    apply::apply(&context.client, &secret, labels::BLOB_MANAGER).await?;
    let job = import::job(&scope, blob, key);
    apply::create_once(&context.client, &job, labels::BLOB_MANAGER).await?;
    Ok(())
}

fn scope(context: &Context, committee: &Committee, link: &Link) -> CommitteeScope {
    let image = committee.spec.image.clone();
    CommitteeScope {
        namespace: committee.namespace().unwrap_or_default(),
        name: committee.name_any(),
        uid: committee.uid().unwrap_or_default(),
        spec: committee.spec.clone(),
        committee: link.keys.committee,
        operator: link.keys.operator.public(),
        image: image.unwrap_or_else(|| context.config.image.clone()),
        operator_namespace: context.config.namespace.clone(),
    }
}

/// Deletes the Job with its pods.
pub(crate) async fn drop_job(client: &Client, job: &Job) -> Result<()> {
    apply::delete(client, job, Dependents::Go).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const UID: &str = "6f0c3c6e-0d5c-4c55-8d0c-1f2e3d4c5b6a";

    fn job(owner: &str, conditions: &serde_json::Value, leaving: bool) -> Job {
        let mut job = json!({
            "metadata": {
                "name": "floe-import-x",
                "ownerReferences": [{"apiVersion": "floe.dev/v1alpha1", "kind": "Blob", "name": "x", "uid": owner}],
            },
            "status": {"conditions": conditions},
        });
        if leaving {
            job["metadata"]["deletionTimestamp"] = json!("2026-11-22T09:15:00Z");
        }
        serde_json::from_value(job).unwrap()
    }

    #[test]
    fn what_becomes_of_a_job() {
        let now: Timestamp = "2026-11-22T09:15:00Z".parse().unwrap();
        let complete = json!([{"type": "Complete", "status": "True"}]);
        let failed = json!([
            {"type": "FailureTarget", "status": "True"},
            {"type": "Failed", "status": "True", "message": "no more tries", "lastTransitionTime": "2026-11-22T09:14:30Z"},
        ]);
        let ago = Duration::from_secs(30);
        let failure = |message: &str| Import::Failed { message: message.to_owned(), ago };
        let changed =
            "error: the body has the SHA-256 x, its digest header says y (422 digest-mismatch)";
        let table = vec![
            (job(UID, &json!([]), false), None, Import::Running),
            (job(UID, &json!([]), true), None, Import::Foreign),
            (job("another", &complete, false), None, Import::Foreign),
            (job(UID, &complete, false), None, Import::Done),
            (job(UID, &failed, false), None, failure("no more tries")),
            (job(UID, &failed, false), Some("error: no"), failure("error: no")),
            (job(UID, &failed, false), Some(changed), Import::Changed),
        ];
        for (job, words, expected) in table {
            assert_eq!(outcome(Some(&job), UID, words, now), expected, "{job:?}");
        }
        assert_eq!(outcome(None, UID, None, now), Import::None);
    }

    #[test]
    fn the_last_line_that_a_pod_left_is_what_it_said() {
        let pod = |message: serde_json::Value| -> Pod {
            let terminated = json!({"terminated": {"exitCode": 1, "message": message}});
            let container = json!({"name": "floe", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": terminated});
            serde_json::from_value(json!({"status": {"containerStatuses": [container]}})).unwrap()
        };
        assert_eq!(said(&pod(json!("one\n two \n\n"))).as_deref(), Some("two"));
        assert_eq!(said(&pod(json!(null))), None);
        assert_eq!(said(&Pod::default()), None);
    }
}
