//! What is to be done next for a Blob that leaves.
//!
//! ```text
//!  certified ───────────────────────────────────▶ release ──▶ stored by n-f ──▶ the finalizer goes
//!  not: close ──▶ still not ─────────────────────────▲
//!             └─▶ after all: hand on, which voids the closing ──┘
//! ```

use std::time::Duration;

use super::{Closed, Content, too_few};

/// A Blob that cannot be released leaves after that; its content is an orphan then.
pub(crate) const LONGEST_FAREWELL: Duration = Duration::from_mins(10);

/// What is known of a Blob that leaves, as far as was looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaving {
    /// Its content stays, by `spec.deletionPolicy`.
    pub(crate) retain: bool,
    /// Its Committee.
    pub(crate) keeper: Keeper,
    /// Since when it is to leave.
    pub(crate) since: Duration,
    /// It was certified, by its status.
    pub(crate) was_certified: bool,
    /// What nodes say.
    pub(crate) content: Option<Content>,
    /// What closing found.
    pub(crate) closed: Option<Closed>,
    /// The certificate that closing found was handed on.
    pub(crate) handed_on: bool,
    /// Shards whose nodes stored the release, and n-f.
    pub(crate) stored: Option<(usize, usize)>,
}

/// The Committee of a Blob that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// None was ever chosen.
    None,
    /// It does not exist.
    Gone,
    /// It exists and does not run.
    Away,
    /// It runs.
    Runs,
}

/// What is to be done next for a Blob that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// Ask the nodes.
    Look,
    /// Have nodes close the claim.
    Close,
    /// Give the certificate to the nodes: the closing is void.
    HandOn,
    /// Have nodes store the release.
    Release,
    /// The finalizer goes.
    LetGo(Ending),
    /// Nothing for now: why it does not leave yet.
    Wait(String),
}

/// How a Blob leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It never had a Committee: nothing was stored.
    Nothing,
    /// Its content stays, as its policy says.
    Retained,
    /// Its content is released.
    Released,
    /// Its Committee does not exist.
    CommitteeGone,
    /// Its content stays without an object: it could not be released in time.
    Orphaned,
}

/// What is to be done next for a Blob that leaves.
pub(crate) fn leave(facts: &Leaving) -> Farewell {
    if facts.retain {
        return Farewell::LetGo(Ending::Retained);
    }
    match facts.keeper {
        Keeper::None => return Farewell::LetGo(Ending::Nothing),
        Keeper::Gone => return Farewell::LetGo(Ending::CommitteeGone),
        Keeper::Away => return wait(facts, "its Committee does not run"),
        Keeper::Runs => {}
    }
    if let Some((stored, needed)) = facts.stored {
        return if stored >= needed {
            Farewell::LetGo(Ending::Released)
        } else {
            let why = format!("{stored} shards stored its release, {needed} are needed");
            wait(facts, &why)
        };
    }
    match (&facts.content, &facts.closed) {
        (None, _) => Farewell::Look,
        (Some(Content::Certified { .. } | Content::Released), _) => Farewell::Release,
        // Its status says so: nobody is to be asked whether it may yet get certified.
        _ if facts.was_certified => Farewell::Release,
        (Some(Content::Unknown { answered, needed }), _)
        | (Some(Content::Absent), Some(Closed::TooFew { answered, needed })) => {
            wait(facts, &too_few(*answered, *needed))
        }
        (Some(Content::Absent), None) => Farewell::Close,
        (Some(Content::Absent), Some(Closed::Yes)) => Farewell::Release,
        (Some(Content::Absent), Some(Closed::Certified)) if facts.handed_on => Farewell::Release,
        (Some(Content::Absent), Some(Closed::Certified)) => Farewell::HandOn,
    }
}

fn wait(facts: &Leaving, why: &str) -> Farewell {
    if facts.since >= LONGEST_FAREWELL {
        return Farewell::LetGo(Ending::Orphaned);
    }
    let minutes = LONGEST_FAREWELL.as_secs() / 60;
    Farewell::Wait(format!("{why}; after {minutes} minutes the Blob goes and its content stays"))
}

#[cfg(test)]
mod tests;
