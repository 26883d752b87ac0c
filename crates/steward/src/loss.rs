//! Whether a volume is lost: a pure function of what was seen of it, and when.
//!
//! ```text
//!            answers                       answers
//!   present ◄──────── away ──grace passes──► lost ───────► present
//!      │  silent        ▲                      ▲
//!      ├────────────────┘                      │
//!      └── empty, another key, an old copy ────┘  at once
//! ```
//!
//! Whoever sees the hosts has a [`Word`] in it: that a volume is gone, or that silence alone says
//! nothing.

use std::time::Duration;

use floe_api::report::{IdentityReport, ServingState};
use floe_model::Member;

/// What was seen of a volume at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Glimpse {
    /// It answers.
    Answers,
    /// Nobody answers, and why.
    Silent(String),
    /// It is gone for good, and how that is known.
    Gone(String),
}

/// What somebody says of a volume who sees hosts and disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It is not there any more, whatever answers; and how that is known.
    Gone(String),
    /// Its host is down for good: who is silent is lost at once.
    HostGone(String),
    /// Its host is up: silence does not count, however long it lasts.
    HostUp,
}

impl Word {
    /// What was seen, with what is said.
    #[must_use]
    pub fn with(&self, glimpse: Glimpse) -> Glimpse {
        match (self, glimpse) {
            (Self::Gone(reason), _) | (Self::HostGone(reason), Glimpse::Silent(_)) => {
                Glimpse::Gone(reason.clone())
            }
            (_, glimpse) => glimpse,
        }
    }

    /// What is held of the volume, with what is said.
    #[must_use]
    pub fn weighed(&self, standing: Standing, now: Duration) -> Standing {
        if matches!(self, Self::HostUp) { standing.doubted(now) } else { standing }
    }
}

/// What is held of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It answers.
    Present,
    /// It has not answered since then, on the monotonic clock.
    Away {
        /// Since when.
        since: Duration,
        /// Why.
        reason: String,
    },
    /// It is to be replaced.
    Lost {
        /// Away since then, if that is why.
        since: Option<Duration>,
        /// Why.
        reason: String,
    },
}

