//! Which Committee, and which of its gateway's pods.

use floe_crd::{Blob, Committee, CommitteeReference, labels};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// The Committee that a Blob has, or names.
pub(super) fn of_blob(blob: &Blob) -> Option<CommitteeReference> {
    let resolved = blob.status.as_ref().and_then(|status| status.committee_ref.clone());
    resolved.or_else(|| blob.spec.committee_ref.clone())
}

/// The default Committee, or the reason why there is none.
pub(super) fn default_of(committees: &[Committee]) -> Result<CommitteeReference, String> {
    let is_default = |committee: &&Committee| {
        committee.annotations().get(labels::DEFAULT_COMMITTEE).is_some_and(|it| it == labels::TRUE)
    };
    let named = |committee: &Committee| {
        format!("{}/{}", committee.namespace().unwrap_or_default(), committee.name_any())
    };
    let listed = |committees: &[&Committee]| {
        committees.iter().map(|it| named(it)).collect::<Vec<_>>().join(", ")
    };
    let defaults: Vec<&Committee> = committees.iter().filter(is_default).collect();
    match (defaults.as_slice(), committees) {
        ([committee], _) => Ok(CommitteeReference {
            name: committee.name_any(),
            namespace: committee.namespace().unwrap_or_default(),
        }),
        ([], []) => Err("there is no Committee in this cluster".to_owned()),
        ([], all) => {
            let all: Vec<&Committee> = all.iter().collect();
            let all = listed(&all);
            Err(format!("no default Committee; name one with --committee (there is {all})"))
        }
        (several, _) => {
            let several = listed(several);
            Err(format!("several default Committees ({several}); name one with --committee"))
        }
    }
}

/// The pods that are ready and stay.
pub(super) fn ready_pods(pods: &[Pod]) -> Vec<String> {
    let is_ready = |pod: &&Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        pod.metadata.deletion_timestamp.is_none()
            && conditions.any(|it| it.type_ == "Ready" && it.status == "True")
    };
    pods.iter().filter(is_ready).map(ResourceExt::name_any).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn committee(name: &str, is_default: Option<&str>) -> Committee {
        let annotations = is_default.map(|value| json!({labels::DEFAULT_COMMITTEE: value}));
        let spec = json!({"replicas": 4, "storage": {"size": "1Gi"}});
        let metadata = json!({"name": name, "namespace": "floe", "annotations": annotations});
        from_value(json!({"apiVersion": "floe.dev/v1alpha1", "kind": "Committee",
            "metadata": metadata, "spec": spec}))
        .unwrap()
    }

    #[test]
    fn the_default_is_the_one_that_says_so() {
        let (main, other) = (committee("main", None), committee("other", Some("false")));
        let chosen = committee("chosen", Some("true"));
        let found = default_of(&[main.clone(), chosen.clone()]).unwrap();
        assert_eq!((found.namespace.as_str(), found.name.as_str()), ("floe", "chosen"));
        assert_eq!(default_of(&[]).unwrap_err(), "there is no Committee in this cluster");
        assert_eq!(
            default_of(&[main, other]).unwrap_err(),
            "no default Committee; name one with --committee (there is floe/main, floe/other)"
        );
        assert_eq!(
            default_of(&[chosen.clone(), chosen]).unwrap_err(),
            "several default Committees (floe/chosen, floe/chosen); name one with --committee"
        );
    }

    fn blob(spec: Option<&str>, status: Option<&str>) -> Blob {
        let reference = |name: &str| json!({"name": name, "namespace": "floe"});
        from_value(json!({"apiVersion": "floe.dev/v1alpha1", "kind": "Blob",
            "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"source": {"upload": {}}, "committeeRef": spec.map(reference)},
            "status": {"committeeRef": status.map(reference)}}))
        .unwrap()
    }

    #[test]
    fn a_blob_stays_where_it_was_put() {
        let name = |blob: &Blob| of_blob(blob).map(|it| it.name);
        assert_eq!(name(&blob(Some("wished"), Some("resolved"))).as_deref(), Some("resolved"));
        assert_eq!(name(&blob(Some("wished"), None)).as_deref(), Some("wished"));
        assert_eq!(name(&blob(None, None)), None);
    }

    #[test]
    fn pods_that_go_or_are_not_ready_are_passed_over() {
        let pod = |name: &str, ready: &str, deleted: Value| -> Pod {
            from_value(json!({"metadata": {"name": name, "deletionTimestamp": deleted},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
            .unwrap()
        };
        let pods = [
            pod("going", "True", json!("2026-01-01T00:00:00Z")),
            pod("starting", "False", Value::Null),
            Pod::default(),
            pod("serving", "True", Value::Null),
        ];
        assert_eq!(ready_pods(&pods), ["serving"]);
    }
}
