//! An upload of a blob that lives here already: what its home lacks moves over before the upload's
//! key expires. Without that, a blob that nobody can read any more would stay so for ever, however
//! often it is uploaded again.

use std::sync::Arc;

use floe_api::ApiError;
use floe_env::Work;
use floe_model::{Axis, BlobId, ClaimId, ExtentIndex, PairIndex, Unverified};
use floe_redstuff::{ExtentMetadata, Manifest, Verified, verify_sliver};
use floe_store::{BlobKey, ExtentState, State, Store, StoreError};

use crate::node::Node;
use crate::routes::extent;

/// What lies under `copy` and is missing under `home`, by extent. Empty if one of them is gone.
fn gifts(
    state: &State,
    home: BlobKey,
    copy: BlobKey,
) -> impl Iterator<Item = (ExtentIndex, Vec<(PairIndex, Axis)>)> + '_ {
    let keys = state.key(home).zip(state.key(copy));
    keys.into_iter().flat_map(|(home, copy)| {
        copy.extents().filter_map(|(extent, held)| {
            let there = home.extent(extent);
            let lacks = |(pair, axis): &(PairIndex, Axis)| {
                !there.is_some_and(|there: &ExtentState| there.holds(*pair, *axis))
            };
            let slivers: Vec<(PairIndex, Axis)> = held.held().filter(lacks).collect();
            (!slivers.is_empty()).then_some((extent, slivers))
        })
    })
}

/// Slivers under `copy` that are missing under `home`.
pub(super) fn count(state: &State, home: BlobKey, copy: BlobKey) -> usize {
    gifts(state, home, copy).map(|(_, slivers)| slivers.len()).sum()
}

/// Moves to the blob's home what it lacks and `copy` has, for the sake of `claim`. Returns how many slivers cannot be taken.
pub(super) async fn into_home(
    node: &Arc<Node>,
    manifest: Arc<Verified<Manifest>>,
    (copy, claim): (BlobKey, ClaimId),
) -> Result<usize, ApiError> {
    let blob = manifest.id();
    let wanted = node.read(move |state| {
        let home = home_of(state, &blob).filter(|home| *home != copy)?;
        Some((home, gifts(state, home, copy).collect::<Vec<_>>()))
    });
    let Some((home, extents)) = wanted.await? else { return Ok(0) };
    let mut refused = 0;
    for (extent, slivers) in extents {
        node.signals.touch(home, claim, node.now());
        let manifest = Arc::clone(&manifest);
        let take = move |store: &Store| {
            match move_extent(store, &manifest, (home, copy), (extent, &slivers)) {
                // One of the keys expired meanwhile: the next look tells which.
                Err(StoreError::UnknownKey(_) | StoreError::UnknownExtent { .. }) => Ok(0),
                other => other,
            }
        };
        refused += node.with_store(Work::Foreground, take).await?;
    }
    Ok(refused)
}

fn home_of(state: &State, blob: &BlobId) -> Option<BlobKey> {
    state.blob(blob).map(|known| known.key)
}

/// Each sliver is checked against the roots that the blob's id names: the copy is somebody's word.
fn move_extent(
    store: &Store,
    manifest: &Manifest,
    (home, copy): (BlobKey, BlobKey),
    (extent, slivers): (ExtentIndex, &[(PairIndex, Axis)]),
) -> Result<usize, StoreError> {
    let shape = manifest.layout().extent_shape(extent);
    let stored = store.metadata(copy, extent)?.unwrap_or_default();
    let metadata = ExtentMetadata::parse_for(shape, manifest.stripe_ids(extent), &stored);
    let Ok(metadata) = metadata else { return Ok(slivers.len()) };
    if !extent::record(store, home, extent, &metadata)? {
        return Ok(slivers.len());
    }
    let mut refused = 0;
    for &(pair, axis) in slivers {
        let range = 0..shape.sliver_bytes(axis);
        let Some(bytes) = store.read_sliver(copy, extent, pair, axis, range)? else { continue };
        let index = shape.geometry().sliver_of_pair(axis, pair);
        match verify_sliver(&metadata, axis, index, Unverified::new(bytes)) {
            Ok(sliver) => store.put_sliver(home, extent, pair, &sliver)?,
            Err(_) => refused += 1,
        }
    }
    Ok(refused)
}