impl Standing {
    /// Whether it is to be replaced.
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

impl Standing {
    /// Of a volume that was silent while too few others answered: that may be this process's own
    /// partition, which proves nothing when it ends. The silence counts from now on.
    #[must_use]
    pub fn doubted(self, now: Duration) -> Self {
        match self {
            Self::Away { reason, .. } | Self::Lost { since: Some(_), reason } => {
                Self::Away { since: now, reason }
            }
            other => other,
        }
    }
}

/// What is held of a volume after another look at it. Whoever answers once is present: a volume that
/// comes and goes is never lost by that.
pub fn standing(
    before: Option<&Standing>,
    glimpse: Glimpse,
    now: Duration,
    grace: Duration,
) -> Standing {
    let reason = match glimpse {
        Glimpse::Answers => return Standing::Present,
        Glimpse::Gone(reason) => return Standing::Lost { since: None, reason },
        Glimpse::Silent(reason) => reason,
    };
    let since = match before {
        Some(Standing::Away { since, .. } | Standing::Lost { since: Some(since), .. }) => *since,
        _ => now,
    };
    if now.saturating_sub(since) < grace {
        return Standing::Away { since, reason };
    }
    let reason = format!("away for {} s: {reason}", now.saturating_sub(since).as_secs());
    Standing::Lost { since: Some(since), reason }
}

/// What an answer says of the volume that the newest epoch record names.
pub fn glimpse(member: &Member, answer: Result<&IdentityReport, &str>) -> Glimpse {
    let identity = match answer {
        Ok(identity) => identity,
        Err(reason) => return Glimpse::Silent(reason.to_owned()),
    };
    if identity.incarnation != member.incarnation {
        return Glimpse::Silent(format!("incarnation {} answers", identity.incarnation));
    }
    if (identity.volume, identity.key) != (member.volume, member.key) {
        let reason = "its volume is empty, or another one: it has not the key of the epoch record";
        return Glimpse::Gone(reason.to_owned());
    }
    if identity.serving.state == ServingState::Refusing {
        return Glimpse::Gone(identity.serving.reason.clone());
    }
    Glimpse::Answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::{accepting_member, report};

    const GRACE: Duration = Duration::from_secs(10);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn silent() -> Glimpse {
        Glimpse::Silent("refused".to_owned())
    }

    #[test]
    fn silence_is_a_loss_only_when_it_lasts() {
        let looks = [(0, silent()), (9, silent()), (10, silent()), (11, silent())];
        let mut before = None;
        let mut lost = Vec::new();
        for (at, glimpse) in looks {
            let now = standing(before.as_ref(), glimpse, seconds(at), GRACE);
            lost.push(now.is_lost());
            before = Some(now);
        }
        assert_eq!(lost, [false, false, true, true]);
        // Back before it was replaced: it was only away.
        let back = standing(before.as_ref(), Glimpse::Answers, seconds(12), GRACE);
        assert_eq!(back, Standing::Present);
    }

    #[test]
    fn flapping_starts_the_clock_again() {
        let mut before = None;
        for at in 0..100 {
            let glimpse = if at % 9 == 0 { Glimpse::Answers } else { silent() };
            let now = standing(before.as_ref(), glimpse, seconds(at), GRACE);
            assert!(!now.is_lost(), "at {at}: {now:?}");
            before = Some(now);
        }
    }

    #[test]
    fn silence_during_an_own_partition_does_not_count() {
        let look = |before: &Standing, at| standing(Some(before), silent(), seconds(at), GRACE);
        let away = standing(None, silent(), seconds(0), GRACE);
        let cut_off = look(&away, 60).doubted(seconds(60));
        assert!(!look(&cut_off, 61).is_lost() && look(&cut_off, 70).is_lost());
        let gone = standing(None, Glimpse::Gone("empty".to_owned()), seconds(0), GRACE);
        assert!(gone.clone().doubted(seconds(60)) == gone, "that it said itself");
        assert_eq!(Standing::Present.doubted(seconds(60)), Standing::Present);
    }

    #[test]
    fn whoever_sees_the_host_has_a_word_in_it() {
        let gone = Word::Gone("its claim is lost".to_owned());
        let host_gone = Word::HostGone("out of service".to_owned());
        let cases = [
            (&gone, Glimpse::Answers, Some("its claim is lost")),
            (&gone, silent(), Some("its claim is lost")),
            (&host_gone, Glimpse::Answers, None),
            (&host_gone, silent(), Some("out of service")),
            (&Word::HostUp, silent(), None),
        ];
        for (word, seen, lost) in cases {
            let mut before = None;
            for at in [0, 1_000_000].map(seconds) {
                let now = standing(before.as_ref(), word.with(seen.clone()), at, GRACE);
                before = Some(word.weighed(now, at));
            }
            let expected = lost.map(|reason| Standing::Lost { since: None, reason: reason.into() });
            assert_eq!(before.filter(Standing::is_lost), expected, "{word:?} {seen:?}");
        }
    }

    #[test]
    fn an_empty_volume_and_an_old_copy_are_lost_at_once() {
        let member = accepting_member("a");
        assert_eq!(glimpse(&member, Ok(&report("a"))), Glimpse::Answers);
        assert_eq!(glimpse(&member, Err("refused")), silent());
        let mut empty = report("a");
        empty.volume.0[0] ^= 1;
        assert!(matches!(glimpse(&member, Ok(&empty)), Glimpse::Gone(_)));
        let mut foreign = report("a");
        foreign.key = report("b").key;
        let gone = glimpse(&member, Ok(&foreign));
        assert!(standing(None, gone, seconds(0), GRACE).is_lost());
        let mut old = report("a");
        old.serving.state = ServingState::Refusing;
        old.serving.reason = "an old copy".to_owned();
        assert_eq!(glimpse(&member, Ok(&old)), Glimpse::Gone("an old copy".to_owned()));
        // The next volume answers already: that says nothing about the old one's content.
        let mut next = report("a");
        next.incarnation.0 += 1;
        assert!(matches!(glimpse(&member, Ok(&next)), Glimpse::Silent(_)));
    }
}
