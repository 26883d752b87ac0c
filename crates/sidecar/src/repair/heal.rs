//! Healing one blob, some extents at a time, each sliver by the cheapest path that is open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_api::{ApiError, Span};
use floe_env::Work;
use floe_model::{Axis, BlobId, ExtentIndex, PairIndex};
use floe_plan::repair::{ExtentView, Path, path, read_margin};
use floe_redstuff::{ExtentMetadata, ExtentSliver, Verified};
use floe_store::Entry;
use futures::StreamExt as _;
use futures::future::join_all;

use super::context::{Context, answers, heard, is_wanted};
use super::decode::Rebuilt;
use super::queue::Wanted;
use super::survey::{Survey, own_pairs};
use super::{decode, symbols};
use crate::metrics::RepairPath;
use crate::node::{Epoch, Node};

/// Extents that are worked on in one turn.
const EXTENTS_PER_TURN: usize = 16;
/// Extents over which those may lie scattered: peers name all that they hold in between.
const EXTENTS_PER_SURVEY: u32 = 1024;

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing is missing.
    Whole,
    /// Nobody wants the blob here any more, or it is frozen.
    Unwanted,
    /// Something was restored.
    Progress {
        /// The lowest read margin seen.
        margin: i32,
    },
    /// Nothing could be restored now.
    Waiting {
        /// The lowest read margin seen, if any was.
        margin: Option<i32>,
    },
}

/// How a sliver's repair ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restored {
    /// It is there.
    Yes,
    /// Not now.
    No,
    /// The blob is inconsistent, and frozen now.
    Frozen,
}

/// One extent and what is missing of it.
pub(super) struct Hole {
    pub(super) extent: ExtentIndex,
    pub(super) metadata: Arc<Verified<ExtentMetadata>>,
    pub(super) survey: Survey,
    pub(super) missing: Vec<(PairIndex, Axis)>,
}

/// One turn for one blob.
pub(super) async fn blob(
    node: &Arc<Node>,
    epoch: &Arc<Epoch>,
    blob: BlobId,
    wanted: &Wanted,
) -> Result<Outcome, ApiError> {
    let still = node.read(move |state| state.frozen(&blob).is_none() && is_wanted(state, &blob));
    if !still.await? {
        return Ok(Outcome::Unwanted);
    }
    let Some(context) = Context::open(node, epoch, (blob, wanted.length)).await? else {
        return Ok(Outcome::Waiting { margin: None });
    };
    let lacking = lacking(&context).await?;
    if lacking.is_empty() {
        settle(&context).await?;
        return Ok(Outcome::Whole);
    }
    let surveys = survey(&context, &lacking).await;
    let waited = node.monotonic().saturating_sub(wanted.since.unwrap_or_default());
    let waited_millis = if wanted.waited_for {
        u64::MAX
    } else {
        u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)
    };
    let turns = surveys.into_iter().map(|(extent, survey)| {
        let context = &context;
        async move { extent_turn(context, extent, survey, waited_millis).await }
    });
    let side_by_side = node.limits.repair_extents.max(1);
    let results: Vec<_> = futures::stream::iter(turns).buffered(side_by_side).collect().await;
    let mut restored = 0;
    let mut lowest: Option<i32> = None;
    for result in results {
        let (count, margin) = result?;
        restored += count;
        lowest = Some(lowest.map_or(margin, |known| known.min(margin)));
    }
    Ok(match lowest {
        Some(margin) if restored > 0 => Outcome::Progress { margin },
        margin => Outcome::Waiting { margin },
    })
}

/// The next extents of which something is missing.
async fn lacking(context: &Context) -> Result<Vec<ExtentIndex>, ApiError> {
    let (key, epoch) = (context.key, Arc::clone(&context.epoch));
    let look = move |state: &floe_store::State| {
        let under = state.key(key);
        let missing = under.into_iter().flat_map(|it| it.missing(epoch.geometry(), &epoch.shards));
        let extents = missing.map(|missing| missing.extent).take(EXTENTS_PER_TURN);
        let extents: Vec<ExtentIndex> = extents.collect();
        let first = extents.first().map_or(0, |first| first.0);
        let is_near = |extent: &ExtentIndex| extent.0 - first < EXTENTS_PER_SURVEY;
        extents.into_iter().filter(is_near).collect()
    };
    context.node.read(look).await
}

/// Everything is here: make that durable, so that the next start need not check it.
async fn settle(context: &Context) -> Result<(), ApiError> {
    context.node.sync().await?;
    let (key, epoch, blob) = (context.key, Arc::clone(&context.epoch), context.blob);
    let mark = move |state: &floe_store::State| {
        let whole = state.holds_all(&blob, epoch.geometry(), &epoch.shards);
        let stable = state.key(key).is_none_or(floe_store::KeyState::is_stable);
        let entry = (whole && !stable).then_some(Entry::Stable { key });
        Ok((entry.into_iter().collect(), ()))
    };
    context.node.transact(mark).await
}

