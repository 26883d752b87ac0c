//! What a node does with a chain that is offered to it.

use std::sync::Arc;

use floe_model::{
    ChainError, CommitProof, EpochNumber, EpochRecord, EpochTree, RecordHash, SignedRecord,
};

use super::checker::{History, check_after};
use super::{Identity, Violation};

/// A record may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Store it, sync, then sign.
    New,
    /// It, or a record that follows it, was accepted before: sign that again.
    Already,
}

/// One record of a chain with the proof that it is committed, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The record.
    pub record: SignedRecord,
    /// The proof.
    pub proof: Option<CommitProof>,
}

/// What to store of a chain, and whether its tip is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Records to store, parents before children.
    pub records: Vec<Arc<SignedRecord>>,
    /// Proofs to store after them.
    pub proofs: Vec<Arc<CommitProof>>,
    /// The chain's last record.
    pub tip: RecordHash,
    /// Whether it is accepted; where not, what is stored of the chain all leads to a committed record.
    pub verdict: Result<Accept, Violation>,
}

/// Decides about a chain, the oldest record first, its first one or that one's parent known here. One
/// bad record or proof spoils all of it. What is not accepted is kept only as far as it leads to a
/// committed record: nobody fills the memory of nodes with records that nobody accepts.
pub fn take(
    known: &EpochTree,
    me: &Identity,
    accepted: Option<&RecordHash>,
    chain: Vec<Link>,
) -> Result<Taken, Violation> {
    let mut tree = known.clone();
    let (mut records, mut proofs) = (Vec::new(), Vec::new());
    let (mut tip, mut kept) = (None, 0);
    let mut history: Option<History> = None;
    for Link { record, proof } in chain {
        let hash = record.record.hash();
        if tip.is_some_and(|tip| record.record.parent != tip) {
            return Err(Violation::Broken { number: record.record.number });
        }
        tip = Some(hash);
        if tree.record(&hash).is_none() {
            let history =
                history.get_or_insert_with(|| History::up_to(&tree, &record.record.parent));
            check_mine((&tree, history), me, &record)?;
            history.add(&record.record);
            let record = Arc::new(record);
            tree.insert(Arc::clone(&record));
            records.push(record);
        }
        if let Some(proof) = proof.filter(|_| !tree.is_committed(&hash)) {
            if proof.record != hash {
                return Err(ChainError::UnknownRecord(proof.record).into());
            }
            tree.check_proof(&proof)?;
            let proof = Arc::new(proof);
            tree.insert_proof(Arc::clone(&proof));
            proofs.push(proof);
        }
        if tree.is_committed(&hash) {
            kept = records.len();
        }
    }
    let tip = tip.ok_or(Violation::Nothing)?;
    let verdict = accept(&tree, me, accepted, &tip);
    if verdict != Ok(Accept::New) {
        records.truncate(kept);
    }
    Ok(Taken { records, proofs, tip, verdict })
}

fn check_mine(
    (tree, history): (&EpochTree, &History),
    me: &Identity,
    signed: &SignedRecord,
) -> Result<(), Violation> {
    let record = &signed.record;
    if record.committee != me.committee {
        return Err(Violation::OtherCommittee { found: record.committee, own: me.committee });
    }
    if record.number == EpochNumber(0) && signed.key != me.operator {
        return Err(Violation::OtherOperator);
    }
    check_after(tree, history, signed, Some(&me.operator))
}

/// Whether this node accepts `tip`, which was checked and is in `tree` with all its ancestors and all
/// proofs at hand: its number is above that of the record accepted last, and its chain runs through
/// that record, or through a committed one that is not on its own chain. Only a proof of commitment
/// makes a node leave what it accepted; a child of record 0 waits for the proof of record 0; and a
/// node accepts no record that does not name its volume, which it could not serve under.
pub fn accept(
    tree: &EpochTree,
    me: &Identity,
    accepted: Option<&RecordHash>,
    tip: &RecordHash,
) -> Result<Accept, Violation> {
    let offered = &tree.record(tip).ok_or(ChainError::UnknownRecord(*tip))?.record;
    if let Some(own) = accepted
        && let Some(signed) = tree.record(own)
    {
        if tree.is_ancestor(tip, own) {
            return Ok(Accept::Already);
        }
        let (accepted, offered) = (signed.record.number, offered.number);
        if offered <= accepted {
            return Err(Violation::NotAbove { accepted, offered });
        }
        if !follows(tree, own, tip) {
            return Err(Violation::Leaves { accepted, hash: *own, offered });
        }
    }
    if offered.number > EpochNumber(0) && !tree.genesis().is_some_and(|it| tree.is_committed(&it)) {
        return Err(Violation::GenesisUncommitted);
    }
    names_me(offered, me)?;
    Ok(Accept::New)
}

fn follows(tree: &EpochTree, own: &RecordHash, tip: &RecordHash) -> bool {
    let leaves_by_proof = |signed: &&Arc<SignedRecord>| {
        let hash = signed.record.hash();
        tree.is_committed(&hash) && !tree.is_ancestor(&hash, own)
    };
    tree.is_ancestor(own, tip) || tree.path(tip).iter().any(leaves_by_proof)
}

/// Whether the record names this very volume: a node that it does not name serves its identity and
/// nothing else.
pub fn names_me(record: &EpochRecord, me: &Identity) -> Result<(), Violation> {
    let number = record.number;
    let node = || me.node.clone();
    let member = record.member(&me.node).ok_or(Violation::NotMember { number, node: node() })?;
    let fields = [
        ("incarnation", member.incarnation == me.incarnation),
        ("volume", member.volume == me.volume),
        ("key", member.key == me.key),
    ];
    match fields.into_iter().find(|(_, agrees)| !agrees) {
        Some((what, _)) => Err(Violation::OtherVolume { number, node: node(), what }),
        None => Ok(()),
    }
}

/// The record that says whether this volume is a member: the accepted one while it follows all that is
/// known to be committed, else the newest committed one, which this node could not accept because it
/// names it no more, or names another volume of it.
pub fn standing_record<'a>(
    tree: &'a EpochTree,
    accepted: Option<&RecordHash>,
) -> Option<&'a Arc<SignedRecord>> {
    let own = accepted.and_then(|hash| Some((hash, tree.record(hash)?)));
    match (own, tree.committed()) {
        (Some((hash, own)), Some((newest, committed))) => {
            Some(if tree.is_ancestor(&newest, hash) { own } else { committed })
        }
        (Some((_, own)), None) => Some(own),
        // Nothing was accepted: what does not name this volume does not concern it yet.
        (None, _) => None,
    }
}
