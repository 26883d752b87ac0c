//! The control log's entries: every change of a node's state that is not a sliver.

use std::fmt;

use floe_model::codec::{DecodeError, Decoder, Encoder, Layout};
use floe_model::{
    BlobId, BlobName, CatalogEntry, ClaimId, CommitProof, ExtentIndex, ExtentShape, FeedPosition,
    Geometry, NamespaceUid, NodeName, RecordHash, SealedHead, SignedPermit, SignedRecord, StripeId,
    Timestamp, VolumeId,
};

/// Bytes of a node name.
const LONGEST_NODE_NAME_BYTES: usize = 63;

/// One blob on one volume, never reused: a blob that comes again gets another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey(pub u64);

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One change of a node's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An epoch record became known.
    Record(Box<SignedRecord>),
    /// The node accepted a record that it knows.
    Accepted(RecordHash),
    /// A record is proven to be committed.
    Committed {
        /// The proof.
        proof: Box<CommitProof>,
        /// When this node learnt of it.
        learnt: Timestamp,
    },
    /// An upload was opened; its bytes come under `key`.
    Upload {
        /// A new key: `State::next_key`.
        key: BlobKey,
        /// What allows the upload.
        permit: Box<SignedPermit>,
        /// When.
        opened: Timestamp,
    },
    /// An extent's metadata, verified. The first one for {key, extent} stands; later ones change
    /// nothing.
    Extent {
        /// Whose extent.
        key: BlobKey,
        /// Which.
        extent: ExtentIndex,
        /// The inside of the extent.
        shape: ExtentShape,
        /// The id of its first stripe: says which shard holds which pair.
        first_stripe: StripeId,
        /// `ExtentMetadata::encode`. Empty when read back at the start.
        metadata: Vec<u8>,
    },
    /// A blob's manifest, verified: from here on the blob lives under this key, unless it lives
    /// under another one.
    Manifest {
        /// A key of an upload, or a new one.
        key: BlobKey,
        /// The blob.
        blob: BlobId,
        /// Bytes of content.
        length: u64,
        /// `Manifest::encode`. Empty when read back at the start.
        manifest: Vec<u8>,
    },
    /// Every sliver that is held under the key was synced: a restart need not check them all.
    Stable {
        /// The key.
        key: BlobKey,
    },
    /// The node signed a confirmation.
    Confirmed {
        /// For this claim.
        claim: ClaimId,
        /// Of this blob.
        blob: BlobId,
        /// Under this epoch record.
        record: RecordHash,
        /// When.
        at: Timestamp,
    },
    /// The catalog grew: the next entry of this node's change feed.
    Catalog(CatalogEntry),
    /// The key and all under it is gone; its files may be removed.
    Expired {
        /// The key.
        key: BlobKey,
    },
    /// A peer's feed was read this far.
    Cursor {
        /// The peer.
        node: NodeName,
        /// How far.
        position: FeedPosition,
    },
    /// The bindings of nodes worth n-f shards were read once.
    CaughtUp,
    /// How far a peer's feed went, under the peer's own seal.
    Head {
        /// The peer.
        node: NodeName,
        /// How far.
        head: SealedHead,
    },
    /// Symbols prove the blob inconsistent: it is kept and not served by default.
    Frozen {
        /// The blob.
        blob: BlobId,
        /// The proof. Empty when read back at the start.
        proof: Vec<u8>,
    },
    /// How long the volume has run: undelete windows are counted in that time.
    Ran {
        /// Milliseconds, under all its processes.
        millis: u64,
    },
    /// The claim is known no more: certificate, bindings, closings and confirmation leave with it.
    /// Releases that covered it leave in the same transaction or later, never before.
    ForgottenClaim {
        /// The claim.
        claim: ClaimId,
    },
    /// The release is known no more.
    ForgottenRelease {
        /// The namespace.
        namespace_uid: NamespaceUid,
        /// The name.
        name: BlobName,
        /// The claim id that it names.
        claim: ClaimId,
    },
}

/// Bytes of a blob's name.
const LONGEST_BLOB_NAME_BYTES: usize = 253;

/// Kinds of frames in the log, beside the entries'.
pub(crate) const KIND_LOG: u16 = 1;
pub(crate) const KIND_MARK: u16 = 2;
/// The highest kind of frame in a control log that this program knows.
pub(crate) const LAST_KIND: u16 = 26;

impl Entry {
    /// The kind of its frame.
    pub(crate) const fn kind(&self) -> u16 {
        match self {
            Self::Record(_) => 10,
            Self::Accepted(_) => 11,
            Self::Committed { .. } => 12,
            Self::Upload { .. } => 13,
            Self::Extent { .. } => 14,
            Self::Manifest { .. } => 15,
            Self::Stable { .. } => 16,
            Self::Confirmed { .. } => 17,
            Self::Catalog(_) => 18,
            Self::Expired { .. } => 19,
            Self::Cursor { .. } => 20,
            Self::CaughtUp => 21,
            Self::Frozen { .. } => 22,
            Self::Ran { .. } => 23,
            Self::ForgottenClaim { .. } => 24,
            Self::ForgottenRelease { .. } => 25,
            Self::Head { .. } => 26,
        }
    }

    /// Whether the payload of this kind is read from the log when it is wanted, and not before.
    pub(crate) const fn stays_in_log(kind: u16) -> bool {
        matches!(kind, 14 | 15 | 22)
    }

