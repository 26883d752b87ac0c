//! Nodes, and which pod goes on which.

use std::collections::BTreeMap;
use std::sync::Mutex;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, from_value, json};

/// The host that a pod needs, or any.
pub(super) type Tied = Option<String>;

/// The Nodes, and what is on them.
pub(super) struct Machines {
    hosts: Vec<String>,
    /// By the pod's uid.
    placed: Mutex<BTreeMap<String, Placed>>,
}

#[derive(Debug, Clone)]
struct Placed {
    host: String,
    namespace: String,
    labels: BTreeMap<String, String>,
}

impl Machines {
    /// Makes the Nodes `host-0` to `host-<count - 1>`, all of them well.
    pub(super) async fn create(client: &Client, count: u16) -> Self {
        let nodes = Api::<Node>::all(client.clone());
        let hosts: Vec<String> = (0..count).map(|index| format!("host-{index}")).collect();
        for (index, host) in hosts.iter().enumerate() {
            let node = json!({
                "metadata": {
                    "name": host,
                    "labels": {
                        "kubernetes.io/hostname": host,
                        "topology.kubernetes.io/zone": format!("zone-{index}"),
                    },
                },
            });
            nodes.create(&PostParams::default(), &from_value(node).unwrap()).await.unwrap();
            set_ready(client, host, true).await;
        }
        Self { hosts, placed: Mutex::default() }
    }

    /// Finds a host for a pod: the one it is tied to, or the emptiest that its anti-affinity allows.
    pub(super) fn place(&self, pod: &Pod, tied: &Tied) -> Option<String> {
        let mut placed = self.placed.lock().unwrap();
        let uid = pod.uid().unwrap();
        if let Some(before) = placed.get(&uid) {
            return Some(before.host.clone());
        }
        let namespace = pod.namespace().unwrap();
        let allowed = self.hosts.iter().filter(|host| tied.as_ref().is_none_or(|it| it == *host));
        let free = allowed.filter(|host| {
            placed.values().all(|other| {
                other.host != **host || other.namespace != namespace || !repels(pod, &other.labels)
            })
        });
        let load = |host: &&String| placed.values().filter(|it| it.host == **host).count();
        let host = free.min_by_key(load)?.clone();
        let labels = pod.labels().clone();
        placed.insert(uid, Placed { host: host.clone(), namespace, labels });
        Some(host)
    }

    /// A pod is gone.
    pub(super) fn leave(&self, uid: &str) {
        self.placed.lock().unwrap().remove(uid);
    }
}

/// Says of a Node whether it is well.
async fn set_ready(client: &Client, host: &str, is_ready: bool) {
    let status = if is_ready { "True" } else { "Unknown" };
    let condition = json!({ "type": "Ready", "status": status, "reason": "Test", "message": "" });
    let patch = Patch::Merge(json!({ "status": { "conditions": [condition] } }));
    let nodes = Api::<Node>::all(client.clone());
    nodes.patch_status(host, &PatchParams::default(), &patch).await.unwrap();
}

/// Whether a pod's required anti-affinity keeps it from a host with a pod of these labels.
fn repels(pod: &Pod, other: &BTreeMap<String, String>) -> bool {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    let terms = affinity.and_then(|affinity| {
        let apart = affinity.pod_anti_affinity.as_ref()?;
        apart.required_during_scheduling_ignored_during_execution.as_ref()
    });
    terms.into_iter().flatten().filter_map(|term| term.label_selector.as_ref()).any(|selector| {
        let equal = selector.match_labels.iter().flatten();
        let mut demands = selector.match_expressions.iter().flatten();
        equal.into_iter().all(|(key, value)| other.get(key) == Some(value))
            && demands.all(|demand| {
                let value = other.get(&demand.key);
                let listed =
                    value.is_some_and(|value| demand.values.iter().flatten().any(|it| it == value));
                match demand.operator.as_str() {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    unknown => panic!("no operator of selectors: {unknown}"),
                }
            })
    })
}

/// The binding that puts a pod on a host.
pub(super) fn binding(pod: &Pod, host: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": pod.name_any(), "namespace": pod.namespace(), "uid": pod.uid() },
        "target": { "apiVersion": "v1", "kind": "Node", "name": host },
    })
}
