//! Confirmations and certificates: what nodes say about bytes they hold.

use crate::claim::Claim;
use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::geometry::Geometry;
use crate::id::{BlobId, ClaimId, CommitteeId, RecordHash};
use crate::keys::NodeSignature;
use crate::record::EpochRecord;
use crate::signers::{Signers, SignersError};
use crate::statement::{StatementKind, statement};

/// All pairs of a blob on all the signer's shards of the epoch are verified and on stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// The content.
    pub blob: BlobId,
    /// The committee's n and f.
    pub geometry: Geometry,
    /// Bytes of content.
    pub length: u64,
    /// The claim it is confirmed for.
    pub claim: ClaimId,
}

impl Confirmation {
    /// What a node confirms for a claim.
    pub const fn of(claim: &Claim, geometry: Geometry) -> Self {
        Self { blob: claim.blob, geometry, length: claim.length, claim: claim.claim }
    }

    /// The bytes that a node signs, the same for all nodes.
    pub fn statement(&self, committee: &CommitteeId, record: &RecordHash) -> Vec<u8> {
        statement(StatementKind::Confirm, committee, record, &self.to_bytes())
    }
}

impl Layout for Confirmation {
    fn encode(&self, to: &mut Encoder) {
        to.fixed(self.blob.as_bytes());
        self.geometry.encode(to);
        to.u64(self.length);
        to.fixed(self.claim.as_bytes());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            blob: BlobId(from.fixed("blob")?),
            geometry: Geometry::decode(from)?,
            length: from.u64("length")?,
            claim: ClaimId(from.fixed("claim")?),
        })
    }
}

/// The proof of availability: confirmations worth n-f shards of one epoch record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What was confirmed.
    pub confirmation: Confirmation,
    /// The epoch record whose shards are counted.
    pub record: RecordHash,
    /// Who confirmed.
    pub signers: Signers,
    /// The sum of their signatures.
    pub signature: NodeSignature,
}

/// A certificate that must not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is about another claim, blob or length.
    #[error("the certificate is for another {0} than the claim")]
    OtherClaim(&'static str),
    /// The signatures do not prove it.
    #[error("the certificate does not prove availability: {0}")]
    Signers(SignersError),
}

impl From<SignersError> for CertificateError {
    fn from(error: SignersError) -> Self {
        Self::Signers(error)
    }
}

impl Certificate {
    /// Gathers confirmations {member position, signature}, each checked, worth n-f shards.
    pub fn gather(
        confirmation: Confirmation,
        record: &EpochRecord,
        votes: impl IntoIterator<Item = (usize, NodeSignature)>,
    ) -> Result<Self, SignersError> {
        let hash = record.hash();
        let statement = confirmation.statement(&record.committee, &hash);
        let (signers, signature) = Signers::gather(record, &statement, votes)?;
        Ok(Self { confirmation, record: hash, signers, signature })
    }

    /// Checks the certificate against the epoch record it names and the claim it is for.
    pub fn verify(&self, record: &EpochRecord, claim: &Claim) -> Result<(), CertificateError> {
        let wanted = Confirmation::of(claim, record.geometry);
        let fields = [
            ("claim", self.confirmation.claim == wanted.claim),
            ("blob", self.confirmation.blob == wanted.blob),
            ("length", self.confirmation.length == wanted.length),
            ("geometry", self.confirmation.geometry == wanted.geometry),
        ];
        if let Some((field, _)) = fields.into_iter().find(|(_, agrees)| !agrees) {
            return Err(CertificateError::OtherClaim(field));
        }
        let hash = record.hash();
        if self.record != hash {
            return Err(SignersError::OtherRecord { found: self.record, wanted: hash }.into());
        }
        let statement = self.confirmation.statement(&record.committee, &hash);
        Ok(self.signers.verify(record, &statement, &self.signature)?)
    }
}

impl Layout for Certificate {
    fn encode(&self, to: &mut Encoder) {
        self.confirmation.encode(to);
        to.fixed(self.record.as_bytes());
        self.signers.encode(to);
        to.fixed(&self.signature.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            confirmation: Confirmation::decode(from)?,
            record: RecordHash(from.fixed("record")?),
            signers: Signers::decode(from)?,
            signature: NodeSignature(from.fixed("signature")?),
        })
    }
}
