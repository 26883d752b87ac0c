//! A blob's home on this node's own volume.

use std::sync::Arc;

use floe_api::ApiError;
use floe_env::Work;
use floe_model::{BlobId, BlobLayout, ExtentIndex, ShardIndex};
use floe_redstuff::{ExtentMetadata, InconsistencyProof, Manifest, Verified};
use floe_store::{BlobKey, Entry, ExtentState, State, Store, StoreError, Window};

use super::context::{Context, fetch_manifest};
use super::holders::Holders;
use super::home::{Doing, Home, Look, Place, Rebuilt};
use crate::node::Node;
use crate::routes;

/// A blob's home on this node's own volume.
pub(super) struct VolumeHome {
    node: Arc<Node>,
    blob: BlobId,
    key: BlobKey,
    shards: Vec<ShardIndex>,
}

/// Finds the blob here, or makes it a home with a peer's manifest, to restore slivers of `shards`.
/// `None` if no peer has the manifest now.
pub(crate) async fn open(
    node: &Arc<Node>,
    holders: &Arc<Holders>,
    (blob, length): (BlobId, u64),
    shards: &[ShardIndex],
) -> Result<Option<(Context, BlobKey)>, ApiError> {
    let layout = BlobLayout::new(holders.geometry, length);
    let here = node.with_store(Work::Repair, move |store| {
        let Some(known) = store.read(|state| state.blob(&blob)) else { return Ok(None) };
        let bytes = store.manifest(known.key)?.unwrap_or_default();
        Ok(Some((known.key, Manifest::verify(&bytes, blob, layout))))
    });
    let tools = &node.repairs.tools;
    let (key, manifest) = match here.await? {
        Some((key, manifest)) => (key, Arc::new(manifest.map_err(ApiError::internal)?)),
        None => match fetch_manifest(tools, holders, blob, layout).await? {
            Some(manifest) => (settle(node, blob, &manifest).await?, manifest),
            None => return Ok(None),
        },
    };
    let home = VolumeHome { node: Arc::clone(node), blob, key, shards: shards.to_vec() };
    let (tools, holders) = (Arc::clone(tools), Arc::clone(holders));
    Ok(Some((Context { tools, holders, blob, manifest, home: Arc::new(home) }, key)))
}

impl VolumeHome {
    async fn look_now(&self, extent: ExtentIndex) -> Result<Option<Look>, ApiError> {
        let (key, shards) = (self.key, self.shards.clone());
        let look = move |known: &ExtentState| Look {
            missing: known.missing(&shards),
            held: known.held().collect(),
        };
        self.node.read(move |state| state.key(key)?.extent(extent).map(look)).await
    }

    async fn write(&self, extent: ExtentIndex, slivers: Vec<Rebuilt>) -> Result<(), ApiError> {
        let key = self.key;
        for Rebuilt { pair, sliver, way } in slivers {
            let (axis, bytes) = (sliver.axis(), sliver.bytes().len());
            let tools = &self.node.repairs.tools;
            let put = move |store: &Store| store.put_sliver(key, extent, pair, &sliver);
            if let Err(error) = self.node.with_store(Work::Repair, put).await {
                tools.metrics.sliver_failed(axis, way);
                return Err(error);
            }
            tools.metrics.sliver_restored(axis, way, bytes);
            tools.note(bytes, 0);
        }
        Ok(())
    }

    async fn record(
        &self,
        extent: ExtentIndex,
        metadata: Arc<Verified<ExtentMetadata>>,
    ) -> Result<(), ApiError> {
        let key = self.key;
        let record = move |store: &Store| routes::record_extent(store, key, extent, &metadata);
        if self.node.with_store(Work::Repair, record).await? {
            return Ok(());
        }
        Err(ApiError::internal("other metadata of the extent is stored here"))
    }

    /// Marks the blob as inconsistent; reads of it fail from now on. The proof is kept behind the
    /// number of its extent, four bytes, little endian.
    async fn mark_frozen(
        &self,
        extent: ExtentIndex,
        proof: InconsistencyProof,
    ) -> Result<(), ApiError> {
        let blob = self.blob;
        let mut bytes = extent.0.to_le_bytes().to_vec();
        bytes.extend(proof.encode());
        tracing::error!(%blob, %extent, "the blob is proven to be encoded wrongly by its writer, it is frozen");
        self.node.transact(move |_| Ok((vec![Entry::Frozen { blob, proof: bytes }], ()))).await?;
        self.node.sync().await
    }
}

impl Home for VolumeHome {
    fn shards(&self) -> &[ShardIndex] {
        &self.shards
    }

    fn look(&self, extent: ExtentIndex) -> Doing<'_, Option<Look>> {
        Box::pin(self.look_now(extent))
    }

    fn metadata(&self, extent: ExtentIndex) -> Doing<'_, Option<Vec<u8>>> {
        let key = self.key;
        Box::pin(self.node.with_store(Work::Repair, move |store| store.metadata(key, extent)))
    }

    fn found(&self, extent: ExtentIndex, metadata: Arc<Verified<ExtentMetadata>>) -> Doing<'_, ()> {
        Box::pin(self.record(extent, metadata))
    }

    fn sliver(&self, extent: ExtentIndex, (pair, axis): Place) -> Doing<'_, Option<Vec<u8>>> {
        let key = self.key;
        let read = move |store: &Store| store.read_sliver(key, extent, pair, axis, 0..usize::MAX);
        Box::pin(self.node.with_store(Work::Repair, read))
    }

    fn keep(
        &self,
        extent: ExtentIndex,
        _metadata: Arc<Verified<ExtentMetadata>>,
        slivers: Vec<Rebuilt>,
    ) -> Doing<'_, ()> {
        Box::pin(self.write(extent, slivers))
    }

    fn freeze(&self, extent: ExtentIndex, proof: InconsistencyProof) -> Doing<'_, ()> {
        Box::pin(self.mark_frozen(extent, proof))
    }
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
    let decide = move |state: &State| {
        if let Some(known) = state.blob(&blob) {
            return Ok((Vec::new(), known.key));
        }
        let open = |own: &routes::CheckedKey| {
            own.is_current(state) && state.key(own.key).is_some_and(|under| under.blob().is_none())
        };
        let key = upload.filter(open).map_or_else(|| state.next_key(), |own| own.key);
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

/// Whether the blob could still be wanted here: it is owed, or it has a place and waits for claims.
pub(super) fn is_wanted(state: &State, blob: &BlobId, window: &Window) -> bool {
    state.blob(blob).is_some() || state.owes(blob, window).is_some()
}
