//! Committee id, CA and registrar keys: made once, before any certificate; and the TLS leaves that
//! the CA signs.
//!
//! | file | content |
//! |---|---|
//! | `ca-key.pem`, `ca.pem` | the CA: P-256, ten years |
//! | `operator-key`, `gateway-key` | the registrars' Ed25519 seeds, hexadecimal |
//! | `committee` | the committee id; written last, so its presence says that the others are whole |
//!
//! They stand in a directory ([`Trust::create`], [`Trust::open`]), or wherever else keeps named bytes
//! ([`Trust::draw`], [`Trust::to_files`], [`Trust::from_files`]).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_api::{Peer, Role, TlsIdentity};
use floe_env::{Clock, Disk, Random, create_dir_durably, read_file, write_file_durably};
use floe_model::keys::{RegistrarKey, RegistrarPublicKey};
use floe_model::{CommitteeId, Incarnation, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

/// Certificates begin this long before they are made: clocks differ.
const BACKDATED: Duration = Duration::from_hours(1);
/// How long the CA lives.
const CA_LIFE: Duration = Duration::from_hours(10 * 365 * 24);
/// How long a leaf lives.
pub const LEAF_LIFE: Duration = Duration::from_hours(365 * 24);
/// Bytes that any of the files may have.
const LARGEST_FILE_BYTES: u64 = 64 * 1024;

const COMMITTEE_FILE: &str = "committee";
const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca-key.pem";
const OPERATOR_FILE: &str = "operator-key";
const GATEWAY_FILE: &str = "gateway-key";
/// In the order in which they are written.
const FILES: [&str; 5] = [CA_KEY_FILE, CA_FILE, OPERATOR_FILE, GATEWAY_FILE, COMMITTEE_FILE];

/// Trust that could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It was made before.
    #[error("{} holds the trust of a committee; open it, or use another directory", .0.display())]
    Exists(PathBuf),
    /// It was never made, or not to its end.
    #[error("{} holds no committee's trust; create it first", .0.display())]
    Missing(PathBuf),
    /// A file is not what it should be.
    #[error("{} is damaged: {reason}; restore it from a backup", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("no certificate for {subject}: {reason}")]
    Certificate {
        /// For whom.
        subject: String,
        /// Why.
        reason: String,
    },
}

/// The control plane's secrets.
pub struct Trust {
    committee: CommitteeId,
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    operator: RegistrarKey,
    gateway: RegistrarKey,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("committee", &self.committee).finish_non_exhaustive()
    }
}

impl Trust {
    /// Draws committee id, CA and registrar keys, and keeps them in `dir`. What an earlier call
    /// left unfinished was used by nobody and is replaced. Blocks on the disk.
    pub fn create(
        disk: &dyn Disk,
        clock: &dyn Clock,
        random: &dyn Random,
        dir: &Path,
    ) -> Result<Self, TrustError> {
        if exists(disk, dir)? {
            return Err(TrustError::Exists(dir.to_owned()));
        }
        let trust = Self::draw(clock, random)?;
        create_dir_durably(disk, dir).map_err(|source| io(dir, source))?;
        let files = trust.to_files();
        for name in FILES {
            let path = dir.join(name);
            let content = files.get(name).map_or(&[][..], Vec::as_slice);
            write_file_durably(disk, &path, content).map_err(|source| io(&path, source))?;
        }
        Ok(trust)
    }

