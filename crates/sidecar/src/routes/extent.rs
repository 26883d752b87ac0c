//! One extent as a client sends it: verified first, then stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use floe_api::messages::Extent;
use floe_api::{ApiError, ErrorCode};
use floe_env::Work;
use floe_model::{Axis, BlobId, BlobLayout, ExtentIndex, ExtentShape, PairIndex};
use floe_redstuff::{ExtentMetadata, ExtentSliver, Manifest, Verified, verify_sliver};
use floe_store::{BlobKey, Entry, KeyState, Store, StoreError, TransactError};
use futures::future::try_join_all;

use crate::node::{Epoch, Node, Received};

/// An extent whose every byte agrees with its metadata, and whose pairs are this node's.
pub(super) struct VerifiedExtent {
    pub(super) metadata: Arc<Verified<ExtentMetadata>>,
    slivers: Vec<(PairIndex, Verified<ExtentSliver>)>,
}

/// Checks everything about an extent of an upload under `epoch` that can be checked before its
/// manifest is known.
pub(super) async fn verify(
    node: &Arc<Node>,
    epoch: &Epoch,
    content: Extent<Received>,
) -> Result<VerifiedExtent, ApiError> {
    let shape = shape_of(epoch, content.length_bytes)?;
    let bytes = content.metadata.into_unverified();
    let metadata = node.run(Work::Foreground, move || ExtentMetadata::parse(shape, &bytes)).await?;
    let metadata = metadata.map_err(|error| ApiError::new(ErrorCode::MetadataInvalid, error))?;
    let places = content.slivers.iter().map(|sliver| (sliver.axis, sliver.pair));
    check_places(epoch, &metadata, places)?;
    let metadata = Arc::new(metadata);
    // Each sliver is a job of its own, so that they are checked side by side.
    let jobs = content.slivers.into_iter().map(|sliver| {
        let metadata = Arc::clone(&metadata);
        let index = epoch.geometry().sliver_of_pair(sliver.axis, sliver.pair);
        async move {
            let job = move || verify_sliver(&metadata, sliver.axis, index, sliver.bytes);
            let verified = node.run(Work::Foreground, job).await?;
            let invalid = |error| ApiError::new(ErrorCode::SliverInvalid, error);
            Ok::<_, ApiError>((sliver.pair, verified.map_err(invalid)?))
        }
    });
    let slivers = try_join_all(jobs).await?;
    Ok(VerifiedExtent { metadata, slivers })
}

fn shape_of(epoch: &Epoch, length_bytes: u32) -> Result<ExtentShape, ApiError> {
    let length = usize::try_from(length_bytes).unwrap_or(usize::MAX);
    ExtentShape::new(epoch.geometry(), length)
        .map_err(|error| ApiError::new(ErrorCode::MetadataInvalid, error))
}

/// Every pair lies on a shard of this node, and none comes twice.
fn check_places(
    epoch: &Epoch,
    metadata: &ExtentMetadata,
    places: impl Iterator<Item = (Axis, PairIndex)>,
) -> Result<(), ApiError> {
    let geometry = epoch.geometry();
    let mut seen = BTreeSet::new();
    for (axis, pair) in places {
        let refuse = |why: String| {
            let detail = format!("the {axis} sliver of pair {pair} {why}");
            Err(ApiError::new(ErrorCode::SliverInvalid, detail))
        };
        if pair.0 >= geometry.shards() {
            return refuse(format!(
                "does not exist: a committee of {} has 0 to {}",
                geometry.shards(),
                geometry.shards() - 1
            ));
        }
        let shard = geometry.shard_of_pair(metadata.first_stripe(), pair);
        if !epoch.shards.contains(&shard) {
            return refuse(format!("belongs on shard {shard}, which is not this node's"));
        }
        if !seen.insert((axis, pair)) {
            return refuse("comes twice".to_owned());
        }
    }
    Ok(())
}

/// Stores a verified extent under a key; what is there already stays.
pub(super) async fn store(
    node: &Arc<Node>,
    key: BlobKey,
    index: ExtentIndex,
    verified: VerifiedExtent,
) -> Result<(), ApiError> {
    let outcome = node
        .with_store(Work::Foreground, move |store| {
            // The log has no bound of its own: metadata alone must not fill the disk.
            store.require_space(ExtentMetadata::encoded_bytes(verified.metadata.shape()) as u64)?;
            if !record(store, key, index, &verified.metadata)? {
                return Ok(false);
            }
            for (pair, sliver) in &verified.slivers {
                store.put_sliver(key, index, *pair, sliver)?;
            }
            Ok(true)
        })
        .await?;
    if outcome {
        return Ok(());
    }
    let detail = format!(
        "extent {index} of this upload came before with other metadata, or is not of the blob that \
         it was finished as: draw a new upload id"
    );
    Err(ApiError::new(ErrorCode::MetadataInvalid, detail))
}

