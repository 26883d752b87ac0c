//! Writing a blob: extents are encoded and sent one after the other, then confirmed, certified and
//! acknowledged.
//!
//! ```text
//! body ─▶ Intake ─▶ encode ─▶ parcels ─▶ Upload::send ─┐ (n-f answered: the next one; the rest: a tail)
//!            ▲──────── while the one before is sent ◀──┘
//! all sent ─▶ finish (n-f confirmations) ─▶ certificate ─▶ put certificate (n-f acknowledge)
//! ```

mod encode;
mod error;
mod finish;
mod upload;

use std::sync::Arc;

use bytes::Bytes;
use floe_env::{Work, compute};
use floe_model::claim::LONGEST_CONTENT_TYPE_BYTES;
use floe_model::record::RegistrarRole;
use floe_model::{
    BlobId, BlobLayout, BlobName, Certificate, Claim, ClaimId, ContentPolicy, EpochRecord,
    ExtentIndex, Namespace, NamespaceUid, Permit, SignedClaim, StripeId, Timestamp, UploadId,
};
use floe_redstuff::Manifest;
use futures::Stream;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

pub use error::WriteError;

use crate::client::Client;
use crate::intake::{BoxError, Intake, Piece};
use encode::encode;
use finish::{Inline, Wanted};
use upload::{Sending, Upload};

/// What is to be written, but for its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The namespace's name.
    pub namespace: Namespace,
    /// The namespace's UID.
    pub namespace_uid: NamespaceUid,
    /// The blob's name.
    pub name: BlobName,
    /// The Blob object's UID: a claim id is good for one content.
    pub claim: ClaimId,
    /// When the Blob object was created: of two of one name the later is read.
    pub created: Timestamp,
    /// The media type, at most 255 bytes.
    pub content_type: String,
}

/// A blob that is available, and that nodes worth n-f shards hold completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The claim.
    pub claim: SignedClaim,
    /// Its certificate.
    pub certificate: Certificate,
    /// Shards of the nodes that acknowledged, at least n-f.
    pub acknowledged_shards: usize,
    /// The content.
    pub blob: BlobId,
    /// Bytes of content.
    pub length: u64,
}

/// What is known of the content when all its bytes have been seen.
struct Content {
    manifest: Manifest,
    sha256: [u8; 32],
}

impl Client {
    /// Writes a blob. On success nodes worth n-f shards acknowledged its certificate. After an error
    /// the write may have taken effect or not; the same wish with the same bytes may be tried again.
    pub async fn write(
        &self,
        wish: Wish,
        body: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
    ) -> Result<Written, WriteError> {
        let record = self.peers().committee.newest();
        let upload = Arc::new(self.open(&wish, Arc::clone(&record))?);
        let mut intake = Intake::new(body.boxed(), record.geometry, self.rooms().clone());
        let first = intake.next().await.map_err(WriteError::Body)?;
        let (content, inline) =
            if first.is_last && first.bytes.len() <= record.geometry.full_stripe_bytes() {
                self.encode_only(&record, first, &upload).await?
            } else {
                (self.send_all(&upload, first, &mut intake).await?, Inline::default())
            };
        let claim = self.claim(&wish, &record, &content)?;
        let certificate =
            self.finish(&upload, Wanted::new(claim.clone(), &content.manifest), inline);
        let certificate = certificate.await?;
        let acknowledged_shards = self.acknowledge(&claim, &certificate).await?;
        let (blob, length) = (claim.body.blob, claim.body.length);
        Ok(Written { claim, certificate, acknowledged_shards, blob, length })
    }

    /// Signs the permit.
    fn open(&self, wish: &Wish, record: Arc<EpochRecord>) -> Result<Upload, WriteError> {
        let key = self.registrar().ok_or(WriteError::NotRegistrar)?;
        if !record.registrars(RegistrarRole::Gateway).any(|known| *known == key.public()) {
            return Err(WriteError::NotRegistrar);
        }
        let length = wish.content_type.len();
        if length > LONGEST_CONTENT_TYPE_BYTES {
            return Err(WriteError::ContentType { length });
        }
        let permit = Permit {
            upload: UploadId(self.peers().env.random.bytes()),
            claim: wish.claim,
            namespace_uid: wish.namespace_uid,
            name: wish.name.clone(),
            signed: self.unix_now(),
        };
        let permit = floe_model::Signed::sign(permit, &record.committee, record.hash(), key);
        Ok(Upload::new(Arc::clone(self.peers()), record, permit))
    }

