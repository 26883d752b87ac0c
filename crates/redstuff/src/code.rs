//! The one-dimensional code: Reed–Solomon over GF(2^16), systematic.

use std::collections::BTreeMap;

use reed_solomon_simd::{Error, ReedSolomonEncoder};

use crate::error::{CodecError, SourceError};

/// Bytes of each shard encoded at once, so that the work stays in cache; a multiple of 64.
const ENCODE_TILE_BYTES: usize = 4 * 1024;

/// A code whose first `originals` of `shards` shards are the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) originals: usize,
    pub(crate) shards: usize,
}

impl Code {
    const fn parity(self) -> usize {
        self.shards - self.originals
    }

    /// The parity shards of originals of equal, even length.
    pub(crate) fn extend(self, originals: &[&[u8]]) -> Result<Vec<Vec<u8>>, CodecError> {
        let bytes = originals.first().map_or(0, |shard| shard.len());
        let mut parity = vec![0; self.parity() * bytes];
        let mut extender = Extender::new(self);
        extender.extend(
            bytes,
            |original| originals[original],
            &mut parity,
            |shard| shard * bytes,
        )?;
        Ok(parity.chunks_exact(bytes.max(1)).map(<[u8]>::to_vec).collect())
    }

    /// The originals that are not given.
    pub(crate) fn missing(self, given: &[usize]) -> impl Iterator<Item = usize> {
        (0..self.originals).filter(|position| !given.contains(position))
    }

    /// As many of the shards as there are originals, those of lowest position first, so that data
    /// is taken before parity. Each must be of `bytes` bytes.
    pub(crate) fn choose<'a>(
        self,
        given: &[(u16, &'a [u8])],
        bytes: usize,
    ) -> Result<BTreeMap<u16, &'a [u8]>, SourceError> {
        let mut chosen = BTreeMap::new();
        for &(index, shard) in given {
            if usize::from(index) >= self.shards {
                return Err(SourceError::NoSuchIndex { index, shards: self.shards });
            }
            if shard.len() != bytes {
                let actual = shard.len();
                return Err(SourceError::WrongLength { index, expected: bytes, actual });
            }
            chosen.entry(index).or_insert(shard);
        }
        if chosen.len() < self.originals {
            return Err(SourceError::NotEnough { have: chosen.len(), need: self.originals });
        }
        while chosen.len() > self.originals {
            chosen.pop_last();
        }
        Ok(chosen)
    }
}

/// Extends again and again with one encoder's memory.
pub(crate) struct Extender {
    code: Code,
    encoder: Option<(usize, ReedSolomonEncoder)>,
}

impl Extender {
    pub(crate) const fn new(code: Code) -> Self {
        Self { code, encoder: None }
    }

    /// Extends with another code from now on, in the same memory.
    pub(crate) fn turn_to(&mut self, code: Code) {
        if self.code != code {
            self.code = code;
            if let Some((tile_bytes, _)) = &mut self.encoder {
                *tile_bytes = 0;
            }
        }
    }

    /// Writes the parity shards of originals of equal, even length: shard i begins at `place(i)`.
    pub(crate) fn extend<'a>(
        &mut self,
        bytes: usize,
        original: impl Fn(usize) -> &'a [u8],
        parity: &mut [u8],
        place: impl Fn(usize) -> usize,
    ) -> Result<(), CodecError> {
        for start in (0..bytes).step_by(ENCODE_TILE_BYTES) {
            let range = start..bytes.min(start + ENCODE_TILE_BYTES);
            let originals = self.code.originals;
            let encoder = self.encoder(range.len())?;
            for number in 0..originals {
                encoder.add_original_shard(&original(number)[range.clone()])?;
            }
            let result = encoder.encode()?;
            for (number, tile) in result.recovery_iter().enumerate() {
                parity[place(number) + start..][..tile.len()].copy_from_slice(tile);
            }
        }
        Ok(())
    }

    fn encoder(&mut self, tile_bytes: usize) -> Result<&mut ReedSolomonEncoder, Error> {
        let Code { originals, .. } = self.code;
        let parity = self.code.parity();
        let encoder = match self.encoder.take() {
            Some((bytes, encoder)) if bytes == tile_bytes => encoder,
            Some((_, mut encoder)) => {
                encoder.reset(originals, parity, tile_bytes)?;
                encoder
            }
            None => ReedSolomonEncoder::new(originals, parity, tile_bytes)?,
        };
        Ok(&mut self.encoder.insert((tile_bytes, encoder)).1)
    }
}
