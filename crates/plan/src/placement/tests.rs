//! Placement: examples, refusals, and what holds for every committee.

use proptest::prelude::*;

use super::*;

fn nodes(zones: &[&str]) -> Vec<(NodeName, String)> {
    let name = |position: usize| format!("node-{position}").parse().unwrap();
    zones.iter().enumerate().map(|(at, zone)| (name(at), (*zone).to_owned())).collect()
}

fn numbers(owned: &[Vec<ShardIndex>]) -> Vec<Vec<u16>> {
    owned.iter().map(|shards| shards.iter().map(|shard| shard.0).collect()).collect()
}

#[test]
fn seven_nodes_share_ten_shards() {
    let geometry = Geometry::of_shards(10).unwrap();
    let owned = assign(geometry, &nodes(&[""; 7])).unwrap();
    assert_eq!(
        numbers(&owned),
        [vec![0, 7], vec![1, 8], vec![2, 9], vec![3], vec![4], vec![5], vec![6]]
    );
}

#[test]
fn neighbouring_shards_lie_in_different_zones() {
    let zones = ["x", "x", "x", "y", "y", "y", "z", "z", "z"];
    let owned = assign(Geometry::of_shards(9).unwrap(), &nodes(&zones)).unwrap();
    let mut zone_of = [""; 9];
    for (node, shards) in owned.iter().enumerate() {
        for shard in shards {
            zone_of[usize::from(shard.0)] = zones[node];
        }
    }
    for shard in 0..9 {
        assert_ne!(zone_of[shard], zone_of[(shard + 1) % 9], "{zone_of:?}");
    }
}

#[test]
fn what_cannot_be_placed_names_the_way_out() {
    let ten = Geometry::of_shards(10).unwrap();
    let error = assign(ten, &nodes(&[""; 3])).unwrap_err();
    assert_eq!(
        error,
        PlacementError::TooFewNodes { nodes: 3, shards: 10, faulty: 3, heaviest: 4, need_nodes: 4 }
    );
    assert!(error.to_string().contains("at least 4 nodes"), "{error}");
    assert!(matches!(assign(ten, &[]), Err(PlacementError::TooFewNodes { nodes: 0, .. })));
    assert_eq!(
        assign(ten, &nodes(&[""; 11])),
        Err(PlacementError::TooManyNodes { nodes: 11, shards: 10 })
    );
    let mut twice = nodes(&[""; 5]);
    twice[4].0 = twice[1].0.clone();
    assert_eq!(assign(ten, &twice), Err(PlacementError::DuplicateNode(twice[1].0.clone())));
}

proptest! {
    #[test]
    fn every_shard_once_evenly_and_at_most_f(
        shards in 4_u16..=256,
        zones in prop::collection::vec(prop::sample::select(vec!["", "x", "y", "z"]), 0..300),
    ) {
        let geometry = Geometry::of_shards(shards).unwrap();
        let need_nodes = usize::from(shards).div_ceil(usize::from(geometry.faulty()));
        match assign(geometry, &nodes(&zones)) {
            Ok(owned) => {
                prop_assert_eq!(owned.len(), zones.len());
                let lengths: Vec<usize> = owned.iter().map(Vec::len).collect();
                let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
                prop_assert!(most - least <= 1 && *least >= 1);
                prop_assert!(*most <= usize::from(geometry.faulty()));
                prop_assert!(owned.iter().all(|shards| shards.is_sorted_by(|a, b| a < b)));
                let mut all: Vec<u16> = numbers(&owned).concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..shards).collect::<Vec<_>>());
            }
            Err(PlacementError::TooFewNodes { .. }) => prop_assert!(zones.len() < need_nodes),
            Err(PlacementError::TooManyNodes { .. }) => {
                prop_assert!(zones.len() > usize::from(shards));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
