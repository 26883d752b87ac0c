//! The end of a write: confirmations, the certificate, acknowledgements.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_api::Pieces;
use floe_api::messages::{
    Acknowledgement, CertifiedClaim, Confirmed, Encode as _, Finish, FinishAnswer,
};
use floe_env::{Work, compute};
use floe_model::keys::NodeSignature;
use floe_model::{
    Certificate, ClaimId, Confirmation, EpochRecord, Member, SignedClaim, SignedPermit,
    SignersError, UploadId,
};
use floe_redstuff::Manifest;

use crate::ballot::{Ballot, Standing};
use crate::client::Client;
use crate::committee::Committee;
use crate::failure::{Failure, Phase};
use crate::peers::Peers;
use crate::round::{MOST_EPOCHS, Round};
use crate::write::encode::Outgoing;
use crate::write::upload::Upload;
use crate::write::{WriteError, Written};

/// How long a node may rebuild what it lacks, or be away, before it is given up.
const CONFIRM_PATIENCE: Duration = Duration::from_mins(2);
const ACKNOWLEDGE_PATIENCE: Duration = Duration::from_mins(1);

/// What is to be confirmed, and under which record.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) upload: UploadId,
    pub(crate) record: Arc<EpochRecord>,
    pub(crate) claim: SignedClaim,
    pub(crate) manifest: Bytes,
    /// Undelete: the claim whose content this one takes over.
    pub(crate) adopts: Option<ClaimId>,
    /// The content with its permit, when it travels inside `finish`.
    pub(crate) inline: Option<(SignedPermit, Arc<Outgoing>)>,
}

impl Wanted {
    /// The claim on what was uploaded.
    pub(crate) fn new(upload: &Upload, claim: SignedClaim, manifest: &Manifest) -> Self {
        Self {
            upload: upload.permit().body.upload,
            record: Arc::clone(upload.record()),
            claim,
            manifest: Bytes::from(manifest.encode()),
            adopts: None,
            inline: None,
        }
    }

    /// What every member's body begins with.
    fn front(&self) -> Bytes {
        let (claim, manifest) = (self.claim.clone(), self.manifest.clone());
        let finish = Finish { claim, manifest, adopts: self.adopts, inline: None };
        match &self.inline {
            Some((permit, _)) => finish.encode_front(permit),
            None => finish.encode(),
        }
    }

    fn body(&self, front: &Bytes, member: &Member) -> Pieces {
        match &self.inline {
            Some((_, extent)) => extent.body(member).behind(front.clone()),
            None => front.clone().into(),
        }
    }
}

impl Client {
    /// Has the blob confirmed, certified and acknowledged: anew under a newer record when the
    /// confirmations that the older one's owners gave do not count any more.
    pub(crate) async fn confirm(&self, mut wanted: Wanted) -> Result<Written, WriteError> {
        let mut epochs = 1;
        loop {
            let error = match self.certify(&mut wanted).await {
                Ok((certificate, acknowledged_shards)) => {
                    let claim = wanted.claim;
                    let (blob, length) = (claim.body.blob, claim.body.length);
                    return Ok(Written { claim, certificate, acknowledged_shards, blob, length });
                }
                Err(error) => error,
            };
            let newest = self.peers().committee.newest();
            let is_stale = newest.number > wanted.record.number;
            if !is_stale || epochs >= MOST_EPOCHS || !error.may_be_the_epoch() {
                return Err(error);
            }
            epochs += 1;
            tracing::debug!(%error, epoch = %newest.number, "a write is confirmed anew");
            wanted = self.renewed(wanted, newest)?;
        }
    }

    async fn certify(&self, wanted: &mut Wanted) -> Result<(Certificate, usize), WriteError> {
        let certificate = self.finish(wanted).await?;
        let shards = self.acknowledge(&wanted.claim, &certificate).await?;
        Ok((certificate, shards))
    }

    /// The same wish, signed under a newer record.
    fn renewed(&self, wanted: Wanted, record: Arc<EpochRecord>) -> Result<Wanted, WriteError> {
        let claim = self.sign(wanted.claim.body, &record)?;
        let signed = |(permit, inline): (SignedPermit, _)| {
            Ok::<_, WriteError>((self.sign(permit.body, &record)?, inline))
        };
        let inline = wanted.inline.map(signed).transpose()?;
        Ok(Wanted { record, claim, inline, ..wanted })
    }

    /// Collects confirmations worth n-f shards.
    async fn finish(&self, wanted: &mut Wanted) -> Result<Certificate, WriteError> {
        let (record, front) = (Arc::clone(&wanted.record), wanted.front());
        let mut round = Round::start(self.peers(), Arc::clone(&record), |_, member| {
            let (peers, record) = (Arc::clone(self.peers()), Arc::clone(&record));
            let (upload, body) = (wanted.upload, wanted.body(&front, &member));
            async move {
                let attempt = || async {
                    let call =
                        peers.call(&member, |nodes, to| nodes.finish(to, upload, body.clone()));
                    confirmed(&record, &member, call.await?)
                };
                peers.insist(&member, CONFIRM_PATIENCE, attempt).await
            }
        });
        loop {
            if round.settle().await != Standing::Reached {
                let claim = wanted.claim.body.claim;
                return Err(WriteError::of_ballot(&round.ballot, Phase::Confirm, claim));
            }
            let confirmation = Confirmation::of(&wanted.claim.body, record.geometry);
            if let Some(certificate) = gather(self.peers(), &mut round.ballot, confirmation).await?
            {
                // Those who have it help the others to it.
                round.leave(wanted.inline.take());
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
        let ask = |member: Member| {
            let (peers, certified) = (Arc::clone(self.peers()), Arc::clone(&certified));
            async move { acknowledged(&peers, &member, &certified).await }
        };
        let (round, standing) = Round::counted(self.peers(), Committee::named, ask).await;
        if standing == Standing::Reached {
            let shards = round.ballot.answered_shards();
            round.leave(());
            return Ok(shards);
        }
        Err(WriteError::of_ballot(&round.ballot, Phase::Acknowledge, claim.body.claim))
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
