//! Margins: how many more losses leave enough shards, counted in shards, nodes and hosts.

use std::collections::BTreeMap;

use crate::quorum::Threshold;
use crate::record::EpochRecord;

/// What may be lost, the heaviest first, while enough is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Survives {
    /// Shards.
    pub shards: usize,
    /// Nodes.
    pub nodes: usize,
    /// Hosts: members that name none have one of their own.
    pub hosts: usize,
}

/// What a threshold survives when `holders` says, shard by shard, at which position of the record's
/// members it is; `None` for a shard that is nowhere. Nothing if it is not reached as it is.
pub fn survives(
    record: &EpochRecord,
    holders: &[Option<usize>],
    threshold: Threshold,
) -> Option<Survives> {
    let need = threshold.shards(record.geometry);
    let mut nodes: BTreeMap<usize, usize> = BTreeMap::new();
    for &position in holders.iter().take(record.geometry.shards().into()).flatten() {
        *nodes.entry(position).or_default() += 1;
    }
    let spare = nodes.values().sum::<usize>().checked_sub(need)?;
    let mut hosts: BTreeMap<(&str, Option<usize>), usize> = BTreeMap::new();
    for (&position, shards) in &nodes {
        let host = record.members.get(position).map_or("", |member| member.host.as_str());
        let alone = host.is_empty().then_some(position);
        *hosts.entry((host, alone)).or_default() += shards;
    }
    Some(Survives {
        shards: spare,
        nodes: heaviest_within(nodes.into_values(), spare),
        hosts: heaviest_within(hosts.into_values(), spare),
    })
}

/// How many of the weights fit into `spare` whichever they are: the heaviest are taken first.
fn heaviest_within(weights: impl Iterator<Item = usize>, spare: usize) -> usize {
    let mut weights: Vec<usize> = weights.collect();
    weights.sort_unstable_by(|one, other| other.cmp(one));
    let mut taken = 0;
    weights
        .into_iter()
        .take_while(|weight| {
            taken += weight;
            taken <= spare
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;
    use crate::id::{CommitteeId, EpochNumber, Incarnation, ShardIndex, VolumeId};
    use crate::keys::NodeKey;
    use crate::record::{Member, NO_PARENT, Policy};

    /// Members with these shards, on hosts of these names.
    fn record(shards: &[u16], hosts: &[&str]) -> EpochRecord {
        let key = NodeKey::generate(&[1; 32]).unwrap();
        let mut next = 0;
        let mut members = Vec::new();
        for (number, (&count, host)) in shards.iter().zip(hosts).enumerate() {
            members.push(Member {
                node: format!("node-{number}").parse().unwrap(),
                incarnation: Incarnation(0),
                volume: VolumeId([0; 16]),
                address: String::new(),
                zone: String::new(),
                host: (*host).to_owned(),
                key: key.public(),
                possession: key.prove_possession(b""),
                shards: (next..next + count).map(ShardIndex).collect(),
            });
            next += count;
        }
        EpochRecord {
            committee: CommitteeId([0; 16]),
            number: EpochNumber(0),
            parent: NO_PARENT,
            forced: false,
            geometry: Geometry::of_shards(next).unwrap(),
            policy: Policy::default(),
            registrars: Vec::new(),
            members,
            unfilled: Vec::new(),
            wholes: Vec::new(),
        }
    }

    fn owners(record: &EpochRecord, without: &[usize]) -> Vec<Option<usize>> {
        let owner = |shard| record.owner(ShardIndex(shard)).filter(|at| !without.contains(at));
        (0..record.geometry.shards()).map(owner).collect()
    }

    #[expect(clippy::unnecessary_wraps, reason = "the table below has gaps")]
    const fn worth(shards: usize, nodes: usize, hosts: usize) -> Option<Survives> {
        Some(Survives { shards, nodes, hosts })
    }

    #[test]
    fn the_heaviest_are_lost_first() {
        // n = 10, f = 3 on seven nodes: decoding needs 4 shards, names and writes need 7.
        let record = record(&[2, 2, 2, 1, 1, 1, 1], &["a", "a", "b", "c", "", "", "c"]);
        let table = [
            (&[][..], worth(6, 3, 2), worth(3, 1, 0)),
            (&[0], worth(4, 2, 2), worth(1, 0, 0)),
            (&[0, 1], worth(2, 1, 1), None),
            (&[0, 1, 3], worth(1, 0, 0), None),
            (&[0, 1, 3, 4], worth(0, 0, 0), None),
            (&[0, 1, 2], worth(0, 0, 0), None),
            (&[0, 1, 2, 3], None, None),
        ];
        for (without, data, writes) in table {
            let holders = owners(&record, without);
            assert_eq!(survives(&record, &holders, Threshold::Decoding), data, "{without:?}");
            assert_eq!(survives(&record, &holders, Threshold::Correct), writes, "{without:?}");
        }
    }

    #[test]
    fn a_shard_counts_where_it_is() {
        let record = record(&[1, 1, 1, 1], &["", "", "", ""]);
        let mut holders = owners(&record, &[]);
        assert_eq!(survives(&record, &holders, Threshold::Decoding), worth(2, 2, 2));
        holders[3] = Some(0);
        assert_eq!(survives(&record, &holders, Threshold::Decoding), worth(2, 1, 1));
        holders[3] = None;
        assert_eq!(survives(&record, &holders, Threshold::Decoding), worth(1, 1, 1));
    }
}
