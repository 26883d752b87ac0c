//! Pushing record 0, gathering its acceptances, telling all nodes that it is committed.

use floe_api::messages::{Chain, ChainLink};
use floe_api::{NodeClient, Target};
use floe_model::{CommitProof, EpochRecord, Lineage, Member, ProofError, SignedRecord, Threshold};
use futures::future::join_all;

use super::{Genesis, GenesisConfig, GenesisError};
use crate::push::{Answers, gather, push};

/// Pushes the record to its members until owners of n-f shards accepted it, then the proof.
pub(super) async fn roll_out(
    client: &NodeClient,
    config: &GenesisConfig,
    record: SignedRecord,
) -> Result<Genesis, GenesisError> {
    let targets = targets(config, &record.record);
    let chain = |proof| Chain { links: vec![ChainLink { record: record.clone(), proof }] };
    let answers = push(client, &targets, &chain(None)).await;
    let proof = match commit(&record.record, &answers) {
        Ok(proof) => proof,
        // It may be committed all the same, by nodes that are away now, or in a later epoch.
        Err(too_few) => known_proof(client, config, &record.record).await.ok_or(too_few)?,
    };
    let told = push(client, &targets, &chain(Some(proof.clone()))).await;
    let untold = told.into_iter().filter_map(|(node, answer)| Some((node, answer.err()?)));
    Ok(Genesis { untold: untold.collect(), record, proof })
}

/// Where each member is: the address as configured now, else that of the record. A volume that was
/// replaced is nowhere.
fn targets(config: &GenesisConfig, record: &EpochRecord) -> Vec<Target> {
    let target = |member: &Member| {
        let configured = config.nodes.iter().find(|known| known.node == member.node);
        if configured.is_some_and(|known| known.incarnation != member.incarnation) {
            return None;
        }
        let address = configured.map_or(&member.address, |known| &known.address).clone();
        let incarnation = member.incarnation;
        Some(Target { node: member.node.clone(), incarnation, address })
    };
    record.members.iter().filter_map(target).collect()
}

/// The proof, from the acceptances that are what they should be.
pub(super) fn commit(record: &EpochRecord, answers: &Answers) -> Result<CommitProof, GenesisError> {
    let lineage = Lineage::of_genesis(record);
    gather(record, &lineage, answers).map_err(|(error, refused)| match error {
        ProofError::TooFew { have, need, .. } => GenesisError::TooFew { have, need, refused },
        // Each was checked before, so nothing else can be wrong with them.
        _ => GenesisError::TooFew {
            have: 0,
            need: Threshold::Correct.shards(record.geometry),
            refused,
        },
    })
}

/// The proof as the nodes of now have it: all volumes that record 0 names may be replaced.
async fn known_proof(
    client: &NodeClient,
    config: &GenesisConfig,
    record: &EpochRecord,
) -> Option<CommitProof> {
    let asked = config.nodes.iter().map(|node| async move { client.epoch(&node.target()).await });
    let chains = join_all(asked).await.into_iter().filter_map(Result::ok);
    let proofs = chains.flat_map(|chain| chain.value.links).filter_map(|link| link.proof);
    proofs.into_iter().find(|proof| proof.verify(record, &Lineage::of_genesis(record)).is_ok())
}
