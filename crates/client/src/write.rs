//! Writing a blob: extents are encoded and sent one after the other, then confirmed, certified and
//! acknowledged.
//!
//! ```text
//! body ─▶ Intake ─▶ encode ─▶ Outgoing ─▶ Upload::send ─┐ (n-f answered: the next one; the rest: a tail)
//!            ▲──────── while the one before is sent ◀──┘
//! all sent ─▶ finish (n-f confirmations) ─▶ certificate ─▶ put certificate (n-f acknowledge)
//! ```

mod encode;
mod error;
mod finish;
mod upload;

use std::sync::Arc;

use bytes::Bytes;
use floe_model::claim::LONGEST_CONTENT_TYPE_BYTES;
use floe_model::record::RegistrarRole;
use floe_model::statement::RegistrarBody;
use floe_model::{
    BlobId, BlobLayout, BlobName, Certificate, Claim, ClaimId, ContentPolicy, EpochRecord,
    ExtentIndex, Namespace, NamespaceUid, Permit, Signed, SignedClaim, StripeId, Timestamp,
    UploadId,
};
use floe_redstuff::Manifest;
use futures::Stream;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

pub use error::WriteError;
pub(crate) use finish::Wanted;

use crate::client::Client;
use crate::intake::{BoxError, Intake, Piece};
use crate::round::MOST_EPOCHS;
use crate::stock::Stock;
use encode::{Means, encode};
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
    ///
    /// An upload goes on under the epoch record that it was opened under; when too few nodes of that
    /// record are left to count, it is confirmed and certified anew under the newest one.
    pub async fn write(
        &self,
        wish: Wish,
        body: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
    ) -> Result<Written, WriteError> {
        let record = self.peers().committee.newest();
        let upload = self.open(&wish, Arc::clone(&record))?;
        let stock = self.stocks().current();
        let source = (self.rooms().clone(), Arc::clone(&stock));
        let mut intake = Intake::new(body.boxed(), record.geometry, source);
        let first = intake.next().await.map_err(WriteError::Body)?;
        let wanted = if first.is_last && first.bytes.len() <= record.geometry.full_stripe_bytes() {
            self.encode_only(&wish, (first, &stock), &upload).await?
        } else {
            let upload = self.begin(upload).await?;
            let content = self.send_all(&upload, first, (&mut intake, &stock)).await?;
            let claim = self.claim(&wish, upload.record(), &content)?;
            Wanted::new(&upload, claim, &content.manifest)
        };
        self.confirm(wanted).await
    }

    /// Signs the permit.
    fn open(&self, wish: &Wish, record: Arc<EpochRecord>) -> Result<Upload, WriteError> {
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
        let permit = self.sign(permit, &record)?;
        Ok(Upload::new(Arc::clone(self.peers()), record, permit))
    }

    /// Has nodes worth n-f shards open the upload: under a newer record if they ask for it.
    async fn begin(&self, upload: Upload) -> Result<Arc<Upload>, WriteError> {
        let mut upload = Arc::new(upload);
        for _ in 1..MOST_EPOCHS {
            let Err(error) = upload.begin().await else { return Ok(upload) };
            let newest = self.peers().committee.newest();
            if newest.number == upload.record().number {
                return Err(error);
            }
            let permit = self.sign(upload.permit().body.clone(), &newest)?;
            upload = Arc::new(Upload::new(Arc::clone(self.peers()), newest, permit));
        }
        upload.begin().await.map(|()| upload)
    }

    /// A gateway's statement under a record.
    pub(crate) fn sign<B: RegistrarBody>(
        &self,
        body: B,
        record: &EpochRecord,
    ) -> Result<Signed<B>, WriteError> {
        let key = self.registrar().ok_or(WriteError::NotRegistrar)?;
        if !record.registrars(RegistrarRole::Gateway).any(|known| *known == key.public()) {
            return Err(WriteError::NotRegistrar);
        }
        Ok(Signed::sign(body, &record.committee, record.hash(), key))
    }

    fn claim(
        &self,
        wish: &Wish,
        record: &EpochRecord,
        content: &Content,
    ) -> Result<SignedClaim, WriteError> {
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
        self.sign(claim, record)
    }

    /// A blob of one stripe: its extent travels inside `finish`.
    async fn encode_only(
        &self,
        wish: &Wish,
        (only, stock): (Piece, &Arc<Stock>),
        upload: &Upload,
    ) -> Result<Wanted, WriteError> {
        let geometry = upload.record().geometry;
        let length = only.bytes.len() as u64;
        let work = (only, Sha256::new());
        let (outgoing, digest) = encode(self.means(stock), geometry, work).await?;
        let ids = outgoing.stripe_ids.clone();
        let content = content(BlobLayout::new(geometry, length), ids, digest)?;
        let claim = self.claim(wish, upload.record(), &content)?;
        let inline = Some((upload.permit().clone(), Arc::new(outgoing)));
        Ok(Wanted { inline, ..Wanted::new(upload, claim, &content.manifest) })
    }

    fn means<'a>(&'a self, stock: &'a Arc<Stock>) -> Means<'a> {
        Means { env: &self.peers().env, rooms: self.rooms(), stock }
    }

    /// Extent k+1 is encoded, and k+2 received, while k is sent.
    async fn send_all(
        &self,
        upload: &Arc<Upload>,
        first: Piece,
        (intake, stock): (&mut Intake, &Arc<Stock>),
    ) -> Result<Content, WriteError> {
        let mut sent = Sent::default();
        let mut piece = Some(first);
        while let Some(current) = piece {
            let following = follow(intake, current.is_last);
            // Side by side: what holds room further down must not wait for a body's bytes.
            let ((), following) =
                futures::try_join!(self.pass_on(upload, &mut sent, (current, stock)), following)?;
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
        (piece, stock): (Piece, &Arc<Stock>),
    ) -> Result<(), WriteError> {
        let geometry = upload.record().geometry;
        sent.length += piece.bytes.len() as u64;
        let work = (piece, std::mem::take(&mut sent.digest));
        let (outgoing, digest) = encode(self.means(stock), geometry, work).await?;
        sent.digest = digest;
        sent.ids.extend_from_slice(&outgoing.stripe_ids);
        if let Some(before) = sent.sending.take() {
            before.settled().await?;
        }
        let next = sent.next.checked_add(1).ok_or(WriteError::TooLong)?;
        let extent = ExtentIndex(std::mem::replace(&mut sent.next, next));
        sent.sending = Some(upload.send(extent, outgoing));
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
