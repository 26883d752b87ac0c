//! The end of an upload: whatever is missing is rebuilt, all of it is made durable, then signed.

mod merge;

use std::sync::Arc;

use floe_api::messages::{Confirmed, Finish, FinishAnswer, InlineExtent};
use floe_api::{ApiError, ErrorCode};
use floe_env::Work;
use floe_model::{
    BlobId, BlobLayout, Claim, ClaimId, Confirmation, ExtentIndex, ExtentShape, SignedClaim,
    Timestamp, UploadId,
};
use floe_plan::custody::{self, AdoptFacts, Confirm, ConfirmFacts, Source, Standing};
use floe_redstuff::{ExtentMetadata, Manifest, Verified};
use floe_store::{BlobKey, Entry, State, Store, StoreError, Window};

use super::{Answer, blobs, extent, uploads};
use crate::facts;
use crate::node::{Epoch, Node, Received};
use crate::refusal::refused;

/// Seconds after which a client asks again whether what was missing is rebuilt.
const REBUILDING_RETRY_SECONDS: u32 = 1;
/// A confirmation that is given again after so long is written down again: the blob is kept for a
/// day from then.
const RENEWED_MILLIS: u64 = 3600 * 1000;
/// How often an upload is looked at while extents still come in.
const MOST_LOOKS: usize = 8;

/// What a claim asks this node to confirm, checked.
struct Wish {
    claim: SignedClaim,
    manifest: Arc<Verified<Manifest>>,
    /// The claim whose content it takes over.
    adopts: Option<ClaimId>,
    epoch: Arc<Epoch>,
    standing: Standing,
    now: Timestamp,
    window: Window,
}

impl Wish {
    fn body(&self) -> &Claim {
        &self.claim.body
    }

    /// Whether the claim may be confirmed, given what is missing.
    fn confirm(&self, state: &State, missing_slivers: u64) -> Result<Confirm, ApiError> {
        let claim = self.body();
        self.adopt(state)?;
        let facts = ConfirmFacts {
            now: self.now,
            standing: self.standing,
            served: self.epoch.served(),
            claim,
            named: self.claim.record,
            bound: facts::bound(state, claim),
            release: facts::release(state, claim),
            closed: facts::closed(state, claim),
            missing_slivers,
        };
        custody::confirm(&facts).map_err(refused)
    }
}

impl Wish {
    /// Whether the content may be taken over that the claim names.
    fn adopt(&self, state: &State) -> Result<(), ApiError> {
        let Some(from) = self.adopts else { return Ok(()) };
        let known = state.claim(&from);
        let certified = known.and_then(|known| Some((known, known.certified.as_ref()?)));
        let source = certified.map(|(known, (old, _))| Source {
            claim: &old.body,
            kept: known.released.is_none_or(|released| self.window.holds(&released)),
            held: state.blob(&old.body.blob).is_some(),
        });
        let facts = AdoptFacts { claim: self.body(), from, source };
        custody::adopt(&facts).map_err(refused)
    }
}

/// Answers [`floe_api::Route::Finish`].
pub(super) async fn finish(
    node: &Arc<Node>,
    upload: UploadId,
    request: Finish<Received>,
) -> Answer {
    let Finish { claim, manifest, adopts, inline } = request;
    let wish = Wish { adopts, ..check(node, claim, manifest).await? };
    let wish = Arc::new(wish);
    if let Some(inline) = inline {
        // Nothing is stored for a claim that would be refused in the end.
        let asked = Arc::clone(&wish);
        node.read(move |state| asked.confirm(state, 1)).await??;
        take_inline(node, &wish, upload, inline).await?;
    }
    let missing = find_home(node, &wish, upload).await?;
    let answer =
        if missing > 0 { rebuilding(node, &wish, missing) } else { promise(node, &wish).await? };
    Ok(answer.response())
}

async fn check(node: &Arc<Node>, claim: SignedClaim, manifest: Received) -> Result<Wish, ApiError> {
    let epoch = node.epoch()?.under(&claim.record);
    let record = node.record_named(claim.record).await?;
    let layout = BlobLayout::new(epoch.geometry(), claim.body.length);
    let job = move || {
        claim.verify(&record).map_err(|error| ApiError::new(ErrorCode::StatementInvalid, error))?;
        let manifest = Manifest::verify(manifest.as_unverified(), claim.body.blob, layout)
            .map_err(|error| ApiError::new(ErrorCode::ManifestInvalid, error))?;
        Ok::<_, ApiError>((claim, manifest))
    };
    let (claim, manifest) = node.run(Work::Foreground, job).await??;
    let manifest = Arc::new(manifest);
    let (standing, now, window) = (node.gate.standing(), node.now(), node.window(&epoch));
    Ok(Wish { claim, manifest, adopts: None, epoch, standing, now, window })
}

