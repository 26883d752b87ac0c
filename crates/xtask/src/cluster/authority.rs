//! Certificates and kubeconfigs of a cluster.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;

use super::site::Site;

/// Written last: its presence says that the others are whole.
const DONE: &str = "done";

/// A file of the cluster's keys and certificates.
pub(super) fn file(site: &Site, name: &str) -> PathBuf {
    site.dir().join("pki").join(name)
}

/// Makes all that the cluster needs, once.
pub(super) fn ensure(site: &Site) -> anyhow::Result<()> {
    if file(site, DONE).exists() {
        return Ok(());
    }
    let authority = Authority::create(site)?;
    let host = site.host().to_string();
    let service = site.first_service().to_string();
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
    authority.leaf(
        "apiserver",
        "kube-apiserver",
        None,
        &[&names[..], &[&host, &service]].concat(),
    )?;
    authority.user("admin", "admin", Some("system:masters"))?;
    authority.user("kubelet-client", "kubelet-client", Some("system:masters"))?;
    authority.user("dns", "dns", Some("system:masters"))?;
    authority.user("controller-manager", "system:kube-controller-manager", None)?;
    authority.user("scheduler", "system:kube-scheduler", None)?;
    authority.user("proxy", "system:kube-proxy", None)?;
    for node in site.all_nodes() {
        let (name, address) = (format!("node-{node}"), site.address(node).to_string());
        let user = format!("system:node:{name}");
        authority.leaf(&name, &user, Some("system:nodes"), &[&name, &address])?;
        authority.kubeconfig(&name)?;
    }
    write(&file(site, DONE), "")
}

struct Authority<'a> {
    site: &'a Site,
    issuer: Issuer<'static, KeyPair>,
}

impl<'a> Authority<'a> {
    fn create(site: &'a Site) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&format!("floe-cluster-{}", site.name), None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        write(&file(site, "ca.crt"), &params.self_signed(&key)?.pem())?;
        write(&file(site, "ca.key"), &key.serialize_pem())?;
        let tokens = KeyPair::generate()?;
        write(&file(site, "sa.key"), &tokens.serialize_pem())?;
        write(&file(site, "sa.pub"), &tokens.public_key_pem())?;
        Ok(Self { site, issuer: Issuer::new(params, key) })
    }

    /// Someone who only asks.
    fn user(&self, file: &str, user: &str, group: Option<&str>) -> anyhow::Result<()> {
        self.leaf(file, user, group, &[])?;
        self.kubeconfig(file)
    }

    fn leaf(
        &self,
        name: &str,
        user: &str,
        group: Option<&str>,
        addresses: &[&str],
    ) -> anyhow::Result<()> {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(addresses)?;
        params.distinguished_name = subject(user, group);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        write(&file(self.site, &format!("{name}.crt")), &certificate.pem())?;
        write(&file(self.site, &format!("{name}.key")), &key.serialize_pem())
    }

    fn kubeconfig(&self, name: &str) -> anyhow::Result<()> {
        let pki = |name: &str| file(self.site, name);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "floe",
            "clusters": [{"name": "floe", "cluster":
                {"server": self.site.api_server(), "certificate-authority": pki("ca.crt")}}],
            "users": [{"name": name, "user": {
                "client-certificate": pki(&format!("{name}.crt")),
                "client-key": pki(&format!("{name}.key")),
            }}],
            "contexts": [{"name": "floe", "context": {"cluster": "floe", "user": name}}],
        });
        write(&self.site.kubeconfig(name), &config.to_string())
    }
}

/// Kubernetes reads the user from the common name, the group from the organization.
fn subject(user: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name.push(DnType::CommonName, user);
    name
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
