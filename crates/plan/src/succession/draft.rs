//! A child of a record, as it grows.

use std::collections::{BTreeMap, BTreeSet};

use floe_model::{EpochRecord, Member, NodeName, RecordHash, ShardIndex, Whole};

use super::{Blocker, LostVolume, Situation, Volume, VolumeName, Wanted};
use crate::placement::{Move, Place, rebalance};

/// The next record while it is made.
pub(super) struct Draft<'a> {
    situation: &'a Situation<'a>,
    parent: &'a EpochRecord,
    parent_hash: RecordHash,
    members: BTreeMap<NodeName, Member>,
    unfilled: BTreeSet<ShardIndex>,
    wholes: BTreeMap<ShardIndex, Whole>,
    /// Shards that are unfilled and that no living volume holds from before.
    missing: BTreeSet<ShardIndex>,
    is_beyond_limit: bool,
    blockers: Vec<Blocker>,
}

impl<'a> Draft<'a> {
    /// A child in which nothing has changed.
    pub(super) fn of(
        situation: &'a Situation<'a>,
        parent_hash: RecordHash,
        parent: &'a EpochRecord,
    ) -> Self {
        let members = parent.members.iter().map(|member| (member.node.clone(), member.clone()));
        Self {
            situation,
            parent,
            parent_hash,
            members: members.collect(),
            unfilled: parent.unfilled.iter().copied().collect(),
            wholes: BTreeMap::new(),
            missing: BTreeSet::new(),
            is_beyond_limit: false,
            blockers: Vec::new(),
        }
    }

    fn faulty(&self) -> usize {
        usize::from(self.parent.geometry.faulty())
    }

