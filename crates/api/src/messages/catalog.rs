//! Claims, certificates, releases, and the change feed.

use bytes::Bytes;
use floe_model::catalog::{BUCKETS, BucketDigest};
use floe_model::codec::Encoder;
use floe_model::{
    BlobName, CatalogEntry, Certificate, DecodeError, EpochNumber, FeedPosition, Layout,
    RecordHash, SealedHead, SignedClaim, SignedRelease, VolumeId,
};
use serde::{Deserialize, Serialize};

use super::frames::{FrameReader, FrameWriter, MessageKind};
use super::{Decode, Encode, EpochHint, FRAMES_MEDIA_TYPE, MessageError, json_message};

/// A claim with the certificate without which it does not count; neither is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedClaim {
    /// The claim.
    pub claim: SignedClaim,
    /// Its certificate.
    pub certificate: Certificate,
}

impl CertifiedClaim {
    fn write(&self, body: &mut FrameWriter) {
        body.value(MessageKind::Claim, &self.claim);
        body.value(MessageKind::Certificate, &self.certificate);
    }

    fn read(frames: &mut FrameReader<'_>) -> Result<Option<Self>, MessageError> {
        let Some(claim) = frames.optional_value(MessageKind::Claim)? else {
            return Ok(None);
        };
        let certificate = frames.value(MessageKind::Certificate, "certificate")?;
        Ok(Some(Self { claim, certificate }))
    }
}

impl Encode for CertifiedClaim {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        self.write(&mut body);
        body.finish()
    }
}

impl Decode for CertifiedClaim {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let certified = Self::read(&mut frames)?;
        frames.finish("a claim")?;
        certified.ok_or(MessageError::Missing { wanted: "claim" })
    }
}

/// Whether a node holds all it owes of a certified blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledgement {
    /// All pairs are held, the certificate is on stable storage.
    Acknowledged,
    /// The certificate is on stable storage, pairs are missing.
    Incomplete,
}

/// What a node says to a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAnswer {
    /// Whether it counts.
    pub state: Acknowledgement,
    /// Slivers that are missing.
    pub missing_slivers: u64,
}

/// How a release is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseState {
    /// On stable storage.
    Stored,
}

/// What a node says to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseAnswer {
    /// How it is kept.
    pub state: ReleaseState,
}

impl Encode for SignedRelease {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        body.value(MessageKind::Release, self);
        body.finish()
    }
}

impl Decode for SignedRelease {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let release = frames.value(MessageKind::Release, "release")?;
        frames.finish("nothing")?;
        Ok(release)
    }
}

/// What a node says when asked to close a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// Closed, on stable storage.
    Closed,
    /// It holds a certificate.
    Certified(Box<CertifiedClaim>),
}

impl Encode for Closing {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        match self {
            // Not an empty body: a lost one must not be taken for a closing.
            Self::Closed => {
                let mut body = FrameWriter::default();
                body.frame(MessageKind::End, &[1], &[]);
                body.finish()
            }
            Self::Certified(certified) => Encode::encode(certified.as_ref()),
        }
    }
}

impl Decode for Closing {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let closing = if let Some(certified) = CertifiedClaim::read(&mut frames)? {
            Self::Certified(Box::new(certified))
        } else {
            read_end(&mut frames)?;
            Self::Closed
        };
        frames.finish("nothing")?;
        Ok(closing)
    }
}

/// One statement about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameStatement {
    /// The blob is wanted, and available.
    Certified(Box<CertifiedClaim>),
    /// Blobs are no longer wanted.
    Release(Box<SignedRelease>),
}

impl NameStatement {
    /// The name it is about.
    pub const fn name(&self) -> &BlobName {
        match self {
            Self::Certified(certified) => &certified.claim.body.name,
            Self::Release(release) => &release.body.name,
        }
    }
}

/// All statements about one name, or about some names, by rising name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statements {
    /// The statements.
    pub items: Vec<NameStatement>,
    /// Whether no names follow: else go on behind the last name here. A name's statements are
    /// never split over pages. (Of a bucket: claim ids.)
    pub complete: bool,
}

impl Encode for Statements {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        for item in &self.items {
            match item {
                NameStatement::Certified(certified) => certified.write(&mut body),
                NameStatement::Release(release) => {
                    body.value(MessageKind::Release, release.as_ref());
                }
            }
        }
        body.frame(MessageKind::End, &[u8::from(self.complete)], &[]);
        body.finish()
    }
}

