pub(super) mod fixture;

use floe_api::TlsIdentity;
use floe_model::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::leaf::Leaf;
use super::*;
use fixture::{blob, nodes, scope, volume};

/// Every child as YAML, for people to read what changes.
#[test]
fn children_are_as_read_and_agreed() {
    let (scope, volume, blob) = (scope(&json!({})), volume(), blob());
    let identity = TlsIdentity {
        ca_pem: "ca".to_owned(),
        certificate_pem: "certificate".to_owned(),
        key_pem: "key".to_owned(),
    };
    let leaf = Leaf { identity: &identity, issued: Timestamp(1_800_000_000_000) };
    let file = gateway::file(&scope, nodes()).unwrap();
    let source = blob.spec.source.config_map_key_ref.clone().unwrap();

    agreed("volume-statefulset", &volume::stateful_set(&scope, &volume));
    agreed("volume-service", &volume::service(&scope, &volume));
    agreed("volume-config", &volume::node_config(&scope, &volume).unwrap());
    agreed("volume-leaf", &leaf::of_storage_node(&scope, &volume, leaf));
    agreed("gateway-deployment", &gateway::deployment(&scope, &file).unwrap());
    agreed("gateway-service", &gateway::service(&scope));
    agreed("gateway-serviceaccount", &gateway::service_account(&scope));
    agreed("gateway-clusterrolebinding", &gateway::cluster_role_binding(&scope));
    agreed("gateway-config", &gateway::config(&scope, &file).unwrap());
    agreed("gateway-leaf", &leaf::of_gateway(&scope, leaf, "5eed"));
    agreed("gateway-ca", &gateway::ca(&scope, "ca"));
    agreed("gateway-budget", &gateway::disruption_budget(&scope).unwrap());
    agreed("repair-job", &repair::job(&scope, &volume, b"shard 3 since 5").unwrap());
    agreed("repair-config", &repair::config(&scope, nodes()).unwrap());
    agreed("repair-leaf", &leaf::of_repair(&scope, leaf));
    agreed("import-job", &import::job(&scope, &blob, &source));
    agreed("import-secret", &import::secret(&scope, &blob, "floe-ticket-v1.AAAA", "ca"));
    agreed("storage-nodes-budget", &budget::disruption_budget(&scope, 3));
    for policy in network::policies(&scope) {
        let name = policy.metadata.name.clone().unwrap();
        agreed(&format!("policy-{name}"), &policy);
    }
}

fn agreed(name: &str, object: &impl Serialize) {
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, serde_yaml::to_string(object).unwrap());
    });
}
