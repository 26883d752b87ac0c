//! A stream that fails when the other end takes nothing for too long.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use floe_env::{BoxFuture, BoxStream, Clock};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) struct WriteStall {
    stream: BoxStream,
    clock: Arc<dyn Clock>,
    limit: Duration,
    /// Runs while a write waits.
    patience: Option<BoxFuture<'static, ()>>,
}

impl WriteStall {
    pub(super) fn new(stream: BoxStream, clock: Arc<dyn Clock>, limit: Duration) -> Self {
        Self { stream, clock, limit, patience: None }
    }

    fn guard<T>(&mut self, context: &mut Context<'_>, written: Poll<Result<T>>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let patience = self.patience.get_or_insert_with(|| self.clock.sleep(self.limit));
        ready!(patience.as_mut().poll(context));
        let limit = self.limit.as_millis();
        let text = format!("the other end took nothing for {limit} ms");
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, text)))
    }
}

impl AsyncRead for WriteStall {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for WriteStall {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.guard(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.guard(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.guard(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.guard(context, shut)
    }
}
