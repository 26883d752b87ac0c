//! What a Committee's gateway consists of. Its TLS leaf and registrar key are in [`super::leaf`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use floe_crd::labels::{self, Component};
use floe_crd::{NamespacesFrom, names};
use floe_steward::start_files::{
    self, AdmittedNamespaces, CommitteeObject, GATEWAY_FILE, GatewayFile, KubernetesGateway,
    LabelExpression, LabelOperator, NamespaceSelector, NodeAddress, REGISTRAR_KEY_FILE,
};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    Affinity, ConfigMap, Container, PodAffinityTerm, PodAntiAffinity, PodSpec, Service,
    ServiceAccount, ServicePort, ServiceSpec, TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta::{of_committee, selecting, selector};
use super::{CommitteeScope, leaf, pod};

/// The `ClusterRole` that the operator's chart brings.
pub const CLUSTER_ROLE: &str = "floe-gateway";
/// The audience of tokens where `spec.gateway.audiences` names none.
pub const AUDIENCE: &str = "floe.dev";
/// The key of the CA for applications.
pub const CA_KEY: &str = "ca.crt";

/// Annotation of the pods: a hash of what they are configured with.
const CONFIG: &str = "floe.dev/config";
const PORT: &str = "https";
/// How long requests that run may go on.
const TERMINATION_SECONDS: i64 = 60;

/// `spec.access.namespaces` says what no gateway understands.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An operator of a label selector that is none.
    #[error(
        "spec.access.namespaces.selector has the operator {0:?}; use In, NotIn, Exists or DoesNotExist"
    )]
    Operator(String),
    /// It cannot be written down.
    #[error("a start file cannot be written down")]
    Json(#[from] serde_json::Error),
}

/// The start file. `nodes` are where the gateway asks for the newest epoch record.
pub fn file(scope: &CommitteeScope, nodes: Vec<NodeAddress>) -> Result<GatewayFile, ConfigError> {
    let listen = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let audiences = &scope.spec.gateway.audiences;
    Ok(GatewayFile {
        committee: scope.committee,
        operator: scope.operator,
        listen: listen(names::GATEWAY_PORT),
        metrics_listen: listen(names::METRICS_PORT),
        nodes,
        kubernetes: Some(KubernetesGateway {
            audiences: match audiences.as_slice() {
                [] => vec![AUDIENCE.to_owned()],
                some => some.to_vec(),
            },
            namespaces: admitted(scope)?,
            committee: CommitteeObject {
                namespace: scope.namespace.clone(),
                name: scope.name.clone(),
            },
        }),
    })
}

/// `gateway.json`.
pub fn config(scope: &CommitteeScope, file: &GatewayFile) -> Result<ConfigMap, serde_json::Error> {
    Ok(ConfigMap {
        metadata: of_gateway(scope),
        data: Some([(GATEWAY_FILE.to_owned(), pod::json(file)?)].into()),
        ..ConfigMap::default()
    })
}

/// The workload. A changed `file` restarts it, unless only the nodes' addresses did: a gateway that
/// runs has newer ones.
pub fn deployment(
    scope: &CommitteeScope,
    file: &GatewayFile,
) -> Result<Deployment, serde_json::Error> {
    let labels = labels::of_component(&scope.name, Component::Gateway);
    let settings = GatewayFile { nodes: Vec::new(), ..file.clone() };
    let hash = names::short_hash(pod::json(&settings)?.as_bytes());
    let mut template = pod::plain(scope, labels, pod_spec(scope));
    template.metadata.get_or_insert_default().annotations =
        Some([(CONFIG.to_owned(), hash)].into());
    Ok(Deployment {
        metadata: of_gateway(scope),
        spec: DeploymentSpec {
            replicas: Some(i32::from(scope.spec.gateway.replicas)),
            selector: pods(scope),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        },
        status: None,
    })
}

