//! What is to be done next for a Blob: pure decisions over what is known of it so far.
//!
//! ```text
//!                         nodes worth n-f hold its certificate ───────▶ Certified
//!                         some do ──▶ hand it on ──▶ look again
//!  look at the nodes ──── none does, by the word of nodes worth n-f:
//!                            upload: await it; too old: close, then refused
//!                            inline: PUT ──▶ look again
//!                            configMap: a Job ──▶ look again when it is done
//! ```

pub(crate) mod leaving;

use std::time::Duration;

/// How soon to look again while something is under way elsewhere.
const SOON: Duration = Duration::from_secs(1);
/// How soon to look again where something is missing that may come by itself.
const LATER: Duration = Duration::from_secs(5);
/// How soon to look again where a human must do something.
const RARELY: Duration = Duration::from_secs(30);
/// A Blob that waits is looked at after this part of its age.
const WAITING_PART: u32 = 10;
/// A failed import is tried again after that.
const IMPORT_PAUSE: Duration = Duration::from_mins(1);
/// Bytes that a ConfigMap may have, by the API server's rules.
pub(crate) const MOST_CONFIG_MAP_BYTES: u64 = 1 << 20;

/// Why a Blob is, or is not, ready: the reason of its condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its certificate is held by nodes worth n-f shards.
    Certified,
    /// Somebody is to PUT its content.
    AwaitingUpload,
    /// Nobody did in time.
    UploadExpired,
    /// Its content is on the way.
    Importing,
    /// Its content could not be brought.
    ImportFailed,
    /// Its content is not what `spec.digest` says.
    DigestMismatch,
    /// There is no Committee for it.
    CommitteeNotFound,
    /// The Committee does not take this namespace's blobs.
    CommitteeNotPermitted,
    /// The Committee does not run, or too few of its nodes answer.
    CommitteeNotReady,
    /// Its content was released.
    ContentMissing,
}

impl Reason {
    /// As it stands in the condition.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Certified => "Certified",
            Self::AwaitingUpload => "AwaitingUpload",
            Self::UploadExpired => "UploadExpired",
            Self::Importing => "Importing",
            Self::ImportFailed => "ImportFailed",
            Self::DigestMismatch => "DigestMismatch",
            Self::CommitteeNotFound => "CommitteeNotFound",
            Self::CommitteeNotPermitted => "CommitteeNotPermitted",
            Self::CommitteeNotReady => "CommitteeNotReady",
            Self::ContentMissing => "ContentMissing",
        }
    }
}

/// What is to be said of a Blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its certificate is held by nodes worth n-f shards.
    Certified,
    /// It is not ready and may get so by itself.
    Waiting {
        /// Why it is not ready.
        reason: Reason,
        /// What is missing, and what to do.
        message: String,
    },
    /// It does not get ready before somebody changes something.
    Refused {
        /// Why.
        reason: Reason,
        /// What is wrong, and what to do.
        message: String,
    },
}

impl Verdict {
    /// It may get ready by itself.
    pub(crate) fn waiting(reason: Reason, message: impl Into<String>) -> Self {
        Self::Waiting { reason, message: message.into() }
    }

    /// It does not get ready by itself.
    pub(crate) fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused { reason, message: message.into() }
    }

    /// When to look again if nothing else says so.
    pub(crate) const fn again(&self) -> Duration {
        match self {
            Self::Waiting { .. } => LATER,
            Self::Certified | Self::Refused { .. } => RARELY,
        }
    }
}

/// What nodes say of a Blob's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Too few answered to say that there is none.
    Unknown {
        /// Shards whose nodes answered.
        answered: usize,
        /// n-f.
        needed: usize,
    },
    /// None, by the word of nodes worth n-f shards.
    Absent,
    /// It is certified.
    Certified {
        /// The SHA-256 that its claim promises.
        sha256: [u8; 32],
        /// Whether nodes worth n-f shards hold the certificate.
        by_enough: bool,
    },
    /// A release covers it.
    Released,
}

/// Where the content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody PUTs it within this time.
    Upload {
        /// How long the Blob waits.
        expire_after: Duration,
    },
    /// It stands in the Blob; its SHA-256, or why it cannot be read.
    Inline(Result<[u8; 32], String>),
    /// It stands in a ConfigMap, which this names.
    ConfigMap(String),
}

