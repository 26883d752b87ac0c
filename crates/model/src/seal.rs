//! How far a node's own change feed went, so that the node itself can be shown it again.

use std::fmt;
use std::str::FromStr;

use crate::catalog::FeedPosition;
use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::hash::hash;
use crate::id::{IdError, VolumeId};
use crate::keys::NodeKey;

const DOMAIN: &[u8] = b"floe/v1/feed-head";

/// The end of a feed under the seal of the node whose feed it is. Only that node can make the seal, or
/// check it: peers keep it, and show it to a node that may have forgotten how far it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedHead {
    /// The end of the feed.
    pub position: FeedPosition,
    /// A hash over the end and the node's secret key.
    pub seal: [u8; 32],
}

impl SealedHead {
    /// Seals the end of the own feed, which is on stable storage.
    pub fn new(position: FeedPosition, key: &NodeKey) -> Self {
        let sequence = position.sequence.to_le_bytes();
        let secret = key.to_bytes();
        let parts = [DOMAIN, secret.as_slice(), position.volume.as_bytes(), &sequence];
        Self { position, seal: hash(&parts).0 }
    }

    /// Whether the seal was made with this key.
    pub fn is_sealed_with(&self, key: &NodeKey) -> bool {
        Self::new(self.position, key) == *self
    }
}

impl Layout for SealedHead {
    fn encode(&self, to: &mut Encoder) {
        to.fixed(self.position.volume.as_bytes());
        to.u64(self.position.sequence);
        to.fixed(&self.seal);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let volume = VolumeId(from.fixed("volume")?);
        let position = FeedPosition { volume, sequence: from.u64("sequence")? };
        Ok(Self { position, seal: from.fixed("seal")? })
    }
}

impl fmt::Display for SealedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, hex::encode(self.seal))
    }
}

impl FromStr for SealedHead {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || {
            IdError::new("a sealed head", text, "<volume id>:<sequence>:<64 hexadecimal digits>")
        };
        let (position, seal) = text.rsplit_once(':').ok_or_else(bad)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(seal, &mut bytes).map_err(|_| bad())?;
        Ok(Self { position: position.parse()?, seal: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_of_one_key_volume_and_number() {
        let [own, other] = [1, 2].map(|seed| NodeKey::generate(&[seed; 32]).unwrap());
        let position = FeedPosition { volume: VolumeId([3; 16]), sequence: 7 };
        let head = SealedHead::new(position, &own);
        assert!(head.is_sealed_with(&own) && !head.is_sealed_with(&other));
        for position in [
            FeedPosition { sequence: 8, ..position },
            FeedPosition { volume: VolumeId([4; 16]), ..position },
        ] {
            assert!(!SealedHead { position, ..head }.is_sealed_with(&own));
        }
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(SealedHead::from_bytes(&head.to_bytes()), Ok(head));
        assert!("x".parse::<SealedHead>().is_err());
    }
}
