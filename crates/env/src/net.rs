//! Byte streams between machines.

use std::io::Result;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::BoxFuture;

/// A network.
pub trait Net: Send + Sync {
    /// Opens a stream to `host:port`. It may take as long as it likes: put a
    /// [`timeout`](crate::timeout) around it.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<BoxStream>>;

    /// Listens on an address; port 0 draws a free one.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>>>;
}

/// A listening socket; it stops listening when dropped.
pub trait Listener: Send {
    /// Waits for the next stream, and who opened it. Cancel safe. An error concerns one stream or
    /// passes (no file descriptors left): wait a little and go on.
    fn accept(&mut self) -> BoxFuture<'_, Result<(BoxStream, SocketAddr)>>;

    /// Where it listens, with the port drawn.
    fn local_address(&self) -> Result<SocketAddr>;
}

/// A byte stream both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Any [`Stream`].
pub type BoxStream = Box<dyn Stream>;
