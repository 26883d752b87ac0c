//! Certificates and kubeconfigs.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// A CA in a directory.
pub(super) struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes it, with `ca.crt`, and `sa.key` with `sa.pub`, which sign the tokens of service
    /// accounts.
    pub(super) fn create(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = name("floe-tests", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        fs::write(dir.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        let tokens = KeyPair::generate().unwrap();
        fs::write(dir.join("sa.key"), tokens.serialize_pem()).unwrap();
        fs::write(dir.join("sa.pub"), tokens.public_key_pem()).unwrap();
        Self { dir: dir.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// The CA's certificate.
    pub(super) fn ca_path(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// A leaf for a server at `address`: certificate and key.
    pub(super) fn server(&self, address: IpAddr) -> (PathBuf, PathBuf) {
        let names = ["kubernetes", "kubernetes.default.svc", "localhost", &address.to_string()];
        let params = CertificateParams::new(names.map(str::to_owned)).unwrap();
        self.leaf("apiserver", params, name("kube-apiserver", &[]))
    }

    /// A kubeconfig with which one is this user at the server.
    pub(super) fn kubeconfig(&self, server: &str, user: &str, groups: &[&str]) -> PathBuf {
        let file = user.replace([':', '/'], "-");
        let (cert, key) = self.leaf(&file, CertificateParams::default(), name(user, groups));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "floe",
            "clusters": [{"name": "floe",
                "cluster": {"server": server, "certificate-authority": self.ca_path()}}],
            "users": [{"name": "me", "user": {"client-certificate": cert, "client-key": key}}],
            "contexts": [{"name": "floe", "context": {"cluster": "floe", "user": "me"}}],
        });
        let path = self.dir.join(format!("{file}.kubeconfig"));
        fs::write(&path, config.to_string()).unwrap();
        path
    }

    fn leaf(
        &self,
        file: &str,
        mut params: CertificateParams,
        subject: DistinguishedName,
    ) -> (PathBuf, PathBuf) {
        params.distinguished_name = subject;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let paths = ["crt", "key"].map(|kind| self.dir.join(format!("{file}.{kind}")));
        fs::write(&paths[0], params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&paths[1], key.serialize_pem()).unwrap();
        let [cert, key] = paths;
        (cert, key)
    }
}

/// Kubernetes reads the user from the common name, the groups from the organizations.
fn name(user: &str, groups: &[&str]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // rcgen keeps one value per kind of attribute.
    assert!(groups.len() <= 1, "{user}: a certificate made here names one group at most");
    for group in groups {
        name.push(DnType::OrganizationName, *group);
    }
    name.push(DnType::CommonName, user);
    name
}
