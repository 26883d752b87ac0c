//! Epoch records: handing out the chain, taking what is offered, fetching what is heard of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use floe_api::messages::{CHAIN_PAGE_BYTES, Chain, ChainLink};
use floe_api::{ApiError, EpochHint, ErrorCode, Target};
use floe_env::Work;
use floe_model::keys::RegistrarPublicKey;
use floe_model::{
    Acceptance, ChainError, EpochNumber, EpochTree, RecordHash, SignedRecord, Timestamp,
};
use floe_plan::custody::SUPERSEDED_MILLIS;
use floe_plan::epoch::{self, Accept, Identity, Link, Taken, Violation};
use floe_store::{Entry, State};

use super::{Answer, ok};
use crate::node::{Epoch, Node};

/// How often a chain is looked at anew because another one was accepted meanwhile.
const MOST_LOOKS: usize = 4;

/// Answers [`floe_api::Route::Epoch`]: a page of the way to the accepted record, and not of what lies
/// beside it.
pub(super) async fn chain(node: &Arc<Node>, after: Option<EpochNumber>) -> Answer {
    let page = node.read(move |state| {
        let mut bytes = 0;
        let mut links = path(state);
        links.retain(|link| after.is_none_or(|after| link.record.record.number > after));
        let fits = |link: &ChainLink| {
            let first = bytes == 0;
            bytes += link.bytes();
            first || bytes <= CHAIN_PAGE_BYTES
        };
        links.into_iter().take_while(fits).collect()
    });
    ok(&Chain { links: page.await? })
}

/// The way to the accepted record, with the proofs at hand.
pub(crate) async fn known(node: &Node) -> Result<Chain, ApiError> {
    Ok(Chain { links: node.read(path).await? })
}

fn path(state: &State) -> Vec<ChainLink> {
    let Some((tip, _)) = state.accepted() else { return Vec::new() };
    let tree = state.epochs();
    let link = |signed: &Arc<SignedRecord>| ChainLink {
        record: signed.as_ref().clone(),
        proof: tree.proof(&signed.record.hash()).map(|proof| proof.as_ref().clone()),
    };
    tree.path(&tip).into_iter().map(link).collect()
}

/// Answers [`floe_api::Route::PushEpoch`]: stores, syncs, then signs.
pub(super) async fn push(node: &Arc<Node>, chain: Chain) -> Answer {
    take(node, chain).await?;
    let epoch = node.epoch()?;
    let (me, store) = (node.me.clone(), Arc::clone(&node.store));
    let sign = move || Acceptance::sign(&epoch.record, me.node, me.incarnation, store.key());
    ok(&node.run(Work::Foreground, sign).await?)
}

/// Takes the records and proofs of a chain, the oldest first, and accepts its last record, or says why
/// not; durable when it returns.
pub(crate) async fn take(node: &Arc<Node>, chain: Chain) -> Result<(), ApiError> {
    let link = |ChainLink { record, proof }| Link { record, proof };
    let links: Arc<[Link]> = chain.links.into_iter().map(link).collect();
    for _ in 0..MOST_LOOKS {
        let known = |state: &State| (state.epochs().clone(), state.accepted().map(|(it, _)| it));
        let (tree, accepted) = node.read(known).await?;
        let (me, offered) = (node.me.clone(), Arc::clone(&links));
        // Signatures are checked outside the lock.
        let judge = move || epoch::take(&tree, &me, accepted.as_ref(), offered.to_vec());
        let taken = node.run(Work::Foreground, judge).await?;
        let taken = taken.map_err(|violation| refused(node, &violation))?;
        let verdict = taken.verdict.clone();
        if record(node, accepted, taken).await? {
            announce(node).await?;
            return verdict.map(drop).map_err(|violation| refused(node, &violation));
        }
    }
    Err(ApiError::overloaded("other epoch records are being accepted: ask again", 1))
}

