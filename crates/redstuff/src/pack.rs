//! Many symbols as one long shard.
//!
//! The codec works on 16-bit elements and reads a shard in chunks of 64 bytes: 32 low bytes, then
//! 32 high bytes; a tail of t bytes is t/2 + t/2. Coded elements do not depend on each other, so
//! symbols that share an erasure pattern may be coded as one shard, if each element keeps its two
//! bytes. Whole chunks stay as they are; only the tails of the symbols are dealt out anew:
//!
//! ```text
//! symbols   [ chunk chunk t0 ] [ chunk chunk t1 ] [ chunk chunk t2 ]
//! packed    [ chunk chunk   chunk chunk   chunk chunk   t0 t1 t2 as chunks ]
//! ```

use std::borrow::Cow;

/// Bytes the codec reads at once.
const CHUNK_BYTES: usize = 64;
const CHUNK_ELEMENTS: usize = CHUNK_BYTES / 2;

/// Whether symbols of this size lie packed as they are.
pub(crate) const fn is_packed(symbol_bytes: usize) -> bool {
    symbol_bytes.is_multiple_of(CHUNK_BYTES)
}

/// The symbols, one behind the other, as one shard of the same length.
pub(crate) fn pack(symbols: &[u8], symbol_bytes: usize) -> Cow<'_, [u8]> {
    if is_packed(symbol_bytes) || symbols.len() == symbol_bytes {
        return Cow::Borrowed(symbols);
    }
    let mut shard = vec![0; symbols.len()];
    pack_into(symbols, symbol_bytes, &mut shard);
    Cow::Owned(shard)
}

/// Writes the symbols, one behind the other, as one shard of the same length.
pub(crate) fn pack_into(symbols: &[u8], symbol_bytes: usize, shard: &mut [u8]) {
    let tails = Tails::new(symbols.len(), symbol_bytes);
    for (number, symbol) in symbols.chunks_exact(symbol_bytes).enumerate() {
        let (body, tail) = symbol.split_at(tails.body_bytes);
        shard[number * tails.body_bytes..][..tails.body_bytes].copy_from_slice(body);
        let (low, high) = tail.split_at(tail.len() / 2);
        tails.runs(number, |element, low_at, high_at, count| {
            shard[low_at..][..count].copy_from_slice(&low[element..][..count]);
            shard[high_at..][..count].copy_from_slice(&high[element..][..count]);
        });
    }
}

/// Undoes [`pack_into`].
pub(crate) fn unpack_into(shard: &[u8], symbol_bytes: usize, symbols: &mut [u8]) {
    let tails = Tails::new(shard.len(), symbol_bytes);
    for (number, symbol) in symbols.chunks_exact_mut(symbol_bytes).enumerate() {
        let (body, tail) = symbol.split_at_mut(tails.body_bytes);
        body.copy_from_slice(&shard[number * tails.body_bytes..][..tails.body_bytes]);
        let (low, high) = tail.split_at_mut(tail.len() / 2);
        tails.runs(number, |element, low_at, high_at, count| {
            low[element..][..count].copy_from_slice(&shard[low_at..][..count]);
            high[element..][..count].copy_from_slice(&shard[high_at..][..count]);
        });
    }
}

/// Where the tails of the symbols go.
struct Tails {
    body_bytes: usize,
    elements_per_symbol: usize,
    first: usize,
    end: usize,
}

impl Tails {
    const fn new(shard_bytes: usize, symbol_bytes: usize) -> Self {
        let tail_bytes = symbol_bytes % CHUNK_BYTES;
        let body_bytes = symbol_bytes - tail_bytes;
        let first = shard_bytes / symbol_bytes * body_bytes;
        Self { body_bytes, elements_per_symbol: tail_bytes / 2, first, end: shard_bytes }
    }

    /// The runs of a symbol's tail that stay together: first element, places of its low and its high
    /// byte, elements.
    fn runs(&self, symbol: usize, mut each: impl FnMut(usize, usize, usize, usize)) {
        let mut element = 0;
        while element < self.elements_per_symbol {
            let number = symbol * self.elements_per_symbol + element;
            let (chunk, within) = (number / CHUNK_ELEMENTS, number % CHUNK_ELEMENTS);
            let chunk = self.first + chunk * CHUNK_BYTES;
            let half = (self.end - chunk).min(CHUNK_BYTES) / 2;
            let count = (self.elements_per_symbol - element).min(CHUNK_ELEMENTS - within);
            each(element, chunk + within, chunk + half + within, count);
            element += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    fn unpack(shard: &[u8], symbol_bytes: usize) -> Vec<u8> {
        let mut symbols = vec![0; shard.len()];
        unpack_into(shard, symbol_bytes, &mut symbols);
        symbols
    }

    #[test]
    fn coding_packed_symbols_is_coding_each() {
        let code = Code { originals: 3, shards: 7 };
        for symbol_bytes in [2, 4, 30, 62, 64, 66, 100, 126, 128, 190] {
            for symbols in [1, 2, 3, 16, 33] {
                let shard = |seed: usize| -> Vec<u8> {
                    let bytes = 0..symbols * symbol_bytes;
                    bytes.map(|at| (at * 31 + seed * 101).to_le_bytes()[0]).collect()
                };
                let shards: Vec<Vec<u8>> = (0..3).map(shard).collect();
                let packed: Vec<_> = shards.iter().map(|shard| pack(shard, symbol_bytes)).collect();
                let together = code.extend(&packed.iter().map(AsRef::as_ref).collect::<Vec<_>>());
                let together =
                    together.unwrap().into_iter().map(|shard| unpack(&shard, symbol_bytes));
                let together: Vec<Vec<u8>> = together.collect();
                for symbol in 0..symbols {
                    let range = symbol * symbol_bytes..(symbol + 1) * symbol_bytes;
                    let one: Vec<&[u8]> =
                        shards.iter().map(|shard| &shard[range.clone()]).collect();
                    for (alone, together) in code.extend(&one).unwrap().iter().zip(&together) {
                        assert_eq!(alone, &together[range.clone()], "{symbol_bytes} x {symbols}");
                    }
                }
                let back = unpack(&packed[0], symbol_bytes);
                assert_eq!(back, shards[0]);
            }
        }
    }
}
