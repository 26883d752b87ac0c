//! The id of content, without storing it.

use bytes::Bytes;
use floe_env::{Env, Work, compute};
use floe_model::{BlobId, BlobLayout, Geometry};
use floe_redstuff::{Manifest, stripe_id};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use crate::budget::{Budget, Rooms};
use crate::intake::{BoxError, Intake};
use crate::write::WriteError;

/// Stripes that are encoded at the same time.
const STRIPES_IN_FLIGHT: usize = 8;

/// The id that `body` has in a committee of this geometry, and its length in bytes.
pub async fn blob_id(
    env: &Env,
    geometry: Geometry,
    body: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
) -> Result<(BlobId, u64), WriteError> {
    let mut intake = Intake::new(body.boxed(), geometry, Rooms::new(Budget::default()));
    let (mut ids, mut length, mut is_last) = (Vec::new(), 0, false);
    while !is_last {
        let piece = intake.next().await.map_err(WriteError::Body)?;
        length += piece.bytes.len() as u64;
        is_last = piece.is_last;
        let full = geometry.full_stripe_bytes();
        let count = piece.bytes.len().div_ceil(full).max(1);
        let bytes = &piece.bytes;
        let stripes = stream::iter(0..count).map(|stripe| {
            let end = ((stripe + 1) * full).min(bytes.len());
            let bytes = bytes.slice(stripe * full..end);
            let job = move || stripe_id(geometry, &bytes).map_err(WriteError::encoding);
            let encoded = compute(&*env.compute, Work::Foreground, job);
            async { encoded.await? }
        });
        let encoded: Vec<_> = stripes.buffered(STRIPES_IN_FLIGHT).try_collect().await?;
        ids.extend(encoded);
    }
    let manifest = Manifest::new(BlobLayout::new(geometry, length), ids);
    Ok((manifest.map_err(WriteError::encoding)?.id(), length))
}
