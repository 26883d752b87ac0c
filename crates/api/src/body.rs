//! Reading bodies within a cap.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use crate::error::{ApiError, ErrorCode};

/// A body that was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than allowed; the rest was not read.
    #[error("the body has more than {cap_bytes} bytes")]
    TooLarge {
        /// What is allowed.
        cap_bytes: usize,
    },
    /// It broke off.
    #[error("the body broke off: {reason}")]
    Broken {
        /// Why.
        reason: String,
    },
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { cap_bytes } => Self::body_too_large(cap_bytes),
            BodyError::Broken { .. } => Self::new(ErrorCode::Malformed, error),
        }
    }
}

/// Reads a whole body of at most `cap_bytes`. One that announces more is refused unread.
pub async fn read_capped<B>(body: B, cap_bytes: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let too_large = BodyError::TooLarge { cap_bytes };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > cap_bytes {
        return Err(too_large);
    }
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken { reason: error.to_string() })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let before = first.len() + read.len();
        if data.len() > cap_bytes - before {
            return Err(too_large);
        }
        if before == 0 {
            // A body of one piece is handed on without a copy.
            first = data;
            continue;
        }
        if read.is_empty() {
            read.reserve(announced.max(before + data.len()));
            read.extend_from_slice(&std::mem::take(&mut first));
        }
        read.extend_from_slice(&data);
    }
    Ok(if read.is_empty() { first } else { read.freeze() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{StreamExt, executor::block_on, stream};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn pieces(pieces: &[&'static [u8]]) -> impl Body<Data = Bytes, Error = Infallible> + use<> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Bytes::from_static(piece)).collect();
        StreamBody::new(stream::iter(pieces).map(|piece| Ok(Frame::data(piece))))
    }

    #[test]
    fn bodies_up_to_the_cap_are_read() {
        let read = |body: &[&'static [u8]], cap| block_on(read_capped(pieces(body), cap));
        let too_large = |cap_bytes| Err(BodyError::TooLarge { cap_bytes });
        assert_eq!(read(&[], 0), Ok(Bytes::new()));
        assert_eq!(read(&[b"abc"], 3), Ok(Bytes::from_static(b"abc")));
        assert_eq!(read(&[b"", b"ab", b"", b"c"], 3), Ok(Bytes::from_static(b"abc")));
        assert_eq!(read(&[b"abc"], 2), too_large(2));
        assert_eq!(read(&[b"ab", b"c"], 2), too_large(2));
        assert_eq!(read(&[b"a"], 0), too_large(0));
    }

    #[test]
    fn a_body_that_announces_too_much_is_not_read() {
        let announced = Full::new(Bytes::from_static(b"abc"));
        assert_eq!(block_on(read_capped(announced, 2)), Err(BodyError::TooLarge { cap_bytes: 2 }));
    }

    #[test]
    fn a_broken_body_is_an_error() {
        let parts = [Ok(Frame::data(Bytes::from_static(b"a"))), Err("reset")];
        let body = StreamBody::new(stream::iter(parts));
        let error = block_on(read_capped(body, 10)).unwrap_err();
        assert_eq!(error, BodyError::Broken { reason: "reset".to_owned() });
    }
}
