mod content;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floe_env::{DirEntry, Disk, DiskFile, DiskLock, Random, Space};

use super::EventLog;
use tree::{NodeId, Tree};

/// What a disk is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the call of this name")]
pub enum DiskOperation {
    CreateDir,
    Create,
    Open,
    Rename,
    RemoveFile,
    RemoveDir,
    List,
    SyncDir,
    Exists,
    Lock,
    Space,
    Read,
    Write,
    Truncate,
    Sync,
}

impl DiskOperation {
    fn changes_the_disk(self) -> bool {
        !matches!(self, Self::Open | Self::List | Self::Exists | Self::Space | Self::Read)
    }
}

/// A disk in memory: the file system of one simulated host, which outlives the host's crashes. A
/// handle: clones are the same disk.
///
/// [`SimDisk::crash`] is a power loss: what the [`Disk`] trait promises stays, anything later stays
/// in part, at random. Writes tear at 512 bytes. A directory entry that was never synced can be
/// lost even if the file's content, or the directory below it, was.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    name: Arc<str>,
    log: EventLog,
}

/// Decides whether an operation fails, and how.
type Fault = Box<dyn FnMut(DiskOperation, &Path) -> Option<ErrorKind> + Send>;

struct State {
    tree: Tree,
    capacity_bytes: u64,
    locks: BTreeSet<NodeId>,
    /// Handles and locks of an earlier life are dead.
    life: u64,
    starts: u64,
    changes_until_halt: Option<u64>,
    is_halted: bool,
    failing_syncs: u32,
    fault: Option<Fault>,
}

struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    id: NodeId,
    life: u64,
}

struct SimLock {
    disk: SimDisk,
    id: NodeId,
    life: u64,
}

impl SimDisk {
    /// An empty disk. Every change of it is noted in the log under `name`.
    pub fn new(name: &str, capacity_bytes: u64, log: &EventLog) -> Self {
        let state = State {
            tree: Tree::new(),
            capacity_bytes,
            locks: BTreeSet::new(),
            life: 0,
            starts: 0,
            changes_until_halt: None,
            is_halted: false,
            failing_syncs: 0,
            fault: None,
        };
        Self { state: Arc::new(Mutex::new(state)), name: name.into(), log: log.clone() }
    }

    /// Power loss, and power again: unsynced content and entries survive in part, locks are free,
    /// open files are dead, injected faults are gone. Call it after turmoil's crash of the host.
    pub fn crash(&self, random: &dyn Random) {
        let mut state = self.lock_state();
        state.tree.crash(random);
        state.begin_life();
        self.note(format!("power loss, {} bytes left", state.tree.used_bytes()));
    }

    /// The process was killed, the machine was not: like [`SimDisk::crash`], but nothing is lost.
    /// What was unsynced still is.
    pub fn kill(&self) {
        let mut state = self.lock_state();
        state.tree.kill();
        state.begin_life();
        self.note("process killed");
    }

    /// Throws everything away: an empty volume.
    pub fn wipe(&self) {
        let mut state = self.lock_state();
        state.tree = Tree::new();
        state.begin_life();
        self.note("wiped");
    }

    /// A copy of the disk as it is now, no process on it: what a snapshot or a careful reader gets.
    /// Its operations are noted in `log`.
    #[must_use]
    pub fn fork(&self, name: &str, log: &EventLog) -> Self {
        let copy = Self::new(name, self.lock_state().capacity_bytes, log);
        copy.become_copy(&self.lock_state().tree);
        copy
    }

    /// Puts the content of another disk in place of this one's: a snapshot is played back, or
    /// volumes are mixed up. The host must be down.
    pub fn restore(&self, from: &Self) {
        let tree = from.lock_state().tree.clone();
        self.become_copy(&tree);
        self.note(format!("replaced by {}", from.name));
    }

    fn become_copy(&self, tree: &Tree) {
        let mut state = self.lock_state();
        state.tree = tree.clone();
        state.tree.kill();
        state.begin_life();
    }

    /// The machine goes off in the middle of things: `changes` more changing operations (syncs
    /// included) are done, the next and all later ones fail, and no job of the host's compute gives
    /// a result any more. Then, when [`SimDisk::is_halted`]: turmoil's crash, and
    /// [`SimDisk::crash`] or [`SimDisk::kill`].
    pub fn halt_after(&self, changes: u64) {
        self.lock_state().changes_until_halt = Some(changes);
    }

    /// Whether the machine went off.
    pub fn is_halted(&self) -> bool {
        self.lock_state().is_halted
    }

    /// The next syncs, of files and directories, fail. What they should have made durable is in
    /// doubt until a crash decides, whatever later syncs of the file say.
    pub fn fail_syncs(&self, count: u32) {
        self.lock_state().failing_syncs = count;
    }