/// A blob of one extent, that came with its permit and its content.
async fn take_inline(
    node: &Arc<Node>,
    wish: &Wish,
    upload: UploadId,
    inline: InlineExtent<Received>,
) -> Result<(), ApiError> {
    let InlineExtent { permit, extent: content } = inline;
    if permit.body.upload != upload || permit.body.claim != wish.body().claim {
        return Err(ApiError::malformed("the permit is for another upload or claim"));
    }
    let verified = extent::verify(node, &wish.epoch, content).await?;
    let ids = wish.manifest.all_stripe_ids();
    if verified.metadata.stripe_ids() != ids || wish.manifest.layout().extents() != 1 {
        let detail = "the extent in the request is not the blob's only one";
        return Err(ApiError::new(ErrorCode::ManifestInvalid, detail));
    }
    let key = uploads::admit(node, permit).await?;
    extent::store(node, key, ExtentIndex(0), verified).await
}

/// A key of an upload, and how many extents under it were checked against a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckedKey {
    pub(crate) key: BlobKey,
    extents: usize,
}

impl CheckedKey {
    /// Whether no extent came since: what is recorded of one never changes.
    pub(crate) fn is_current(self, state: &State) -> bool {
        state
            .key(self.key)
            .is_none_or(|under| under.blob().is_some() || under.extents().count() == self.extents)
    }
}

/// Gives the blob a key under which nothing lies but its own; how many slivers are missing there.
async fn find_home(node: &Arc<Node>, wish: &Arc<Wish>, upload: UploadId) -> Result<u64, ApiError> {
    for _ in 0..MOST_LOOKS {
        let own_key = upload_key(node, wish, upload).await?;
        if let Some(missing) = adopt(node, wish, own_key).await? {
            return Ok(missing);
        }
    }
    let detail = "extents of the upload are still coming in: ask again";
    Err(ApiError::overloaded(detail, REBUILDING_RETRY_SECONDS))
}

/// The key of the upload, if it is one of this claim and all that came is of this blob.
async fn upload_key(
    node: &Arc<Node>,
    wish: &Arc<Wish>,
    upload: UploadId,
) -> Result<Option<CheckedKey>, ApiError> {
    let wish = Arc::clone(wish);
    let found = node.with_store(Work::Foreground, move |store| {
        let known = store.read(|state| {
            let known = state.upload(&upload)?;
            (known.permit.body.claim == wish.body().claim).then_some(known.key)
        });
        let Some(key) = known else { return Ok(Ok(None)) };
        Ok(match check_extents(store, key, &wish.manifest)? {
            Ok(checked) => Ok(Some(checked)),
            Err(extent) => Err(ApiError::new(
                ErrorCode::ManifestInvalid,
                format_args!(
                    "extent {extent} of upload {upload} is not of blob {}",
                    wish.body().blob
                ),
            )),
        })
    });
    found.await?
}

/// Checks that all extents under the key are of the manifest; else the first one that is not.
pub(crate) fn check_extents(
    store: &Store,
    key: BlobKey,
    manifest: &Manifest,
) -> Result<Result<CheckedKey, ExtentIndex>, StoreError> {
    let extents: Vec<(ExtentIndex, ExtentShape)> = store.read(|state| {
        let under = state.key(key).filter(|under| under.blob().is_none());
        let extents = under.into_iter().flat_map(floe_store::KeyState::extents);
        extents.map(|(extent, known)| (extent, known.shape())).collect()
    });
    let checked = CheckedKey { key, extents: extents.len() };
    for (extent, known) in extents {
        let shape = manifest.layout().extent_shape(extent);
        let stored = store.metadata(key, extent)?.unwrap_or_default();
        // The same roots under another length are another stripe's: its pairs lie on other shards.
        let same = known == shape
            && ExtentMetadata::parse_for(shape, manifest.stripe_ids(extent), &stored).is_ok();
        if !same {
            return Ok(Err(extent));
        }
    }
    Ok(Ok(checked))
}

/// Gives the blob its key: the one it lives under, the upload's, or a new one; what came under the
/// upload's and is missing where the blob lives moves there first. Returns how many slivers are missing under it; `None` if more came under the upload's key than was checked.
async fn adopt(
    node: &Arc<Node>,
    wish: &Arc<Wish>,
    own_key: Option<CheckedKey>,
) -> Result<Option<u64>, ApiError> {
    let (manifest, claim) = (Arc::clone(&wish.manifest), wish.body().claim);
    let refused = match own_key {
        Some(own) => merge::into_home(node, manifest, (own.key, claim)).await?,
        None => 0,
    };
    let (wish, touching) = (Arc::clone(wish), Arc::clone(node));
    let epoch = Arc::clone(&wish.epoch);
    let (key, copy, missing) = node
        .transact_in(&epoch, move |state| {
            let claim = wish.body();
            if state.frozen(&claim.blob).is_some() {
                return Err(blobs::inconsistent(&claim.blob));
            }
            // Nothing is rebuilt for a claim that would be refused in the end.
            wish.confirm(state, 1)?;
            if own_key.is_some_and(|own| !own.is_current(state)) {
                return Ok((Vec::new(), (None, None, None)));
            }
            let live = state.blob(&claim.blob).map(|blob| blob.key);
            let usable = own_key.map(|own| own.key).filter(|key| {
                state
                    .key(*key)
                    .is_some_and(|under| under.blob().is_none_or(|(blob, _)| blob == claim.blob))
            });
            let Some(live) = live else {
                let key = usable.unwrap_or_else(|| state.next_key());
                let missing = missing_under(state, &wish, usable);
                let (blob, length) = (claim.blob, claim.length);
                let manifest = wish.manifest.encode();
                // In the same step, or it might expire in between.
                touching.signals.touch(key, claim.claim, wish.now);
                return Ok((
                    vec![Entry::Manifest { key, blob, length, manifest }],
                    (Some(key), None, Some(missing)),
                ));
            };
            let copy = usable.filter(|key| *key != live);
            if copy.is_some_and(|copy| merge::count(state, live, copy) > refused) {
                // More came since it was moved over.
                return Ok((Vec::new(), (None, None, None)));
            }
            let entries = copy.map(|key| Entry::Expired { key }).into_iter().collect();
            let missing = facts::missing_slivers(state, &wish.epoch, claim);
            Ok((entries, (Some(live), copy, Some(missing))))
        })
        .await?;
    if let Some(key) = key {
        node.signals.touch(key, claim, node.now());
    }
    if let Some(copy) = copy {
        node.signals.forget(copy);
        node.with_store(Work::Foreground, move |store| store.remove_blob(copy)).await?;
    }
    Ok(missing)
}

