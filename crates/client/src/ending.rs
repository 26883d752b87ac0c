//! Ends of claims: releasing what is no longer wanted, closing what was never certified.

use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::Closing as Answer;
use floe_env::{Work, compute};
use floe_model::record::RegistrarRole;
use floe_model::{Certificate, ClaimId, Member, Release, SignedClaim, SignedRelease};

use crate::ballot::Standing;
use crate::client::Client;
use crate::committee::Committee;
use crate::failure::{NotEnoughNodes, Phase};
use crate::names::check_certified;
use crate::nodes::Nodes;
use crate::round::Round;

/// How long a node that is needed may take to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// A claim that was not released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Too few nodes stored the release. Some may have: it may take effect later.
    #[error(transparent)]
    NotEnoughNodes(#[from] NotEnoughNodes),
    /// This client has no key that the epoch record names.
    #[error("this client has no registrar key that the epoch record names: it may only read")]
    NotRegistrar,
}

/// What became of closing a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// Nodes worth n-f shards closed it, and none of them held a certificate.
    Closed,
    /// A node held a certificate: hand it on; the closing is void.
    Certified(Box<(SignedClaim, Certificate)>),
}

impl Client {
    /// Signs and hands out the release of a claim, and of all of its name created earlier. On success
    /// nodes worth n-f shards stored it.
    pub async fn release(&self, release: &Release) -> Result<SignedRelease, ReleaseError> {
        let release = self.sign_release(release)?;
        let shared = Arc::new(release.clone());
        let ask = |member: Member| {
            let (peers, release) = (Arc::clone(self.peers()), Arc::clone(&shared));
            async move {
                let call = |nodes: &dyn Nodes, to: &_| nodes.put_release(to, &release);
                peers.persist(&member, PATIENCE, call).await
            }
        };
        let (round, standing) = Round::counted(self.peers(), Committee::named, ask).await;
        if standing != Standing::Reached {
            return Err(round.ballot.not_enough(Phase::Release).into());
        }
        round.leave(());
        Ok(release)
    }

    fn sign_release(&self, release: &Release) -> Result<SignedRelease, ReleaseError> {
        let record = self.peers().committee.newest();
        let key = self.registrar().ok_or(ReleaseError::NotRegistrar)?;
        let roles = [RegistrarRole::Gateway, RegistrarRole::Operator];
        let is_named = |role| record.registrars(role).any(|known| *known == key.public());
        if !roles.into_iter().any(is_named) {
            return Err(ReleaseError::NotRegistrar);
        }
        Ok(floe_model::Signed::sign(release.clone(), &record.committee, record.hash(), key))
    }

    /// Has nodes worth n-f shards close a claim id, so that its certificate, should one come, is
    /// acknowledged no more; or finds its certificate.
    pub async fn close(&self, claim: ClaimId) -> Result<Closing, NotEnoughNodes> {
        let ask = |member: Member| {
            let peers = Arc::clone(self.peers());
            async move {
                let call = peers.persist(&member, PATIENCE, |nodes, to| nodes.close(to, claim));
                let Answer::Certified(certified) = call.await? else {
                    return Ok(None);
                };
                let committee = Arc::clone(&peers.committee);
                let job = move || {
                    if certified.claim.body.claim == claim {
                        check_certified(&committee, &certified).map(|()| certified)
                    } else {
                        Err(format!("the claim {}", certified.claim.body.claim))
                    }
                };
                let checked = compute(&*peers.env.compute, Work::Foreground, job).await;
                checked
                    .unwrap_or_else(|stopped| Err(stopped.to_string()))
                    .map(Some)
                    .map_err(|what| peers.unverifiable(&member, what))
            }
        };
        let (round, standing) = Round::counted(self.peers(), Committee::named, ask).await;
        if let Some(found) = round.ballot.answers().values().flatten().next() {
            let found = (found.claim.clone(), found.certificate.clone());
            return Ok(Closing::Certified(Box::new(found)));
        }
        if standing != Standing::Reached {
            return Err(round.ballot.not_enough(Phase::Close));
        }
        round.leave(());
        Ok(Closing::Closed)
    }
}