/// Records what was decided on; false if another record than `accepted` was accepted meanwhile.
async fn record(node: &Node, accepted: Option<RecordHash>, taken: Taken) -> Result<bool, ApiError> {
    let learnt = node.now();
    node.transact(move |state| {
        if state.accepted().map(|(hash, _)| hash) != accepted {
            return Ok((Vec::new(), false));
        }
        let mut entries = Vec::new();
        for signed in taken.records {
            if state.record(&signed.record.hash()).is_none() {
                entries.push(Entry::Record(Box::new(signed.as_ref().clone())));
            }
        }
        for proof in taken.proofs {
            if !state.epochs().is_committed(&proof.record) {
                let proof = Box::new(proof.as_ref().clone());
                entries.push(Entry::Committed { proof, learnt });
            }
        }
        if taken.verdict == Ok(Accept::New) {
            entries.push(Entry::Accepted(taken.tip));
        }
        Ok((entries, true))
    })
    .await
}

/// Makes the record that is accepted durable and tells everybody here of it, and opens or shuts what
/// that opens or shuts. One after the other, each as it is then: what is signed, and what the change
/// feed names, is the announced record. Were it looked at after the sync, another one, accepted in
/// between, would be announced that a crash may still take back; and an older one could be announced
/// last, under which nothing is decided any more.
pub(crate) async fn announce(node: &Arc<Node>) -> Result<(), ApiError> {
    let _one_at_a_time = node.signals.announcing.lock().await;
    let (me, now) = (node.me.clone(), node.now());
    let look = move |state: &State| {
        let caught_up = state.caught_up() || is_of_genesis(&me, state);
        (view_of(&me, state, now), caught_up)
    };
    let (view, caught_up) = node.read(look).await?;
    node.sync().await?;
    let view = match view {
        Ok(view) => view,
        Err(violation) => {
            node.signals.epoch.send_replace(None);
            match &violation {
                // A later record may name it again, with this volume.
                Violation::NotMember { .. } => node.gate.left(violation.to_string()),
                _ => node.gate.refuse(violation.to_string()),
            }
            return Err(refused(node, &violation));
        }
    };
    if caught_up {
        node.gate.set_caught_up();
    }
    if view.is_some() {
        node.gate.joined();
    }
    for (_, peer) in view.iter().flat_map(Epoch::peers) {
        node.metrics.peer_known(&peer.node);
    }
    node.signals.epoch.send_replace(view.map(Arc::new));
    Ok(())
}

fn refused(node: &Node, violation: &Violation) -> ApiError {
    let code = match violation {
        Violation::Chain(ChainError::UnknownParent { .. })
        | Violation::GenesisUncommitted
        | Violation::NotAbove { .. }
        | Violation::Leaves { .. } => ErrorCode::NeedEpoch,
        Violation::Chain(ChainError::UnknownRecord(_) | ChainError::Proof { .. }) => {
            ErrorCode::CertificateInvalid
        }
        Violation::Chain(
            ChainError::Signer { .. }
            | ChainError::Signature { .. }
            | ChainError::Possession { .. },
        )
        | Violation::OtherOperator
        | Violation::Whole { .. } => ErrorCode::StatementInvalid,
        Violation::OtherVolume { .. }
        | Violation::NotMember { .. }
        | Violation::OtherCommittee { .. } => ErrorCode::NotServing,
        _ => ErrorCode::Malformed,
    };
    node.gate.violated(violation.to_string());
    let accepted = node.signals.epoch.borrow().as_ref().map(|epoch| epoch.accepted.number);
    let error = ApiError::new(code, violation);
    match code {
        ErrorCode::NeedEpoch => ApiError { epoch: accepted.or(Some(EpochNumber(0))), ..error },
        _ => error,
    }
}

/// Record 0 names this very volume: no earlier one ever bound anything.
fn is_of_genesis(me: &Identity, state: &State) -> bool {
    let genesis = state.genesis().and_then(|hash| state.record(&hash));
    genesis.is_some_and(|genesis| epoch::names_me(&genesis.record, me).is_ok())
}

