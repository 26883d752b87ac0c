//! The end of a write: confirmations, the certificate, acknowledgements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_api::messages::{
    Acknowledgement, CertifiedClaim, Confirmed, Extent, Finish, FinishAnswer, InlineExtent,
};
use floe_env::{Work, compute};
use floe_model::keys::NodeSignature;
use floe_model::{
    Certificate, Confirmation, EpochRecord, Member, SignedClaim, SignedPermit, SignersError,
};
use floe_redstuff::Manifest;

use crate::ballot::{Ballot, Standing};
use crate::budget::Held;
use crate::client::Client;
use crate::failure::{Failure, Phase};
use crate::peers::Peers;
use crate::round::Round;
use crate::write::WriteError;
use crate::write::upload::Upload;

/// How long a node may rebuild what it lacks, or be away, before it is given up.
const CONFIRM_PATIENCE: Duration = Duration::from_mins(2);
const ACKNOWLEDGE_PATIENCE: Duration = Duration::from_mins(1);
/// Epoch records that may come into force under one acknowledgement.
const MOST_EPOCHS: usize = 4;

/// What is to be confirmed.
#[derive(Clone)]
pub(crate) struct Wanted {
    claim: SignedClaim,
    manifest: Bytes,
}

impl Wanted {
    pub(crate) fn new(claim: SignedClaim, manifest: &Manifest) -> Self {
        Self { claim, manifest: Bytes::from(manifest.encode()) }
    }
}

/// The only extent, for each member, when it travels inside `finish`.
#[derive(Default)]
pub(crate) struct Inline {
    extents: BTreeMap<usize, InlineExtent<Bytes>>,
    held: Held,
}

impl Inline {
    pub(crate) fn new(
        extents: BTreeMap<usize, Extent<Bytes>>,
        permit: &SignedPermit,
        held: Held,
    ) -> Self {
        let inline = |extent| InlineExtent { permit: permit.clone(), extent };
        let extents = extents.into_iter().map(|(member, extent)| (member, inline(extent)));
        Self { extents: extents.collect(), held }
    }
}

impl Client {
    /// Collects confirmations worth n-f shards.
    pub(crate) async fn finish(
        &self,
        upload: &Upload,
        wanted: Wanted,
        inline: Inline,
    ) -> Result<Certificate, WriteError> {
        let Inline { mut extents, held } = inline;
        let record = Arc::clone(upload.record());
        let id = upload.permit().body.upload;
        let finishes: BTreeMap<usize, Finish<Bytes>> = (0..record.members.len())
            .map(|member| {
                let Wanted { claim, manifest } = wanted.clone();
                (member, Finish { claim, manifest, inline: extents.remove(&member) })
            })
            .collect();
        let mut round = Round::start(self.peers(), Arc::clone(&record), |position, member| {
            let (peers, finish) = (Arc::clone(self.peers()), finishes.get(&position).cloned());
            let record = Arc::clone(&record);
            async move {
                let finish = finish.ok_or(Failure::TimedOut)?;
                let attempt = || async {
                    let call =
                        peers.call(&member, |nodes, to| nodes.finish(to, id, finish.clone()));
                    confirmed(&record, &member, call.await?)
                };
                peers.insist(&member, CONFIRM_PATIENCE, attempt).await
            }
        });
        drop(finishes);
        loop {
            if round.settle().await != Standing::Reached {
                let claim = wanted.claim.body.claim;
                return Err(WriteError::of_ballot(&round.ballot, Phase::Confirm, claim));
            }
            let confirmation = Confirmation::of(&wanted.claim.body, record.geometry);
            if let Some(certificate) = gather(self.peers(), &mut round.ballot, confirmation).await?
            {
                round.leave(held);
                return Ok(certificate);
            }
        }
    }

    /// Hands the certificate to all nodes until those worth n-f shards acknowledged it; counted over
    /// the newest record that any answer names. Gives the shards of those who did. A certificate that
    /// was merely found may be known to one node alone: before anyone is told that the blob is
    /// durable, it must be handed on like this.
    pub async fn acknowledge(
        &self,
        claim: &SignedClaim,
        certificate: &Certificate,
    ) -> Result<usize, WriteError> {
        let certified =
            Arc::new(CertifiedClaim { claim: claim.clone(), certificate: certificate.clone() });
        let mut epochs = 0;
        loop {
            let record = self.peers().committee.newest();
            let mut round = Round::start(self.peers(), Arc::clone(&record), |_, member| {
                let (peers, certified) = (Arc::clone(self.peers()), Arc::clone(&certified));
                async move { acknowledged(&peers, &member, &certified).await }
            });
            let standing = round.settle().await;
            epochs += 1;
            let is_newest = self.peers().committee.newest().number == record.number;
            if standing == Standing::Reached && is_newest {
                let shards = round.ballot.answered_shards();
                round.leave(None);
                return Ok(shards);
            }
            if is_newest || epochs >= MOST_EPOCHS {
                let claim = claim.body.claim;
                return Err(WriteError::of_ballot(&round.ballot, Phase::Acknowledge, claim));
            }
        }
    }
}

/// A confirmation of this member under this record; its signature is checked when all are gathered.
fn confirmed(
    record: &EpochRecord,
    member: &Member,
    answer: FinishAnswer,
) -> Result<NodeSignature, Failure> {
    match answer {
        FinishAnswer::Confirmed(Confirmed { node, incarnation, record: under, signature }) => {
            if (&node, incarnation) != (&member.node, member.incarnation) {
                return Err(Failure::Protocol(format!("the confirmation of {node}-{incarnation}")));
            }
            if under != record.hash() {
                return Err(Failure::Protocol(format!("confirmed under epoch record {under}")));
            }
            Ok(signature)
        }
        FinishAnswer::Rebuilding { missing_slivers, retry_after_seconds } => {
            let retry_after_seconds = Some(retry_after_seconds);
            Err(Failure::Incomplete { missing_slivers, retry_after_seconds })
        }
    }
}

/// The certificate of the confirmations at hand; `None` after one of them was found forged and taken
/// out.
async fn gather(
    peers: &Peers,
    ballot: &mut Ballot<NodeSignature>,
    confirmation: Confirmation,
) -> Result<Option<Certificate>, WriteError> {
    let (record, votes) = (Arc::clone(ballot.record()), ballot.answers().clone());
    let job = move || Certificate::gather(confirmation, &record, votes);
    match compute(&*peers.env.compute, Work::Foreground, job).await? {
        Ok(certificate) => Ok(Some(certificate)),
        Err(SignersError::Member { member, source }) => {
            if let Some(named) = ballot.record().members.get(member).cloned() {
                let failure = peers.unverifiable(&named, format!("a confirmation: {source}"));
                ballot.reject(member, failure);
            }
            Ok(None)
        }
        Err(error) => Err(WriteError::encoding(error)),
    }
}

async fn acknowledged(
    peers: &Peers,
    member: &Member,
    certified: &CertifiedClaim,
) -> Result<(), Failure> {
    let attempt = || async {
        let answer = peers.call(member, |nodes, to| nodes.put_certificate(to, certified)).await?;
        match answer.state {
            Acknowledgement::Acknowledged => Ok(()),
            Acknowledgement::Incomplete => Err(Failure::Incomplete {
                missing_slivers: answer.missing_slivers,
                retry_after_seconds: None,
            }),
        }
    };
    peers.insist(member, ACKNOWLEDGE_PATIENCE, attempt).await
}
