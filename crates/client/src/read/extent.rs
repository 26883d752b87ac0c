//! One extent: fetch enough slivers of the stripes wanted, verify, decode, check.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_api::Span;
use floe_env::{BoxFuture, Work, compute};
use floe_model::{
    Axis, BlobId, BlobLayout, EpochRecord, ExtentIndex, ExtentShape, Member, Unverified,
};
use floe_redstuff::{
    ExtentMetadata, Manifest, Verified, check_decoded, decode_extent, verify_sliver,
};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::failure::{Failure, NodeFailure};
use crate::peers::Peers;
use crate::read::fetch::{self, HEDGE};
use crate::read::search::{Next, Search, SliverKey};
use crate::read::{ReadCheck, ReadError};

/// How often an extent is tried while nodes fail in ways that pass.
const ATTEMPTS: usize = 3;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads extents of one blob.
pub(crate) struct ExtentReader {
    peers: Arc<Peers>,
    manifest: Arc<Verified<Manifest>>,
    check: ReadCheck,
    work: Work,
}

/// The stripes of an extent that are wanted, as an extent of their own.
struct Wanted {
    blob: BlobId,
    extent: ExtentIndex,
    /// As nodes are asked for them.
    stripes: Option<Span>,
    metadata: Arc<Verified<ExtentMetadata>>,
    /// Who may have each pair, by pair: under the record in force, and while a shard is unfilled also its owners of before.
    holders: Vec<Vec<Member>>,
}

type Fetched = (SliverKey, Option<Member>, Result<Vec<u8>, Failure>);

impl ExtentReader {
    pub(crate) fn new(
        peers: Arc<Peers>,
        manifest: Verified<Manifest>,
        (check, work): (ReadCheck, Work),
    ) -> Self {
        Self { peers, manifest: Arc::new(manifest), check, work }
    }

    pub(crate) fn layout(&self) -> BlobLayout {
        self.manifest.layout()
    }

