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

fn place(name: &str, weight: u32, shards: &[u16]) -> Place {
    let (zone, host) = (String::new(), String::new());
    let shards = shards.iter().copied().map(ShardIndex).collect();
    Place { node: name.parse().unwrap(), zone, host, weight, present: true, shards }
}

/// `shard from→to`, one a move.
fn shown(moves: &[Move]) -> String {
    let each = moves.iter().map(|it| format!("{} {}>{}", it.shard, it.from, it.to));
    each.collect::<Vec<_>>().join(", ")
}

#[test]
fn moves_are_few_and_go_where_there_is_least() {
    type Change<'a> = &'a dyn Fn(&mut Vec<Place>);
    let ten = Geometry::of_shards(10).unwrap();
    let seven = || {
        vec![
            place("a", 1, &[0, 7]),
            place("b", 1, &[1, 8]),
            place("c", 1, &[2, 9]),
            place("d", 1, &[3]),
            place("e", 1, &[4]),
            place("f", 1, &[5]),
            place("g", 1, &[6]),
        ]
    };
    let with = |change: Change<'_>| {
        let mut places = seven();
        change(&mut places);
        rebalance(ten, &places).map(|moves| shown(&moves)).map_err(|error| error.to_string())
    };
    let table: [(&str, Change<'_>, &str); 7] = [
        ("as even as can be", &|_| {}, ""),
        ("an eighth", &|it| it.push(place("h", 1, &[])), "7 a>h"),
        (
            "an eighth that is away",
            &|it| {
                it.push(Place { present: false, ..place("h", 1, &[]) });
            },
            "",
        ),
        ("one leaves", &|it| it[0].weight = 0, "7 a>d, 0 a>e"),
        (
            "one leaves that is away",
            &|it| {
                it[0].weight = 0;
                it[0].present = false;
            },
            "7 a>d, 0 a>e",
        ),
        ("three times as large", &|it| it[6].weight = 3, "7 a>g, 8 b>g"),
        (
            "on one host",
            &|it| {
                for at in [0, 3] {
                    it[at].host = "one".to_owned();
                }
                it[1].weight = 0;
            },
            "8 b>e, 1 b>f",
        ),
    ];
    for (what, change, expected) in table {
        assert_eq!(with(change).as_deref(), Ok(expected), "{what}");
    }
    let four: Vec<Place> = [[0_u16, 4, 8].as_slice(), &[1, 5, 9], &[2, 6], &[3, 7]]
        .iter()
        .zip(["a", "b", "c", "d"])
        .map(|(shards, name)| place(name, u32::from(name != "d"), shards))
        .collect();
    let error = rebalance(ten, &four).unwrap_err();
    assert!(error.to_string().contains("of d find no place"), "{error}");
}

proptest! {
    #[test]
    fn rebalancing_moves_no_more_than_it_must(
        shards in 4_u16..=64,
        counts in prop::collection::vec(0_usize..9, 4..12),
        leaving in prop::collection::vec(prop::bool::weighted(0.2), 12),
    ) {
        let geometry = Geometry::of_shards(shards).unwrap();
        let mut next = 0..shards;
        let mut places: Vec<Place> = counts.iter().enumerate().map(|(at, &count)| {
            let own: Vec<u16> = next.by_ref().take(count.min(usize::from(geometry.faulty()))).collect();
            place(&format!("n{at}"), u32::from(!leaving[at]), &own)
        }).collect();
        prop_assume!(next.is_empty());
        let staying = leaving.iter().take(places.len()).filter(|leaves| !**leaves).count();
        let before = places.clone();
        let Ok(moves) = rebalance(geometry, &places) else {
            prop_assert!(staying * usize::from(geometry.faulty()) < usize::from(shards));
            return Ok(());
        };
        let all: usize = usize::from(shards);
        for it in &moves {
            let from = places.iter_mut().find(|place| place.node == it.from).unwrap();
            from.shards.retain(|shard| *shard != it.shard);
            let to = places.iter_mut().find(|place| place.node == it.to).unwrap();
            to.shards.push(it.shard);
        }
        let kept = || places.iter().filter(|place| place.weight > 0);
        let most = kept().map(|place| place.shards.len()).max().unwrap();
        let least = kept().map(|place| place.shards.len()).min().unwrap();
        prop_assert!(most - least <= 1 && most <= usize::from(geometry.faulty()));
        // The least: each node gives what lies above its share; the larger shares go to the fullest.
        let mut had: Vec<usize> =
            before.iter().filter(|place| place.weight > 0).map(|place| place.shards.len()).collect();
        had.sort_unstable_by(|one, other| other.cmp(one));
        let shares = (0..staying).map(|at| all / staying + usize::from(at < all % staying));
        let least: usize = had.iter().zip(shares).map(|(had, share)| had.saturating_sub(share)).sum();
        let left: usize =
            before.iter().filter(|place| place.weight == 0).map(|place| place.shards.len()).sum();
        prop_assert_eq!(moves.len(), least + left);
    }

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
