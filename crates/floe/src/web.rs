//! The command line's way to a gateway: HTTPS with a bearer token, bodies streamed both ways.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use floe_kubectl::gateway::{BoxStream, Dial, Way, tcp};

use crate::args::GatewayArguments;
use crate::exit::{Ended, Exit};

/// The body of a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Bytes of an error or a listing.
const LARGEST_JSON_BYTES: usize = 16 * 1024 * 1024;

/// How long making a connection may take before it is tried another way, or given up.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(8);

/// One gateway, and who talks to it.
pub(crate) struct Gateway {
    client: Client<Connector, Body>,
    url: String,
    authorization: Option<HeaderValue>,
}

impl Gateway {
    /// The gateway the arguments name.
    pub(crate) fn new(arguments: &GatewayArguments) -> anyhow::Result<Self> {
        let usage = |message: String| Ended::new(Exit::Usage, message);
        let url = arguments.url.trim_end_matches('/').to_owned();
        if !url.starts_with("https://") {
            return Err(
                usage(format!("--url {url}: a gateway's address starts with https://")).into()
            );
        }
        let ca = std::fs::read(&arguments.ca).with_context(|| {
            format!("the certificate authority {} cannot be read", arguments.ca.display())
        })?;
        Self::build(url, &ca, authorization(arguments)?, (tcp(), 1))
    }

    /// The gateway of a committee on Kubernetes.
    pub(crate) fn by(way: Way) -> anyhow::Result<Self> {
        let Way { url, ca_pem, token, dial, attempts } = way;
        Self::build(url, ca_pem.as_bytes(), Some(bearer(&token)?), (dial, attempts))
    }

    fn build(
        url: String,
        ca_pem: &[u8],
        authorization: Option<HeaderValue>,
        (dial, attempts): (Dial, usize),
    ) -> anyhow::Result<Self> {
        let connector = Connector { tls: TlsConnector::from(tls(ca_pem)?), dial, attempts };
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, url, authorization })
    }

    /// Sends a request; an answer that is a problem becomes an error with its exit code.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, String)],
        body: Body,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = &self.authorization {
            request = request.header(header::AUTHORIZATION, token);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).context("the request cannot be made")?;
        let response = self.client.request(request).await.with_context(|| {
            format!("the gateway at {} does not answer; is it running?", self.url)
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(problem(response).await.into())
    }

    /// Sends a request without a body and reads the JSON answer.
    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
    ) -> anyhow::Result<serde_json::Value> {
        read_json(self.send(method, path, &[], empty()).await?).await
    }
}

/// A body of nothing.
pub(crate) fn empty() -> Body {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Reads a JSON answer.
pub(crate) async fn read_json(response: Response<Incoming>) -> anyhow::Result<serde_json::Value> {
    let body = http_body_util::Limited::new(response.into_body(), LARGEST_JSON_BYTES)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
    serde_json::from_slice(&body.to_bytes()).context("the answer is no JSON")
}

/// A path segment: everything but unreserved characters is escaped.
pub(crate) fn segment(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

async fn problem(response: Response<Incoming>) -> Ended {
    let status = response.status();
    let body = read_json(response).await.unwrap_or_default();
    let text = |member: &str| body.get(member).and_then(serde_json::Value::as_str);
    let detail = text("detail").or_else(|| text("title")).unwrap_or("no reason was given");
    let slug = text("type").and_then(|uri| uri.rsplit('/').next()).unwrap_or_default();
    let exit = match status {
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Exit::NotFound,
        _ if matches!(
            slug,
            "write-quorum-missing" | "read-quorum-missing" | "not-enough-slivers" | "unresolved"
        ) =>
        {
            Exit::NotEnoughNodes
        }
        StatusCode::BAD_REQUEST => Exit::Usage,
        _ => Exit::Failed,
    };
    Ended::new(exit, format!("{detail} ({} {slug})", status.as_u16()))
}

fn authorization(arguments: &GatewayArguments) -> anyhow::Result<Option<HeaderValue>> {
    let token = match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("the token file {} cannot be read", file.display()))?;
            // A gateway's own token file serves too: the first word of its first entry.
            let entry =
                text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
            entry.and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned()
        }
        (None, None) => return Ok(None),
    };
    bearer(&token).map(Some)
}

fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        Ended::new(Exit::Usage, "the token holds characters that no header may hold")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls(ca_pem: &[u8]) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let certificates = CertificateDer::pem_slice_iter(ca_pem)
        .collect::<Result<Vec<_>, _>>()
        .context("the certificate authority is no PEM file")?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Clone)]
struct Connector {
    tls: TlsConnector,
    dial: Dial,
    attempts: usize,
}

impl Connector {
    async fn connect(self, uri: &Uri) -> std::io::Result<TokioIo<Secured>> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(443);
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        let mut left = self.attempts;
        loop {
            let attempt = async {
                let stream = (self.dial)(host.to_owned(), port).await?;
                self.tls.connect(name.clone(), stream).await
            };
            let attempt = tokio::time::timeout(LONGEST_ATTEMPT, attempt).await;
            left = left.saturating_sub(1);
            match attempt.unwrap_or_else(|elapsed| Err(elapsed.into())) {
                Ok(stream) => return Ok(TokioIo::new(Secured(stream))),
                Err(error) if left == 0 => return Err(error),
                Err(error) => tracing::debug!(%error, "no connection to {host}, trying again"),
            }
        }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Secured>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await })
    }
}

/// A TLS stream that hyper's pool takes.
struct Secured(TlsStream<BoxStream>);

impl Connection for Secured {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, to)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
