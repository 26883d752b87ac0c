//! Who asks, and whether they may. Kubernetes' reviews stand behind the same trait as a file of
//! tokens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use floe_env::{Disk, Env, Work, compute, read_file};
use floe_model::{BlobName, Hash, Namespace, hash};
use futures::future::BoxFuture;
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;

/// Bytes a file of tokens may have.
const LARGEST_TOKEN_FILE_BYTES: u64 = 1024 * 1024;
/// For how long what it says is believed.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

const UNKNOWN: AuthError = AuthError::Unauthenticated("the bearer token is unknown");

/// Somebody whose token was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their name, for errors and logs.
    pub name: String,
    /// The namespaces they may use; `None` for all.
    namespaces: Option<Vec<Namespace>>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Read content or status.
    Get,
    /// Write content.
    Update,
    /// Release.
    Delete,
    /// List names.
    List,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

/// Why somebody is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no acceptable token.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The token is fine, the wish is not.
    #[error("user {user:?} cannot {verb} blobs in namespace {namespace:?}{of}")]
    Forbidden {
        /// Who.
        user: String,
        /// What.
        verb: &'static str,
        /// Where.
        namespace: Namespace,
        /// Which blob: `, name "…"`, or nothing.
        of: String,
    },
    /// Nobody could be asked.
    #[error("tokens cannot be checked now: {0}")]
    Unavailable(String),
}

/// Decides over requests of applications.
pub trait Authenticator: Send + Sync {
    /// Who has this bearer token.
    fn authenticate<'a>(
        &'a self,
        env: &'a Env,
        token: &'a str,
    ) -> BoxFuture<'a, Result<User, AuthError>>;

    /// Whether the user may do this.
    fn authorize<'a>(
        &'a self,
        user: &'a User,
        verb: Verb,
        namespace: &'a Namespace,
        name: Option<&'a BlobName>,
    ) -> BoxFuture<'a, Result<(), AuthError>>;
}

/// Bearer tokens from a file, one line each: `TOKEN USER [NAMESPACE …]`; `#` starts a comment.
/// Without namespaces a user may use all. What the file says counts for a second; for a token that
/// is not in it, the file is read again at once, but no more often than once a second either.
pub struct TokenFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Held while the file is read: others wait for the result.
    known: Mutex<Known>,
}

/// What was read last, and when.
#[derive(Default)]
struct Known {
    grants: Option<Result<Arc<Vec<Grant>>, AuthError>>,
    read_at: Duration,
    /// When it was read for the sake of an unknown token.
    searched_at: Option<Duration>,
}

struct Grant {
    token: Hash,
    user: User,
}

impl TokenFile {
    /// The tokens in the file at `path`.
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, known: Mutex::default() }
    }

    async fn find(&self, env: &Env, token: &str) -> Result<User, AuthError> {
        let digest = hash(&[token.as_bytes()]);
        let asked = env.clock.monotonic();
        let found = find(&self.grants(env, None).await?, &digest);
        if let Some(user) = found {
            return Ok(user);
        }
        // It may have been added since the file was read.
        find(&self.grants(env, Some(asked)).await?, &digest).ok_or(UNKNOWN)
    }

    /// What the file says; at `unknown_at` a token was not in it.
    async fn grants(
        &self,
        env: &Env,
        unknown_at: Option<Duration>,
    ) -> Result<Arc<Vec<Grant>>, AuthError> {
        let mut known = self.known.lock().await;
        let now = env.clock.monotonic();
        let is_old = |at: Duration| now.saturating_sub(at) >= BELIEVED_FOR;
        let search = unknown_at.is_some_and(|unknown_at| known.read_at < unknown_at)
            && known.searched_at.is_none_or(is_old);
        if search {
            known.searched_at = Some(now);
        }
        match &known.grants {
            Some(grants) if !search && !is_old(known.read_at) => grants.clone(),
            _ => self.read_again(env, &mut known).await,
        }
    }

    async fn read_again(&self, env: &Env, known: &mut Known) -> Result<Arc<Vec<Grant>>, AuthError> {
        let at = env.clock.monotonic();
        let (disk, path) = (Arc::clone(&self.disk), self.path.clone());
        let read = move || {
            let text = read_file(disk.as_ref(), &path, LARGEST_TOKEN_FILE_BYTES)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            parse(&text)
        };
        let read = compute(env.compute.as_ref(), Work::Foreground, read).await;
        let grants = read.unwrap_or_else(|stopped| Err(stopped.to_string()));
        let grants = grants.map(Arc::new).map_err(AuthError::Unavailable);
        known.read_at = at;
        known.grants = Some(grants.clone());
        grants
    }
}

/// All are compared, in constant time: how long it takes says nothing about a token.
fn find(grants: &[Grant], digest: &Hash) -> Option<User> {
    let mut found = None;
    for grant in grants {
        if bool::from(grant.token.0.ct_eq(&digest.0)) {
            found = Some(grant.user.clone());
        }
    }
    found
}

fn parse(text: &[u8]) -> Result<Vec<Grant>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the token file is not UTF-8".to_owned())?;
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| parse_grant(line).map_err(|why| format!("line {number}: {why}")))
        .collect()
}

fn parse_grant(line: &str) -> Result<Grant, String> {
    let mut words = line.split_whitespace();
    let (Some(token), Some(name)) = (words.next(), words.next()) else {
        return Err("want TOKEN USER [NAMESPACE …]".to_owned());
    };
    let namespaces = words
        .map(|word| word.parse().map_err(|error: floe_model::id::IdError| error.to_string()))
        .collect::<Result<Vec<Namespace>, _>>()?;
    let namespaces = (!namespaces.is_empty()).then_some(namespaces);
    Ok(Grant { token: hash(&[token.as_bytes()]), user: User { name: name.to_owned(), namespaces } })
}

impl Authenticator for TokenFile {
    fn authenticate<'a>(
        &'a self,
        env: &'a Env,
        token: &'a str,
    ) -> BoxFuture<'a, Result<User, AuthError>> {
        Box::pin(self.find(env, token))
    }

    fn authorize<'a>(
        &'a self,
        user: &'a User,
        verb: Verb,
        namespace: &'a Namespace,
        name: Option<&'a BlobName>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        let allowed = user.namespaces.as_ref().is_none_or(|some| some.contains(namespace));
        let verdict = if allowed {
            Ok(())
        } else {
            Err(AuthError::Forbidden {
                user: user.name.clone(),
                verb: verb.name(),
                namespace: namespace.clone(),
                of: name.map(|name| format!(", name {name:?}")).unwrap_or_default(),
            })
        };
        Box::pin(std::future::ready(verdict))
    }
}

#[cfg(test)]
mod tests;
