//! HTTPS requests, one connection each, with blocking sockets: a test decides over every byte sent.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// The longest silence of a server.
const TIMEOUT: Duration = Duration::from_secs(150);

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// One server, and who talks to it.
#[derive(Clone)]
pub struct Http {
    address: SocketAddr,
    server: ServerName<'static>,
    config: Arc<ClientConfig>,
    token: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it came.
    pub body: Vec<u8>,
    /// Whether the body came to its announced end.
    pub is_whole: bool,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts the status.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "to assert is enough")]
    pub fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(600)]);
        assert_eq!(self.status.as_u16(), status, "{body}");
        self
    }

    /// Asserts an RFC 9457 problem with all its members; the `detail`.
    #[track_caller]
    pub fn expect_problem(self, status: u16, slug: &str) -> String {
        let reply = self.expect(status);
        assert_eq!(reply.header("content-type"), "application/problem+json");
        let problem = reply.json();
        assert_eq!(problem["type"], format!("https://floe.dev/problems/{slug}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for member in ["title", "detail", "reason"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        let retry = problem["retryAfterSeconds"].as_u64();
        let passes = status == 503 || slug == "being-deleted";
        assert_eq!(retry.is_some(), passes, "{problem}");
        assert_eq!(reply.header("retry-after"), retry.map_or(String::new(), |s| s.to_string()));
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// A request that is being made.
pub struct Request<'a> {
    http: &'a Http,
    head: String,
    body: Option<&'a [u8]>,
}

/// A request whose body has not ended.
pub struct Unfinished(Tls);

impl Unfinished {
    /// Sends some of the body.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// The answer.
    pub fn answer(mut self) -> std::io::Result<Reply> {
        read_reply(&mut self.0, false)
    }
}

impl Http {
    /// Applications' way to a gateway.
    pub fn to_gateway(address: SocketAddr, ca: &Path, token: &str) -> Self {
        let config = builder(ca).with_no_client_auth();
        Self {
            address,
            server: ServerName::from(address.ip()),
            config: Arc::new(config),
            token: Some(token.to_owned()),
        }
    }

    /// The way of a process with the certificate in `tls` to a node, which has this DNS name.
    pub fn to_node(address: SocketAddr, dns: &str, tls: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(tls.join("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(tls.join("key.pem")).unwrap();
        let config = builder(&tls.join("ca.pem"))
            .with_client_auth_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        let server = ServerName::try_from(dns.to_owned()).unwrap();
        Self { address, server, config: Arc::new(config), token: None }
    }

    /// With another token, or none.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(ToOwned::to_owned), ..self.clone() }
    }

    /// Begins a request.
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if let Some(token) = &self.token {
            head.extend(["Authorization: Bearer ", token, "\r\n"]);
        }
        Request { http: self, head, body: None }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send()
    }

    /// PUT with a body.
    pub fn put(&self, path: &str, body: &[u8]) -> Reply {
        self.request("PUT", path).body(body).send()
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path).send()
    }

    fn connect(&self) -> std::io::Result<Tls> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let tls = ClientConnection::new(Arc::clone(&self.config), self.server.clone());
        Ok(StreamOwned::new(tls.map_err(std::io::Error::other)?, stream))
    }
}

impl<'a> Request<'a> {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.extend([name, ": ", value, "\r\n"]);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: &'a [u8]) -> Self {
        let mut request = self.header("Content-Length", &body.len().to_string());
        request.body = Some(body);
        request
    }

    /// Sends it; panics when the server cannot be talked to.
    pub fn send(self) -> Reply {
        let what = self.head.lines().next().unwrap_or_default().to_owned();
        self.try_send().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends it.
    pub fn try_send(self) -> std::io::Result<Reply> {
        let (is_head, body) = (self.head.starts_with("HEAD "), self.body.unwrap_or_default());
        let mut begun = self.begin()?;
        match begun.send(body) {
            // A server that has seen enough answers and closes before all was sent.
            Err(error) if !is_cut(error.kind()) => return Err(error),
            _ => {}
        }
        read_reply(&mut begun.0, is_head)
    }

    /// Sends the head only.
    pub fn begin(self) -> std::io::Result<Unfinished> {
        let mut stream = self.http.connect()?;
        stream.write_all(self.head.as_bytes())?;
        stream.write_all(b"\r\n")?;
        stream.flush()?;
        Ok(Unfinished(stream))
    }
}

fn is_cut(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
}

fn builder(ca: &Path) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca).unwrap().map(Result::unwrap);
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

fn read_reply(stream: &mut Tls, is_head: bool) -> std::io::Result<Reply> {
    let mut bytes = Vec::new();
    let end_of_head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if read_some(stream, &mut bytes)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8(bytes[..end_of_head].to_vec()).map_err(std::io::Error::other)?;
    let (status, headers) = parse_head(&head).ok_or(ErrorKind::InvalidData)?;
    let mut body = bytes.split_off(end_of_head + 4);
    let has_none = is_head || [204, 304].contains(&status.as_u16());
    let announced = headers.get(http::header::CONTENT_LENGTH).map(|length| {
        length.to_str().ok().and_then(|text| text.parse::<usize>().ok()).unwrap_or(usize::MAX)
    });
    let wanted = if has_none { Some(0) } else { announced };
    while wanted.is_none_or(|wanted| body.len() < wanted) && read_some(stream, &mut body)? > 0 {}
    let mut is_whole = wanted.is_none_or(|wanted| body.len() == wanted);
    if headers.get(http::header::TRANSFER_ENCODING).is_some_and(|it| it == "chunked") {
        (body, is_whole) = unchunk(&body);
    }
    Ok(Reply { status, headers, body, is_whole })
}

/// Reads once; 0 at the end, however it came. Nothing is sent meanwhile: an answer can be read after
/// the server stopped reading.
fn read_some(stream: &mut Tls, into: &mut Vec<u8>) -> std::io::Result<usize> {
    let (tls, socket) = (&mut stream.conn, &mut stream.sock);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match tls.reader().read(&mut buffer) {
            Ok(count) => {
                into.extend_from_slice(&buffer[..count]);
                return Ok(count);
            }
            Err(error) if is_cut(error.kind()) => return Ok(0),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Err(_) => {}
        }
        match tls.read_tls(socket) {
            Err(error) if is_cut(error.kind()) => return Ok(0),
            Err(error) => return Err(error),
            Ok(_) => tls.process_new_packets().map_err(std::io::Error::other)?,
        };
    }
}

fn parse_head(head: &str) -> Option<(StatusCode, HeaderMap)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value.trim()).ok()?,
        );
    }
    Some((status, headers))
}

/// The content of a chunked body, and whether its end is there.
fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..at]).ok();
        let Some(size) = size.and_then(|text| usize::from_str_radix(text.trim(), 16).ok()) else {
            break;
        };
        if size == 0 {
            return (content, true);
        }
        let chunk = &rest[at + 2..];
        content.extend_from_slice(&chunk[..size.min(chunk.len())]);
        rest = chunk.get(size + 2..).unwrap_or_default();
    }
    (content, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_bodies() {
        assert_eq!(unchunk(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), (b"abcde".to_vec(), true));
        assert_eq!(unchunk(b"3\r\nabc\r\n9\r\nde"), (b"abcde".to_vec(), false));
    }
}
