//! A shard has another owner, or its owner another volume: when the new one may say that the shard is
//! whole, and when the one before lets go of it.

use std::collections::BTreeSet;

use floe_model::{EpochNumber, EpochRecord, Incarnation, NodeName, ShardIndex, Tally, Threshold};

use crate::custody::{Refusal, Standing};

/// A node with its volume.
pub type Volume = (NodeName, Incarnation);

/// What is known when a node is to say that it holds everything owed on one of its shards.
#[derive(Debug, Clone)]
pub struct WholeFacts<'a> {
    /// What this node has learnt about its memory.
    pub standing: Standing,
    /// This node and its volume.
    pub me: &'a Volume,
    /// The shard: unfilled, and this node's, by the last of `since_filled`.
    pub shard: ShardIndex,
    /// The records of the accepted one's chain from the one in which the shard was filled last to the
    /// accepted one, oldest first.
    pub since_filled: &'a [&'a EpochRecord],
    /// Whose change feeds were read to the heads they had when they had accepted a record that gives
    /// the shard to this node and volume.
    pub read: &'a BTreeSet<Volume>,
    /// Live claims older than the retention of releases for which nobody vouched within a day.
    pub unsettled_claims: usize,
    /// Slivers owed on the shard that are not held.
    pub missing_slivers: u64,
}

/// Why a node does not say it yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// Its own memory is in doubt.
    #[error(transparent)]
    Silent(Refusal),
    /// It is not the owner, or the shard is filled.
    #[error("the shard is not an unfilled one of this node's")]
    NotMine,
    /// What others promised may be unknown here.
    #[error(
        "the catalogs of nodes worth {have} shards of epoch {over} were read, {need} are needed"
    )]
    Catalogs {
        /// Over whose owners it is counted.
        over: EpochNumber,
        /// Shards of those that were read.
        have: usize,
        /// n-f.
        need: usize,
    },
    /// They may be deleted ones.
    #[error("{0} old claims are neither vouched for nor dropped")]
    Claims(usize),
    /// Not everything is held.
    #[error("{0} slivers are missing")]
    Slivers(u64),
}

/// The number of the record since which the shard is this volume's, as the last of `since_filled` has
/// it: what a peer's feed showed while the peer had accepted a lower one does not count. This volume
/// may have owned the shard before, lost it to another, and got it back: what was promised meanwhile
/// stands behind what was read then. Numbers that a node accepts rise, so a peer that accepted this one
/// or a higher one never goes back behind it.
pub fn owner_since(
    me: &Volume,
    shard: ShardIndex,
    since_filled: &[&EpochRecord],
) -> Option<EpochNumber> {
    let gives = |record: &&&EpochRecord| {
        let owner = record.owner(shard).and_then(|at| record.members.get(at));
        owner.is_some_and(|it| (&it.node, it.incarnation) == (&me.0, me.1))
    };
    let since = since_filled.iter().rev().take_while(gives).last();
    since.map(|record| record.number)
}

/// Whether the catalogs were read that a new owner must have read: of nodes worth n-f shards of the
/// record in which the shard was filled last, and of every record since, so that one of them knows
/// whatever was acknowledged before it accepted the new owner. Where a record names this very volume
/// it counts for itself.
pub fn catalogs_read(facts: &WholeFacts<'_>) -> Result<(), Unfinished> {
    facts.standing.may_speak().map_err(Unfinished::Silent)?;
    let owned = |record: &&&EpochRecord| {
        let owner = record.owner(facts.shard).and_then(|at| record.members.get(at));
        let is_me = owner.is_some_and(|it| (&it.node, it.incarnation) == (&facts.me.0, facts.me.1));
        is_me && record.unfilled.contains(&facts.shard)
    };
    facts.since_filled.last().filter(owned).ok_or(Unfinished::NotMine)?;
    for record in facts.since_filled {
        let members = record.members.iter().enumerate();
        let read = members.filter(|(_, member)| {
            let volume = (member.node.clone(), member.incarnation);
            volume == *facts.me || facts.read.contains(&volume)
        });
        let tally = Tally::of(record, read.map(|(position, _)| position));
        if !tally.reaches(Threshold::Correct) {
            let (have, need) = (tally.shards(), Threshold::Correct.shards(record.geometry));
            return Err(Unfinished::Catalogs { over: record.number, have, need });
        }
    }
    Ok(())
}

