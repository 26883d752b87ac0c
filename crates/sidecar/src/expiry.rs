//! What nobody needs any more goes away: uploads that ended nowhere, blobs that were never certified,
//! blobs whose last claim was released and whose undelete window is over. Then, when nobody would take
//! them again, the claims and their releases too.

use std::sync::Arc;
use std::time::Duration;

use floe_api::ApiError;
use floe_env::{BoxFuture, Work};
use floe_model::{BlobName, ClaimId, NamespaceUid, Release, Timestamp};
use floe_plan::custody::{Forget, NameFacts, ReleasedClaim, forget};
use floe_plan::expiry::{Expiry, ExpiryFacts, UPLOAD_MILLIS, expired};
use floe_store::{BlobKey, Entry, NameState, State, Window};

use crate::node::{Node, Signals};
use crate::worker::{Step, Worker};

/// How often everything is looked at.
const ROUND: Duration = Duration::from_secs(30);
/// A shorter undelete window than four rounds is looked at four times.
const ROUNDS_OF_A_WINDOW: u64 = 4;
const SHORTEST_ROUND: Duration = Duration::from_millis(500);
/// Keys that are looked at without letting writers through.
const KEYS_AT_A_TIME: usize = 1000;
/// How often the time that the volume has run is written down, while releases are at hand.
const NOTE_MILLIS: u64 = 60_000;

/// Looks for what has expired.
pub(crate) struct ExpiryWorker(pub(crate) Arc<Node>);

impl Worker for ExpiryWorker {
    fn name(&self) -> &'static str {
        "expiry"
    }

    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
        Box::pin(async {
            // Without a record there is no policy, and nothing to expire.
            let Ok(epoch) = self.0.epoch() else { return Ok(Step::Idle(ROUND)) };
            let window_millis = epoch.record.policy.undelete_window_millis;
            let outcome = round(&self.0).await.map_err(|error| error.to_string())?;
            if outcome != Outcome::default() {
                let Outcome { keys, claims, releases } = outcome;
                tracing::info!(keys, claims, releases, "what nobody needs any more was removed");
            }
            let pause = Duration::from_millis(window_millis / ROUNDS_OF_A_WINDOW);
            Ok(Step::Idle(pause.clamp(SHORTEST_ROUND, ROUND)))
        })
    }
}

/// What left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Outcome {
    keys: usize,
    claims: usize,
    releases: usize,
}

/// Who may still need what lives under a key.
fn facts(state: &State, key: BlobKey, signals: &Signals, window: &Window) -> ExpiryFacts {
    let is_open = |claim: &ClaimId| state.claim(claim).is_none_or(|it| it.certified.is_none());
    let blob = state.key(key).and_then(floe_store::KeyState::blob).map(|(blob, _)| blob);
    let live = blob.filter(|blob| state.blob(blob).is_some_and(|known| known.key == key));
    let mut facts = ExpiryFacts {
        last_byte: signals.touched(key, is_open),
        owed: live.is_some_and(|blob| state.wanted(&blob, window).is_some()),
        ..ExpiryFacts::default()
    };
    let mut had_certificate = false;
    if let Some(blob) = live {
        for (_, claim) in state.claims_of_blob(&blob) {
            if let Some((certified, _)) = &claim.certified {
                had_certificate |= certified.body.blob == blob;
            } else {
                let confirmed = claim.confirmed.filter(|confirmed| confirmed.blob == blob);
                facts.confirmed = facts.confirmed.max(confirmed.map(|it| it.at));
            }
        }
    }
    // Before the start nobody took notes.
    let mut uploads = state.uploads_of(key);
    if !had_certificate || uploads.any(|upload| is_open(&upload.permit.body.claim)) {
        facts.last_byte = facts.last_byte.max(Some(signals.started()));
    }
    facts
}

/// Whether an upload or a confirmation without certificate may still need what lies under the key,
/// whatever is owed of it: as long as it would be kept for that alone.
pub(crate) fn is_open(
    state: &State,
    key: BlobKey,
    node: &Node,
    (now, window): (Timestamp, &Window),
) -> bool {
    let facts = ExpiryFacts { owed: false, ..facts(state, key, &node.signals, window) };
    expired(now, &facts) != Expiry::Expired
}

fn is_over(state: &State, key: BlobKey, node: &Node, (now, window): (Timestamp, &Window)) -> bool {
    expired(now, &facts(state, key, &node.signals, window)) == Expiry::Expired
}

/// What was found out about some keys.
struct Page {
    over: Vec<BlobKey>,
    /// The last one looked at; `None` if there was none.
    last: Option<BlobKey>,
}

/// Looks at the next keys. Writers wait meanwhile, so there are only some of them.
fn page(state: &State, after: Option<BlobKey>, node: &Node, moment: (Timestamp, &Window)) -> Page {
    let keys: Box<dyn Iterator<Item = _>> = match after {
        None => Box::new(state.keys()),
        Some(after) => Box::new(state.keys_after(after)),
    };
    let mut page = Page { over: Vec::new(), last: None };
    for (key, _) in keys.take(KEYS_AT_A_TIME) {
        page.last = Some(key);
        if is_over(state, key, node, moment) {
            page.over.push(key);
        }
    }
    page
}

