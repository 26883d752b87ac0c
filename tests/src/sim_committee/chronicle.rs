//! The chain in the hands of somebody who has the operator's key: records as one likes, pushed to
//! whom one likes, and the acceptances that come back.

use std::sync::Arc;

use floe_api::messages::{Chain, ChainLink};
use floe_api::report::IdentityReport;
use floe_api::{CallError, NodeClient, Target};
use floe_model::{
    Acceptance, CommitProof, EpochRecord, EpochTree, NodeName, ProofError, RecordHash, SignedRecord,
};
use floe_plan::epoch;
use floe_store::{Expected, Store};

use super::World;
use super::world::{SCRIPT, STEWARD};
use crate::sim::{EventLog, SimRandom};

/// All records that were issued or read, with the proofs at hand.
pub struct Chronicle {
    world: Arc<World>,
    nodes: NodeClient,
    tree: EpochTree,
}

impl Chronicle {
    /// Record 0, committed.
    pub fn new(world: &Arc<World>) -> Self {
        let nodes = world.node_client(&world.env(SCRIPT), STEWARD);
        let (begun, mut tree) = (world.genesis(), EpochTree::default());
        tree.insert(Arc::new(begun.record));
        tree.insert_proof(Arc::new(begun.proof));
        Self { world: Arc::clone(world), nodes, tree }
    }

    /// All that is known.
    pub const fn tree(&self) -> &EpochTree {
        &self.tree
    }

    /// Record 0.
    pub fn genesis(&self) -> RecordHash {
        self.tree.genesis().unwrap()
    }

    /// A record.
    pub fn record(&self, hash: RecordHash) -> &EpochRecord {
        &self.tree.record(&hash).unwrap().record
    }

    /// What follows a record, altered; its unfilled shards are reckoned after that.
    pub fn next(&self, parent: RecordHash, alter: impl FnOnce(&mut EpochRecord)) -> EpochRecord {
        let before = self.record(parent);
        let mut record =
            EpochRecord { parent, forced: false, wholes: Vec::new(), ..before.clone() };
        record.number.0 += 1;
        alter(&mut record);
        record.unfilled = epoch::unfilled_after(before, &record, &record.wholes);
        record
    }

    /// Signs a record with the operator's key.
    pub fn sign(&self, record: EpochRecord) -> SignedRecord {
        let operator = &self.world.keys().operator;
        let signature = operator.sign(&SignedRecord::statement(&record));
        SignedRecord { record, key: operator.public(), signature }
    }

    /// Signs a record and keeps it.
    pub fn issue(&mut self, record: EpochRecord) -> RecordHash {
        let hash = record.hash();
        self.tree.insert(Arc::new(self.sign(record)));
        hash
    }

    /// The way to a record, with all proofs at hand.
    pub fn chain(&self, tip: RecordHash) -> Chain {
        let link = |signed: &Arc<SignedRecord>| ChainLink {
            record: signed.as_ref().clone(),
            proof: self.tree.proof(&signed.record.hash()).map(|proof| proof.as_ref().clone()),
        };
        Chain { links: self.tree.path(&tip).into_iter().map(link).collect() }
    }

    /// Offers a chain to a node.
    pub async fn offer(&self, target: &Target, chain: &Chain) -> Result<Acceptance, CallError> {
        self.nodes.push_epoch(target, chain).await.map(|answer| answer.value)
    }

    /// Offers the way to a record to a node.
    pub async fn push(&self, target: &Target, tip: RecordHash) -> Result<Acceptance, CallError> {
        self.offer(target, &self.chain(tip)).await
    }

    /// Has nodes accept a record.
    pub async fn accepted(&self, targets: &[Target], tip: RecordHash) -> Vec<Acceptance> {
        let mut accepted = Vec::new();
        for target in targets {
            let answer = self.push(target, tip).await;
            let answer = answer.unwrap_or_else(|error| panic!("{target} does not accept: {error}"));
            assert_eq!(answer.record, tip, "{target} accepted another record");
            accepted.push(answer);
        }
        accepted
    }

    /// Makes the proof that a record is committed, if these acceptances are one.
    pub fn prove(&mut self, tip: RecordHash, accepted: &[Acceptance]) -> Result<(), ProofError> {
        let record = &self.tree.record(&tip).unwrap().record;
        let lineage = self.tree.lineage(record).unwrap();
        let proof = CommitProof::gather(record, &lineage, accepted)?;
        self.tree.insert_proof(Arc::new(proof));
        Ok(())
    }

    /// Has nodes accept a record, and tells them that it is committed.
    pub async fn commit(&mut self, targets: &[Target], tip: RecordHash) {
        let accepted = self.accepted(targets, tip).await;
        self.prove(tip, &accepted).unwrap();
        self.accepted(targets, tip).await;
    }

    /// What a liar signs, who has the key on a node's volume.
    pub fn lie(&self, node: &NodeName, tip: RecordHash) -> Acceptance {
        let disk = self.world.disk(node.as_str()).fork("liar", &EventLog::default());
        let incarnation = self.world.incarnation(node);
        let expected =
            Expected { committee: self.world.committee(), node: node.clone(), incarnation };
        let random = SimRandom::new(self.world.setup().seed, 79);
        let dir = self.world.volume_dir(node);
        let store = Store::open(Arc::new(disk), &random, &dir, &expected).unwrap();
        Acceptance::sign(self.record(tip), node.clone(), incarnation, store.key())
    }

    /// Who answers there.
    pub async fn identity(&self, target: &Target) -> IdentityReport {
        loop {
            if let Ok(answer) = self.nodes.identity(target).await {
                return answer.value;
            }
            self.world.pause().await;
        }
    }

    /// Puts the volume that answers there in the place of the node's volume before it.
    pub async fn renew(&self, record: &mut EpochRecord, target: &Target) {
        let identity = self.identity(target).await;
        let at = record.position(&target.node).unwrap();
        let member = &mut record.members[at];
        member.incarnation = identity.incarnation;
        member.volume = identity.volume;
        member.key = identity.key;
        member.possession = identity.possession;
        member.address.clone_from(&target.address);
    }

    /// Takes over all that a node shows, and checks it.
    pub async fn read(&mut self, target: &Target) {
        for link in self.nodes.epoch(target).await.unwrap().value.links {
            epoch::check(&self.tree, &link.record, None).unwrap();
            self.tree.insert(Arc::new(link.record));
            if let Some(proof) = link.proof {
                self.tree.check_proof(&proof).unwrap();
                self.tree.insert_proof(Arc::new(proof));
            }
        }
    }

    /// No two committed records on different branches, and never more than f unfilled shards.
    pub fn check(&self) {
        let Some((newest, _)) = self.tree.committed() else { return };
        let most = usize::from(self.world.geometry().faulty());
        for (hash, signed) in self.tree.records() {
            if self.tree.is_committed(hash) {
                let record = &signed.record;
                assert!(self.tree.is_ancestor(hash, &newest), "record {} forks", record.number);
                assert!(record.unfilled.len() <= most, "record {}", record.number);
            }
        }
    }
}
