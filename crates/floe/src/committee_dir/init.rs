//! Making a committee's directory, or completing it. Every step may be repeated.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use floe_api::Role;
use floe_env::{DiskLock, Env};
use floe_model::{Geometry, Incarnation};
use floe_steward::Trust;

use super::addresses::{INTERNAL_PORT, METRICS_PORT, after, draw};
use super::files::{
    CommitteeFile, GatewayFile, NodeFile, make_dir, read_json, write, write_json, write_tls,
};
use super::size::{Size, node_name};
use crate::args::SizeArguments;
use crate::exit::{Ended, Exit};

/// Where the gateway listens if nothing is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8443";
/// The gateway's name in its certificate.
const GATEWAY_NAME: &str = "gateway";
const COMMITTEE_FILE: &str = "committee.json";
const LOCK_FILE: &str = "lock";

/// A committee's directory with everything in it.
pub(crate) struct CommitteeDir {
    /// Where it is, absolute.
    pub(crate) path: PathBuf,
    /// The control plane's secrets.
    pub(crate) trust: Trust,
    /// The nodes, in order.
    pub(crate) nodes: Vec<NodeFile>,
    /// Where the gateway listens.
    pub(crate) listen: SocketAddr,
    size: Size,
    /// Held by whoever made it, as long as the value lives.
    lock: Option<Box<dyn DiskLock>>,
}

impl CommitteeDir {
    /// Opens what [`init`] made.
    pub(crate) fn open(env: &Env, dir: &Path) -> anyhow::Result<Self> {
        let path = absolute(dir)?;
        let file: CommitteeFile = read_json(env.disk.as_ref(), &path.join(COMMITTEE_FILE))
            .context("make the directory with floe committee init first")?;
        let trust = Trust::open(env.disk.as_ref(), &path.join("trust"))?;
        Self::new(path, trust, &file)
    }

    fn new(path: PathBuf, trust: Trust, file: &CommitteeFile) -> anyhow::Result<Self> {
        let node = |position| {
            let address = after(file.first_address, position)?;
            anyhow::Ok(NodeFile {
                committee: trust.committee(),
                operator: trust.operator_key().public(),
                node: node_name(position)?,
                incarnation: Incarnation(0),
                listen: SocketAddr::new(address, INTERNAL_PORT),
                metrics_listen: SocketAddr::new(address, METRICS_PORT),
            })
        };
        let nodes = (0..file.size.nodes).map(node).collect::<anyhow::Result<_>>()?;
        Ok(Self { path, trust, nodes, listen: file.listen, size: file.size, lock: None })
    }

    /// n and f.
    pub(crate) fn geometry(&self) -> Result<Geometry, Ended> {
        self.size.geometry()
    }

    /// A node's directory.
    pub(crate) fn node_dir(&self, node: &NodeFile) -> PathBuf {
        self.path.join("nodes").join(node.node.as_str())
    }

    /// The gateway's directory.
    pub(crate) fn gateway_dir(&self) -> PathBuf {
        self.path.join("gateway")
    }

    /// The log of epoch records.
    pub(crate) fn records(&self) -> PathBuf {
        self.path.join("records")
    }

    /// The variables for clients.
    pub(crate) fn client_env(&self) -> PathBuf {
        self.path.join("client.env")
    }

    /// The gateway's address as a browser has it.
    pub(crate) fn url(&self) -> String {
        let mut address = self.listen;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("https://{address}")
    }
}

/// Takes the directory: one process makes it, or runs all of it, at a time.
fn lock(env: &Env, path: &Path) -> anyhow::Result<Box<dyn DiskLock>> {
    env.disk.lock(&path.join(LOCK_FILE)).map_err(|error| {
        if error.kind() == ErrorKind::WouldBlock {
            anyhow!("another process uses the committee in {}; end it first", path.display())
        } else {
            anyhow::Error::from(error).context(format!("{} cannot be locked", path.display()))
        }
    })
}

/// Makes the directory, or completes it; certificates are new each time.
pub(crate) fn init(env: &Env, wish: &SizeArguments) -> anyhow::Result<CommitteeDir> {
    let path = absolute(&wish.dir)?;
    let file = plan(env, &path, wish)?;
    make_dir(env.disk.as_ref(), &path)?;
    let lock = lock(env, &path)?;
    write_json(env.disk.as_ref(), &path.join(COMMITTEE_FILE), &file)?;
    let (disk, clock, random) = (env.disk.as_ref(), env.clock.as_ref(), env.random.as_ref());
    let trust = Trust::open_or_create(disk, clock, random, &path.join("trust"))?;
    let mut dir = CommitteeDir::new(path, trust, &file)?;
    dir.lock = Some(lock);
    make_dir(disk, &dir.records())?;
    for node in &dir.nodes {
        write_node(env, &dir, node)?;
    }
    let gateway = GatewayFile {
        committee: dir.trust.committee(),
        operator: dir.trust.operator_key().public(),
        listen: dir.listen,
        metrics_listen: SocketAddr::new(after(file.first_address, file.size.nodes)?, METRICS_PORT),
        nodes: dir.nodes.clone(),
    };
    write_gateway(env, &dir, &gateway)?;
    write(disk, &dir.client_env(), client_env(&dir).as_bytes())?;
    Ok(dir)
}

