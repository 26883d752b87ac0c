//! The map of faults: what is faulty now, so that it never is more than the committee stands.

use std::collections::BTreeMap;

use floe_model::EpochRecord;

/// What is faulty now. A reader takes a [`Atlas::mark`] before and asks [`Atlas::was_calm`] after.
#[derive(Debug, Clone, Default)]
pub struct Atlas {
    shards: BTreeMap<String, usize>,
    most_shards: usize,
    /// Hosts, each with the number of its faults.
    faulty: BTreeMap<String, usize>,
    /// Links between nodes that do not work.
    links: usize,
    /// Counts the times at which more was asked than a reader may rely on.
    storms: u64,
    /// Counts the faults of each host since the beginning.
    begun: BTreeMap<String, u64>,
}

/// A moment at which it was calm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calm {
    storms: u64,
    faults_of_host: u64,
}

impl Atlas {
    /// The map of a committee that has begun.
    pub fn of(record: &EpochRecord) -> Self {
        let shards = record.members.iter();
        let shards = shards.map(|member| (member.node.to_string(), member.shards.len()));
        let most_shards = usize::from(record.geometry.faulty());
        Self { shards: shards.collect(), most_shards, ..Self::default() }
    }

    /// Marks a node as faulty, if that is not too much.
    pub fn take_node(&mut self, node: &str) -> bool {
        let fits = self.faulty.contains_key(node) || {
            self.worth() + self.shards.get(node).copied().unwrap_or(usize::MAX / 2)
                <= self.most_shards
        };
        if fits {
            self.take(node);
        }
        fits
    }

    /// Marks any host as faulty.
    pub fn take(&mut self, host: &str) {
        *self.faulty.entry(host.to_owned()).or_default() += 1;
        *self.begun.entry(host.to_owned()).or_default() += 1;
        self.look();
    }

    /// The host is sound again, if that was its only fault.
    pub fn give_back(&mut self, host: &str) {
        if let Some(faults) = self.faulty.get_mut(host) {
            *faults -= 1;
            if *faults == 0 {
                self.faulty.remove(host);
            }
        }
    }

    /// Links between nodes stop working: no node counts as faulty for that.
    pub fn take_links(&mut self) {
        self.links += 1;
        self.look();
    }

    /// They work again.
    pub fn give_back_links(&mut self) {
        self.links -= 1;
    }

    /// Whether links between nodes do not work.
    pub const fn has_bad_links(&self) -> bool {
        self.links > 0
    }

    /// Whether a host has a fault.
    pub fn is_faulty(&self, host: &str) -> bool {
        self.faulty.contains_key(host)
    }

    /// Shards of the nodes that are faulty.
    pub fn worth(&self) -> usize {
        let faulty = self.faulty.keys();
        faulty.map(|host| self.shards.get(host).copied().unwrap_or_default()).sum()
    }

    /// A node that starts asks its peers: with links lost beside it, less may be promised.
    fn is_storm(&self) -> bool {
        self.worth() > self.most_shards || (self.links > 0 && self.worth() > 0)
    }

    fn look(&mut self) {
        self.storms += u64::from(self.is_storm());
    }

    /// To be handed to [`Atlas::was_calm`]; `None` if it is not calm now: more is faulty than the
    /// committee stands, or the gateway on this host.
    pub fn mark(&self, gateway: &str) -> Option<Calm> {
        let is_calm = !self.is_storm() && !self.is_faulty(gateway);
        let faults_of_host = self.begun.get(gateway).copied().unwrap_or_default();
        is_calm.then_some(Calm { storms: self.storms, faults_of_host })
    }

    /// Whether it was calm all the time since `mark`.
    pub fn was_calm(&self, gateway: &str, mark: Option<Calm>) -> bool {
        mark.is_some() && self.mark(gateway) == mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_faulty_than_the_committee_stands() {
        let shards = BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]);
        let mut atlas = Atlas { shards, most_shards: 2, ..Atlas::default() };
        let mark = atlas.mark("gateway");
        assert!(atlas.take_node("a"));
        assert!(!atlas.take_node("b"));
        assert!(atlas.take_node("a"));
        atlas.give_back("a");
        assert!(!atlas.take_node("b"));
        atlas.give_back("a");
        assert!(atlas.take_node("b"));
        assert!(atlas.was_calm("gateway", mark));
        atlas.take("gateway");
        assert_eq!(atlas.worth(), 1);
        assert!(!atlas.was_calm("gateway", mark));
        atlas.give_back("gateway");
        let other = atlas.mark("other");
        assert!(!atlas.was_calm("gateway", mark) && atlas.was_calm("other", other));
        atlas.take_links();
        assert!(!atlas.was_calm("other", other));
        atlas.give_back_links();
        assert!(!atlas.was_calm("other", other), "it was not calm all the time");
        assert!(atlas.was_calm("other", atlas.mark("other")));
    }
}
