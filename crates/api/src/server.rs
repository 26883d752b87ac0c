//! Serving HTTP/1.1 over the environment's network, within limits.

mod stall;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{self, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_env::{BoxFuture, BoxStream, Clock, Env, Listener, timeout};
use futures::FutureExt;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::{Service, ServiceExt};

use crate::role::Peer;
use crate::time::HyperTimer;
use crate::tls::{Credentials, peer_of};
use stall::WriteStall;

/// How a listener speaks.
#[derive(Clone)]
pub enum Security {
    /// In the clear: for probes and metrics.
    Plain,
    /// TLS for members: requests carry the extension [`Peer`], and connections whose certificate names
    /// no peer are closed.
    Members(Credentials),
    /// TLS for applications: no certificate is asked for.
    Applications(Credentials),
}

/// Bounds of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; those beyond are closed at once.
    pub most_connections: usize,
    /// TLS handshakes at a time; a connection that comes on top waits. They have places of their own:
    /// whoever opens connections and says nothing takes none from requests.
    pub most_handshakes: usize,
    /// How long the TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take, and how long a connection may be without one.
    pub header_timeout: Duration,
    /// How long a client may take none of an answer's bytes.
    pub write_stall_timeout: Duration,
    /// Bytes of a request's head, and of the buffer bodies are read through.
    pub buffer_bytes: usize,
    /// How long requests that run may go on when the server shuts down.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            most_connections: 1024,
            most_handshakes: 128,
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(30),
            write_stall_timeout: Duration::from_secs(30),
            buffer_bytes: 128 * 1024,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Where a request came from; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddress(pub SocketAddr);

/// Any error of an answer's body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long to wait after an error of the listener: it may be out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client may go on sending what nobody reads, once it has its answer.
const LINGER: Duration = Duration::from_secs(1);
/// How many bytes of that are taken.
const LINGER_BYTES: u64 = 4 * 1024 * 1024;

/// Serves until `shutdown` ends: then no more connections are accepted, requests that run may go
/// on for the drain timeout. If the future is dropped, all its connections are closed at once.
pub async fn serve<S, B>(
    env: Env,
    mut listener: Box<dyn Listener>,
    security: Security,
    service: S,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Unpin
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let places = Arc::new(Semaphore::new(limits.most_connections));
    let handshakes = Arc::new(Semaphore::new(limits.most_handshakes));
    let (stop, stopped) = watch::channel(false);
    let clock = Arc::clone(&env.clock);
    let connections = Connections { clock: Arc::clone(&clock), security, service, limits, stopped };
    let mut shutdown = pin!(shutdown);
    loop {
        // Those beyond wait in the listener's backlog: a burst of honest ones is not turned away.
        let next = async {
            let handshake = Arc::clone(&handshakes).acquire_owned().await;
            (handshake, listener.accept().await)
        };
        let (handshake, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            next = next => next,
        };
        let Ok(handshake) = handshake else { break };
        match accepted {
            Ok((stream, address)) => {
                let run =
                    connections.clone().run(stream, address, (handshake, Arc::clone(&places)));
                env.spawn.spawn("api-serve", run.boxed()).detach();
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection, trying again");
                clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all = u32::try_from(limits.most_connections).unwrap_or(u32::MAX);
    if timeout(clock.as_ref(), limits.drain_timeout, places.acquire_many(all)).await.is_err() {
        tracing::warn!("requests are still running, closing their connections");
    }
}

#[derive(Clone)]
struct Connections<S> {
    clock: Arc<dyn Clock>,
    security: Security,
    service: S,
    limits: Limits,
    /// True: finish what runs. Closed: end.
    stopped: watch::Receiver<bool>,
}

impl<S, B> Connections<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Unpin
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// The connection's place among requests is taken once it is known who is there.
    async fn run(
        self,
        stream: BoxStream,
        address: SocketAddr,
        (handshaking, places): (OwnedSemaphorePermit, Arc<Semaphore>),
    ) {
        let mut stopped = self.stopped.clone();
        let clock = Arc::clone(&self.clock);
        let handshake =
            timeout(clock.as_ref(), self.limits.handshake_timeout, secure(&self.security, stream));
        let secured = tokio::select! {
            biased;
            secured = handshake => secured,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match secured {
            Ok(Ok((stream, peer))) => {
                drop(handshaking);
                let Ok(_place) = places.try_acquire_owned() else {
                    tracing::warn!(%address, "too many connections, closing this one");
                    return;
                };
                self.serve(stream, peer, address).await;
            }
            Ok(Err(reason)) => tracing::debug!(%address, reason, "connection refused"),
            Err(elapsed) => tracing::debug!(%address, %elapsed, "no TLS handshake"),
        }
    }

    async fn serve(self, stream: BoxStream, peer: Option<Peer>, address: SocketAddr) {
        let Self { clock, service, limits, mut stopped, .. } = self;
        let stream = WriteStall::new(stream, Arc::clone(&clock), limits.write_stall_timeout);
        let answer = service_fn(move |mut request: Request<Incoming>| {
            let extensions = request.extensions_mut();
            extensions.insert(RemoteAddress(address));
            if let Some(peer) = &peer {
                extensions.insert(peer.clone());
            }
            let answer: BoxFuture<'static, _> = service.clone().oneshot(request).boxed();
            answer
        });
        let mut connection = http1::Builder::new()
            .timer(HyperTimer::new(Arc::clone(&clock)))
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.buffer_bytes.max(8 * 1024))
            // The date would come from the machine's clock.
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), answer);
        let mut draining = false;
        let ended = loop {
            tokio::select! {
                biased;
                ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
                stop = stopped.wait_for(|stop| *stop && !draining) => match stop {
                    Ok(_) => {
                        draining = true;
                        pin::Pin::new(&mut connection).graceful_shutdown();
                    }
                    Err(_) => return,
                },
            }
        };
        match ended {
            Ok(()) => linger(clock.as_ref(), connection.into_parts().io.into_inner()).await,
            Err(error) => tracing::debug!(%address, %error, "connection failed"),
        }
    }
}

async fn secure(
    security: &Security,
    stream: BoxStream,
) -> Result<(BoxStream, Option<Peer>), String> {
    let acceptor = match security {
        Security::Plain => return Ok((stream, None)),
        Security::Members(credentials) => credentials.members().await,
        Security::Applications(credentials) => credentials.applications().await,
    };
    let stream = acceptor.accept(stream).await.map_err(|error| error.to_string())?;
    let chain = stream.get_ref().1.peer_certificates();
    let leaf = chain.and_then(<[_]>::first);
    let peer = leaf.map(peer_of).transpose().map_err(|error| error.to_string())?;
    Ok((Box::new(stream), peer))
}

/// Ends the sending half, and takes for a while what the client still sends: closing on unread bytes
/// resets the connection, and may take the answer away from the client.
async fn linger(clock: &dyn Clock, mut stream: WriteStall) {
    let end = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whatever happens, the connection is over.
    let _ = timeout(clock, LINGER, end).await;
}

#[cfg(test)]
mod tests;
