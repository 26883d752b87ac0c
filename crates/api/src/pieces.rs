//! Bodies in pieces.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body in pieces, one behind the other: what several bodies have in common is in memory once.
#[derive(Debug, Clone, Default)]
pub struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same behind another piece.
    #[must_use]
    pub fn behind(mut self, first: Bytes) -> Self {
        self.0.push_front(first);
        self
    }

    /// The bytes in one piece; copies them if they are not.
    pub fn to_bytes(&self) -> Bytes {
        match self.0.len() {
            0 | 1 => self.0.front().cloned().unwrap_or_default(),
            _ => self.0.iter().map(|piece| &**piece).collect::<Vec<_>>().concat().into(),
        }
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self::from_iter([bytes])
    }
}

impl FromIterator<Bytes> for Pieces {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        Self(pieces.into_iter().filter(|piece| !piece.is_empty()).collect())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::body::read_capped;

    #[test]
    fn pieces_are_one_body() {
        let pieces: Pieces = [&b"a"[..], b"", b"bc"].map(Bytes::from_static).into_iter().collect();
        let pieces = pieces.behind(Bytes::from_static(b"-"));
        assert_eq!((pieces.len(), &*pieces.to_bytes()), (4, &b"-abc"[..]));
        assert_eq!(pieces.size_hint().exact(), Some(4));
        assert_eq!(block_on(read_capped(pieces, 4)), Ok(Bytes::from_static(b"-abc")));
        let none = Pieces::from(Bytes::new());
        assert!(none.is_empty() && none.is_end_stream() && none.to_bytes().is_empty());
    }
}