    /// Asked before every operation; an answer is the error it fails with. A sync that fails so
    /// counts as [`SimDisk::fail_syncs`] says.
    pub fn inject(
        &self,
        fault: impl FnMut(DiskOperation, &Path) -> Option<ErrorKind> + Send + 'static,
    ) {
        self.lock_state().fault = Some(Box::new(fault));
    }

    /// No more faults of [`SimDisk::inject`], [`SimDisk::fail_syncs`] and [`SimDisk::halt_after`].
    pub fn clear_faults(&self) {
        let mut state = self.lock_state();
        (state.fault, state.failing_syncs, state.changes_until_halt) = (None, 0, None);
    }

    /// Makes the disk larger or smaller; what it holds stays.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.lock_state().capacity_bytes = capacity_bytes;
    }

    /// Bit rot: turns one random bit of a file and says which; `None` if it is empty.
    pub fn corrupt(&self, path: &Path, random: &dyn Random) -> Result<Option<u64>> {
        let mut state = self.lock_state();
        let id = state.tree.find(path)?;
        let bits = state.tree.content(id)?.length() as u64 * 8;
        if bits == 0 {
            return Ok(None);
        }
        let bit = random.below(bits);
        state.tree.change(id, |content| content.flip_bit(bit))?;
        self.note(format!("bit {bit} of {} turned", path.display()));
        Ok(Some(bit))
    }

    /// All files and their lengths, sorted by path.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.lock_state();
        let length = |id| state.tree.content(id).map_or(0, |content| content.length() as u64);
        state.tree.files().into_iter().map(|(path, id)| (path.into(), length(id))).collect()
    }

    /// A number for each start of the host.
    pub(super) fn count_start(&self) -> u64 {
        let mut state = self.lock_state();
        state.starts += 1;
        state.starts
    }

    pub(super) fn note(&self, what: impl Display) {
        self.log.note(&self.name, what);
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one operation, unless a fault or the power stops it; names the path in errors.
    fn run<T>(
        &self,
        operation: DiskOperation,
        path: &Path,
        detail: impl Display,
        body: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.lock_state();
        let result = state.admit(operation, path).and_then(|()| body(&mut state));
        if operation.changes_the_disk() {
            let outcome =
                result.as_ref().err().map(|error| format!(": {error}")).unwrap_or_default();
            self.note(format!("{operation:?} {}{detail}{outcome}", path.display()));
        }
        result.map_err(|error| {
            Error::new(error.kind(), format!("{operation:?} of {} failed: {error}", path.display()))
        })
    }

    fn handle(&self, path: &Path, id: NodeId, life: u64) -> Box<dyn DiskFile> {
        Box::new(SimFile { disk: self.clone(), path: path.to_owned(), id, life })
    }
}

impl State {
    fn begin_life(&mut self) {
        self.life += 1;
        self.locks.clear();
        self.is_halted = false;
        (self.fault, self.failing_syncs, self.changes_until_halt) = (None, 0, None);
    }

    fn admit(&mut self, operation: DiskOperation, path: &Path) -> Result<()> {
        if operation.changes_the_disk()
            && let Some(left) = &mut self.changes_until_halt
        {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.is_halted = true,
            }
        }
        if self.is_halted {
            return Err(Error::other("simulated machine is off"));
        }
        let is_sync = matches!(operation, DiskOperation::Sync | DiskOperation::SyncDir);
        if is_sync && self.failing_syncs > 0 {
            self.failing_syncs -= 1;
            return Err(Error::other("simulated medium error"));
        }
        match self.fault.as_mut().and_then(|fault| fault(operation, path)) {
            Some(kind) => Err(Error::new(kind, "simulated fault")),
            None => Ok(()),
        }
    }

    fn free_bytes(&self) -> u64 {
        self.capacity_bytes.saturating_sub(self.tree.used_bytes())
    }

    /// Checks that there is room for a file of `length_bytes`; gives the length that there is
    /// room for in any case.
    fn room(&self, id: NodeId, length_bytes: u64) -> Result<(usize, bool)> {
        let present = self.tree.content(id)?.length() as u64;
        let possible = length_bytes.min(present.saturating_add(self.free_bytes()));
        Ok((usize::try_from(possible).unwrap_or(usize::MAX), possible == length_bytes))
    }
}

