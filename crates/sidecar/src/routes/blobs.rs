//! What the node holds of blobs. What is expired is absent.

use std::ops::Range;
use std::sync::Arc;

use floe_api::messages::{ExtentHoldings, Holdings, Manifest, Metadata, Sliver};
use floe_api::{ApiError, ErrorCode, Role, Span};
use floe_env::Work;
use floe_model::{Axis, BlobId, ExtentIndex, ExtentShape, PairIndex};
use floe_store::{BlobKey, State};

use super::{Answer, ok};
use crate::node::Node;

fn absent(blob: &BlobId) -> ApiError {
    ApiError::not_found(format_args!("blob {blob} is not held here"))
}

/// The blob is frozen.
pub(super) fn inconsistent(blob: &BlobId) -> ApiError {
    let detail = "is proven to be encoded wrongly by its writer: it is kept, and not served";
    ApiError::new(ErrorCode::BlobInconsistent, format_args!("blob {blob} {detail}"))
}

/// The key of a blob that may be read here.
pub(super) fn readable(state: &State, blob: &BlobId) -> Result<BlobKey, ApiError> {
    if state.frozen(blob).is_some() {
        return Err(inconsistent(blob));
    }
    state.blob(blob).map(|known| known.key).ok_or_else(|| absent(blob))
}

/// Answers [`floe_api::Route::Manifest`].
pub(super) async fn manifest(node: &Arc<Node>, blob: BlobId) -> Answer {
    let found = node.with_store(Work::Foreground, move |store| {
        let known = store.read(|state| {
            readable(state, &blob).map(|key| (key, state.blob(&blob).map_or(0, |it| it.length)))
        });
        let (key, length) = match known {
            Ok(known) => known,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = store.manifest(key)?;
        Ok(bytes.map(|bytes| Manifest { length, bytes }).ok_or_else(|| absent(&blob)))
    });
    ok(&found.await??)
}

/// Answers [`floe_api::Route::Metadata`].
pub(super) async fn metadata(node: &Arc<Node>, blob: BlobId, extent: ExtentIndex) -> Answer {
    let found = node.with_store(Work::Foreground, move |store| {
        let key = match store.read(|state| readable(state, &blob)) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = store.metadata(key, extent)?;
        Ok(bytes.map(Metadata).ok_or_else(|| {
            ApiError::not_found(format_args!("extent {extent} of blob {blob} is not known here"))
        }))
    });
    ok(&found.await??)
}

/// Where some stripes lie in a sliver; an error if the extent has none of them.
fn stripe_range(shape: ExtentShape, axis: Axis, stripes: Option<Span>) -> Option<Range<usize>> {
    let Some(span) = stripes else { return Some(0..shape.sliver_bytes(axis)) };
    let range = span.range();
    let last = range.end.min(shape.stripes()).checked_sub(1).filter(|last| *last >= range.start)?;
    let (first, last) = (shape.sliver_range(axis, range.start), shape.sliver_range(axis, last));
    Some(first.start..last.end)
}

/// Answers [`floe_api::Route::Sliver`].
pub(super) async fn sliver(
    node: &Arc<Node>,
    role: Role,
    (blob, extent): (BlobId, ExtentIndex),
    (axis, pair): (Axis, PairIndex),
    stripes: Option<Span>,
) -> Answer {
    let missing = move || {
        ApiError::not_found(format_args!(
            "the {axis} sliver of pair {pair}, extent {extent} of blob {blob}, is not held here"
        ))
    };
    let found = node.read(move |state| {
        let key = readable(state, &blob)?;
        let known = state.key(key).and_then(|key| key.extent(extent));
        let known = known.filter(|known| known.holds(pair, axis)).ok_or_else(missing)?;
        let range = stripe_range(known.shape(), axis, stripes).ok_or_else(|| {
            ApiError::malformed(format_args!("extent {extent} has no such stripes"))
        })?;
        Ok::<_, ApiError>((key, range))
    });
    let (key, range) = found.await??;
    let _reserved = node.reserve(role, range.len())?;
    let bytes = node.with_store(Work::Foreground, move |store| {
        store.read_sliver(key, extent, pair, axis, range)
    });
    let Some(bytes) = bytes.await? else {
        node.repairs.look();
        return Err(missing());
    };
    ok(&Sliver { axis, pair, bytes })
}

/// Answers [`floe_api::Route::Holdings`].
pub(super) async fn holdings(node: &Arc<Node>, blob: BlobId, extents: Span) -> Answer {
    let found = node.read(move |state| {
        let (_, under) = state.blob_key(&blob).ok_or_else(|| absent(&blob))?;
        let range = extents.range();
        let wanted = under.extents().filter(|(extent, _)| {
            usize::try_from(extent.0).is_ok_and(|extent| range.contains(&extent))
        });
        let each = wanted.map(|(extent, known)| {
            let of = |axis| {
                let held = known.held().filter(move |(_, held)| *held == axis);
                held.map(|(pair, _)| pair).collect::<Vec<PairIndex>>()
            };
            let (primary, secondary) = (of(Axis::Primary), of(Axis::Secondary));
            ExtentHoldings { extent, primary, secondary }
        });
        Ok::<_, ApiError>(Holdings { extents: each.collect() })
    });
    ok(&found.await??)
}

#[cfg(test)]
mod tests {
    use floe_model::Geometry;

    use super::*;

    #[test]
    fn stripes_of_a_sliver() {
        let geometry = Geometry::of_shards(4).unwrap();
        let shape = ExtentShape::new(geometry, 2 * geometry.full_stripe_bytes() + 100).unwrap();
        let axis = Axis::Secondary;
        let whole = shape.sliver_bytes(axis);
        assert_eq!(stripe_range(shape, axis, None), Some(0..whole));
        let span = |first, count| Some(Span { first, count });
        assert_eq!(stripe_range(shape, axis, span(0, 9)), Some(0..whole));
        assert_eq!(stripe_range(shape, axis, span(1, 1)), Some(shape.sliver_range(axis, 1)));
        assert_eq!(stripe_range(shape, axis, span(2, u32::MAX)), Some(shape.sliver_range(axis, 2)));
        assert_eq!(stripe_range(shape, axis, span(3, 1)), None);
        assert_eq!(stripe_range(shape, axis, span(u32::MAX, u32::MAX)), None);
    }
}
