//! Peers that must prove what they say, or are left alone for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use floe_model::NodeName;

/// How long a peer whose symbols were wrong must send proofs.
const PROOF_DEMANDED: Duration = Duration::from_hours(1);
/// How long a peer that did not answer is not asked by repair.
const UNREACHABLE: Duration = Duration::from_secs(5);
/// How often that doubles for one that takes requests and lets them run out of time: each costs
/// repair half a minute, so who does that between good answers must not be asked every time.
const MOST_DOUBLINGS: u32 = 6;
/// How long without any such request until that is forgotten.
const FORGIVEN: Duration = Duration::from_mins(30);

/// What is held against peers, until when (monotonic).
#[derive(Default)]
pub(crate) struct Suspects {
    liars: Mutex<BTreeMap<NodeName, Duration>>,
    silent: Mutex<BTreeMap<NodeName, Duration>>,
    /// How often requests ran out of time, and when the last one did.
    hung: Mutex<BTreeMap<NodeName, (u32, Duration)>>,
}

impl Suspects {
    /// The peer sent something wrong.
    pub(crate) fn lied(&self, peer: &NodeName, now: Duration) {
        set(&self.liars, peer, now + PROOF_DEMANDED);
    }

    /// Whether the peer must send proofs.
    pub(crate) fn must_prove(&self, peer: &NodeName, now: Duration) -> bool {
        holds(&self.liars, peer, now)
    }

    /// The peer did not answer.
    pub(crate) fn silent(&self, peer: &NodeName, now: Duration) {
        set(&self.silent, peer, now + UNREACHABLE);
    }

    /// The peer took a request and gave no answer in time.
    pub(crate) fn hung(&self, peer: &NodeName, now: Duration) {
        let mut hung = self.hung.lock().unwrap_or_else(PoisonError::into_inner);
        let (times, last) = hung.entry(peer.clone()).or_insert((0, now));
        if now.saturating_sub(*last) > FORGIVEN {
            *times = 0;
        }
        let pause = UNREACHABLE * (1 << (*times).min(MOST_DOUBLINGS));
        (*times, *last) = (times.saturating_add(1), now);
        drop(hung);
        set(&self.silent, peer, now + pause);
    }

    /// The peer answered.
    pub(crate) fn answered(&self, peer: &NodeName) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }

    /// Whether the peer is not worth asking now.
    pub(crate) fn is_silent(&self, peer: &NodeName, now: Duration) -> bool {
        holds(&self.silent, peer, now)
    }
}

fn set(peers: &Mutex<BTreeMap<NodeName, Duration>>, peer: &NodeName, until: Duration) {
    peers.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.clone(), until);
}

fn holds(peers: &Mutex<BTreeMap<NodeName, Duration>>, peer: &NodeName, now: Duration) -> bool {
    let peers = peers.lock().unwrap_or_else(PoisonError::into_inner);
    peers.get(peer).is_some_and(|&until| now < until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspicion_ends() {
        let suspects = Suspects::default();
        let (a, b): (NodeName, NodeName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let now = Duration::from_secs(10);
        suspects.lied(&a, now);
        suspects.silent(&b, now);
        assert!(suspects.must_prove(&a, now) && !suspects.must_prove(&b, now));
        assert!(suspects.is_silent(&b, now) && !suspects.is_silent(&a, now));
        assert!(!suspects.must_prove(&a, now + PROOF_DEMANDED));
        suspects.answered(&b);
        assert!(!suspects.is_silent(&b, now));
    }

    #[test]
    fn who_hangs_again_and_again_is_asked_less_and_less() {
        let (suspects, liar) = (Suspects::default(), "liar".parse().unwrap());
        let mut now = Duration::from_secs(1);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            // A good answer in between helps it for the moment only.
            suspects.answered(&liar);
            suspects.hung(&liar, now);
            let begin = now;
            while suspects.is_silent(&liar, now) {
                now += Duration::from_secs(5);
            }
            pauses.push(now.saturating_sub(begin).as_secs());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 320, 320]);
        now += 2 * FORGIVEN;
        suspects.hung(&liar, now);
        assert!(!suspects.is_silent(&liar, now + UNREACHABLE));
    }
}
