//! Writing and reading sequences of frames.

use bytes::Bytes;
use floe_model::frame::{Frame, write_frame};
use floe_model::{Axis, DecodeError, Layout};

use super::{MessageError, Received};
use crate::route::LARGEST_BODY_BYTES;

/// Frames that a message has at most.
pub const MOST_FRAMES: usize = 65_536;

/// What a frame of a message carries: the fields of its head, and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum MessageKind {
    /// Payload: a signed epoch record.
    Record = 0x100,
    /// Payload: the commit proof of the record in front of it.
    CommitProof = 0x101,
    /// Payload: a node's acceptance.
    Acceptance = 0x102,
    /// Payload: a signed permit.
    Permit = 0x103,
    /// Payload: a signed claim.
    Claim = 0x104,
    /// Payload: the certificate of the claim in front of it.
    Certificate = 0x105,
    /// Payload: a signed release.
    Release = 0x106,
    /// Head: bytes of blob u32. Payload: metadata.
    Extent = 0x107,
    /// Head: axis u8, pair u16. Payload: the sliver, or the stripes asked for.
    Sliver = 0x108,
    /// Head: bytes of blob u64. Payload: the manifest.
    Manifest = 0x109,
    /// Payload: metadata.
    Metadata = 0x10a,
    /// Payload: a node's confirmation.
    Confirmed = 0x10b,
    /// Head: slivers missing u64, seconds u32.
    Rebuilding = 0x10c,
    /// Head: source axis u8, source index u16. Payload: crossing symbols over all stripes.
    Symbols = 0x10d,
    /// Payload: proofs of the symbols in front of it.
    Proofs = 0x10e,
    /// Head: sequence u64. Payload: a catalog entry.
    Change = 0x10f,
    /// Head: volume 16, last sequence u64.
    FeedHead = 0x110,
    /// Head: complete u8.
    End = 0x111,
    /// Head: method, a space, path and query. Payload: the request's body.
    Part = 0x112,
    /// Head: status u16. Payload: the answer's body.
    PartAnswer = 0x113,
    /// Payload: 16 bytes for each bucket.
    Digests = 0x114,
    /// Head: the id of the claim whose content is taken over.
    Adopts = 0x115,
}

/// Writes frames one behind the other.
#[derive(Debug, Default)]
pub(super) struct FrameWriter(Vec<u8>);

impl FrameWriter {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn frame(&mut self, kind: MessageKind, head: &[u8], payload: &[u8]) {
        write_frame(&mut self.0, kind as u16, head, payload);
    }

    pub(super) fn value(&mut self, kind: MessageKind, value: &impl Layout) {
        self.frame(kind, &[], &value.to_bytes());
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.into()
    }
}

/// Reads frames one behind the other.
#[derive(Debug)]
pub(super) struct FrameReader<'a> {
    rest: &'a [u8],
    /// The frame that was looked at and not taken.
    next: Option<Frame>,
    position: usize,
}

impl<'a> FrameReader<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body, next: None, position: 0 }
    }

    /// Takes the next frame if it is of this kind.
    pub(super) fn optional(&mut self, kind: MessageKind) -> Result<Option<Frame>, MessageError> {
        self.look()?;
        let taken = self.next.take_if(|frame| frame.kind == kind as u16);
        self.position += usize::from(taken.is_some());
        Ok(taken)
    }

    /// Takes the next frame, which must be of this kind.
    pub(super) fn required(
        &mut self,
        kind: MessageKind,
        wanted: &'static str,
    ) -> Result<Frame, MessageError> {
        if let Some(frame) = self.optional(kind)? {
            return Ok(frame);
        }
        Err(match &self.next {
            Some(frame) => {
                MessageError::Kind { position: self.position, found: frame.kind, wanted }
            }
            None => MessageError::Missing { wanted },
        })
    }

    /// Takes the next frame, which must be of this kind and hold nothing but this value.
    pub(super) fn value<T: Layout>(
        &mut self,
        kind: MessageKind,
        wanted: &'static str,
    ) -> Result<T, MessageError> {
        let frame = self.required(kind, wanted)?;
        self.parse(&frame)
    }

    /// As `value`, if the next frame is of this kind.
    pub(super) fn optional_value<T: Layout>(
        &mut self,
        kind: MessageKind,
    ) -> Result<Option<T>, MessageError> {
        self.optional(kind)?.map(|frame| self.parse(&frame)).transpose()
    }

    /// Reads the payload of the frame taken last; its head must be empty.
    fn parse<T: Layout>(&self, frame: &Frame) -> Result<T, MessageError> {
        self.head(frame, |_| Ok(()))?;
        T::from_bytes(&frame.payload).map_err(|source| self.layout(source))
    }

    /// Reads the head of the frame taken last; nothing may be left of it.
    pub(super) fn head<T>(
        &self,
        frame: &Frame,
        read: impl FnOnce(&mut floe_model::codec::Decoder<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, MessageError> {
        let mut fields = floe_model::codec::Decoder::new(&frame.head);
        let value = read(&mut fields).map_err(|source| self.layout(source))?;
        fields.finish().map_err(|source| self.layout(source))?;
        Ok(value)
    }

    /// The frame taken last is not of its layout.
    pub(super) fn layout(&self, source: DecodeError) -> MessageError {
        MessageError::Layout { position: self.position.saturating_sub(1), source }
    }

    /// Nothing may be left; `wanted` says what might have stood here.
    pub(super) fn finish(mut self, wanted: &'static str) -> Result<(), MessageError> {
        self.look()?;
        match self.next {
            Some(frame) => {
                Err(MessageError::Kind { position: self.position, found: frame.kind, wanted })
            }
            None => Ok(()),
        }
    }

    fn look(&mut self) -> Result<(), MessageError> {
        if self.next.is_some() || self.rest.is_empty() {
            return Ok(());
        }
        if self.position >= MOST_FRAMES {
            return Err(MessageError::TooManyFrames);
        }
        let (frame, taken) = Frame::read(self.rest, LARGEST_BODY_BYTES)
            .map_err(|source| MessageError::Frame { position: self.position, source })?;
        self.rest = self.rest.get(taken..).unwrap_or_default();
        self.next = Some(frame);
        Ok(())
    }
}

/// The payload, marked.
pub(super) fn received(frame: Frame) -> Received {
    Received::new(frame.payload)
}

pub(super) const fn axis_number(axis: Axis) -> u8 {
    match axis {
        Axis::Primary => 0,
        Axis::Secondary => 1,
    }
}

pub(super) fn read_axis(from: &mut floe_model::codec::Decoder<'_>) -> Result<Axis, DecodeError> {
    match from.u8("axis")? {
        0 => Ok(Axis::Primary),
        1 => Ok(Axis::Secondary),
        other => Err(DecodeError::invalid("axis", other)),
    }
}