/// The accepted record as the node sees it; an error if the node is no member with this volume.
fn view_of(me: &Identity, state: &State, now: Timestamp) -> Result<Option<Epoch>, Violation> {
    let tree = state.epochs();
    let accepted = state.accepted();
    let standing = epoch::standing_record(tree, accepted.as_ref().map(|(hash, _)| hash));
    standing.map_or(Ok(()), |standing| epoch::names_me(&standing.record, me))?;
    let Some((hash, signed)) = accepted else { return Ok(None) };
    epoch::names_me(&signed.record, me)?;
    let hint = EpochHint { number: signed.record.number, hash };
    let path = tree.path(&hash);
    let committed = |signed: &&&Arc<SignedRecord>| tree.is_committed(&signed.record.hash());
    let mut older = Vec::new();
    // From the newest on: each is superseded by the committed one that was seen before it.
    let mut superseded = state.committed_at(&hash);
    for signed in path.iter().rev().skip(1).filter(committed) {
        if superseded.is_some_and(|at| now.millis_since(at) > SUPERSEDED_MILLIS) {
            // Nothing goes on under it, nor under those before it.
            break;
        }
        let view = seat(me, (tree, hint), signed);
        let view = view.map(|view| Arc::new(Epoch { superseded, ..view }));
        superseded = state.committed_at(&signed.record.hash());
        older.extend(view);
    }
    let newest = path.iter().rposition(|signed| tree.is_committed(&signed.record.hash()));
    let uncertain = path.get(newest.unwrap_or(0)..path.len().saturating_sub(1));
    let uncertain = uncertain.unwrap_or_default().iter().map(|it| Arc::clone(it)).collect();
    let own = |shard: &floe_model::ShardIndex| {
        let mut owners = tree.previous_owners(&hash, *shard);
        owners.retain(|owner| owner.node != me.node);
        (*shard, owners)
    };
    let previous: BTreeMap<_, _> = signed.record.unfilled.iter().map(own).collect();
    let view = seat(me, (tree, hint), signed);
    Ok(view.map(|view| Epoch { older, uncertain, previous, ..view }))
}

/// A record with this volume's place in it; `None` if it has none.
fn seat(
    me: &Identity,
    (tree, accepted): (&EpochTree, EpochHint),
    signed: &SignedRecord,
) -> Option<Epoch> {
    let record = signed.record.clone();
    epoch::names_me(&record, me).ok()?;
    let position = record.position(&me.node)?;
    let hash = record.hash();
    Some(Epoch {
        hash,
        committed: tree.is_committed(&hash),
        position,
        shards: record.members.get(position)?.shards.clone(),
        accepted,
        superseded: None,
        older: Vec::new(),
        uncertain: Vec::new(),
        previous: BTreeMap::new(),
        record,
    })
}

/// A peer said which record it accepted last: what is new of its chain is fetched.
pub(crate) fn heard(node: &Arc<Node>, peer: &Target, hint: Option<EpochHint>) {
    let Some(hint) = hint else { return };
    let known = node.signals.epoch.borrow().clone();
    let news = known.is_none_or(|own| {
        hint.number > own.record.number || (hint.hash == own.hash && !own.committed)
    });
    if news {
        fetch(node, peer);
    }
}

/// Fetches a peer's chain in the background, one at a time.
pub(crate) fn fetch(node: &Arc<Node>, peer: &Target) {
    if node.signals.fetching.swap(true, Ordering::AcqRel) {
        return;
    }
    let (node, peer) = (Arc::clone(node), peer.clone());
    let spawn = Arc::clone(&node.env.spawn);
    let work = async move {
        if let Err(error) = fetch_pages(&node, &peer).await {
            tracing::debug!(%peer, error, "a peer's chain of epoch records was not taken");
        }
        node.signals.fetching.store(false, Ordering::Release);
    };
    spawn.spawn("fetch-epoch", Box::pin(work)).detach();
}

async fn fetch_pages(node: &Arc<Node>, peer: &Target) -> Result<(), String> {
    // All chains run through what is committed.
    let newest = |state: &State| state.epochs().committed().map(|(_, signed)| signed.record.number);
    let mut after = node.read(newest).await.map_err(|error| error.to_string())?;
    loop {
        let page = node.peers.epoch_page(peer, after).await.map_err(|error| error.to_string())?;
        let Some(last) = page.value.links.last().map(|link| link.record.record.number) else {
            return Ok(());
        };
        let taken = take(node, page.value).await;
        let ends = page.epoch.is_none_or(|tip| tip.number <= last);
        match taken {
            // The next page may show what proves this one, or name this volume.
            Err(error)
                if ends || !matches!(error.code, ErrorCode::NeedEpoch | ErrorCode::NotServing) =>
            {
                return Err(error.to_string());
            }
            _ if ends || after.is_some_and(|after| last <= after) => return Ok(()),
            _ => after = Some(last),
        }
    }
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
