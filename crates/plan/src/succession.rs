//! What the next epoch record is: from all that was read to one proposal, or to why there is none.
//!
//! ```text
//! newest committed record ─┬─ no tip above it, or one ─► carry wholes ─► replace volumes ─► move shards
//!                          │                                  │ nothing changes    │ something does
//!                          │                                  ▼                    ▼
//!                          │                     push what is not committed     propose
//!                          └─ several tips ─► push the one that can be committed, else a conflict
//! ```
//!
//! Where nothing changes, and a member stays behind on a branch that is dead, at a number that is not
//! below: the same record again, above both.
//!
//! Whoever decides may die after any step: the next decision starts from what is observed then.

mod base;
mod draft;
mod force;

use std::collections::{BTreeMap, BTreeSet};

use floe_model::keys::{NodePublicKey, NodeSignature};
use floe_model::{
    EpochNumber, EpochRecord, EpochTree, Incarnation, NodeName, RecordHash, ShardIndex, VolumeId,
    Whole,
};

use crate::placement::PlacementError;
use draft::Draft;

pub use force::force;

/// A node as the committee is to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// Host and port of its internal API.
    pub address: String,
    /// Its zone, empty if it has none.
    pub zone: String,
    /// The host it runs on, empty for one of its own.
    pub host: String,
    /// Its share of the shards, in proportion; 0 for one that leaves.
    pub weight: u32,
}

/// A volume by its own word; its key is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Which of the node's volumes.
    pub incarnation: Incarnation,
    /// Its id.
    pub volume: VolumeId,
    /// Its key.
    pub key: NodePublicKey,
    /// The proof that it has the key.
    pub possession: NodeSignature,
}

/// One of a node's volumes.
pub type VolumeName = (NodeName, Incarnation);

/// All that was read.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Records of the log and of the nodes, with proofs; each was checked.
    pub tree: &'a EpochTree,
    /// The highest number read anywhere, in the log above all.
    pub highest: EpochNumber,
    /// The newest record that each volume accepted, of those that said so.
    pub heads: &'a BTreeMap<VolumeName, RecordHash>,
    /// The volumes that answer where the wanted ones should, by node.
    pub volumes: &'a BTreeMap<NodeName, Volume>,
    /// What nodes say of shards that they hold wholly.
    pub wholes: &'a [Whole],
    /// The nodes as they are to be. Of a member that is not named here nothing changes.
    pub wanted: &'a [Wanted],
    /// Volumes that are given up.
    pub lost: &'a BTreeSet<VolumeName>,
}

/// What to do about the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Everything is as it is wanted, and committed.
    Nothing,
    /// Something is wanted that cannot be had now.
    Wait(Vec<Blocker>),
    /// This record is not committed: push it.
    Push(RecordHash),
    /// Sign this one, create it in the log, push it; what it leaves out, and why.
    Propose(Box<EpochRecord>, Vec<Blocker>),
    /// Nodes accepted records of which at most one can be committed, and none can now.
    Conflict(Vec<Tip>),
}

/// A record that nodes accepted, above the newest committed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Its number.
    pub number: EpochNumber,
    /// The record.
    pub record: RecordHash,
    /// Shards of the nodes that accepted it, by the newest committed record.
    pub shards: usize,
}

/// A volume that is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostVolume {
    /// Its node.
    pub node: NodeName,
    /// Which of the node's volumes.
    pub incarnation: Incarnation,
    /// What it owned.
    pub shards: Vec<ShardIndex>,
}