async fn round(node: &Arc<Node>) -> Result<Outcome, ApiError> {
    let (now, window) = (node.now(), node.window(&*node.epoch()?));
    note_running(node, &window).await?;
    node.signals.forget_touches(Timestamp(now.0.saturating_sub(UPLOAD_MILLIS)));
    let looking = Arc::clone(node);
    let candidates = node.with_store(Work::Repair, move |store| {
        let (mut over, mut after) = (Vec::new(), None);
        loop {
            let page = store.read(|state| page(state, after, &looking, (now, &window)));
            over.extend(page.over);
            let Some(last) = page.last else { return Ok(over) };
            after = Some(last);
        }
    });
    let mut outcome = Outcome::default();
    for key in candidates.await? {
        outcome.keys += usize::from(expire(node, key, (now, window)).await?);
    }
    forget_names(node, (now, window), &mut outcome).await?;
    Ok(outcome)
}

/// Writes down how long the volume has run, while that is what something waits for.
async fn note_running(node: &Arc<Node>, window: &Window) -> Result<(), ApiError> {
    let ran = window.ran_millis;
    node.transact(move |state| {
        let due = ran.saturating_sub(state.ran_millis()) >= NOTE_MILLIS;
        let note = due && state.has_releases();
        Ok((note.then_some(Entry::Ran { millis: ran }).into_iter().collect(), ()))
    })
    .await
}

/// Marks the key and checks that nothing needs it, in one step: from then on it is absent. Then
/// removes the files.
async fn expire(
    node: &Arc<Node>,
    key: BlobKey,
    (now, window): (Timestamp, Window),
) -> Result<bool, ApiError> {
    let looking = Arc::clone(node);
    let marked = node
        .transact(move |state| {
            let due = state.key(key).is_some() && is_over(state, key, &looking, (now, &window));
            Ok((due.then_some(Entry::Expired { key }).into_iter().collect(), due))
        })
        .await?;
    if marked {
        node.signals.forget(key);
        node.with_store(Work::Repair, move |store| store.remove_blob(key)).await?;
    }
    Ok(marked)
}

/// Forgets claims and releases that are over and that nobody would take again.
async fn forget_names(
    node: &Arc<Node>,
    (now, window): (Timestamp, Window),
    outcome: &mut Outcome,
) -> Result<(), ApiError> {
    let epoch = node.epoch()?;
    let retention_millis = epoch.record.policy.release_retention_millis;
    let oldest = Timestamp(now.0.saturating_sub(retention_millis));
    let names = node.with_store(Work::Repair, move |store| {
        Ok(store.read(|state| {
            let aged = |name: &NameState| name.releases().any(|it| it.body.signed < oldest);
            let names = state.ended_names().filter(|(_, _, name)| aged(name));
            names.map(|(uid, name, _)| (*uid, name.clone())).collect::<Vec<_>>()
        }))
    });
    for name in names.await? {
        let looking = Arc::clone(node);
        let (claims, releases) = node
            .transact(move |state| {
                let moment = (now, &window);
                let gone = over_of_name(state, &name, &looking, (moment, retention_millis));
                let counts = (gone.claims.len(), gone.releases.len());
                Ok((entries(state, &name, &gone), counts))
            })
            .await?;
        outcome.claims += claims;
        outcome.releases += releases;
    }
    Ok(())
}

/// What of a name is over.
fn over_of_name(
    state: &State,
    (uid, name): &(NamespaceUid, BlobName),
    node: &Node,
    ((now, window), retention_millis): ((Timestamp, &Window), u64),
) -> Forget {
    let collected = |claim: &floe_model::Claim| {
        let known = state.claim(&claim.claim).and_then(|known| known.released);
        known.is_some_and(|released| !window.holds(&released))
            && state
                .blob(&claim.blob)
                .is_none_or(|blob| !is_over(state, blob.key, node, (now, window)))
    };
    let claims = state.claims_of_name(uid, name).map(|(claim, _)| &claim.body);
    let claims: Vec<ReleasedClaim<'_>> = claims
        .filter(|claim| state.covering_release(claim).is_some())
        .map(|claim| ReleasedClaim { claim, collected: collected(claim) })
        .collect();
    let releases: Vec<&Release> =
        state.releases_of_name(uid, name).map(|release| &release.body).collect();
    forget(&NameFacts { now, retention_millis, claims: &claims, releases: &releases })
}

/// Claims first: none is ever without its release. With a release also leaves what is known of its
/// claim id, should that never have been certified.
fn entries(state: &State, (uid, name): &(NamespaceUid, BlobName), gone: &Forget) -> Vec<Entry> {
    let uncertified =
        |claim: &&ClaimId| state.claim(claim).is_some_and(|known| known.certified.is_none());
    let unfinished = gone.releases.iter().filter(uncertified);
    let claims = gone.claims.iter().chain(unfinished);
    let claims = claims.map(|&claim| Entry::ForgottenClaim { claim });
    let releases = gone.releases.iter().map(|&claim| Entry::ForgottenRelease {
        namespace_uid: *uid,
        name: name.clone(),
        claim,
    });
    claims.chain(releases).collect()
}
