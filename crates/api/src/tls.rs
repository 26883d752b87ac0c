//! TLS 1.3 with ring, in the environment's time.

mod credentials;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use floe_env::{Clock, Disk, read_file};
use floe_model::Timestamp;
use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::role::{Peer, PeerError};
use crate::time::TlsTime;
pub use credentials::{Credentials, TlsSource};

/// The files of a [`TlsIdentity`]: whom to trust, the certificate, the key.
pub const TLS_FILES: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];
/// Bytes that any of them may have.
const LARGEST_FILE_BYTES: u64 = 64 * 1024;

/// Certificates or keys that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A PEM file holds something else.
    #[error("{what}: {reason}")]
    Pem {
        /// Which file.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// rustls refuses it.
    #[error("the {what} cannot be used: {reason}")]
    Refused {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The certificate names no peer.
    #[error("the certificate names no peer: {0}")]
    NoPeer(String),
    /// A file cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// A renewed certificate is for someone else.
    #[error("the new certificate is for {new}, this process is {own}")]
    OtherPeer {
        /// For whom it is.
        new: String,
        /// Who this process is.
        own: String,
    },
}

impl From<PeerError> for TlsError {
    fn from(error: PeerError) -> Self {
        Self::NoPeer(error.to_string())
    }
}

/// The certificates and the key of one process.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// Whom to trust; several CAs while one takes over from another.
    pub ca_pem: String,
    /// This process's certificate, and those between it and the CA.
    pub certificate_pem: String,
    /// Its secret key.
    pub key_pem: String,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("ca_pem", &self.ca_pem)
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

impl TlsIdentity {
    /// Reads [`TLS_FILES`]. Blocks on the disk.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Self, TlsError> {
        let [ca_pem, certificate_pem, key_pem] = TLS_FILES.map(|name| {
            let path = dir.join(name);
            let bytes = read_file(disk, &path, LARGEST_FILE_BYTES)
                .map_err(|error| TlsError::Unreadable(error.to_string()))?;
            String::from_utf8(bytes)
                .map_err(|_| TlsError::Unreadable(format!("{} is no text", path.display())))
        });
        Ok(Self { ca_pem: ca_pem?, certificate_pem: certificate_pem?, key_pem: key_pem? })
    }

    /// Name and content of [`TLS_FILES`].
    pub fn files(&self) -> [(&'static str, &str); 3] {
        let [ca, certificate, key] = TLS_FILES;
        [(ca, &self.ca_pem), (certificate, &self.certificate_pem), (key, &self.key_pem)]
    }

    /// From when to when this process's certificate holds.
    pub fn validity(&self) -> Result<(Timestamp, Timestamp), TlsError> {
        let chain = certificates("certificate", &self.certificate_pem)?;
        let own = chain.first().map(AsRef::as_ref).unwrap_or_default();
        let (_, own) = X509Certificate::from_der(own)
            .map_err(|error| TlsError::Pem { what: "certificate", reason: error.to_string() })?;
        let at = |seconds: i64| Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
        let validity = own.validity();
        Ok((at(validity.not_before.timestamp()), at(validity.not_after.timestamp())))
    }

    /// Who this process is by its certificate.
    pub fn own(&self) -> Result<Peer, TlsError> {
        let chain = certificates("certificate", &self.certificate_pem)?;
        peer_of(chain.first().ok_or_else(|| TlsError::NoPeer("there is none".to_owned()))?)
    }

    /// For servers of members: a client certificate of the CA is required.
    pub fn acceptor(&self, clock: Arc<dyn Clock>) -> Result<TlsAcceptor, TlsError> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&self.ca_pem)?), provider());
        let verifier = verifier.build().map_err(|error| refused("CA", &error))?;
        let builder = server_builder(clock)?.with_client_cert_verifier(verifier);
        self.serve(builder)
    }

    /// For servers of applications: no client certificate is asked for.
    pub fn application_acceptor(&self, clock: Arc<dyn Clock>) -> Result<TlsAcceptor, TlsError> {
        self.serve(server_builder(clock)?.with_no_client_auth())
    }

    fn serve(
        &self,
        builder: ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    ) -> Result<TlsAcceptor, TlsError> {
        let (chain, key) = self.chain_and_key()?;
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| refused("certificate with this key", &error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// For clients of members: shows the certificate, and wants one of the CA.
    pub fn connector(&self, clock: Arc<dyn Clock>) -> Result<TlsConnector, TlsError> {
        let (chain, key) = self.chain_and_key()?;
        let builder = client_builder(clock, roots(&self.ca_pem)?)?;
        let config = builder.with_client_auth_cert(chain, key);
        let mut config = config.map_err(|error| refused("certificate with this key", &error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn chain_and_key(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = certificates("certificate", &self.certificate_pem)?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map_err(|error| TlsError::Pem { what: "key", reason: error.to_string() })?;
        Ok((chain, key))
    }
}

/// For clients of applications' servers: shows no certificate, and wants one of the CA.
pub(crate) fn application_connector(
    ca_pem: &str,
    clock: Arc<dyn Clock>,
) -> Result<TlsConnector, TlsError> {
    let mut config = client_builder(clock, roots(ca_pem)?)?.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca_pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for ca in certificates("CA", ca_pem)? {
        roots.add(ca).map_err(|error| refused("CA", &error))?;
    }
    Ok(roots)
}

/// Explicit everywhere: a process-wide default may be another one, or none.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server_builder(
    clock: Arc<dyn Clock>,
) -> Result<ConfigBuilder<ServerConfig, rustls::WantsVerifier>, TlsError> {
    ServerConfig::builder_with_details(provider(), Arc::new(TlsTime(clock)))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| refused("protocol", &error))
}

fn client_builder(
    clock: Arc<dyn Clock>,
    roots: RootCertStore,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    ClientConfig::builder_with_details(provider(), Arc::new(TlsTime(clock)))
        .with_protocol_versions(&[&TLS13])
        .map(|builder| builder.with_root_certificates(roots))
        .map_err(|error| refused("protocol", &error))
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let read = read.map_err(|error| TlsError::Pem { what, reason: error.to_string() })?;
    if read.is_empty() {
        let reason = "there is no certificate in it".to_owned();
        return Err(TlsError::Pem { what, reason });
    }
    Ok(read)
}

fn refused(what: &'static str, error: &dyn fmt::Display) -> TlsError {
    TlsError::Refused { what, reason: error.to_string() }
}

/// Whom a certificate names: its one SPIFFE URI. The certificate must have been verified.
pub fn peer_of(certificate: &CertificateDer<'_>) -> Result<Peer, TlsError> {
    let none = |reason: &str| TlsError::NoPeer(reason.to_owned());
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| TlsError::NoPeer(error.to_string()))?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|error| TlsError::NoPeer(error.to_string()))?
        .ok_or_else(|| none("it has no subject alternative names"))?;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri.parse()?),
        (None, _) => Err(none("it has no URI")),
        (Some(_), Some(_)) => Err(none("it has several URIs")),
    }
}

#[cfg(test)]
mod tests;