    /// Bytes of the extent; `range` is a range of the blob inside it.
    pub(crate) async fn read(
        &self,
        extent: ExtentIndex,
        range: Range<u64>,
    ) -> Result<Bytes, ReadError> {
        let mut attempt = 1;
        loop {
            match self.attempt(extent, &range).await {
                Err(error) if attempt < ATTEMPTS && may_pass(&error) => {
                    tracing::debug!(%error, attempt, "an extent is tried again");
                    attempt += 1;
                    self.peers.env.clock.sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    async fn attempt(&self, extent: ExtentIndex, range: &Range<u64>) -> Result<Bytes, ReadError> {
        let whole = self.layout().extent_bytes(extent);
        let inside =
            |at: u64| usize::try_from(at.saturating_sub(whole.start)).unwrap_or(usize::MAX);
        let range = inside(range.start)..inside(range.end);
        let record = self.peers.committee.newest();
        let metadata = fetch::metadata(&self.peers, &record, &self.manifest, extent).await?;
        let (wanted, first_byte) = self.wanted(&record, (extent, metadata), &range)?;
        let (axis, slivers) = self.search(&wanted).await?;
        let bytes = self.decode(&wanted, axis, slivers).await?;
        let range = range.start.saturating_sub(first_byte)..range.end.saturating_sub(first_byte);
        let range = range.start.min(bytes.len())..range.end.min(bytes.len());
        Ok(bytes.slice(range))
    }

    /// Narrows an extent down to the stripes that a range of it touches; also the byte they start at.
    fn wanted(
        &self,
        record: &EpochRecord,
        (extent, metadata): (ExtentIndex, Verified<ExtentMetadata>),
        range: &Range<usize>,
    ) -> Result<(Wanted, usize), ReadError> {
        let shape = metadata.shape();
        let geometry = shape.geometry();
        let holders = (0..geometry.shards())
            .map(|pair| {
                let pair = floe_model::PairIndex(pair);
                let shard = geometry.shard_of_pair(metadata.first_stripe(), pair);
                let mut holders = self.peers.committee.holders(record, shard);
                holders.sort_by_key(|member| self.peers.is_avoided(member));
                holders
            })
            .collect();
        let full = geometry.full_stripe_bytes();
        let last = shape.stripes() - 1;
        let first = (range.start / full).min(last);
        let end = range.end.div_ceil(full).clamp(first + 1, last + 1);
        let (metadata, first_byte) = narrow(metadata, first..end)
            .map_err(|detail| ReadError::Inconsistent { extent, detail })?;
        let number = |stripe: usize| u32::try_from(stripe).unwrap_or(u32::MAX);
        let span = Span { first: number(first), count: number(end - first) };
        let stripes = (first > 0 || end <= last).then_some(span);
        let (blob, metadata) = (self.manifest.id(), Arc::new(metadata));
        Ok((Wanted { blob, extent, stripes, metadata, holders }, first_byte))
    }

    /// Asks for slivers until enough of one axis are here.
    async fn search(&self, wanted: &Wanted) -> Result<(Axis, BTreeMap<u16, Vec<u8>>), ReadError> {
        let geometry = wanted.metadata.shape().geometry();
        let order = |axis| self.in_order(wanted, axis);
        let mut search = Search::new(geometry, order(Axis::Primary), order(Axis::Secondary));
        let mut asked: FuturesUnordered<BoxFuture<'static, Fetched>> = FuturesUnordered::new();
        let mut failures: Vec<NodeFailure> = Vec::new();
        loop {
            match search.next() {
                Next::Ask(keys) => {
                    asked.extend(keys.into_iter().map(|key| self.fetch(wanted, key)));
                }
                Next::Decode(axis) => {
                    self.remember_late(wanted, &search);
                    return Ok((axis, search.into_slivers(axis)));
                }
                Next::Lost => {
                    // Those who are under way still count in what is said about it.
                    let clock = &*self.peers.env.clock;
                    while let Ok(Some(fetched)) =
                        floe_env::timeout(clock, HEDGE, asked.next()).await
                    {
                        failures.extend(take(&mut search, fetched));
                    }
                    return Err(not_enough(wanted.extent, geometry, &search, failures));
                }
            }
            match floe_env::timeout(&*self.peers.env.clock, HEDGE, asked.next()).await {
                Ok(Some(fetched)) => failures.extend(take(&mut search, fetched)),
                Ok(None) | Err(_) => search.hedge(),
            }
        }
    }

    /// The slivers of an axis in the order in which they are wanted: systematic ones first, those of
    /// silent nodes last.
    fn in_order(&self, wanted: &Wanted, axis: Axis) -> Vec<u16> {
        let avoided =
            |index| wanted.holders(axis, index).iter().all(|holder| self.peers.is_avoided(holder));
        let geometry = wanted.metadata.shape().geometry();
        let mut indices: Vec<u16> = (0..geometry.shards())
            .filter(|&index| !wanted.holders(axis, index).is_empty())
            .collect();
        indices.sort_by_key(|&index| avoided(index));
        indices
    }

    /// Nodes that others were faster than: the next extent does not wait for them.
    fn remember_late(&self, wanted: &Wanted, search: &Search) {
        for (axis, index) in search.late() {
            if let Some(holder) = wanted.holders(axis, index).first() {
                self.peers.health.late(holder, self.peers.now());
            }
        }
    }

    fn fetch(&self, wanted: &Wanted, key: SliverKey) -> BoxFuture<'static, Fetched> {
        let (peers, metadata, work) =
            (Arc::clone(&self.peers), Arc::clone(&wanted.metadata), self.work);
        let (at, stripes) = ((wanted.blob, wanted.extent), wanted.stripes);
        let (axis, index) = key;
        let holders = wanted.holders(axis, index).to_vec();
        let sliver = (axis, metadata.shape().geometry().pair_of_sliver(axis, index));
        Box::pin(async move {
            let mut last = (None, Err(Failure::TimedOut));
            for holder in holders {
                let call = peers.call(&holder, |nodes, to| nodes.sliver(to, at, sliver, stripes));
                let bytes = match call.await {
                    Ok(bytes) => verified(&peers, &metadata, (key, bytes), (work, &holder)).await,
                    Err(failure) => Err(failure),
                };
                last = (Some(holder), bytes);
                if last.1.is_ok() {
                    break;
                }
            }
            (key, last.0, last.1)
        })
    }

    async fn decode(
        &self,
        wanted: &Wanted,
        axis: Axis,
        slivers: BTreeMap<u16, Vec<u8>>,
    ) -> Result<Bytes, ReadError> {
        let (metadata, check, extent) = (Arc::clone(&wanted.metadata), self.check, wanted.extent);
        let job = move || decode(&metadata, axis, &slivers, check);
        let decoded = compute(&*self.peers.env.compute, self.work, job).await?;
        decoded.map(Bytes::from).map_err(|detail| ReadError::Inconsistent { extent, detail })
    }
}

impl Wanted {
    /// Who may have a sliver; those that held it longest first, the silent ones last.
    fn holders(&self, axis: Axis, index: u16) -> &[Member] {
        let pair = self.metadata.shape().geometry().pair_of_sliver(axis, index);
        self.holders.get(usize::from(pair.0)).map_or(&[], Vec::as_slice)
    }
}

/// Counts what came of one request; gives the failure, if it is a node's.
fn take(search: &mut Search, (key, owner, said): Fetched) -> Option<NodeFailure> {
    match said {
        Ok(bytes) => {
            search.arrived(key, bytes);
            None
        }
        Err(failure) => {
            search.failed(key);
            owner.map(|owner| NodeFailure { node: owner.node, failure })
        }
    }
}

/// The metadata of some stripes of an extent, as of an extent of their own, and their first byte.
fn narrow(
    metadata: Verified<ExtentMetadata>,
    stripes: Range<usize>,
) -> Result<(Verified<ExtentMetadata>, usize), String> {
    let shape = metadata.shape();
    let bytes = shape.stripe_bytes(stripes.start).start..shape.stripe_bytes(stripes.end - 1).end;
    if stripes.len() == shape.stripes() {
        return Ok((metadata, bytes.start));
    }
    let part =
        ExtentShape::new(shape.geometry(), bytes.len()).map_err(|error| error.to_string())?;
    let stripe_bytes = ExtentMetadata::encoded_bytes(part) / stripes.len();
    let encoded = metadata.encode();
    let encoded = encoded.get(stripes.start * stripe_bytes..stripes.end * stripe_bytes);
    let ids = metadata.stripe_ids().get(stripes).unwrap_or_default();
    let part = ExtentMetadata::parse_for(part, ids, encoded.unwrap_or_default());
    part.map(|part| (part, bytes.start)).map_err(|error| error.to_string())
}

async fn verified(
    peers: &Peers,
    metadata: &Arc<Verified<ExtentMetadata>>,
    ((axis, index), bytes): (SliverKey, Unverified<Vec<u8>>),
    (work, owner): (Work, &Member),
) -> Result<Vec<u8>, Failure> {
    let metadata = Arc::clone(metadata);
    let job = move || verify_sliver(&metadata, axis, index, bytes);
    match compute(&*peers.env.compute, work, job).await {
        Ok(Ok(sliver)) => Ok(sliver.into_inner().into_bytes()),
        Ok(Err(error)) => Err(peers.unverifiable(owner, error.to_string())),
        Err(stopped) => Err(Failure::Protocol(stopped.to_string())),
    }
}

/// Decodes verified slivers and checks the bytes. From systematic primaries the bytes are those that
/// were verified already, if nothing stands behind their end.
fn decode(
    metadata: &Verified<ExtentMetadata>,
    axis: Axis,
    slivers: &BTreeMap<u16, Vec<u8>>,
    check: ReadCheck,
) -> Result<Vec<u8>, String> {
    let shape = metadata.shape();
    let needed = shape.geometry().slivers_to_decode(axis);
    let chosen: Vec<(u16, &[u8])> =
        slivers.iter().take(needed).map(|(&index, bytes)| (index, bytes.as_slice())).collect();
    let bytes = decode_extent(shape, axis, &chosen).map_err(|error| error.to_string())?;
    let systematic = chosen.last().is_some_and(|(index, _)| usize::from(*index) < needed);
    let check = match check {
        ReadCheck::Default if axis == Axis::Primary && systematic => {
            return if is_zero_padded(shape, &chosen) {
                Ok(bytes)
            } else {
                Err("bytes stand behind the end of its last stripe".to_owned())
            };
        }
        ReadCheck::Default => floe_redstuff::ReadCheck::Default,
        ReadCheck::Strict => floe_redstuff::ReadCheck::Strict,
    };
    check_decoded(metadata, &bytes, check).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Whether the rows of the last stripe hold nothing behind its end.
fn is_zero_padded(shape: ExtentShape, rows: &[(u16, &[u8])]) -> bool {
    let last = shape.stripes() - 1;
    let length = shape.stripe_bytes(last).len();
    let row = shape.sliver_range(Axis::Primary, last);
    let row_bytes = row.len();
    rows.iter().enumerate().all(|(number, (_, bytes))| {
        let used = length.saturating_sub(number * row_bytes).min(row_bytes);
        let rest = bytes.get(row.start + used..row.end).unwrap_or_default();
        rest.iter().all(|&byte| byte == 0)
    })
}

fn not_enough(
    extent: ExtentIndex,
    geometry: floe_model::Geometry,
    search: &Search,
    failures: Vec<NodeFailure>,
) -> ReadError {
    let (primaries, secondaries) = search.here();
    ReadError::NotEnoughSlivers {
        extent,
        primaries,
        secondaries,
        needed_primaries: geometry.slivers_to_decode(Axis::Primary),
        needed_secondaries: geometry.slivers_to_decode(Axis::Secondary),
        failures,
    }
}

/// Whether the same read may succeed a little later.
fn may_pass(error: &ReadError) -> bool {
    match error {
        ReadError::NoMetadata { failures, .. } | ReadError::NotEnoughSlivers { failures, .. } => {
            failures.iter().any(|failure| failure.failure.is_passing())
        }
        _ => false,
    }
}
