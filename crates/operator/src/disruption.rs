//! What may be stopped: how many storage nodes at once by anyone, and which one next by the operator.
//!
//! Writes need `n-f` shards that serve. A budget counts pods, not shards, so it allows what is safe
//! whichever pods are taken: the heaviest.

pub mod rollout;

use floe_model::NodeName;

/// A storage node of the newest record, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub node: NodeName,
    /// Shards that it owns.
    pub shards: u16,
    /// Its pod is ready: it serves its accepted epoch.
    pub serving: bool,
    /// It holds all that it owes.
    pub whole: bool,
}

/// What must not be gone below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// n.
    pub shards: u16,
    /// f.
    pub faulty_shards: u16,
    /// Shards kept above what writes need.
    pub min_write_margin: u16,
}

impl Limits {
    /// Shards that must stay up.
    fn needed(self) -> u32 {
        u32::from(self.shards) - u32::from(self.faulty_shards.min(self.shards))
            + u32::from(self.min_write_margin)
    }

    /// Shards that may be stopped when all is well.
    fn spare(self) -> u32 {
        u32::from(self.faulty_shards.saturating_sub(self.min_write_margin))
    }
}

/// What a PodDisruptionBudget is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Pods that must stay ready.
    pub min_available: u16,
    /// Pods that may be stopped now, those that are away already taken off.
    pub disruptions_allowed: u16,
}

/// `minAvailable = pods - k`: k is the most pods of which the heaviest hold no more shards than may
/// be missing, less those of nodes that serve but are not whole; of several, one is kept in reserve.
pub fn budget(members: &[Member], limits: Limits) -> Budget {
    let recovering = members.iter().filter(|member| member.serving && !member.whole);
    let mut spare = limits.spare().saturating_sub(shards_of(recovering));
    let mut weights: Vec<u32> = members.iter().map(|member| u32::from(member.shards)).collect();
    weights.sort_unstable_by(|a, b| b.cmp(a));
    let fits = |weight: &u32| match spare.checked_sub(*weight) {
        Some(rest) => {
            spare = rest;
            true
        }
        None => false,
    };
    let most = weights.into_iter().take_while(fits).count();
    let stopped = if most >= 2 { most - 1 } else { most };
    let min_available = count(members.len() - stopped);
    let ready = count(members.iter().filter(|member| member.serving).count());
    Budget { min_available, disruptions_allowed: ready.saturating_sub(min_available) }
}

/// Why nodes cannot be drained. As a word it is the condition's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Other nodes are away.
    NodesAway,
    /// Other nodes are not whole yet.
    RepairRunning,
    /// One node holds more than may be missing, even when all is well.
    TooFewNodes,
}

impl Cause {
    /// As a condition's reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NodesAway => "NodesAway",
            Self::RepairRunning => "RepairRunning",
            Self::TooFewNodes => "TooFewNodes",
        }
    }
}

/// A node that cannot be drained now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainBlocked {
    /// The condition's reason.
    pub cause: Cause,
    /// For whom it waits.
    pub waits_for: Vec<NodeName>,
    /// For people: what would be left, what is needed, when it clears.
    pub message: String,
}

/// Why the budget keeps `node`'s pod from being stopped; `None` when it does not, or when there is
/// none to stop.
pub fn drain_blocked(members: &[Member], limits: Limits, node: &NodeName) -> Option<DrainBlocked> {
    let member = members.iter().find(|member| member.node == *node && member.serving)?;
    if budget(members, limits).disruptions_allowed > 0 {
        return None;
    }
    let names = |of: &dyn Fn(&Member) -> bool| -> Vec<NodeName> {
        members.iter().filter(|&member| of(member)).map(|member| member.node.clone()).collect()
    };
    let away = names(&|member| !member.serving);
    let recovering = names(&|member| member.serving && !member.whole);
    let (cause, waits_for, why, clears) = if !away.is_empty() {
        let who = list(&away);
        let (is, are) = (format!("{who} away"), format!("clears when back: {who}"));
        (Cause::NodesAway, away, is, are)
    } else if !recovering.is_empty() {
        let who = list(&recovering);
        let (is, are) = (format!("being rebuilt: {who}"), format!("clears when whole: {who}"));
        (Cause::RepairRunning, recovering, is, are)
    } else {
        let most = limits.spare();
        let why =
            format!("the heaviest nodes hold more than the {most} shards that may be missing");
        let clears = "add nodes, or lower spec.disruption.minWriteMargin".to_owned();
        (Cause::TooFewNodes, Vec::new(), why, clears)
    };
    let up = shards_of(members.iter().filter(|member| member.serving && member.whole));
    let own = if member.whole { u32::from(member.shards) } else { 0 };
    let (all, needed) = (limits.shards, limits.needed());
    let message = format!(
        "{why}; {up} of {all} shards are up and whole, stopping {node} leaves {}, {needed} are needed; {clears}",
        up - own
    );
    Some(DrainBlocked { cause, waits_for, message })
}

fn shards_of<'a>(members: impl Iterator<Item = &'a Member>) -> u32 {
    members.map(|member| u32::from(member.shards)).sum()
}

fn list(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

fn count(nodes: usize) -> u16 {
    u16::try_from(nodes).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
