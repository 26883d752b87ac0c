//! Peers that must prove what they say, or are left alone for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use floe_model::NodeName;

/// How long a peer whose symbols were wrong must send proofs.
const PROOF_DEMANDED: Duration = Duration::from_hours(1);
/// How long a peer that did not answer is not asked by repair.
const UNREACHABLE: Duration = Duration::from_secs(5);

/// What is held against peers, until when (monotonic).
#[derive(Default)]
pub(crate) struct Suspects {
    liars: Mutex<BTreeMap<NodeName, Duration>>,
    silent: Mutex<BTreeMap<NodeName, Duration>>,
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
}
