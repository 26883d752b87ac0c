//! Several small calls in one request.

use std::sync::Arc;

use bytes::Bytes;
use floe_api::messages::{Batch, BatchAnswer, Part};
use floe_api::route::LARGEST_BODY_BYTES;
use floe_api::{ApiError, Call, Role};
use futures::StreamExt as _;

use super::{Answer, blobs, ok, parse, symbols};
use crate::node::Node;

/// Calls of a batch that are answered side by side.
const SIDE_BY_SIDE: usize = 4;

/// Answers [`floe_api::Route::Batch`]. What would make the answer too large is to come alone.
pub(super) async fn batch(node: &Arc<Node>, role: Role, batch: Batch) -> Answer {
    let each = batch.parts.into_iter().map(|part| async move { answer(node, role, part).await });
    let mut each = futures::stream::iter(each).buffered(SIDE_BY_SIDE);
    let mut answers = Vec::new();
    let mut left = LARGEST_BODY_BYTES;
    while let Some(answer) = each.next().await {
        let bytes = BatchAnswer::part_bytes(answer.as_ref().map_or(0, Bytes::len));
        answers.push(if bytes <= left {
            answer
        } else {
            Err(ApiError::overloaded("the batch has no room for this answer: ask alone", 1))
        });
        left = left.saturating_sub(bytes);
    }
    ok(&BatchAnswer { answers })
}

async fn answer(node: &Arc<Node>, role: Role, part: Part) -> Result<Bytes, ApiError> {
    let Part { call, body } = part;
    let response = match call {
        Call::Metadata { blob, extent } => blobs::metadata(node, blob, extent).await?,
        Call::Holdings { blob, extents } => blobs::holdings(node, blob, extents).await?,
        Call::Symbols { blob, extent } => {
            symbols::symbols(node, role, (blob, extent), parse(body)?).await?
        }
        call => {
            let route = call.route();
            return Err(ApiError::malformed(format_args!(
                "route {route} does not come in batches"
            )));
        }
    };
    Ok(response.into_body())
}
