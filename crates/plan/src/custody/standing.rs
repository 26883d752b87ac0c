//! Whether this node's memory is to be trusted: neither an old copy, nor a new one without past.

use std::collections::BTreeSet;

use floe_model::{EpochRecord, FeedPosition, Incarnation, NodeName, Threshold};

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

/// How far this node's feed went when a peer read it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorAnswer {
    /// The peer.
    pub node: NodeName,
    /// The end of the feed that the peer shows, under this node's own seal
    /// ([`SealedHead`](floe_model::SealedHead)), which the caller checked; none if it never read the
    /// feed, or shows what this node did not seal.
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

/// Compares what peers show of the own feed with its head. One end beyond it is enough to stop,
/// whenever it comes, also after the check once passed. An end of another volume is of an earlier
/// incarnation and says nothing. This node counts as one that answered: its own head is known.
///
/// Neither a liar nor an old copy wins:
/// - A liar cannot make up an end that stops the node: only the node itself can seal one, and it seals
///   only what is on stable storage. A liar that shows nothing, or an older end, is one of the nodes
///   worth f shards whose answers prove nothing.
/// - An old copy forgot entries that it had sealed for whoever read them. Any n-f answers, the own one
///   included, leave out nodes worth f shards at most; so once honest nodes worth f+1 shards had read
///   one of the entries, one of them is heard, and shows an end beyond the copy's. Counting voices
///   instead of seals would lose that: f+1 honest ones may have read it, and f of them be left out.
/// - What fewer had read may go unseen: either those who read it do not answer, then they and this node
///   are faulty together, or nobody had read it. Readers wait at the end of each feed, so that is what
///   was promised within the last round trip before the copy was put back. The rest is borne by what
///   promises are counted in: a certificate or release that was acknowledged by nodes worth n-f shards
///   is on others worth n-2f at least, f+1 or more, and this node reads their feeds again; a blob that
///   a claim id was bound to with a certificate was bound by as many others, who keep refusing a second
///   one.
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
    /// Which of its volumes this is.
    pub incarnation: Incarnation,
    /// Record 0 names this very volume: it has seen all that it ever confirmed.
    pub since_genesis: bool,
    /// Peers whose feeds were read to the heads they had after this incarnation was named.
    pub read: &'a BTreeSet<NodeName>,
}

impl CatchUp<'_> {
    /// Whether the record names this very volume.
    fn is_named(&self, record: &EpochRecord) -> bool {
        record.member(self.me).is_some_and(|member| member.incarnation == self.incarnation)
    }

    /// Whether the catalogs read are worth n-f shards of a record; the volume, which has confirmed
    /// nothing yet, counts for itself where the record names it.
    fn reaches(&self, record: &EpochRecord) -> bool {
        let read = self.read.iter().filter(|&node| node != self.me);
        let me = self.is_named(record).then_some(self.me);
        record.reaches(Threshold::Correct, read.chain(me))
    }
}

/// Whether the bindings are known that those who had this volume's shards before may have helped to
/// make: of nodes worth n-f shards of each of `records`, which are the last one that does not name this
/// volume and all since. Former owners count: a volume that takes over from a living node need not
/// wait for one that is away.
pub fn caught_up(records: &[&EpochRecord], facts: &CatchUp<'_>) -> bool {
    facts.since_genesis
        || (!records.is_empty() && records.iter().all(|record| facts.reaches(record)))
}
