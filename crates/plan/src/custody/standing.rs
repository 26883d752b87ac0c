//! Whether this node's memory is to be trusted: neither an old copy, nor a new one without past.

use std::collections::BTreeSet;

use floe_model::{EpochRecord, FeedPosition, NodeName, Threshold};

use super::Refusal;

/// What a started node has learnt about its own memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// [`check_cursors`] passed since the start.
    pub cursors_checked: bool,
    /// [`caught_up`] once held for this incarnation.
    pub caught_up: bool,
}

impl Standing {
    /// May speak about what it holds: acknowledge, vouch, close.
    pub const fn may_speak(self) -> Result<(), Refusal> {
        if self.cursors_checked { Ok(()) } else { Err(Refusal::CursorsUnread) }
    }

    /// May also bind claims to blobs.
    pub fn may_confirm(self) -> Result<(), Refusal> {
        self.may_speak()?;
        if self.caught_up { Ok(()) } else { Err(Refusal::BindingsUnread) }
    }
}

/// How far a peer has read this node's feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorAnswer {
    /// The peer.
    pub node: NodeName,
    /// How far it has read; none if it never did.
    pub cursor: Option<FeedPosition>,
}

/// Whether the volume is the newest copy of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorCheck {
    /// Nodes worth n-f shards know nothing beyond the head.
    Passed,
    /// More must answer.
    Waiting {
        /// Shards that answered, this node's own included.
        have: usize,
        /// n-f.
        need: usize,
    },
    /// A peer has read what this volume does not have: it counts as lost.
    OldCopy {
        /// The peer.
        node: NodeName,
        /// Where it stands.
        cursor: FeedPosition,
    },
}

/// Compares the peers' cursors with the own head. One beyond it is enough to stop, whenever it
/// comes, also after the check once passed. A cursor on another volume is of an earlier incarnation
/// and says nothing. This node counts as one that answered: its own head is known.
pub fn check_cursors(
    record: &EpochRecord,
    me: &NodeName,
    head: FeedPosition,
    answers: &[CursorAnswer],
) -> CursorCheck {
    let beyond =
        |cursor: &FeedPosition| cursor.volume == head.volume && cursor.sequence > head.sequence;
    for answer in answers {
        if let Some(cursor) = answer.cursor.filter(beyond) {
            return CursorCheck::OldCopy { node: answer.node.clone(), cursor };
        }
    }
    let answered: BTreeSet<&NodeName> =
        answers.iter().map(|answer| &answer.node).chain([me]).collect();
    if record.reaches(Threshold::Correct, answered.iter().copied()) {
        return CursorCheck::Passed;
    }
    let mut tally = record.tally();
    for position in answered.into_iter().filter_map(|node| record.position(node)) {
        tally.add(position);
    }
    CursorCheck::Waiting { have: tally.shards(), need: Threshold::Correct.shards(record.geometry) }
}

/// Whose catalogs a new incarnation has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUp<'a> {
    /// This node.
    pub me: &'a NodeName,
    /// Record 0 names this very volume: it has seen all that it ever confirmed.
    pub since_genesis: bool,
    /// Peers whose feeds were read to the heads they had after this incarnation was named.
    pub read: &'a BTreeSet<NodeName>,
}

/// Whether the bindings are known that an earlier incarnation of this node may have helped to make:
/// those of *other* nodes worth n-f shards.
pub fn caught_up(record: &EpochRecord, facts: &CatchUp<'_>) -> bool {
    facts.since_genesis
        || record.reaches(Threshold::Correct, facts.read.iter().filter(|&node| node != facts.me))
}
