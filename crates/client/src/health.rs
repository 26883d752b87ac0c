//! Which nodes were silent or slow a moment ago, so that nobody waits for them again at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_model::NodeName;

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

/// Nodes in trouble, each with its end on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<BTreeMap<NodeName, (Trouble, Duration)>>);

impl Health {
    /// The node did not answer.
    pub(crate) fn silent(&self, node: &NodeName, now: Duration) {
        self.lock().insert(node.clone(), (Trouble::Silent, now + PAUSE));
    }

    /// The others were much faster than the node.
    pub(crate) fn late(&self, node: &NodeName, now: Duration) {
        let mut nodes = self.lock();
        if nodes.get(node).is_none_or(|(trouble, _)| *trouble == Trouble::Late) {
            nodes.insert(node.clone(), (Trouble::Late, now + PAUSE));
        }
    }

    /// The node answered.
    pub(crate) fn heard(&self, node: &NodeName) {
        self.lock().remove(node);
    }

    /// What is left of a silent node's pause.
    pub(crate) fn pause_left(&self, node: &NodeName, now: Duration) -> Option<Duration> {
        match self.lock().get(node)? {
            (Trouble::Silent, end) => end.checked_sub(now).filter(|left| !left.is_zero()),
            (Trouble::Late, _) => None,
        }
    }

    /// Whether others are to be asked first, and the node is not to be waited for.
    pub(crate) fn is_avoided(&self, node: &NodeName, now: Duration) -> bool {
        self.lock().get(node).is_some_and(|(_, end)| *end > now)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeName, (Trouble, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_node_pauses_until_it_is_heard_or_the_pause_ends() {
        let (health, node) = (Health::default(), "node-1".parse().unwrap());
        let now = Duration::from_secs(10);
        assert_eq!(health.pause_left(&node, now), None);
        health.silent(&node, now);
        health.late(&node, now);
        assert_eq!(health.pause_left(&node, now + PAUSE / 3), Some(PAUSE * 2 / 3));
        assert!(health.is_avoided(&node, now));
        assert_eq!(health.pause_left(&node, now + PAUSE), None);
        assert!(!health.is_avoided(&node, now + PAUSE));
        health.heard(&node);
        assert_eq!(health.pause_left(&node, now), None);
    }

    #[test]
    fn a_slow_node_is_avoided_and_does_not_pause() {
        let (health, node) = (Health::default(), "node-1".parse().unwrap());
        health.late(&node, Duration::ZERO);
        assert!(health.is_avoided(&node, PAUSE / 2));
        assert_eq!(health.pause_left(&node, PAUSE / 2), None);
        assert!(!health.is_avoided(&node, PAUSE));
    }
}
