//! Epoch records: handing out the chain, accepting what is offered.

use std::sync::Arc;

use floe_api::messages::{Chain, ChainLink};
use floe_api::{ApiError, ErrorCode};
use floe_env::Work;
use floe_model::keys::RegistrarPublicKey;
use floe_model::{Acceptance, CommitProof, Lineage, SignedRecord};
use floe_plan::epoch::{Accept, Identity, Violation, accept};
use floe_store::{Entry, State};

use super::{Answer, ok};
use crate::node::{Epoch, Node};

/// Answers [`floe_api::Route::Epoch`].
pub(super) async fn chain(node: &Arc<Node>) -> Answer {
    ok(&known(node).await?)
}

/// All records known here, with their proofs.
pub(crate) async fn known(node: &Node) -> Result<Chain, ApiError> {
    let links = node.read(|state| {
        let link = |(hash, record): &(_, Arc<SignedRecord>)| ChainLink {
            record: record.as_ref().clone(),
            proof: state.commit_proof(hash).map(|proof| proof.as_ref().clone()),
        };
        state.chain().iter().map(link).collect()
    });
    Ok(Chain { links: links.await? })
}

/// Answers [`floe_api::Route::PushEpoch`]: stores, syncs, then signs.
pub(super) async fn push(node: &Arc<Node>, chain: Chain) -> Answer {
    take(node, chain).await?;
    let epoch = node.epoch()?;
    let (me, store) = (node.me.clone(), Arc::clone(&node.store));
    let sign = move || Acceptance::sign(&epoch.record, me.node, me.incarnation, store.key());
    ok(&node.run(Work::Foreground, sign).await?)
}

/// Takes the records and proofs of a chain, the oldest first; durable when it returns.
pub(crate) async fn take(node: &Arc<Node>, chain: Chain) -> Result<(), ApiError> {
    if chain.links.is_empty() {
        return Err(ApiError::malformed("the chain has no epoch record"));
    }
    for link in chain.links {
        take_link(node, link).await?;
    }
    node.sync().await?;
    announce(node).await
}

/// Tells everybody here which record is accepted, and opens what that opens.
pub(crate) async fn announce(node: &Arc<Node>) -> Result<(), ApiError> {
    let me = node.me.clone();
    let view = move |state: &State| view_of(&me, state).map(|view| (view, state.caught_up()));
    match node.read(view).await? {
        Ok((view, caught_up)) => {
            // Record 0 names this very volume: no earlier one ever bound anything.
            let since_genesis = view.as_ref().is_some_and(|view| view.record.number.0 == 0);
            if caught_up || since_genesis {
                node.gate.set_caught_up();
            }
            for (_, peer) in view.iter().flat_map(Epoch::peers) {
                node.metrics.peer_known(&peer.node);
            }
            node.signals.epoch.send_replace(view.map(Arc::new));
            Ok(())
        }
        Err(violation) => {
            node.gate.refuse(violation.to_string());
            Err(refused(node, &violation))
        }
    }
}

async fn take_link(node: &Arc<Node>, link: ChainLink) -> Result<(), ApiError> {
    let me = node.me.clone();
    let offered = link.record.clone();
    // Signatures are checked outside the lock; accepting again inside is a comparison.
    let accepted =
        node.read(|state| state.accepted().map(|(_, signed)| Arc::clone(signed))).await?;
    let verdict = node.run(Work::Foreground, move || {
        accept(accepted.as_ref().map(|signed| &signed.record), &me, &offered)
    });
    let verdict = verdict.await?.map_err(|violation| refused(node, &violation))?;
    let proof = verified_proof(node, &link).await?;
    let hash = link.record.record.hash();
    node.transact(move |state| {
        let mut entries = Vec::new();
        match state.accepted() {
            Some((accepted, _)) if accepted != hash => {
                // Another push was faster.
                return Err(ApiError::new(
                    ErrorCode::NeedEpoch,
                    "another epoch record was accepted meanwhile",
                ));
            }
            None if verdict == Accept::New => {
                entries.push(Entry::Record(Box::new(link.record)));
                entries.push(Entry::Accepted(hash));
            }
            _ => {}
        }
        if let Some(proof) = proof.filter(|proof| state.commit_proof(&proof.record).is_none()) {
            entries.push(Entry::Committed(Box::new(proof)));
        }
        Ok((entries, ()))
    })
    .await
}

async fn verified_proof(node: &Node, link: &ChainLink) -> Result<Option<CommitProof>, ApiError> {
    let Some(proof) = link.proof.clone() else { return Ok(None) };
    let record = link.record.record.clone();
    let verified = node
        .run(Work::Foreground, move || {
            proof.verify(&record, &Lineage::of_genesis(&record)).map(|()| proof)
        })
        .await?;
    verified.map(Some).map_err(|error| ApiError::new(ErrorCode::CertificateInvalid, error))
}

fn refused(node: &Node, violation: &Violation) -> ApiError {
    let code = match violation {
        Violation::Signature(_)
        | Violation::Signer(_)
        | Violation::OtherOperator
        | Violation::Possession(_) => ErrorCode::StatementInvalid,
        Violation::Accepted { .. } => ErrorCode::NeedEpoch,
        Violation::OtherVolume { .. }
        | Violation::NotMember { .. }
        | Violation::OtherCommittee { .. } => ErrorCode::NotServing,
        _ => ErrorCode::Malformed,
    };
    node.gate.violated(violation.to_string());
    ApiError::new(code, violation)
}

/// The accepted record as the node sees it; an error if it names another volume than this one.
fn view_of(me: &Identity, state: &State) -> Result<Option<Epoch>, Violation> {
    let Some((hash, signed)) = state.accepted() else { return Ok(None) };
    let record = signed.record.clone();
    floe_plan::epoch::names_me(&record, me)?;
    let node = &me.node;
    let position = record.position(node).unwrap_or(usize::MAX);
    let shards = record.member(node).map(|member| member.shards.clone()).unwrap_or_default();
    let committed = state.commit_proof(&hash).is_some();
    Ok(Some(Epoch { hash, record, committed, position, shards }))
}

/// The volume as decisions see it.
pub(crate) fn identity_of(store: &floe_store::Store, operator: RegistrarPublicKey) -> Identity {
    let volume = store.identity();
    Identity {
        committee: volume.committee,
        node: volume.node.clone(),
        incarnation: volume.incarnation,
        volume: volume.volume,
        key: volume.key,
        operator,
    }
}
