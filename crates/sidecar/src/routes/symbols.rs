//! Crossing symbols for peers that rebuild a sliver.

use std::sync::Arc;

use floe_api::messages::{Symbols, SymbolsOf, SymbolsWanted};
use floe_api::{ApiError, ErrorCode, Role};
use floe_env::Work;
use floe_model::{BlobId, ExtentIndex, ExtentShape, PairIndex};
use floe_redstuff::{SymbolProof, crossing_symbols, prove_symbols};
use floe_store::{BlobKey, Store, StoreError};

use super::{Answer, ok};
use crate::node::Node;

struct Source {
    key: BlobKey,
    extent: ExtentIndex,
    shape: ExtentShape,
    pair: PairIndex,
}

type Made = Result<SymbolsOf<Vec<u8>>, ApiError>;

/// Answers [`floe_api::Route::Symbols`], in the CPU class of repair.
pub(super) async fn symbols(
    node: &Arc<Node>,
    role: Role,
    (blob, extent): (BlobId, ExtentIndex),
    wanted: SymbolsWanted,
) -> Answer {
    let axis = wanted.axis.other();
    let only = wanted.sources.clone();
    let found = node.read(move |state| {
        let absent = || {
            ApiError::not_found(format_args!("extent {extent} of blob {blob} is not known here"))
        };
        let (key, under) = state.blob_key(&blob).ok_or_else(absent)?;
        let known = under.extent(extent).ok_or_else(absent)?;
        let shape = known.shape();
        let held = known.held().filter(|(pair, held)| {
            let index = shape.geometry().sliver_of_pair(axis, *pair);
            *held == axis && only.as_ref().is_none_or(|only| only.contains(&index))
        });
        let sources: Vec<Source> =
            held.map(|(pair, _)| Source { key, extent, shape, pair }).collect();
        Ok::<_, ApiError>(sources)
    });
    let sources = found.await??;
    if let Some(source) = sources.first()
        && wanted.index >= source.shape.geometry().shards()
    {
        return Err(ApiError::malformed(format_args!(
            "there is no {} sliver {}",
            wanted.axis, wanted.index
        )));
    }
    // One sliver is in memory at a time.
    let largest = sources.first().map_or(0, |source| source.shape.sliver_bytes(axis));
    let _reserved = node.reserve(role, largest)?;
    let mut answer = Symbols { sources: Vec::new() };
    for source in sources {
        let wanted = wanted.clone();
        let job = move |store: &Store| of_sliver(store, &source, &wanted);
        match node.with_store(Work::Repair, job).await? {
            Some(symbols) => answer.sources.push(symbols?),
            None => node.repairs.look(),
        }
    }
    ok(&answer)
}

/// The crossing of one held sliver with the one wanted; `None` if it turned out corrupt.
fn of_sliver(
    store: &Store,
    source: &Source,
    wanted: &SymbolsWanted,
) -> Result<Option<Made>, StoreError> {
    let Source { key, extent, shape, pair } = *source;
    let axis = wanted.axis.other();
    let Some(sliver) = store.read_sliver(key, extent, pair, axis, 0..shape.sliver_bytes(axis))?
    else {
        return Ok(None);
    };
    let made = crossing_symbols(shape, axis, &sliver, &[wanted.index]).and_then(|symbols| {
        let symbols = symbols.into_iter().next().unwrap_or_default();
        let proofs = wanted
            .proofs
            .then(|| prove_symbols(shape, axis, &sliver, wanted.index))
            .transpose()?
            .map(|proofs| proofs.iter().flat_map(SymbolProof::encode).collect());
        let index = shape.geometry().sliver_of_pair(axis, pair);
        Ok(SymbolsOf { axis, index, symbols, proofs })
    });
    Ok(Some(made.map_err(|error| ApiError::new(ErrorCode::Internal, error))))
}
