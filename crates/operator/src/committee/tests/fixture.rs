//! Objects for tests.

use std::collections::BTreeMap;

use floe_api::report::{
    CapacityReport, EpochReport, NodeReport, RepairReport, Serving, ServingState, SliverCounts,
    UnfilledReport,
};
use floe_crd::{CommitteeSpec, StorageNode, Topology};
use floe_model::keys::NodeKey;
use floe_model::record::{NO_PARENT, Policy};
use floe_model::{
    CommitteeId, EpochNumber, EpochRecord, Geometry, Incarnation, Member, NodeName, RecordHash,
    ShardIndex, VolumeId,
};
use floe_steward::{Deficit, Outcome, Pass, Standing};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::Timestamp;
use serde_json::{from_value, json};

use crate::committee::observed::Observed;
use crate::committee::places::Terms;
use crate::committee::plan::Plan;
use crate::committee::view::Scene;
use crate::disruption::Limits;

/// n = 10, f = 3, volumes of 1 GiB.
pub(crate) fn committee_spec(replicas: u16) -> CommitteeSpec {
    from_value(json!({"replicas": replicas, "storage": {"size": "1Gi"}})).unwrap()
}

pub(crate) fn storage_node(name: &str) -> StorageNode {
    from_value(json!({
        "apiVersion": "floe.dev/v1alpha1",
        "kind": "StorageNode",
        "metadata": {"name": name, "namespace": "floe", "uid": name, "generation": 1},
        "spec": {"committeeRef": {"name": "main"}},
    }))
    .unwrap()
}

pub(crate) fn kubernetes_node(name: &str, zone: &str, is_ready: bool) -> Node {
    from_value(json!({
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}]},
    }))
    .unwrap()
}

/// A volume with its claim and its pod.
pub(crate) fn observed_volume(
    observed: &mut Observed,
    node: &str,
    incarnation: u32,
    host: Option<&str>,
) {
    let volume = (node.parse().unwrap(), Incarnation(incarnation));
    let name = format!("{node}-{incarnation}-0");
    let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": host, "containers": []}});
    let claim = json!({
        "metadata": {"name": format!("data-{name}")},
        "spec": {"volumeName": "disk"},
        "status": {"phase": "Bound"},
    });
    observed.pods.insert(volume.clone(), from_value(pod).unwrap());
    observed.claims.insert(volume, from_value(claim).unwrap());
}

/// A node that serves and owes nothing.
pub(crate) fn report(node: &str, incarnation: u32) -> NodeReport {
    NodeReport {
        committee: CommitteeId([1; 16]),
        node: node.parse().unwrap(),
        incarnation: Incarnation(incarnation),
        volume: VolumeId([2; 16]),
        epoch: Some(EpochReport {
            number: EpochNumber(0),
            hash: RecordHash([3; 32]),
            committed: true,
        }),
        serving: Serving { state: ServingState::Serving, reason: String::new() },
        shards: Vec::new(),
        slivers: SliverCounts::default(),
        held_bytes: 0,
        owed_blobs: 0,
        repair: RepairReport::default(),
        unfilled: Vec::new(),
        wholes: Vec::new(),
        capacity: CapacityReport::default(),
        feed_head: None,
        cursors: BTreeMap::new(),
        last_errors: Vec::new(),
    }
}

/// A Committee of four, n = 10: `main-0` and `main-1` with three shards, the others with two, each on
/// a host and in a zone of its own; all serve.
pub(crate) struct World {
    pub(crate) observed: Observed,
    pub(crate) plan: Plan,
    pub(crate) pass: Pass,
    pub(crate) topology: Topology,
}