    fn wanted(&self, node: &NodeName) -> Option<&'a Wanted> {
        self.situation.wanted.iter().find(|wanted| wanted.node == *node)
    }

    /// The volume that is wanted of a node, if it answers.
    fn volume(&self, wanted: &Wanted) -> Option<&'a Volume> {
        let volume = self.situation.volumes.get(&wanted.node)?;
        (volume.incarnation == wanted.incarnation).then_some(volume)
    }

    fn is_lost(&self, member: &Member) -> bool {
        let name: VolumeName = (member.node.clone(), member.incarnation);
        let newer = |wanted: &Wanted| wanted.incarnation > member.incarnation;
        self.situation.lost.contains(&name) || self.wanted(&member.node).is_some_and(newer)
    }

    /// Takes the word of owners that are whole, each when all its unfilled shards are: a record for
    /// every shard would stop the uploads of all others each time.
    pub(super) fn carry_wholes(&mut self) {
        let mut found = BTreeMap::new();
        for whole in self.situation.wholes.iter().filter(|whole| self.counts(whole)) {
            found.entry(whole.shard).or_insert_with(|| whole.clone());
        }
        for member in &self.parent.members {
            let open = member.shards.iter().filter(|shard| self.parent.unfilled.contains(shard));
            let open: Vec<ShardIndex> = open.copied().collect();
            if open.iter().all(|shard| found.contains_key(shard)) {
                for shard in open {
                    self.unfilled.remove(&shard);
                    self.wholes.extend(found.remove(&shard).map(|whole| (shard, whole)));
                }
            }
        }
        let held = |shard: &ShardIndex| {
            let owners = self.situation.tree.previous_owners(&self.parent_hash, *shard);
            owners.iter().any(|member| !self.is_lost(member))
        };
        self.missing = self.unfilled.iter().filter(|shard| !held(shard)).copied().collect();
    }

    /// Said by the owner of now, under a record since which the shard has not changed hands.
    fn counts(&self, whole: &Whole) -> bool {
        if !self.parent.unfilled.contains(&whole.shard) {
            return false;
        }
        let tree = self.situation.tree;
        let Some(named) = tree.record(&whole.record) else { return false };
        let path = tree.path(&self.parent_hash);
        let since = path.iter().skip_while(|it| it.record.hash() != whole.record);
        let mut since = since.map(|it| &it.record).peekable();
        let said_by_owner = |record: &EpochRecord| {
            let owner = record.owner(whole.shard).and_then(|at| record.members.get(at));
            owner.is_some_and(|it| (&it.node, it.incarnation) == (&whole.node, whole.incarnation))
        };
        since.peek().is_some() && since.all(said_by_owner) && whole.verify(&named.record).is_ok()
    }

    /// Takes over where volumes are. Where the next volume of a node is, is taken over with it.
    pub(super) fn update_places(&mut self) {
        for wanted in self.situation.wanted {
            let answers = self.volume(wanted).is_some();
            let Some(member) = self.members.get(&wanted.node) else {
                if !answers && wanted.weight > 0 {
                    let (node, incarnation) = (wanted.node.clone(), wanted.incarnation);
                    self.blockers.push(Blocker::NoVolume { node, incarnation });
                }
                continue;
            };
            if member.incarnation != wanted.incarnation {
                continue;
            }
            let (shards, old) = (member.shards.len(), member.host.clone());
            let host = self.host_for(wanted, shards, old);
            if let Some(member) = self.members.get_mut(&wanted.node) {
                member.address.clone_from(&wanted.address);
                member.zone.clone_from(&wanted.zone);
                member.host = host;
            }
        }
    }

    /// The host where a volume of so many shards is, unless that one would hold too much: then it
    /// stays, in the record, where its node was.
    fn host_for(&mut self, wanted: &Wanted, shards: usize, old: String) -> String {
        let others = self.members.values().filter(|it| it.node != wanted.node);
        let there = others.filter(|it| !it.host.is_empty() && it.host == wanted.host);
        let held: usize = there.map(|it| it.shards.len()).sum();
        if held + shards <= self.faulty() {
            return wanted.host.clone();
        }
        if old != wanted.host {
            self.blockers.push(Blocker::HeavyHost {
                node: wanted.node.clone(),
                host: wanted.host.clone(),
                faulty: self.parent.geometry.faulty(),
            });
        }
        old
    }

    /// Puts the next volumes in the place of those that are lost, as many at once as may be unfilled.
    pub(super) fn replace_volumes(&mut self) {
        self.is_beyond_limit = self.beyond_limit().map(|it| self.blockers.push(it)).is_some();
        for member in self.lost() {
            let Some((wanted, volume)) = self.replacement(&member) else { continue };
            let mut unfilled = self.unfilled.clone();
            unfilled.extend(&member.shards);
            let adds = unfilled.len() > self.unfilled.len();
            if !adds || (unfilled.len() <= self.faulty() && !self.is_beyond_limit) {
                self.replace(&member, wanted, volume);
            } else if !self.is_beyond_limit {
                let (node, faulty) = (member.node, self.parent.geometry.faulty());
                self.blockers.push(Blocker::Filling { node, faulty });
            }
        }
    }

    fn lost(&self) -> Vec<Member> {
        self.members.values().filter(|member| self.is_lost(member)).cloned().collect()
    }

    /// Puts all next volumes in, whatever is lost by that.
    pub(super) fn replace_all(&mut self) {
        for member in self.lost() {
            if let Some((wanted, volume)) = self.replacement(&member) {
                self.replace(&member, wanted, volume);
            }
        }
    }

    fn replace(&mut self, member: &Member, wanted: &Wanted, volume: &Volume) {
        self.missing.extend(self.held_by(member));
        self.unfilled.extend(&member.shards);
        // What the old volume said of them is no longer its owner's word.
        self.wholes.retain(|shard, _| !member.shards.contains(shard));
        let host = self.host_for(wanted, member.shards.len(), member.host.clone());
        let next = member_of(wanted, volume, host, member.shards.clone());
        self.members.insert(member.node.clone(), next);
    }

    /// What is wanted in the place of a lost volume, if it answers.
    fn replacement(&mut self, member: &Member) -> Option<(&'a Wanted, &'a Volume)> {
        let newer = |wanted: &&Wanted| wanted.incarnation > member.incarnation;
        let Some(wanted) = self.wanted(&member.node).filter(newer) else {
            let leaves = self.wanted(&member.node).is_some_and(|wanted| wanted.weight == 0);
            if !leaves && !member.shards.is_empty() {
                let (node, incarnation) = (member.node.clone(), member.incarnation);
                self.blockers.push(Blocker::NotReplaced { node, incarnation });
            }
            return None;
        };
        let volume = self.volume(wanted);
        if volume.is_none() {
            let (node, incarnation) = (wanted.node.clone(), wanted.incarnation);
            self.blockers.push(Blocker::NoVolume { node, incarnation });
        }
        volume.map(|volume| (wanted, volume))
    }

    /// Where more than f shards are held by no volume, nothing that the rules allow helps.
    pub(super) fn beyond_limit(&self) -> Option<Blocker> {
        let lost = self.lost();
        let gone = lost.iter().flat_map(|member| self.held_by(member));
        let missing: BTreeSet<ShardIndex> = self.missing.iter().copied().chain(gone).collect();
        if missing.len() <= self.faulty() {
            return None;
        }
        let named = |member: &Member| {
            let shards = member.shards.iter().filter(|shard| missing.contains(shard));
            let shards: Vec<ShardIndex> = shards.copied().collect();
            let (node, incarnation) = (member.node.clone(), member.incarnation);
            (!shards.is_empty()).then_some(LostVolume { node, incarnation, shards })
        };
        let lost = self.members.values().filter_map(named).collect();
        Some(Blocker::BeyondLimit { lost, faulty: self.parent.geometry.faulty() })
    }

    /// The shards of a member that no former owner still holds for it.
    fn held_by(&self, member: &Member) -> Vec<ShardIndex> {
        let elsewhere =
            |shard: &ShardIndex| self.unfilled.contains(shard) && !self.missing.contains(shard);
        member.shards.iter().filter(|shard| !elsewhere(shard)).copied().collect()
    }

    /// Moves shards towards even shares, few at a time. What a lost node gives up goes at once; what
    /// living ones give waits until no shard is missing, and leaves room for the loss of a node.
    pub(super) fn move_shards(&mut self) {
        if self.is_beyond_limit {
            return;
        }
        let moves = match rebalance(self.parent.geometry, &self.places()) {
            Ok(moves) => moves,
            Err(error) => return self.blockers.push(error.into()),
        };
        let heaviest = self.members.values().map(|it| it.shards.len()).max().unwrap_or(0);
        let planned = self.faulty().saturating_sub(heaviest).max(1);
        let is_settled = self.missing.is_empty()
            && self.members.values().all(|member| !self.is_lost(member))
            && self.situation.tree.is_committed(&self.parent_hash);
        let mut later = 0;
        for it in moves {
            let from_lost = self.members.get(&it.from).is_some_and(|from| self.is_lost(from));
            let room = match (from_lost, is_settled) {
                (true, _) => self.faulty(),
                (false, true) => planned.min(self.faulty()),
                (false, false) => 0,
            };
            let open = self.unfilled.len() + usize::from(!self.unfilled.contains(&it.shard));
            if open <= room {
                self.apply(&it);
            } else {
                later += 1;
            }
        }
        if later > 0 {
            self.blockers.push(Blocker::MovesLater(later));
        }
    }

    fn apply(&mut self, it: &Move) {
        let joins = self.wanted(&it.to).and_then(|wanted| Some((wanted, self.volume(wanted)?)));
        let joined = joins
            .map(|(wanted, volume)| member_of(wanted, volume, wanted.host.clone(), Vec::new()));
        if let (false, Some(member)) = (self.members.contains_key(&it.to), joined) {
            self.members.insert(it.to.clone(), member);
        }
        let from_lost = self.members.get(&it.from).is_some_and(|from| self.is_lost(from));
        let Some(to) = self.members.get_mut(&it.to) else { return };
        to.shards.push(it.shard);
        to.shards.sort_unstable();
        if let Some(from) = self.members.get_mut(&it.from) {
            from.shards.retain(|shard| *shard != it.shard);
        }
        self.unfilled.insert(it.shard);
        self.wholes.remove(&it.shard);
        if from_lost {
            self.missing.insert(it.shard);
        }
    }

    /// All nodes between whom shards may move.
    fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for member in self.members.values() {
            let wanted = self.wanted(&member.node);
            let answers = wanted.and_then(|wanted| self.volume(wanted)).is_some_and(|volume| {
                (volume.incarnation, volume.key) == (member.incarnation, member.key)
            });
            // A shard that is being filled moves last.
            let mut shards = member.shards.clone();
            shards.sort_by_key(|shard| (!self.unfilled.contains(shard), *shard));
            places.push(Place {
                node: member.node.clone(),
                zone: member.zone.clone(),
                host: member.host.clone(),
                weight: wanted.map_or(1, |wanted| wanted.weight),
                present: answers && !self.is_lost(member),
                shards,
            });
        }
        let new = |wanted: &&Wanted| wanted.weight > 0 && !self.members.contains_key(&wanted.node);
        for wanted in self.situation.wanted.iter().filter(new) {
            places.push(Place {
                node: wanted.node.clone(),
                zone: wanted.zone.clone(),
                host: wanted.host.clone(),
                weight: wanted.weight,
                present: self.volume(wanted).is_some(),
                shards: Vec::new(),
            });
        }
        places
    }

    /// Lets members go that leave and that nobody needs any more.
    pub(super) fn drop_members(&mut self) {
        let needed = |node: &NodeName| {
            self.unfilled.iter().any(|shard| {
                let owners = self.situation.tree.previous_owners(&self.parent_hash, *shard);
                owners.iter().any(|member| member.node == *node && !self.is_lost(member))
            })
        };
        let done = |member: &Member| {
            let leaves = self.wanted(&member.node).is_some_and(|wanted| wanted.weight == 0);
            // Whoever gave its last shard in this very record is asked for it from now on.
            let gave = self.parent.member(&member.node).is_some_and(|it| !it.shards.is_empty());
            leaves && member.shards.is_empty() && !gave && !needed(&member.node)
        };
        let gone: Vec<NodeName> =
            self.members.values().filter(|it| done(it)).map(|it| it.node.clone()).collect();
        for node in gone {
            self.members.remove(&node);
        }
    }

    /// The record, with its parent's number, if it differs from the parent; and what it leaves out.
    pub(super) fn finish(self) -> (Option<EpochRecord>, Vec<Blocker>) {
        let members: Vec<Member> = self.members.into_values().collect();
        let differs = members != self.parent.members || !self.wholes.is_empty();
        let record = differs.then(|| EpochRecord {
            parent: self.parent_hash,
            forced: false,
            members,
            unfilled: self.unfilled.into_iter().collect(),
            wholes: self.wholes.into_values().collect(),
            ..self.parent.clone()
        });
        (record, self.blockers)
    }
}

fn member_of(wanted: &Wanted, volume: &Volume, host: String, shards: Vec<ShardIndex>) -> Member {
    Member {
        node: wanted.node.clone(),
        incarnation: volume.incarnation,
        volume: volume.volume,
        address: wanted.address.clone(),
        zone: wanted.zone.clone(),
        host,
        key: volume.key,
        possession: volume.possession,
        shards,
    }
}
