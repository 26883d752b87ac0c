//! From an extent's bytes to the pieces of one request body per member.
//!
//! Stripes are encoded side by side and laid, in order, into one frame per sliver: as it goes over the
//! wire. What is made for each stripe goes back to the stock with the encoder that made it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use floe_api::Pieces;
use floe_api::messages::{Extent, SliverFrame};
use floe_env::{Env, Work, compute};
use floe_model::{Axis, ExtentShape, Geometry, Member, PairIndex, StripeId};
use floe_redstuff::{EncodedStripe, Encoder, StripeShape};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use crate::budget::{Held, Rooms, shrink};
use crate::intake::Piece;
use crate::stock::Stock;
use crate::write::WriteError;

/// Stripes of one extent that are encoded at the same time.
const STRIPES_IN_FLIGHT: usize = 4;

/// What the encoding of extents draws on.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) env: &'a Env,
    pub(crate) rooms: &'a Rooms,
    pub(crate) stock: &'a Arc<Stock>,
}

/// An encoded extent, in frames that go to members as they are.
pub(crate) struct Outgoing {
    pub(crate) stripe_ids: Vec<StripeId>,
    geometry: Geometry,
    /// What stands in front of the slivers in every body.
    front: Bytes,
    slivers: BTreeMap<(PairIndex, Axis), Bytes>,
    held: Held,
}

/// Encodes an extent, checks one random row of each stripe's parity, and goes on with the digest.
pub(crate) async fn encode(
    means: Means<'_>,
    geometry: Geometry,
    (piece, digest): (Piece, Sha256),
) -> Result<(Outgoing, Sha256), WriteError> {
    let shape = ExtentShape::new(geometry, piece.bytes.len()).map_err(WriteError::encoding)?;
    let held = means.rooms.sending.hold(expanded_bytes(shape) + sent_bytes(shape)).await;
    let digesting = digest_of(means.env, digest, piece.bytes.clone());
    let (digest, assembly) =
        futures::try_join!(digesting, assemble(means, shape, piece.bytes.clone()))?;
    let mut outgoing = assembly.finish(means.stock, held)?;
    shrink(&mut outgoing.held, sent_bytes(shape));
    Ok((outgoing, digest))
}

async fn digest_of(env: &Env, mut digest: Sha256, bytes: Bytes) -> Result<Sha256, WriteError> {
    let job = move || {
        digest.update(&bytes);
        digest
    };
    Ok(compute(&*env.compute, Work::Foreground, job).await?)
}

async fn assemble(
    means: Means<'_>,
    shape: ExtentShape,
    bytes: Bytes,
) -> Result<Assembly, WriteError> {
    let encoded = stream::iter(0..shape.stripes())
        .map(|stripe| encode_stripe(means, shape, stripe, bytes.slice(shape.stripe_bytes(stripe))))
        .buffered(STRIPES_IN_FLIGHT);
    let add = |mut assembly: Assembly, (mut encoder, stripe): (Encoder, EncodedStripe)| async move {
        let stock = Arc::clone(means.stock);
        let job = move || {
            assembly.add(&stripe)?;
            encoder.recycle(stripe);
            stock.keep_encoder(encoder);
            Ok(assembly)
        };
        compute(&*means.env.compute, Work::Foreground, job).await?
    };
    encoded.try_fold(Assembly::begin(shape, means.stock), add).await
}

async fn encode_stripe(
    means: Means<'_>,
    shape: ExtentShape,
    stripe: usize,
    bytes: Bytes,
) -> Result<(Encoder, EncodedStripe), WriteError> {
    let row = means.env.random.next_u64();
    let stock = Arc::clone(means.stock);
    let job = move || {
        let shape = StripeShape::of(shape, stripe).map_err(WriteError::encoding)?;
        let mut encoder = stock.encoder();
        let encoded = encoder.encode_owned(shape, &bytes).map_err(WriteError::encoding)?;
        encoded.check_parity(row).map_err(WriteError::encoding)?;
        Ok((encoder, encoded))
    };
    compute(&*means.env.compute, Work::Foreground, job).await?
}

/// The frames of an extent's slivers while its stripes come.
struct Assembly {
    shape: ExtentShape,
    stripe_ids: Vec<StripeId>,
    metadata: Vec<u8>,
    slivers: BTreeMap<(PairIndex, Axis), SliverFrame>,
}

impl Assembly {
    fn begin(shape: ExtentShape, stock: &Stock) -> Self {
        let pairs = (0..shape.geometry().shards()).map(PairIndex);
        let places = pairs.flat_map(|pair| Axis::BOTH.map(|axis| (pair, axis)));
        let frame = |(pair, axis)| {
            let sliver_bytes = shape.sliver_bytes(axis);
            let memory = stock.buffer(SliverFrame::encoded_bytes(sliver_bytes));
            ((pair, axis), SliverFrame::begin(memory, (axis, pair), sliver_bytes))
        };
        let slivers = places.map(frame).collect();
        Self { shape, stripe_ids: Vec::new(), metadata: Vec::new(), slivers }
    }