/// What peers hold of these extents.
async fn survey(context: &Context, extents: &[ExtentIndex]) -> BTreeMap<ExtentIndex, Survey> {
    let mut surveys: BTreeMap<ExtentIndex, Survey> =
        extents.iter().map(|extent| (*extent, Survey::default())).collect();
    let (Some(first), Some(last)) = (extents.first(), extents.last()) else { return surveys };
    let span = Span { first: first.0, count: last.0 - first.0 + 1 };
    let node = &context.node;
    let asked = context.targets.iter().filter(|(_, target)| answers(node, target));
    let asks = asked.map(|(member, target)| async move {
        let answer = node.peers.holdings(target, context.blob, span).await;
        heard(node, target, answer.map(|it| it.value)).map(|holdings| (*member, holdings))
    });
    for (member, holdings) in join_all(asks).await.into_iter().flatten() {
        for held in holdings.extents {
            let Some(survey) = surveys.get_mut(&held.extent) else { continue };
            let Some(first) = context.manifest.stripe_ids(held.extent).first() else { continue };
            let of = |axis, pairs: Vec<PairIndex>| pairs.into_iter().map(move |pair| (axis, pair));
            let pairs = of(Axis::Primary, held.primary).chain(of(Axis::Secondary, held.secondary));
            for place in pairs {
                survey.held(&context.epoch.record, first, member, place);
            }
        }
    }
    surveys
}

/// What this node lacks of an extent, secondaries first, and what it holds of each axis.
async fn own(
    context: &Context,
    extent: ExtentIndex,
) -> Result<(Vec<(PairIndex, Axis)>, usize, usize), ApiError> {
    let (key, epoch) = (context.key, Arc::clone(&context.epoch));
    let look = move |state: &floe_store::State| {
        let known = state.key(key).and_then(|under| under.extent(extent))?;
        let count = |axis| known.held().filter(|(_, held)| *held == axis).count();
        Some((known.missing(&epoch.shards), count(Axis::Primary), count(Axis::Secondary)))
    };
    let found = context.node.read(look).await?;
    Ok(found.unwrap_or_else(|| {
        let first = context.manifest.stripe_ids(extent).first();
        let pairs =
            first.map(|first| own_pairs(&context.epoch.record, context.epoch.position, first));
        let pairs = pairs.unwrap_or_default();
        let all = Axis::BOTH.into_iter().flat_map(|axis| pairs.iter().map(move |it| (*it, axis)));
        (all.collect(), 0, 0)
    }))
}

/// Restores what can be restored of one extent; gives how many slivers, and the read margin.
async fn extent_turn(
    context: &Context,
    extent: ExtentIndex,
    survey: Survey,
    waited_millis: u64,
) -> Result<(usize, i32), ApiError> {
    let geometry = context.epoch.geometry();
    let mut restored = 0;
    let (missing, primaries, secondaries) = own(context, extent).await?;
    let margin = read_margin(
        geometry,
        survey.count(Axis::Primary) + primaries,
        survey.count(Axis::Secondary) + secondaries,
    );
    let Some(metadata) = context.metadata(extent).await? else { return Ok((0, margin)) };
    let mut hole = Hole { extent, metadata, survey, missing };
    let mut passed: BTreeSet<(PairIndex, Axis)> = BTreeSet::new();
    while let Some(next) = hole.missing.iter().copied().find(|it| !passed.contains(it)) {
        context.pace().await;
        passed.insert(next);
        let (_, primaries, secondaries) = own(context, extent).await?;
        let view = view(context, &hole, next.1, (primaries, secondaries), waited_millis);
        let mut way = path(&view);
        let mut outcome = Restored::No;
        if way == Path::Symbols {
            outcome = symbols::rebuild(context, &hole, next).await?;
            if outcome == Restored::No && view_is_readable(&view) {
                // A liar may have made symbols too few.
                way = Path::Decode;
            }
        }
        if matches!(way, Path::Decode | Path::Slivers) {
            match decode::rebuild(context, &hole).await? {
                Rebuilt::Slivers(0) => {}
                Rebuilt::Slivers(count) => {
                    restored += count;
                    break;
                }
                Rebuilt::Frozen => break,
            }
        }
        match outcome {
            Restored::Yes => {
                restored += 1;
                hole.missing.retain(|missing| *missing != next);
            }
            Restored::No => {}
            Restored::Frozen => break,
        }
    }
    Ok((restored, margin))
}

fn view(
    context: &Context,
    hole: &Hole,
    axis: Axis,
    (own_primaries, own_secondaries): (usize, usize),
    waited_millis: u64,
) -> ExtentView {
    let geometry = context.epoch.geometry();
    let missing = |axis| hole.missing.iter().filter(|(_, missing)| *missing == axis).count();
    ExtentView {
        geometry,
        axis,
        primaries: hole.survey.count(Axis::Primary) + own_primaries,
        secondaries: hole.survey.count(Axis::Secondary) + own_secondaries,
        // No volume is known to be lost before records replace some.
        most_secondaries: usize::from(geometry.shards()),
        previous_holder: false,
        missing_primaries: missing(Axis::Primary),
        missing_secondaries: missing(Axis::Secondary),
        waited_millis,
    }
}

fn view_is_readable(view: &ExtentView) -> bool {
    read_margin(view.geometry, view.primaries, view.secondaries) >= 0
}

/// Writes a restored sliver and counts it.
pub(super) async fn keep(
    context: &Context,
    extent: ExtentIndex,
    pair: PairIndex,
    sliver: Verified<ExtentSliver>,
    way: RepairPath,
) -> Result<(), ApiError> {
    let (key, axis, bytes) = (context.key, sliver.axis(), sliver.bytes().len());
    let node = &context.node;
    let put =
        node.with_store(Work::Repair, move |store| store.put_sliver(key, extent, pair, &sliver));
    if let Err(error) = put.await {
        node.metrics.sliver_failed(axis, way);
        return Err(error);
    }
    node.metrics.sliver_restored(axis, way, bytes);
    node.repairs.note(node.monotonic(), bytes, 0);
    Ok(())
}