    fn claim(
        &self,
        wish: &Wish,
        record: &EpochRecord,
        content: &Content,
    ) -> Result<SignedClaim, WriteError> {
        let key = self.registrar().ok_or(WriteError::NotRegistrar)?;
        let claim = Claim {
            claim: wish.claim,
            namespace: wish.namespace.clone(),
            namespace_uid: wish.namespace_uid,
            name: wish.name.clone(),
            blob: content.manifest.id(),
            length: content.manifest.layout().length(),
            policy: ContentPolicy {
                content_type: wish.content_type.clone(),
                sha256: content.sha256,
            },
            created: wish.created,
            signed: self.unix_now(),
        };
        Ok(floe_model::Signed::sign(claim, &record.committee, record.hash(), key))
    }

    /// A blob of one stripe: its extent travels inside `finish`.
    async fn encode_only(
        &self,
        record: &Arc<EpochRecord>,
        only: Piece,
        upload: &Upload,
    ) -> Result<(Content, Inline), WriteError> {
        let env = &self.peers().env;
        let length = only.bytes.len() as u64;
        let work = (only, Sha256::new());
        let (outgoing, digest) = encode(env, self.rooms(), record.geometry, work).await?;
        let layout = BlobLayout::new(record.geometry, length);
        let content = content(layout, outgoing.stripe_ids.clone(), digest)?;
        let share = Arc::clone(record);
        let job = move || outgoing.inline(&share);
        let (extents, held) = compute(&*env.compute, Work::Foreground, job).await??;
        Ok((content, Inline::new(extents, upload.permit(), held)))
    }

    /// Extent k+1 is encoded, and k+2 received, while k is sent.
    async fn send_all(
        &self,
        upload: &Arc<Upload>,
        first: Piece,
        intake: &mut Intake,
    ) -> Result<Content, WriteError> {
        let mut sent = Sent::default();
        let mut piece = Some(first);
        while let Some(current) = piece {
            let following = follow(intake, current.is_last);
            // Side by side: what holds room further down must not wait for a body's bytes.
            let ((), following) =
                futures::try_join!(self.pass_on(upload, &mut sent, current), following)?;
            piece = following;
        }
        if let Some(last) = sent.sending {
            last.settled().await?;
        }
        content(BlobLayout::new(upload.record().geometry, sent.length), sent.ids, sent.digest)
    }

    /// Encodes an extent, and begins to send it when the one before may be forgotten.
    async fn pass_on(
        &self,
        upload: &Arc<Upload>,
        sent: &mut Sent,
        piece: Piece,
    ) -> Result<(), WriteError> {
        let (record, env) = (upload.record(), &self.peers().env);
        sent.length += piece.bytes.len() as u64;
        let work = (piece, std::mem::take(&mut sent.digest));
        let (outgoing, digest) = encode(env, self.rooms(), record.geometry, work).await?;
        sent.digest = digest;
        sent.ids.extend_from_slice(&outgoing.stripe_ids);
        let parcels = outgoing.parcels(env, record).await?;
        if let Some(before) = sent.sending.take() {
            before.settled().await?;
        }
        let next = sent.next.checked_add(1).ok_or(WriteError::TooLong)?;
        let extent = ExtentIndex(std::mem::replace(&mut sent.next, next));
        sent.sending = Some(upload.send(extent, parcels));
        Ok(())
    }
}

/// How far an upload has come.
#[derive(Default)]
struct Sent {
    digest: Sha256,
    ids: Vec<StripeId>,
    length: u64,
    /// The number of the next extent.
    next: u32,
    /// The last extent, on its way.
    sending: Option<Sending>,
}

async fn follow(intake: &mut Intake, ended: bool) -> Result<Option<Piece>, WriteError> {
    if ended { Ok(None) } else { Ok(Some(intake.next().await.map_err(WriteError::Body)?)) }
}

fn content(layout: BlobLayout, ids: Vec<StripeId>, digest: Sha256) -> Result<Content, WriteError> {
    let manifest = Manifest::new(layout, ids).map_err(WriteError::encoding)?;
    Ok(Content { manifest, sha256: digest.finalize().into() })
}

#[cfg(test)]
pub(crate) mod tests;
