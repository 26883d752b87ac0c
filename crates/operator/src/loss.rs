//! What Kubernetes says of a volume, beside its storage node's own word.
//!
//! | claim | host | pod | says |
//! |---|---|---|---|
//! | lost, or being deleted | | | the volume is gone, whatever answers |
//! | there | out of service | | who is silent is lost at once |
//! | there | NotReady, or gone | | silence counts |
//! | there | Ready, or not known | cannot start, or fails again and again | silence counts |
//! | there | Ready, or not known | else | silence does not count |

use std::time::Duration;

use floe_crd::labels;
use floe_steward::Word;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;

/// The taint by which a human says that a host will not come back.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// How a host is, by the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// Nobody knows on which one the volume is.
    Unknown,
    /// There is no Node of its name.
    Gone,
    /// Its kubelet does not say that it is well.
    NotReady,
    /// A human said that it is down for good.
    OutOfService,
    /// It is well.
    Ready,
}

/// How a host is; `node` is what the API server has under its name.
pub(crate) fn host(node: Option<&Node>) -> Host {
    let Some(node) = node else { return Host::Gone };
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    if taints.iter().any(|taint| taint.key == OUT_OF_SERVICE) {
        return Host::OutOfService;
    }
    let status = node.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
    if ready { Host::Ready } else { Host::NotReady }
}

/// What there is to be seen of a volume.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// Its claim.
    pub(crate) claim: Option<&'a PersistentVolumeClaim>,
    /// Its pod.
    pub(crate) pod: Option<&'a Pod>,
    /// Its host.
    pub(crate) host: Host,
    /// Somebody asked for the next one.
    pub(crate) is_given_up: bool,
}

/// What Kubernetes says of a volume; nothing where its silence counts.
pub(crate) fn word(sight: &Sight<'_>) -> Option<Word> {
    if sight.is_given_up {
        let reason = format!("its replacement was asked for ({})", labels::REPLACE_VOLUME);
        return Some(Word::Gone(reason));
    }
    if let Some(reason) = sight.claim.and_then(claim_loss) {
        return Some(Word::Gone(reason));
    }
    match sight.host {
        Host::OutOfService => {
            Some(Word::HostGone("its host is out of service, as its taint says".to_owned()))
        }
        Host::Gone | Host::NotReady => None,
        Host::Ready | Host::Unknown if sight.pod.is_some_and(fails) => None,
        Host::Ready | Host::Unknown => Some(Word::HostUp),
    }
}

/// Whether a volume that no epoch record names, so that nobody misses what it holds, is passed over
/// for the next one: its claim or its host is gone for good, or its host is away for longer than
/// `grace`.
pub(crate) fn is_abandoned(sight: &Sight<'_>, away_for: Duration, grace: Duration) -> bool {
    let is_away = matches!(sight.host, Host::Gone | Host::NotReady);
    match word(sight) {
        Some(Word::Gone(_) | Word::HostGone(_)) => true,
        _ => is_away && away_for >= grace,
    }
}

fn claim_loss(claim: &PersistentVolumeClaim) -> Option<String> {
    let name = claim.name_any();
    if claim.metadata.deletion_timestamp.is_some() {
        return Some(format!("its claim {name} is being deleted"));
    }
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    (phase == Some("Lost"))
        .then(|| format!("its claim {name} is lost: there is no PersistentVolume behind it"))
}

/// Whether a pod that has a host cannot start there because of its volume, or ends again and again.
/// What only an image or a slow start explains is no failure.
fn fails(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let condition = |type_: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.find(|condition| condition.type_ == type_).map(|it| it.status.as_str())
    };
    let is_placed = condition("PodScheduled") == Some("True");
    let is_unmounted = condition("PodReadyToStartContainers") == Some("False");
    let ends = status.container_statuses.iter().flatten().any(|container| {
        let state = container.state.as_ref();
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
        reason == Some("CrashLoopBackOff")
            || state.and_then(|state| state.terminated.as_ref()).is_some_and(|it| it.exit_code != 0)
    });
    ends || (is_placed && is_unmounted)
}

