//! How a blob of a given length is cut: matrix, symbols, stripes, extents; and which shard holds what.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::id::{ExtentIndex, PairIndex, ShardIndex, StripeId};

/// Bytes in the largest symbol.
const LARGEST_SYMBOL_BYTES: usize = 32 * 1024;
/// Bytes in the smallest symbol of a full stripe.
const SMALLEST_FULL_SYMBOL_BYTES: usize = 1024;
/// Full symbols are a multiple of this, so that columns can be coded side by side.
const FULL_SYMBOL_ALIGNMENT_BYTES: usize = 64;
/// Bytes a full stripe may hold.
const LARGEST_STRIPE_BYTES: usize = 16 * 1024 * 1024;
/// Bytes an extent may hold, unless a single stripe is larger.
const LARGEST_EXTENT_BYTES: usize = 8 * 1024 * 1024;
/// Rows times columns of the largest matrix.
const LARGEST_MATRIX_SYMBOLS: usize = 16_384;

/// One of the two dimensions of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Rows: slivers of n-f symbols, rebuilt from n-f crossing symbols.
    Primary,
    /// Columns: slivers of n-2f symbols, rebuilt from n-2f crossing symbols.
    Secondary,
}

impl Axis {
    /// Both, in the order in which repair takes them: secondaries need fewer symbols.
    pub const BOTH: [Self; 2] = [Self::Secondary, Self::Primary];

    /// The other one: where the crossing symbols of a sliver come from.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        })
    }
}

/// Numbers that make no committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// n is out of range.
    #[error("{0} shards: a committee has 4 to 256")]
    Shards(u16),
    /// f is out of range for n.
    #[error(
        "{faulty} faulty shards of {shards}: at least 1 and at most {most}, and (n-2f)·(n-f) at most 16384"
    )]
    Faulty {
        /// n.
        shards: u16,
        /// f as given.
        faulty: u16,
        /// floor((n-1)/3).
        most: u16,
    },
}

/// n shards of which f may be faulty, fixed for the life of a committee.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Geometry {
    shards: u16,
    faulty: u16,
}

impl fmt::Debug for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Geometry(n={}, f={})", self.shards, self.faulty)
    }
}

impl<'de> Deserialize<'de> for Geometry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Plain {
            shards: u16,
            faulty: u16,
        }
        let Plain { shards, faulty } = Plain::deserialize(deserializer)?;
        Self::new(shards, faulty).map_err(serde::de::Error::custom)
    }
}

impl Geometry {
    /// A committee of `shards` = n of which `faulty` = f may be faulty.
    pub fn new(shards: u16, faulty: u16) -> Result<Self, GeometryError> {
        if !(4..=256).contains(&shards) {
            return Err(GeometryError::Shards(shards));
        }
        let geometry = Self { shards, faulty };
        let most = Self::most_faulty(shards);
        if faulty == 0
            || faulty > most
            || geometry.rows() * geometry.columns() > LARGEST_MATRIX_SYMBOLS
        {
            return Err(GeometryError::Faulty { shards, faulty, most });
        }
        Ok(geometry)
    }

    /// n shards with the largest f.
    pub fn of_shards(shards: u16) -> Result<Self, GeometryError> {
        Self::new(shards, Self::most_faulty(shards))
    }

    /// floor((n-1)/3).
    pub const fn most_faulty(shards: u16) -> u16 {
        shards.saturating_sub(1) / 3
    }

    /// n.
    pub const fn shards(self) -> u16 {
        self.shards
    }

    /// f.
    pub const fn faulty(self) -> u16 {
        self.faulty
    }

    /// n-2f: rows of the message matrix, symbols in a secondary sliver, primaries that decode.
    pub const fn rows(self) -> usize {
        (self.shards - 2 * self.faulty) as usize
    }

    /// n-f: columns of the message matrix, symbols in a primary sliver, secondaries that decode.
    pub const fn columns(self) -> usize {
        (self.shards - self.faulty) as usize
    }

    /// Whether ids of one-stripe blobs are plain RS2 ids: only where f is the largest.
    pub const fn is_rs2(self) -> bool {
        self.faulty == Self::most_faulty(self.shards)
    }

    /// Symbols in a sliver of `axis`; as many crossing symbols rebuild it.
    pub const fn sliver_symbols(self, axis: Axis) -> usize {
        match axis {
            Axis::Primary => self.columns(),
            Axis::Secondary => self.rows(),
        }
    }

