//! What must hold of a record, whoever reads it.

use std::collections::{BTreeMap, BTreeSet};

use floe_model::keys::{NodePublicKey, RegistrarPublicKey};
use floe_model::record::{NO_PARENT, RegistrarRole};
use floe_model::{
    EpochRecord, EpochTree, Incarnation, NodeName, RecordHash, ShardIndex, SignedRecord, VolumeId,
    Whole,
};

use super::{Violation, unique};

/// Checks record 0 by itself.
pub fn check_genesis(signed: &SignedRecord) -> Result<(), Violation> {
    let record = &signed.record;
    // Chains begin with it: anything else is refused as a beginning.
    if record.parent == NO_PARENT && record.number.0 == 0 {
        if record.forced {
            return Err(Violation::Forced);
        }
        let changed = record.unfilled.len() + record.wholes.len();
        if changed > 0 {
            return Err(Violation::Unfilled(changed));
        }
        check_content(record)?;
    }
    Ok(EpochTree::default().check_record(signed, None)?)
}

/// Checks a record against its parent, which must be in `tree`, and the parent's ancestors: all that
/// does not depend on who reads it. A forced record may be signed by `pinned` as well.
pub fn check(
    tree: &EpochTree,
    signed: &SignedRecord,
    pinned: Option<&RegistrarPublicKey>,
) -> Result<(), Violation> {
    check_after(tree, &History::up_to(tree, &signed.record.parent), signed, pinned)
}

/// As [`check`], with the history of the parent at hand.
pub(super) fn check_after(
    tree: &EpochTree,
    history: &History,
    signed: &SignedRecord,
    pinned: Option<&RegistrarPublicKey>,
) -> Result<(), Violation> {
    tree.check_record(signed, pinned)?;
    let record = &signed.record;
    let Some(parent) = tree.record(&record.parent) else { return check_genesis(signed) };
    check_content(record)?;
    history.check(record)?;
    check_wholes(tree, &parent.record, record)?;
    check_unfilled(&parent.record, record)
}

/// What holds of a record by itself.
fn check_content(record: &EpochRecord) -> Result<(), Violation> {
    check_registrars(record)?;
    check_members(record)?;
    check_shards(record)?;
    check_hosts(record)
}

fn check_registrars(record: &EpochRecord) -> Result<(), Violation> {
    let number = record.number;
    for (key_of, role) in
        [(RegistrarRole::Operator, "operator"), (RegistrarRole::Gateway, "gateway")]
    {
        if record.registrars(key_of).next().is_none() {
            return Err(Violation::NoRegistrar { number, role });
        }
    }
    unique(record.registrars.iter().map(|registrar| registrar.key))
        .map_err(|_| Violation::DuplicateRegistrar(number))?;
    Ok(())
}

fn check_members(record: &EpochRecord) -> Result<(), Violation> {
    for (one, next) in record.members.iter().zip(record.members.iter().skip(1)) {
        if one.node >= next.node {
            return Err(Violation::Order(one.node.clone(), next.node.clone()));
        }
    }
    let (mut keys, mut volumes) = (BTreeSet::new(), BTreeSet::new());
    for member in &record.members {
        let node = || member.node.clone();
        if !keys.insert(member.key) {
            return Err(Violation::Shared { node: node(), what: "key" });
        }
        if !volumes.insert(member.volume) {
            return Err(Violation::Shared { node: node(), what: "volume" });
        }
        if member.address.is_empty() {
            return Err(Violation::Address(node()));
        }
    }
    Ok(())
}

fn check_shards(record: &EpochRecord) -> Result<(), Violation> {
    let (count, faulty) = (record.geometry.shards(), record.geometry.faulty());
    for member in &record.members {
        let node = || member.node.clone();
        if member.shards.len() > usize::from(faulty) {
            return Err(Violation::Heavy { node: node(), shards: member.shards.len(), faulty });
        }
        if let Some(&shard) = member.shards.iter().find(|shard| shard.0 >= count) {
            return Err(Violation::NoShard { node: node(), shard, most: count - 1 });
        }
    }
    let owned = record.members.iter().flat_map(|member| member.shards.iter().copied());
    let owned = unique(owned).map_err(Violation::TwoOwners)?;
    let free = (0..count).map(ShardIndex).find(|shard| !owned.contains(shard));
    free.map_or(Ok(()), |shard| Err(Violation::NoOwner(shard)))
}

fn check_hosts(record: &EpochRecord) -> Result<(), Violation> {
    let faulty = record.geometry.faulty();
    let mut hosts: BTreeMap<&str, usize> = BTreeMap::new();
    for member in record.members.iter().filter(|member| !member.host.is_empty()) {
        *hosts.entry(&member.host).or_default() += member.shards.len();
    }
    let heavy = hosts.into_iter().find(|(_, shards)| *shards > usize::from(faulty));
    heavy.map_or(Ok(()), |(host, shards)| {
        Err(Violation::HeavyHost { host: host.to_owned(), shards, faulty })
    })
}

/// One of a node's volumes.
type Volume = (NodeName, Incarnation);

