//! One blob under repair: its key, its manifest, its metadata, and the peers to ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_api::{ApiError, CallError, Target};
use floe_env::Work;
use floe_model::{BlobId, BlobLayout, ExtentIndex, NodeName};
use floe_redstuff::{ExtentMetadata, Manifest, Verified};
use floe_store::{BlobKey, Entry, State, Store, StoreError};

use crate::node::{Epoch, Node};
use crate::routes;

/// One blob under repair.
pub(crate) struct Context {
    pub(crate) node: Arc<Node>,
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) blob: BlobId,
    pub(crate) key: BlobKey,
    pub(crate) manifest: Arc<Verified<Manifest>>,
    /// The peers by their positions.
    pub(crate) targets: BTreeMap<usize, Target>,
}

impl Context {
    /// Finds the blob here, or makes it a home with a peer's manifest. `None` if no peer has one now.
    pub(crate) async fn open(
        node: &Arc<Node>,
        epoch: &Arc<Epoch>,
        (blob, length): (BlobId, u64),
    ) -> Result<Option<Self>, ApiError> {
        let layout = BlobLayout::new(epoch.geometry(), length);
        let here = node.with_store(Work::Repair, move |store| {
            let Some(known) = store.read(|state| state.blob(&blob)) else { return Ok(None) };
            let bytes = store.manifest(known.key)?.unwrap_or_default();
            Ok(Some((known.key, Manifest::verify(&bytes, blob, layout))))
        });
        let (key, manifest) = match here.await? {
            Some((key, manifest)) => (key, Arc::new(manifest.map_err(ApiError::internal)?)),
            None => match fetch_manifest(node, epoch, blob, layout).await? {
                Some(manifest) => (settle(node, blob, &manifest).await?, manifest),
                None => return Ok(None),
            },
        };
        let (node, epoch) = (Arc::clone(node), Arc::clone(epoch));
        let targets = epoch.peers().collect();
        Ok(Some(Self { node, epoch, blob, key, manifest, targets }))
    }

    /// The extent's metadata: held here, or a peer's that leads to the manifest's ids. `None` if no
    /// peer has it now.
    pub(crate) async fn metadata(
        &self,
        extent: ExtentIndex,
    ) -> Result<Option<Arc<Verified<ExtentMetadata>>>, ApiError> {
        let (key, manifest) = (self.key, Arc::clone(&self.manifest));
        let held = self.node.with_store(Work::Repair, move |store| {
            let bytes = store.metadata(key, extent)?;
            Ok(bytes.map(|bytes| parse(&manifest, extent, &bytes)))
        });
        if let Some(held) = held.await? {
            return held.map(Some).map_err(ApiError::internal);
        }
        for target in self.targets.values().filter(|target| answers(&self.node, target)) {
            let answer = self.node.peers.metadata(target, self.blob, extent).await;
            let Some(bytes) = heard(&self.node, target, answer.map(|it| it.value.0)) else {
                continue;
            };
            let bytes = bytes.into_unverified();
            self.node.metrics.repair_overhead(bytes.len());
            let manifest = Arc::clone(&self.manifest);
            let job = move || parse(&manifest, extent, &bytes);
            match self.node.run(Work::Repair, job).await? {
                Err(error) => self.lied(&target.node, &error.to_string()),
                Ok(metadata) => {
                    let recorded = Arc::clone(&metadata);
                    let record =
                        move |store: &Store| routes::record_extent(store, key, extent, &recorded);
                    if self.node.with_store(Work::Repair, record).await? {
                        return Ok(Some(metadata));
                    }
                    return Err(ApiError::internal("other metadata of the extent is stored here"));
                }
            }
        }
        Ok(None)
    }

    /// What a peer sent fails its check.
    pub(crate) fn lied(&self, peer: &NodeName, what: &str) {
        self.node.verification_failed(peer, what);
    }

    /// Payload for a sliver of some axis came in.
    pub(crate) fn spent(&self, bytes: usize) {
        let now = self.node.monotonic();
        self.node.repairs.rate.spend(now, bytes);
        self.node.repairs.note(now, 0, bytes);
    }

    /// Waits until repair may read again.
    pub(crate) async fn pace(&self) {
        if let Some(wait) = self.node.repairs.rate.wait(self.node.monotonic()) {
            self.node.env.clock.sleep(wait).await;
        }
    }
}

fn parse(
    manifest: &Manifest,
    extent: ExtentIndex,
    bytes: &[u8],
) -> Result<Arc<Verified<ExtentMetadata>>, floe_redstuff::MetadataError> {
    let shape = manifest.layout().extent_shape(extent);
    ExtentMetadata::parse_for(shape, manifest.stripe_ids(extent), bytes).map(Arc::new)
}

