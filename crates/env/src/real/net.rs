#![expect(clippy::disallowed_methods, reason = "the real network is made of the originals")]

use std::io::{Error, Result};
use std::net::SocketAddr;

use futures::FutureExt;
use tokio::net::{TcpListener, TcpStream};

use crate::{BoxFuture, BoxStream, Listener, Net};

/// TCP, without Nagle's delay.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpNet;

impl Net for TcpNet {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<BoxStream>> {
        async move {
            let stream = TcpStream::connect(address).await.map_err(|error| {
                Error::new(error.kind(), format!("cannot connect to {address}: {error}"))
            })?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        }
        .boxed()
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        async move {
            let listener = TcpListener::bind(address).await.map_err(|error| {
                Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?;
            Ok(Box::new(TcpNetListener(listener)) as Box<dyn Listener>)
        }
        .boxed()
    }
}

struct TcpNetListener(TcpListener);

impl Listener for TcpNetListener {
    fn accept(&mut self) -> BoxFuture<'_, Result<(BoxStream, SocketAddr)>> {
        async move {
            let (stream, peer) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as BoxStream, peer))
        }
        .boxed()
    }

    fn local_address(&self) -> Result<SocketAddr> {
        self.0.local_addr()
    }
}
