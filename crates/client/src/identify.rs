//! The id of content, without storing it.

use std::sync::Arc;

use bytes::Bytes;
use floe_env::{Env, Work, compute};
use floe_model::{BlobId, BlobLayout, Geometry, StripeId};
use floe_redstuff::{Manifest, StripeShape};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use crate::budget::{Budget, Rooms};
use crate::intake::{BoxError, Intake};
use crate::stock::Stock;
use crate::write::WriteError;

/// Stripes that are encoded at the same time.
const STRIPES_IN_FLIGHT: usize = 8;

/// The id that `body` has in a committee of this geometry, and its length in bytes.
pub async fn blob_id(
    env: &Env,
    geometry: Geometry,
    body: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
) -> Result<(BlobId, u64), WriteError> {
    let stock = Stock::new(Budget::default().idle_bytes());
    let source = (Rooms::new(Budget::default()), Arc::clone(&stock));
    let mut intake = Intake::new(body.boxed(), geometry, source);
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
            let stock = Arc::clone(&stock);
            let job = move || stripe_id(&stock, geometry, &bytes);
            let encoded = compute(&*env.compute, Work::Foreground, job);
            async { encoded.await? }
        });
        let encoded: Vec<_> = stripes.buffered(STRIPES_IN_FLIGHT).try_collect().await?;
        ids.extend(encoded);
    }
    let manifest = Manifest::new(BlobLayout::new(geometry, length), ids);
    Ok((manifest.map_err(WriteError::encoding)?.id(), length))
}

fn stripe_id(stock: &Stock, geometry: Geometry, bytes: &[u8]) -> Result<StripeId, WriteError> {
    let shape = StripeShape::new(geometry, bytes.len()).map_err(WriteError::encoding)?;
    let mut encoder = stock.encoder();
    let id = encoder.id(shape, bytes).map_err(WriteError::encoding)?;
    stock.keep_encoder(encoder);
    Ok(id)
}
