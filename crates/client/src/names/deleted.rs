//! Names whose content was released, and bringing it back.

use std::sync::Arc;

use floe_api::ErrorCode;
use floe_model::{
    BlobLayout, BlobName, Claim, ClaimId, EpochRecord, Member, NamespaceUid, SignedRelease,
    Threshold, UploadId,
};

use super::{PATIENCE, ResolveError, Scope, checked};
use crate::ballot::Standing;
use crate::client::Client;
use crate::committee::Committee;
use crate::failure::{NodeFailure, Phase};
use crate::read::{ReadError, manifest};
use crate::resolution::{Certified, NameAnswer, Resolution, Verdict, newest_released, resolve};
use crate::round::Round;
use crate::write::{Wanted, Wish, WriteError, Written};

/// What became of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// It has content.
    Live(Box<Certified>),
    /// Its content was released.
    Released {
        /// What it had last.
        content: Box<Certified>,
        /// The release of its newest object.
        last_release: Box<SignedRelease>,
    },
    /// Nodes know of no content that it had.
    Nothing,
}

/// Content that was not brought back.
#[derive(Debug, thiserror::Error)]
pub enum UndeleteError {
    /// Its undelete window has ended.
    #[error("the content of claim {claim} is not kept any more: its undelete window has ended")]
    Ended {
        /// The claim that was released.
        claim: ClaimId,
    },
    /// Its manifest cannot be read.
    #[error(transparent)]
    Unreadable(Box<ReadError>),
    /// The new claim was not confirmed, certified and acknowledged.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Client {
    /// What a name has, or had before it was released, by the word of nodes worth n-f shards.
    pub async fn deleted(
        &self,
        namespace_uid: NamespaceUid,
        name: &BlobName,
    ) -> Result<Deleted, ResolveError> {
        let ask = |member: Member| {
            let (peers, name) = (Arc::clone(self.peers()), name.clone());
            async move {
                let call = peers.persist(&member, PATIENCE, |nodes, to| {
                    nodes.resolve_released(to, namespace_uid, &name)
                });
                let statements = call.await?;
                let scope = Scope { namespace_uid, name: Some(name) };
                let mut names = checked(&peers, &member, scope, statements).await?;
                Ok(names.pop_first().map(|(_, answer)| answer).unwrap_or_default())
            }
        };
        let (round, standing) =
            Round::<NameAnswer>::counted(self.peers(), Committee::newest, ask).await;
        if standing != Standing::Reached {
            return Err(round.ballot.not_enough(Phase::Resolve).into());
        }
        let answers = round.ballot.answers();
        let (record, now) = (round.ballot.record(), self.unix_now());
        match resolve(record, answers, true, now) {
            Verdict::Resolved(Resolution::Found(found)) => Ok(Deleted::Live(found)),
            Verdict::Resolved(Resolution::Absent { last_release }) => {
                let content = newest_released(record, answers, now).map(Box::new);
                Ok(content.zip(last_release).map_or(Deleted::Nothing, |(content, last_release)| {
                    Deleted::Released { content, last_release }
                }))
            }
            Verdict::Unresolved { claim } => Err(ResolveError::Unresolved { claim }),
            Verdict::TooFew { .. } | Verdict::AskMore => {
                Err(round.ballot.not_enough(Phase::Resolve).into())
            }
        }
    }

    /// Gives a new object the content of a claim that was released, without its bytes: a new claim
    /// with confirmations and a certificate of its own. The wish's content type is the old one's.
    pub async fn undelete(&self, wish: Wish, content: &Claim) -> Result<Written, UndeleteError> {
        let from = content.claim;
        let record = self.peers().committee.newest();
        let layout = BlobLayout::new(record.geometry, content.length);
        let manifest = manifest(self.peers(), &record, (content.blob, layout)).await;
        let manifest = manifest.map_err(|error| match error {
            ReadError::NoManifest { failures, .. } if is_gone(&record, &failures) => {
                UndeleteError::Ended { claim: from }
            }
            error => UndeleteError::Unreadable(Box::new(error)),
        })?;
        let claim = Claim {
            claim: wish.claim,
            namespace: wish.namespace,
            namespace_uid: wish.namespace_uid,
            name: wish.name,
            created: wish.created,
            signed: self.unix_now(),
            ..content.clone()
        };
        let wanted = Wanted {
            upload: UploadId(self.peers().env.random.bytes()),
            claim: self.sign(claim, &record)?,
            record,
            manifest: manifest.encode().into(),
            adopts: Some(from),
            inline: None,
        };
        self.confirm(wanted).await.map_err(|error| match error {
            WriteError::ContentEnded { .. } => UndeleteError::Ended { claim: from },
            error => error.into(),
        })
    }
}

/// Whether nodes worth n-f shards say that they do not hold the content: it is read from the rest no
/// more, and never confirmed again.
fn is_gone(record: &EpochRecord, failures: &[NodeFailure]) -> bool {
    let denied = |it: &&NodeFailure| it.failure.code() == Some(ErrorCode::NotFound);
    let nodes = failures.iter().filter(denied).map(|it| &it.node);
    record.reaches(Threshold::Correct, nodes)
}

#[cfg(test)]
mod tests {
    use floe_api::ApiError;

    use super::*;
    use crate::failure::Failure;
    use crate::tests::fixture::record_of;

    #[test]
    fn content_is_gone_when_enough_nodes_say_so_and_silence_is_no_answer() {
        let record = record_of(4, &[1, 1, 1, 1]);
        let denied = || Failure::Refused(ApiError::not_found("blob 7 is not held here"));
        let failed = |failures: Vec<Failure>| {
            let nodes = record.members.iter().map(|member| member.node.clone());
            let failures = nodes.zip(failures);
            failures.map(|(node, failure)| NodeFailure { node, failure }).collect::<Vec<_>>()
        };
        let silent = Failure::TimedOut;
        assert!(is_gone(&record, &failed(vec![denied(), denied(), denied(), silent.clone()])));
        assert!(!is_gone(&record, &failed(vec![denied(), denied(), silent.clone(), silent])));
    }
}
