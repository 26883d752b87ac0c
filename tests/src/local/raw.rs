//! Requests that no client of ours would send: routes without the right to them, and bytes on a
//! connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_api::transport::Transport;
use floe_api::{ApiError, Peer, RouteSpec, Target, TlsIdentity, TransportLimits};
use floe_env::Env;
use http::{Method, Request};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Sends a request to a node with any certificate, and gives the refusal.
pub async fn refusal(
    env: &Env,
    (identity, target): (&TlsIdentity, &Target),
    (method, path): (&Method, &str),
    body: Bytes,
) -> ApiError {
    let request = Request::builder().method(method.clone()).uri(path);
    let request = request.body(body).unwrap();
    let transport = Transport::new(env, identity, TransportLimits::default()).unwrap();
    let answer = transport.call(target, request, 1 << 20, Duration::from_secs(30)).await.unwrap();
    assert!(!answer.status().is_success(), "{method} {path}: {}", answer.status());
    let refusal: ApiError = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(answer.status(), refusal.status(), "{method} {path}");
    refusal
}

/// A route's path with ids of nothing.
pub fn path(spec: &RouteSpec) -> String {
    [
        ("{upload}", "00000000-0000-0000-0000-000000000001"),
        ("{extent}", "0"),
        ("{claim}", "00000000-0000-0000-0000-000000000001"),
        ("{namespace_uid}", "00000000-0000-0000-0000-000000000001"),
        ("{name}", "a"),
        ("{blob}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("{lease}", "00000000-0000-0000-0000-000000000001"),
        ("{axis}", "primary"),
        ("{pair}", "0"),
        ("{node}", "node-0"),
    ]
    .iter()
    .fold(spec.path.to_owned(), |path, (parameter, value)| path.replace(parameter, value))
}

/// A connection to a node, byte by byte. It blocks.
pub struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    /// Connects to `peer` at `address`, with or without a certificate. TLS begins with the first
    /// bytes.
    pub fn open(address: SocketAddr, peer: &Peer, ca_pem: &str, own: Option<&TlsIdentity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.certificate_pem.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        };
        let name = ServerName::try_from(peer.dns_name()).unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(StreamOwned::new(tls, stream))
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// Reads what comes next, up to 64 KiB; the answer's head is in it.
    pub fn receive(&mut self) -> std::io::Result<String> {
        let mut bytes = vec![0; 64 * 1024];
        let count = self.0.read(&mut bytes)?;
        bytes.truncate(count);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
