//! Which nodes were silent or slow a moment ago, so that nobody waits for them again at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_model::{Incarnation, Member, NodeName};

/// How long a silent node is left alone, and a slow one is not waited for.
const PAUSE: Duration = Duration::from_secs(3);

/// What is remembered of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// It answered much later than others, if at all.
    Late,
    /// It did not answer.
    Silent,
}

/// A node with its volume: the next one is another process.
type Volume = (NodeName, Incarnation);

fn volume(member: &Member) -> Volume {
    (member.node.clone(), member.incarnation)
}

/// Nodes in trouble, each with its end on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<BTreeMap<Volume, (Trouble, Duration)>>);

impl Health {
    /// The node did not answer.
    pub(crate) fn silent(&self, node: &Member, now: Duration) {
        self.lock().insert(volume(node), (Trouble::Silent, now + PAUSE));
    }

    /// The others were much faster than the node.
    pub(crate) fn late(&self, node: &Member, now: Duration) {
        let mut nodes = self.lock();
        let volume = volume(node);
        if nodes.get(&volume).is_none_or(|(trouble, _)| *trouble == Trouble::Late) {
            nodes.insert(volume, (Trouble::Late, now + PAUSE));
        }
    }

    /// The node answered.
    pub(crate) fn heard(&self, node: &Member) {
        self.lock().remove(&volume(node));
    }

    /// What is left of a silent node's pause.
    pub(crate) fn pause_left(&self, node: &Member, now: Duration) -> Option<Duration> {
        match self.lock().get(&volume(node))? {
            (Trouble::Silent, end) => end.checked_sub(now).filter(|left| !left.is_zero()),
            (Trouble::Late, _) => None,
        }
    }

    /// Whether others are to be asked first, and the node is not to be waited for.
    pub(crate) fn is_avoided(&self, node: &Member, now: Duration) -> bool {
        self.lock().get(&volume(node)).is_some_and(|(_, end)| *end > now)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Volume, (Trouble, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::record_of;

    fn member() -> Member {
        record_of(4, &[1, 1, 1, 1]).members.remove(1)
    }

    #[test]
    fn a_silent_node_pauses_until_it_is_heard_or_the_pause_ends() {
        let (health, node) = (Health::default(), member());
        let now = Duration::from_secs(10);
        assert_eq!(health.pause_left(&node, now), None);
        health.silent(&node, now);
        health.late(&node, now);
        assert_eq!(health.pause_left(&node, now + PAUSE / 3), Some(PAUSE * 2 / 3));
        assert!(health.is_avoided(&node, now));
        assert_eq!(health.pause_left(&node, now + PAUSE), None);
        assert!(!health.is_avoided(&node, now + PAUSE));
        let mut replaced = node.clone();
        replaced.incarnation.0 += 1;
        assert_eq!(health.pause_left(&replaced, now), None, "another process");
        health.heard(&node);
        assert_eq!(health.pause_left(&node, now), None);
    }

    #[test]
    fn a_slow_node_is_avoided_and_does_not_pause() {
        let (health, node) = (Health::default(), member());
        health.late(&node, Duration::ZERO);
        assert!(health.is_avoided(&node, PAUSE / 2));
        assert_eq!(health.pause_left(&node, PAUSE / 2), None);
        assert!(!health.is_avoided(&node, PAUSE));
    }
}