/// What applications talk to.
pub fn service(scope: &CommitteeScope) -> Service {
    Service {
        metadata: of_gateway(scope),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(selecting(scope, Component::Gateway)),
            ports: Some(vec![ServicePort {
                app_protocol: Some("https".to_owned()),
                ..pod::service_port(PORT, names::GATEWAY_SERVICE_PORT)
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Whom the API server sees.
pub fn service_account(scope: &CommitteeScope) -> ServiceAccount {
    ServiceAccount {
        metadata: of_gateway(scope),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// The name of a Committee's [`cluster_role_binding`].
pub fn binding_name(namespace: &str, committee: &str) -> String {
    format!("{CLUSTER_ROLE}:{namespace}:{committee}")
}

/// What it may do there. Of the cluster, so it does not go with the Committee: whoever lets the
/// Committee go deletes it.
pub fn cluster_role_binding(scope: &CommitteeScope) -> ClusterRoleBinding {
    let CommitteeScope { namespace, name, .. } = scope;
    ClusterRoleBinding {
        metadata: ObjectMeta {
            name: Some(binding_name(namespace, name)),
            labels: Some(labels::of_component(name, Component::Gateway)),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "ClusterRole".to_owned(),
            name: CLUSTER_ROLE.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: names::gateway(name),
            namespace: Some(namespace.clone()),
            api_group: None,
        }]),
    }
}

/// For applications: whom to trust when they talk to the gateway.
pub fn ca(scope: &CommitteeScope, ca_pem: &str) -> ConfigMap {
    ConfigMap {
        metadata: of_committee(scope, names::gateway_ca(&scope.name), Component::Gateway),
        data: Some([(CA_KEY.to_owned(), ca_pem.to_owned())].into()),
        ..ConfigMap::default()
    }
}

/// One at a time. `None` for fewer than two: such a budget would only be in a drain's way.
pub fn disruption_budget(scope: &CommitteeScope) -> Option<PodDisruptionBudget> {
    (scope.spec.gateway.replicas > 1).then(|| PodDisruptionBudget {
        metadata: of_gateway(scope),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(pods(scope)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}

fn of_gateway(scope: &CommitteeScope) -> ObjectMeta {
    of_committee(scope, names::gateway(&scope.name), Component::Gateway)
}

fn pods(scope: &CommitteeScope) -> LabelSelector {
    selector(selecting(scope, Component::Gateway))
}

fn pod_spec(scope: &CommitteeScope) -> PodSpec {
    let name = names::gateway(&scope.name);
    let mut container = Container {
        ports: Some(vec![
            pod::port(PORT, names::GATEWAY_PORT),
            pod::port("metrics", names::METRICS_PORT),
        ]),
        ..pod::container(
            scope,
            vec!["gateway".to_owned(), "--dir".to_owned(), pod::START_DIR.to_owned()],
            pod::GATEWAY.resources(),
        )
    };
    pod::probe(&mut container, pod::STARTING_SECONDS);
    let mut secret_files = leaf::FILES.to_vec();
    secret_files.push((REGISTRAR_KEY_FILE, REGISTRAR_KEY_FILE));
    let start = vec![
        pod::from_config_map(name.clone(), &[(GATEWAY_FILE, GATEWAY_FILE)]),
        pod::from_secret(name.clone(), &secret_files),
    ];
    PodSpec {
        affinity: Some(Affinity {
            pod_anti_affinity: Some(PodAntiAffinity {
                preferred_during_scheduling_ignored_during_execution: Some(vec![
                    WeightedPodAffinityTerm {
                        weight: 100,
                        pod_affinity_term: PodAffinityTerm {
                            label_selector: Some(pods(scope)),
                            topology_key: pod::HOST_KEY.to_owned(),
                            ..PodAffinityTerm::default()
                        },
                    },
                ]),
                ..PodAntiAffinity::default()
            }),
            ..Affinity::default()
        }),
        automount_service_account_token: Some(true),
        service_account_name: Some(name),
        termination_grace_period_seconds: Some(TERMINATION_SECONDS),
        topology_spread_constraints: Some(vec![TopologySpreadConstraint {
            label_selector: Some(pods(scope)),
            max_skew: 1,
            topology_key: scope.spec.topology.zone_key.clone(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        }]),
        ..pod::spec(container, start)
    }
}

fn admitted(scope: &CommitteeScope) -> Result<AdmittedNamespaces, ConfigError> {
    let access = &scope.spec.access.namespaces;
    Ok(AdmittedNamespaces {
        from: match access.from {
            NamespacesFrom::All => start_files::NamespacesFrom::All,
            NamespacesFrom::Same => start_files::NamespacesFrom::Same,
            NamespacesFrom::Selector => start_files::NamespacesFrom::Selector,
        },
        selector: access.selector.as_ref().map(namespace_selector).transpose()?,
    })
}

fn namespace_selector(selector: &LabelSelector) -> Result<NamespaceSelector, ConfigError> {
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        let operator = match expression.operator.as_str() {
            "In" => LabelOperator::In,
            "NotIn" => LabelOperator::NotIn,
            "Exists" => LabelOperator::Exists,
            "DoesNotExist" => LabelOperator::DoesNotExist,
            other => return Err(ConfigError::Operator(other.to_owned())),
        };
        let values = expression.values.clone().unwrap_or_default();
        Ok(LabelExpression { key: expression.key.clone(), operator, values })
    });
    Ok(NamespaceSelector {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: expressions.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests;
