//! Where rebuilt slivers go.

use std::sync::Arc;

use floe_api::ApiError;
use floe_env::BoxFuture;
use floe_model::{Axis, ExtentIndex, PairIndex, ShardIndex};
use floe_redstuff::{ExtentMetadata, ExtentSliver, InconsistencyProof, Verified};

use crate::metrics::RepairPath;

/// A sliver's place in its extent.
pub(crate) type Place = (PairIndex, Axis);

/// What a volume has of one extent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// What is to be restored, secondaries first.
    pub(crate) missing: Vec<Place>,
    /// What can be read here.
    pub(crate) held: Vec<Place>,
}

/// A sliver that is back, and the way it came.
pub(crate) struct Rebuilt {
    pub(crate) pair: PairIndex,
    pub(crate) sliver: Verified<ExtentSliver>,
    pub(crate) way: RepairPath,
}

impl Rebuilt {
    /// Its place.
    pub(crate) fn place(&self) -> Place {
        (self.pair, self.sliver.axis())
    }
}

/// What happens to one extent.
pub(crate) type Doing<'a, T> = BoxFuture<'a, Result<T, ApiError>>;

/// Where one blob's rebuilt slivers go: this node's volume, or, under a lease, that of another node.
pub(crate) trait Home: Send + Sync {
    /// The shards whose slivers are to be restored.
    fn shards(&self) -> &[ShardIndex];

    /// What there is of an extent; `None` if not even its metadata is known.
    fn look(&self, extent: ExtentIndex) -> Doing<'_, Option<Look>>;

    /// The extent's metadata, if it is at hand.
    fn metadata(&self, extent: ExtentIndex) -> Doing<'_, Option<Vec<u8>>>;

    /// The metadata of an extent was found.
    fn found(&self, extent: ExtentIndex, metadata: Arc<Verified<ExtentMetadata>>) -> Doing<'_, ()>;

    /// A sliver that is at hand; `None` if it turns out not to be.
    fn sliver(&self, extent: ExtentIndex, place: Place) -> Doing<'_, Option<Vec<u8>>>;

    /// Slivers of an extent are back.
    fn keep(
        &self,
        extent: ExtentIndex,
        metadata: Arc<Verified<ExtentMetadata>>,
        slivers: Vec<Rebuilt>,
    ) -> Doing<'_, ()>;

    /// The extent is proven to be encoded wrongly.
    fn freeze(&self, extent: ExtentIndex, proof: InconsistencyProof) -> Doing<'_, ()>;
}
