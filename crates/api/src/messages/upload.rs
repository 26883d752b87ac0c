//! Uploads: permits, extents, and the end of the upload.

use bytes::Bytes;
use floe_model::codec::{Decoder, Encoder};
use floe_model::frame::{OpenFrame, frame_bytes};
use floe_model::{
    Axis, ClaimId, DecodeError, Incarnation, Layout, NodeName, PairIndex, RecordHash, SignedClaim,
    SignedPermit, keys::NodeSignature,
};
use http::{HeaderValue, Response, StatusCode, header};

use super::blob::{Sliver, sliver_head};
use super::frames::{FrameReader, FrameWriter, MessageKind, received};
use super::{Decode, Encode, FRAMES_MEDIA_TYPE, MessageError, Received};

/// Bytes of the heads that an upload's frames have.
const HEAD_BYTES: usize = 16;

impl Encode for SignedPermit {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        body.value(MessageKind::Permit, self);
        body.finish()
    }
}

impl Decode for SignedPermit {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let permit = frames.value(MessageKind::Permit, "permit")?;
        frames.finish("nothing")?;
        Ok(permit)
    }
}

/// One extent as one node gets it: metadata, and the slivers of its own pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent<B> {
    /// Bytes of blob in it.
    pub length_bytes: u32,
    /// Its metadata.
    pub metadata: B,
    /// Slivers, in any order.
    pub slivers: Vec<Sliver<B>>,
}

impl<B: AsRef<[u8]>> Extent<B> {
    fn write(&self, body: &mut FrameWriter) {
        let length = self.length_bytes.to_le_bytes();
        body.frame(MessageKind::Extent, &length, self.metadata.as_ref());
        for sliver in &self.slivers {
            sliver.write(body);
        }
    }

    fn body_bytes(&self) -> usize {
        let slivers = self.slivers.iter().map(|sliver| sliver.bytes.as_ref().len());
        let payloads = slivers.chain([self.metadata.as_ref().len()]);
        payloads.map(|payload| frame_bytes(HEAD_BYTES, payload)).sum()
    }
}

impl Extent<Received> {
    fn read(frames: &mut FrameReader<'_>) -> Result<Self, MessageError> {
        let frame = frames.required(MessageKind::Extent, "extent")?;
        let length_bytes = frames.head(&frame, |head| head.u32("length"))?;
        let mut slivers = Vec::new();
        while let Some(sliver) = Sliver::read(frames)? {
            slivers.push(sliver);
        }
        Ok(Self { length_bytes, metadata: received(frame), slivers })
    }
}

impl<B: AsRef<[u8]>> Encode for Extent<B> {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::with_capacity(self.body_bytes());
        self.write(&mut body);
        body.finish()
    }
}

impl Decode for Extent<Received> {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let extent = Self::read(&mut frames)?;
        frames.finish("a sliver")?;
        Ok(extent)
    }
}

impl Extent<Bytes> {
    /// What stands in front of the slivers' frames: the same for all nodes.
    pub fn encode_front(length_bytes: u32, metadata: &[u8]) -> Bytes {
        let mut body = FrameWriter::with_capacity(frame_bytes(HEAD_BYTES, metadata.len()));
        body.frame(MessageKind::Extent, &length_bytes.to_le_bytes(), metadata);
        body.finish()
    }
}

/// A sliver's frame, as it stands in an [`Extent`], made while the sliver's parts are.
#[derive(Debug)]
pub struct SliverFrame {
    open: OpenFrame,
    bytes: Vec<u8>,
}

impl SliverFrame {
    /// Bytes of the frame of a sliver of so many.
    pub const fn encoded_bytes(sliver_bytes: usize) -> usize {
        frame_bytes(HEAD_BYTES, sliver_bytes)
    }

    /// Begins a frame in `memory`, which is emptied before.
    pub fn begin(
        mut memory: Vec<u8>,
        (axis, pair): (Axis, PairIndex),
        sliver_bytes: usize,
    ) -> Self {
        memory.clear();
        let head = sliver_head(axis, pair);
        let kind = MessageKind::Sliver as u16;
        let open = OpenFrame::begin(&mut memory, kind, &head, sliver_bytes);
        Self { open, bytes: memory }
    }

    /// Appends the sliver's next bytes.
    pub fn append(&mut self, part: &[u8]) {
        self.open.append(&mut self.bytes, part);
    }

    /// The frame; `None` if bytes of the sliver are missing.
    pub fn finish(self) -> Option<Vec<u8>> {
        (self.open.left_bytes() == 0).then_some(self.bytes)
    }
}

/// The only extent of a blob that comes in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineExtent<B> {
    /// The permit that opens the upload.
    pub permit: SignedPermit,
    /// The extent.
    pub extent: Extent<B>,
}

/// The end of an upload; enough to start from for a node that saw nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish<B> {
    /// What is to be confirmed.
    pub claim: SignedClaim,
    /// The blob's manifest; its length stands in the claim.
    pub manifest: B,
    /// Undelete: the claim whose content this one takes over, without bytes.
    pub adopts: Option<ClaimId>,
    /// The content, if it comes along.
    pub inline: Option<InlineExtent<B>>,
}

