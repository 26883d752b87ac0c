//! The Job that rebuilds what a StorageNode's unfilled shards lack, and what it is started with. Its
//! TLS leaf is in [`super::leaf`].

use floe_crd::labels::{self, Component};
use floe_crd::{QuantityError, StorageNode, names};
use floe_steward::start_files::{NodeAddress, REPAIR_FILE, RepairFile};
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::meta::{of_committee, owner};
use super::{CommitteeScope, Volume, leaf, pod};

/// How long a Job may take over one deficit.
const DEADLINE_SECONDS: i64 = 24 * 3600;
/// How long a Job that ended can be looked at.
const KEPT_SECONDS: i32 = 3600;
/// Pods that may fail before the Job does; those that are evicted do not count.
const RETRIES: i32 = 6;
/// `floe` ends so when it is asked the wrong way: another pod would be, too.
const USAGE: i32 = 2;

/// `repair.json`. `nodes` are where the Job asks for the newest epoch record.
pub fn config(
    scope: &CommitteeScope,
    nodes: Vec<NodeAddress>,
) -> Result<ConfigMap, serde_json::Error> {
    let file = RepairFile { committee: scope.committee, operator: scope.operator, nodes };
    Ok(ConfigMap {
        metadata: of_committee(scope, names::repair(&scope.name), Component::Repair),
        data: Some([(REPAIR_FILE.to_owned(), pod::json(&file)?)].into()),
        ..ConfigMap::default()
    })
}

/// The Job for this volume. `deficit` tells what it fills: the same bytes, the same Job. It is
/// created and never changed.
pub fn job(scope: &CommitteeScope, volume: &Volume, deficit: &[u8]) -> Result<Job, QuantityError> {
    let Volume { node, incarnation, node_uid, .. } = volume;
    let bytes_per_second = scope.spec.repair.max_bytes_per_second.bytes()?;
    let mut labels = labels::of_component(&scope.name, Component::Repair);
    labels.insert(labels::STORAGE_NODE.to_owned(), node.to_string());
    labels.insert(labels::INCARNATION.to_owned(), incarnation.to_string());
    let arguments = [
        "repair",
        "--dir",
        pod::START_DIR,
        "--node",
        node.as_str(),
        "--max-bytes-per-second",
        &bytes_per_second.to_string(),
    ];
    let container =
        pod::container(scope, arguments.map(ToOwned::to_owned).into(), pod::REPAIR.resources());
    let name = names::repair(&scope.name);
    let start = vec![
        pod::from_config_map(name.clone(), &[(REPAIR_FILE, REPAIR_FILE)]),
        pod::from_secret(name, &leaf::FILES),
    ];
    let spec = PodSpec { restart_policy: Some("Never".to_owned()), ..pod::spec(container, start) };
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(names::repair_job(node.as_str(), *incarnation, deficit)),
            namespace: Some(scope.namespace.clone()),
            labels: Some(labels.clone()),
            owner_references: Some(vec![owner::<StorageNode>(node.to_string(), node_uid.clone())]),
            ..ObjectMeta::default()
        },
        spec: Some(once(pod::shaped(scope, labels, spec), DEADLINE_SECONDS)),
        status: None,
    })
}

/// One pod at a time until one succeeds: no second one begins before the first has ended, and being
/// evicted is no failure.
pub(super) fn once(template: PodTemplateSpec, deadline_seconds: i64) -> JobSpec {
    let ignored = PodFailurePolicyRule {
        action: "Ignore".to_owned(),
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".to_owned(),
            status: Some("True".to_owned()),
        }]),
        on_exit_codes: None,
    };
    let hopeless = PodFailurePolicyRule {
        action: "FailJob".to_owned(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(pod::CONTAINER.to_owned()),
            operator: "In".to_owned(),
            values: vec![USAGE],
        }),
        on_pod_conditions: None,
    };
    JobSpec {
        active_deadline_seconds: Some(deadline_seconds),
        backoff_limit: Some(RETRIES),
        completions: Some(1),
        parallelism: Some(1),
        pod_failure_policy: Some(PodFailurePolicy { rules: vec![ignored, hopeless] }),
        pod_replacement_policy: Some("Failed".to_owned()),
        template,
        ttl_seconds_after_finished: Some(KEPT_SECONDS),
        ..JobSpec::default()
    }
}

#[cfg(test)]
mod tests;
