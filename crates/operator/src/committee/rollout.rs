//! Pods that were made from an older template are made anew, one after the other.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::observed::Observed;
use super::view::View;
use crate::children::pod::TEMPLATE;
use crate::disruption::rollout::{Candidate, PodState, Step, next};

/// The pod that is to be deleted now, so that its StatefulSet makes it anew.
pub(super) fn restart<'a>(views: &[View<'a>], observed: &Observed) -> Option<&'a Pod> {
    let candidates: Vec<Candidate> = views.iter().map(|view| candidate(view, observed)).collect();
    match next(&candidates) {
        Step::Restart(node) => views.iter().find(|view| view.node == node)?.pod,
        Step::Done | Step::Wait(_) => None,
    }
}

fn candidate(view: &View<'_>, observed: &Observed) -> Candidate {
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
        serving: view.serves(),
        whole: view.is_whole(),
    }
}
