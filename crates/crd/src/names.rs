//! Names of what is made for a Committee, a StorageNode, a volume or a Blob.

use floe_model::{EpochNumber, Incarnation, hash};

/// The port of storage nodes: mutual TLS for everything.
pub const NODE_PORT: u16 = 7443;
/// The port of metrics and probes, of every role.
pub const METRICS_PORT: u16 = 9090;
/// The port on which the gateway listens.
pub const GATEWAY_PORT: u16 = 8443;
/// The port of the gateway's Service.
pub const GATEWAY_SERVICE_PORT: u16 = 443;
/// The volume of the pod template from which the claim's name is made.
pub const DATA: &str = "data";

/// Names of Jobs are label values of their pods.
const LONGEST_LABEL_VALUE: usize = 63;

/// The StorageNode that the operator makes for `ordinal`.
pub fn storage_node(committee: &str, ordinal: u16) -> String {
    format!("{committee}-{ordinal}")
}

/// A volume: its StatefulSet, Service and ConfigMap.
pub fn volume(node: &str, incarnation: Incarnation) -> String {
    format!("{node}-{incarnation}")
}

/// The pod of a volume.
pub fn pod(node: &str, incarnation: Incarnation) -> String {
    format!("{}-0", volume(node, incarnation))
}

/// The claim of a volume.
pub fn claim(node: &str, incarnation: Incarnation) -> String {
    format!("{DATA}-{}", pod(node, incarnation))
}

/// The address of a volume's storage node, as records have it.
pub fn address(node: &str, incarnation: Incarnation, namespace: &str) -> String {
    format!("{}.{namespace}.svc:{NODE_PORT}", volume(node, incarnation))
}

/// The Secret with the leaf of a volume's storage node.
pub fn volume_tls(node: &str, incarnation: Incarnation) -> String {
    format!("{}-tls", volume(node, incarnation))
}

/// The Secret with what a Committee's trust begins with.
pub fn trust(committee: &str) -> String {
    format!("{committee}-trust")
}

/// The gateway: its Deployment, Service, Secret, ConfigMap, ServiceAccount and NetworkPolicy.
pub fn gateway(committee: &str) -> String {
    format!("{committee}-gateway")
}

/// The ConfigMap with the CA's certificate, for applications.
pub fn gateway_ca(committee: &str) -> String {
    format!("{committee}-gateway-ca")
}

/// The name of the gateway inside the cluster.
pub fn gateway_host(committee: &str, namespace: &str) -> String {
    format!("{}.{namespace}.svc", gateway(committee))
}

/// What repair Jobs share: Secret, ConfigMap and NetworkPolicy.
pub fn repair(committee: &str) -> String {
    format!("{committee}-repair")
}

/// The NetworkPolicy of storage nodes.
pub fn storage_node_policy(committee: &str) -> String {
    format!("{committee}-storage-node")
}

/// The PodDisruptionBudget of storage nodes.
pub fn disruption_budget(committee: &str) -> String {
    format!("{committee}-storage-nodes")
}

/// The ControllerRevision of an epoch record.
pub fn revision(committee: &str, number: EpochNumber) -> String {
    format!("{committee}-{number}")
}

/// A repair Job. `deficit` tells what it fills: the same bytes, the same Job.
pub fn repair_job(node: &str, incarnation: Incarnation, deficit: &[u8]) -> String {
    label_value(format!("{}-repair-{}", volume(node, incarnation), short_hash(deficit)))
}

/// The importer Job of a Blob.
pub fn import_job(blob: &str) -> String {
    label_value(format!("floe-import-{blob}"))
}

/// The first 8 hexadecimal digits of a hash of `bytes`.
pub fn short_hash(bytes: &[u8]) -> String {
    hash(&[bytes]).to_string().chars().take(8).collect()
}

/// `name`, or what fits a label value without dots: its beginning and a hash of all of it.
fn label_value(name: String) -> String {
    if name.len() <= LONGEST_LABEL_VALUE && !name.contains('.') {
        return name;
    }
    let end = short_hash(name.as_bytes());
    let beginning: String = name.chars().take(LONGEST_LABEL_VALUE - 1 - end.len()).collect();
    format!("{}-{end}", beginning.replace('.', "-").trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let volume_2 = Incarnation(2);
        assert_eq!(storage_node("main", 0), "main-0");
        assert_eq!(volume("main-0", volume_2), "main-0-2");
        assert_eq!(pod("main-0", volume_2), "main-0-2-0");
        assert_eq!(claim("main-0", volume_2), "data-main-0-2-0");
        assert_eq!(address("main-0", volume_2, "floe"), "main-0-2.floe.svc:7443");
        assert_eq!(volume_tls("main-0", volume_2), "main-0-2-tls");
        assert_eq!(gateway_host("main", "floe"), "main-gateway.floe.svc");
        assert_eq!(revision("main", EpochNumber(7)), "main-7");
    }

    #[test]
    fn job_names_tell_deficits_apart_and_fit_a_label() {
        let job = |deficit: &[u8]| repair_job("main-0", Incarnation(1), deficit);
        assert_eq!(job(b"1,2"), job(b"1,2"));
        assert_ne!(job(b"1,2"), job(b"1,3"));
        assert!(job(b"1,2").starts_with("main-0-1-repair-"));
        assert_eq!(import_job("model"), "floe-import-model");
        let long = "a".repeat(253);
        assert_eq!(import_job(&long).len(), 63);
        assert_ne!(import_job(&long), import_job(&long[1..]));
        assert_ne!(import_job("a.b"), import_job("a-b"));
        assert!(!import_job("a.b").contains('.'));
    }
}
