//! On which record the next one builds, and which number it gets.

use std::collections::BTreeSet;

use floe_model::epochs::LARGEST_STEP;
use floe_model::{EpochNumber, EpochRecord, RecordHash, Tally, Threshold};

use super::{Blocker, Decision, Situation, Tip, VolumeName};

/// The newest committed record, or the one tip above it that nodes accepted.
pub(super) fn parent(situation: &Situation<'_>) -> Result<RecordHash, Decision> {
    let (committed, record) = newest_committed(situation)?;
    let have = Tally::of(record, said(situation, record, |_| true)).shards();
    let need = Threshold::Correct.shards(record.geometry);
    let tips = tips(situation, committed, record);
    match tips.as_slice() {
        _ if have < need => Err(Decision::Wait(vec![Blocker::Heads { have, need }])),
        [] => Ok(committed),
        [tip] => Ok(tip.record),
        [best, ..] => {
            let rival = |head: &RecordHash| {
                situation.tree.is_ancestor(&committed, head)
                    && *head != committed
                    && !situation.tree.is_ancestor(head, &best.record)
            };
            let free = Tally::of(record, said(situation, record, |head| !rival(head))).shards();
            let decision =
                if free < need { Decision::Conflict(tips) } else { Decision::Push(best.record) };
            Err(decision)
        }
    }
}

fn newest_committed<'a>(
    situation: &Situation<'a>,
) -> Result<(RecordHash, &'a EpochRecord), Decision> {
    let newest = situation.tree.committed().map(|(hash, signed)| (hash, &signed.record));
    newest.ok_or_else(|| Decision::Wait(vec![Blocker::NotBegun]))
}

/// Positions of the members of `record` whose volumes said that they accepted such a record.
fn said<'a>(
    situation: &'a Situation<'_>,
    record: &'a EpochRecord,
    such: impl Fn(&RecordHash) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    let heads = situation.heads.iter().filter(move |(_, head)| such(head));
    heads.filter_map(|((node, incarnation), _)| {
        let position = record.position(node)?;
        let member = record.members.get(position)?;
        (member.incarnation == *incarnation).then_some(position)
    })
}

/// What nodes accepted above the newest committed record and nothing known to be accepted follows,
/// the one that most shards stand behind first.
pub(super) fn tips(
    situation: &Situation<'_>,
    committed: RecordHash,
    record: &EpochRecord,
) -> Vec<Tip> {
    let tree = situation.tree;
    let above = |head: &&RecordHash| **head != committed && tree.is_ancestor(&committed, head);
    let heads: BTreeSet<RecordHash> = situation.heads.values().filter(above).copied().collect();
    let followed = |head: &RecordHash| {
        heads.iter().any(|other| other != head && tree.is_ancestor(head, other))
    };
    let tip = |head: &RecordHash| {
        let number = tree.record(head)?.record.number;
        let behind =
            said(situation, record, |other| *other != committed && tree.is_ancestor(other, head));
        let shards = Tally::of(record, behind).shards();
        Some(Tip { number, record: *head, shards })
    };
    let mut tips: Vec<Tip> = heads.iter().filter(|head| !followed(head)).filter_map(tip).collect();
    tips.sort_by_key(|tip| (std::cmp::Reverse(tip.shards), tip.record));
    tips
}

/// The committed record again, for a member that accepted another one beside its chain: with a number
/// that is not below this one's it stays there, as if it were away, until one above both comes.
pub(super) fn again(situation: &Situation<'_>, parent: RecordHash) -> Option<EpochRecord> {
    let (tree, record) = (situation.tree, &situation.tree.record(&parent)?.record);
    let strays = |((node, incarnation), head): (&VolumeName, &RecordHash)| {
        let member = record.member(node).filter(|member| member.incarnation == *incarnation);
        let number = tree.record(head).map(|signed| signed.record.number);
        member.is_some() && number >= Some(record.number) && !tree.is_ancestor(&parent, head)
    };
    let next = || EpochRecord { parent, forced: false, wholes: Vec::new(), ..record.clone() };
    situation.heads.iter().any(strays).then(next)
}

/// Gives the record its number, one above every number read, or as near to that as one step leads:
/// the next ones go on from there, and no dead branch of however high numbers stops the chain. Where the log holds the same record
/// already, with a number that every node may still accept, it is that one.
pub(super) fn number(
    situation: &Situation<'_>,
    record: &mut EpochRecord,
) -> Result<Option<RecordHash>, Blocker> {
    let tree = situation.tree;
    let accepted = situation.heads.values().filter_map(|head| tree.record(head));
    let highest_accepted = accepted.map(|signed| signed.record.number).max();
    let same = |known: &EpochRecord| {
        let number = record.number;
        *known == EpochRecord { number: known.number, ..record.clone() } && known.number > number
    };
    let created = tree.records().filter(|(_, signed)| same(&signed.record));
    let created = created.max_by_key(|(_, signed)| signed.record.number);
    if let Some((hash, signed)) = created
        && Some(signed.record.number) > highest_accepted
    {
        return Ok(Some(*hash));
    }
    let parent = record.number;
    let highest = situation.highest.max(tree.highest().unwrap_or(parent)).max(parent);
    let mut used: BTreeSet<EpochNumber> = tree.records().map(|(_, it)| it.record.number).collect();
    used.insert(situation.highest);
    let furthest = highest.0.saturating_add(1).min(parent.0.saturating_add(LARGEST_STEP));
    let mut free = (parent.0.saturating_add(1)..=furthest).rev().map(EpochNumber);
    let free = free.find(|number| !used.contains(number));
    record.number = free.ok_or(Blocker::Numbers { highest, parent })?;
    Ok(None)
}
