//! The path that is always open while an extent is readable: whole slivers are fetched and verified,
//! the extent is decoded and encoded again, and everything missing here is taken from that.

use std::collections::BTreeSet;
use std::sync::Arc;

use floe_api::ApiError;
use floe_model::{Axis, PairIndex, Unverified};
use floe_redstuff::{
    ExtentMetadata, ExtentSliver, Verified, decode_extent, encode_extent, verify_sliver,
};
use futures::future::join_all;

use super::context::Context;
use super::crossing::{self, Failure, Slivers};
use super::heal::{Hole, Restored};
use super::home::{Place, Rebuilt};
use super::survey::Ask;
use crate::metrics::RepairPath;

/// Restores everything that is missing of the extent.
pub(super) async fn rebuild(
    context: &Context,
    hole: &Hole,
    missing: &[Place],
) -> Result<Restored, ApiError> {
    for axis in [Axis::Primary, Axis::Secondary] {
        let Some(slivers) = fetch(context, hole, axis).await? else { continue };
        return match encode(context, hole, (axis, slivers), missing).await? {
            Ok(restored) => {
                let rebuilt = |(pair, sliver)| Rebuilt { pair, sliver, way: RepairPath::Decode };
                Ok(Restored::Yes(restored.into_iter().map(rebuilt).collect()))
            }
            Err(Failure::Inconsistent(proof)) => {
                context.home.freeze(hole.extent, *proof).await?;
                Ok(Restored::Frozen)
            }
            Err(Failure::Failed(error)) => Err(ApiError::internal(error)),
        };
    }
    for (_, axis) in missing {
        context.tools.metrics.sliver_failed(*axis, RepairPath::Decode);
    }
    Ok(Restored::Yes(Vec::new()))
}

/// As many verified slivers of an axis as decode the extent; `None` if too few can be had.
async fn fetch(context: &Context, hole: &Hole, axis: Axis) -> Result<Option<Slivers>, ApiError> {
    let need = context.holders.geometry.slivers_to_decode(axis);
    let silent = context.holders.peers().filter(|(_, target)| !context.tools.answers(target));
    let mut avoid: BTreeSet<usize> = silent.map(|(number, _)| number).collect();
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
        let calls = wanted.iter().map(|(peer, index)| one(context, hole, *peer, (axis, *index)));
        let answers = join_all(calls).await;
        for ((peer, index), answer) in wanted.into_iter().zip(answers) {
            if let Some(sliver) = answer? {
                have.insert(index, sliver);
            } else {
                // Lied, silent, or it lost this one: others are asked.
                avoid.insert(peer);
                survey.forget(axis, index, peer);
            }
        }
    }
    Ok(Some(have))
}

/// The very sliver that is missing, from a previous holder.
pub(super) async fn copy(
    context: &Context,
    hole: &Hole,
    (pair, axis): Place,
) -> Result<Restored, ApiError> {
    let index = context.holders.geometry.sliver_of_pair(axis, pair);
    for peer in hole.survey.holders(axis, index) {
        if let Some(sliver) = one(context, hole, peer, (axis, index)).await? {
            return Ok(Restored::Yes(vec![Rebuilt { pair, sliver, way: RepairPath::Slivers }]));
        }
    }
    context.tools.metrics.sliver_failed(axis, RepairPath::Slivers);
    Ok(Restored::Yes(Vec::new()))
}

/// One sliver of a holder, verified.
async fn one(
    context: &Context,
    hole: &Hole,
    peer: usize,
    (axis, index): (Axis, u16),
) -> Result<Option<Verified<ExtentSliver>>, ApiError> {
    let Context { tools, holders, blob, .. } = context;
    let pair = holders.geometry.pair_of_sliver(axis, index);
    let bytes: Unverified<Vec<u8>> = match holders.target(peer) {
        None => match context.home.sliver(hole.extent, (pair, axis)).await? {
            Some(bytes) => Unverified::new(bytes),
            None => return Ok(None),
        },
        Some(target) => {
            let place = (*blob, hole.extent);
            let answer = tools.peers.client.sliver(target, place, (axis, pair), None).await;
            let Some(sliver) = tools.heard(target, answer.map(|it| it.value)) else {
                return Ok(None);
            };
            let count = sliver.bytes.as_unverified().len();
            tools.metrics.repair_read(missing_axis(hole), count);
            tools.spent(count);
            sliver.bytes
        }
    };
    let metadata = Arc::clone(&hole.metadata);
    match tools.run(move || verify_sliver(&metadata, axis, index, bytes)).await? {
        Ok(sliver) => Ok(Some(sliver)),
        Err(error) => {
            if let Some(target) = holders.target(peer) {
                tools.lied(&target.node, &error.to_string());
            }
            Ok(None)
        }
    }
}

/// What is read serves all that is missing; it is counted for the axis that comes first.
fn missing_axis(hole: &Hole) -> Axis {
    hole.missing.first().map_or(Axis::Primary, |(_, axis)| *axis)
}

type Encoded = Vec<(PairIndex, Verified<ExtentSliver>)>;

/// Decodes, encodes again, and verifies what is missing against its roots. Where that leads to other
/// roots the slivers missing are rebuilt one by one, or the writer's error is proven.
async fn encode(
    context: &Context,
    hole: &Hole,
    (axis, slivers): (Axis, Slivers),
    missing: &[Place],
) -> Result<Result<Encoded, Failure>, ApiError> {
    let metadata = Arc::clone(&hole.metadata);
    let missing = missing.to_vec();
    let job = move || match encode_again(&metadata, axis, &slivers, &missing) {
        Ok(Some(restored)) => Ok(restored),
        Ok(None) => crossing::rebuild(&metadata, axis, &slivers, &missing),
        Err(error) => Err(Failure::Failed(error)),
    };
    context.tools.run(job).await
}

/// `None` if a missing sliver's root is another one.
fn encode_again(
    metadata: &Verified<ExtentMetadata>,
    axis: Axis,
    slivers: &Slivers,
    missing: &[Place],
) -> Result<Option<Encoded>, String> {
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
