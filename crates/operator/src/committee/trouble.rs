//! What keeps a volume's pod from running, in words that say what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

/// How long something may take before a human is told to act.
const PATIENCE: Duration = Duration::from_mins(2);
/// Characters of another's message.
const LONGEST_QUOTE: usize = 400;

/// What keeps something from going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// A condition's reason.
    pub(super) reason: &'static str,
    /// What is wrong and what to do.
    pub(super) message: String,
    /// It does not pass by itself.
    pub(super) is_stalled: bool,
}

/// What keeps a volume's pod from running, if anything does. `classes` are the storage classes there
/// are, and whether each is the default; `None` if nobody looked.
pub(super) fn trouble(
    claim: Option<&PersistentVolumeClaim>,
    pod: Option<&Pod>,
    classes: Option<&BTreeMap<String, bool>>,
    now: Timestamp,
) -> Option<Trouble> {
    let of_class = claim.zip(classes).and_then(|(claim, classes)| no_class(claim, classes, now));
    of_class.or_else(|| pod.and_then(|pod| of_pod(pod, now)))
}

fn no_class(
    claim: &PersistentVolumeClaim,
    classes: &BTreeMap<String, bool>,
    now: Timestamp,
) -> Option<Trouble> {
    let spec = claim.spec.as_ref()?;
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase != Some("Pending") || spec.volume_name.is_some() {
        return None;
    }
    let what = match &spec.storage_class_name {
        Some(class) if class.is_empty() || classes.contains_key(class) => return None,
        Some(class) => format!("storageclass {class:?} not found"),
        None if classes.values().any(|is_default| *is_default) => return None,
        None => "no storageclass is the default one".to_owned(),
    };
    let there: Vec<&str> = classes.keys().map(String::as_str).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    let message = format!(
        "claim {} is Pending: {what} (there are: {there}); create the class, or, if this Committee \
         is empty, delete it and its claims and create it with another spec.storage.storageClassName",
        claim.name_any()
    );
    Some(Trouble { reason: "NoVolume", message, is_stalled: lasts(&claim.metadata, now) })
}

fn of_pod(pod: &Pod, now: Timestamp) -> Option<Trouble> {
    let name = pod.name_any();
    let status = pod.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let unscheduled = conditions.find(|it| it.type_ == "PodScheduled" && it.status == "False");
    if let Some(unscheduled) = unscheduled {
        let why = quote(unscheduled.message.as_deref().unwrap_or("no host was found yet"));
        let message = format!("pod {name} has no host: {why}");
        let is_stalled = lasts(&pod.metadata, now);
        return Some(Trouble { reason: "Unschedulable", message, is_stalled });
    }
    status.container_statuses.iter().flatten().find_map(|container| of_container(&name, container))
}

fn of_container(pod: &str, container: &ContainerStatus) -> Option<Trouble> {
    let state = container.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref())?;
    let why = quote(waiting.message.as_deref().unwrap_or_default());
    let reason = waiting.reason.as_deref().unwrap_or_default();
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            let image = &container.image;
            let message = format!(
                "pod {pod}: image {image} cannot be had: {why}; set spec.image or \
                 spec.imagePullSecrets right"
            );
            let is_stalled = reason != "ErrImagePull";
            Some(Trouble { reason: "ImageUnavailable", message, is_stalled })
        }
        "CrashLoopBackOff" => {
            let last = container.last_state.as_ref().and_then(|it| it.terminated.as_ref());
            let said = last.and_then(|it| it.message.as_deref());
            let code = last.map_or(0, |it| it.exit_code);
            let said = quote(said.unwrap_or("see its log"));
            let message = format!("pod {pod} ends again and again with code {code}: {said}");
            Some(Trouble { reason: "PodFails", message, is_stalled: false })
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let message = format!("pod {pod} cannot start: {why}");
            Some(Trouble { reason: "PodFails", message, is_stalled: false })
        }
        _ => None,
    }
}

fn lasts(meta: &ObjectMeta, now: Timestamp) -> bool {
    let since = meta.creation_timestamp.as_ref().map_or(now, |time| time.0);
    now.duration_since(since).unsigned_abs() >= PATIENCE
}

/// The last line with something on it, cut.
fn quote(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().chars().take(LONGEST_QUOTE).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    const CREATED: &str = "2026-01-01T00:00:00Z";

    fn at(second: i64) -> Timestamp {
        let created: Timestamp = CREATED.parse().unwrap();
        Timestamp::from_second(created.as_second() + second).unwrap()
    }

    fn pod(status: &Value) -> Pod {
        let meta = json!({"name": "main-0-0-0", "creationTimestamp": CREATED});
        from_value(json!({"metadata": meta, "status": status})).unwrap()
    }

    fn waiting(reason: &str, message: &str) -> Pod {
        pod(&json!({"containerStatuses": [{
            "name": "floe", "image": "floe:x", "imageID": "", "ready": false, "restartCount": 1,
            "state": {"waiting": {"reason": reason, "message": message}},
            "lastState": {"terminated": {"exitCode": 1, "message": "first\nthe disk is gone\n\n"}},
        }]}))
    }

    fn claim(class: Option<&str>, phase: &str) -> PersistentVolumeClaim {
        from_value(json!({
            "metadata": {"name": "data-main-0-0-0", "creationTimestamp": CREATED},
            "spec": {"storageClassName": class},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    #[test]
    fn what_keeps_a_pod_from_running() {
        let unscheduled = pod(&json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available"}]}));
        let table = [
            (unscheduled.clone(), 1, "Unschedulable", "no host: 0/3 nodes are available", false),
            (unscheduled, 120, "Unschedulable", "no host", true),
            (waiting("ErrImagePull", "not found"), 1, "ImageUnavailable", "floe:x", false),
            (waiting("ImagePullBackOff", "not found"), 1, "ImageUnavailable", "not found", true),
            (waiting("CrashLoopBackOff", ""), 999, "PodFails", "code 1: the disk is gone", false),
        ];
        for (pod, second, reason, part, is_stalled) in table {
            let found = trouble(None, Some(&pod), None, at(second)).unwrap();
            assert_eq!((found.reason, found.is_stalled), (reason, is_stalled), "{found:?}");
            assert!(found.message.contains(part), "{found:?}");
        }
        assert_eq!(trouble(None, Some(&waiting("ContainerCreating", "")), None, at(999)), None);
        assert_eq!(trouble(None, None, None, at(0)), None);
    }

    #[test]
    fn a_class_that_is_not_there() {
        let classes: BTreeMap<String, bool> =
            [("local-nvme".to_owned(), false), ("standard".to_owned(), false)].into();
        let with_default: BTreeMap<String, bool> = [("standard".to_owned(), true)].into();
        let look = |claim: &PersistentVolumeClaim, classes, second| {
            trouble(Some(claim), None, Some(classes), at(second))
        };
        let missing = look(&claim(Some("fast"), "Pending"), &classes, 1).unwrap();
        assert_eq!((missing.reason, missing.is_stalled), ("NoVolume", false));
        assert!(missing.message.contains("\"fast\" not found (there are: local-nvme, standard)"));
        assert!(look(&claim(Some("fast"), "Pending"), &classes, 121).unwrap().is_stalled);
        assert!(look(&claim(None, "Pending"), &classes, 1).is_some());
        assert_eq!(look(&claim(None, "Pending"), &with_default, 1), None);
        assert_eq!(look(&claim(Some("standard"), "Pending"), &classes, 999), None);
        assert_eq!(look(&claim(Some("fast"), "Bound"), &classes, 999), None);
    }
}
