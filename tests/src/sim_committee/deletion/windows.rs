//! Which undelete windows are over for sure, by the time that nodes ran.

use std::collections::BTreeMap;
use std::time::Duration;

use floe_model::{Incarnation, NodeName};

use crate::sim_committee::World;

/// The default policy.
pub const WINDOW: Duration = Duration::from_hours(7 * 24);
/// The default policy.
pub const RETENTION: Duration = Duration::from_hours(30 * 24);

/// The times that passed, each at the end of a round in which all nodes that ran had learnt of
/// whatever was deleted until then.
pub struct Windows {
    faulty: usize,
    nodes: Vec<NodeName>,
    passed: Vec<(Duration, BTreeMap<NodeName, Incarnation>)>,
    now: BTreeMap<NodeName, Incarnation>,
}

impl Windows {
    /// Nothing has passed.
    pub fn new(world: &World) -> Self {
        let nodes = world.nodes().to_vec();
        let faulty = usize::from(world.geometry().faulty());
        Self { faulty, nodes, passed: Vec::new(), now: BTreeMap::new() }
    }

    /// A round ends, and so much time passes.
    pub(super) fn pass(&mut self, world: &World, time: Duration) {
        let incarnation = |node: &NodeName| (node.clone(), world.incarnation(node));
        self.now = self.nodes.iter().map(incarnation).collect();
        let running = world.running();
        self.passed.push((time, running.iter().map(incarnation).collect()));
    }

    /// Whether more nodes than may be faulty count a window as over that began in a round.
    pub(super) fn are_over(&self, round: usize) -> bool {
        let over = self.nodes.iter().filter(|node| {
            // Only what the volume of now ran through counts.
            let ran = self.passed.iter().skip(round);
            let ran = ran.filter(|(_, ran)| ran.get(node) == self.now.get(node));
            ran.map(|(time, _)| *time).sum::<Duration>() >= WINDOW
        });
        over.count() > self.faulty
    }
}
