//! The files of a committee's processes, from `committee.json`.

use std::net::SocketAddr;
use std::path::Path;

use floe_api::Role;
use floe_env::Env;
use floe_model::Incarnation;
use floe_steward::start_files::{
    GATEWAY_FILE, GatewayFile, NODE_FILE, NodeFile, REGISTRAR_KEY_FILE, REPAIR_FILE, RepairFile,
};

use super::addresses::METRICS_PORT;
use super::files::{make_dir, write, write_json, write_tls};
use super::{CommitteeDir, volume_dir};

/// The gateway's name in its certificate.
const GATEWAY_NAME: &str = "gateway";
/// The name of whoever rebuilds for a node.
const REPAIR_NAME: &str = "repair";

/// Writes what a node is started with, and makes the directory of its volume.
pub(super) fn write_node(env: &Env, dir: &CommitteeDir, node: &NodeFile) -> anyhow::Result<()> {
    let disk = env.disk.as_ref();
    let path = dir.node_dir(&node.node);
    let name = node.node.as_str();
    let tls = dir.trust.leaf(env.clock.as_ref(), Role::Node, name, node.incarnation, &[])?;
    make_dir(disk, &volume_dir(&path, node.incarnation))?;
    write_tls(disk, &path, &tls)?;
    write_json(disk, &path.join(NODE_FILE), node)
}

/// Writes what the gateway is started with.
pub(super) fn write_gateway(env: &Env, dir: &CommitteeDir) -> anyhow::Result<()> {
    let disk = env.disk.as_ref();
    let path = dir.gateway_dir();
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let listen = dir.file.listen.ip();
    if !listen.is_unspecified() && !names.contains(&listen.to_string()) {
        names.push(listen.to_string());
    }
    let clock = env.clock.as_ref();
    let tls = dir.trust.leaf(clock, Role::Gateway, GATEWAY_NAME, Incarnation(0), &names)?;
    make_dir(disk, &path)?;
    write_tls(disk, &path, &tls)?;
    let seed = hex::encode(dir.trust.gateway_key().to_seed().as_slice());
    write(disk, &path.join(REGISTRAR_KEY_FILE), seed.as_bytes())?;
    let tokens = path.join("tokens");
    if !disk.exists(&tokens)? {
        let token = hex::encode(env.random.bytes::<32>());
        let text =
            format!("# TOKEN USER [NAMESPACE …]; without namespaces: all of them\n{token} admin\n");
        write(disk, &tokens, text.as_bytes())?;
    }
    write_gateway_file(env, dir)
}

fn write_gateway_file(env: &Env, dir: &CommitteeDir) -> anyhow::Result<()> {
    let file = GatewayFile {
        committee: dir.trust.committee(),
        operator: dir.trust.operator_key().public(),
        listen: dir.file.listen,
        metrics_listen: SocketAddr::new(dir.file.gateway_address, METRICS_PORT),
        nodes: dir.addresses(),
        kubernetes: None,
    };
    write_json(env.disk.as_ref(), &dir.gateway_dir().join(GATEWAY_FILE), &file)
}

/// Writes what a process that rebuilds for a node is started with.
pub(super) fn write_repair(env: &Env, dir: &CommitteeDir) -> anyhow::Result<()> {
    let (disk, path) = (env.disk.as_ref(), dir.repair_dir());
    let clock = env.clock.as_ref();
    let tls = dir.trust.leaf(clock, Role::Repair, REPAIR_NAME, Incarnation(0), &[])?;
    make_dir(disk, &path)?;
    write_tls(disk, &path, &tls)?;
    write_repair_file(env, dir)
}

fn write_repair_file(env: &Env, dir: &CommitteeDir) -> anyhow::Result<()> {
    let file = RepairFile {
        committee: dir.trust.committee(),
        operator: dir.trust.operator_key().public(),
        nodes: dir.addresses(),
    };
    write_json(env.disk.as_ref(), &dir.repair_dir().join(REPAIR_FILE), &file)
}

/// Tells the others' files where the nodes are now; they are read when a process starts.
pub(super) fn write_whereabouts(env: &Env, dir: &CommitteeDir) -> anyhow::Result<()> {
    write_gateway_file(env, dir)?;
    write_repair_file(env, dir)
}

/// The variables for clients, as a shell reads them.
pub(super) fn client_env(dir: &CommitteeDir) -> String {
    let quoted = |path: &Path| quote(&path.display().to_string());
    format!(
        "export FLOE_URL={}\nexport FLOE_CA={}\nexport FLOE_TOKEN_FILE={}\n",
        quote(&dir.url()),
        quoted(&dir.gateway_dir().join("tls").join("ca.pem")),
        quoted(&dir.gateway_dir().join("tokens")),
    )
}

/// As one word of a shell.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
