//! What the CA signs, and what a restart finds.
#![expect(clippy::disallowed_methods, reason = "looks at and alters the real files")]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use floe_env::{BoxFuture, OsRandom, RealDisk};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

const NOW_SECONDS: u64 = 1_700_000_000;

struct At(u64);

impl Clock for At {
    fn unix_millis(&self) -> u64 {
        self.0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

const CLOCK: At = At(NOW_SECONDS * 1000);

fn trust(dir: &Path) -> Trust {
    Trust::create(&RealDisk, &CLOCK, &OsRandom, dir).unwrap()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn roots(trust: &Trust) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(der(trust.ca_pem())).unwrap();
    Arc::new(roots)
}

fn accepts_server(trust: &Trust, leaf: &TlsIdentity, name: &str, seconds: u64) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots(trust), provider).build().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&der(&leaf.certificate_pem), &[], &name, &[], now).is_ok()
}

fn accepts_client(trust: &Trust, leaf: &TlsIdentity, seconds: u64) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(trust), provider).build().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier.verify_client_cert(&der(&leaf.certificate_pem), &[], now).is_ok()
}

#[test]
fn a_leaf_names_its_peer_and_chains_to_the_ca() {
    let dir = tempfile::tempdir().unwrap();
    let trust = trust(dir.path());
    let extra = ["127.3.2.1".to_owned(), "localhost".to_owned()];
    let leaf = trust.leaf(&CLOCK, Role::Node, "node-3", Incarnation(2), &extra).unwrap();
    let committee = trust.committee();
    let dns = format!("node-3-2.node.{committee}.floe.internal");

    let bytes = der(&leaf.certificate_pem);
    let (_, parsed) = X509Certificate::from_der(&bytes).unwrap();
    let names = parsed.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    let uri = format!("spiffe://floe/{committee}/node/node-3/2");
    assert_eq!(
        names,
        [
            GeneralName::URI(&uri),
            GeneralName::DNSName(&dns),
            GeneralName::IPAddress(&[127, 3, 2, 1]),
            GeneralName::DNSName("localhost"),
        ]
    );
    assert!(!parsed.is_ca());
    let algorithm = &parsed.public_key().algorithm;
    assert_eq!(
        algorithm.parameters.as_ref().unwrap().as_oid().unwrap().to_id_string(),
        "1.2.840.10045.3.1.7"
    );
    let now = i64::try_from(NOW_SECONDS).unwrap();
    assert_eq!(parsed.validity().not_before.timestamp(), now - 3600);

    for name in [&dns, "127.3.2.1", "localhost"] {
        assert!(accepts_server(&trust, &leaf, name, NOW_SECONDS), "{name}");
    }
    let other = format!("node-3-1.node.{committee}.floe.internal");
    assert!(!accepts_server(&trust, &leaf, &other, NOW_SECONDS), "an older incarnation's name");
    assert!(accepts_client(&trust, &leaf, NOW_SECONDS));
    assert_eq!(leaf.own().unwrap().to_string(), "node node-3 (incarnation 2)");
}

#[test]
fn leaves_hold_from_an_hour_ago_for_a_year() {
    let dir = tempfile::tempdir().unwrap();
    let trust = trust(dir.path());
    let leaf = trust.leaf(&CLOCK, Role::Gateway, "gateway", Incarnation(0), &[]).unwrap();
    let year = 365 * 24 * 3600;
    for (seconds, holds) in [
        (NOW_SECONDS - 3601, false),
        (NOW_SECONDS - 3600, true),
        (NOW_SECONDS + year, true),
        (NOW_SECONDS + year + 1, false),
    ] {
        assert_eq!(accepts_client(&trust, &leaf, seconds), holds, "at {seconds}");
    }
}

#[test]
fn another_committee_trusts_none_of_it() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (trust(one.path()), trust(other.path()));
    assert_ne!(one.committee(), other.committee());
    let leaf = one.leaf(&CLOCK, Role::Node, "a", Incarnation(0), &[]).unwrap();
    assert!(accepts_client(&one, &leaf, NOW_SECONDS));
    assert!(!accepts_client(&other, &leaf, NOW_SECONDS));
}

