//! Who asks, and whether they may. Kubernetes' reviews stand behind the same trait as a file of
//! tokens.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use floe_env::{Disk, read_file};
use floe_model::{BlobName, Hash, Namespace, hash};
use futures::future::BoxFuture;
use subtle::ConstantTimeEq as _;

/// Bytes a file of tokens may have.
const LARGEST_TOKEN_FILE_BYTES: u64 = 1024 * 1024;

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
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<User, AuthError>>;

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
/// Without namespaces a user may use all. The file is read again whenever its text has changed.
pub struct TokenFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    parsed: Mutex<Option<(Hash, Arc<Vec<Grant>>)>>,
}

struct Grant {
    token: Hash,
    user: User,
}

impl TokenFile {
    /// The tokens in the file at `path`.
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, parsed: Mutex::new(None) }
    }

    fn grants(&self) -> Result<Arc<Vec<Grant>>, AuthError> {
        let text = read_file(self.disk.as_ref(), &self.path, LARGEST_TOKEN_FILE_BYTES)
            .map_err(|error| AuthError::Unavailable(format!("{}: {error}", self.path.display())))?;
        let digest = hash(&[&text]);
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, grants)) = parsed.as_ref()
            && *known == digest
        {
            return Ok(Arc::clone(grants));
        }
        let grants = Arc::new(parse(&text).map_err(AuthError::Unavailable)?);
        *parsed = Some((digest, Arc::clone(&grants)));
        Ok(grants)
    }
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
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<User, AuthError>> {
        Box::pin(async move {
            let grants = self.grants()?;
            let digest = hash(&[token.as_bytes()]);
            // All are compared, in constant time: how long it takes says nothing about a token.
            let mut found = None;
            for grant in grants.iter() {
                if bool::from(grant.token.0.ct_eq(&digest.0)) {
                    found = Some(grant.user.clone());
                }
            }
            found.ok_or(AuthError::Unauthenticated("the bearer token is unknown"))
        })
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
mod tests {
    use super::*;

    #[test]
    fn a_token_file_names_users_and_namespaces() {
        let grants = parse(b"# comment\n\nsecret anna\nother ci shop web\n").unwrap();
        assert_eq!(grants.len(), 2);
        assert_eq!(grants[0].user, User { name: "anna".into(), namespaces: None });
        assert_eq!(grants[1].user.namespaces.as_ref().unwrap().len(), 2);
        assert!(parse(b"secret\n").err().unwrap().starts_with("line 1"));
        assert!(parse(b"ok anna\nsecret ci Shop\n").err().unwrap().starts_with("line 2"));
    }
}