impl<B: AsRef<[u8]>> Encode for Finish<B> {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let manifest = self.manifest.as_ref();
        let extent = self.inline.as_ref().map_or(0, |inline| inline.extent.body_bytes());
        let statements = 4096;
        let bytes = frame_bytes(HEAD_BYTES, manifest.len()) + extent + statements;
        let mut body = FrameWriter::with_capacity(bytes);
        self.write_front(&mut body);
        if let Some(inline) = &self.inline {
            body.value(MessageKind::Permit, &inline.permit);
            inline.extent.write(&mut body);
        }
        body.finish()
    }
}

impl<B: AsRef<[u8]>> Finish<B> {
    /// What stands in front of an extent that is encoded already: the same for all nodes.
    pub fn encode_front(&self, permit: &SignedPermit) -> Bytes {
        let mut body = FrameWriter::default();
        self.write_front(&mut body);
        body.value(MessageKind::Permit, permit);
        body.finish()
    }

    fn write_front(&self, body: &mut FrameWriter) {
        let length = self.claim.body.length.to_le_bytes();
        body.value(MessageKind::Claim, &self.claim);
        body.frame(MessageKind::Manifest, &length, self.manifest.as_ref());
        if let Some(adopts) = &self.adopts {
            body.frame(MessageKind::Adopts, adopts.as_bytes(), &[]);
        }
    }
}

impl Decode for Finish<Received> {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let claim: SignedClaim = frames.value(MessageKind::Claim, "claim")?;
        let manifest = frames.required(MessageKind::Manifest, "manifest")?;
        let length = frames.head(&manifest, |head| head.u64("length"))?;
        if length != claim.body.length {
            let reason = format!("{length}, the claim says {}", claim.body.length);
            return Err(frames.layout(DecodeError::invalid("length", reason)));
        }
        let adopts = match frames.optional(MessageKind::Adopts)? {
            Some(frame) => Some(frames.head(&frame, |head| head.fixed("claim").map(ClaimId))?),
            None => None,
        };
        let permit = frames.optional_value(MessageKind::Permit)?;
        let inline = match permit {
            Some(permit) => Some(InlineExtent { permit, extent: Extent::read(&mut frames)? }),
            None => None,
        };
        frames.finish("a permit, an extent or a sliver")?;
        Ok(Self { claim, manifest: received(manifest), adopts, inline })
    }
}

/// One node's confirmation of the claim's blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// Who confirms.
    pub node: NodeName,
    /// With which volume.
    pub incarnation: Incarnation,
    /// Under which epoch record.
    pub record: RecordHash,
    /// Over the statement of [`Confirmation`](floe_model::Confirmation).
    pub signature: NodeSignature,
}

impl Layout for Confirmed {
    fn encode(&self, to: &mut Encoder) {
        to.text(self.node.as_str());
        to.u32(self.incarnation.0);
        to.fixed(self.record.as_bytes());
        to.fixed(&self.signature.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            node: from.text("node", 63)?,
            incarnation: Incarnation(from.u32("incarnation")?),
            record: RecordHash(from.fixed("record")?),
            signature: NodeSignature(from.fixed("signature")?),
        })
    }
}

/// What a node says to `finish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishAnswer {
    /// 200: it holds everything on stable storage.
    Confirmed(Confirmed),
    /// 202: it rebuilds what it lacks; ask again.
    Rebuilding {
        /// Slivers that it lacks.
        missing_slivers: u64,
        /// When to ask again; also sent as the header `retry-after`.
        retry_after_seconds: u32,
    },
}

impl FinishAnswer {
    /// The whole response, with its status.
    pub fn response(&self) -> Response<Bytes> {
        match self {
            Self::Confirmed(_) => self.to_response(StatusCode::OK),
            Self::Rebuilding { retry_after_seconds, .. } => {
                let mut response = self.to_response(StatusCode::ACCEPTED);
                let seconds = HeaderValue::from(*retry_after_seconds);
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
                response
            }
        }
    }
}

impl Encode for FinishAnswer {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        match self {
            Self::Confirmed(confirmed) => body.value(MessageKind::Confirmed, confirmed),
            Self::Rebuilding { missing_slivers, retry_after_seconds } => {
                let mut head = Encoder::default();
                head.u64(*missing_slivers);
                head.u32(*retry_after_seconds);
                body.frame(MessageKind::Rebuilding, &head.finish(), &[]);
            }
        }
        body.finish()
    }
}

impl Decode for FinishAnswer {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let answer = match frames.optional(MessageKind::Rebuilding)? {
            Some(frame) => frames.head(&frame, |head| {
                Ok(Self::Rebuilding {
                    missing_slivers: head.u64("missing slivers")?,
                    retry_after_seconds: head.u32("retry after")?,
                })
            })?,
            None => Self::Confirmed(frames.value(MessageKind::Confirmed, "confirmation")?),
        };
        frames.finish("nothing")?;
        Ok(answer)
    }
}