/// Whether the peer is worth asking now.
pub(crate) fn answers(node: &Node, target: &Target) -> bool {
    !node.repairs.suspects.is_silent(&target.node, node.monotonic())
}

/// A peer's answer, if there is one; silence is remembered.
pub(crate) fn heard<T>(node: &Node, target: &Target, answer: Result<T, CallError>) -> Option<T> {
    let suspects = &node.repairs.suspects;
    match answer {
        Ok(value) => {
            suspects.answered(&target.node);
            Some(value)
        }
        Err(CallError::Unreachable { .. }) => {
            suspects.silent(&target.node, node.monotonic());
            None
        }
        Err(CallError::Timeout { .. }) => {
            suspects.hung(&target.node, node.monotonic());
            None
        }
        Err(error) => {
            tracing::debug!(%error, "a peer has nothing for repair");
            None
        }
    }
}

async fn fetch_manifest(
    node: &Arc<Node>,
    epoch: &Epoch,
    blob: BlobId,
    layout: BlobLayout,
) -> Result<Option<Arc<Verified<Manifest>>>, ApiError> {
    if layout.is_single_stripe() {
        // Its id is its manifest.
        let manifest = Manifest::verify(blob.as_bytes(), blob, layout);
        return manifest.map(|manifest| Some(Arc::new(manifest))).map_err(ApiError::internal);
    }
    for (_, target) in epoch.peers().filter(|(_, target)| answers(node, target)) {
        let answer = node.peers.manifest(&target, blob).await;
        let Some(found) = heard(node, &target, answer.map(|it| it.value)) else { continue };
        let bytes = found.bytes.into_unverified();
        node.metrics.repair_overhead(bytes.len());
        match node.run(Work::Repair, move || Manifest::verify(&bytes, blob, layout)).await? {
            Ok(manifest) => return Ok(Some(Arc::new(manifest))),
            Err(error) => node.verification_failed(&target.node, &error.to_string()),
        }
    }
    Ok(None)
}

/// Gives the blob a key: that of an upload of one of its claims, if all that came is of this blob,
/// else a new one.
async fn settle(
    node: &Arc<Node>,
    blob: BlobId,
    manifest: &Arc<Verified<Manifest>>,
) -> Result<BlobKey, ApiError> {
    let of = Arc::clone(manifest);
    let upload = node.with_store(Work::Repair, move |store| upload_of(store, blob, &of)).await?;
    let (manifest, length) = (manifest.encode(), manifest.layout().length());
    let (touching, now) = (Arc::clone(node), node.now());
    let decide = move |state: &State| {
        if let Some(known) = state.blob(&blob) {
            return Ok((Vec::new(), known.key));
        }
        let open = |own: &routes::CheckedKey| {
            own.is_current(state) && state.key(own.key).is_some_and(|under| under.blob().is_none())
        };
        let key = upload.filter(open).map_or_else(|| state.next_key(), |own| own.key);
        // In the same step, or it might expire in between.
        touching.signals.touch(key, now);
        Ok((vec![Entry::Manifest { key, blob, length, manifest }], key))
    };
    node.transact(decide).await
}

fn upload_of(
    store: &Store,
    blob: BlobId,
    manifest: &Manifest,
) -> Result<Option<routes::CheckedKey>, StoreError> {
    let candidate = store.read(|state| {
        let claims: Vec<_> = state.claims_of_blob(&blob).map(|(claim, _)| *claim).collect();
        let mut uploads = state.uploads().map(|(_, upload)| upload);
        uploads.find(|upload| claims.contains(&upload.permit.body.claim)).map(|upload| upload.key)
    });
    let Some(key) = candidate else { return Ok(None) };
    Ok(routes::check_extents(store, key, manifest)?.ok())
}

/// Marks the blob as inconsistent; reads of it fail from now on. The proof is kept behind the number
/// of its extent, four bytes, little endian.
pub(crate) async fn freeze(
    context: &Context,
    extent: ExtentIndex,
    proof: &floe_redstuff::InconsistencyProof,
) -> Result<(), ApiError> {
    let blob = context.blob;
    let mut bytes = extent.0.to_le_bytes().to_vec();
    bytes.extend(proof.encode());
    tracing::error!(%blob, %extent, "the blob is proven to be encoded wrongly by its writer, it is frozen");
    context.node.transact(move |_| Ok((vec![Entry::Frozen { blob, proof: bytes }], ()))).await?;
    context.node.sync().await
}

/// Claims that could still want the blob here: owed, or confirmed and waiting.
pub(crate) fn is_wanted(state: &State, blob: &BlobId) -> bool {
    state.blob(blob).is_some()
        || state.claims_of_blob(blob).any(|(_, claim)| {
            claim.certified.as_ref().is_some_and(|(claim, _)| claim.body.blob == *blob)
        })
}