    /// Slivers of `axis` that decode a stripe.
    pub const fn slivers_to_decode(self, axis: Axis) -> usize {
        self.sliver_symbols(axis.other())
    }

    /// The index on `axis` of pair i's sliver: i for primaries, n-1-i for secondaries.
    pub const fn sliver_of_pair(self, axis: Axis, pair: PairIndex) -> u16 {
        match axis {
            Axis::Primary => pair.0,
            Axis::Secondary => self.shards - 1 - pair.0,
        }
    }

    /// The pair whose sliver of `axis` has this index; its own inverse.
    pub const fn pair_of_sliver(self, axis: Axis, sliver: u16) -> PairIndex {
        PairIndex(self.sliver_of_pair(axis, PairIndex(sliver)))
    }

    /// The shard that holds `pair` of the extent whose first stripe is `first`.
    pub fn shard_of_pair(self, first: &StripeId, pair: PairIndex) -> ShardIndex {
        ShardIndex((pair.0 + Self::rotation(first, self.shards)) % self.shards)
    }

    /// The pair that `shard` holds of the extent whose first stripe is `first`.
    pub fn pair_of_shard(self, first: &StripeId, shard: ShardIndex) -> PairIndex {
        PairIndex((shard.0 + self.shards - Self::rotation(first, self.shards)) % self.shards)
    }

    /// The shard of pair 0 of n shards: the id as a big-endian integer modulo n.
    pub fn rotation(first: &StripeId, shards: u16) -> u16 {
        let n = u32::from(shards);
        let rest = first.0.iter().fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % n);
        u16::try_from(rest).unwrap_or(0)
    }

    /// Bytes of one symbol of a stripe of `length` bytes: even, at least 2.
    pub const fn symbol_bytes(self, length: usize) -> usize {
        let length = if length == 0 { 1 } else { length };
        length.div_ceil(self.rows() * self.columns()).next_multiple_of(2)
    }

    /// Bytes of one symbol of a full stripe.
    pub const fn full_symbol_bytes(self) -> usize {
        let symbols = self.rows() * self.columns();
        let fitting = LARGEST_STRIPE_BYTES / symbols;
        let fitting = fitting - fitting % FULL_SYMBOL_ALIGNMENT_BYTES;
        if fitting > LARGEST_SYMBOL_BYTES {
            LARGEST_SYMBOL_BYTES
        } else if fitting < SMALLEST_FULL_SYMBOL_BYTES {
            SMALLEST_FULL_SYMBOL_BYTES
        } else {
            fitting
        }
    }

    /// Bytes of blob in a full stripe.
    pub const fn full_stripe_bytes(self) -> usize {
        self.rows() * self.columns() * self.full_symbol_bytes()
    }

    /// Stripes in a full extent.
    pub const fn stripes_per_extent(self) -> usize {
        let fitting = LARGEST_EXTENT_BYTES / self.full_stripe_bytes();
        if fitting == 0 { 1 } else { fitting }
    }

    /// Bytes of blob in a full extent.
    pub const fn full_extent_bytes(self) -> usize {
        self.stripes_per_extent() * self.full_stripe_bytes()
    }
}

/// How a blob of one length is cut into stripes and extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobLayout {
    geometry: Geometry,
    length: u64,
}

impl BlobLayout {
    /// The layout of `length` bytes.
    pub const fn new(geometry: Geometry, length: u64) -> Self {
        Self { geometry, length }
    }

    /// The committee's geometry.
    pub const fn geometry(self) -> Geometry {
        self.geometry
    }

    /// Bytes of the blob.
    pub const fn length(self) -> u64 {
        self.length
    }

    /// Stripes; an empty blob has one.
    pub const fn stripes(self) -> u64 {
        let count = self.length.div_ceil(self.geometry.full_stripe_bytes() as u64);
        if count == 0 { 1 } else { count }
    }

