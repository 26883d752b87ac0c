//! Several small calls in one request: where round trips would cost more than what they bring.

use bytes::Bytes;
use floe_model::DecodeError;
use floe_model::codec::Encoder;
use floe_model::frame::frame_bytes;
use http::{Method, StatusCode, Uri};

use super::frames::{FrameReader, FrameWriter, MessageKind};
use super::{Decode, Encode, FRAMES_MEDIA_TYPE, MessageError};
use crate::error::ApiError;
use crate::route::Route;
use crate::route::call::Call;

/// One call of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The call.
    pub call: Call,
    /// Its body.
    pub body: Bytes,
}

/// Several calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The calls, each on one of [`Batch::ROUTES`].
    pub parts: Vec<Part>,
}

impl Batch {
    /// What may stand in a batch.
    pub const ROUTES: [Route; 3] = [Route::Metadata, Route::Holdings, Route::Symbols];
    /// Calls that a batch has at most.
    pub const MOST_PARTS: usize = 256;
}

impl Encode for Batch {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let mut body = FrameWriter::default();
        for Part { call, body: payload } in &self.parts {
            let line = format!("{} {}", call.spec().method, call.path_and_query());
            body.frame(MessageKind::Part, line.as_bytes(), payload);
        }
        body.finish()
    }
}

impl Decode for Batch {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let mut parts = Vec::new();
        while let Some(frame) = frames.optional(MessageKind::Part)? {
            let invalid = |reason: String| frames.layout(DecodeError::invalid("call", reason));
            if parts.len() >= Self::MOST_PARTS {
                return Err(invalid(format!("a batch has at most {} calls", Self::MOST_PARTS)));
            }
            let call = read_call(&frame.head).map_err(invalid)?;
            parts.push(Part { call, body: frame.payload.into() });
        }
        frames.finish("a call")?;
        Ok(Self { parts })
    }
}

fn read_call(line: &[u8]) -> Result<Call, String> {
    let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    let (method, target) = line.split_once(' ').ok_or("it is a method, a space and a path")?;
    let method: Method = method.parse().map_err(|_| "it has no method")?;
    let uri: Uri = target.parse().map_err(|_| "it has no path")?;
    let call = Call::parse(&method, uri.path(), uri.query()).map_err(|error| error.to_string())?;
    if Batch::ROUTES.contains(&call.route()) {
        return Ok(call);
    }
    Err(format!("route {} does not come in batches", call.route()))
}

/// The answers to a [`Batch`], in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchAnswer {
    /// The bodies, or why there is none.
    pub answers: Vec<Result<Bytes, ApiError>>,
}

impl BatchAnswer {
    /// Bytes of one answer's frame.
    pub fn part_bytes(body: usize) -> usize {
        frame_bytes(2, body)
    }
}

impl Encode for BatchAnswer {
    const MEDIA_TYPE: &'static str = FRAMES_MEDIA_TYPE;

    fn encode(&self) -> Bytes {
        let good = self.answers.iter().flatten().map(|body| Self::part_bytes(body.len()));
        let mut body = FrameWriter::with_capacity(good.sum());
        for answer in &self.answers {
            let (status, payload) = match answer {
                Ok(payload) => (StatusCode::OK, payload.clone()),
                Err(error) => (error.status(), error.to_response().into_body()),
            };
            let mut head = Encoder::default();
            head.u16(status.as_u16());
            body.frame(MessageKind::PartAnswer, &head.finish(), &payload);
        }
        body.finish()
    }
}

impl Decode for BatchAnswer {
    fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut frames = FrameReader::new(body);
        let mut answers = Vec::new();
        while let Some(frame) = frames.optional(MessageKind::PartAnswer)? {
            let status = frames.head(&frame, |head| head.u16("status"))?;
            answers.push(if status == StatusCode::OK {
                Ok(frame.payload.into())
            } else {
                let error = serde_json::from_slice(&frame.payload);
                Err(error.map_err(|error| MessageError::Json(error.to_string()))?)
            });
        }
        frames.finish("an answer")?;
        Ok(Self { answers })
    }
}
