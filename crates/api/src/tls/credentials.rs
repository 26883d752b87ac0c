//! Certificates that are renewed while a process runs: new connections take the new ones.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_env::{Clock, Compute, Disk, Env, Work, compute};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{TlsError, TlsIdentity};
use crate::role::Peer;

/// How often files are looked at, at most: only when a connection is made.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Where a process has its certificates and key from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    /// These.
    Fixed(TlsIdentity),
    /// The files [`TLS_FILES`](super::TLS_FILES) of a directory, whoever renews them there.
    Directory(PathBuf),
}

impl From<TlsIdentity> for TlsSource {
    fn from(identity: TlsIdentity) -> Self {
        Self::Fixed(identity)
    }
}

/// What a process shows, and whom it trusts, now. Clones are the same.
#[derive(Clone)]
pub struct Credentials(Arc<Shared>);

struct Shared {
    own: Peer,
    clock: Arc<dyn Clock>,
    files: Option<Files>,
    state: Mutex<State>,
}

struct Files {
    disk: Arc<dyn Disk>,
    compute: Arc<dyn Compute>,
    dir: PathBuf,
}

struct State {
    identity: TlsIdentity,
    made: Made,
    /// When the files were looked at last, monotonic.
    looked: Duration,
}

#[derive(Clone)]
struct Made {
    members: TlsAcceptor,
    applications: TlsAcceptor,
    connector: TlsConnector,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("own", &self.0.own).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Those of a source, as it is now; a directory is looked at again when connections are made.
    pub async fn open(env: &Env, source: &TlsSource) -> Result<Self, TlsError> {
        let dir = match source {
            TlsSource::Fixed(identity) => return Self::fixed(env, identity),
            TlsSource::Directory(dir) => dir.clone(),
        };
        let files = Files { disk: Arc::clone(&env.disk), compute: Arc::clone(&env.compute), dir };
        let identity = files.read().await?;
        Self::new(env, identity, Some(files))
    }

    /// Those that stay until [`Credentials::replace`].
    pub fn fixed(env: &Env, identity: &TlsIdentity) -> Result<Self, TlsError> {
        Self::new(env, identity.clone(), None)
    }

    fn new(env: &Env, identity: TlsIdentity, files: Option<Files>) -> Result<Self, TlsError> {
        let clock = Arc::clone(&env.clock);
        let (own, made) = (identity.own()?, Made::of(&identity, &clock)?);
        let state = Mutex::new(State { identity, made, looked: clock.monotonic() });
        Ok(Self(Arc::new(Shared { own, clock, files, state })))
    }

    /// Who this process is by its certificate: the same for its life.
    pub fn own(&self) -> &Peer {
        &self.0.own
    }

    /// Connections made from now on take these. They must be of the same peer.
    pub fn replace(&self, identity: &TlsIdentity) -> Result<(), TlsError> {
        let new = identity.own()?;
        if new != self.0.own {
            let (new, own) = (new.to_string(), self.0.own.to_string());
            return Err(TlsError::OtherPeer { new, own });
        }
        let made = Made::of(identity, &self.0.clock)?;
        let mut state = self.0.state();
        (state.identity, state.made) = (identity.clone(), made);
        Ok(())
    }

    /// For a connection of a member.
    pub(crate) async fn members(&self) -> TlsAcceptor {
        self.newest().await.members
    }

    /// For a connection of an application.
    pub(crate) async fn applications(&self) -> TlsAcceptor {
        self.newest().await.applications
    }

    /// For a connection to a member.
    pub(crate) async fn connector(&self) -> TlsConnector {
        self.newest().await.connector
    }

    async fn newest(&self) -> Made {
        if let Some(files) = self.0.files_to_look_at() {
            match files.read().await {
                Ok(identity) if identity == self.0.state().identity => {}
                Ok(identity) => self.take(&identity, &files.dir),
                Err(error) => complain(&files.dir, &error),
            }
        }
        self.0.state().made.clone()
    }

    fn take(&self, identity: &TlsIdentity, dir: &Path) {
        match self.replace(identity) {
            Ok(()) => tracing::info!(dir = %dir.display(), "certificates were renewed"),
            // Perhaps half of them are written yet; the next look sees the rest.
            Err(error) => complain(dir, &error),
        }
    }
}

impl Shared {
    /// None if there are none, or someone looked a short while ago.
    fn files_to_look_at(&self) -> Option<&Files> {
        let files = self.files.as_ref()?;
        let now = self.clock.monotonic();
        let mut state = self.state();
        if now.saturating_sub(state.looked) < LOOK_EVERY {
            return None;
        }
        state.looked = now;
        Some(files)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn complain(dir: &Path, error: &TlsError) {
    tracing::warn!(dir = %dir.display(), %error, "the old certificates stay in use");
}

impl Files {
    async fn read(&self) -> Result<TlsIdentity, TlsError> {
        let (disk, dir) = (Arc::clone(&self.disk), self.dir.clone());
        let read = move || TlsIdentity::read(disk.as_ref(), &dir);
        compute(self.compute.as_ref(), Work::Foreground, read)
            .await
            .map_err(|stopped| TlsError::Unreadable(stopped.to_string()))?
    }
}

impl Made {
    fn of(identity: &TlsIdentity, clock: &Arc<dyn Clock>) -> Result<Self, TlsError> {
        Ok(Self {
            members: identity.acceptor(Arc::clone(clock))?,
            applications: identity.application_acceptor(Arc::clone(clock))?,
            connector: identity.connector(Arc::clone(clock))?,
        })
    }
}

#[cfg(test)]
mod tests;
