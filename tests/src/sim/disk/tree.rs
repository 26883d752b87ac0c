//! Names: the directories as running programs see them, and what a power loss makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path};

use floe_env::Random;

use super::content::{Content, below};

pub(super) type NodeId = u64;

const ROOT: NodeId = 0;

#[derive(Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next_id: NodeId,
    /// Changes of entries that no `sync_dir` has covered, oldest first.
    unsynced: Vec<Transaction>,
    used_bytes: u64,
}

#[derive(Clone)]
enum Node {
    File(File),
    Directory(BTreeMap<String, NodeId>),
}

#[derive(Clone, Default)]
struct File {
    content: Content,
    /// Whether a directory names it now.
    is_linked: bool,
    handles: u32,
}

/// Entry changes that survive together or not at all (a rename is two).
#[derive(Clone)]
struct Transaction(Vec<EntryChange>);

#[derive(Clone)]
struct EntryChange {
    directory: NodeId,
    name: String,
    before: Option<NodeId>,
    after: Option<NodeId>,
}

impl Tree {
    pub(super) fn new() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Directory(BTreeMap::new()))]);
        Self { nodes, next_id: ROOT + 1, unsynced: Vec::new(), used_bytes: 0 }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    pub(super) fn find(&self, path: &Path) -> Result<NodeId> {
        let mut id = ROOT;
        for name in names(path)? {
            id = *self.directory(id)?.get(name).ok_or(ErrorKind::NotFound)?;
        }
        Ok(id)
    }

    pub(super) fn directory(&self, id: NodeId) -> Result<&BTreeMap<String, NodeId>> {
        match self.nodes.get(&id) {
            Some(Node::Directory(entries)) => Ok(entries),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn content(&self, id: NodeId) -> Result<&Content> {
        match self.nodes.get(&id) {
            Some(Node::File(file)) => Ok(&file.content),
            Some(Node::Directory(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn file_mut(&mut self, id: NodeId) -> Result<&mut File> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Changes a file's content, keeping count of the room used.
    pub(super) fn change<T>(
        &mut self,
        id: NodeId,
        change: impl FnOnce(&mut Content) -> T,
    ) -> Result<T> {
        let file = self.file_mut(id)?;
        let before = file.content.length() as u64;
        let changed = change(&mut file.content);
        let after = file.content.length() as u64;
        self.used_bytes = self.used_bytes + after - before;
        Ok(changed)
    }

    pub(super) fn open(&mut self, id: NodeId) -> Result<()> {
        self.file_mut(id)?.handles += 1;
        Ok(())
    }

    pub(super) fn close(&mut self, id: NodeId) {
        if let Ok(file) = self.file_mut(id) {
            file.handles -= 1;
        }
        self.free_if_dead(id);
    }

    pub(super) fn is_directory(&self, id: NodeId) -> bool {
        matches!(self.nodes.get(&id), Some(Node::Directory(_)))
    }

    pub(super) fn create_directories(&mut self, path: &Path) -> Result<()> {
        let mut id = ROOT;
        let mut names = names(path)?.into_iter().peekable();
        while let Some(name) = names.next() {
            id = match self.directory(id)?.get(name) {
                Some(&found) if names.peek().is_none() && !self.is_directory(found) => {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                Some(&found) => found,
                None => self.add(id, name, Node::Directory(BTreeMap::new())),
            };
        }
        Ok(())
    }

    pub(super) fn create_file(&mut self, path: &Path) -> Result<NodeId> {
        let (directory, name) = self.place(path)?;
        if self.directory(directory)?.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok(self.add(directory, name, Node::File(File { is_linked: true, ..File::default() })))
    }

    fn add(&mut self, directory: NodeId, name: &str, node: Node) -> NodeId {
        let id = self.next_id;
        self.next_id += 1;
        self.nodes.insert(id, node);
        self.commit(vec![entry(directory, name, None, Some(id))]);
        id
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> Result<()> {
        let (directory, name) = self.place(path)?;
        let id = *self.directory(directory)?.get(name).ok_or(ErrorKind::NotFound)?;
        self.file_mut(id)?;
        self.commit(vec![entry(directory, name, Some(id), None)]);
        self.unlink(id);
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, path: &Path) -> Result<()> {
        let (directory, name) = self.place(path)?;
        let id = *self.directory(directory)?.get(name).ok_or(ErrorKind::NotFound)?;
        if !self.directory(id)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.commit(vec![entry(directory, name, Some(id), None)]);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        let (from_directory, from_name) = self.place(from)?;
        let (to_directory, to_name) = self.place(to)?;
        let id = *self.directory(from_directory)?.get(from_name).ok_or(ErrorKind::NotFound)?;
        if names(to)?.starts_with(&names(from)?) {
            let is_same = names(to)?.len() == names(from)?.len();
            return if is_same { Ok(()) } else { Err(ErrorKind::InvalidInput.into()) };
        }
        if names(from)?.starts_with(&names(to)?) {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        let replaced = self.directory(to_directory)?.get(to_name).copied();
        if let Some(replaced) = replaced {
            self.check_replacing(id, replaced)?;
        }
        self.commit(vec![
            entry(from_directory, from_name, Some(id), None),
            entry(to_directory, to_name, replaced, Some(id)),
        ]);
        if let Some(replaced) = replaced {
            self.unlink(replaced);
        }
        Ok(())
    }

    fn check_replacing(&self, id: NodeId, replaced: NodeId) -> Result<()> {
        match (self.is_directory(id), self.directory(replaced)) {
            (false, Err(_)) => Ok(()),
            (true, Ok(entries)) if entries.is_empty() => Ok(()),
            (true, Ok(_)) => Err(ErrorKind::DirectoryNotEmpty.into()),
            (true, Err(_)) => Err(ErrorKind::NotADirectory.into()),
            (false, Ok(_)) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    /// The directory and the name in it that a path speaks of.
    fn place<'a>(&self, path: &'a Path) -> Result<(NodeId, &'a str)> {
        let mut names = names(path)?;
        let name = names.pop().ok_or(ErrorKind::InvalidInput)?;
        let mut id = ROOT;
        for name in names {
            id = *self.directory(id)?.get(name).ok_or(ErrorKind::NotFound)?;
        }
        self.directory(id)?;
        Ok((id, name))
    }

    fn commit(&mut self, changes: Vec<EntryChange>) {
        let transaction = Transaction(changes);
        self.apply(&transaction, |change| change.after);
        self.unsynced.push(transaction);
    }

    fn apply(&mut self, transaction: &Transaction, side: impl Fn(&EntryChange) -> Option<NodeId>) {
        for change in &transaction.0 {
            if let Some(Node::Directory(entries)) = self.nodes.get_mut(&change.directory) {
                match side(change) {
                    Some(id) => entries.insert(change.name.clone(), id),
                    None => entries.remove(&change.name),
                };
            }
        }
    }

    fn unlink(&mut self, id: NodeId) {
        if let Ok(file) = self.file_mut(id) {
            file.is_linked = false;
        }
        self.free_if_dead(id);
    }

    /// The room of a file goes with its last name and handle. The node itself may be needed again
    /// after a crash, until the loss of its name is durable.
    fn free_if_dead(&mut self, id: NodeId) {
        if let Ok(file) = self.file_mut(id)
            && !file.is_linked
            && file.handles == 0
        {
            let length_bytes = file.content.length() as u64;
            self.used_bytes -= length_bytes;
            self.forget_if_unneeded(id);
        }
    }

    fn forget_if_unneeded(&mut self, id: NodeId) {
        if !self.unsynced.iter().any(|transaction| transaction.touches_node(id)) {
            self.nodes.remove(&id);
        }
    }

    /// Makes durable what concerns this directory, and what that depends on.
    pub(super) fn sync_directory(&mut self, directory: NodeId) {
        let is_wanted = |transaction: &Transaction| {
            transaction.0.iter().any(|change| change.directory == directory)
        };
        let mut durable: BTreeSet<usize> = BTreeSet::new();
        for (number, transaction) in self.unsynced.iter().enumerate().rev() {
            let mut later = durable.iter().filter_map(|&later| self.unsynced.get(later));
            if is_wanted(transaction) || later.any(|later| later.depends_on(transaction)) {
                durable.insert(number);
            }
        }
        let mut number = 0;
        let (done, unsynced) = std::mem::take(&mut self.unsynced).into_iter().partition(|_| {
            number += 1;
            durable.contains(&(number - 1))
        });
        self.unsynced = unsynced;
        let done: Vec<Transaction> = done;
        for id in done.iter().flat_map(Transaction::nodes) {
            let is_dead = match self.nodes.get(&id) {
                Some(Node::File(file)) => !file.is_linked && file.handles == 0,
                Some(Node::Directory(_)) | None => false,
            };
            if is_dead {
                self.forget_if_unneeded(id);
            }
        }
    }

    /// Power loss. Of the unsynced changes of entries nothing, all, the first few, or any that do
    /// not depend on lost ones survive; then each file that still has a name loses content.
    pub(super) fn crash(&mut self, random: &dyn Random) {
        let unsynced = std::mem::take(&mut self.unsynced);
        for transaction in unsynced.iter().rev() {
            self.apply(transaction, |change| change.before);
        }
        let kind = random.below(4);
        let prefix = below(random, unsynced.len() + 1);
        let mut lost: Vec<&Transaction> = Vec::new();
        for (number, transaction) in unsynced.iter().enumerate() {
            let is_lost = match kind {
                0 => true,
                1 => false,
                2 => number >= prefix,
                _ => random.below(2) == 0,
            };
            if is_lost || lost.iter().any(|lost| transaction.depends_on(lost)) {
                lost.push(transaction);
            } else {
                self.apply(transaction, |change| change.after);
            }
        }
        self.start_again(|content| content.crash(random));
    }

    /// The process is gone, the machine is not: what was written stays as it was seen.
    pub(super) fn kill(&mut self) {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            if let Ok(file) = self.file_mut(id)
                && file.handles > 0
            {
                file.handles = 0;
                self.free_if_dead(id);
            }
        }
    }

    fn start_again(&mut self, mut each: impl FnMut(&mut Content)) {
        let mut reachable = BTreeSet::new();
        let mut open = vec![ROOT];
        while let Some(id) = open.pop() {
            reachable.insert(id);
            open.extend(self.directory(id).into_iter().flat_map(BTreeMap::values));
        }
        self.nodes.retain(|id, _| reachable.contains(id));
        self.used_bytes = 0;
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                each(&mut file.content);
                (file.is_linked, file.handles) = (true, 0);
                self.used_bytes += file.content.length() as u64;
            }
        }
    }

    /// All files, by path.
    pub(super) fn files(&self) -> BTreeMap<String, NodeId> {
        let mut files = BTreeMap::new();
        let mut open = vec![(String::new(), ROOT)];
        while let Some((path, id)) = open.pop() {
            match self.directory(id) {
                Ok(entries) => {
                    open.extend(entries.iter().map(|(name, &id)| (format!("{path}/{name}"), id)));
                }
                Err(_) => {
                    files.insert(path, id);
                }
            }
        }
        files
    }
}

impl Transaction {
    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.0.iter().flat_map(|change| [change.before, change.after]).flatten()
    }

    fn touches_node(&self, id: NodeId) -> bool {
        self.nodes().any(|node| node == id) || self.0.iter().any(|change| change.directory == id)
    }

    /// Whether no file system could keep this one and lose that earlier one: they concern the same
    /// name or file, or this removes the directory that `earlier` emptied. (That a new directory's
    /// own name is durable before what is in it, no one promises.)
    fn depends_on(&self, earlier: &Self) -> bool {
        let shares_name = self.0.iter().any(|change| {
            let is_same = |other: &EntryChange| {
                other.directory == change.directory && other.name == change.name
            };
            earlier.0.iter().any(is_same)
        });
        let shares_node = self.nodes().any(|id| earlier.nodes().any(|other| other == id));
        let removes_directory =
            self.0.iter().filter(|change| change.after.is_none()).any(|change| {
                let is_moved = self.0.iter().any(|other| other.after == change.before);
                !is_moved && earlier.0.iter().any(|other| Some(other.directory) == change.before)
            });
        shares_name || shares_node || removes_directory
    }
}

fn entry(
    directory: NodeId,
    name: &str,
    before: Option<NodeId>,
    after: Option<NodeId>,
) -> EntryChange {
    EntryChange { directory, name: name.to_owned(), before, after }
}

fn names(path: &Path) -> Result<Vec<&str>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_str().ok_or(ErrorKind::InvalidInput)?),
            Component::ParentDir | Component::Prefix(_) => {
                let message = format!("simulated disk takes no such path: {}", path.display());
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        }
    }
    Ok(names)
}
