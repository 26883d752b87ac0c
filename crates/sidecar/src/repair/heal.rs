//! Healing extents of one blob, each sliver by the cheapest path that is open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_api::{ApiError, Span};
use floe_model::{Axis, ExtentIndex};
use floe_plan::repair::{ExtentView, Path, path, read_margin};
use floe_redstuff::{ExtentMetadata, Verified};
use futures::StreamExt as _;
use futures::future::join_all;

use super::context::Context;
use super::holders::pairs_of;
use super::home::{Look, Place, Rebuilt};
use super::survey::Survey;
use super::{decode, symbols};

/// Extents that are worked on in one turn.
pub(super) const EXTENTS_PER_TURN: usize = 16;
/// Extents over which those may lie scattered: peers name all that they hold in between.
pub(super) const EXTENTS_PER_SURVEY: u32 = 1024;

/// What became of extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Slivers that are back.
    pub(super) restored: usize,
    /// The lowest read margin seen, if any was.
    pub(super) margin: Option<i32>,
    /// The blob is inconsistent.
    pub(super) frozen: bool,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.restored += other.restored;
        self.frozen |= other.frozen;
        self.margin = match (self.margin, other.margin) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// How slivers' repair ended.
pub(super) enum Restored {
    /// These are back; none, if that is not possible now.
    Yes(Vec<Rebuilt>),
    /// The blob is inconsistent, and frozen now.
    Frozen,
}

impl Restored {
    const fn is_nothing(&self) -> bool {
        matches!(self, Self::Yes(slivers) if slivers.is_empty())
    }
}

/// One extent of which something is missing.
pub(super) struct Hole {
    pub(super) extent: ExtentIndex,
    pub(super) metadata: Arc<Verified<ExtentMetadata>>,
    pub(super) survey: Survey,
    pub(super) missing: Vec<Place>,
}

/// Restores what can be restored now of some extents of a blob; they lie within
/// [`EXTENTS_PER_SURVEY`]. `waited_millis` is how long they waited.
pub(super) async fn extents(
    context: &Context,
    extents: &[ExtentIndex],
    waited_millis: u64,
) -> Result<Tally, ApiError> {
    let surveys = survey(context, extents).await;
    let turns = surveys
        .into_iter()
        .map(|(extent, survey)| async move { turn(context, extent, survey, waited_millis).await });
    let mut turns = futures::stream::iter(turns).buffered(context.tools.extents);
    let mut sum = Tally::default();
    while let Some(tally) = turns.next().await {
        sum.add(&tally?);
        if sum.frozen {
            break;
        }
    }
    Ok(sum)
}

/// What peers hold of these extents.
async fn survey(context: &Context, extents: &[ExtentIndex]) -> BTreeMap<ExtentIndex, Survey> {
    let Context { tools, holders, .. } = context;
    let nothing = |extent: &ExtentIndex| (*extent, Survey::new(holders.own()));
    let mut surveys: BTreeMap<ExtentIndex, Survey> = extents.iter().map(nothing).collect();
    let (Some(first), Some(last)) = (extents.first(), extents.last()) else { return surveys };
    let span = Span { first: first.0, count: (last.0 - first.0).saturating_add(1) };
    let asked = holders.peers().filter(|(_, target)| tools.answers(target));
    let asks = asked.map(|(number, target)| async move {
        let answer = tools.peers.holdings(target, context.blob, span).await;
        tools.heard(target, answer).map(|holdings| (number, holdings))
    });
    for (number, holdings) in join_all(asks).await.into_iter().flatten() {
        for held in holdings.extents {
            let Some(survey) = surveys.get_mut(&held.extent) else { continue };
            let Some(first) = context.manifest.stripe_ids(held.extent).first() else { continue };
            let primaries = held.primary.into_iter().map(|pair| (Axis::Primary, pair));
            let secondaries = held.secondary.into_iter().map(|pair| (Axis::Secondary, pair));
            for place in primaries.chain(secondaries) {
                survey.held(holders, first, number, place);
            }
        }
    }
    surveys
}

