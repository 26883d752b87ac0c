//! Exit codes: what a script may rely on.

use std::fmt;
use std::process::ExitCode;

/// How a command ends when it does not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It failed.
    Failed = 1,
    /// It was asked the wrong way.
    Usage = 2,
    /// Too few nodes answer.
    NotEnoughNodes = 3,
    /// No such blob, or not allowed.
    NotFound = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows its exit code.
#[derive(Debug)]
pub struct Ended {
    /// The code.
    pub exit: Exit,
    message: String,
}

impl Ended {
    /// An error with a code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Ended {}

/// The code of an error: its own, that of the API server's refusal, or plain failure.
pub fn code(error: &anyhow::Error) -> Exit {
    let refusal = error.chain().find_map(|cause| match cause.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    });
    match (error.downcast_ref::<Ended>(), refusal) {
        (Some(ended), _) => ended.exit,
        (None, Some(401 | 403 | 404)) => Exit::NotFound,
        _ => Exit::Failed,
    }
}
