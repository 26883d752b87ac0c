//! Reading a blob: extent by extent, systematic primaries first, everything checked against the id.

mod error;
mod extent;
mod fetch;
mod search;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use floe_env::{Task, Work};
use floe_model::{BlobId, BlobLayout, Claim, ExtentIndex};

use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use tokio::sync::oneshot;

pub use error::ReadError;

use crate::budget::{Held, Rooms, shrink};
use crate::client::Client;
use crate::peers::Peers;
use extent::ExtentReader;
pub(crate) use fetch::{in_order, manifest};

/// Bytes that a reader is handed at once.
const HANDED_BYTES: usize = 256 * 1024;
/// Room that an extent takes while it is read, per byte: slivers, and the bytes made from them.
const READING_FACTOR: usize = 3;

/// How bytes are checked before they are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadCheck {
    /// Against the systematic part: two readers who succeed get the same bytes.
    #[default]
    Default,
    /// By encoding everything again: the whole blob is also consistent.
    Strict,
}

/// Checked bytes of a blob, in order; after an error nothing follows.
pub type ReadStream = BoxStream<'static, Result<Bytes, ReadError>>;

/// Bytes of one extent, with the room they take.
struct Part {
    bytes: Bytes,
    _held: Held,
}

/// An extent that is being read.
struct Fetching {
    task: Task,
    part: oneshot::Receiver<Result<Part, ReadError>>,
}

/// A read under way.
struct Reading {
    peers: Arc<Peers>,
    rooms: Rooms,
    reader: Arc<ExtentReader>,
    range: Range<u64>,
    next: u32,
    fetching: Option<Fetching>,
}

impl Client {
    /// Reads `range` of the claim's content. Returns when the first bytes are there; extents are read
    /// ahead of their use by one.
    pub async fn read(
        &self,
        claim: &Claim,
        range: Range<u64>,
        check: ReadCheck,
    ) -> Result<ReadStream, ReadError> {
        if range.start > range.end || range.end > claim.length {
            return Err(ReadError::OutOfRange { range, length: claim.length });
        }
        let reader = self.reader(claim.blob, claim.length, (check, Work::Foreground)).await?;
        if range.is_empty() && claim.length > 0 {
            return Ok(stream::empty().boxed());
        }
        let mut reading = Reading::new(self, reader, range);
        let first = reading.take().await.transpose()?;
        let rest = stream::unfold(Some(reading), |reading| async {
            let mut reading = reading?;
            match reading.take().await? {
                Ok(part) => Some((Ok(part), Some(reading))),
                Err(error) => Some((Err(error), None)),
            }
        });
        let parts = stream::iter(first.map(Ok)).chain(rest);
        Ok(parts.flat_map(pieces).boxed())
    }

    async fn reader(
        &self,
        blob: BlobId,
        length: u64,
        mode: (ReadCheck, Work),
    ) -> Result<Arc<ExtentReader>, ReadError> {
        let record = self.peers().committee.newest();
        let layout = BlobLayout::new(record.geometry, length);
        let manifest = manifest(self.peers(), &record, (blob, layout)).await?;
        Ok(Arc::new(ExtentReader::new(Arc::clone(self.peers()), manifest, mode)))
    }
}

/// Bytes of blob in the stripes that must be read for `range`.
fn weight(reader: &ExtentReader, extent: ExtentIndex, range: &Range<u64>) -> usize {
    let shape = reader.layout().extent_shape(extent);
    let stripe = reader.layout().geometry().full_stripe_bytes();
    let wanted = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    shape.length().min(wanted.saturating_add(2 * stripe))
}

/// The part in the portions that a reader is handed; its room is given back behind the last one.
fn pieces(part: Result<Part, ReadError>) -> ReadStream {
    match part {
        Ok(part) => stream::unfold(part, |mut part| async {
            let count = HANDED_BYTES.min(part.bytes.len());
            (count > 0).then(|| (Ok(part.bytes.split_to(count)), part))
        })
        .boxed(),
        Err(error) => stream::iter([Err(error)]).boxed(),
    }
}

impl Reading {
    fn new(client: &Client, reader: Arc<ExtentReader>, range: Range<u64>) -> Self {
        let full = reader.layout().geometry().full_extent_bytes() as u64;
        let next = u32::try_from(range.start / full).unwrap_or(u32::MAX);
        let (peers, rooms) = (Arc::clone(client.peers()), client.rooms().clone());
        Self { peers, rooms, reader, range, next, fetching: None }
    }

    /// The next extent's part; the one behind it is begun.
    async fn take(&mut self) -> Option<Result<Part, ReadError>> {
        let fetching = self.fetching.take().or_else(|| self.fetch())?;
        let Fetching { task, part } = fetching;
        let part = part.await.unwrap_or(Err(ReadError::Stopped));
        drop(task);
        if part.is_ok() {
            self.fetching = self.fetch();
        }
        Some(part)
    }

    /// Begins to read the next extent that the range touches.
    fn fetch(&mut self) -> Option<Fetching> {
        let extent = ExtentIndex(self.next);
        let layout = self.reader.layout();
        let whole = layout.extent_bytes(extent);
        let range = whole.start.max(self.range.start)..whole.end.min(self.range.end);
        let is_empty_blob = layout.length() == 0 && self.next == 0;
        if range.is_empty() && !is_empty_blob {
            return None;
        }
        self.next += 1;
        let (reader, rooms) = (Arc::clone(&self.reader), self.rooms.clone());
        let (send, part) = oneshot::channel();
        let task = async move {
            let weight = weight(&reader, extent, &range).saturating_mul(READING_FACTOR);
            let mut held = rooms.reading.hold(weight).await;
            let part = reader.read(extent, range).await.map(|bytes| {
                shrink(&mut held, bytes.len());
                Part { bytes, _held: held }
            });
            // The reader may have gone.
            let _ = send.send(part);
        };
        let task = self.peers.env.spawn.spawn("client-read", Box::pin(task));
        Some(Fetching { task, part })
    }
}

#[cfg(test)]
mod tests;
