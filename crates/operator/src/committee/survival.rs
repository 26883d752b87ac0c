//! What a committee survives: counted in shards, then in nodes, hosts and zones, the heaviest first.

use std::collections::BTreeMap;

use floe_crd::{Losses, Survives};
use floe_model::Geometry;

/// What one member of the newest record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    /// Its name.
    pub(super) node: String,
    /// Its host, empty for one of its own.
    pub(super) host: String,
    /// Its zone, empty if it has none.
    pub(super) zone: String,
    /// Its shards that are whole, on a volume that is not known lost.
    pub(super) durable: u16,
    /// Its shards that take writes now.
    pub(super) serving: u16,
}

/// How many more shards every blob survives; `None` if not even that is so.
pub(super) fn margin(holdings: &[Holding], geometry: Geometry) -> Option<u16> {
    let durable: u16 = holdings.iter().map(|it| it.durable).sum();
    durable.checked_sub(to_read(geometry))
}

/// How many more losses data and writes survive, whichever are lost.
pub(super) fn survives(holdings: &[Holding], geometry: Geometry) -> Survives {
    Survives {
        data: losses(holdings, |it| it.durable, to_read(geometry)),
        writes: losses(holdings, |it| it.serving, to_write(geometry)),
    }
}

/// The shards with which blobs are read.
fn to_read(geometry: Geometry) -> u16 {
    geometry.shards() - 2 * geometry.faulty()
}

/// The shards with which blobs are written.
pub(super) fn to_write(geometry: Geometry) -> u16 {
    geometry.shards() - geometry.faulty()
}

fn losses(holdings: &[Holding], shards: impl Fn(&Holding) -> u16, needed: u16) -> Losses {
    let count = |domain: &dyn Fn(&Holding) -> String| {
        let mut domains: BTreeMap<String, u16> = BTreeMap::new();
        for holding in holdings {
            *domains.entry(domain(holding)).or_default() += shards(holding);
        }
        most(domains.into_values().collect(), needed)
    };
    // Prefixes keep names of nodes, hosts and zones apart.
    let host = |it: &Holding| match it.host.as_str() {
        "" => format!("node {}", it.node),
        host => format!("host {host}"),
    };
    let zone = |it: &Holding| match it.zone.as_str() {
        "" => host(it),
        zone => format!("zone {zone}"),
    };
    Losses { nodes: count(&|it| it.node.clone()), hosts: count(&host), zones: count(&zone) }
}

/// The most of them such that the heaviest may go and `needed` are left.
fn most(mut weights: Vec<u16>, needed: u16) -> u16 {
    let all: u16 = weights.iter().sum();
    let Some(mut spare) = all.checked_sub(needed) else { return 0 };
    weights.retain(|weight| *weight > 0);
    weights.sort_unstable_by(|one, other| other.cmp(one));
    let fits = weights.into_iter().take_while(|weight| match spare.checked_sub(*weight) {
        Some(rest) => {
            spare = rest;
            true
        }
        None => false,
    });
    u16::try_from(fits.count()).unwrap_or(u16::MAX)
}

/// Zones that hold more shards than may be faulty, if there is more than one.
pub(super) fn heavy_zones(zones: &BTreeMap<String, u16>, geometry: Geometry) -> Vec<(String, u16)> {
    let named = zones.iter().filter(|(zone, _)| !zone.is_empty());
    let heavy = named.clone().filter(|(_, shards)| **shards > geometry.faulty());
    let heavy: Vec<_> = heavy.map(|(zone, shards)| (zone.clone(), *shards)).collect();
    if named.count() > 1 { heavy } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `2a` is a node with two shards in zone a, `2a-` one that is away, `2a?` one to be filled, `2a!`
    /// a lost one.
    fn holdings(text: &str) -> Vec<Holding> {
        let holding = |(at, word): (usize, &str)| {
            let shards: u16 = word[..1].parse().unwrap();
            let zone = word[1..2].trim().to_owned();
            let state = &word[2..];
            Holding {
                node: format!("main-{at}"),
                host: format!("worker-{at}"),
                zone,
                durable: if matches!(state, "?" | "!") { 0 } else { shards },
                serving: if matches!(state, "-" | "!") { 0 } else { shards },
            }
        };
        text.split(' ').enumerate().map(holding).collect()
    }

    #[test]
    fn what_is_survived() {
        let table = [
            // nodes, n: margin; data nodes/zones; writes nodes/zones
            ("2a 2a 2b 2b 2c 2c", 12, Some(6), (3, 1), (1, 0)),
            ("3a 3b 3c 3d", 12, Some(6), (2, 2), (1, 1)),
            ("3a 3b 2c 2d", 10, Some(6), (2, 2), (1, 1)),
            ("3a 3b- 2c 2d", 10, Some(6), (2, 2), (0, 0)),
            ("3a 3b! 2c 2d", 10, Some(3), (1, 1), (0, 0)),
            ("3a 3b? 2c 2d", 10, Some(3), (1, 1), (1, 1)),
            ("3a! 3b! 2c 2d", 10, Some(0), (0, 0), (0, 0)),
            ("3a! 3b! 2c! 2d", 10, None, (0, 0), (0, 0)),
            ("1a 1a 1a 1a", 4, Some(2), (2, 0), (1, 0)),
        ];
        for (text, shards, expected_margin, data, writes) in table {
            let geometry = Geometry::of_shards(shards).unwrap();
            let holdings = holdings(text);
            assert_eq!(margin(&holdings, geometry), expected_margin, "{text}");
            let found = survives(&holdings, geometry);
            assert_eq!((found.data.nodes, found.data.zones), data, "{text}");
            assert_eq!((found.writes.nodes, found.writes.zones), writes, "{text}");
        }
    }

    #[test]
    fn zones_that_hold_too_much() {
        let geometry = Geometry::of_shards(10).unwrap();
        let zones = |list: &[(&str, u16)]| -> BTreeMap<String, u16> {
            list.iter().map(|(zone, shards)| ((*zone).to_owned(), *shards)).collect()
        };
        assert_eq!(heavy_zones(&zones(&[("a", 3), ("b", 3), ("c", 4)]), geometry).len(), 1);
        assert_eq!(heavy_zones(&zones(&[("a", 3), ("b", 3), ("c", 2), ("d", 2)]), geometry), []);
        assert_eq!(heavy_zones(&zones(&[("", 10)]), geometry), [], "no zones, no warning");
        assert_eq!(heavy_zones(&zones(&[("a", 10)]), geometry), [], "one zone: nothing to choose");
    }
}
