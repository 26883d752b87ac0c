//! What ends a reconcile early.

use floe_api::{CallError, TlsError};
use floe_steward::{GenesisError, LogError, StewardError, TrustError};

use crate::apply::ApplyError;

/// The outcome of a step of a reconcile.
pub type Result<T> = std::result::Result<T, Error>;

/// What ends a reconcile early. All are tried again; those that only another spec mends, not in a
/// hurry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not do what it was asked.
    #[error("{doing}: {}", said_by(.source))]
    Api {
        /// What was under way: "creating Secret floe/main-trust".
        doing: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// What is asked for cannot be had until somebody changes the object or what it names.
    #[error("{message}")]
    Refused {
        /// The reason of its condition, in `CamelCase`.
        reason: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// Something is missing that may come by itself.
    #[error("{message}")]
    Waiting {
        /// The reason of its condition, in `CamelCase`.
        reason: &'static str,
        /// What is missing.
        message: String,
    },
    /// An object that was to be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The committee's secrets.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The log of epoch records.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The first epoch record.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Those that follow.
    #[error(transparent)]
    Steward(#[from] StewardError),
    /// A storage node.
    #[error(transparent)]
    Node(#[from] CallError),
    /// A certificate of ours.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What was to be written is no JSON: a bug.
    #[error("a value cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The metrics clash: a bug.
    #[error("the operator's metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

impl Error {
    /// A refusal.
    pub fn refused(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { reason, message: message.into() }
    }

    /// Something that may come by itself.
    pub fn waiting(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Waiting { reason, message: message.into() }
    }

    /// Whether trying again soon is of no use: somebody must change something first.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Apply(error) => error.is_terminal(),
            Self::Api { source, .. } => {
                matches!(source.as_ref(), kube::Error::Api(status) if matches!(status.code, 400 | 413 | 422))
            }
            _ => false,
        }
    }

    /// The code of the API server's refusal, if it is one.
    pub fn api_code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// The whole text, causes included, for conditions, Events and logs.
    pub fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = match self {
            // Its own sentence is in the text.
            Self::Api { .. } => None,
            _ => std::error::Error::source(self),
        };
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        text
    }
}

/// The API server's own sentence, without the dump that kube adds.
fn said_by(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Says what was under way when the API server failed.
pub trait Doing<T> {
    /// `doing` reads "creating Secret floe/main-trust".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, kube::Error> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Api { doing: doing(), source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn api(code: u16) -> Error {
        let status = Status::failure("secrets \"x\" is odd", "Odd").with_code(code);
        Err::<(), _>(kube::Error::Api(status.boxed()))
            .doing(|| "creating Secret floe/x".to_owned())
            .unwrap_err()
    }

    #[test]
    fn what_only_a_change_mends_is_told_from_what_passes() {
        let table = [
            (api(422), true),
            (api(400), true),
            (api(409), false),
            (api(403), false),
            (api(500), false),
            (Error::refused("NotAllowed", "namespace shop may not"), true),
            (Error::waiting("PodsPending", "pod main-0-0-0 is pending"), false),
        ];
        for (error, terminal) in table {
            assert_eq!(error.is_terminal(), terminal, "{error}");
        }
    }

    #[test]
    fn the_text_says_what_was_under_way_and_why_it_failed_once() {
        assert_eq!(api(409).text(), "creating Secret floe/x: secrets \"x\" is odd");
        assert_eq!(api(409).api_code(), Some(409));
        let log = Error::from(LogError::Unreachable("no route".to_owned()));
        assert_eq!(log.text(), "the record log: no route");
    }
}
