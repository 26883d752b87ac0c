//! What all pods have in common: the image, pod security `restricted`, what the Committee's template
//! says, the start files at [`START_DIR`], probes.

use floe_crd::{PodTemplate, Resources, names};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, Container, ContainerPort, EnvVar, HTTPGetAction, KeyToPath,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource,
    ResourceRequirements, SeccompProfile, SecretProjection, SecurityContext, ServicePort,
    Volume as PodVolume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use super::CommitteeScope;
use super::meta::Labels;

/// Where a pod finds what it is started with.
pub const START_DIR: &str = "/etc/floe";
/// Where a storage node finds its claim.
pub const CLAIM_DIR: &str = "/var/lib/floe";
/// Annotation of a pod: a short hash of what it was made from. A pod with another than its
/// workload's is to be restarted.
pub const TEMPLATE: &str = "floe.dev/template";

/// The user and group of every process.
const USER: i64 = 65_532;
/// The one container of every pod.
pub(super) const CONTAINER: &str = "floe";
/// The label of Kubernetes nodes that tells hosts apart.
pub(super) const HOST_KEY: &str = "kubernetes.io/hostname";
const START_VOLUME: &str = "start";
/// How long a storage node may read its volume before it answers: an index that is gone is rebuilt
/// from all that the volume holds.
pub(super) const READING_SECONDS: i32 = 3600;
/// How long any other process may take before it answers.
pub(super) const STARTING_SECONDS: i32 = 60;

/// What a role may use where nobody says otherwise. Namespaces with a quota refuse pods that say
/// nothing.
pub(super) struct Footprint {
    cpu: &'static str,
    memory: &'static str,
    cpu_limit: Option<&'static str>,
    memory_limit: &'static str,
}

/// Of a storage node.
pub(super) const STORAGE_NODE: Footprint =
    Footprint { cpu: "500m", memory: "1Gi", cpu_limit: None, memory_limit: "2Gi" };
/// Of a gateway.
pub(super) const GATEWAY: Footprint =
    Footprint { cpu: "250m", memory: "256Mi", cpu_limit: None, memory_limit: "1Gi" };
/// Of a repair Job: muscle, and never more than this of it.
pub(super) const REPAIR: Footprint =
    Footprint { cpu: "250m", memory: "256Mi", cpu_limit: Some("2"), memory_limit: "1Gi" };
/// Of an importer Job.
pub(super) const IMPORT: Footprint =
    Footprint { cpu: "50m", memory: "64Mi", cpu_limit: Some("1"), memory_limit: "256Mi" };

impl Footprint {
    pub(super) fn resources(&self) -> ResourceRequirements {
        let quantity = |name: &str, text: &str| (name.to_owned(), Quantity(text.to_owned()));
        let cpu_limit = self.cpu_limit.map(|cpu| quantity("cpu", cpu));
        ResourceRequirements {
            requests: Some([quantity("cpu", self.cpu), quantity("memory", self.memory)].into()),
            limits: Some(
                [quantity("memory", self.memory_limit)].into_iter().chain(cpu_limit).collect(),
            ),
            claims: None,
        }
    }
}

/// The container of a role: the image with these arguments, and the start files.
pub(super) fn container(
    scope: &CommitteeScope,
    arguments: Vec<String>,
    resources: ResourceRequirements,
) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(scope.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(arguments),
        env: Some(vec![EnvVar {
            name: "FLOE_LOG_JSON".to_owned(),
            value: Some("true".to_owned()),
            value_from: None,
        }]),
        resources: Some(resources),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![VolumeMount {
            name: START_VOLUME.to_owned(),
            mount_path: START_DIR.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

/// A pod with this one container, the start files, and no token of the API server.
pub(super) fn spec(container: Container, start: Vec<VolumeProjection>) -> PodSpec {
    PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container],
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        volumes: Some(vec![PodVolume {
            name: START_VOLUME.to_owned(),
            projected: Some(ProjectedVolumeSource {
                default_mode: Some(0o440),
                sources: Some(start),
                ..ProjectedVolumeSource::default()
            }),
            ..PodVolume::default()
        }]),
        ..PodSpec::default()
    }
}

/// A pod that the Committee's template shapes. Labels by which the operator selects stay as they are.
pub(super) fn shaped(scope: &CommitteeScope, labels: Labels, spec: PodSpec) -> PodTemplateSpec {
    let template = scope.spec.template.clone();
    let mut pod = plain(scope, template.labels.into_iter().chain(labels).collect(), spec);
    pod.metadata.get_or_insert_default().annotations =
        Some(template.annotations).filter(|it| !it.is_empty());
    let spec = pod.spec.get_or_insert_default();
    spec.node_selector = Some(template.node_selector).filter(|it| !it.is_empty());
    let own = spec.tolerations.take().unwrap_or_default();
    let tolerations: Vec<_> = own.into_iter().chain(template.tolerations).collect();
    spec.tolerations = Some(tolerations).filter(|it| !it.is_empty());
    spec.priority_class_name = template.priority_class_name;
    pod
}

/// A pod in the Committee's namespace, with nothing but these labels.
pub(super) fn plain(scope: &CommitteeScope, labels: Labels, mut spec: PodSpec) -> PodTemplateSpec {
    spec.image_pull_secrets =
        Some(scope.spec.image_pull_secrets.clone()).filter(|it| !it.is_empty());
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
        spec: Some(spec),
    }
}

