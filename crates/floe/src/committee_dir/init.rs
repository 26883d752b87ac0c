//! Making a committee's directory, or completing it. Every step may be repeated.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use floe_env::{DiskLock, Env};
use floe_model::Incarnation;
use floe_model::record::Policy;
use floe_steward::Trust;

use super::addresses::{after, draw};
use super::files::{CommitteeFile, NodeEntry, PolicyEntry, make_dir, read_json, write, write_json};
use super::layout::{client_env, write_gateway, write_node, write_repair};
use super::size::{Size, node_name};
use super::{COMMITTEE_FILE, CommitteeDir, absolute};
use crate::args::{PolicyArguments, SizeArguments};
use crate::exit::{Ended, Exit};

/// Where the gateway listens if nothing is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8443";
const LOCK_FILE: &str = "lock";

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
    let dir = CommitteeDir { path, trust, file, _lock: Some(lock) };
    make_dir(disk, &dir.records())?;
    for node in dir.nodes() {
        write_node(env, &dir, &node)?;
    }
    write_gateway(env, &dir)?;
    write_repair(env, &dir)?;
    write(disk, &dir.client_env(), client_env(&dir).as_bytes())?;
    Ok(dir)
}

/// What `committee.json` is to say.
fn plan(env: &Env, path: &Path, wish: &SizeArguments) -> anyhow::Result<CommitteeFile> {
    let existing = existing(env, path)?;
    let size = existing.as_ref().map(Size::of).transpose()?;
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
    if let Some(file) = existing {
        keeps(wish, &file)?;
        return Ok(CommitteeFile { listen, ..file });
    }
    let first_address = match wish.first_address {
        Some(first) => first,
        None => draw(env.random.as_ref(), size.nodes.saturating_add(1))?,
    };
    let node = |position: u16| {
        anyhow::Ok(NodeEntry {
            node: node_name(position)?,
            incarnation: Incarnation(0),
            address: after(first_address, position)?,
            zone: String::new(),
            host: String::new(),
            weight: 1,
        })
    };
    Ok(CommitteeFile {
        shards: size.shards,
        policy: policy(&wish.policy),
        listen,
        first_address,
        gateway_address: after(first_address, size.nodes)?,
        nodes: (0..size.nodes).map(node).collect::<anyhow::Result<_>>()?,
    })
}

/// Refuses wishes that differ from what is for good.
fn keeps(wish: &SizeArguments, file: &CommitteeFile) -> Result<(), Ended> {
    let is = file.first_address;
    if wish.first_address.is_some_and(|wish| wish != is) {
        let message = format!(
            "the committee's addresses begin with {is} for good; leave out --first-address"
        );
        return Err(Ended::new(Exit::Usage, message));
    }
    let differs =
        |wish: Option<Duration>, millis: u64| wish.is_some_and(|it| millis_of(it) != millis);
    if differs(wish.policy.undelete_window, file.policy.undelete_window_millis)
        || differs(wish.policy.release_retention, file.policy.release_retention_millis)
    {
        let message = "the committee's policy is written down already; leave out --undelete-window \
                       and --release-retention";
        return Err(Ended::new(Exit::Usage, message));
    }
    Ok(())
}

fn policy(wish: &PolicyArguments) -> PolicyEntry {
    let default = Policy::default();
    PolicyEntry {
        undelete_window_millis: wish
            .undelete_window
            .map_or(default.undelete_window_millis, millis_of),
        release_retention_millis: wish
            .release_retention
            .map_or(default.release_retention_millis, millis_of),
    }
}

fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests;
