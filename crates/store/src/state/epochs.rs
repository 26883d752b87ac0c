//! The epoch records that a node knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_model::{
    CommitProof, EpochNumber, EpochTree, Geometry, RecordHash, SignedRecord, Timestamp,
};

use super::State;

#[derive(Debug, Default)]
pub(super) struct Epochs {
    tree: EpochTree,
    accepted: Option<RecordHash>,
    /// When this node learnt that a record is committed.
    learnt: BTreeMap<RecordHash, Timestamp>,
}

impl Epochs {
    pub(super) fn record(&mut self, record: &SignedRecord) {
        self.tree.insert(Arc::new(record.clone()));
    }

    pub(super) fn accept(&mut self, record: RecordHash) {
        if self.tree.record(&record).is_some() {
            self.accepted = Some(record);
        }
    }

    pub(super) fn commit(&mut self, proof: &CommitProof, learnt: Timestamp) {
        if self.tree.insert_proof(Arc::new(proof.clone())) {
            self.learnt.insert(proof.record, learnt);
        }
    }

    pub(super) fn number(&self, record: &RecordHash) -> Option<EpochNumber> {
        self.tree.record(record).map(|record| record.record.number)
    }
}

impl State {
    /// The epoch records known, with their proofs.
    pub const fn epochs(&self) -> &EpochTree {
        &self.epochs.tree
    }

    /// An epoch record.
    pub fn record(&self, hash: &RecordHash) -> Option<&Arc<SignedRecord>> {
        self.epochs.tree.record(hash)
    }

    /// The hash of record 0, once it is known.
    pub const fn genesis(&self) -> Option<RecordHash> {
        self.epochs.tree.genesis()
    }

    /// The record accepted last, with its hash.
    pub fn accepted(&self) -> Option<(RecordHash, &Arc<SignedRecord>)> {
        let hash = self.epochs.accepted?;
        self.record(&hash).map(|record| (hash, record))
    }

    /// When this node learnt that a record is committed; `None` while it has no proof.
    pub fn committed_at(&self, record: &RecordHash) -> Option<Timestamp> {
        self.epochs.learnt.get(record).copied()
    }

    /// The committee's n and f, the same in all its records.
    pub fn geometry(&self) -> Option<Geometry> {
        self.record(&self.genesis()?).map(|genesis| genesis.record.geometry)
    }
}