impl Disk for SimDisk {
    fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.run(DiskOperation::CreateDir, path, "", |state| state.tree.create_directories(path))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        self.run(DiskOperation::Create, path, "", |state| {
            let id = state.tree.create_file(path)?;
            state.tree.open(id)?;
            Ok(self.handle(path, id, state.life))
        })
    }

    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        self.run(DiskOperation::Open, path, "", |state| {
            let id = state.tree.find(path)?;
            state.tree.open(id)?;
            Ok(self.handle(path, id, state.life))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let detail = format!(" to {}", to.display());
        self.run(DiskOperation::Rename, from, detail, |state| state.tree.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.run(DiskOperation::RemoveFile, path, "", |state| state.tree.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.run(DiskOperation::RemoveDir, path, "", |state| state.tree.remove_directory(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>> {
        self.run(DiskOperation::List, path, "", |state| {
            let tree = &state.tree;
            let entry = |(name, &id): (&String, &NodeId)| {
                let length_bytes = tree.content(id).map_or(0, |content| content.length() as u64);
                DirEntry { name: name.clone(), is_dir: tree.is_directory(id), length_bytes }
            };
            Ok(tree.directory(tree.find(path)?)?.iter().map(entry).collect())
        })
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.run(DiskOperation::SyncDir, path, "", |state| {
            let id = state.tree.find(path)?;
            state.tree.directory(id)?;
            state.tree.sync_directory(id);
            Ok(())
        })
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.run(DiskOperation::Exists, path, "", |state| match state.tree.find(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>> {
        self.run(DiskOperation::Lock, path, "", |state| {
            let id = match state.tree.find(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    state.tree.create_file(path)?
                }
                found => found?,
            };
            state.tree.content(id)?;
            if !state.locks.insert(id) {
                return Err(Error::new(ErrorKind::WouldBlock, "locked by another process"));
            }
            state.tree.open(id)?;
            Ok(Box::new(SimLock { disk: self.clone(), id, life: state.life }) as Box<dyn DiskLock>)
        })
    }

    fn space(&self, path: &Path) -> Result<Space> {
        self.run(DiskOperation::Space, path, "", |state| {
            state.tree.find(path)?;
            Ok(Space { total_bytes: state.capacity_bytes, free_bytes: state.free_bytes() })
        })
    }
}

impl SimFile {
    fn run<T>(
        &self,
        operation: DiskOperation,
        detail: impl Display,
        body: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        self.disk.run(operation, &self.path, detail, |state| {
            if state.life != self.life {
                return Err(Error::other("file was opened before the simulated crash"));
            }
            body(state)
        })
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset_bytes: u64, out: &mut [u8]) -> Result<usize> {
        self.run(DiskOperation::Read, "", |state| {
            let bytes = state.tree.content(self.id)?.bytes();
            let offset = usize::try_from(offset_bytes).unwrap_or(usize::MAX);
            let rest = bytes.get(offset..).unwrap_or_default();
            let count = rest.len().min(out.len());
            out.iter_mut().zip(rest).for_each(|(out, byte)| *out = *byte);
            Ok(count)
        })
    }

    fn write_at(&self, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        let detail = format!(" {} bytes at {offset_bytes}", bytes.len());
        self.run(DiskOperation::Write, detail, |state| {
            let end_bytes = offset_bytes.saturating_add(bytes.len() as u64);
            let (possible, is_enough) = state.room(self.id, end_bytes)?;
            let offset = usize::try_from(offset_bytes).unwrap_or(usize::MAX);
            // As a real one, it writes what it has room for before it says that it is full.
            let fitting = bytes.get(..possible.saturating_sub(offset).min(bytes.len()));
            state.tree.change(self.id, |content| {
                content.write(offset, fitting.unwrap_or_default());
            })?;
            if is_enough { Ok(()) } else { Err(ErrorKind::StorageFull.into()) }
        })
    }

    fn length_bytes(&self) -> Result<u64> {
        self.run(DiskOperation::Read, "", |state| Ok(state.tree.content(self.id)?.length() as u64))
    }

    fn truncate(&self, length_bytes: u64) -> Result<()> {
        self.run(DiskOperation::Truncate, format!(" to {length_bytes} bytes"), |state| {
            let (length, is_enough) = state.room(self.id, length_bytes)?;
            if !is_enough {
                return Err(ErrorKind::StorageFull.into());
            }
            state.tree.change(self.id, |content| content.set_length(length))
        })
    }

    fn sync(&self) -> Result<()> {
        let mut is_admitted = false;
        let result = self.run(DiskOperation::Sync, "", |state| {
            is_admitted = true;
            state.tree.change(self.id, content::Content::sync)
        });
        let mut state = self.disk.lock_state();
        if !is_admitted && !state.is_halted && state.life == self.life {
            state.tree.change(self.id, content::Content::sync_failed)?;
        }
        result
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.lock_state();
        if state.life == self.life {
            state.tree.close(self.id);
        }
    }
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.lock_state();
        if state.life == self.life {
            state.locks.remove(&self.id);
            state.tree.close(self.id);
        }
    }
}
