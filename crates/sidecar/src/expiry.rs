//! What nobody certified and nobody needs any more goes away.

use std::sync::Arc;
use std::time::Duration;

use floe_api::ApiError;
use floe_env::{BoxFuture, Work};
use floe_model::Timestamp;
use floe_plan::expiry::{Expiry, ExpiryFacts, expired};
use floe_store::{BlobKey, Entry, State};

use crate::node::Node;
use crate::worker::{Step, Worker};

/// How often everything is looked at.
const ROUND: Duration = Duration::from_secs(30);

/// Looks for what has expired.
pub(crate) struct ExpiryWorker(pub(crate) Arc<Node>);

impl Worker for ExpiryWorker {
    fn name(&self) -> &'static str {
        "expiry"
    }

    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
        Box::pin(async {
            let gone = round(&self.0).await.map_err(|error| error.to_string())?;
            if gone > 0 {
                tracing::info!(keys = gone, "expired uploads and unconfirmed blobs were removed");
            }
            Ok(Step::Idle(ROUND))
        })
    }
}

/// Who may still need what lives under a key.
fn facts(state: &State, key: BlobKey, last_byte: Timestamp) -> ExpiryFacts {
    let blob = state.key(key).and_then(floe_store::KeyState::blob).map(|(blob, _)| blob);
    let live = blob.filter(|blob| state.blob(blob).is_some_and(|known| known.key == key));
    let claims = live.iter().flat_map(|blob| state.claims_of_blob(blob).map(move |it| (blob, it)));
    let mut facts = ExpiryFacts { last_byte: Some(last_byte), ..ExpiryFacts::default() };
    for (blob, (_, claim)) in claims {
        match &claim.certified {
            Some((certified, _)) => facts.certified |= certified.body.blob == *blob,
            None => facts.confirmed = facts.confirmed.max(claim.confirmed.map(|it| it.at)),
        }
    }
    facts
}

async fn round(node: &Arc<Node>) -> Result<usize, ApiError> {
    let now = node.now();
    let looking = Arc::clone(node);
    let candidates = node.with_store(Work::Repair, move |store| {
        Ok(store.read(|state| {
            let due = |key: &BlobKey| {
                let facts = facts(state, *key, looking.signals.last_byte(*key));
                expired(now, &facts) == Expiry::Expired
            };
            state.keys().map(|(key, _)| key).filter(due).collect::<Vec<BlobKey>>()
        }))
    });
    let mut gone = 0;
    for key in candidates.await? {
        gone += usize::from(expire(node, key, now).await?);
    }
    Ok(gone)
}

/// Marks the key and checks that nothing needs it, in one step; then removes the files.
async fn expire(node: &Arc<Node>, key: BlobKey, now: Timestamp) -> Result<bool, ApiError> {
    let looking = Arc::clone(node);
    let marked = node
        .transact(move |state| {
            let facts = facts(state, key, looking.signals.last_byte(key));
            let due = state.key(key).is_some() && expired(now, &facts) == Expiry::Expired;
            Ok((due.then_some(Entry::Expired { key }).into_iter().collect(), due))
        })
        .await?;
    if marked {
        node.signals.forget(key);
        node.with_store(Work::Repair, move |store| store.remove_blob(key)).await?;
    }
    Ok(marked)
}
