//! Pushing a chain, and making a proof of what is answered.

use std::collections::BTreeMap;

use floe_api::messages::Chain;
use floe_api::{NodeClient, Target};
use floe_model::{Acceptance, CommitProof, EpochRecord, Lineage, Member, NodeName, ProofError};
use futures::future::join_all;

/// What each node answered: its acceptance, or why there is none.
pub(crate) type Answers = BTreeMap<NodeName, Result<Acceptance, String>>;

/// Pushes the chain to all targets at once.
pub(crate) async fn push(client: &NodeClient, targets: &[Target], chain: &Chain) -> Answers {
    let pushed = targets.iter().map(|target| async move {
        let answer = client.push_epoch(target, chain).await;
        (target.node.clone(), answer.map(|it| it.value).map_err(|error| error.to_string()))
    });
    join_all(pushed).await.into_iter().collect()
}

/// The proof that the record is committed, from the acceptances that are what they should be; or why
/// there is none, and who did not accept for which reason.
pub(crate) fn gather(
    record: &EpochRecord,
    lineage: &Lineage<'_>,
    answers: &Answers,
) -> Result<CommitProof, (ProofError, BTreeMap<NodeName, String>)> {
    let statement = Acceptance::statement(record);
    let mut accepted = Vec::new();
    let mut refused = BTreeMap::new();
    for (node, answer) in answers {
        let member = record.member(node).ok_or_else(|| "the record does not name it".to_owned());
        let checked = member.and_then(|member| checked(record, &statement, member, answer));
        match checked {
            Ok(acceptance) => accepted.push(acceptance),
            Err(reason) => drop(refused.insert(node.clone(), reason)),
        }
    }
    CommitProof::gather(record, lineage, &accepted).map_err(|error| (error, refused))
}

fn checked(
    record: &EpochRecord,
    statement: &[u8],
    member: &Member,
    answer: &Result<Acceptance, String>,
) -> Result<Acceptance, String> {
    let acceptance = answer.clone()?;
    let same = acceptance.record == record.hash()
        && acceptance.node == member.node
        && acceptance.incarnation == member.incarnation;
    if !same {
        return Err("it accepted something else".to_owned());
    }
    let verdict = member.key.verify(statement, &acceptance.signature);
    verdict.map_err(|error| format!("its acceptance: {error}"))?;
    Ok(acceptance)
}
