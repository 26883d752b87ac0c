use serde_json::{Value, json};

use super::*;
use crate::children::tests::fixture::{assert_restricted, nodes, scope};

fn config_hash(fields: &Value, nodes: Vec<NodeAddress>) -> String {
    let scope = scope(fields);
    let deployment = deployment(&scope, &file(&scope, nodes).unwrap()).unwrap();
    deployment.spec.template.metadata.unwrap().annotations.unwrap()[CONFIG].clone()
}

#[test]
fn new_settings_restart_it_and_new_addresses_do_not() {
    let plain = config_hash(&json!({}), nodes());
    assert_eq!(config_hash(&json!({}), Vec::new()), plain);
    for fields in [
        json!({"gateway": {"audiences": ["floe.example.com"]}}),
        json!({"access": {"namespaces": {"from": "Same"}}}),
    ] {
        assert_ne!(config_hash(&fields, nodes()), plain, "{fields}");
    }
}

#[test]
fn the_file_says_whom_to_let_in() {
    let kubernetes = |fields: &Value| file(&scope(fields), nodes()).unwrap().kubernetes.unwrap();
    let usual = kubernetes(&json!({}));
    assert_eq!(usual.audiences, ["floe.dev"]);
    assert_eq!(usual.namespaces.from, start_files::NamespacesFrom::All);
    assert_eq!((usual.committee.namespace, usual.committee.name), ("floe".into(), "main".into()));

    let selector = |operator: &str| {
        json!({"access": {"namespaces": {"from": "Selector", "selector": {
            "matchLabels": {"tier": "gold"},
            "matchExpressions": [{"key": "team", "operator": operator, "values": ["a"]}],
        }}}})
    };
    let some = kubernetes(&selector("NotIn")).namespaces.selector.unwrap();
    assert_eq!(some.match_labels["tier"], "gold");
    assert_eq!(some.match_expressions[0].operator, LabelOperator::NotIn);
    assert_eq!(some.match_expressions[0].values, ["a"]);
    let refused = file(&scope(&selector("Like")), nodes()).unwrap_err();
    assert!(refused.to_string().contains("\"Like\""), "{refused}");
}

#[test]
fn it_is_restricted_and_has_a_token() {
    let scope = scope(&json!({"gateway": {"replicas": 3}}));
    let deployment = deployment(&scope, &file(&scope, nodes()).unwrap()).unwrap();
    assert_restricted(deployment.spec.template.spec.as_ref().unwrap(), true);
    assert_eq!(deployment.spec.replicas, Some(3));
}

#[test]
fn a_budget_is_for_several() {
    for (replicas, some) in [(0, false), (1, false), (2, true), (5, true)] {
        let scope = scope(&json!({"gateway": {"replicas": replicas}}));
        assert_eq!(disruption_budget(&scope).is_some(), some, "{replicas}");
    }
}
