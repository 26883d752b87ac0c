//! Pods that were made from an older template are made anew, one after the other.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::observed::Observed;
use super::view::View;
use crate::children::pod::TEMPLATE;
use crate::disruption::rollout::{Candidate, PodState, Step, next};

/// How long a pod must have been ready: by then it has read what changed while it was away, and says
/// so if it lacks any of it.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// The pod that is to be deleted now, so that its StatefulSet makes it anew.
pub(super) fn restart<'a>(
    views: &[View<'a>],
    observed: &Observed,
    now: Timestamp,
) -> Option<&'a Pod> {
    let candidates: Vec<Candidate> =
        views.iter().map(|view| candidate(view, observed, now)).collect();
    match next(&candidates) {
        Step::Restart(node) => views.iter().find(|view| view.node == node)?.pod,
        Step::Done | Step::Wait(_) => None,
    }
}

fn candidate(view: &View<'_>, observed: &Observed, now: Timestamp) -> Candidate {
    let set = observed.sets.get(&(view.node.clone(), view.incarnation));
    let wanted = set.and_then(|set| {
        let template = set.spec.template.metadata.as_ref()?;
        template.annotations.as_ref()?.get(TEMPLATE)
    });
    let pod = view.pod.filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let has = pod.and_then(|pod| pod.annotations().get(TEMPLATE));
    Candidate {
        node: view.node.clone(),
        shards: u16::try_from(view.shards().len()).unwrap_or(u16::MAX),
        pod: match (pod, &view.trouble) {
            (None, _) => PodState::Absent,
            (Some(_), Some(_)) if !view.serves() => PodState::Stuck,
            (Some(_), _) => PodState::Running,
        },
        stale: pod.is_some() && wanted.is_some() && wanted != has,
        serving: view.serves() && pod.is_some_and(|pod| is_settled(pod, now)),
        whole: view.is_whole(),
    }
}

fn is_settled(pod: &Pod, now: Timestamp) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.find(|it| it.type_ == "Ready" && it.status == "True");
    let since = ready.and_then(|ready| ready.last_transition_time.as_ref());
    since.is_some_and(|since| {
        Duration::try_from(now.duration_since(since.0)).unwrap_or_default() >= SETTLED_AFTER
    })
}
