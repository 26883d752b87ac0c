//! Which node plays which part.

/// The parts, by node name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Is down while the file is written, and heals.
    pub(super) away: String,
    /// Are killed before the file is read.
    pub(super) dead: Vec<String>,
    /// Lies when the file is read.
    pub(super) liar: String,
}

/// Gives out the parts over (node, shards) so that the one that is away misses as much as it can,
/// and the dead and the liar are together worth at most `faulty` shards, as many nodes as fit.
pub(super) fn cast(nodes: &[(String, usize)], faulty: usize) -> Option<Parts> {
    let away =
        nodes.iter().filter(|(_, shards)| *shards <= faulty).max_by_key(|(_, shards)| *shards)?;
    let mut others: Vec<_> = nodes.iter().filter(|node| *node != away).collect();
    others.sort_by_key(|(_, shards)| *shards);
    let mut left = faulty;
    let mut lost = Vec::new();
    for (name, shards) in others {
        if *shards <= left {
            left -= shards;
            lost.push(name.clone());
        }
    }
    let liar = lost.pop()?;
    (!lost.is_empty()).then(|| Parts { away: away.0.clone(), dead: lost, liar })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lost_are_worth_at_most_f_shards() {
        let nodes = |shards: &[usize]| -> Vec<(String, usize)> {
            shards.iter().enumerate().map(|(node, &shards)| (format!("n{node}"), shards)).collect()
        };
        let parts = cast(&nodes(&[2, 2, 2, 1, 1, 1, 1]), 3).unwrap();
        assert_eq!(parts.away, "n2");
        assert_eq!(parts.dead, ["n3", "n4"]);
        assert_eq!(parts.liar, "n5");
        let parts = cast(&nodes(&[2, 2, 2, 2, 1, 1]), 3).unwrap();
        assert_eq!((parts.dead, parts.liar), (vec!["n4".to_owned()], "n5".to_owned()));
        assert_eq!(cast(&nodes(&[3, 3, 2, 2]), 3), None);
    }
}
