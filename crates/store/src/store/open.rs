//! Opening a volume: identity, control log, and what the slivers on disk amount to.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};

use floe_env::{Disk, DiskLock, Random, create_dir_durably};
use floe_model::keys::NodeKey;

use super::{Shared, Store};
use crate::commit::GroupCommit;
use crate::error::OpenError;
use crate::identity::{Expected, Paths, VolumeIdentity, load_or_create};
use crate::log::{ControlLog, LogError, Replayed};
use crate::slivers::{Found, Listed, PlainFiles, SliverStore};
use crate::state::{ExtentState, KeyState, State};

impl Store {
    /// Opens the volume in `dir`, or makes one if there is nothing. A torn tail of the control log
    /// is dropped; slivers that were not stable are checked in full, and what is wrong is removed.
    pub fn open(
        disk: Arc<dyn Disk>,
        random: &dyn Random,
        dir: &Path,
        expected: &Expected,
    ) -> Result<Self, OpenError> {
        let paths = Paths { dir: dir.to_owned() };
        create_dir_durably(disk.as_ref(), dir).map_err(|error| paths.io(error))?;
        paths.refuse_links(disk.as_ref())?;
        let lock = lock(disk.as_ref(), &paths)?;
        let (identity, key) = load_or_create(disk.as_ref(), random, &paths, expected)?;
        let mut state = State::default();
        let replayed = replay(disk.as_ref(), &paths, &identity, &mut state)?;
        let slivers = PlainFiles::open(disk.clone(), dir, identity.volume)
            .map_err(|error| paths.io(error))?;
        let corrupt = take_stock(&slivers, &mut state).map_err(|error| paths.io(error))?;
        let store = assemble(disk, paths, identity, key, lock);
        Ok(store(replayed, state, Box::new(slivers), corrupt))
    }
}

fn assemble(
    disk: Arc<dyn Disk>,
    paths: Paths,
    identity: VolumeIdentity,
    key: NodeKey,
    lock: Box<dyn DiskLock>,
) -> impl FnOnce(Replayed, State, Box<dyn SliverStore>, u64) -> Store {
    move |replayed, state, slivers, corrupt| Store {
        disk,
        dir: paths.dir,
        identity,
        key,
        shared: RwLock::new(Shared { state, tail: replayed.tail }),
        log: replayed.log,
        slivers,
        writing: Mutex::default(),
        commit: GroupCommit::default(),
        corrupt: AtomicU64::new(corrupt),
        _lock: lock,
    }
}

fn lock(disk: &dyn Disk, paths: &Paths) -> Result<Box<dyn DiskLock>, OpenError> {
    disk.lock(&paths.lock()).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => OpenError::Locked { dir: paths.dir.clone() },
        _ => paths.io(error),
    })
}

fn replay(
    disk: &dyn Disk,
    paths: &Paths,
    identity: &VolumeIdentity,
    state: &mut State,
) -> Result<Replayed, OpenError> {
    let apply = |entry: &_, at| state.apply(entry, at);
    let dir = paths.dir.clone();
    let replayed = ControlLog::replay(disk, &paths.log(), &identity.volume, apply);
    let replayed = replayed.map_err(|error| match error {
        LogError::Damaged { offset } => OpenError::LogDamaged { dir, offset_bytes: offset },
        LogError::OtherVolume { found } => {
            paths.damaged(format!("its control log is that of volume {found}"))
        }
        LogError::Version { what, found, known } => OpenError::Version { dir, what, found, known },
        LogError::Io(error) if error.kind() == ErrorKind::NotFound => {
            paths.damaged("its control log is missing")
        }
        LogError::Io(error) => paths.io(error),
    })?;
    if replayed.dropped_bytes > 0 {
        let bytes = replayed.dropped_bytes;
        tracing::info!(bytes, "dropped the torn tail of the control log");
    }
    Ok(replayed)
}

/// Finds out which slivers are held; returns how many were corrupt.
fn take_stock(slivers: &dyn SliverStore, state: &mut State) -> std::io::Result<u64> {
    let mut corrupt = 0;
    let mut touched = Vec::new();
    for key in slivers.keys()? {
        // Left by a blob that expired, or whose first entry was never synced: never to be taken
        // for what a later blob of this key wrote.
        state.skip_keys(key.0.saturating_add(1));
        let Some(stable) = state.key(key).map(KeyState::is_stable) else {
            slivers.remove_blob(key)?;
            touched.push(key);
            continue;
        };
        for listed in slivers.list(key)? {
            match examine(slivers, state, &listed, stable)? {
                Found::Good(()) => {
                    state.hold(&listed.sliver);
                }
                // Of a blob that is not stable it is what a crash leaves.
                Found::Corrupt(_) if stable => corrupt += 1,
                Found::Corrupt(_) | Found::Nothing => {}
            }
        }
        if !stable {
            touched.push(key);
        }
    }
    if !touched.is_empty() {
        slivers.sync_names(&touched)?;
    }
    Ok(corrupt)
}

fn examine(
    slivers: &dyn SliverStore,
    state: &State,
    listed: &Listed,
    stable: bool,
) -> std::io::Result<Found<()>> {
    let sliver = &listed.sliver;
    let known = state.key(sliver.key).and_then(|under| under.extent(sliver.extent));
    let Some(shape) = known.map(ExtentState::shape) else {
        slivers.remove(sliver)?;
        return Ok(Found::Nothing);
    };
    if stable && listed.stored_bytes == slivers.stored_bytes(shape, sliver.axis) {
        return Ok(Found::Good(()));
    }
    let found = slivers.check(sliver, shape)?;
    if let Found::Corrupt(reason) = &found {
        tracing::warn!(%sliver, reason, "a sliver is not whole, it counts as missing");
        slivers.set_aside(sliver)?;
    }
    Ok(found)
}
