//! Bearer tokens from a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use floe_env::{Env, Work, compute, read_file};
use floe_model::{BlobName, Hash, Namespace, hash};
use futures::future::BoxFuture;
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;

use super::{AuthError, Authenticator, Rights, User, Verb};

/// Bytes a file of tokens may have.
const LARGEST_TOKEN_FILE_BYTES: u64 = 1024 * 1024;
/// For how long what it says is believed.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// Bearer tokens from a file, one line each: `TOKEN USER [NAMESPACE …]`; `#` starts a comment.
/// Without namespaces a user may use all. What the file says counts for a second; for a token that
/// is not in it, the file is read again at once, but no more often than once a second either.
pub struct TokenFile {
    env: Env,
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
    pub fn new(env: Env, path: PathBuf) -> Self {
        Self { env, path, known: Mutex::default() }
    }

    async fn find(&self, token: &str) -> Result<User, AuthError> {
        let digest = hash(&[token.as_bytes()]);
        let asked = self.env.clock.monotonic();
        let found = find(&self.grants(None).await?, &digest);
        if let Some(user) = found {
            return Ok(user);
        }
        // It may have been added since the file was read.
        find(&self.grants(Some(asked)).await?, &digest).ok_or_else(unknown)
    }

    /// What the file says; at `unknown_at` a token was not in it.
    async fn grants(&self, unknown_at: Option<Duration>) -> Result<Arc<Vec<Grant>>, AuthError> {
        let mut known = self.known.lock().await;
        let now = self.env.clock.monotonic();
        let is_old = |at: Duration| now.saturating_sub(at) >= BELIEVED_FOR;
        let search = unknown_at.is_some_and(|unknown_at| known.read_at < unknown_at)
            && known.searched_at.is_none_or(is_old);
        if search {
            known.searched_at = Some(now);
        }
        match &known.grants {
            Some(grants) if !search && !is_old(known.read_at) => grants.clone(),
            _ => self.read_again(&mut known).await,
        }
    }

    async fn read_again(&self, known: &mut Known) -> Result<Arc<Vec<Grant>>, AuthError> {
        let at = self.env.clock.monotonic();
        let (disk, path) = (Arc::clone(&self.env.disk), self.path.clone());
        let read = move || {
            let text = read_file(disk.as_ref(), &path, LARGEST_TOKEN_FILE_BYTES)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            parse(&text)
        };
        let read = compute(self.env.compute.as_ref(), Work::Foreground, read).await;
        let grants = read.unwrap_or_else(|stopped| Err(stopped.to_string()));
        let grants = grants.map(Arc::new).map_err(AuthError::Unavailable);
        known.read_at = at;
        known.grants = Some(grants.clone());
        grants
    }
}

fn unknown() -> AuthError {
    AuthError::Unauthenticated("the bearer token is unknown".to_owned())
}

fn is_listed(user: &User, namespace: &Namespace) -> bool {
    match &user.rights {
        Rights::Listed(None) => true,
        Rights::Listed(Some(namespaces)) => namespaces.contains(namespace),
        Rights::Reviewed(_) => false,
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
    let rights = Rights::Listed((!namespaces.is_empty()).then_some(namespaces));
    let user = User { name: name.to_owned(), rights };
    Ok(Grant { token: hash(&[token.as_bytes()]), user })
}

impl Authenticator for TokenFile {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<User, AuthError>> {
        Box::pin(self.find(token))
    }

    fn authorize<'a>(
        &'a self,
        user: &'a User,
        verb: Verb,
        namespace: &'a Namespace,
        name: Option<&'a BlobName>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        let verdict = if is_listed(user, namespace) {
            Ok(())
        } else {
            let (user, verb) = (&user.name, verb.name());
            let of = name.map(|name| format!(", name {name:?}")).unwrap_or_default();
            let text = format!("user {user:?} cannot {verb} blobs in namespace {namespace:?}{of}");
            Err(AuthError::Forbidden(text))
        };
        Box::pin(std::future::ready(verdict))
    }
}

#[cfg(test)]
mod tests;