/// Whether this node says that the shard is whole; to be said when all that it holds is durable.
pub fn whole(facts: &WholeFacts<'_>) -> Result<(), Unfinished> {
    catalogs_read(facts)?;
    match (facts.unsettled_claims, facts.missing_slivers) {
        (0, 0) => Ok(()),
        (0, missing) => Err(Unfinished::Slivers(missing)),
        (claims, _) => Err(Unfinished::Claims(claims)),
    }
}

/// The shards whose slivers the node need not keep: others own them under the accepted record, which
/// is committed, and hold them wholly.
pub fn given_away(accepted: &EpochRecord, committed: bool, me: &NodeName) -> Vec<ShardIndex> {
    let own = accepted.member(me).map_or(&[][..], |member| &member.shards);
    let given = |shard: &ShardIndex| !own.contains(shard) && !accepted.unfilled.contains(shard);
    (0..accepted.geometry.shards()).map(ShardIndex).filter(|it| committed && given(it)).collect()
}

/// Whether a blob's slivers on a shard go. Not while an upload of the blob is `open` here, or it is
/// confirmed and not certified: that may go on under the record in which the shard was this node's.
pub fn lets_go(given_away: &[ShardIndex], shard: ShardIndex, open: bool) -> bool {
    !open && given_away.contains(&shard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::{four, member, node, replaced};

    fn standing(cursors_checked: bool) -> Standing {
        Standing { cursors_checked, caught_up: false }
    }

    fn volumes(named: &[(&str, u32)]) -> BTreeSet<Volume> {
        named.iter().map(|(name, incarnation)| (node(name), Incarnation(*incarnation))).collect()
    }

    /// Shard 3 goes from d to a.
    fn moved(record: &EpochRecord) -> EpochRecord {
        let mut next = record.clone();
        next.number.0 += 1;
        next.parent = record.hash();
        next.unfilled = vec![ShardIndex(3)];
        next.members[0] = member("a", 0, &[0, 3]);
        next.members[3] = member("d", 0, &[]);
        next
    }

    fn facts<'a>(
        me: &'a Volume,
        shard: u16,
        since_filled: &'a [&'a EpochRecord],
        read: &'a BTreeSet<Volume>,
    ) -> WholeFacts<'a> {
        WholeFacts {
            standing: standing(true),
            me,
            shard: ShardIndex(shard),
            since_filled,
            read,
            unsettled_claims: 0,
            missing_slivers: 0,
        }
    }

    #[test]
    fn a_new_volume_reads_all_that_may_have_promised_before_it_was_named() {
        // V5: b's next volume. Its old one, in record 0, may have acknowledged as well.
        let (old, me) = (four(), (node("b"), Incarnation(1)));
        let new = replaced(&old, "b");
        let since = [&old, &new];
        let few = |over, have| Err(Unfinished::Catalogs { over: EpochNumber(over), have, need: 3 });
        let table: [(&[(&str, u32)], _); 5] = [
            (&[], few(0, 0)),
            (&[("a", 0), ("c", 0)], few(0, 2)),
            (&[("a", 0), ("c", 0), ("b", 1)], few(0, 2)),
            (&[("a", 0), ("c", 0), ("d", 1)], few(0, 2)),
            (&[("a", 0), ("c", 0), ("d", 0)], Ok(())),
        ];
        for (read, expected) in table {
            assert_eq!(whole(&facts(&me, 1, &since, &volumes(read))), expected, "{read:?}");
        }
    }

    #[test]
    fn who_takes_over_a_living_nodes_shard_counts_for_itself_where_it_is_named() {
        let (old, me) = (four(), (node("a"), Incarnation(0)));
        let new = moved(&old);
        let since = [&old, &new];
        let read = volumes(&[("b", 0), ("c", 0)]);
        assert_eq!(whole(&facts(&me, 3, &since, &read)), Ok(()), "d may be lost meanwhile");
        let read = volumes(&[("b", 0), ("d", 0)]);
        assert_eq!(whole(&facts(&me, 3, &since, &read)), Ok(()));
        let read = volumes(&[("d", 0)]);
        let few = Unfinished::Catalogs { over: EpochNumber(0), have: 2, need: 3 };
        assert_eq!(whole(&facts(&me, 3, &since, &read)), Err(few));
        // Later record: b is replaced, its old volume's catalog counts over record 0 and 1 only.
        let last = {
            let mut last = replaced(&new, "b");
            last.unfilled = vec![ShardIndex(1), ShardIndex(3)];
            last
        };
        let since = [&old, &new, &last];
        let read = volumes(&[("b", 0), ("c", 0)]);
        assert_eq!(whole(&facts(&me, 3, &since, &read)), Ok(()), "a has two shards by then");
        let read = volumes(&[("b", 0), ("d", 0)]);
        let few = Unfinished::Catalogs { over: EpochNumber(2), have: 2, need: 3 };
        assert_eq!(whole(&facts(&me, 3, &since, &read)), Err(few));
    }

    #[test]
    fn what_was_read_before_a_shard_left_and_came_back_does_not_count() {
        // d has shard 3 in record 0, a in 1 and 2, where it is filled and written; in 3 d has it again.
        let (first, d) = (four(), (node("d"), Incarnation(0)));
        let away = moved(&first);
        let child = |parent: &EpochRecord| {
            let (number, hash) = (EpochNumber(parent.number.0 + 1), parent.hash());
            EpochRecord { number, parent: hash, ..parent.clone() }
        };
        let filled = EpochRecord { unfilled: Vec::new(), ..child(&away) };
        let mut back = child(&filled);
        back.members.clone_from(&first.members);
        back.unfilled = vec![ShardIndex(3)];
        let later = child(&back);
        let since = |records: &[&EpochRecord]| {
            owner_since(&d, ShardIndex(3), records).map(|number| number.0)
        };
        assert_eq!(since(&[&filled, &back]), Some(3));
        assert_eq!(since(&[&filled, &back, &later]), Some(3));
        // It comes back before a has filled it.
        let mut undone = child(&away);
        undone.members.clone_from(&first.members);
        assert_eq!(since(&[&first, &away, &undone]), Some(2));
        assert_eq!(since(&[&first, &away]), None);
    }

    #[test]
    fn nothing_owed_may_be_missing_and_nothing_deleted_come_back() {
        let (old, me) = (four(), (node("b"), Incarnation(1)));
        let new = replaced(&old, "b");
        let since = [&old, &new];
        let read = volumes(&[("a", 0), ("c", 0), ("d", 0)]);
        let good = facts(&me, 1, &since, &read);
        assert_eq!(whole(&good), Ok(()));
        let lacking = WholeFacts { missing_slivers: 2, ..good.clone() };
        assert_eq!(whole(&lacking), Err(Unfinished::Slivers(2)));
        let aged = WholeFacts { unsettled_claims: 1, ..lacking };
        assert_eq!(whole(&aged), Err(Unfinished::Claims(1)));
        let silent = WholeFacts { standing: standing(false), ..good.clone() };
        assert!(matches!(whole(&silent), Err(Unfinished::Silent(_))));
        let older = (node("b"), Incarnation(0));
        assert_eq!(whole(&WholeFacts { me: &older, ..good.clone() }), Err(Unfinished::NotMine));
        let other = WholeFacts { shard: ShardIndex(2), ..good.clone() };
        assert_eq!(whole(&other), Err(Unfinished::NotMine));
        let filled = [&old];
        assert_eq!(whole(&WholeFacts { since_filled: &filled, ..good }), Err(Unfinished::NotMine));
    }

    #[test]
    fn the_former_owner_keeps_a_shard_until_a_committed_record_calls_it_filled() {
        let (old, shards) =
            (four(), |it: Vec<ShardIndex>| it.iter().map(|s| s.0).collect::<Vec<_>>());
        let new = moved(&old);
        let filled = EpochRecord { unfilled: Vec::new(), ..new.clone() };
        assert_eq!(shards(given_away(&new, true, &node("d"))), [0, 1, 2]);
        assert_eq!(shards(given_away(&filled, true, &node("d"))), [0, 1, 2, 3]);
        assert_eq!(shards(given_away(&filled, false, &node("d"))), [0; 0]);
        assert_eq!(shards(given_away(&filled, true, &node("a"))), [1, 2]);
        let given = [ShardIndex(1), ShardIndex(3)];
        assert!(lets_go(&given, ShardIndex(3), false) && !lets_go(&given, ShardIndex(2), false));
        assert!(!lets_go(&given, ShardIndex(3), true), "an upload under an older record goes on");
    }
}