    /// Takes the next stripe.
    fn add(&mut self, stripe: &EncodedStripe) -> Result<(), WriteError> {
        self.stripe_ids.push(stripe.id());
        self.metadata.extend(stripe.metadata().encode());
        let geometry = self.shape.geometry();
        for (&(pair, axis), frame) in &mut self.slivers {
            let parts = stripe.sliver_parts(axis, geometry.sliver_of_pair(axis, pair));
            parts.map_err(WriteError::encoding)?.for_each(|part| frame.append(part));
        }
        Ok(())
    }

    fn finish(self, stock: &Arc<Stock>, held: Held) -> Result<Outgoing, WriteError> {
        let short = || WriteError::encoding("a sliver is shorter than its extent says");
        let length_bytes = u32::try_from(self.shape.length()).map_err(WriteError::encoding)?;
        let frame = |(place, frame): (_, SliverFrame)| {
            Ok((place, stock.lend(frame.finish().ok_or_else(short)?)))
        };
        Ok(Outgoing {
            stripe_ids: self.stripe_ids,
            geometry: self.shape.geometry(),
            front: Extent::encode_front(length_bytes, &self.metadata),
            slivers: self.slivers.into_iter().map(frame).collect::<Result<_, WriteError>>()?,
            held,
        })
    }
}

impl Outgoing {
    /// The body for a member: the metadata and the pairs of its own shards.
    pub(crate) fn body(&self, member: &Member) -> Pieces {
        let pairs = self.stripe_ids.first().into_iter().flat_map(|first| {
            member.shards.iter().map(|&shard| self.geometry.pair_of_shard(first, shard))
        });
        let places = pairs.flat_map(|pair| Axis::BOTH.map(|axis| (pair, axis)));
        let slivers = places.filter_map(|place| self.slivers.get(&place).cloned());
        slivers.collect::<Pieces>().behind(self.front.clone())
    }

    /// The room that the bodies take.
    pub(crate) fn into_held(self) -> Held {
        self.held
    }
}

/// Bytes of the expansions of the stripes in flight: everything but the symbols where parity meets
/// parity.
fn expanded_bytes(shape: ExtentShape) -> usize {
    let geometry = shape.geometry();
    let n = usize::from(geometry.shards());
    let parity = (n - geometry.rows()) * (n - geometry.columns());
    let stripes = shape.stripes().min(STRIPES_IN_FLIGHT);
    shape.symbol_bytes(0) * stripes * (n * n - parity)
}

/// Bytes of the bodies of all members.
fn sent_bytes(shape: ExtentShape) -> usize {
    let geometry = shape.geometry();
    let metadata = shape.stripes() * 64 * usize::from(geometry.shards());
    let pair = shape.sliver_bytes(Axis::Primary) + shape.sliver_bytes(Axis::Secondary);
    (pair + metadata) * usize::from(geometry.shards())
}

#[cfg(test)]
mod tests {
    use floe_api::messages::{Encode as _, Sliver};
    use floe_redstuff::encode_extent;

    use super::*;
    use crate::budget::Budget;
    use crate::tests::fixture::{env, record_of};
    use crate::write::tests::content;

    /// The frames are those that the extent's plain encoding makes, and the second extent needs no
    /// new memory.
    #[tokio::test]
    async fn bodies_are_those_of_the_plain_extent_and_memory_is_used_again() {
        let record = record_of(7, &[3, 2, 1, 1]);
        let geometry = record.geometry;
        let (env, rooms) = (env(), Rooms::new(Budget::default()));
        let stock = Stock::new(usize::MAX);
        let means = Means { env: &env, rooms: &rooms, stock: &stock };
        let full = geometry.full_extent_bytes();
        let mut memory = Vec::new();
        for length in [full, full, full - 1, 100_000, 1, 0] {
            let bytes = content(length);
            let piece = Piece { bytes: bytes.clone(), is_last: false, _held: None };
            let work = (piece, Sha256::new());
            let (outgoing, digest) = encode(means, geometry, work).await.unwrap();
            assert_eq!(digest.finalize(), Sha256::digest(&bytes));
            let shape = ExtentShape::new(geometry, length).unwrap();
            let plain = encode_extent(shape, &bytes).unwrap();
            assert_eq!(outgoing.stripe_ids, plain.metadata().stripe_ids());
            for member in &record.members {
                let sliver = |axis, &shard: &_| {
                    let pair = geometry.pair_of_shard(plain.metadata().first_stripe(), shard);
                    let bytes = plain.sliver(axis, geometry.sliver_of_pair(axis, pair)).unwrap();
                    Sliver { axis, pair, bytes: Bytes::from(bytes) }
                };
                let pair = |shard| Axis::BOTH.map(|axis| sliver(axis, shard));
                let extent = Extent {
                    length_bytes: u32::try_from(length).unwrap(),
                    metadata: Bytes::from(plain.metadata().encode()),
                    slivers: member.shards.iter().flat_map(pair).collect(),
                };
                assert!(outgoing.body(member).to_bytes() == extent.encode());
            }
            drop(outgoing);
            memory.push(stock.idle_bytes());
        }
        assert_eq!(memory[0], memory[1], "{memory:?}");
        assert!(memory[0] > sent_bytes(ExtentShape::new(geometry, full).unwrap()));
    }
}
