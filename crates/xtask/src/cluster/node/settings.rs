//! What a node's programs are told.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::{SANDBOX_IMAGE, make_dirs};
use crate::cluster::authority::file;
use crate::cluster::packages;
use crate::cluster::site::Site;

/// Writes all files.
pub(super) fn write(site: &Site, node: u8) -> anyhow::Result<()> {
    make_dirs(site, node)?;
    let dir = site.node_dir(node);
    for (name, text) in [
        ("cni/10-floe.conflist", cni(site, node).to_string()),
        ("containerd.toml", containerd(site, node)?),
        ("kubelet.json", kubelet(site, node).to_string()),
        ("proxy.json", proxy(site, node).to_string()),
    ] {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn cni(site: &Site, node: u8) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "floe",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": site.pods_of(node)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn containerd(site: &Site, node: u8) -> anyhow::Result<String> {
    Ok(format!(
        "version = 3
[grpc]
  address = {socket}
[plugins.\"io.containerd.cri.v1.images\".pinned_images]
  sandbox = {SANDBOX_IMAGE:?}
[plugins.\"io.containerd.cri.v1.runtime\"]
  # Without it runc dies where lowering oom_score_adj is not permitted.
  restrict_oom_score_adj = true
  [plugins.\"io.containerd.cri.v1.runtime\".cni]
    bin_dirs = [{plugins}]
    conf_dir = {cni}
  [plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.runc]
    runtime_type = \"io.containerd.runc.v2\"
",
        socket = quoted(&site.containerd_socket(node)),
        plugins = quoted(&packages::plugins()?),
        cni = quoted(&site.node_dir(node).join("cni")),
    ))
}

fn kubelet(site: &Site, node: u8) -> Value {
    let dir = site.node_dir(node);
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": file(site, "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": file(site, &format!("node-{node}.crt")),
        "tlsPrivateKeyFile": file(site, &format!("node-{node}.key")),
        "address": site.address(node),
        "containerRuntimeEndpoint": format!("unix://{}", site.containerd_socket(node).display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}/node-{node}", site.cgroup()),
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "clusterDNS": [site.host()],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "staticPodPath": dir.join("manifests"),
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        // Images are loaded, not pulled: what is collected does not come back.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi"},
        "nodeStatusUpdateFrequency": "4s",
        "makeIPTablesUtilChains": false,
        "serializeImagePulls": false,
    })
}

fn proxy(site: &Site, node: u8) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": site.kubeconfig("proxy")},
        "mode": "nftables",
        "clusterCIDR": site.pods(),
        "hostnameOverride": format!("node-{node}"),
        "healthzBindAddress": "",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0},
    })
}

/// A string of TOML.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}
