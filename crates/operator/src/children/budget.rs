//! The PodDisruptionBudget of storage nodes; how much it allows is decided in
//! [`crate::disruption`].

use floe_crd::labels::{self, Component};
use floe_crd::names;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::CommitteeScope;
use super::meta::{of_committee, selecting};

/// A budget of so many pods that must stay ready. Pods of retired volumes count neither way.
pub fn disruption_budget(scope: &CommitteeScope, min_available: u16) -> PodDisruptionBudget {
    let name = names::disruption_budget(&scope.name);
    PodDisruptionBudget {
        metadata: of_committee(scope, name, Component::StorageNode),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(i32::from(min_available))),
            selector: Some(LabelSelector {
                match_labels: Some(selecting(scope, Component::StorageNode)),
                match_expressions: Some(vec![LabelSelectorRequirement {
                    key: labels::RETIRED.to_owned(),
                    operator: "DoesNotExist".to_owned(),
                    values: None,
                }]),
            }),
            // A pod that is not ready may hold what the others need: it is no easier to stop.
            unhealthy_pod_eviction_policy: Some("IfHealthyBudget".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
