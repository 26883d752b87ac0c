use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Value, json};

use super::*;
use crate::children::tests::fixture::{OWN_LABELS, assert_restricted, scope, volume};

fn template(fields: &Value, volume: &Volume) -> PodTemplateSpec {
    stateful_set(&scope(fields), volume).spec.template
}

fn hash(template: &PodTemplateSpec) -> String {
    template.metadata.as_ref().unwrap().annotations.as_ref().unwrap()[pod::TEMPLATE].clone()
}

#[test]
fn the_selector_finds_its_pod_whatever_the_template_says() {
    let fields = json!({"template": {"labels": {
        "team": "storage", labels::COMMITTEE: "other", labels::STORAGE_NODE: "other-0",
    }}});
    let set = stateful_set(&scope(&fields), &volume());
    let labels = set.spec.template.metadata.unwrap().labels.unwrap();
    for (key, value) in set.spec.selector.match_labels.unwrap() {
        assert_eq!(labels.get(&key), Some(&value), "{key}");
    }
    for own in OWN_LABELS {
        assert!(labels.contains_key(own), "{own}");
    }
    assert_eq!(labels["team"], "storage");
    let service = service(&scope(&fields), &volume()).spec.unwrap();
    for (key, value) in service.selector.unwrap() {
        assert_eq!(labels.get(&key), Some(&value), "{key}");
    }
}

#[test]
fn the_pod_is_restricted_and_has_what_the_template_says() {
    let fields = json!({
        "imagePullSecrets": [{"name": "registry"}],
        "template": {
            "annotations": {"note": "x"},
            "nodeSelector": {"disk": "nvme"},
            "tolerations": [{"key": "storage", "operator": "Exists"}],
            "priorityClassName": "high",
            "resources": {"requests": {"memory": "3Gi"}},
        },
    });
    let template = template(&fields, &volume());
    let spec = template.spec.unwrap();
    assert_restricted(&spec, false);
    assert_eq!(spec.image_pull_secrets.unwrap()[0].name, "registry");
    assert_eq!(spec.node_selector.unwrap()["disk"], "nvme");
    let tolerations = spec.tolerations.unwrap();
    assert!(tolerations.iter().any(|it| it.key.as_deref() == Some("storage")));
    assert!(
        tolerations
            .iter()
            .any(|it| it.key.as_deref().is_some_and(|key| key.ends_with("/unreachable")))
    );
    assert_eq!(spec.priority_class_name.as_deref(), Some("high"));
    let resources = spec.containers[0].resources.clone().unwrap();
    assert_eq!(resources.requests.unwrap()["memory"].0, "3Gi");
    assert_eq!(resources.limits, None);
    assert_eq!(template.metadata.unwrap().annotations.unwrap()["note"], "x");
}

#[test]
fn hosts_and_zones_are_spread_as_asked() {
    for (topology, placed, host_required, zones) in [
        (json!({}), false, true, Some("ScheduleAnyway")),
        (json!({"hostSpread": "Preferred"}), false, false, Some("ScheduleAnyway")),
        (json!({"zoneSpread": "Required"}), false, true, Some("DoNotSchedule")),
        (json!({"zoneSpread": "Required"}), true, true, Some("ScheduleAnyway")),
        (json!({"zoneSpread": "Ignored"}), false, true, None),
    ] {
        let volume = Volume { placed, ..volume() };
        let spec = template(&json!({"topology": topology}), &volume).spec.unwrap();
        let apart = spec.affinity.unwrap().pod_anti_affinity.unwrap();
        assert_eq!(
            apart.required_during_scheduling_ignored_during_execution.is_some(),
            host_required,
            "{topology}"
        );
        let spread = spec.topology_spread_constraints;
        let spread = spread.as_ref().map(|all| all[0].when_unsatisfiable.as_str());
        assert_eq!(spread, zones, "{topology}, placed: {placed}");
    }
    let fields = json!({"topology": {"zoneKey": "example.com/room"}});
    let tied = Volume { zone: Some("b".to_owned()), ..volume() };
    let spec = template(&fields, &tied).spec.unwrap();
    let affinity = spec.affinity.unwrap().node_affinity.unwrap();
    let terms = affinity.required_during_scheduling_ignored_during_execution.unwrap();
    let expression = &terms.node_selector_terms[0].match_expressions.as_ref().unwrap()[0];
    assert_eq!(expression.key, "example.com/room");
    assert_eq!(expression.values.as_deref(), Some(&["b".to_owned()][..]));
}

#[test]
fn a_pod_is_stale_when_what_it_was_made_from_is_another_but_not_once_it_was_placed() {
    let none = json!({"topology": {"zoneSpread": "Required"}});
    let before = hash(&template(&none, &volume()));
    let placed = Volume { placed: true, ..volume() };
    assert_eq!(hash(&template(&none, &placed)), before);
    let grown = Volume { size: "2Gi".to_owned(), ..volume() };
    assert_eq!(hash(&template(&none, &grown)), before);
    let labelled = json!({"template": {"labels": {"team": "storage"}}});
    assert_ne!(hash(&template(&labelled, &volume())), before);
    let mut scope = scope(&none);
    scope.image = "floe:2".to_owned();
    assert_ne!(hash(&stateful_set(&scope, &volume()).spec.template), before);
}

#[test]
fn the_claim_is_what_the_volume_was_made_with() {
    let set = stateful_set(&scope(&json!({"storage": {"size": "9Ti"}})), &volume());
    let claims = set.spec.volume_claim_templates.unwrap();
    let claim = claims[0].spec.clone().unwrap();
    assert_eq!(claim.resources.unwrap().requests.unwrap()["storage"].0, "1Gi");
    assert_eq!(claim.storage_class_name.as_deref(), Some("local"));
    assert_eq!(claims[0].metadata.owner_references, None, "nothing takes a claim with it");
    let made = format!("{}-{}-0", names::DATA, set.metadata.name.unwrap());
    assert_eq!(made, names::claim("main-0", volume().incarnation));
}