/// Records the extent's metadata under the key; false if other metadata is there, or if a blob lives
/// there of which this is no part.
pub(crate) fn record(
    store: &Store,
    key: BlobKey,
    extent: ExtentIndex,
    metadata: &Verified<ExtentMetadata>,
) -> Result<bool, StoreError> {
    loop {
        let blob = store.read(|state| state.key(key).and_then(KeyState::blob));
        if let Some(blob) = blob
            && !is_part(store, key, blob, (extent, metadata))?
        {
            return Ok(false);
        }
        // The blob comes once: when it came in between, it is looked at, and then stays.
        if let Some(recorded) = record_under(store, key, blob, (extent, metadata))? {
            return Ok(recorded);
        }
    }
}

/// Whether the manifest under the key has this extent: without that check, bytes of another blob
/// could be sent after the manifest, and be confirmed as this one's.
fn is_part(
    store: &Store,
    key: BlobKey,
    (blob, length): (BlobId, u64),
    (extent, metadata): (ExtentIndex, &ExtentMetadata),
) -> Result<bool, StoreError> {
    let layout = BlobLayout::new(metadata.shape().geometry(), length);
    let stored = store.manifest(key)?.unwrap_or_default();
    Ok(Manifest::verify(&stored, blob, layout).is_ok_and(|manifest| {
        extent.0 < layout.extents()
            && layout.extent_shape(extent) == metadata.shape()
            && manifest.stripe_ids(extent) == metadata.stripe_ids()
    }))
}

/// `None` if the key has another blob than `blob` meanwhile: nothing is recorded then.
fn record_under(
    store: &Store,
    key: BlobKey,
    blob: Option<(BlobId, u64)>,
    (extent, metadata): (ExtentIndex, &Verified<ExtentMetadata>),
) -> Result<Option<bool>, StoreError> {
    let encoded = metadata.encode();
    let outcome = store.transact(|state| {
        let under = state.key(key).ok_or(StoreError::UnknownKey(key))?;
        if under.blob() != blob {
            return Ok((Vec::new(), None));
        }
        if under.extent(extent).is_some() {
            return Ok((Vec::new(), Some(false)));
        }
        let entry = Entry::Extent {
            key,
            extent,
            shape: metadata.shape(),
            first_stripe: *metadata.first_stripe(),
            metadata: encoded.clone(),
        };
        Ok((vec![entry], Some(true)))
    });
    match outcome {
        Ok(Some(false)) => {
            Ok(Some(store.metadata(key, extent)?.is_some_and(|held| held == encoded)))
        }
        Ok(recorded) => Ok(recorded),
        Err(TransactError::Refused(error) | TransactError::Store(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use floe_model::Geometry;
    use floe_redstuff::encode_extent;

    use super::*;
    use crate::tests::fixture;

    #[test]
    fn foreign_double_and_impossible_pairs_are_named() {
        let record = fixture::record(4, 4);
        let epoch = fixture::epoch(record, 1);
        let shape = ExtentShape::new(Geometry::of_shards(4).unwrap(), 1000).unwrap();
        let encoded = encode_extent(shape, &[3; 1000]).unwrap();
        let metadata = encoded.metadata();
        let own = epoch.geometry().pair_of_shard(metadata.first_stripe(), epoch.shards[0]);
        let foreign = PairIndex((own.0 + 1) % 4);
        let check = |places: &[(Axis, PairIndex)]| {
            check_places(&epoch, metadata, places.iter().copied()).map_err(|error| error.detail)
        };
        assert_eq!(check(&[(Axis::Primary, own), (Axis::Secondary, own)]), Ok(()));
        for (places, what) in [
            (vec![(Axis::Primary, foreign)], "not this node's"),
            (vec![(Axis::Primary, own), (Axis::Primary, own)], "twice"),
            (vec![(Axis::Secondary, PairIndex(4))], "does not exist"),
        ] {
            assert!(check(&places).unwrap_err().contains(what), "{places:?}");
        }
        assert!(shape_of(&epoch, u32::MAX).unwrap_err().code == ErrorCode::MetadataInvalid);
    }
}