impl World {
    pub(crate) fn healthy() -> Self {
        let mut observed = Observed::default();
        let mut plan = Plan::default();
        let mut standings = BTreeMap::new();
        let mut reports = BTreeMap::new();
        let mut members = Vec::new();
        let shards = [[0, 4, 8].as_slice(), &[1, 5, 9], &[2, 6], &[3, 7]];
        for (at, shards) in shards.into_iter().enumerate() {
            let (name, host, zone) = (node(at), format!("worker-{at}"), format!("zone-{at}"));
            observed.nodes.push(storage_node(name.as_str()));
            observed_volume(&mut observed, name.as_str(), 0, Some(&host));
            observed.hosts.insert(host.clone(), Some(kubernetes_node(&host, &zone, true)));
            plan.current.insert(name.clone(), Incarnation(0));
            standings.insert((name.clone(), Incarnation(0)), Standing::Present);
            reports.insert(name.clone(), report(name.as_str(), 0));
            let shards = shards.iter().map(|shard| ShardIndex(*shard)).collect();
            members.push(member(name, host, zone, shards));
        }
        let record = record(members);
        let pass = Pass {
            outcome: Outcome::Settled,
            record: Some((record.hash(), record)),
            standings,
            reports,
            deficits: Vec::new(),
        };
        Self { observed, plan, pass, topology: Topology::default() }
    }

    pub(crate) fn scene(&self, now: Timestamp) -> Scene<'_> {
        Scene {
            plan: &self.plan,
            observed: &self.observed,
            pass: Some(&self.pass),
            terms: Terms { namespace: "floe", topology: &self.topology, weight: 1 },
            limits: Limits { shards: 10, faulty_shards: 3, min_write_margin: 0 },
            is_repair_paused: false,
            now,
        }
    }

    /// A node is silent, and its volume stands so.
    pub(crate) fn silence(&mut self, at: usize, standing: Standing) {
        self.pass.reports.remove(&node(at));
        self.pass.standings.insert((node(at), Incarnation(0)), standing);
    }

    /// The record names the next volume of a node, which has still to be filled.
    pub(crate) fn replace(&mut self, at: usize, owed: u64, held: u64) {
        let name = node(at);
        let host = format!("worker-{at}");
        observed_volume(&mut self.observed, name.as_str(), 1, Some(&host));
        self.plan.current.insert(name.clone(), Incarnation(1));
        self.pass.standings.remove(&(name.clone(), Incarnation(0)));
        self.pass.standings.insert((name.clone(), Incarnation(1)), Standing::Present);
        let (hash, record) = self.pass.record.as_mut().unwrap();
        let member = record.members.iter_mut().find(|member| member.node == name).unwrap();
        member.incarnation = Incarnation(1);
        let shards = member.shards.clone();
        record.unfilled.extend(&shards);
        let mut report = report(name.as_str(), 1);
        report.slivers = SliverCounts { owed, held };
        let shard = shards[0];
        let (slivers, owed_bytes, held_bytes) = (report.slivers, owed * 10, held * 10);
        report.unfilled = vec![UnfilledReport { shard, slivers, owed_bytes, held_bytes }];
        self.pass.reports.insert(name.clone(), report);
        let since = *hash;
        let deficit = Deficit { node: name, incarnation: Incarnation(1), shards, since };
        self.pass.deficits.push(deficit);
    }
}

pub(crate) fn node(at: usize) -> NodeName {
    format!("main-{at}").parse().unwrap()
}

fn member(node: NodeName, host: String, zone: String, shards: Vec<ShardIndex>) -> Member {
    let key = NodeKey::generate(&[7; 32]).unwrap();
    Member {
        address: format!("{node}-0.floe.svc:7443"),
        node,
        incarnation: Incarnation(0),
        volume: VolumeId([2; 16]),
        zone,
        host,
        key: key.public(),
        possession: key.prove_possession(b"a test"),
        shards,
    }
}

fn record(members: Vec<Member>) -> EpochRecord {
    EpochRecord {
        committee: CommitteeId([1; 16]),
        number: EpochNumber(0),
        parent: NO_PARENT,
        forced: false,
        geometry: Geometry::of_shards(10).unwrap(),
        policy: Policy::default(),
        registrars: Vec::new(),
        members,
        unfilled: Vec::new(),
        wholes: Vec::new(),
    }
}
