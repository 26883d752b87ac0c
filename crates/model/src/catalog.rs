//! The catalog's entries: what every node learns from every other one's change feed.

use std::fmt;
use std::str::FromStr;

use crate::certificate::Certificate;
use crate::claim::{SignedClaim, SignedRelease};
use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::id::{BlobId, ClaimId, IdError, VolumeId};

/// Buckets of a catalog: a claim id's first ten bits say to which it belongs.
pub const BUCKETS: u16 = 1024;

/// A part of the catalog, by claim id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(pub u16);

impl Bucket {
    /// The bucket of a claim id.
    pub const fn of(claim: &ClaimId) -> Self {
        let [high, low, ..] = claim.0;
        Self(u16::from_be_bytes([high, low]) >> 6)
    }
}

/// What a bucket holds, in 16 bytes: equal for equal contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketDigest(pub [u8; 16]);

impl BucketDigest {
    /// The digest of both contents together.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let mut sum = self.0;
        sum.iter_mut().zip(other.0).for_each(|(byte, other)| *byte ^= other);
        Self(sum)
    }
}

/// One entry of a change feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogEntry {
    /// A claim with the certificate without which it does not count.
    Claim(Box<SignedClaim>, Box<Certificate>),
    /// A blob is no longer wanted.
    Release(Box<SignedRelease>),
    /// A node confirmed this blob for this claim: no node confirms another one for it.
    Binding {
        /// The claim.
        claim: ClaimId,
        /// The only blob it may get.
        blob: BlobId,
    },
    /// A node was asked to release the claim in the absence of a certificate.
    Closed {
        /// The claim, not to be acknowledged any more.
        claim: ClaimId,
    },
    /// A certificate was found: the closing has no effect.
    ClosingVoid {
        /// The claim.
        claim: ClaimId,
    },
}

impl Layout for CatalogEntry {
    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Claim(claim, certificate) => {
                to.u8(1);
                claim.encode(to);
                certificate.encode(to);
            }
            Self::Release(release) => {
                to.u8(2);
                release.encode(to);
            }
            Self::Binding { claim, blob } => {
                to.u8(3);
                to.fixed(claim.as_bytes());
                to.fixed(blob.as_bytes());
            }
            Self::Closed { claim } => {
                to.u8(4);
                to.fixed(claim.as_bytes());
            }
            Self::ClosingVoid { claim } => {
                to.u8(5);
                to.fixed(claim.as_bytes());
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(match from.u8("catalog entry")? {
            1 => {
                let claim = Box::new(SignedClaim::decode(from)?);
                Self::Claim(claim, Box::new(Certificate::decode(from)?))
            }
            2 => Self::Release(Box::new(SignedRelease::decode(from)?)),
            3 => Self::Binding {
                claim: ClaimId(from.fixed("claim")?),
                blob: BlobId(from.fixed("blob")?),
            },
            4 => Self::Closed { claim: ClaimId(from.fixed("claim")?) },
            5 => Self::ClosingVoid { claim: ClaimId(from.fixed("claim")?) },
            other => return Err(DecodeError::invalid("catalog entry", other)),
        })
    }
}

/// How far a change feed was read: the feed is a volume's, entries are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedPosition {
    /// The volume whose feed it is.
    pub volume: VolumeId,
    /// The last entry read; 0 for none.
    pub sequence: u64,
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.volume, self.sequence)
    }
}

impl FromStr for FeedPosition {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::new("a feed position", text, "<volume id>:<sequence>");
        let (volume, sequence) = text.split_once(':').ok_or_else(error)?;
        Ok(Self {
            volume: volume.parse().map_err(|_| error())?,
            sequence: sequence.parse().map_err(|_| error())?,
        })
    }
}