    /// Extents, at least one. A blob has at most 2^32-1 (32 PiB of full extents).
    pub fn extents(self) -> u32 {
        let count = self.stripes().div_ceil(self.geometry.stripes_per_extent() as u64);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The blob has one stripe and needs no manifest.
    pub const fn is_single_stripe(self) -> bool {
        self.stripes() == 1 && self.geometry.is_rs2()
    }

    /// Stripe numbers of an extent, empty beyond the end.
    pub fn extent_stripes(self, extent: ExtentIndex) -> Range<u64> {
        let per_extent = self.geometry.stripes_per_extent() as u64;
        let end = self.stripes();
        let first = (u64::from(extent.0) * per_extent).min(end);
        first..(first + per_extent).min(end)
    }

    /// The extent a stripe lies in.
    pub fn extent_of_stripe(self, stripe: u64) -> ExtentIndex {
        let extent = stripe / self.geometry.stripes_per_extent() as u64;
        ExtentIndex(u32::try_from(extent).unwrap_or(u32::MAX))
    }

    /// Byte range of the blob that a stripe holds.
    pub fn stripe_bytes(self, stripe: u64) -> Range<u64> {
        let full = self.geometry.full_stripe_bytes() as u64;
        let first = stripe.saturating_mul(full).min(self.length);
        first..stripe.saturating_add(1).saturating_mul(full).min(self.length)
    }

    /// Byte range of the blob that an extent holds.
    pub fn extent_bytes(self, extent: ExtentIndex) -> Range<u64> {
        let full = self.geometry.full_extent_bytes() as u64;
        let first = (u64::from(extent.0) * full).min(self.length);
        first..(u64::from(extent.0) + 1).saturating_mul(full).min(self.length)
    }

    /// Bytes in a stripe.
    pub fn stripe_length(self, stripe: u64) -> usize {
        let bytes = self.stripe_bytes(stripe);
        usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX)
    }

    /// Bytes of one symbol of a stripe.
    pub fn symbol_bytes(self, stripe: u64) -> usize {
        self.geometry.symbol_bytes(self.stripe_length(stripe))
    }

    /// The inside of an extent; that of the empty one beyond the end.
    pub fn extent_shape(self, extent: ExtentIndex) -> ExtentShape {
        let bytes = self.extent_bytes(extent);
        let length = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
        ExtentShape { geometry: self.geometry, length }
    }

    /// Bytes of all slivers of the blob on all shards.
    pub fn stored_bytes(self) -> u64 {
        let geometry = self.geometry;
        let pair_symbols = (geometry.rows() + geometry.columns()) as u64;
        let full = self.stripes().saturating_sub(1) * geometry.full_symbol_bytes() as u64;
        let last = self.symbol_bytes(self.stripes() - 1) as u64;
        (full + last) * pair_symbols * u64::from(geometry.shards())
    }
}

/// More bytes than an extent may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an extent of {length} bytes: at most {most} fit")]
pub struct ExtentTooLong {
    /// Bytes wanted.
    pub length: usize,
    /// Bytes of a full extent.
    pub most: usize,
}

/// The inside of one extent: full stripes, but for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExtentShape {
    geometry: Geometry,
    length: usize,
}

impl ExtentShape {
    /// The shape of `length` bytes, at most a full extent.
    pub const fn new(geometry: Geometry, length: usize) -> Result<Self, ExtentTooLong> {
        let most = geometry.full_extent_bytes();
        if length > most {
            return Err(ExtentTooLong { length, most });
        }
        Ok(Self { geometry, length })
    }

    /// The committee's geometry.
    pub const fn geometry(self) -> Geometry {
        self.geometry
    }

    /// Bytes of blob in the extent.
    pub const fn length(self) -> usize {
        self.length
    }

    /// Stripes, at least one.
    pub const fn stripes(self) -> usize {
        let count = self.length.div_ceil(self.geometry.full_stripe_bytes());
        if count == 0 { 1 } else { count }
    }

    /// Byte range, within the extent, of a stripe.
    pub fn stripe_bytes(self, stripe: usize) -> Range<usize> {
        let full = self.geometry.full_stripe_bytes();
        let first = stripe.saturating_mul(full).min(self.length);
        first..stripe.saturating_add(1).saturating_mul(full).min(self.length)
    }

    /// Bytes of one symbol of a stripe.
    pub fn symbol_bytes(self, stripe: usize) -> usize {
        self.geometry.symbol_bytes(self.stripe_bytes(stripe).len())
    }

    /// Bytes of one symbol of each stripe together: what one crossing of two slivers weighs.
    pub fn crossing_bytes(self) -> usize {
        self.crossing_range(self.stripes() - 1).end
    }

    /// Where the symbol of `stripe` lies in the crossing of two slivers.
    pub fn crossing_range(self, stripe: usize) -> Range<usize> {
        let first = stripe * self.geometry.full_symbol_bytes();
        first..first + self.symbol_bytes(stripe)
    }