    /// Draws committee id, CA and registrar keys, and keeps them nowhere.
    pub fn draw(clock: &dyn Clock, random: &dyn Random) -> Result<Self, TrustError> {
        let committee = CommitteeId(random.bytes());
        let subject = format!("CA of committee {committee}");
        let key = KeyPair::generate().map_err(|error| certificate(&subject, &error))?;
        let params = ca_params(clock, &committee);
        let ca = params.self_signed(&key).map_err(|error| certificate(&subject, &error))?;
        let ca_pem = ca.pem();
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, key);
        let issuer = issuer.map_err(|error| certificate(&subject, &error))?;
        let operator = RegistrarKey::from_seed(&random.bytes());
        let gateway = RegistrarKey::from_seed(&random.bytes());
        Ok(Self { committee, ca_pem, issuer, operator, gateway })
    }

    /// Reads what [`Trust::create`] kept. Blocks on the disk.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, TrustError> {
        if !exists(disk, dir)? {
            return Err(TrustError::Missing(dir.to_owned()));
        }
        let mut files = BTreeMap::new();
        for name in FILES {
            let path = dir.join(name);
            let bytes = read_file(disk, &path, LARGEST_FILE_BYTES);
            files.insert(name, bytes.map_err(|source| io(&path, source))?);
        }
        Self::parse(&files).map_err(|(name, reason)| damaged(dir.join(name), reason))
    }

    /// The files' names and content.
    pub fn to_files(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let seed = |key: &RegistrarKey| hex::encode(key.to_seed().as_slice()).into_bytes();
        BTreeMap::from([
            (CA_KEY_FILE, self.issuer.key().serialize_pem().into_bytes()),
            (CA_FILE, self.ca_pem.clone().into_bytes()),
            (OPERATOR_FILE, seed(&self.operator)),
            (GATEWAY_FILE, seed(&self.gateway)),
            (COMMITTEE_FILE, self.committee.to_string().into_bytes()),
        ])
    }

    /// Reads what [`Trust::to_files`] gave. Errors have a file's name for its path.
    pub fn from_files<Name: AsRef<str>, Bytes: AsRef<[u8]>>(
        files: impl IntoIterator<Item = (Name, Bytes)>,
    ) -> Result<Self, TrustError> {
        let known = |name: &str| FILES.into_iter().find(|known| *known == name);
        let files = files.into_iter().filter_map(|(name, bytes)| {
            known(name.as_ref()).map(|name| (name, bytes.as_ref().to_vec()))
        });
        Self::parse(&files.collect()).map_err(|(name, reason)| damaged(name.into(), reason))
    }

    /// An error has the file and what is wrong with it.
    fn parse(files: &BTreeMap<&'static str, Vec<u8>>) -> Result<Self, (&'static str, String)> {
        let committee = read(files, COMMITTEE_FILE, |text| text.parse().map_err(text_of))?;
        let key = read(files, CA_KEY_FILE, |text| KeyPair::from_pem(text).map_err(text_of))?;
        let ca_pem = read(files, CA_FILE, |text| Ok(format!("{text}\n")))?;
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, key);
        let issuer = issuer.map_err(|error| (CA_FILE, error.to_string()))?;
        let operator = read(files, OPERATOR_FILE, registrar)?;
        let gateway = read(files, GATEWAY_FILE, registrar)?;
        Ok(Self { committee, ca_pem, issuer, operator, gateway })
    }

    /// Opens it, or makes it if there is none.
    pub fn open_or_create(
        disk: &dyn Disk,
        clock: &dyn Clock,
        random: &dyn Random,
        dir: &Path,
    ) -> Result<Self, TrustError> {
        match Self::open(disk, dir) {
            Err(TrustError::Missing(_)) => Self::create(disk, clock, random, dir),
            opened => opened,
        }
    }

    /// The committee, for its life.
    pub const fn committee(&self) -> CommitteeId {
        self.committee
    }

    /// The CA's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Signs epoch records and releases.
    pub const fn operator_key(&self) -> &RegistrarKey {
        &self.operator
    }

    /// Signs permits, claims and releases; to be given to the gateways.
    pub const fn gateway_key(&self) -> &RegistrarKey {
        &self.gateway
    }

    /// The public half of [`Trust::gateway_key`].
    pub fn gateway_public(&self) -> RegistrarPublicKey {
        self.gateway.public()
    }

    /// Makes a key and a certificate for a peer of this committee. `extra_names` are further DNS
    /// names and IP addresses under which clients that are no peers reach it.
    pub fn leaf(
        &self,
        clock: &dyn Clock,
        role: Role,
        name: &str,
        incarnation: Incarnation,
        extra_names: &[String],
    ) -> Result<TlsIdentity, TrustError> {
        let peer = Peer { committee: self.committee, role, name: name.to_owned(), incarnation };
        let failed = |error: &dyn std::fmt::Display| certificate(&peer.to_string(), error);
        // The names must be ones that the other side can read.
        peer.spiffe_uri().parse::<Peer>().map_err(|error| failed(&error))?;
        let params = leaf_params(clock, &peer, extra_names).map_err(|error| failed(&error))?;
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(|error| failed(&error))?;
        Ok(TlsIdentity {
            ca_pem: self.ca_pem.clone(),
            certificate_pem: leaf.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// Whether a leaf that holds from `not_before` to `not_after` is to be renewed: a third of its life is
/// over, or its times make no sense.
pub fn renewal(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> bool {
    let third = not_after.0.saturating_sub(not_before.0) / 3;
    now < not_before || now.0 >= not_before.0.saturating_add(third)
}

fn ca_params(clock: &dyn Clock, committee: &CommitteeId) -> CertificateParams {
    let mut params = valid_for(clock, CA_LIFE, &format!("floe committee {committee}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(
    clock: &dyn Clock,
    peer: &Peer,
    extra_names: &[String],
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = valid_for(clock, LEAF_LIFE, &peer.to_string());
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![
        SanType::URI(peer.spiffe_uri().try_into()?),
        SanType::DnsName(peer.dns_name().try_into()?),
    ];
    for name in extra_names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    Ok(params)
}

fn valid_for(clock: &dyn Clock, life: Duration, common_name: &str) -> CertificateParams {
    let now = Duration::from_millis(clock.unix_millis());
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + now.saturating_add(life);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool, TrustError> {
    let path = dir.join(COMMITTEE_FILE);
    match disk.exists(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        answer => answer.map_err(|source| io(&path, source)),
    }
}

fn read<T>(
    files: &BTreeMap<&'static str, Vec<u8>>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, (&'static str, String)> {
    let bytes = files.get(name).ok_or_else(|| (name, "it is missing".to_owned()))?;
    let text = std::str::from_utf8(bytes).map_err(text_of);
    text.and_then(|text| parse(text.trim())).map_err(|reason| (name, reason))
}

fn damaged(path: PathBuf, reason: String) -> TrustError {
    TrustError::Damaged { path, reason }
}

fn registrar(text: &str) -> Result<RegistrarKey, String> {
    let mut seed = [0; 32];
    hex::decode_to_slice(text, &mut seed).map_err(text_of)?;
    Ok(RegistrarKey::from_seed(&seed))
}

fn text_of(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn io(path: &Path, source: std::io::Error) -> TrustError {
    TrustError::Io { path: path.to_owned(), source }
}

fn certificate(subject: &str, error: &(impl std::fmt::Display + ?Sized)) -> TrustError {
    TrustError::Certificate { subject: subject.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
