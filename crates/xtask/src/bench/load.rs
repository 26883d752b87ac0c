//! The load generator: clients of a gateway, each with one HTTPS connection that is kept alive.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::noise::Noise;
use crate::local_committee::Committee;

/// Bytes of a refusal that are shown.
const REFUSAL_BYTES: usize = 64 << 10;

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A gateway, who talks to it, and what they say.
pub(super) struct Load {
    runtime: Runtime,
    gateway: Arc<GatewayAccess>,
    noise: Noise,
}

/// What a client needs to know.
struct GatewayAccess {
    address: SocketAddr,
    tls: TlsConnector,
    authorization: HeaderValue,
}

/// What clients do with objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Write them.
    Put,
    /// Read them back and compare every byte.
    Get,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    /// PUT or GET.
    pub(super) verb: Verb,
    /// Requests at a time.
    pub(super) clients: u64,
    /// The number of the first object.
    pub(super) first: u64,
    /// How many objects.
    pub(super) objects: u64,
    /// Bytes of each.
    pub(super) bytes: u64,
}

/// How long it all took, and each request.
pub(super) struct Times {
    /// From the first request to the last answer.
    pub(super) all: Duration,
    /// One by one.
    pub(super) each: Vec<Duration>,
}

impl Load {
    /// Clients of this committee's gateway.
    pub(super) fn on(committee: &Committee, noise: Noise) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let file = committee.variable("FLOE_TOKEN_FILE")?;
        let tokens = std::fs::read_to_string(file).with_context(|| format!("read {file}"))?;
        let entry = tokens.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
        let token = entry.and_then(|line| line.split_whitespace().next());
        let token = token.with_context(|| format!("{file} holds no token"))?;
        let gateway = GatewayAccess {
            address: committee.listen(),
            tls: client_config(Path::new(committee.variable("FLOE_CA")?))?.into(),
            authorization: HeaderValue::from_str(&format!("Bearer {token}"))?,
        };
        Ok(Self { runtime, gateway: Arc::new(gateway), noise })
    }

    /// Does all of a task; an error at the first request that fails.
    pub(super) fn run(&self, task: Task) -> anyhow::Result<Times> {
        let next = Arc::new(AtomicU64::new(0));
        self.runtime.block_on(async {
            let connect = (0..task.clients).map(|_| Client::connect(&self.gateway, &self.noise));
            let clients = try_join_all(connect).await?;
            let begin = Instant::now();
            let running = clients.into_iter().map(|client| {
                // A task each: the clients share the machine's cores.
                let work = tokio::spawn(client.work(task, Arc::clone(&next)));
                async { work.await.context("a client panicked")? }
            });
            let each = try_join_all(running).await?.concat();
            Ok(Times { all: begin.elapsed(), each })
        })
    }
}

/// One connection.
struct Client {
    gateway: Arc<GatewayAccess>,
    noise: Noise,
    connection: SendRequest<Body>,
}

impl Client {
    async fn connect(gateway: &Arc<GatewayAccess>, noise: &Noise) -> anyhow::Result<Self> {
        let address = gateway.address;
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(address.ip());
        let secured = gateway.tls.connect(name, stream).await.context("TLS with the gateway")?;
        let (connection, driver) = handshake(TokioIo::new(secured)).await?;
        // It ends with the connection; what goes wrong shows in the request.
        tokio::spawn(driver);
        Ok(Self { gateway: Arc::clone(gateway), noise: noise.clone(), connection })
    }

    /// Takes objects until none is left; how long each took.
    async fn work(mut self, task: Task, next: Arc<AtomicU64>) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            if position >= task.objects {
                return Ok(times);
            }
            let object = task.first + position;
            let begin = Instant::now();
            let done = match task.verb {
                Verb::Put => self.put(object, task.bytes).await,
                Verb::Get => self.get(object, task.bytes).await,
            };
            done.with_context(|| format!("{:?} of object {object}", task.verb))?;
            times.push(begin.elapsed());
        }
    }

    async fn put(&mut self, object: u64, length: u64) -> anyhow::Result<()> {
        let pieces = self.noise.object(object, length).map(|bytes| Ok(Frame::data(bytes)));
        let body = StreamBody::new(stream::iter(pieces)).boxed_unsync();
        let response = self.send(Method::PUT, object, Some(length), body).await?;
        response.into_body().collect().await?;
        Ok(())
    }

    async fn get(&mut self, object: u64, length: u64) -> anyhow::Result<()> {
        let body = Empty::new().boxed_unsync();
        let mut body = self.send(Method::GET, object, None, body).await?.into_body();
        let mut comparison = self.noise.comparison(object, length);
        while let Some(frame) = body.frame().await {
            if let Some(bytes) = frame?.data_ref() {
                comparison.take(bytes)?;
            }
        }
        comparison.end()
    }

    async fn send(
        &mut self,
        method: Method,
        object: u64,
        length: Option<u64>,
        body: Body,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1/namespaces/default/blobs/bench-{object}"))
            .header(header::HOST, self.gateway.address.to_string())
            .header(header::AUTHORIZATION, &self.gateway.authorization);
        if let Some(length) = length {
            request = request.header(header::CONTENT_LENGTH, length);
        }
        self.connection.ready().await?;
        let response = self.connection.send_request(request.body(body)?).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let refusal = Limited::new(response.into_body(), REFUSAL_BYTES).collect().await;
        let refusal = refusal.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        bail!("the gateway answers {status}: {}", String::from_utf8_lossy(&refusal))
    }
}

/// TLS with whoever this CA vouches for.
pub(super) fn client_config(ca: &Path) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let certificates = CertificateDer::pem_file_iter(ca)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("read {}", ca.display()))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
