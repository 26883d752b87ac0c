//! etcd, API server, controllers, scheduler and DNS, beside the nodes.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::authority::file;
use super::processes::{Processes, wait_for};
use super::site::Site;

/// How long the API server may take on a loaded machine.
const ANSWERS_WITHIN: Duration = Duration::from_mins(2);

/// Starts what does not run, and waits until the API server answers.
pub(super) fn ensure(site: &Site, processes: &Processes) -> anyhow::Result<()> {
    processes.ensure("etcd", &etcd(site))?;
    processes.ensure("kube-apiserver", &api_server(site))?;
    wait_for("an answer of the API server", ANSWERS_WITHIN, || {
        for name in ["etcd", "kube-apiserver"] {
            processes.check(name)?;
        }
        site.kubectl("get --raw /readyz")
    })?;
    processes.ensure("kube-controller-manager", &controllers(site))?;
    processes.ensure("kube-scheduler", &scheduler(site))?;
    let corefile = site.dir().join("Corefile");
    fs::write(&corefile, zones(site)).context("write the configuration of DNS")?;
    let mut dns = site.program("coredns");
    processes.ensure("coredns", dns.arg("-conf").arg(corefile))
}

fn etcd(site: &Site) -> Command {
    let [clients, peers] = [2379, 2380].map(|port| format!("http://{}:{port}", site.loopback()));
    let mut command = site.program("etcd");
    command.arg("--data-dir").arg(site.dir().join("etcd"));
    command.args([
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        // The machine's own death is not played here.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]);
    command
}

fn api_server(site: &Site) -> Command {
    let pki = |name: &str| file(site, name).display().to_string();
    let mut command = site.program("kube-apiserver");
    command.args([
        format!("--etcd-servers=http://{}:2379", site.loopback()),
        format!("--bind-address={}", site.host()),
        format!("--advertise-address={}", site.host()),
        "--secure-port=6443".to_owned(),
        "--allow-privileged".to_owned(),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--service-cluster-ip-range={}", site.services()),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={}", pki("sa.key")),
        format!("--service-account-key-file={}", pki("sa.pub")),
        format!("--kubelet-client-certificate={}", pki("kubelet-client.crt")),
        format!("--kubelet-client-key={}", pki("kubelet-client.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
    ]);
    command
}

fn controllers(site: &Site) -> Command {
    let pki = |name: &str| file(site, name).display().to_string();
    let mut command = site.program("kube-controller-manager");
    command.arg("--kubeconfig").arg(site.kubeconfig("controller-manager"));
    command.args([
        "--use-service-account-credentials".to_owned(),
        format!("--service-account-private-key-file={}", pki("sa.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        "--leader-elect=false".to_owned(),
        format!("--bind-address={}", site.loopback()),
        // It makes the directory, wherever that is.
        format!("--flex-volume-plugin-dir={}", site.dir().join("volumeplugins").display()),
        // A node that says nothing is NotReady after this, instead of 50 s.
        "--node-monitor-grace-period=20s".to_owned(),
    ]);
    command
}

fn scheduler(site: &Site) -> Command {
    let mut command = site.program("kube-scheduler");
    command.arg("--kubeconfig").arg(site.kubeconfig("scheduler"));
    command.arg("--leader-elect=false").arg(format!("--bind-address={}", site.loopback()));
    command
}

fn zones(site: &Site) -> String {
    format!(
        ".:53 {{\n bind {}\n errors\n kubernetes cluster.local {} {} {{\n  kubeconfig {}\n }}\n}}\n",
        site.host(),
        site.pods(),
        site.services(),
        site.kubeconfig("dns").display()
    )
}
