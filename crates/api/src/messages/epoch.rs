//! Chains of epoch records, and the hint that every answer carries.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use floe_model::{Acceptance, CommitProof, EpochNumber, Layout as _, RecordHash, SignedRecord};
use http::HeaderName;

use super::frames::{FrameReader, FrameWriter, MessageKind};
use super::{Decode, Encode, FRAMES_MEDIA_TYPE, MessageError};

/// The header of every answer: the newest record that the answerer accepted.
pub const EPOCH_HEADER: HeaderName = HeaderName::from_static("floe-epoch");

/// An epoch record by number and hash; as text `<number>:<hash>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochHint {
    /// The record's number.
    pub number: EpochNumber,
    /// The record's hash.
    pub hash: RecordHash,
}

impl fmt::Display for EpochHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl FromStr for EpochHint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, hash) = text.split_once(':').ok_or("it is <number>:<record hash>")?;
        let number = number.parse().map_err(|error| format!("record number: {error}"))?;
        let hash = hash.parse().map_err(|error| format!("record hash: {error}"))?;
        Ok(Self { number: EpochNumber(number), hash })
    }
}

/// One epoch record of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainLink {
    /// The record.
    pub record: SignedRecord,
    /// The proof that it is committed, if known.
    pub proof: Option<CommitProof>,
}

/// Bytes of the records and proofs on one page of a chain: with the frames around them, well below
/// what a route takes or answers.
pub const CHAIN_PAGE_BYTES: usize = 3 << 20;

impl ChainLink {
    /// Bytes of the record and its proof.
    pub fn bytes(&self) -> usize {
        self.record.to_bytes().len() + self.proof.as_ref().map_or(0, |it| it.to_bytes().len())
    }
}

/// Epoch records, the oldest first; nothing in it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The records.
    pub links: Vec<ChainLink>,
}

impl Chain {
    /// The chain in pages, each with at least one record, none if there is none.
    pub fn pages(&self) -> impl Iterator<Item = Self> + '_ {
        let mut rest = self.links.as_slice();
        std::iter::from_fn(move || {
            let mut bytes = 0;
            let fits = |link: &&ChainLink| {
                let first = bytes == 0;
                bytes += link.bytes();
                first || bytes <= CHAIN_PAGE_BYTES
            };
            let count = rest.iter().take_while(fits).count();
            let (page, behind) = rest.split_at_checked(count)?;
            rest = behind;
            (count > 0).then(|| Self { links: page.to_vec() })
        })
    }
}

impl Encode for Chain {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        for link in &self.links {
            body.value(MessageKind::Record, &link.record);
            if let Some(proof) = &link.proof {
                body.value(MessageKind::CommitProof, proof);
            }
        }
        body.finish()
    }
}

impl Decode for Chain {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let mut links = Vec::new();
        while let Some(record) = frames.optional_value(MessageKind::Record)? {
            let proof = frames.optional_value(MessageKind::CommitProof)?;
            links.push(ChainLink { record, proof });
        }
        frames.finish("an epoch record")?;
        Ok(Self { links })
    }
}

impl Encode for Acceptance {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        body.value(MessageKind::Acceptance, self);
        body.finish()
    }
}

impl Decode for Acceptance {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let acceptance = frames.value(MessageKind::Acceptance, "acceptance")?;
        frames.finish("nothing")?;
        Ok(acceptance)
    }
}