/// Whether somebody annotated a StorageNode so that this very volume is replaced.
pub(crate) fn is_given_up(node: &floe_crd::StorageNode, volume_id: Option<&str>) -> bool {
    let asked = node.annotations().get(labels::REPLACE_VOLUME);
    asked.is_some_and(|asked| !asked.is_empty() && Some(asked.as_str()) == volume_id)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{NodeCondition, NodeSpec, NodeStatus, Taint};
    use serde_json::{from_value, json};

    use super::*;

    fn claim(phase: &str, is_deleted: bool) -> PersistentVolumeClaim {
        let deleted = is_deleted.then_some("2026-01-01T00:00:00Z");
        let claim = json!({
            "metadata": {"name": "data-main-0-0-0", "deletionTimestamp": deleted},
            "status": {"phase": phase},
        });
        from_value(claim).unwrap()
    }

    fn pod(status: &serde_json::Value) -> Pod {
        from_value(json!({ "status": status })).unwrap()
    }

    #[test]
    fn what_kubernetes_says_of_a_volume() {
        let bound = claim("Bound", false);
        let (lost, deleted) = (claim("Lost", false), claim("Bound", true));
        let runs = pod(&json!({"containerStatuses": [
            {"name": "floe", "image": "", "imageID": "", "ready": true, "restartCount": 0,
             "state": {"running": {}}}]}));
        let crashes = pod(&json!({"containerStatuses": [
            {"name": "floe", "image": "", "imageID": "", "ready": false, "restartCount": 3,
             "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}));
        let no_image = pod(&json!({"containerStatuses": [
            {"name": "floe", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}));
        let unmounted = pod(&json!({"conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "PodReadyToStartContainers", "status": "False"}]}));
        let pending = pod(&json!({"conditions": [{"type": "PodScheduled", "status": "False"}]}));
        let table = [
            ("healthy", Some(&bound), Some(&runs), Host::Ready, "up"),
            ("no pod on a good host: drained", Some(&bound), None, Host::Ready, "up"),
            ("drained, host cordoned", Some(&bound), Some(&pending), Host::Ready, "up"),
            ("image wrong", Some(&bound), Some(&no_image), Host::Ready, "up"),
            ("host never known", Some(&bound), Some(&pending), Host::Unknown, "up"),
            ("no claim yet", None, None, Host::Unknown, "up"),
            ("ends again and again", Some(&bound), Some(&crashes), Host::Ready, "silence counts"),
            ("no mount", Some(&bound), Some(&unmounted), Host::Ready, "silence counts"),
            ("host away", Some(&bound), Some(&runs), Host::NotReady, "silence counts"),
            ("host deleted", Some(&bound), None, Host::Gone, "silence counts"),
            ("out of service", Some(&bound), Some(&runs), Host::OutOfService, "host gone"),
            ("volume deleted", Some(&lost), Some(&runs), Host::Ready, "gone"),
            ("claim deleted", Some(&deleted), Some(&runs), Host::Ready, "gone"),
        ];
        for (name, claim, pod, host, expected) in table {
            let said = match word(&Sight { claim, pod, host, is_given_up: false }) {
                Some(Word::HostUp) => "up",
                Some(Word::HostGone(_)) => "host gone",
                Some(Word::Gone(_)) => "gone",
                None => "silence counts",
            };
            assert_eq!(said, expected, "{name}");
        }
        let given_up =
            Sight { claim: None, pod: Some(&runs), host: Host::Ready, is_given_up: true };
        assert!(matches!(word(&given_up), Some(Word::Gone(_))));
    }

    #[test]
    fn a_volume_that_nobody_misses_is_passed_over() {
        let (bound, lost) = (claim("Bound", false), claim("Lost", false));
        let grace = Duration::from_secs(10);
        let table = [
            (&bound, Host::Ready, 1000, false),
            (&bound, Host::Unknown, 1000, false),
            (&bound, Host::NotReady, 9, false),
            (&bound, Host::NotReady, 10, true),
            (&bound, Host::Gone, 10, true),
            (&bound, Host::OutOfService, 0, true),
            (&lost, Host::Ready, 0, true),
        ];
        for (claim, host, seconds, expected) in table {
            let sight = Sight { claim: Some(claim), pod: None, host, is_given_up: false };
            let found = is_abandoned(&sight, Duration::from_secs(seconds), grace);
            assert_eq!(found, expected, "{host:?} for {seconds} s");
        }
    }

    #[test]
    fn how_a_host_is() {
        let node = |ready: &str, taint: Option<&str>| Node {
            spec: Some(NodeSpec {
                taints: taint.map(|key| {
                    vec![Taint {
                        key: key.to_owned(),
                        effect: "NoExecute".to_owned(),
                        ..Taint::default()
                    }]
                }),
                ..NodeSpec::default()
            }),
            status: Some(NodeStatus {
                conditions: Some(vec![NodeCondition {
                    type_: "Ready".to_owned(),
                    status: ready.to_owned(),
                    ..NodeCondition::default()
                }]),
                ..NodeStatus::default()
            }),
            ..Node::default()
        };
        let unschedulable = Some("node.kubernetes.io/unschedulable");
        assert_eq!(host(None), Host::Gone);
        assert_eq!(host(Some(&node("True", None))), Host::Ready);
        assert_eq!(host(Some(&node("True", unschedulable))), Host::Ready);
        assert_eq!(host(Some(&node("Unknown", None))), Host::NotReady);
        assert_eq!(host(Some(&node("False", None))), Host::NotReady);
        assert_eq!(host(Some(&node("True", Some(OUT_OF_SERVICE)))), Host::OutOfService);
        assert_eq!(host(Some(&Node::default())), Host::NotReady);
    }
}