/// Who had which volume and key in a chain so far.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    highest: BTreeMap<NodeName, Incarnation>,
    named: BTreeMap<Volume, (VolumeId, NodePublicKey)>,
    keys: BTreeMap<NodePublicKey, Volume>,
    volumes: BTreeMap<VolumeId, Volume>,
}

impl History {
    /// That of a record and its ancestors.
    pub(super) fn up_to(tree: &EpochTree, tip: &RecordHash) -> Self {
        let mut history = Self::default();
        tree.path(tip).into_iter().for_each(|signed| history.add(&signed.record));
        history
    }

    /// The chain goes on.
    pub(super) fn add(&mut self, record: &EpochRecord) {
        for member in &record.members {
            let volume = (member.node.clone(), member.incarnation);
            if self.named.contains_key(&volume) {
                continue;
            }
            let most = self.highest.entry(member.node.clone()).or_insert(member.incarnation);
            *most = member.incarnation.max(*most);
            self.keys.entry(member.key).or_insert_with(|| volume.clone());
            self.volumes.entry(member.volume).or_insert_with(|| volume.clone());
            self.named.insert(volume, (member.volume, member.key));
        }
    }

    /// Incarnations never fall, a volume keeps its id and key, and no other one ever gets them.
    fn check(&self, record: &EpochRecord) -> Result<(), Violation> {
        for member in &record.members {
            let (node, incarnation) = (&member.node, member.incarnation);
            if let Some(&had) = self.highest.get(node).filter(|had| **had > incarnation) {
                return Err(Violation::Falling { node: node.clone(), had, found: incarnation });
            }
            let own = (node.clone(), incarnation);
            let reused = |what| Violation::Reused { node: node.clone(), incarnation, what };
            let foreign = |of: Option<&Volume>| of.is_some_and(|of| *of != own);
            let before = self.named.get(&own);
            if before.is_some_and(|(volume, _)| *volume != member.volume)
                || foreign(self.volumes.get(&member.volume))
            {
                return Err(reused("volume"));
            }
            if before.is_some_and(|(_, key)| *key != member.key)
                || foreign(self.keys.get(&member.key))
            {
                return Err(reused("key"));
            }
        }
        Ok(())
    }
}

/// The volume that owns a shard.
fn owner(record: &EpochRecord, shard: ShardIndex) -> Option<(&NodeName, Incarnation)> {
    let member = record.members.get(record.owner(shard)?)?;
    Some((&member.node, member.incarnation))
}

fn check_wholes(
    tree: &EpochTree,
    parent: &EpochRecord,
    record: &EpochRecord,
) -> Result<(), Violation> {
    unique(record.wholes.iter().map(|whole| whole.shard)).map_err(Violation::WholeOfFilled)?;
    for whole in &record.wholes {
        let shard = whole.shard;
        if !parent.unfilled.contains(&shard) {
            return Err(Violation::WholeOfFilled(shard));
        }
        if owner(record, shard) != Some((&whole.node, whole.incarnation)) {
            let (node, incarnation) = (whole.node.clone(), whole.incarnation);
            return Err(Violation::WholeOfOther { shard, node, incarnation });
        }
        let named = named_by(tree, record.parent, whole);
        let named = named.ok_or(Violation::WholeTooOld { shard, named: whole.record })?;
        whole.verify(named).map_err(|source| Violation::Whole { shard, source })?;
    }
    Ok(())
}

/// The record that a `whole` names, if the shard has been its signer's from that one on to `tip`:
/// before it left and came back it was filled with something older.
fn named_by<'a>(tree: &'a EpochTree, tip: RecordHash, whole: &Whole) -> Option<&'a EpochRecord> {
    let mut at = tip;
    loop {
        let record = &tree.record(&at)?.record;
        if owner(record, whole.shard) != Some((&whole.node, whole.incarnation)) {
            return None;
        }
        if at == whole.record {
            return Some(record);
        }
        at = record.parent;
    }
}

/// The shards that are unfilled in a record, by its parent: the parent's, and every one whose owner or
/// incarnation differs, less those of `wholes`, which are not checked here.
pub fn unfilled_after(
    parent: &EpochRecord,
    record: &EpochRecord,
    wholes: &[Whole],
) -> Vec<ShardIndex> {
    let shards = (0..record.geometry.shards()).map(ShardIndex);
    let open = |shard: &ShardIndex| {
        let changed = owner(parent, *shard) != owner(record, *shard);
        let filled = wholes.iter().any(|whole| whole.shard == *shard);
        changed || (parent.unfilled.contains(shard) && !filled)
    };
    shards.filter(open).collect()
}

fn check_unfilled(parent: &EpochRecord, record: &EpochRecord) -> Result<(), Violation> {
    let wanted = unfilled_after(parent, record, &record.wholes);
    if record.unfilled != wanted {
        return Err(Violation::Miscounted { found: record.unfilled.clone(), wanted });
    }
    let (unfilled, faulty) = (wanted.len(), record.geometry.faulty());
    // After a forced record there may be more: what adds none may follow it, or it could never heal.
    let adds = wanted.iter().any(|shard| !parent.unfilled.contains(shard));
    if unfilled > usize::from(faulty) && adds && !record.forced {
        return Err(Violation::TooManyUnfilled { unfilled, faulty });
    }
    Ok(())
}
