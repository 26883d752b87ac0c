//! What a node hands out of a blob.

use bytes::Bytes;
use floe_model::codec::Encoder;
use floe_model::frame::frame_bytes;
use floe_model::{Axis, ExtentIndex, PairIndex};
use serde::{Deserialize, Serialize};

use super::frames::{FrameReader, FrameWriter, MessageKind, axis_number, read_axis, received};
use super::{Decode, Encode, FRAMES_MEDIA_TYPE, MessageError, Received, json_message};

/// A blob's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest<B> {
    /// Bytes of the blob.
    pub length: u64,
    /// The manifest.
    pub bytes: B,
}

impl<B: AsRef<[u8]>> Encode for Manifest<B> {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        body.frame(MessageKind::Manifest, &self.length.to_le_bytes(), self.bytes.as_ref());
        body.finish()
    }
}

impl Decode for Manifest<Received> {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let frame = frames.required(MessageKind::Manifest, "manifest")?;
        let length = frames.head(&frame, |head| head.u64("length"))?;
        frames.finish("nothing")?;
        Ok(Self { length, bytes: received(frame) })
    }
}

/// An extent's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata<B>(pub B);

impl<B: AsRef<[u8]>> Encode for Metadata<B> {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        body.frame(MessageKind::Metadata, &[], self.0.as_ref());
        body.finish()
    }
}

impl Decode for Metadata<Received> {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let frame = frames.required(MessageKind::Metadata, "metadata")?;
        frames.head(&frame, |_| Ok(()))?;
        frames.finish("nothing")?;
        Ok(Self(received(frame)))
    }
}

/// A sliver of an extent, or those of its stripes that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sliver<B> {
    /// Which sliver of the pair.
    pub axis: Axis,
    /// The pair.
    pub pair: PairIndex,
    /// Stripe by stripe.
    pub bytes: B,
}

impl<B: AsRef<[u8]>> Sliver<B> {
    pub(super) fn write(&self, body: &mut FrameWriter) {
        body.frame(MessageKind::Sliver, &sliver_head(self.axis, self.pair), self.bytes.as_ref());
    }
}

/// The head of a sliver's frame.
pub(super) fn sliver_head(axis: Axis, pair: PairIndex) -> Vec<u8> {
    let mut head = Encoder::default();
    head.u8(axis_number(axis));
    head.u16(pair.0);
    head.finish()
}

impl Sliver<Received> {
    /// The next frame, if it is a sliver.
    pub(super) fn read(frames: &mut FrameReader<'_>) -> Result<Option<Self>, MessageError> {
        let Some(frame) = frames.optional(MessageKind::Sliver)? else {
            return Ok(None);
        };
        let (axis, pair) =
            frames.head(&frame, |head| Ok((read_axis(head)?, PairIndex(head.u16("pair")?))))?;
        Ok(Some(Self { axis, pair, bytes: received(frame) }))
    }
}

impl<B: AsRef<[u8]>> Encode for Sliver<B> {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        self.write(&mut body);
        body.finish()
    }
}

impl Decode for Sliver<Received> {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let sliver = Self::read(&mut frames)?.ok_or(MessageError::Missing { wanted: "sliver" })?;
        frames.finish("nothing")?;
        Ok(sliver)
    }
}

/// The sliver that is to be rebuilt from symbols.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SymbolsWanted {
    /// Its axis; the symbols come from slivers of the other one.
    pub axis: Axis,
    /// Its index on that axis.
    pub index: u16,
    /// Whether proofs are wanted.
    #[serde(default)]
    pub proofs: bool,
    /// Only from these slivers of the other axis, by index: so that no more is sent than is needed.
    /// `None` for all that the node holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<u16>>,
}

/// Crossing symbols made from one sliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolsOf<B> {
    /// The axis of the sliver they were made from.
    pub axis: Axis,
    /// Its index on that axis.
    pub index: u16,
    /// One symbol per stripe.
    pub symbols: B,
    /// Their proofs, if they were asked for.
    pub proofs: Option<B>,
}

/// Crossing symbols, from every sliver that the node holds on the other axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbols<B> {
    /// By source.
    pub sources: Vec<SymbolsOf<B>>,
}

impl<B: AsRef<[u8]>> Encode for Symbols<B> {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let bytes = |bytes: &B| frame_bytes(3, bytes.as_ref().len());
        let each = self
            .sources
            .iter()
            .map(|source| bytes(&source.symbols) + source.proofs.as_ref().map_or(0, bytes));
        let mut body = FrameWriter::with_capacity(each.sum());
        for source in &self.sources {
            let mut head = Encoder::default();
            head.u8(axis_number(source.axis));
            head.u16(source.index);
            body.frame(MessageKind::Symbols, &head.finish(), source.symbols.as_ref());
            if let Some(proofs) = &source.proofs {
                body.frame(MessageKind::Proofs, &[], proofs.as_ref());
            }
        }
        body.finish()
    }
}

impl Decode for Symbols<Received> {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let mut sources = Vec::new();
        while let Some(frame) = frames.optional(MessageKind::Symbols)? {
            let (axis, index) =
                frames.head(&frame, |head| Ok((read_axis(head)?, head.u16("index")?)))?;
            let proofs = frames.optional(MessageKind::Proofs)?;
            if let Some(proofs) = &proofs {
                frames.head(proofs, |_| Ok(()))?;
            }
            let (symbols, proofs) = (received(frame), proofs.map(received));
            sources.push(SymbolsOf { axis, index, symbols, proofs });
        }
        frames.finish("symbols")?;
        Ok(Self { sources })
    }
}

/// Slivers of one extent that a node holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtentHoldings {
    /// The extent.
    pub extent: ExtentIndex,
    /// Pairs whose primary sliver it holds.
    pub primary: Vec<PairIndex>,
    /// Pairs whose secondary sliver it holds.
    pub secondary: Vec<PairIndex>,
}

/// Slivers of a blob that a node holds, over the extents asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holdings {
    /// By extent; one without slivers may be left out.
    pub extents: Vec<ExtentHoldings>,
}

json_message!(SymbolsWanted, Holdings);
