//! A blob's home under a lease: what is rebuilt is brought to the node that gave it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use floe_api::messages::{Extent, LeasedBlob, Sliver};
use floe_api::{ApiError, CallError};
use floe_model::{Axis, BlobId, ExtentIndex, ShardIndex};
use floe_redstuff::{ExtentMetadata, InconsistencyProof, Verified};

use super::Bench;
use crate::repair::home::{Doing, Home, Look, Place, Rebuilt};
use crate::repair::tools::Tools;

/// A blob's home under a lease.
pub(super) struct LeasedHome {
    bench: Arc<Bench>,
    tools: Arc<Tools>,
    blob: BlobId,
    missing: BTreeMap<ExtentIndex, Vec<Place>>,
}

impl LeasedHome {
    /// The home of a blob of a lease.
    pub(super) fn new(bench: Arc<Bench>, tools: Arc<Tools>, leased: &LeasedBlob) -> Self {
        let places = |(primaries, secondaries): &(Vec<_>, Vec<_>)| -> Vec<Place> {
            let secondaries = secondaries.iter().map(|pair| (*pair, Axis::Secondary));
            secondaries.chain(primaries.iter().map(|pair| (*pair, Axis::Primary))).collect()
        };
        let known =
            leased.extents.iter().filter_map(|it| Some((it.extent, places(it.missing.as_ref()?))));
        Self { bench, tools, blob: leased.blob, missing: known.collect() }
    }

    async fn bring(
        &self,
        extent: ExtentIndex,
        metadata: Arc<Verified<ExtentMetadata>>,
        slivers: Vec<Rebuilt>,
    ) -> Result<(), ApiError> {
        let metrics = &self.tools.metrics;
        let restored: Vec<_> =
            slivers.iter().map(|it| (it.sliver.axis(), it.way, it.sliver.bytes().len())).collect();
        let content = Extent {
            length_bytes: u32::try_from(metadata.shape().length()).unwrap_or(u32::MAX),
            metadata: metadata.encode(),
            slivers: slivers
                .into_iter()
                .map(|Rebuilt { pair, sliver, .. }| Sliver {
                    axis: sliver.axis(),
                    pair,
                    bytes: sliver.into_inner().into_bytes(),
                })
                .collect(),
        };
        let Bench { target, held, .. } = &*self.bench;
        let client = &self.tools.peers.client;
        let put = client.put_repaired(target, *held, (self.blob, extent), &content).await;
        for (axis, way, bytes) in restored {
            if put.is_err() {
                metrics.sliver_failed(axis, way);
                continue;
            }
            metrics.sliver_restored(axis, way, bytes);
            self.tools.note(bytes, 0);
            self.bench.slivers.fetch_add(1, Ordering::Relaxed);
            self.bench.restored_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        put.map(drop).map_err(|error| match error {
            CallError::Api(error) => error,
            error => ApiError::internal(error),
        })
    }
}

impl Home for LeasedHome {
    fn shards(&self) -> &[ShardIndex] {
        &self.bench.shards
    }

    fn look(&self, extent: ExtentIndex) -> Doing<'_, Option<Look>> {
        let look = |missing: &Vec<Place>| Look { missing: missing.clone(), held: Vec::new() };
        let look = self.missing.get(&extent).map(look);
        Box::pin(async move { Ok(look) })
    }

    fn metadata(&self, _: ExtentIndex) -> Doing<'_, Option<Vec<u8>>> {
        Box::pin(async { Ok(None) })
    }

    fn found(&self, _: ExtentIndex, _: Arc<Verified<ExtentMetadata>>) -> Doing<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn sliver(&self, _: ExtentIndex, _: Place) -> Doing<'_, Option<Vec<u8>>> {
        Box::pin(async { Ok(None) })
    }

    fn keep(
        &self,
        extent: ExtentIndex,
        metadata: Arc<Verified<ExtentMetadata>>,
        slivers: Vec<Rebuilt>,
    ) -> Doing<'_, ()> {
        Box::pin(self.bring(extent, metadata, slivers))
    }

    /// Only the node itself can freeze a blob: the proof is found again there.
    fn freeze(&self, extent: ExtentIndex, _: InconsistencyProof) -> Doing<'_, ()> {
        tracing::warn!(blob = %self.blob, %extent, "the blob is proven to be encoded wrongly by its writer, it is given back");
        Box::pin(async { Ok(()) })
    }
}
