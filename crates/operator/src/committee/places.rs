//! Where volumes are, and what the steward is to make of the committee.

use floe_crd::{StorageNode, Topology, names};
use floe_model::{EpochRecord, Incarnation, NodeName};
use floe_plan::succession::Wanted;
use floe_steward::GenesisNode;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;

use super::observed::Observed;
use super::plan::Plan;

/// Where a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// The Kubernetes node, empty while nobody knows.
    pub(super) host: String,
    /// Its zone, empty if it has none.
    pub(super) zone: String,
}

/// What decides where volumes are and how much they weigh.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Where the Committee is.
    pub(super) namespace: &'a str,
    /// What names zones.
    pub(super) topology: &'a Topology,
    /// What a StorageNode weighs that does not say.
    pub(super) weight: u32,
}

impl Terms<'_> {
    /// Where the pod of a volume runs; `None` while it has no host.
    pub(super) fn seen(
        &self,
        observed: &Observed,
        node: &NodeName,
        incarnation: Incarnation,
    ) -> Option<Place> {
        let pod = observed.pods.get(&(node.clone(), incarnation))?;
        let host = pod.spec.as_ref()?.node_name.clone().filter(|host| !host.is_empty())?;
        let kubernetes_node = observed.hosts.get(&host).and_then(Option::as_ref);
        let said = storage_node(observed, node).and_then(|node| node.spec.zone.clone());
        let zone = said.or_else(|| zone_of(kubernetes_node?, &self.topology.zone_key));
        Some(Place { host, zone: zone.unwrap_or_default() })
    }

    /// All nodes as they are to be. A volume whose pod has no host now stays, in the record, where
    /// its node was.
    pub(super) fn wanted(
        &self,
        plan: &Plan,
        observed: &Observed,
        record: Option<&EpochRecord>,
    ) -> Vec<Wanted> {
        let nodes = plan.current.iter();
        let wanted = nodes.map(|(node, incarnation)| {
            let place = self.seen(observed, node, *incarnation).unwrap_or_else(|| {
                let member = record.and_then(|record| record.member(node));
                let place = member.map(|it| Place { host: it.host.clone(), zone: it.zone.clone() });
                place.unwrap_or_default()
            });
            Wanted {
                node: node.clone(),
                incarnation: *incarnation,
                address: names::address(node.as_str(), *incarnation, self.namespace),
                zone: place.zone,
                host: place.host,
                weight: self.weight_of(plan, observed, node),
            }
        });
        wanted.collect()
    }

    fn weight_of(&self, plan: &Plan, observed: &Observed, node: &NodeName) -> u32 {
        if plan.leaving.contains(node) {
            return 0;
        }
        let said = storage_node(observed, node).and_then(|node| node.spec.weight);
        said.map_or(self.weight, u32::from)
    }

    /// The nodes of record 0, once all have a host; else those that have none.
    pub(super) fn genesis(
        &self,
        plan: &Plan,
        observed: &Observed,
    ) -> Result<Vec<GenesisNode>, Vec<NodeName>> {
        let mut placed = Vec::new();
        let mut unplaced = Vec::new();
        for (node, incarnation) in &plan.current {
            match self.seen(observed, node, *incarnation) {
                Some(Place { host, zone }) => placed.push(GenesisNode {
                    node: node.clone(),
                    incarnation: *incarnation,
                    address: names::address(node.as_str(), *incarnation, self.namespace),
                    zone,
                    host,
                }),
                None => unplaced.push(node.clone()),
            }
        }
        if unplaced.is_empty() { Ok(placed) } else { Err(unplaced) }
    }
}

/// The StorageNode object of this name.
pub(super) fn storage_node<'a>(observed: &'a Observed, node: &NodeName) -> Option<&'a StorageNode> {
    observed.nodes.iter().find(|it| it.name_any() == node.as_str())
}

fn zone_of(node: &Node, key: &str) -> Option<String> {
    node.labels().get(key).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committee::tests::fixture::{kubernetes_node, observed_volume};

    #[test]
    fn a_volume_is_where_its_pod_runs_or_where_it_was() {
        let topology = Topology::default();
        let terms = Terms { namespace: "floe", topology: &topology, weight: 1 };
        let mut observed = Observed::default();
        observed_volume(&mut observed, "main-0", 0, Some("worker-1"));
        observed_volume(&mut observed, "main-1", 2, None);
        let east = kubernetes_node("worker-1", "east", true);
        observed.hosts.insert("worker-1".to_owned(), Some(east));
        let (one, two): (NodeName, NodeName) =
            ("main-0".parse().unwrap(), "main-1".parse().unwrap());
        let plan = Plan {
            current: [(one.clone(), Incarnation(0)), (two.clone(), Incarnation(2))].into(),
            leaving: [two.clone()].into(),
            ..Plan::default()
        };
        let wanted = terms.wanted(&plan, &observed, None);
        let shown: Vec<_> = wanted
            .iter()
            .map(|it| format!("{} {}/{} {}", it.address, it.zone, it.host, it.weight))
            .collect();
        assert_eq!(shown, ["main-0-0.floe.svc:7443 east/worker-1 1", "main-1-2.floe.svc:7443 / 0"]);
        assert_eq!(terms.genesis(&plan, &observed), Err(vec![two.clone()]));
        // Its host was deleted: the name stays.
        observed.hosts.insert("worker-1".to_owned(), None);
        let seen = terms.seen(&observed, &one, Incarnation(0)).unwrap();
        assert_eq!((seen.host.as_str(), seen.zone.as_str()), ("worker-1", ""));
        // What its spec says of the zone wins.
        let mut node = crate::committee::tests::fixture::storage_node("main-0");
        node.spec.zone = Some("west".to_owned());
        observed.nodes.push(node);
        assert_eq!(terms.seen(&observed, &one, Incarnation(0)).unwrap().zone, "west");
    }
}