/// What the gateway said to a PUT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is certified.
    Stored,
    /// Not now.
    Failed(String),
    /// Never, with this content.
    Refused(String),
}

/// What became of the Job that imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Import {
    /// There is none.
    None,
    /// There is one of another Blob of this name, on its way out.
    Foreign,
    /// It runs.
    Running,
    /// It is done.
    Done,
    /// The content was not what it was when the Job was made.
    Changed,
    /// It failed.
    Failed {
        /// What its pod said last.
        message: String,
        /// How long ago.
        ago: Duration,
    },
}

/// What a ConfigMap holds under the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// There is no such ConfigMap.
    NoConfigMap,
    /// It has no such key.
    NoKey,
    /// This many bytes, and their SHA-256.
    Bytes(u64, [u8; 32]),
}

/// What closing a claim found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Nodes worth n-f shards closed it; none had a certificate.
    Yes,
    /// A node had a certificate.
    Certified,
    /// Too few answered.
    TooFew {
        /// Shards whose nodes answered.
        answered: usize,
        /// n-f.
        needed: usize,
    },
}

/// What is known of a Blob that stays, as far as was looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Where the content comes from.
    pub(crate) origin: Origin,
    /// What `spec.digest` says.
    pub(crate) digest: Option<[u8; 32]>,
    /// How old the Blob is.
    pub(crate) age: Duration,
    /// What nodes say.
    pub(crate) content: Option<Content>,
    /// Whether the certificate was handed on in this turn.
    pub(crate) handed_on: bool,
    /// What the gateway said in this turn.
    pub(crate) put: Option<Put>,
    /// What became of the Job.
    pub(crate) import: Option<Import>,
    /// What the ConfigMap holds.
    pub(crate) entry: Option<Entry>,
    /// What closing found.
    pub(crate) closed: Option<Closed>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask the nodes.
    Look,
    /// Give the certificate to nodes that lack it.
    HandOn,
    /// PUT the content through the gateway.
    Put,
    /// Look at the Job.
    SeeImport,
    /// Look at the ConfigMap.
    SeeEntry,
    /// Make the Job, with a ticket for content of this SHA-256.
    Import([u8; 32]),
    /// Delete the Job.
    DropImport,
    /// Have nodes close the claim.
    Close,
    /// Nothing for now.
    Settle(Verdict, Duration),
}

impl Step {
    fn wait(reason: Reason, message: impl Into<String>, again: Duration) -> Self {
        Self::Settle(Verdict::waiting(reason, message), again)
    }

    fn refuse(reason: Reason, message: impl Into<String>) -> Self {
        Self::Settle(Verdict::refused(reason, message), RARELY)
    }
}

/// What is to be done next for a Blob that stays.
pub(crate) fn next(facts: &Facts) -> Step {
    match &facts.content {
        None => Step::Look,
        Some(Content::Unknown { answered, needed }) => {
            Step::wait(Reason::CommitteeNotReady, too_few(*answered, *needed), LATER)
        }
        Some(Content::Released) => Step::refuse(
            Reason::ContentMissing,
            "its content was released; delete this Blob, or bring the content back with kubectl floe undelete",
        ),
        Some(Content::Certified { sha256, .. })
            if facts.digest.is_some_and(|digest| digest != *sha256) =>
        {
            Step::refuse(
                Reason::DigestMismatch,
                mismatch("what was uploaded", sha256, facts.digest),
            )
        }
        Some(Content::Certified { by_enough: true, .. }) => {
            Step::Settle(Verdict::Certified, RARELY)
        }
        Some(Content::Certified { by_enough: false, .. }) if facts.handed_on => Step::wait(
            Reason::Importing,
            "certified; nodes worth n-f shards are yet to hold the certificate",
            SOON,
        ),
        Some(Content::Certified { by_enough: false, .. }) => Step::HandOn,
        Some(Content::Absent) => match &facts.origin {
            Origin::Upload { expire_after } => upload(facts, *expire_after),
            Origin::Inline(bytes) => inline(facts, bytes.as_ref()),
            Origin::ConfigMap(name) => config_map(facts, name),
        },
    }
}

