//! The path that is always open while an extent is readable: whole slivers are fetched and verified,
//! the extent is decoded and encoded again, and everything missing here is taken from that.

use std::collections::BTreeSet;
use std::sync::Arc;

use floe_api::ApiError;
use floe_env::Work;
use floe_model::{Axis, PairIndex, Unverified};
use floe_redstuff::{
    ExtentMetadata, ExtentSliver, Verified, decode_extent, encode_extent, verify_sliver,
};
use futures::future::join_all;

use super::context::{Context, answers, freeze, heard};
use super::crossing::{self, Failure, Slivers};
use super::heal::{Hole, keep};
use super::survey::Ask;
use crate::metrics::RepairPath;

/// What decoding an extent came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rebuilt {
    /// So many slivers are there again.
    Slivers(usize),
    /// The blob is inconsistent, and frozen now.
    Frozen,
}

/// Restores everything that is missing of the extent.
pub(super) async fn rebuild(context: &Context, hole: &Hole) -> Result<Rebuilt, ApiError> {
    for axis in [Axis::Primary, Axis::Secondary] {
        let Some(slivers) = fetch(context, hole, axis).await? else { continue };
        let restored = match encode(context, hole, axis, slivers).await? {
            Ok(restored) => restored,
            Err(Failure::Inconsistent(proof)) => {
                freeze(context, hole.extent, &proof).await?;
                return Ok(Rebuilt::Frozen);
            }
            Err(Failure::Failed(error)) => return Err(ApiError::internal(error)),
        };
        let count = restored.len();
        for (pair, sliver) in restored {
            keep(context, hole.extent, pair, sliver, RepairPath::Decode).await?;
        }
        return Ok(Rebuilt::Slivers(count));
    }
    for (_, axis) in &hole.missing {
        context.node.metrics.sliver_failed(*axis, RepairPath::Decode);
    }
    Ok(Rebuilt::Slivers(0))
}

/// As many verified slivers of an axis as decode the extent; `None` if too few can be had.
async fn fetch(context: &Context, hole: &Hole, axis: Axis) -> Result<Option<Slivers>, ApiError> {
    let need = context.epoch.geometry().slivers_to_decode(axis);
    let silent = context.targets.iter().filter(|(_, target)| !answers(&context.node, target));
    let mut avoid: BTreeSet<usize> = silent.map(|(member, _)| *member).collect();
    let mut survey = hole.survey.clone();
    let mut have = Slivers::new();
    while have.len() < need {
        let indices: BTreeSet<u16> = have.keys().copied().collect();
        let turn = hole.extent.0 as usize;
        let Some(asks) = survey.choose(axis, need, (&indices, &avoid), turn) else {
            return Ok(None);
        };
        let wanted: Vec<(usize, u16)> = asks
            .into_iter()
            .flat_map(|Ask { peer, sources }| sources.into_iter().map(move |it| (peer, it)))
            .collect();
        let calls = wanted.iter().map(|(peer, index)| one(context, hole, (*peer, axis, *index)));
        let answers = join_all(calls).await;
        for ((peer, index), answer) in wanted.into_iter().zip(answers) {
            if let Some(sliver) = answer? {
                have.insert(index, sliver);
            } else {
                // Lied, silent, or it lost this one: others are asked.
                avoid.insert(peer);
                survey.forget(axis, index);
            }
        }
    }
    Ok(Some(have))
}

/// One sliver of a peer, verified.
async fn one(
    context: &Context,
    hole: &Hole,
    (peer, axis, index): (usize, Axis, u16),
) -> Result<Option<Verified<ExtentSliver>>, ApiError> {
    let Some(target) = context.targets.get(&peer) else { return Ok(None) };
    let node = &context.node;
    let pair = context.epoch.geometry().pair_of_sliver(axis, index);
    let answer = node.peers.sliver(target, (context.blob, hole.extent), (axis, pair), None).await;
    let Some(sliver) = heard(node, target, answer.map(|it| it.value)) else { return Ok(None) };
    let bytes: Unverified<Vec<u8>> = sliver.bytes;
    let count = bytes.as_unverified().len();
    node.metrics.repair_read(missing_axis(hole), count);
    context.spent(count);
    let metadata = Arc::clone(&hole.metadata);
    match node.run(Work::Repair, move || verify_sliver(&metadata, axis, index, bytes)).await? {
        Ok(sliver) => Ok(Some(sliver)),
        Err(error) => {
            context.lied(&target.node, &error.to_string());
            Ok(None)
        }
    }
}

/// What is read serves all that is missing; it is counted for the axis that comes first.
fn missing_axis(hole: &Hole) -> Axis {
    hole.missing.first().map_or(Axis::Primary, |(_, axis)| *axis)
}

type Restored = Vec<(PairIndex, Verified<ExtentSliver>)>;

/// Decodes, encodes again, and verifies what is missing against its roots. Where that leads to other
/// roots the slivers missing are rebuilt one by one, or the writer's error is proven.
async fn encode(
    context: &Context,
    hole: &Hole,
    axis: Axis,
    slivers: Slivers,
) -> Result<Result<Restored, Failure>, ApiError> {
    let metadata = Arc::clone(&hole.metadata);
    let missing = hole.missing.clone();
    let job = move || match encode_again(&metadata, axis, &slivers, &missing) {
        Ok(Some(restored)) => Ok(restored),
        Ok(None) => crossing::rebuild(&metadata, axis, &slivers, &missing),
        Err(error) => Err(Failure::Failed(error)),
    };
    context.node.run(Work::Repair, job).await
}

/// `None` if a missing sliver's root is another one.
fn encode_again(
    metadata: &Verified<ExtentMetadata>,
    axis: Axis,
    slivers: &Slivers,
    missing: &[(PairIndex, Axis)],
) -> Result<Option<Restored>, String> {
    let shape = metadata.shape();
    let sources: Vec<(u16, &[u8])> =
        slivers.iter().map(|(index, sliver)| (*index, sliver.bytes())).collect();
    let data = decode_extent(shape, axis, &sources).map_err(|error| error.to_string())?;
    let encoded = encode_extent(shape, &data).map_err(|error| error.to_string())?;
    let restored = missing.iter().map(|&(pair, axis)| {
        let index = shape.geometry().sliver_of_pair(axis, pair);
        let bytes = encoded.sliver(axis, index).map_err(|error| error.to_string())?;
        let sliver = verify_sliver(metadata, axis, index, Unverified::new(bytes));
        Ok(sliver.ok().map(|sliver| (pair, sliver)))
    });
    let restored = restored.collect::<Result<Vec<_>, String>>()?;
    Ok(restored.into_iter().collect())
}