/// Why something that is wanted is not proposed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocker {
    /// There is no committed record.
    #[error("no epoch record is committed; form the committee first")]
    NotBegun,
    /// A newer record may be where nobody answered.
    #[error(
        "nodes worth {have} shards say which epoch record they accepted, {need} are needed; start nodes"
    )]
    Heads {
        /// Shards of those that answered.
        have: usize,
        /// n-f.
        need: usize,
    },
    /// The next volume of a node is not there.
    #[error("{node} is to have incarnation {incarnation}, which does not answer; start it")]
    NoVolume {
        /// The node.
        node: NodeName,
        /// Which of its volumes.
        incarnation: Incarnation,
    },
    /// A volume is given up, and no other is wanted in its place.
    #[error("{node}-{incarnation} is lost; replace its volume, or remove the node")]
    NotReplaced {
        /// The node.
        node: NodeName,
        /// The lost volume.
        incarnation: Incarnation,
    },
    /// More is lost than may be.
    #[error(
        "more than f = {faulty} shards have no volume that holds them: {}; bring one of these volumes \
         back, or, if they are gone for good, accept the loss of data with floe committee force",
        listed(.lost)
    )]
    BeyondLimit {
        /// Volumes that are gone, or not filled yet.
        lost: Vec<LostVolume>,
        /// f.
        faulty: u16,
    },
    /// A volume can be replaced when shards that move have arrived.
    #[error(
        "{node} is replaced when shards that are unfilled now are whole: with its own they are more than f = {faulty}"
    )]
    Filling {
        /// The node.
        node: NodeName,
        /// f.
        faulty: u16,
    },
    /// Shards move later.
    #[error("{0} shards move when those that are unfilled now are whole")]
    MovesLater(usize),
    /// Shards find no place.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// No number is left.
    #[error(
        "all epoch numbers that may follow {parent} were used, and others up to {highest}: somebody else signs          epoch records; remove what is not of the chain from the log by hand"
    )]
    Numbers {
        /// The highest number read.
        highest: EpochNumber,
        /// The parent's.
        parent: EpochNumber,
    },
    /// A host would hold too much.
    #[error(
        "{node} stays where the epoch record has it: on host {host} would be more than f = {faulty} shards"
    )]
    HeavyHost {
        /// The node.
        node: NodeName,
        /// The host.
        host: String,
        /// f.
        faulty: u16,
    },
}

fn listed(lost: &[LostVolume]) -> String {
    let each = lost.iter().map(|it| {
        let shards: Vec<String> = it.shards.iter().map(ToString::to_string).collect();
        format!("{}-{} (shards {})", it.node, it.incarnation, shards.join(" "))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Decides what follows from all that was read.
pub fn succeed(situation: &Situation<'_>) -> Decision {
    let parent = match base::parent(situation) {
        Ok(parent) => parent,
        Err(Decision::Wait(blockers)) => return wait(situation, blockers),
        Err(decision) => return decision,
    };
    let Some(signed) = situation.tree.record(&parent) else {
        return Decision::Wait(vec![Blocker::NotBegun]);
    };
    let mut draft = Draft::of(situation, parent, &signed.record);
    draft.carry_wholes();
    draft.update_places();
    draft.replace_volumes();
    draft.move_shards();
    draft.drop_members();
    conclude(situation, draft, parent)
}

/// What keeps nodes silent may be that too many are lost.
fn wait(situation: &Situation<'_>, mut blockers: Vec<Blocker>) -> Decision {
    if let Some((hash, signed)) = situation.tree.committed() {
        let mut draft = Draft::of(situation, hash, &signed.record);
        draft.carry_wholes();
        blockers.splice(0..0, draft.beyond_limit());
    }
    Decision::Wait(blockers)
}

fn conclude(situation: &Situation<'_>, draft: Draft<'_>, parent: RecordHash) -> Decision {
    let (record, mut blockers) = draft.finish();
    let is_committed = situation.tree.is_committed(&parent);
    let again = || base::again(situation, parent).filter(|_| is_committed);
    let Some(mut record) = record.or_else(again) else {
        return match (is_committed, blockers.is_empty()) {
            (false, _) => Decision::Push(parent),
            (true, true) => Decision::Nothing,
            (true, false) => Decision::Wait(blockers),
        };
    };
    match base::number(situation, &mut record) {
        Ok(Some(created)) => Decision::Push(created),
        Ok(None) => Decision::Propose(Box::new(record), blockers),
        Err(blocker) => {
            blockers.push(blocker);
            Decision::Wait(blockers)
        }
    }
}

#[cfg(test)]
mod tests;
