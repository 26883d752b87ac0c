//! Which node owns which shards: of record 0, and with the fewest moves of a later one.

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
    /// Those that stay have no room for what a leaving node holds.
    #[error(
        "shards of {node} find no place: a node or host may hold at most {faulty}; add nodes first"
    )]
    NoRoom {
        /// The node that is to give.
        node: NodeName,
        /// f.
        faulty: u16,
    },
}

/// A node with what it holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub node: NodeName,
    /// Its zone, empty if it has none.
    pub zone: String,
    /// Its host, empty for one of its own.
    pub host: String,
    /// Its share of the shards, in proportion; 0 for one that gives all it has.
    pub weight: u32,
    /// Whether it may gain and, unless its weight is 0, give.
    pub present: bool,
    /// What it owns; the last ones are given first.
    pub shards: Vec<ShardIndex>,
}

/// A shard that changes hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The shard.
    pub shard: ShardIndex,
    /// Its owner.
    pub from: NodeName,
    /// Its next owner.
    pub to: NodeName,
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

/// The fewest moves after which no shard could move to a node that has less in proportion to its
/// weight, with at most f shards on a node and on a host; those of nodes that leave first. Among
/// equal takers, the one whose zone holds least.
pub fn rebalance(geometry: Geometry, places: &[Place]) -> Result<Vec<Move>, PlacementError> {
    let mut places = places.to_vec();
    let mut moves = Vec::new();
    while let Some((giver, taker)) = next_move(geometry, &places)? {
        let Some(shard) = places.get_mut(giver).and_then(|place| place.shards.pop()) else { break };
        let from = places.get(giver).map(|place| place.node.clone());
        // What it gained it keeps before what it had.
        if let (Some(from), Some(to)) = (from, places.get_mut(taker)) {
            to.shards.insert(0, shard);
            moves.push(Move { shard, from, to: to.node.clone() });
        }
    }
    Ok(moves)
}

/// The next {giver, taker}, by position.
fn next_move(
    geometry: Geometry,
    places: &[Place],
) -> Result<Option<(usize, usize)>, PlacementError> {
    let mut givers: Vec<(usize, &Place)> = places.iter().enumerate().collect();
    givers.retain(|(_, place)| !place.shards.is_empty() && (place.present || place.weight == 0));
    // Fullest first, in proportion: a/b before c/d where a·d > c·b; those that leave before all.
    givers.sort_by(|(_, one), (_, other)| {
        let full = |place: &Place, by: &Place| weigh(place.shards.len(), by.weight);
        let leaves = |place: &Place| place.weight == 0;
        leaves(other)
            .cmp(&leaves(one))
            .then(full(other, one).cmp(&full(one, other)))
            .then(one.node.cmp(&other.node))
    });
    for (giver, place) in givers {
        let taker = best_taker(geometry, places, giver);
        if taker.is_some() {
            return Ok(taker.map(|taker| (giver, taker)));
        }
        if place.weight == 0 {
            let faulty = geometry.faulty();
            return Err(PlacementError::NoRoom { node: place.node.clone(), faulty });
        }
    }
    Ok(None)
}

fn weigh(shards: usize, weight: u32) -> u64 {
    (shards as u64).saturating_mul(u64::from(weight))
}

/// Who takes a shard of `giver`, if that makes the shares more even.
fn best_taker(geometry: Geometry, places: &[Place], giver: usize) -> Option<usize> {
    let from = places.get(giver)?;
    let zone_load = |zone: &str| -> usize {
        places.iter().filter(|place| place.zone == zone).map(|place| place.shards.len()).sum()
    };
    let fits = |(position, place): &(usize, &Place)| {
        let most = usize::from(geometry.faulty());
        let others = places.iter().enumerate();
        let on_host: usize = others
            .filter(|(other, it)| other != position && same_host(it, place))
            .map(|(other, it)| it.shards.len() - usize::from(other == giver))
            .sum();
        *position != giver && place.present && place.shards.len() + on_host < most
    };
    let evens = |place: &Place| {
        from.weight == 0
            || weigh(place.shards.len() + 1, from.weight) < weigh(from.shards.len(), place.weight)
    };
    let takers = places.iter().enumerate().filter(|(_, place)| place.weight > 0);
    let takers = takers.filter(fits).filter(|(_, place)| evens(place));
    let best = takers.min_by(|(_, one), (_, other)| {
        let emptiness = |place: &Place, by: &Place| weigh(place.shards.len() + 1, by.weight);
        emptiness(one, other)
            .cmp(&emptiness(other, one))
            .then_with(|| zone_load(&one.zone).cmp(&zone_load(&other.zone)))
            .then_with(|| one.node.cmp(&other.node))
    });
    best.map(|(position, _)| position)
}

fn same_host(one: &Place, other: &Place) -> bool {
    !one.host.is_empty() && one.host == other.host
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
