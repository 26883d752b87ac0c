//! One blob under repair: its manifest, its metadata, the peers to ask, and where it goes.

use std::sync::Arc;

use floe_api::ApiError;
use floe_model::{BlobId, BlobLayout, ExtentIndex};
use floe_redstuff::{ExtentMetadata, Manifest, MetadataError, Verified};

use super::holders::Holders;
use super::home::Home;
use super::tools::Tools;

/// One blob under repair.
pub(crate) struct Context {
    pub(crate) tools: Arc<Tools>,
    pub(crate) holders: Arc<Holders>,
    pub(crate) blob: BlobId,
    pub(crate) manifest: Arc<Verified<Manifest>>,
    pub(crate) home: Arc<dyn Home>,
}

impl Context {
    /// The extent's metadata: at hand, or a peer's that leads to the manifest's ids. `None` if no
    /// peer has it now.
    pub(crate) async fn metadata(
        &self,
        extent: ExtentIndex,
    ) -> Result<Option<Arc<Verified<ExtentMetadata>>>, ApiError> {
        if let Some(held) = self.home.metadata(extent).await? {
            let held = self.parse(extent, held).await?;
            return held.map(Some).map_err(ApiError::internal);
        }
        let shape = self.manifest.layout().extent_shape(extent);
        let expected = ExtentMetadata::encoded_bytes(shape);
        let peers: Vec<_> = self.holders.peers().map(|(_, target)| target).collect();
        // Not always the same one is asked first.
        let turn = usize::from(self.blob.as_bytes()[0]) + extent.0 as usize;
        let start = turn.checked_rem(peers.len()).unwrap_or(0);
        for target in peers.iter().cycle().skip(start).take(peers.len()) {
            if !self.tools.answers(target) {
                continue;
            }
            let answer = self.tools.peers.metadata(target, (self.blob, extent), expected).await;
            let Some(bytes) = self.tools.heard(target, answer) else { continue };
            let bytes = bytes.into_unverified();
            self.tools.metrics.repair_overhead(bytes.len());
            match self.parse(extent, bytes).await? {
                Err(error) => self.tools.lied(&target.node, &error.to_string()),
                Ok(metadata) => {
                    self.home.found(extent, Arc::clone(&metadata)).await?;
                    return Ok(Some(metadata));
                }
            }
        }
        Ok(None)
    }

    async fn parse(
        &self,
        extent: ExtentIndex,
        bytes: Vec<u8>,
    ) -> Result<Result<Arc<Verified<ExtentMetadata>>, MetadataError>, ApiError> {
        let manifest = Arc::clone(&self.manifest);
        self.tools.run(move || parse(&manifest, extent, &bytes)).await
    }
}

/// Metadata that leads to the manifest's ids.
pub(crate) fn parse(
    manifest: &Manifest,
    extent: ExtentIndex,
    bytes: &[u8],
) -> Result<Arc<Verified<ExtentMetadata>>, MetadataError> {
    let shape = manifest.layout().extent_shape(extent);
    ExtentMetadata::parse_for(shape, manifest.stripe_ids(extent), bytes).map(Arc::new)
}

/// A blob's manifest, from whoever has it now.
pub(crate) async fn fetch_manifest(
    tools: &Tools,
    holders: &Holders,
    blob: BlobId,
    layout: BlobLayout,
) -> Result<Option<Arc<Verified<Manifest>>>, ApiError> {
    if layout.is_single_stripe() {
        // Its id is its manifest.
        let manifest = Manifest::verify(blob.as_bytes(), blob, layout);
        return manifest.map(|manifest| Some(Arc::new(manifest))).map_err(ApiError::internal);
    }
    for (_, target) in holders.peers().filter(|(_, target)| tools.answers(target)) {
        let answer = tools.peers.client.manifest(target, blob).await;
        let Some(found) = tools.heard(target, answer.map(|it| it.value)) else { continue };
        let bytes = found.bytes.into_unverified();
        tools.metrics.repair_overhead(bytes.len());
        match tools.run(move || Manifest::verify(&bytes, blob, layout)).await? {
            Ok(manifest) => return Ok(Some(Arc::new(manifest))),
            Err(error) => tools.lied(&target.node, &error.to_string()),
        }
    }
    Ok(None)
}
