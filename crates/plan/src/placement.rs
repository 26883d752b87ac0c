//! Which node owns which shards of record 0.

use std::collections::{BTreeMap, BTreeSet};

use floe_model::{Geometry, NodeName, ShardIndex};

/// Nodes that cannot hold these shards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Some node would hold more than f shards.
    #[error(
        "{nodes} nodes for {shards} shards: one would hold {heaviest}, at most {faulty} may be lost with a node; \
         use at least {need_nodes} nodes, or another number of shards"
    )]
    TooFewNodes {
        /// Nodes there are.
        nodes: usize,
        /// n.
        shards: u16,
        /// f.
        faulty: u16,
        /// Shards of the heaviest node.
        heaviest: usize,
        /// Nodes that would do.
        need_nodes: usize,
    },
    /// Some node would hold none.
    #[error(
        "{nodes} nodes for {shards} shards: some would hold none; use at most {shards} nodes, or more shards"
    )]
    TooManyNodes {
        /// Nodes there are.
        nodes: usize,
        /// n.
        shards: u16,
    },
    /// Two nodes bear one name.
    #[error("node {0} is named twice; give every node a name of its own")]
    DuplicateNode(NodeName),
}

/// Deals the shards evenly, at most f to a node; nodes of one zone lie as far apart as they can, so
/// that runs of shards (the systematic slivers of an extent) spread over zones. The answer is in
/// the order of `nodes` {name, zone}; each list rises.
pub fn assign(
    geometry: Geometry,
    nodes: &[(NodeName, String)],
) -> Result<Vec<Vec<ShardIndex>>, PlacementError> {
    check(geometry, nodes)?;
    let order = spread(nodes);
    let mut owned = vec![Vec::new(); nodes.len()];
    for (shard, &node) in (0..geometry.shards()).zip(order.iter().cycle()) {
        if let Some(shards) = owned.get_mut(node) {
            shards.push(ShardIndex(shard));
        }
    }
    Ok(owned)
}

fn check(geometry: Geometry, nodes: &[(NodeName, String)]) -> Result<(), PlacementError> {
    let mut names = BTreeSet::new();
    if let Some((twice, _)) = nodes.iter().find(|(name, _)| !names.insert(name)) {
        return Err(PlacementError::DuplicateNode(twice.clone()));
    }
    let (shards, faulty) = (geometry.shards(), geometry.faulty());
    let count = nodes.len();
    let heaviest = usize::from(shards).div_ceil(count.max(1));
    if heaviest > usize::from(faulty) {
        let need_nodes = usize::from(shards).div_ceil(usize::from(faulty));
        return Err(PlacementError::TooFewNodes {
            nodes: count,
            shards,
            faulty,
            heaviest,
            need_nodes,
        });
    }
    if count > usize::from(shards) {
        return Err(PlacementError::TooManyNodes { nodes: count, shards });
    }
    Ok(())
}

/// Positions of the nodes, those of each zone evenly over the whole circle; largest zones first.
fn spread(nodes: &[(NodeName, String)]) -> Vec<usize> {
    let mut zones: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, (_, zone)) in nodes.iter().enumerate() {
        zones.entry(zone).or_default().push(position);
    }
    let mut placed = Vec::with_capacity(nodes.len());
    for (zone, members) in &zones {
        for (turn, &position) in members.iter().enumerate() {
            // The middle of the turn-th of as many equal parts as the zone has nodes, in units of
            // 1/(2 · members · all): compared without fractions.
            let at = (2 * turn + 1) * nodes.len() * 1_000_000 / (2 * members.len());
            placed.push((at, std::cmp::Reverse(members.len()), *zone, position));
        }
    }
    placed.sort_unstable();
    placed.into_iter().map(|(.., position)| position).collect()
}

#[cfg(test)]
mod tests;
