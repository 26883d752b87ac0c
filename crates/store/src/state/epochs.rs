//! The epoch records that a node knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_model::{CommitProof, EpochNumber, Geometry, RecordHash, SignedRecord};

use super::State;

#[derive(Debug, Default)]
pub(super) struct Epochs {
    /// As they came: parents before children.
    chain: Vec<(RecordHash, Arc<SignedRecord>)>,
    accepted: Option<RecordHash>,
    proofs: BTreeMap<RecordHash, Arc<CommitProof>>,
}

impl Epochs {
    pub(super) fn record(&mut self, record: &SignedRecord) {
        let hash = record.record.hash();
        if self.get(&hash).is_none() {
            self.chain.push((hash, Arc::new(record.clone())));
        }
    }

    pub(super) fn accept(&mut self, record: RecordHash) {
        if self.get(&record).is_some() {
            self.accepted = Some(record);
        }
    }

    pub(super) fn commit(&mut self, proof: &CommitProof) {
        self.proofs.entry(proof.record).or_insert_with(|| Arc::new(proof.clone()));
    }

    pub(super) fn number(&self, record: &RecordHash) -> Option<EpochNumber> {
        self.get(record).map(|record| record.record.number)
    }

    fn get(&self, hash: &RecordHash) -> Option<&Arc<SignedRecord>> {
        self.chain.iter().find(|(known, _)| known == hash).map(|(_, record)| record)
    }
}

impl State {
    /// The epoch records known, with their hashes, in the order in which they came.
    pub fn chain(&self) -> &[(RecordHash, Arc<SignedRecord>)] {
        &self.epochs.chain
    }

    /// An epoch record.
    pub fn record(&self, hash: &RecordHash) -> Option<&Arc<SignedRecord>> {
        self.epochs.get(hash)
    }

    /// The hash of record 0, once it is known.
    pub fn genesis(&self) -> Option<RecordHash> {
        let genesis = self.epochs.chain.iter().find(|(_, known)| known.record.number.0 == 0);
        genesis.map(|(hash, _)| *hash)
    }

    /// The record accepted last, with its hash.
    pub fn accepted(&self) -> Option<(RecordHash, &Arc<SignedRecord>)> {
        let hash = self.epochs.accepted?;
        self.epochs.get(&hash).map(|record| (hash, record))
    }

    /// The proof that a record is committed, if it is at hand.
    pub fn commit_proof(&self, record: &RecordHash) -> Option<&Arc<CommitProof>> {
        self.epochs.proofs.get(record)
    }

    /// The record of the highest number whose proof of commitment is at hand.
    pub fn committed(&self) -> Option<(RecordHash, &Arc<SignedRecord>, &Arc<CommitProof>)> {
        let proven = |(hash, record): &'_ (RecordHash, Arc<SignedRecord>)| {
            self.epochs.proofs.contains_key(hash).then_some((record.record.number, *hash))
        };
        let (_, hash) = self.epochs.chain.iter().filter_map(proven).max()?;
        Some((hash, self.epochs.get(&hash)?, self.epochs.proofs.get(&hash)?))
    }

    /// The committee's n and f, the same in all its records.
    pub fn geometry(&self) -> Option<Geometry> {
        self.epochs.chain.first().map(|(_, record)| record.record.geometry)
    }
}
