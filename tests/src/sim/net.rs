use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};

use floe_env::{BoxFuture, BoxStream, Listener, Net};
use futures::FutureExt;
use turmoil::net::{TcpListener, TcpStream};

/// Turmoil's network; host names are turmoil's.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimNet;

impl Net for SimNet {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<BoxStream>> {
        async move { Ok(Box::new(TcpStream::connect(address).await?) as BoxStream) }.boxed()
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        // A turmoil host has one address and binds to all or loopback only.
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        async move {
            let listener = TcpListener::bind(everywhere).await?;
            Ok(Box::new(SimListener(listener)) as Box<dyn Listener>)
        }
        .boxed()
    }
}

struct SimListener(TcpListener);

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, Result<(BoxStream, SocketAddr)>> {
        async move {
            let (stream, peer) = self.0.accept().await?;
            Ok((Box::new(stream) as BoxStream, peer))
        }
        .boxed()
    }

    fn local_address(&self) -> Result<SocketAddr> {
        self.0.local_addr()
    }
}
