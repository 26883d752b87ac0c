//! Changing which nodes the committee is to have. Whoever runs the steward reads it from
//! `committee.json`; each change is one replacement of that file.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use floe_env::Env;
use floe_model::{Incarnation, NodeName};

use super::addresses::after;
use super::files::{CommitteeFile, NodeEntry, read_json, write_json};
use super::layout::{write_node, write_whereabouts};
use super::size::node_name;
use super::{COMMITTEE_FILE, CommitteeDir};
use crate::args::AddArguments;
use crate::exit::{Ended, Exit};

const EDIT_LOCK_FILE: &str = "edit-lock";

/// Gives a node its next volume, empty. The lost one is kept beside it. With `lost`, only if that is
/// the volume that is wanted now.
pub(crate) fn replace(
    env: &Env,
    dir: &Path,
    node: &NodeName,
    lost: Option<Incarnation>,
) -> anyhow::Result<CommitteeDir> {
    change(env, dir, |file| {
        let entry = find(file, node)?;
        if lost.is_none_or(|lost| lost == entry.incarnation) {
            entry.incarnation = Incarnation(entry.incarnation.0.saturating_add(1));
        }
        Ok(node.clone())
    })
}

/// Adds a node behind the last one.
pub(crate) fn add(
    env: &Env,
    dir: &Path,
    wish: &AddArguments,
) -> anyhow::Result<(CommitteeDir, NodeName)> {
    let mut added = None;
    let dir = change(env, dir, |file| {
        let position = u16::try_from(file.nodes.len()).unwrap_or(u16::MAX);
        let staying = file.nodes.iter().filter(|entry| entry.weight > 0).count();
        if staying >= usize::from(file.shards) {
            let message = format!(
                "{staying} nodes have a shard each: a committee of {} shards has no more to give",
                file.shards
            );
            return Err(Ended::new(Exit::Usage, message).into());
        }
        let node = node_name(position)?;
        // The gateway's address lies behind the nodes that were there first.
        let mut address = after(file.first_address, position)?;
        while file.gateway_address == address || file.nodes.iter().any(|it| it.address == address) {
            address = after(address, 1)?;
        }
        let (zone, host) = (wish.zone.clone(), wish.host.clone());
        let (node_entry, incarnation) = (node.clone(), Incarnation(0));
        let weight = wish.weight;
        file.nodes.push(NodeEntry { node: node_entry, incarnation, address, zone, host, weight });
        added = Some(node.clone());
        Ok(node)
    })?;
    let added = added.context("no node was added")?;
    Ok((dir, added))
}

/// Lets a node leave: its shards go to the others, then it is no member any more.
pub(crate) fn remove(env: &Env, dir: &Path, node: &NodeName) -> anyhow::Result<CommitteeDir> {
    change(env, dir, |file| {
        find(file, node)?.weight = 0;
        Ok(node.clone())
    })
}

fn find<'a>(file: &'a mut CommitteeFile, node: &NodeName) -> anyhow::Result<&'a mut NodeEntry> {
    let names: Vec<&str> = file.nodes.iter().map(|entry| entry.node.as_str()).collect();
    let known = names.join(", ");
    file.nodes.iter_mut().find(|entry| entry.node == *node).ok_or_else(|| {
        Ended::new(Exit::NotFound, format!("there is no {node}; there are {known}")).into()
    })
}

/// Makes one change, then the files that follow from it for the node that it names.
fn change(
    env: &Env,
    dir: &Path,
    change: impl FnOnce(&mut CommitteeFile) -> anyhow::Result<NodeName>,
) -> anyhow::Result<CommitteeDir> {
    let mut dir = CommitteeDir::open(env, dir)?;
    let lock = dir.path.join(EDIT_LOCK_FILE);
    let _held = env.disk.lock(&lock).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => anyhow!("another process changes the committee; try again"),
        _ => anyhow::Error::from(error).context(format!("{} cannot be locked", lock.display())),
    })?;
    let path = dir.path.join(COMMITTEE_FILE);
    let mut file: CommitteeFile = read_json(env.disk.as_ref(), &path)?;
    let node = change(&mut file)?;
    write_json(env.disk.as_ref(), &path, &file)?;
    dir.file = file;
    if let Some(node) = dir.nodes().into_iter().find(|it| it.node == node) {
        write_node(env, &dir, &node)?;
    }
    write_whereabouts(env, &dir)?;
    Ok(dir)
}
