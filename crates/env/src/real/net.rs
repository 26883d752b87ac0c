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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn streams_connect_and_carry_bytes() {
        let mut listener = TcpNet.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address().unwrap().to_string();
        let serve = async {
            let (mut stream, peer) = listener.accept().await.unwrap();
            assert!(peer.ip().is_loopback());
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await.unwrap();
            heard
        };
        let call = async {
            let mut stream = TcpNet.connect(&address).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
        };
        assert_eq!(tokio::join!(serve, call).0, "hello");
        drop(listener);
        let error = TcpNet.connect(&address).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&address), "{error}");
    }
}
