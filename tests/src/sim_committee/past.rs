//! The past: statements that were true once, with good signatures, shown again by a node that lies or
//! by whoever kept them.

use std::sync::Arc;

use bytes::Bytes;
use floe_api::Call;
use floe_api::messages::{
    Acknowledgement, CertificateAnswer, CertifiedClaim, Change, Changes, CursorAnswer, Digests,
    Encode, EpochHint, NameStatement, ReleaseAnswer, ReleaseState, Statements,
};
use floe_env::Random;
use floe_model::catalog::BucketDigest;
use floe_model::{
    BlobName, CatalogEntry, ClaimId, FeedPosition, NamespaceUid, SignedRelease, VolumeId,
};
use http::{Response, StatusCode};

use super::{ByHand, Impostor, World};

/// Statements that nodes showed at some time.
#[derive(Debug, Clone, Default)]
pub struct Past {
    claims: Vec<CertifiedClaim>,
    releases: Vec<SignedRelease>,
}

impl Past {
    /// Writes down what the nodes that run show now.
    pub async fn note(&mut self, world: &World, hand: &ByHand) {
        for node in world.running() {
            let Ok(shown) = hand.nodes.changes(&world.target(&node), None, 0).await else {
                continue;
            };
            for change in shown.value.entries {
                self.add(change.entry);
            }
        }
    }

    fn add(&mut self, entry: CatalogEntry) {
        match entry {
            CatalogEntry::Claim(claim, certificate) => {
                let known = |it: &CertifiedClaim| it.claim.body.claim == claim.body.claim;
                if !self.claims.iter().any(known) {
                    let (claim, certificate) = (*claim, *certificate);
                    self.claims.push(CertifiedClaim { claim, certificate });
                }
            }
            CatalogEntry::Release(release) => {
                let known = |it: &SignedRelease| it.body.claim == release.body.claim;
                if !self.releases.iter().any(known) {
                    self.releases.push(*release);
                }
            }
            _ => {}
        }
    }

    /// Hands one of the statements to a node that runs; what it says to that is its own affair.
    pub async fn replay(&self, world: &World, hand: &ByHand) {
        let pick = |count: usize| usize::try_from(world.random().below(count as u64)).unwrap();
        let nodes = world.running();
        let target = world.target(&nodes[pick(nodes.len())]);
        if !self.claims.is_empty() {
            let certified = &self.claims[pick(self.claims.len())];
            let answer = hand.nodes.put_certificate(&target, certified).await;
            let said = answer.map(|answer| answer.value).map_err(|error| error.to_string());
            let (claim, name) = (certified.claim.body.claim, &certified.claim.body.name);
            world.log().note("past", format!("{claim} of {name} to {}: {said:?}", target.node));
        }
        if !self.releases.is_empty() {
            let release = &self.releases[pick(self.releases.len())];
            let answer = hand.nodes.put_release(&target, release).await;
            let said = answer.map(|answer| answer.value).map_err(|error| error.to_string());
            let (claim, name) = (release.body.claim, &release.body.name);
            world.log().note("past", format!("end of {claim} of {name}: {said:?}"));
        }
    }

    /// A node that shows every claim as live, knows no release, and says yes to everything that
    /// costs it nothing.
    pub fn impostor(&self, world: &World) -> Impostor {
        let past = self.clone();
        let record = world.record();
        let accepted = EpochHint { number: record.number, hash: record.hash() };
        Arc::new(move |call, _| past.answer(call, accepted))
    }

    fn answer(&self, call: &Call, accepted: EpochHint) -> Option<Response<Bytes>> {
        let ok = StatusCode::OK;
        Some(match call {
            Call::Changes { after, .. } => {
                let head = FeedPosition {
                    volume: VolumeId([0xba; 16]),
                    sequence: self.claims.len() as u64,
                };
                let behind = after.filter(|after| after.volume == head.volume);
                let behind = behind.map_or(0, |after| after.sequence);
                if behind >= head.sequence {
                    return None;
                }
                let entries = (1..).zip(&self.claims).map(|(sequence, certified)| Change {
                    sequence,
                    entry: CatalogEntry::Claim(
                        Box::new(certified.claim.clone()),
                        Box::new(certified.certificate.clone()),
                    ),
                });
                let entries = entries.filter(|change| change.sequence > behind).collect();
                Changes { head, accepted, seal: [7; 32], entries }.to_response(ok)
            }
            Call::Resolve { namespace_uid, name, .. } => self.of_name(namespace_uid, name),
            Call::Bucket { after, .. } => self.behind(*after),
            Call::Cursor { .. } => CursorAnswer { head: None }.to_response(ok),
            Call::Digests => Digests(vec![BucketDigest::default(); 1024]).to_response(ok),
            Call::PutCertificate { .. } => {
                let state = Acknowledgement::Acknowledged;
                CertificateAnswer { state, missing_slivers: 0 }.to_response(ok)
            }
            Call::PutRelease { .. } => {
                ReleaseAnswer { state: ReleaseState::Stored }.to_response(ok)
            }
            _ => return None,
        })
    }

    fn of_name(&self, namespace_uid: &NamespaceUid, name: &BlobName) -> Response<Bytes> {
        let of_name = self.claims.iter().filter(|it| {
            it.claim.body.namespace_uid == *namespace_uid && it.claim.body.name == *name
        });
        shown(of_name)
    }

    fn behind(&self, after: Option<ClaimId>) -> Response<Bytes> {
        shown(self.claims.iter().filter(|it| after.is_none_or(|after| it.claim.body.claim > after)))
    }
}

fn shown<'a>(claims: impl Iterator<Item = &'a CertifiedClaim>) -> Response<Bytes> {
    let items = claims.map(|it| NameStatement::Certified(Box::new(it.clone()))).collect();
    Statements { items, complete: true }.to_response(StatusCode::OK)
}
