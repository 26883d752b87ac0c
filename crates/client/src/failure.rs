//! What went wrong with a node, and with too many of them.

use std::fmt;
use std::time::Duration;

use floe_api::{ApiError, CallError, ErrorCode};
use floe_model::{EpochNumber, ExtentIndex, NodeName};

/// Why a node gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// It refused.
    #[error("refused: {0}")]
    Refused(ApiError),
    /// It answered something else than the route promises.
    #[error("answered nonsense: {0}")]
    Protocol(String),
    /// What it sent does not agree with what it is to be checked against.
    #[error("sent what does not verify: {0}")]
    Unverifiable(String),
    /// It has not finished what was asked for: it still rebuilds slivers.
    #[error("still lacks {missing_slivers} slivers")]
    Incomplete {
        /// Slivers it lacks.
        missing_slivers: u64,
        /// When it wants to be asked again.
        retry_after_seconds: Option<u32>,
    },
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable { reason, .. } => Self::Unreachable(reason),
            CallError::Timeout { .. } => Self::TimedOut,
            CallError::Api(refusal) => Self::Refused(refusal),
            CallError::Protocol { reason, .. } => Self::Protocol(reason),
        }
    }
}

impl Failure {
    /// The code of a refusal.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    /// A node needs another epoch record than the one it was asked under: the number of the one that it
    /// accepted, 0 if none.
    pub fn needed_epoch(&self) -> Option<EpochNumber> {
        match self {
            Self::Refused(refusal) if refusal.code == ErrorCode::NeedEpoch => {
                Some(refusal.epoch.unwrap_or(EpochNumber(0)))
            }
            _ => None,
        }
    }

    /// When the node wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Refused(refusal) => refusal.retry_after_seconds,
            Self::Incomplete { retry_after_seconds, .. } => *retry_after_seconds,
            _ => None,
        };
        seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Nothing was heard from the node: it may be down.
    pub const fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TimedOut)
    }

    /// Asking again may help.
    pub fn is_passing(&self) -> bool {
        let passing = [ErrorCode::Overloaded, ErrorCode::NotServing, ErrorCode::Internal];
        self.is_silence()
            || matches!(self, Self::Incomplete { .. })
            || self.code().is_some_and(|code| passing.contains(&code))
    }
}

/// A node, and why it gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFailure {
    /// The node.
    pub node: NodeName,
    /// Why.
    pub failure: Failure,
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.node, self.failure)
    }
}

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Storing an extent.
    Store(ExtentIndex),
    /// Collecting confirmations.
    Confirm,
    /// Having the certificate acknowledged.
    Acknowledge,
    /// Storing a release.
    Release,
    /// Closing a claim.
    Close,
    /// Resolving a name.
    Resolve,
    /// Listing a namespace.
    List,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(extent) => write!(f, "storing extent {extent}"),
            Self::Confirm => f.write_str("confirming the blob"),
            Self::Acknowledge => f.write_str("acknowledging the certificate"),
            Self::Release => f.write_str("storing the release"),
            Self::Close => f.write_str("closing the claim"),
            Self::Resolve => f.write_str("resolving the name"),
            Self::List => f.write_str("listing the namespace"),
        }
    }
}

/// Too few nodes gave a usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEnoughNodes {
    /// What was being done.
    pub phase: Phase,
    /// Shards of the nodes that answered.
    pub answered_shards: usize,
    /// Shards needed.
    pub needed_shards: usize,
    /// Who failed, and why.
    pub failures: Vec<NodeFailure>,
}

impl fmt::Display for NotEnoughNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, answered_shards, needed_shards, failures } = self;
        write!(
            f,
            "{phase}: nodes worth {answered_shards} shards answered, {needed_shards} are needed"
        )?;
        failures.iter().try_for_each(|failure| write!(f, "; {failure}"))
    }
}

impl std::error::Error for NotEnoughNodes {}