/// What will be missing once the manifest stands under the key.
fn missing_under(state: &State, wish: &Wish, key: Option<BlobKey>) -> u64 {
    let extents = u64::from(wish.manifest.layout().extents());
    let each = 2 * wish.epoch.shards.len() as u64;
    let under = key.and_then(|key| state.key(key));
    let held: u64 = under
        .into_iter()
        .flat_map(floe_store::KeyState::extents)
        .map(|(_, extent)| each - extent.missing(&wish.epoch.shards).len() as u64)
        .sum();
    (extents * each).saturating_sub(held)
}

fn rebuilding(node: &Node, wish: &Wish, missing_slivers: u64) -> FinishAnswer {
    node.repairs.want(wish.body().blob, wish.body().length, true);
    FinishAnswer::Rebuilding { missing_slivers, retry_after_seconds: REBUILDING_RETRY_SECONDS }
}

/// Binds the claim id, makes that and everything held durable, and signs. One sync is enough: after
/// a crash that kept the binding alone, nothing was signed, and what is not stable is checked again.
async fn promise(node: &Arc<Node>, wish: &Arc<Wish>) -> Result<FinishAnswer, ApiError> {
    let decided = Arc::clone(wish);
    let epoch = &wish.epoch;
    let verdict =
        node.transact_in(epoch, move |state| record_confirmation(state, &decided)).await?;
    if let Confirm::Heal { missing_slivers } = verdict {
        return Ok(rebuilding(node, wish, missing_slivers));
    }
    node.sync().await?;
    let (me, store, wish) = (node.me.clone(), Arc::clone(&node.store), Arc::clone(wish));
    let sign = move || {
        mark_stable(&store, &wish.body().blob);
        let (epoch, claim) = (&wish.epoch, wish.body());
        let confirmation = Confirmation::of(claim, epoch.geometry());
        let statement = confirmation.statement(&epoch.record.committee, &epoch.hash);
        Confirmed {
            node: me.node,
            incarnation: me.incarnation,
            record: epoch.hash,
            signature: store.key().sign(&statement),
        }
    };
    Ok(FinishAnswer::Confirmed(node.run(Work::Foreground, sign).await?))
}

/// All of the blob is here and synced, so that the next start need not check it. Not durable by
/// itself: without the mark it is checked.
fn mark_stable(store: &Store, blob: &BlobId) {
    let marked = store.transact(|state| {
        let known = state.blob_key(blob).filter(|(_, under)| !under.is_stable());
        let entry = known.map(|(key, _)| Entry::Stable { key });
        Ok::<_, std::convert::Infallible>((entry.into_iter().collect(), ()))
    });
    if let Err(error) = marked {
        tracing::debug!(%blob, %error, "a confirmed blob is not marked as stable");
    }
}

/// The confirmation as entries; none if it stands already.
fn record_confirmation(state: &State, wish: &Wish) -> Result<(Vec<Entry>, Confirm), ApiError> {
    let claim = wish.body();
    let missing = facts::missing_slivers(state, &wish.epoch, claim);
    let verdict = wish.confirm(state, missing)?;
    let Confirm::Sign { bind } = verdict else { return Ok((Vec::new(), verdict)) };
    let mut entries = Vec::new();
    if bind {
        let (claim, blob) = (claim.claim, claim.blob);
        entries.push(Entry::Catalog(floe_model::CatalogEntry::Binding { claim, blob }));
    }
    let known = state.claim(&claim.claim).and_then(|known| known.confirmed);
    if known.is_none_or(|known| {
        known.blob != claim.blob
            || known.record != wish.epoch.hash
            || wish.now.millis_since(known.at) >= RENEWED_MILLIS
    }) {
        let (claim, blob, record) = (claim.claim, claim.blob, wish.epoch.hash);
        entries.push(Entry::Confirmed { claim, blob, record, at: wish.now });
    }
    Ok((entries, verdict))
}
