//! The bodies of requests and answers.
//!
//! What carries slivers, symbols and signed things is a sequence of [frames](floe_model::frame);
//! their kinds are 0x100 and up, so that none is taken for a record on disk. Reports are JSON.
//! Content that only redstuff can judge (metadata, manifests, slivers, symbols, proofs) is plain
//! bytes for the sender and [`Unverified`] for the receiver.

mod batch;
mod blob;
mod catalog;
mod epoch;
mod frames;
mod lease;
mod upload;

pub use batch::{Batch, BatchAnswer, Part};
pub use blob::{
    ExtentHoldings, Holdings, Manifest, Metadata, Sliver, Symbols, SymbolsOf, SymbolsWanted,
};
pub use catalog::{
    Acknowledgement, CertificateAnswer, CertifiedClaim, Change, Changes, Closing, CursorAnswer,
    Digests, NameStatement, ReleaseAnswer, ReleaseState, Statements,
};
pub use epoch::{CHAIN_PAGE_BYTES, Chain, ChainLink, EPOCH_HEADER, EpochHint};
pub use frames::{MOST_FRAMES, MessageKind};
pub use lease::{Lease, LeaseProgress, LeaseState, LeasedBlob, LeasedExtent};
pub use upload::{Confirmed, Extent, Finish, FinishAnswer, InlineExtent, SliverFrame};

use bytes::Bytes;
use floe_model::frame::FrameError;
use floe_model::{DecodeError, Unverified};
use http::{HeaderValue, Response, StatusCode, header};

use crate::error::ApiError;

/// Bytes from the other end, not checked against any id or root.
pub type Received = Unverified<Vec<u8>>;

/// The media type of a sequence of frames.
pub const FRAMES_MEDIA_TYPE: &str = "application/vnd.floe.frames";
/// The media type of reports and errors.
pub const JSON_MEDIA_TYPE: &str = "application/json";

/// A body that is not what its route carries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No whole, unharmed frame.
    #[error("frame {position} of the body: {source}")]
    Frame {
        /// Which frame, counted from 0.
        position: usize,
        /// What is wrong with it.
        source: FrameError,
    },
    /// A frame of another kind than the place wants.
    #[error("frame {position} of the body is of kind {found:#06x}, wanted is {wanted}")]
    Kind {
        /// Which frame, counted from 0.
        position: usize,
        /// The kind it has.
        found: u16,
        /// What may stand here.
        wanted: &'static str,
    },
    /// The body ends too early.
    #[error("the body ends before its {wanted}")]
    Missing {
        /// What should follow.
        wanted: &'static str,
    },
    /// More frames than any message has.
    #[error("the body has more than {MOST_FRAMES} frames")]
    TooManyFrames,
    /// A frame's fields are not of its layout.
    #[error("frame {position} of the body: {source}")]
    Layout {
        /// Which frame, counted from 0.
        position: usize,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// Not the JSON that is wanted.
    #[error("the body is not the JSON wanted: {0}")]
    Json(String),
}

impl From<MessageError> for ApiError {
    fn from(error: MessageError) -> Self {
        Self::malformed(error)
    }
}

/// A body that can be sent.
pub trait Encode {
    /// What the header `content-type` says.
    const MEDIA_TYPE: &'static str;

    /// The body.
    fn encode(&self) -> Bytes;

    /// A whole response with this body.
    fn to_response(&self, status: StatusCode) -> Response<Bytes> {
        let mut response = Response::new(self.encode());
        *response.status_mut() = status;
        let media_type = HeaderValue::from_static(Self::MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}

/// A body that can be read. Memory grows with the bytes that are there, not with what they announce.
pub trait Decode: Sized {
    /// Reads the whole body.
    fn decode(body: &[u8]) -> Result<Self, MessageError>;
}

/// Nothing.
impl Encode for () {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        Bytes::new()
    }
}

impl Decode for () {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        match body.len() {
            0 => Ok(()),
            length => {
                Err(MessageError::Layout { position: 0, source: DecodeError::Trailing(length) })
            }
        }
    }
}

/// JSON bodies by serde.
macro_rules! json_message {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::messages::Encode for $name {
            const MEDIA_TYPE: &'static str = $crate::messages::JSON_MEDIA_TYPE;

            fn encode(&self) -> bytes::Bytes {
                serde_json::to_vec(self).unwrap_or_default().into()
            }
        }

        impl $crate::messages::Decode for $name {
            fn decode(body: &[u8]) -> Result<Self, $crate::messages::MessageError> {
                serde_json::from_slice(body)
                    .map_err(|error| $crate::messages::MessageError::Json(error.to_string()))
            }
        }
    )+};
}
pub(crate) use json_message;

#[cfg(test)]
mod tests;