    /// Bytes of a sliver of `axis`: its slivers of each stripe, in order.
    pub fn sliver_bytes(self, axis: Axis) -> usize {
        self.crossing_bytes() * self.geometry.sliver_symbols(axis)
    }

    /// Where the sliver of `stripe` lies in a sliver of `axis`.
    pub fn sliver_range(self, axis: Axis, stripe: usize) -> Range<usize> {
        let symbols = self.geometry.sliver_symbols(axis);
        let crossing = self.crossing_range(stripe);
        crossing.start * symbols..crossing.end * symbols
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_defaults_of_the_design() {
        let ten = Geometry::of_shards(10).unwrap();
        assert_eq!((ten.faulty(), ten.rows(), ten.columns()), (3, 4, 7));
        assert_eq!(ten.full_stripe_bytes(), 896 * 1024);
        let four = Geometry::of_shards(4).unwrap();
        assert_eq!(four.full_stripe_bytes(), 192 * 1024);
        let twelve = Geometry::of_shards(12).unwrap();
        assert_eq!((twelve.rows(), twelve.columns()), (6, 9));
    }

    #[test]
    fn numbers_that_make_no_committee() {
        assert_eq!(Geometry::of_shards(3), Err(GeometryError::Shards(3)));
        assert_eq!(Geometry::of_shards(257), Err(GeometryError::Shards(257)));
        assert!(Geometry::new(10, 0).is_err());
        assert!(Geometry::new(10, 4).is_err());
        assert!(Geometry::new(256, 85).is_ok());
        assert!(Geometry::new(256, 1).is_err(), "254 x 255 symbols are too many");
    }

    #[test]
    fn an_empty_blob_has_one_stripe_of_smallest_symbols() {
        let layout = BlobLayout::new(Geometry::of_shards(10).unwrap(), 0);
        assert_eq!((layout.stripes(), layout.extents()), (1, 1));
        assert_eq!(layout.symbol_bytes(0), 2);
        assert_eq!(layout.stripe_bytes(0), 0..0);
    }

    proptest! {
        #[test]
        fn stripes_and_extents_tile_the_blob(shards in 4_u16..=256, length in 0_u64..200_000_000) {
            let layout = BlobLayout::new(Geometry::of_shards(shards).unwrap(), length);
            let mut at = 0;
            let mut stripe = 0;
            for extent in 0..layout.extents() {
                let extent = ExtentIndex(extent);
                prop_assert_eq!(layout.extent_bytes(extent).start, at);
                let stripes = layout.extent_stripes(extent);
                prop_assert_eq!(stripes.start, stripe);
                prop_assert!(!stripes.is_empty());
                for number in stripes.clone() {
                    prop_assert_eq!(layout.stripe_bytes(number).start, at);
                    prop_assert_eq!(layout.extent_of_stripe(number), extent);
                    at = layout.stripe_bytes(number).end;
                }
                stripe = stripes.end;
                prop_assert_eq!(layout.extent_bytes(extent).end, at);
                let shape = layout.extent_shape(extent);
                prop_assert_eq!(shape.stripes() as u64, stripes.end - stripes.start);
                let last = shape.stripes() - 1;
                prop_assert_eq!(shape.symbol_bytes(last), layout.symbol_bytes(stripes.end - 1));
                for axis in Axis::BOTH {
                    prop_assert_eq!(shape.sliver_range(axis, last).end, shape.sliver_bytes(axis));
                }
            }
            prop_assert_eq!((at, stripe), (length, layout.stripes()));
            prop_assert!(layout.extent_stripes(ExtentIndex(layout.extents())).is_empty());
        }

        #[test]
        fn every_shard_holds_one_pair(shards in 4_u16..=256, id in any::<[u8; 32]>()) {
            let geometry = Geometry::of_shards(shards).unwrap();
            let first = StripeId(id);
            for pair in (0..shards).map(PairIndex) {
                let shard = geometry.shard_of_pair(&first, pair);
                prop_assert!(shard.0 < shards);
                prop_assert_eq!(geometry.pair_of_shard(&first, shard), pair);
            }
        }

        #[test]
        fn full_stripes_keep_their_bounds(shards in 4_u16..=256) {
            let geometry = Geometry::of_shards(shards).unwrap();
            prop_assert_eq!(geometry.full_symbol_bytes() % 64, 0);
            prop_assert!(geometry.full_stripe_bytes() <= 16 * 1024 * 1024);
            prop_assert!((1024..=32 * 1024).contains(&geometry.full_symbol_bytes()));
        }
    }
}
