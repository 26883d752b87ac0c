//! A committee whose chain a test writes by hand.

use std::sync::Arc;

use floe_model::keys::NodeSignature;
use floe_model::{CommitProof, Geometry, Member, SignedRecord};

use super::super::*;
use crate::tests::fixture::{four, key, member, node, signed};

pub(super) struct World {
    tree: EpochTree,
    heads: BTreeMap<VolumeName, RecordHash>,
    volumes: BTreeMap<NodeName, Volume>,
    wanted: Vec<Wanted>,
    pub(super) highest: EpochNumber,
    pub(super) wholes: Vec<Whole>,
    pub(super) lost: BTreeSet<VolumeName>,
}

pub(super) fn shards(numbers: &[u16]) -> Vec<ShardIndex> {
    numbers.iter().copied().map(ShardIndex).collect()
}

fn volume(member: &Member) -> Volume {
    Volume {
        incarnation: member.incarnation,
        volume: member.volume,
        key: member.key,
        possession: member.possession,
    }
}

fn wanted(member: &Member) -> Wanted {
    Wanted {
        node: member.node.clone(),
        incarnation: member.incarnation,
        address: member.address.clone(),
        zone: member.zone.clone(),
        host: member.host.clone(),
        weight: 1,
    }
}

impl World {
    /// n = 10, f = 3: a, b, c with two shards each, d to g with one.
    pub(super) fn seven() -> Self {
        let owned: [&[u16]; 7] = [&[0, 7], &[1, 8], &[2, 9], &[3], &[4], &[5], &[6]];
        Self::new(10, &owned.map(<[u16]>::to_vec))
    }

    /// Nodes a, b, … with these shards.
    pub(super) fn new(n: u16, owned: &[Vec<u16>]) -> Self {
        let names = "abcdefghijkl".chars().map(String::from);
        let members: Vec<Member> =
            owned.iter().zip(names).map(|(shards, name)| member(&name, 0, shards)).collect();
        let mut world = Self {
            tree: EpochTree::default(),
            heads: BTreeMap::new(),
            volumes: members.iter().map(|it| (it.node.clone(), volume(it))).collect(),
            wanted: members.iter().map(wanted).collect(),
            highest: EpochNumber(0),
            wholes: Vec::new(),
            lost: BTreeSet::new(),
        };
        world.commit(EpochRecord { geometry: Geometry::of_shards(n).unwrap(), members, ..four() });
        world
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            tree: &self.tree,
            highest: self.highest,
            heads: &self.heads,
            volumes: &self.volumes,
            wholes: &self.wholes,
            wanted: &self.wanted,
            lost: &self.lost,
        }
    }

    pub(super) fn tree(&self) -> &EpochTree {
        &self.tree
    }

    pub(super) fn decide(&self) -> Decision {
        succeed(&self.situation())
    }

    pub(super) fn force(
        &self,
        on: Option<RecordHash>,
    ) -> Result<(EpochRecord, Vec<Blocker>), Blocker> {
        force(&self.situation(), on)
    }

    pub(super) fn genesis(&self) -> RecordHash {
        self.tree.genesis().unwrap()
    }

    /// The newest committed record.
    pub(super) fn parent(&self) -> RecordHash {
        self.tree.committed().unwrap().0
    }

    pub(super) fn newest(&self) -> &EpochRecord {
        &self.tree.committed().unwrap().1.record
    }

    /// Signs a record and keeps it in the log.
    pub(super) fn create(&mut self, record: EpochRecord) -> RecordHash {
        let signed: SignedRecord = signed(record);
        crate::epoch::check(&self.tree, &signed, None).unwrap_or_else(|it| panic!("{it}"));
        let hash = signed.record.hash();
        self.highest = self.highest.max(signed.record.number);
        self.tree.insert(Arc::new(signed));
        hash
    }

    pub(super) fn create_proposal(&mut self) -> RecordHash {
        let record = super::proposed(self.decide());
        self.create(record)
    }

    pub(super) fn accept(&mut self, record: RecordHash, names: &[&str]) {
        for name in names {
            let incarnation = self.volumes[&node(name)].incarnation;
            self.heads.insert((node(name), incarnation), record);
        }
    }

    pub(super) fn prove(&mut self, record: RecordHash) {
        let proof = CommitProof { record, signers: vec![], signature: NodeSignature([0; 96]) };
        self.tree.insert_proof(Arc::new(proof));
    }

    /// The record is created, accepted by all that answer, and committed.
    pub(super) fn commit(&mut self, record: EpochRecord) {
        let hash = self.create(record);
        for (node, volume) in &self.volumes {
            self.heads.insert((node.clone(), volume.incarnation), hash);
        }
        self.prove(hash);
    }

    pub(super) fn commit_proposal(&mut self) {
        let record = super::proposed(self.decide());
        self.commit(record);
    }

    pub(super) fn want(&mut self, name: &str) -> &mut Wanted {
        self.wanted.iter_mut().find(|wanted| wanted.node == node(name)).unwrap()
    }

    pub(super) fn silence(&mut self, name: &str) {
        self.volumes.remove(&node(name));
        self.heads.retain(|(known, _), _| *known != node(name));
    }

    pub(super) fn answer(&mut self, name: &str, incarnation: u32) {
        self.volumes.insert(node(name), volume(&member(name, incarnation, &[])));
    }

    /// The node's volume is gone, the next one answers and is wanted.
    pub(super) fn replace(&mut self, name: &str, incarnation: u32) {
        self.silence(name);
        self.want(name).incarnation = Incarnation(incarnation);
        self.answer(name, incarnation);
    }

    pub(super) fn join(&mut self, name: &str) {
        self.wanted.push(wanted(&member(name, 0, &[])));
        self.answer(name, 0);
    }

    /// The owner's word under the newest committed record.
    pub(super) fn whole_of(&self, name: &str, shard: u16) -> Whole {
        let record = self.newest();
        let incarnation = record.member(&node(name)).unwrap().incarnation;
        let key = key(name, incarnation.0);
        Whole::sign(record, ShardIndex(shard), (node(name), incarnation), &key)
    }

    pub(super) fn whole(&mut self, name: &str, shard: u16) {
        let whole = self.whole_of(name, shard);
        self.wholes.push(whole);
    }

    /// All owners say that they hold what was unfilled.
    pub(super) fn fill_all(&mut self) {
        let record = self.newest().clone();
        for &shard in &record.unfilled {
            let owner = &record.members[record.owner(shard).unwrap()].node;
            self.whole(owner.as_str(), shard.0);
        }
    }

    pub(super) fn beyond_limit(&self, nodes: &[(&str, u32)]) -> Blocker {
        let lost = nodes.iter().map(|(name, incarnation)| LostVolume {
            node: node(name),
            incarnation: Incarnation(*incarnation),
            shards: self.newest().member(&node(name)).unwrap().shards.clone(),
        });
        Blocker::BeyondLimit { lost: lost.collect(), faulty: self.newest().geometry.faulty() }
    }
}