/// What `committee.json` is to say.
fn plan(env: &Env, path: &Path, wish: &SizeArguments) -> anyhow::Result<CommitteeFile> {
    let existing = existing(env, path)?;
    let size = existing.as_ref().map(|file| file.size);
    let size = Size::choose(size, wish.nodes, wish.shards)?;
    let usage = |message: String| Ended::new(Exit::Usage, message);
    let listen = match (wish.listen, &existing) {
        (Some(listen), _) => listen,
        (None, Some(file)) => file.listen,
        (None, None) => DEFAULT_LISTEN.parse()?,
    };
    if listen.port() == 0 {
        return Err(
            usage(format!("--listen {listen}: give a port, clients must find it again")).into()
        );
    }
    let first_address = match (wish.first_address, existing) {
        (Some(wish), Some(file)) if wish != file.first_address => {
            let is = file.first_address;
            let message = format!(
                "the committee's addresses begin with {is} for good; leave out --first-address"
            );
            return Err(usage(message).into());
        }
        (_, Some(file)) => file.first_address,
        (Some(wish), None) => wish,
        (None, None) => draw(env.random.as_ref(), size.nodes.saturating_add(1))?,
    };
    Ok(CommitteeFile { size, listen, first_address })
}

/// What the directory holds; a directory with anything else in it is refused.
fn existing(env: &Env, path: &Path) -> anyhow::Result<Option<CommitteeFile>> {
    let entries = match env.disk.list(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", path.display()));
        }
    };
    if entries.iter().any(|entry| entry.name == COMMITTEE_FILE) {
        return read_json(env.disk.as_ref(), &path.join(COMMITTEE_FILE)).map(Some);
    }
    if entries.iter().all(|entry| entry.name == LOCK_FILE) {
        return Ok(None);
    }
    let message =
        format!("{} is not empty and holds no committee; use another directory", path.display());
    Err(Ended::new(Exit::Usage, message).into())
}

fn write_node(env: &Env, dir: &CommitteeDir, node: &NodeFile) -> anyhow::Result<()> {
    let disk = env.disk.as_ref();
    let path = dir.node_dir(node);
    let name = node.node.as_str();
    let tls = dir.trust.leaf(env.clock.as_ref(), Role::Node, name, node.incarnation, &[])?;
    make_dir(disk, &path.join("volume"))?;
    write_tls(disk, &path, &tls)?;
    write_json(disk, &path.join("node.json"), node)
}

fn write_gateway(env: &Env, dir: &CommitteeDir, file: &GatewayFile) -> anyhow::Result<()> {
    let disk = env.disk.as_ref();
    let path = dir.gateway_dir();
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let listen = file.listen.ip();
    if !listen.is_unspecified() && !names.contains(&listen.to_string()) {
        names.push(listen.to_string());
    }
    let clock = env.clock.as_ref();
    let tls = dir.trust.leaf(clock, Role::Gateway, GATEWAY_NAME, Incarnation(0), &names)?;
    make_dir(disk, &path)?;
    write_tls(disk, &path, &tls)?;
    let seed = hex::encode(dir.trust.gateway_key().to_seed().as_slice());
    write(disk, &path.join("registrar-key"), seed.as_bytes())?;
    let tokens = path.join("tokens");
    if !disk.exists(&tokens)? {
        let token = hex::encode(env.random.bytes::<32>());
        let text =
            format!("# TOKEN USER [NAMESPACE …]; without namespaces: all of them\n{token} admin\n");
        write(disk, &tokens, text.as_bytes())?;
    }
    write_json(disk, &path.join("gateway.json"), file)
}

fn client_env(dir: &CommitteeDir) -> String {
    let quoted = |path: &Path| quote(&path.display().to_string());
    format!(
        "export FLOE_URL={}\nexport FLOE_CA={}\nexport FLOE_TOKEN_FILE={}\n",
        quote(&dir.url()),
        quoted(&dir.gateway_dir().join("tls").join("ca.pem")),
        quoted(&dir.gateway_dir().join("tokens")),
    )
}

/// As one word of a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}

#[cfg(test)]
mod tests;
