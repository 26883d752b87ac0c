//! Pushing record 0, gathering its acceptances, telling all nodes that it is committed.

use std::collections::BTreeMap;

use floe_api::messages::{Chain, ChainLink};
use floe_api::{NodeClient, Target};
use floe_model::{
    Acceptance, CommitProof, EpochRecord, Lineage, Member, NodeName, ProofError, RecordHash,
    SignedRecord, Threshold,
};
use futures::future::join_all;

use super::{Genesis, GenesisConfig, GenesisError};

/// Pushes the record to its members until owners of n-f shards accepted it, then the proof.
pub(super) async fn roll_out(
    client: &NodeClient,
    config: &GenesisConfig,
    record: SignedRecord,
) -> Result<Genesis, GenesisError> {
    let targets = targets(config, &record.record);
    let answers = push(client, &targets, &record, None).await;
    let proof = match commit(&record.record, &answers) {
        Ok(proof) => proof,
        // It may be committed all the same, by nodes that are away now.
        Err(too_few) => known_proof(client, &targets, &record.record).await.ok_or(too_few)?,
    };
    let told = push(client, &targets, &record, Some(proof.clone())).await;
    let untold = told.into_iter().filter_map(|(node, answer)| Some((node, answer.err()?)));
    Ok(Genesis { untold: untold.collect(), record, proof })
}

/// Where each member is: the address as configured now, else that of the record.
fn targets(config: &GenesisConfig, record: &EpochRecord) -> Vec<(NodeName, Target)> {
    let target = |member: &Member| {
        let configured = config.nodes.iter().find(|known| known.node == member.node);
        let address = configured.map_or(&member.address, |known| &known.address).clone();
        let target = Target { node: member.node.clone(), incarnation: member.incarnation, address };
        (member.node.clone(), target)
    };
    record.members.iter().map(target).collect()
}

type Answers = BTreeMap<NodeName, Result<Acceptance, String>>;

async fn push(
    client: &NodeClient,
    targets: &[(NodeName, Target)],
    record: &SignedRecord,
    proof: Option<CommitProof>,
) -> Answers {
    let chain = Chain { links: vec![ChainLink { record: record.clone(), proof }] };
    let pushed = targets.iter().map(|(node, target)| {
        let chain = &chain;
        async move {
            let answer = client.push_epoch(target, chain).await;
            (node.clone(), answer.map(|it| it.value).map_err(|error| error.to_string()))
        }
    });
    join_all(pushed).await.into_iter().collect()
}

/// The proof, from the acceptances that are what they should be.
pub(super) fn commit(record: &EpochRecord, answers: &Answers) -> Result<CommitProof, GenesisError> {
    let statement = Acceptance::statement(record);
    let hash = record.hash();
    let mut accepted = Vec::new();
    let mut refused = BTreeMap::new();
    for (node, answer) in answers {
        let verdict = answer.clone().and_then(|it| checked(record, &statement, hash, node, it));
        match verdict {
            Ok(acceptance) => accepted.push(acceptance),
            Err(reason) => drop(refused.insert(node.clone(), reason)),
        }
    }
    CommitProof::gather(record, &Lineage::of_genesis(record), &accepted).map_err(
        |error| match error {
            ProofError::TooFew { have, need, .. } => GenesisError::TooFew { have, need, refused },
            // Each was checked above, so nothing else can be wrong with them.
            _ => GenesisError::TooFew {
                have: 0,
                need: Threshold::Correct.shards(record.geometry),
                refused,
            },
        },
    )
}

fn checked(
    record: &EpochRecord,
    statement: &[u8],
    hash: RecordHash,
    node: &NodeName,
    acceptance: Acceptance,
) -> Result<Acceptance, String> {
    let member = record.member(node).ok_or("the record does not name it")?;
    let same = acceptance.record == hash
        && acceptance.node == *node
        && acceptance.incarnation == member.incarnation;
    if !same {
        return Err("it accepted something else".to_owned());
    }
    let verdict = member.key.verify(statement, &acceptance.signature);
    verdict.map_err(|error| format!("its acceptance: {error}"))?;
    Ok(acceptance)
}

async fn known_proof(
    client: &NodeClient,
    targets: &[(NodeName, Target)],
    record: &EpochRecord,
) -> Option<CommitProof> {
    let asked = targets.iter().map(|(_, target)| client.epoch(target));
    let chains = join_all(asked).await.into_iter().filter_map(Result::ok);
    let proofs = chains.flat_map(|chain| chain.value.links).filter_map(|link| link.proof);
    proofs.into_iter().find(|proof| proof.verify(record, &Lineage::of_genesis(record)).is_ok())
}