    /// Writes the fields that go into the frame's head.
    pub(crate) fn encode_head(&self, to: &mut Encoder) {
        match self {
            Self::Record(_) | Self::Catalog(_) | Self::CaughtUp => {}
            Self::Head { node, head } => {
                to.text(node.as_str());
                head.encode(to);
            }
            Self::Accepted(record) => to.fixed(record.as_bytes()),
            Self::Committed { learnt, .. } => to.u64(learnt.0),
            Self::Upload { key, opened, permit } => {
                to.u64(key.0);
                to.u64(opened.0);
                permit.encode(to);
            }
            Self::Extent { key, extent, shape, first_stripe, .. } => {
                to.u64(key.0);
                to.u32(extent.0);
                shape.geometry().encode(to);
                to.u64(shape.length() as u64);
                to.fixed(first_stripe.as_bytes());
            }
            Self::Manifest { key, blob, length, .. } => {
                to.u64(key.0);
                to.fixed(blob.as_bytes());
                to.u64(*length);
            }
            Self::Stable { key } | Self::Expired { key } => to.u64(key.0),
            Self::Confirmed { claim, blob, record, at } => {
                to.fixed(claim.as_bytes());
                to.fixed(blob.as_bytes());
                to.fixed(record.as_bytes());
                to.u64(at.0);
            }
            Self::Cursor { node, position } => {
                to.text(node.as_str());
                to.fixed(position.volume.as_bytes());
                to.u64(position.sequence);
            }
            Self::Frozen { blob, .. } => to.fixed(blob.as_bytes()),
            Self::Ran { millis } => to.u64(*millis),
            Self::ForgottenClaim { claim } => to.fixed(claim.as_bytes()),
            Self::ForgottenRelease { namespace_uid, name, claim } => {
                to.fixed(namespace_uid.as_bytes());
                to.text(name.as_str());
                to.fixed(claim.as_bytes());
            }
        }
    }

    /// The frame's payload.
    pub(crate) fn payload(&self) -> std::borrow::Cow<'_, [u8]> {
        match self {
            Self::Record(record) => record.to_bytes().into(),
            Self::Committed { proof, .. } => proof.to_bytes().into(),
            Self::Catalog(entry) => entry.to_bytes().into(),
            Self::Extent { metadata, .. } => metadata.into(),
            Self::Manifest { manifest, .. } => manifest.into(),
            Self::Frozen { proof, .. } => proof.into(),
            Self::Accepted(_)
            | Self::Upload { .. }
            | Self::Stable { .. }
            | Self::Confirmed { .. }
            | Self::Expired { .. }
            | Self::Cursor { .. }
            | Self::CaughtUp
            | Self::Head { .. }
            | Self::Ran { .. }
            | Self::ForgottenClaim { .. }
            | Self::ForgottenRelease { .. } => (&[]).into(),
        }
    }

    /// Reads an entry. The caller has ruled out unknown kinds.
    pub(crate) fn decode(
        kind: u16,
        mut head: Decoder<'_>,
        payload: Vec<u8>,
    ) -> Result<Self, DecodeError> {
        let from = &mut head;
        let entry = match kind {
            10 => Self::Record(Box::new(SignedRecord::from_bytes(&payload)?)),
            11 => Self::Accepted(RecordHash(from.fixed("record")?)),
            12 => Self::Committed {
                learnt: Timestamp(from.u64("learnt")?),
                proof: Box::new(CommitProof::from_bytes(&payload)?),
            },
            13 => Self::Upload {
                key: BlobKey(from.u64("key")?),
                opened: Timestamp(from.u64("opened")?),
                permit: Box::new(SignedPermit::decode(from)?),
            },
            14 => Self::Extent {
                key: BlobKey(from.u64("key")?),
                extent: ExtentIndex(from.u32("extent")?),
                shape: decode_shape(from)?,
                first_stripe: StripeId(from.fixed("first stripe")?),
                metadata: payload,
            },
            15 => Self::Manifest {
                key: BlobKey(from.u64("key")?),
                blob: BlobId(from.fixed("blob")?),
                length: from.u64("length")?,
                manifest: payload,
            },
            16 => Self::Stable { key: BlobKey(from.u64("key")?) },
            17 => Self::Confirmed {
                claim: ClaimId(from.fixed("claim")?),
                blob: BlobId(from.fixed("blob")?),
                record: RecordHash(from.fixed("record")?),
                at: Timestamp(from.u64("at")?),
            },
            18 => Self::Catalog(CatalogEntry::from_bytes(&payload)?),
            19 => Self::Expired { key: BlobKey(from.u64("key")?) },
            20 => Self::Cursor {
                node: from.text("node", LONGEST_NODE_NAME_BYTES)?,
                position: FeedPosition {
                    volume: VolumeId(from.fixed("volume")?),
                    sequence: from.u64("sequence")?,
                },
            },
            21 => Self::CaughtUp,
            22 => Self::Frozen { blob: BlobId(from.fixed("blob")?), proof: payload },
            23 => Self::Ran { millis: from.u64("millis")? },
            24 => Self::ForgottenClaim { claim: ClaimId(from.fixed("claim")?) },
            25 => Self::ForgottenRelease {
                namespace_uid: NamespaceUid(from.fixed("namespace uid")?),
                name: from.text("name", LONGEST_BLOB_NAME_BYTES)?,
                claim: ClaimId(from.fixed("claim")?),
            },
            26 => Self::Head {
                node: from.text("node", LONGEST_NODE_NAME_BYTES)?,
                head: SealedHead::decode(from)?,
            },
            other => return Err(DecodeError::invalid("entry kind", other)),
        };
        head.finish()?;
        Ok(entry)
    }
}

/// Reads what `Geometry` and a length of eight bytes were written as.
pub(crate) fn decode_shape(from: &mut Decoder<'_>) -> Result<ExtentShape, DecodeError> {
    let geometry = Geometry::decode(from)?;
    let length = usize::try_from(from.u64("length")?).unwrap_or(usize::MAX);
    ExtentShape::new(geometry, length).map_err(|error| DecodeError::invalid("length", error))
}
