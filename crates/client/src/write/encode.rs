//! From an extent's bytes to one request body per member.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use floe_api::messages::{Encode as _, Extent, Sliver};
use floe_env::{Env, Work, compute};
use floe_model::{Axis, EpochRecord, ExtentShape, Geometry, PairIndex, ShardIndex, StripeId};
use floe_redstuff::{EncodedExtent, EncodedStripe};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use crate::budget::{Held, Rooms, shrink};
use crate::intake::Piece;
use crate::write::WriteError;

/// Stripes of one extent that are encoded at the same time.
const STRIPES_IN_FLIGHT: usize = 8;
/// Bodies of one extent that are put together at the same time.
const BODIES_IN_FLIGHT: usize = 4;

/// An encoded extent.
pub(crate) struct Outgoing {
    pub(crate) shape: ExtentShape,
    pub(crate) stripe_ids: Vec<StripeId>,
    extent: Arc<EncodedExtent>,
    metadata: Bytes,
    held: Held,
}

/// The bodies for all members {position: body}, and the room they take.
pub(crate) struct Parcels {
    pub(crate) bodies: BTreeMap<usize, Bytes>,
    pub(crate) held: Held,
}

/// Encodes an extent, checks one random row of each stripe's parity, and goes on with the digest.
pub(crate) async fn encode(
    env: &Env,
    rooms: &Rooms,
    geometry: Geometry,
    (piece, digest): (Piece, Sha256),
) -> Result<(Outgoing, Sha256), WriteError> {
    let shape = ExtentShape::new(geometry, piece.bytes.len()).map_err(WriteError::encoding)?;
    let held = rooms.sending.hold(encoded_bytes(shape) + sent_bytes(shape)).await;
    let digesting = digest_of(env, digest, piece.bytes.clone());
    let stripes = stream::iter(0..shape.stripes())
        .map(|stripe| {
            encode_stripe(env, shape, stripe, piece.bytes.slice(shape.stripe_bytes(stripe)))
        })
        .buffered(STRIPES_IN_FLIGHT)
        .try_collect::<Vec<EncodedStripe>>();
    let (digest, stripes) = futures::try_join!(digesting, stripes)?;
    let extent = EncodedExtent::assemble(shape, stripes).map_err(WriteError::encoding)?;
    let metadata = Bytes::from(extent.metadata().encode());
    let stripe_ids = extent.metadata().stripe_ids().to_vec();
    let outgoing = Outgoing { shape, stripe_ids, extent: Arc::new(extent), metadata, held };
    Ok((outgoing, digest))
}

async fn digest_of(env: &Env, mut digest: Sha256, bytes: Bytes) -> Result<Sha256, WriteError> {
    let job = move || {
        digest.update(&bytes);
        digest
    };
    Ok(compute(&*env.compute, Work::Foreground, job).await?)
}

async fn encode_stripe(
    env: &Env,
    shape: ExtentShape,
    stripe: usize,
    bytes: Bytes,
) -> Result<EncodedStripe, WriteError> {
    let row = env.random.next_u64();
    let job = move || {
        let encoded = floe_redstuff::encode_stripe(shape, stripe, &bytes);
        let encoded = encoded.map_err(WriteError::encoding)?;
        encoded.check_parity(row).map_err(WriteError::encoding)?;
        Ok(encoded)
    };
    compute(&*env.compute, Work::Foreground, job).await?
}

impl Outgoing {
    /// The extent as the member at `position` gets it: the metadata and its own pairs.
    fn share(&self, record: &EpochRecord, position: usize) -> Share {
        let shards = record.members.get(position).map_or(&[][..], |member| &member.shards);
        let (geometry, first) = (self.shape.geometry(), self.extent.metadata().first_stripe());
        let pair = |&shard: &ShardIndex| geometry.pair_of_shard(first, shard);
        Share {
            shape: self.shape,
            extent: Arc::clone(&self.extent),
            metadata: self.metadata.clone(),
            pairs: shards.iter().map(pair).collect(),
        }
    }

    /// Puts a body together for each member; the encoded extent is dropped with it.
    pub(crate) async fn parcels(
        self,
        env: &Env,
        record: &EpochRecord,
    ) -> Result<Parcels, WriteError> {
        let shares =
            (0..record.members.len()).map(|position| (position, self.share(record, position)));
        let bodies = stream::iter(shares.collect::<Vec<_>>())
            .map(|(position, share)| async move {
                let job = move || share.extent().map(|extent| extent.encode());
                let body = compute(&*env.compute, Work::Foreground, job).await??;
                Ok::<_, WriteError>((position, body))
            })
            .buffered(BODIES_IN_FLIGHT)
            .try_collect()
            .await?;
        let mut held = self.held;
        shrink(&mut held, sent_bytes(self.shape));
        Ok(Parcels { bodies, held })
    }

    /// The extent for each member, to travel inside `finish`, and the room they take.
    pub(crate) fn inline(
        self,
        record: &EpochRecord,
    ) -> Result<(BTreeMap<usize, Extent<Bytes>>, Held), WriteError> {
        let extents = (0..record.members.len())
            .map(|position| Ok((position, self.share(record, position).extent()?)))
            .collect::<Result<_, WriteError>>()?;
        Ok((extents, self.held))
    }
}

/// What one member gets, not yet copied together.
struct Share {
    shape: ExtentShape,
    extent: Arc<EncodedExtent>,
    metadata: Bytes,
    pairs: Vec<PairIndex>,
}

impl Share {
    fn extent(&self) -> Result<Extent<Bytes>, WriteError> {
        let geometry = self.shape.geometry();
        let slivers = self.pairs.iter().flat_map(|&pair| Axis::BOTH.map(|axis| (pair, axis)));
        let sliver = |(pair, axis): (PairIndex, Axis)| {
            let bytes = self.extent.sliver(axis, geometry.sliver_of_pair(axis, pair));
            Ok(Sliver { axis, pair, bytes: Bytes::from(bytes.map_err(WriteError::encoding)?) })
        };
        Ok(Extent {
            length_bytes: u32::try_from(self.shape.length()).map_err(WriteError::encoding)?,
            metadata: self.metadata.clone(),
            slivers: slivers.map(sliver).collect::<Result<_, WriteError>>()?,
        })
    }
}

/// Bytes of an encoded extent: everything but the symbols where parity meets parity.
fn encoded_bytes(shape: ExtentShape) -> usize {
    let geometry = shape.geometry();
    let n = usize::from(geometry.shards());
    let parity = (n - geometry.rows()) * (n - geometry.columns());
    shape.crossing_bytes() * (n * n - parity)
}

/// Bytes of the bodies of all members.
fn sent_bytes(shape: ExtentShape) -> usize {
    let geometry = shape.geometry();
    let metadata = shape.stripes() * 64 * usize::from(geometry.shards());
    let pair = shape.sliver_bytes(Axis::Primary) + shape.sliver_bytes(Axis::Secondary);
    (pair + metadata) * usize::from(geometry.shards())
}