/// What is missing at home and what can be read there.
async fn look(context: &Context, extent: ExtentIndex) -> Result<Look, ApiError> {
    if let Some(look) = context.home.look(extent).await? {
        return Ok(look);
    }
    let Some(first) = context.manifest.stripe_ids(extent).first() else {
        return Ok(Look::default());
    };
    let pairs = pairs_of(context.holders.geometry, context.home.shards(), first);
    let of_axis = |axis| pairs.iter().map(move |pair| (*pair, axis));
    let missing = of_axis(Axis::Secondary).chain(of_axis(Axis::Primary)).collect();
    Ok(Look { missing, held: Vec::new() })
}

/// Restores what can be restored of one extent.
async fn turn(
    context: &Context,
    extent: ExtentIndex,
    mut survey: Survey,
    waited_millis: u64,
) -> Result<Tally, ApiError> {
    let geometry = context.holders.geometry;
    let Look { missing, held } = look(context, extent).await?;
    if let (Some(own), Some(first)) =
        (context.holders.own(), context.manifest.stripe_ids(extent).first())
    {
        for (pair, axis) in held {
            survey.held(&context.holders, first, own, (axis, pair));
        }
    }
    let (primaries, secondaries) = (survey.count(Axis::Primary), survey.count(Axis::Secondary));
    let margin = Some(read_margin(geometry, primaries, secondaries));
    let nothing = Tally { margin, ..Tally::default() };
    if missing.is_empty() {
        return Ok(nothing);
    }
    let Some(metadata) = context.metadata(extent).await? else { return Ok(nothing) };
    let hole = Hole { extent, metadata, survey, missing };
    let (rebuilt, frozen) = restore(context, &hole, waited_millis).await?;
    let restored = rebuilt.len();
    if restored > 0 {
        context.home.keep(extent, Arc::clone(&hole.metadata), rebuilt).await?;
    }
    Ok(Tally { restored, margin, frozen })
}

/// Sliver by sliver; true if the blob turns out to be inconsistent.
async fn restore(
    context: &Context,
    hole: &Hole,
    waited_millis: u64,
) -> Result<(Vec<Rebuilt>, bool), ApiError> {
    let mut rebuilt: Vec<Rebuilt> = Vec::new();
    let mut passed: BTreeSet<Place> = BTreeSet::new();
    for &next in &hole.missing {
        if passed.contains(&next) {
            continue;
        }
        context.tools.pace().await;
        let left: Vec<Place> =
            hole.missing.iter().copied().filter(|place| !passed.contains(place)).collect();
        passed.insert(next);
        let view = view(context, hole, next, (&left, waited_millis));
        let outcome = one(context, hole, next, (&view, &left)).await?;
        match outcome {
            Restored::Yes(back) => {
                passed.extend(back.iter().map(Rebuilt::place));
                rebuilt.extend(back);
            }
            Restored::Frozen => return Ok((rebuilt, true)),
        }
    }
    Ok((rebuilt, false))
}

/// Restores one sliver, and with it whatever comes with it of what is `left`.
async fn one(
    context: &Context,
    hole: &Hole,
    next: Place,
    (view, left): (&ExtentView, &[Place]),
) -> Result<Restored, ApiError> {
    let mut way = path(view);
    let mut outcome = Restored::Yes(Vec::new());
    if way == Path::Slivers {
        outcome = decode::copy(context, hole, next).await?;
        way = path(&ExtentView { previous_holder: false, ..*view });
    }
    if way == Path::Symbols && outcome.is_nothing() {
        outcome = symbols::rebuild(context, hole, next).await?;
        if read_margin(view.geometry, view.primaries, view.secondaries) >= 0 {
            // A liar may have made symbols too few.
            way = Path::Decode;
        }
    }
    if way == Path::Decode && outcome.is_nothing() {
        outcome = decode::rebuild(context, hole, left).await?;
    }
    Ok(outcome)
}

fn view(
    context: &Context,
    hole: &Hole,
    (pair, axis): Place,
    (left, waited_millis): (&[Place], u64),
) -> ExtentView {
    let geometry = context.holders.geometry;
    let missing = |axis| left.iter().filter(|(_, missing)| *missing == axis).count();
    let index = geometry.sliver_of_pair(axis, pair);
    ExtentView {
        geometry,
        axis,
        primaries: hole.survey.count(Axis::Primary),
        secondaries: hole.survey.count(Axis::Secondary),
        previous_holder: !hole.survey.holders(axis, index).is_empty(),
        missing_primaries: missing(Axis::Primary),
        missing_secondaries: missing(Axis::Secondary),
        waited_millis,
    }
}