impl Decode for Statements {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let mut items = Vec::new();
        loop {
            if let Some(certified) = CertifiedClaim::read(&mut frames)? {
                items.push(NameStatement::Certified(Box::new(certified)));
            } else if let Some(release) = frames.optional_value(MessageKind::Release)? {
                items.push(NameStatement::Release(Box::new(release)));
            } else {
                break;
            }
        }
        let complete = read_end(&mut frames)?;
        frames.finish("nothing")?;
        Ok(Self { items, complete })
    }
}

fn read_end(frames: &mut FrameReader<'_>) -> Result<bool, MessageError> {
    let end = frames.required(MessageKind::End, "end")?;
    match frames.head(&end, |head| head.u8("complete"))? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(frames.layout(DecodeError::invalid("complete", other))),
    }
}

/// One entry of a change feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub sequence: u64,
    /// What it says; nothing in it is checked.
    pub entry: CatalogEntry,
}

/// Entries of a change feed, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The end of the whole feed: its volume, and the number of its last entry.
    pub head: FeedPosition,
    /// The record that the answerer had accepted, durably, before it looked at its feed: whatever it
    /// did under an older one before is in the feed.
    pub accepted: EpochHint,
    /// The answerer's seal over the end ([`SealedHead`]): a reader keeps it, for the answerer.
    pub seal: [u8; 32],
    /// The entries behind the position asked for, as many as fit; sequences rise.
    pub entries: Vec<Change>,
}

impl Encode for Changes {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        let mut head = Encoder::default();
        head.fixed(self.head.volume.as_bytes());
        head.u64(self.head.sequence);
        head.fixed(&self.seal);
        head.u64(self.accepted.number.0);
        head.fixed(self.accepted.hash.as_bytes());
        body.frame(MessageKind::FeedHead, &head.finish(), &[]);
        for change in &self.entries {
            let sequence = change.sequence.to_le_bytes();
            body.frame(MessageKind::Change, &sequence, &change.entry.to_bytes());
        }
        body.finish()
    }
}

impl Decode for Changes {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let frame = frames.required(MessageKind::FeedHead, "feed head")?;
        let (head, seal, accepted) = frames.head(&frame, |head| {
            let volume = VolumeId(head.fixed("volume")?);
            let position = FeedPosition { volume, sequence: head.u64("sequence")? };
            let seal = head.fixed("seal")?;
            let number = EpochNumber(head.u64("accepted number")?);
            let hash = RecordHash(head.fixed("accepted record")?);
            Ok((position, seal, EpochHint { number, hash }))
        })?;
        let mut entries: Vec<Change> = Vec::new();
        while let Some(frame) = frames.optional(MessageKind::Change)? {
            let sequence = frames.head(&frame, |head| head.u64("sequence"))?;
            let last = entries.last().map_or(0, |last| last.sequence);
            if sequence <= last || sequence > head.sequence {
                let reason = format!("{sequence} behind {last}, the head is {}", head.sequence);
                return Err(frames.layout(DecodeError::invalid("sequence", reason)));
            }
            let entry =
                CatalogEntry::from_bytes(&frame.payload).map_err(|source| frames.layout(source))?;
            entries.push(Change { sequence, entry });
        }
        frames.finish("a change")?;
        Ok(Self { head, accepted, seal, entries })
    }
}

/// Digests of a catalog, one for each bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests(pub Vec<BucketDigest>);

impl Encode for Digests {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        let digests: Vec<u8> = self.0.iter().flat_map(|digest| digest.0).collect();
        body.frame(MessageKind::Digests, &[], &digests);
        body.finish()
    }
}

impl Decode for Digests {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let frame = frames.required(MessageKind::Digests, "digests")?;
        let (digests, rest) = frame.payload.as_chunks::<16>();
        if digests.len() != usize::from(BUCKETS) || !rest.is_empty() {
            let reason = format!("{} bytes for {BUCKETS} buckets", frame.payload.len());
            return Err(frames.layout(DecodeError::invalid("digests", reason)));
        }
        let digests = digests.iter().map(|digest| BucketDigest(*digest)).collect();
        frames.finish("nothing")?;
        Ok(Self(digests))
    }
}

/// How far another node's feed went when it was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CursorAnswer {
    /// Its end under the seal of the node whose feed it is; `None` if it was never read.
    #[serde(with = "crate::report::optional_text")]
    pub head: Option<SealedHead>,
}

json_message!(CertificateAnswer, ReleaseAnswer, CursorAnswer);
