//! The two-dimensional erasure code: bytes to slivers to symbols and back, with commitments and
//! proofs. Pure: no I/O, no clock, no threads; [`encode_stripe`] and [`check_decoded_stripe`] are
//! independent jobs for the caller's pool.
//!
//! # One stripe
//!
//! Up to a full stripe of bytes fills a matrix of symbols row by row, padded with zeros. Every column
//! is extended down to n symbols, every row to the right to n; the code is linear, so both ways into
//! the corner agree:
//!
//! ```text
//!              n-f columns          f
//!          +------------------+-----------+
//!     n-2f |       data       |   right   | --> root of primary 0
//!     rows |                  |           | --> ...
//!          +------------------+-----------+
//!       2f |      below       |  corner   | --> root of primary i
//!          |          x(i,j)  |           | --> ...
//!          +------------------+-----------+
//!                     |
//!                     v root of secondary j
//! ```
//!
//! - **Primary sliver i** is row i of the left half: n-f symbols. **Secondary sliver j** is column j of
//!   the upper half: n-2f symbols. **Pair i** is primary i and secondary n-1-i, so that the shards that
//!   hold plain rows are not those that hold plain columns.
//! - **Crossing symbol x(i,j)** lies in the expansion of primary i *and* of secondary j. Whoever holds
//!   one of the two can compute it, and it is 1/(n-f) or 1/(n-2f) of what the other needs: a missing
//!   sliver is rebuilt from small pieces of many peers ([`crossing_symbols`], [`rebuild_sliver`]).
//! - **Commitments**: a sliver's root is a Merkle tree over the n symbols of its *expansion*, so any
//!   crossing symbol has a short proof ([`prove_symbols`]). A pair's leaf is its two roots; the stripe
//!   id hashes the root over the pairs and the length. All of it is Walrus's RS2, bit for bit.
//!
//! # Why n-f and n-2f
//!
//! A write is final when n-f shards have their pairs; at worst f of them lie. The n-2f others are
//! honest, so n-2f primaries always decode the blob, and an honest shard that missed the write gets
//! n-2f symbols for its secondary from them at once. When all honest shards, n-f at least, have healed
//! their secondaries, there are n-f symbols for every missing primary. Hence rows of n-f and columns of
//! n-2f, and hence secondaries first. (Until then, n-2f primaries decode the whole stripe.)
//!
//! # Beyond one stripe
//!
//! An **extent** is consecutive stripes, all full but the last; its slivers, symbols and metadata are
//! those of its stripes, one behind the other, and it needs nothing from outside to be checked. A
//! **manifest** ([`Manifest`]) lists a blob's stripe ids and commits to them in the blob id.
//!
//! # Where the time goes
//!
//! Encoding hashes n² symbols: nine tenths of its time at n = 4, half at n = 100, where the code takes
//! most of the rest. [`Encoder`] leaves few hash lanes empty (there are eight with AVX-512, else four),
//! extends and hashes what is in cache, and reuses its memory, as fresh pages cost as much as the
//! hashing. Rows and columns are coded by `reed-solomon-simd` in tiles that stay in cache; symbols of
//! any size are dealt into its chunks, so that many are coded at once (`pack.rs`). What is missing is
//! made from what is there by Lagrange's factors (`recipe.rs`), without the decoder's fixed cost per
//! call.
//!
//! # What is trusted
//!
//! The Reed–Solomon code notices no error: what goes in unchecked comes out as garbage. So
//! everything is held against a root: [`Verified`] marks what agrees, and only this crate makes one.
//!
//! | in | function | out |
//! |---|---|---|
//! | roots from anyone | [`ExtentMetadata::parse_for`] | `Verified<ExtentMetadata>` |
//! | a sliver from anyone | [`verify_sliver`] | `Verified<ExtentSliver>` |
//! | symbols from peers | [`rebuild_sliver`] | `Verified<ExtentSliver>`, or a root mismatch |
//! | after a mismatch: symbols with proofs | [`verify_symbols`] | which peer lies |
//! | all proofs hold, the root still differs | [`prove_inconsistent`] | proof that the *writer* lied |
//! | slivers | [`decode_extent`], [`check_decoded`] | the bytes of the extent |

mod check;
mod code;
mod decode;
mod encoder;
mod error;
mod extent;
mod inconsistency;
mod lanes;
mod manifest;
mod merkle;
mod metadata;
mod pack;
mod quadrant;
mod rebuild;
mod recipe;
mod shape;
mod sliver;
mod stripe;
mod symbol;
mod verified;

pub use check::{CheckError, ReadCheck, check_decoded, check_decoded_stripe};
pub use decode::{DecodeError, decode_extent, decode_stripe};
pub use encoder::Encoder;
pub use error::{CodecError, SourceError};
pub use extent::{EncodedExtent, encode_extent};
pub use inconsistency::{InconsistencyError, InconsistencyProof, ProvenSource, prove_inconsistent};
pub use manifest::{Manifest, ManifestError};
pub use metadata::{ExtentMetadata, MetadataError, PairRoots, StripeMetadata};
pub use rebuild::{RebuildError, rebuild_sliver, rebuild_stripe_sliver};
pub use shape::StripeShape;
pub use sliver::{ExtentSliver, SliverError, verify_sliver};
pub use stripe::{EncodedStripe, ParityError, encode_stripe, stripe_id};
pub use symbol::{
    SymbolError, SymbolProof, crossing_symbols, prove_stripe_symbol, prove_symbols, verify_symbols,
};
pub use verified::Verified;
