//! How a Committee is, in one word.

use floe_crd::{Committee, CommitteeStatus, StorageNode, condition};

/// How a Committee is; its number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every blob has its full margin.
    Full = 0,
    /// Something is missing, and is being mended.
    Healing = 1,
    /// Some blob survives no further loss, or what is missing cannot be mended.
    AtRisk = 2,
    /// Some blob cannot be read.
    Unreadable = 3,
    /// Nobody knows.
    Unknown = 4,
}

impl Verdict {
    /// For programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "Full",
            Self::Healing => "Healing",
            Self::AtRisk => "AtRisk",
            Self::Unreadable => "Unreadable",
            Self::Unknown => "Unknown",
        }
    }
}

/// The margin of a blob of which nothing is missing: twice the shards that may be faulty.
pub(super) fn full_margin(committee: &Committee) -> u16 {
    2 * faulty(committee)
}

/// The shards that may be faulty.
pub(super) fn faulty(committee: &Committee) -> u16 {
    let encoding = &committee.spec.encoding;
    encoding.max_faulty_shards.unwrap_or_else(|| encoding.shards.saturating_sub(1) / 3)
}

/// Judges by what the operator wrote down.
pub(super) fn judge(committee: &Committee, nodes: &[StorageNode]) -> Verdict {
    let Some(status) = committee.status.as_ref().filter(|status| status.epoch.is_some()) else {
        return Verdict::Unknown;
    };
    let is = |type_| condition::is_true(&status.conditions, type_);
    match status.margin {
        None => Verdict::Unreadable,
        Some(0) => Verdict::AtRisk,
        Some(_) if is(condition::REPAIR_BLOCKED) || is(condition::STALLED) => Verdict::AtRisk,
        Some(margin) if margin < full_margin(committee) || is_healing(status, nodes) => {
            Verdict::Healing
        }
        Some(_) => Verdict::Full,
    }
}

fn is_healing(status: &CommitteeStatus, nodes: &[StorageNode]) -> bool {
    let is = |type_| condition::is_true(&status.conditions, type_);
    is(condition::DEGRADED)
        || is(condition::REPAIR_IN_PROGRESS)
        || status.ready_replicas < status.replicas
        || status.repair.as_ref().is_some_and(|repair| repair.remaining_bytes > 0)
        || nodes.iter().any(|node| !is_whole(node))
}

/// Whether a node serves and lacks nothing.
pub(super) fn is_whole(node: &StorageNode) -> bool {
    node.status.as_ref().is_some_and(|status| {
        condition::is_true(&status.conditions, condition::READY)
            && !condition::is_true(&status.conditions, condition::REPAIR_IN_PROGRESS)
            && status.repair.as_ref().is_none_or(|repair| repair.remaining_bytes == 0)
            && status.slivers.is_none_or(|slivers| slivers.held >= slivers.owed)
    })
}