#[test]
fn names_that_no_peer_can_have_get_no_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let trust = trust(dir.path());
    for (name, extra) in [("Node", ""), ("a/b", ""), ("", ""), ("a", "ünfit")] {
        let extra: Vec<String> =
            (!extra.is_empty()).then(|| extra.to_owned()).into_iter().collect();
        let made = trust.leaf(&CLOCK, Role::Node, name, Incarnation(0), &extra);
        assert!(matches!(made, Err(TrustError::Certificate { .. })), "{name:?} {extra:?}");
    }
}

#[test]
fn it_is_made_once_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust");
    assert!(matches!(Trust::open(&RealDisk, &path), Err(TrustError::Missing(_))));
    let made = Trust::open_or_create(&RealDisk, &CLOCK, &OsRandom, &path).unwrap();
    assert!(matches!(
        Trust::create(&RealDisk, &CLOCK, &OsRandom, &path),
        Err(TrustError::Exists(_))
    ));
    let opened = Trust::open_or_create(&RealDisk, &CLOCK, &OsRandom, &path).unwrap();
    assert_eq!(opened.committee(), made.committee());
    assert_eq!(opened.ca_pem(), made.ca_pem());
    assert_eq!(opened.operator_key().public(), made.operator_key().public());
    assert_eq!(opened.gateway_public(), made.gateway_public());
    assert_ne!(opened.gateway_public(), opened.operator_key().public());
    // A leaf of the reopened CA fits the first one.
    let leaf = opened.leaf(&CLOCK, Role::Operator, "floe", Incarnation(0), &[]).unwrap();
    assert!(accepts_client(&made, &leaf, NOW_SECONDS));
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn what_was_left_unfinished_is_made_anew_and_what_is_damaged_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let first = trust(path);
    std::fs::remove_file(path.join(COMMITTEE_FILE)).unwrap();
    let second = trust(path);
    assert_ne!(first.committee(), second.committee());
    for name in [COMMITTEE_FILE, CA_FILE, CA_KEY_FILE, OPERATOR_FILE, GATEWAY_FILE] {
        let whole = std::fs::read(path.join(name)).unwrap();
        std::fs::write(path.join(name), &whole[..whole.len() / 2]).unwrap();
        match Trust::open(&RealDisk, path) {
            Err(TrustError::Damaged { path, .. }) => assert!(path.ends_with(name)),
            other => panic!("{name}: {other:?}"),
        }
        std::fs::write(path.join(name), whole).unwrap();
    }
    assert!(Trust::open(&RealDisk, path).is_ok());
}

#[test]
fn it_needs_no_directory() {
    let drawn = Trust::draw(&CLOCK, &OsRandom).unwrap();
    let files = drawn.to_files();
    let read = Trust::from_files(files.clone()).unwrap();
    assert_eq!(read.to_files(), files);
    let leaf = read.leaf(&CLOCK, Role::Node, "a", Incarnation(0), &[]).unwrap();
    assert!(accepts_client(&drawn, &leaf, NOW_SECONDS));
    // The same files in a directory are the same trust.
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in &files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    assert_eq!(Trust::open(&RealDisk, dir.path()).unwrap().to_files(), files);
    for name in FILES {
        let mut rest = files.clone();
        rest.remove(name);
        let text = Trust::from_files(rest).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{name} is damaged: it is missing")), "{text}");
    }
}

#[test]
fn a_leaf_is_renewed_after_a_third_of_its_life() {
    let (from, to) = (Timestamp(1_000), Timestamp(4_000));
    for (now, due) in [(999, true), (1_000, false), (1_999, false), (2_000, true), (9_000, true)] {
        assert_eq!(renewal(from, to, Timestamp(now)), due, "at {now}");
    }
    assert!(renewal(to, from, to), "it ends before it begins");

    let leaf = Trust::draw(&CLOCK, &OsRandom).unwrap();
    let leaf = leaf.leaf(&CLOCK, Role::Node, "a", Incarnation(0), &[]).unwrap();
    let (from, to) = leaf.validity().unwrap();
    let at = |seconds: u64| Timestamp((NOW_SECONDS + seconds) * 1000);
    let backdated = BACKDATED.as_secs();
    assert_eq!((from, to), (Timestamp((NOW_SECONDS - backdated) * 1000), at(LEAF_LIFE.as_secs())));
    assert!(!renewal(from, to, at(0)));
    assert!(renewal(from, to, at(LEAF_LIFE.as_secs() / 3)));
}