/// The template with [`TEMPLATE`]. What only decides where a pod goes that was never placed is no
/// reason to restart one.
pub(super) fn marked(mut template: PodTemplateSpec) -> PodTemplateSpec {
    let mut placed = template.clone();
    if let Some(spec) = placed.spec.as_mut() {
        spec.topology_spread_constraints = None;
    }
    let hash = json(&placed).map(|text| names::short_hash(text.as_bytes())).unwrap_or_default();
    let metadata = template.metadata.get_or_insert_default();
    metadata.annotations.get_or_insert_default().insert(TEMPLATE.to_owned(), hash);
    template
}

/// What a storage node may use: as the template says, or [`STORAGE_NODE`] where it says nothing.
pub(super) fn storage_node_resources(template: &PodTemplate) -> ResourceRequirements {
    if template.resources == Resources::default() {
        return STORAGE_NODE.resources();
    }
    ResourceRequirements::from(&template.resources)
}

/// Probes at the port `metrics`. `starting_seconds`: how long it may take until it answers at all.
pub(super) fn probe(container: &mut Container, starting_seconds: i32) {
    let probe = |path: &str, period_seconds: i32, failures: i32| {
        Some(Probe {
            http_get: Some(HTTPGetAction {
                path: Some(path.to_owned()),
                port: IntOrString::String("metrics".to_owned()),
                ..HTTPGetAction::default()
            }),
            period_seconds: Some(period_seconds),
            timeout_seconds: Some(5),
            failure_threshold: Some(failures),
            ..Probe::default()
        })
    };
    container.startup_probe = probe("/livez", 2, starting_seconds / 2);
    container.readiness_probe = probe("/readyz", 5, 2);
    container.liveness_probe = probe("/livez", 10, 6);
}

/// Adds a volume of the pod to its container.
pub(super) fn add_mount(container: &mut Container, volume: &str, path: &str, read_only: bool) {
    container.volume_mounts.get_or_insert_default().push(VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    });
}

/// Files of a ConfigMap, as (key, path below [`START_DIR`]).
pub(super) fn from_config_map(name: String, files: &[(&str, &str)]) -> VolumeProjection {
    VolumeProjection {
        config_map: Some(ConfigMapProjection { name, items: Some(items(files)), optional: None }),
        ..VolumeProjection::default()
    }
}

/// Files of a Secret, as (key, path below [`START_DIR`]).
pub(super) fn from_secret(name: String, files: &[(&str, &str)]) -> VolumeProjection {
    VolumeProjection {
        secret: Some(SecretProjection { name, items: Some(items(files)), optional: None }),
        ..VolumeProjection::default()
    }
}

fn items(files: &[(&str, &str)]) -> Vec<KeyToPath> {
    let item = |&(key, path): &(&str, &str)| KeyToPath {
        key: key.to_owned(),
        path: path.to_owned(),
        ..KeyToPath::default()
    };
    files.iter().map(item).collect()
}

/// A start file as text.
pub(super) fn json(file: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(file)?;
    text.push('\n');
    Ok(text)
}

/// A port of a container.
pub(super) fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        ..ContainerPort::default()
    }
}

/// A port of a Service, which leads to the container's of that name.
pub(super) fn service_port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
