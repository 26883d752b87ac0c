//! Cutting a stream of bytes into extents, in bounded memory.

use std::sync::Arc;

use bytes::Bytes;
use floe_model::Geometry;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::budget::{FIRST_BYTES, Held, Rooms};
use crate::stock::Stock;

/// What a body's sender may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body: its bytes in order, in pieces of any size.
type Body = BoxStream<'static, Result<Bytes, BoxError>>;

/// The bytes of one extent.
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// No bytes follow.
    pub(crate) is_last: bool,
    /// Room for the bytes.
    pub(crate) _held: Held,
}

/// Takes a body extent by extent.
pub(crate) struct Intake {
    body: Body,
    rooms: Rooms,
    stock: Arc<Stock>,
    extent_bytes: usize,
    /// Received, of the next extent.
    left: Bytes,
    ended: bool,
}

impl Intake {
    pub(crate) fn new(body: Body, geometry: Geometry, (rooms, stock): (Rooms, Arc<Stock>)) -> Self {
        let extent_bytes = geometry.full_extent_bytes();
        Self { body, rooms, stock, extent_bytes, left: Bytes::new(), ended: false }
    }

    /// The next extent; of an empty body the first one is empty.
    pub(crate) async fn next(&mut self) -> Result<Piece, BoxError> {
        let mut bytes = Vec::new();
        // Most blobs are small: room for a whole extent is taken when one is coming.
        let mut held = self.rooms.starting.hold(FIRST_BYTES.min(self.extent_bytes)).await;
        self.fill(&mut bytes, FIRST_BYTES).await?;
        self.look_ahead().await?;
        if !self.ended && bytes.len() < self.extent_bytes {
            let whole = self.rooms.receiving.hold(self.extent_bytes).await;
            drop(std::mem::replace(&mut held, whole));
            let first = std::mem::replace(&mut bytes, self.stock.buffer(self.extent_bytes));
            bytes.extend_from_slice(&first);
            self.fill(&mut bytes, self.extent_bytes).await?;
            self.look_ahead().await?;
        }
        Ok(Piece { bytes: self.stock.lend(bytes), is_last: self.ended, _held: held })
    }

    async fn fill(&mut self, bytes: &mut Vec<u8>, upto: usize) -> Result<(), BoxError> {
        let upto = upto.min(self.extent_bytes);
        while bytes.len() < upto {
            self.look_ahead().await?;
            if self.ended {
                break;
            }
            let count = self.left.len().min(upto - bytes.len());
            bytes.extend_from_slice(&self.left.split_to(count));
        }
        Ok(())
    }

    /// Makes sure that bytes of the next extent are here, or that there are none.
    async fn look_ahead(&mut self) -> Result<(), BoxError> {
        while self.left.is_empty() && !self.ended {
            match self.body.next().await {
                Some(received) => self.left = received?,
                None => self.ended = true,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream;

    use super::*;
    use crate::budget::Budget;

    fn intake(pieces: Vec<usize>) -> Intake {
        let body = stream::iter(pieces.into_iter().map(|bytes| Ok(Bytes::from(vec![7; bytes]))));
        Intake::new(body.boxed(), Geometry::of_shards(4).unwrap(), source())
    }

    fn source() -> (Rooms, Arc<Stock>) {
        (Rooms::new(Budget::default()), Stock::new(0))
    }

    fn lengths(pieces: Vec<usize>) -> Vec<(usize, bool)> {
        let mut intake = intake(pieces);
        let mut lengths = Vec::new();
        while lengths.last().is_none_or(|(_, is_last)| !is_last) {
            let piece = block_on(intake.next()).unwrap();
            lengths.push((piece.bytes.len(), piece.is_last));
        }
        lengths
    }

    #[test]
    fn extents_are_full_but_the_last() {
        let full = Geometry::of_shards(4).unwrap().full_extent_bytes();
        assert_eq!(lengths(vec![]), [(0, true)]);
        assert_eq!(lengths(vec![0, 0]), [(0, true)]);
        assert_eq!(lengths(vec![1, 0, 5]), [(6, true)]);
        assert_eq!(lengths(vec![FIRST_BYTES]), [(FIRST_BYTES, true)]);
        assert_eq!(lengths(vec![full, 0]), [(full, true)]);
        assert_eq!(lengths(vec![full + 1]), [(full, false), (1, true)]);
        let pieces = vec![full - 1, full + 1, full, 3, 0];
        assert_eq!(lengths(pieces), [(full, false), (full, false), (full, false), (3, true)]);
    }

    #[test]
    fn room_is_given_back_and_small_bodies_take_little() {
        let full = Geometry::of_shards(4).unwrap().full_extent_bytes();
        let mut intake = intake(vec![100, full]);
        let receiving = intake.rooms.receiving.free_bytes();
        let first = block_on(intake.next()).unwrap();
        assert!(intake.rooms.receiving.free_bytes() <= receiving - full);
        let second = block_on(intake.next()).unwrap();
        assert_eq!((second.bytes.len(), second.is_last), (100, true));
        drop(first);
        assert_eq!(intake.rooms.receiving.free_bytes(), receiving, "the second is small");
    }

    #[test]
    fn a_broken_body_is_told() {
        let body = stream::iter([Ok(Bytes::from_static(b"x")), Err("connection lost".into())]);
        let geometry = Geometry::of_shards(4).unwrap();
        let broken = block_on(Intake::new(body.boxed(), geometry, source()).next());
        assert_eq!(broken.err().unwrap().to_string(), "connection lost");
    }
}
