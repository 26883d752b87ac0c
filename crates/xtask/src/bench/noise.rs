//! Content of objects: incompressible, no two alike, known again without being kept.

use anyhow::{bail, ensure};
use bytes::Bytes;

/// What all objects are cut from.
const POOL_BYTES: usize = 64 << 20;
/// A piece: its own head, then part of the pool.
const PIECE_BYTES: usize = 256 << 10;
const HEAD_BYTES: usize = 16;
/// Odd, far from a power of two: spreads numbers over the pool.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Random bytes.
#[derive(Clone)]
pub(super) struct Noise {
    pool: Bytes,
    run: u32,
}

impl Noise {
    /// Asks the system for randomness.
    pub(super) fn draw() -> anyhow::Result<Self> {
        let mut pool = vec![0; POOL_BYTES];
        if let Err(error) = getrandom::fill(&mut pool) {
            bail!("no random bytes: {error}");
        }
        let mut run = [0; 4];
        run.copy_from_slice(&pool[..4]);
        Ok(Self { pool: pool.into(), run: u32::from_le_bytes(run) })
    }

    /// The bytes of an object, in order.
    pub(super) fn object(
        &self,
        object: u64,
        length: u64,
    ) -> impl Iterator<Item = Bytes> + Send + 'static {
        let noise = self.clone();
        let pieces = length.div_ceil(PIECE_BYTES as u64);
        (0..pieces).flat_map(move |piece| {
            let left = length - piece * PIECE_BYTES as u64;
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            noise.piece(object, piece, count)
        })
    }

    fn piece(&self, object: u64, piece: u64, count: usize) -> [Bytes; 2] {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(&object.to_le_bytes());
        head[8..12].copy_from_slice(&self.run.to_le_bytes());
        head[12..].copy_from_slice(&piece.to_le_bytes()[..4]);
        let mixed = (object << 20 ^ piece).wrapping_mul(SPREAD) >> 16;
        let places = (POOL_BYTES - PIECE_BYTES) as u64;
        let start = usize::try_from(mixed % places).unwrap_or(0);
        let head_bytes = count.min(HEAD_BYTES);
        let body = self.pool.slice(start..start + count - head_bytes);
        [Bytes::copy_from_slice(&head[..head_bytes]), body]
    }

    /// Checks an object that comes in chunks.
    pub(super) fn comparison(&self, object: u64, length: u64) -> Comparison {
        let wanted = Box::new(self.object(object, length));
        Comparison { object, wanted, front: Bytes::new(), taken_bytes: 0 }
    }
}

/// How far an object has been compared.
pub(super) struct Comparison {
    object: u64,
    wanted: Box<dyn Iterator<Item = Bytes> + Send>,
    front: Bytes,
    taken_bytes: u64,
}

impl Comparison {
    /// Compares the next bytes; an error at the first that differ.
    pub(super) fn take(&mut self, mut chunk: &[u8]) -> anyhow::Result<()> {
        while !chunk.is_empty() {
            if self.front.is_empty() {
                let Some(front) = self.wanted.next() else {
                    bail!("object {} is longer than was written", self.object);
                };
                self.front = front;
            }
            let (now, later) = chunk.split_at(chunk.len().min(self.front.len()));
            let wanted = self.front.split_to(now.len());
            ensure!(
                now == wanted,
                "object {}: other bytes than were written after byte {}",
                self.object,
                self.taken_bytes
            );
            self.taken_bytes += now.len() as u64;
            chunk = later;
        }
        Ok(())
    }

    /// The object has ended; an error if bytes are missing.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        let all = self.front.is_empty() && self.wanted.next().is_none();
        ensure!(all, "object {} ends after {} bytes, too early", self.object, self.taken_bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = 600_001;

    fn bytes(noise: &Noise, object: u64) -> Vec<u8> {
        noise.object(object, LENGTH).flatten().collect()
    }

    fn compare(noise: &Noise, bytes: &[u8]) -> anyhow::Result<()> {
        let mut comparison = noise.comparison(3, LENGTH);
        for chunk in bytes.chunks(70_003) {
            comparison.take(chunk)?;
        }
        comparison.end()
    }

    #[test]
    fn an_object_is_known_again_and_nothing_else_passes_for_it() {
        let noise = Noise::draw().unwrap();
        let object = bytes(&noise, 3);
        assert_eq!(object.len() as u64, LENGTH);
        compare(&noise, &object).unwrap();
        assert!(compare(&noise, &bytes(&noise, 4)).is_err());
        assert!(compare(&noise, &object[1..]).is_err());
        assert!(compare(&noise, &object[..object.len() - 1]).is_err());
        assert!(compare(&noise, &[&object[..], b"x"].concat()).is_err());
        for at in [0, 300_000, object.len() - 1] {
            let mut altered = object.clone();
            altered[at] ^= 1;
            assert!(compare(&noise, &altered).is_err(), "byte {at}");
        }
    }
}