fn upload(facts: &Facts, expire_after: Duration) -> Step {
    if facts.age < expire_after {
        let left = expire_after.saturating_sub(facts.age);
        let again = (facts.age / WAITING_PART).clamp(SOON, LATER).min(left.max(SOON));
        let message = "PUT its content to status.url, or kubectl floe put";
        return Step::wait(Reason::AwaitingUpload, message, again);
    }
    match &facts.closed {
        None => Step::Close,
        // The certificate was found: it counts, and is looked at like any other.
        Some(Closed::Certified) if !facts.handed_on => Step::HandOn,
        Some(Closed::Certified) => {
            Step::wait(Reason::Importing, "certified; nodes are asked again", SOON)
        }
        Some(Closed::TooFew { answered, needed }) => {
            Step::wait(Reason::CommitteeNotReady, too_few(*answered, *needed), LATER)
        }
        Some(Closed::Yes) => Step::refuse(
            Reason::UploadExpired,
            "nothing was uploaded within spec.source.upload.expireAfter; create the Blob anew",
        ),
    }
}

fn inline(facts: &Facts, bytes: Result<&[u8; 32], &String>) -> Step {
    let sha256 = match bytes {
        Ok(sha256) => sha256,
        Err(why) => return Step::refuse(Reason::ImportFailed, why.as_str()),
    };
    if facts.digest.is_some_and(|digest| digest != *sha256) {
        let message = mismatch("spec.source.inline", sha256, facts.digest);
        return Step::refuse(Reason::DigestMismatch, message);
    }
    match &facts.put {
        None => Step::Put,
        Some(Put::Stored) => Step::wait(Reason::Importing, "stored; nodes are asked again", SOON),
        Some(Put::Failed(why)) => Step::wait(Reason::Importing, why.as_str(), LATER),
        Some(Put::Refused(why)) => Step::refuse(Reason::ImportFailed, why.as_str()),
    }
}

fn config_map(facts: &Facts, name: &str) -> Step {
    match &facts.import {
        None => Step::SeeImport,
        Some(Import::None) => entry(facts, name),
        Some(Import::Foreign) => {
            Step::wait(Reason::Importing, "the Job of an older Blob of this name ends first", SOON)
        }
        Some(Import::Running) => Step::wait(Reason::Importing, format!("a Job reads {name}"), SOON),
        Some(Import::Done) => Step::wait(Reason::Importing, "stored; nodes are asked again", SOON),
        // The ConfigMap is looked at again, and says how it is now.
        Some(Import::Changed) => Step::DropImport,
        Some(Import::Failed { ago, .. }) if *ago >= IMPORT_PAUSE => Step::DropImport,
        Some(Import::Failed { message, .. }) => {
            Step::wait(Reason::ImportFailed, format!("{message}; it is tried again"), LATER)
        }
    }
}

fn entry(facts: &Facts, name: &str) -> Step {
    match &facts.entry {
        None => Step::SeeEntry,
        Some(Entry::NoConfigMap) => Step::wait(
            Reason::ImportFailed,
            format!("{name}: there is no such ConfigMap; create it"),
            LATER,
        ),
        Some(Entry::NoKey) => Step::wait(
            Reason::ImportFailed,
            format!("{name}: the ConfigMap has no such key; add it"),
            LATER,
        ),
        Some(Entry::Bytes(bytes, _)) if *bytes > MOST_CONFIG_MAP_BYTES => Step::refuse(
            Reason::ImportFailed,
            format!(
                "{name} has {bytes} bytes, at most {MOST_CONFIG_MAP_BYTES} are taken; use source.upload"
            ),
        ),
        Some(Entry::Bytes(_, sha256)) if facts.digest.is_some_and(|digest| digest != *sha256) => {
            Step::refuse(Reason::DigestMismatch, mismatch(name, sha256, facts.digest))
        }
        Some(Entry::Bytes(_, sha256)) => Step::Import(*sha256),
    }
}

pub(super) fn too_few(answered: usize, needed: usize) -> String {
    format!("{answered} shards answer, {needed} are needed")
}

fn mismatch(what: &str, found: &[u8; 32], wanted: Option<[u8; 32]>) -> String {
    let wanted = wanted.map(hex::encode).unwrap_or_default();
    format!(
        "{what} has sha256:{}, spec.digest says {wanted}; create a Blob with the right digest",
        hex::encode(found)
    )
}

#[cfg(test)]
mod tests;
