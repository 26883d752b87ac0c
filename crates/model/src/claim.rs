//! Permits, claims and releases: what registrars say about wishes for blobs.

use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::id::{BlobId, BlobName, ClaimId, Namespace, NamespaceUid, Timestamp, UploadId};
use crate::record::RegistrarRole;
use crate::statement::{RegistrarBody, Signed, StatementKind};

/// Bytes of a name.
pub(crate) const LONGEST_NAME_BYTES: usize = 253;
/// Bytes of a content type.
pub const LONGEST_CONTENT_TYPE_BYTES: usize = 255;

/// Nodes confirm no claim, and open no upload under a permit, that was signed longer ago.
pub const FRESH_MILLIS: u64 = 24 * 3600 * 1000;

/// Lets one upload begin for one Blob object, before its bytes are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// The upload; an id is good for one.
    pub upload: UploadId,
    /// The Blob object's UID.
    pub claim: ClaimId,
    /// The namespace's UID.
    pub namespace_uid: NamespaceUid,
    /// The blob's name.
    pub name: BlobName,
    /// When it was signed.
    pub signed: Timestamp,
}

/// How the content is to be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentPolicy {
    /// The media type, at most 255 bytes.
    pub content_type: String,
    /// SHA-256 of the content, as HTTP's digests want it.
    pub sha256: [u8; 32],
}

/// A blob is wanted by one Blob object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The Blob object's UID.
    pub claim: ClaimId,
    /// The namespace's name.
    pub namespace: Namespace,
    /// The namespace's UID.
    pub namespace_uid: NamespaceUid,
    /// The blob's name.
    pub name: BlobName,
    /// The content.
    pub blob: BlobId,
    /// Bytes of content.
    pub length: u64,
    /// How the content is to be handed out.
    pub policy: ContentPolicy,
    /// When the Blob object was created: decides order.
    pub created: Timestamp,
    /// When this was signed: decides age.
    pub signed: Timestamp,
}

/// A blob is no longer wanted by one Blob object, nor by older ones of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The Blob object's UID.
    pub claim: ClaimId,
    /// The namespace's UID.
    pub namespace_uid: NamespaceUid,
    /// The blob's name.
    pub name: BlobName,
    /// When the Blob object was created.
    pub created: Timestamp,
    /// When this was signed.
    pub signed: Timestamp,
}

impl Release {
    /// Whether the release ends this claim: its own, and every one of the name created earlier.
    pub fn covers(&self, claim: &Claim) -> bool {
        self.covers_name(&claim.namespace_uid, &claim.name)
            && (self.claim == claim.claim || claim.created < self.created)
    }

    /// Whether the release is about this name.
    pub fn covers_name(&self, namespace_uid: &NamespaceUid, name: &BlobName) -> bool {
        self.namespace_uid == *namespace_uid && self.name == *name
    }
}

impl RegistrarBody for Permit {
    const KIND: StatementKind = StatementKind::Permit;
    const ROLES: &'static [RegistrarRole] = &[RegistrarRole::Gateway];
}

impl RegistrarBody for Claim {
    const KIND: StatementKind = StatementKind::Claim;
    const ROLES: &'static [RegistrarRole] = &[RegistrarRole::Gateway];
}

impl RegistrarBody for Release {
    const KIND: StatementKind = StatementKind::Release;
    const ROLES: &'static [RegistrarRole] = &[RegistrarRole::Operator, RegistrarRole::Gateway];
}

/// A permit with its signature.
pub type SignedPermit = Signed<Permit>;
/// A claim with its signature.
pub type SignedClaim = Signed<Claim>;
/// A release with its signature.
pub type SignedRelease = Signed<Release>;

impl Layout for Permit {
    fn encode(&self, to: &mut Encoder) {
        to.fixed(self.upload.as_bytes());
        to.fixed(self.claim.as_bytes());
        to.fixed(self.namespace_uid.as_bytes());
        to.text(self.name.as_str());
        to.u64(self.signed.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            upload: UploadId(from.fixed("upload")?),
            claim: ClaimId(from.fixed("claim")?),
            namespace_uid: NamespaceUid(from.fixed("namespace uid")?),
            name: from.text("name", LONGEST_NAME_BYTES)?,
            signed: Timestamp(from.u64("signed")?),
        })
    }
}

impl Layout for Claim {
    fn encode(&self, to: &mut Encoder) {
        to.fixed(self.claim.as_bytes());
        to.text(self.namespace.as_str());
        to.fixed(self.namespace_uid.as_bytes());
        to.text(self.name.as_str());
        to.fixed(self.blob.as_bytes());
        to.u64(self.length);
        to.text(&self.policy.content_type);
        to.fixed(&self.policy.sha256);
        to.u64(self.created.0);
        to.u64(self.signed.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            claim: ClaimId(from.fixed("claim")?),
            namespace: from.text("namespace", LONGEST_NAME_BYTES)?,
            namespace_uid: NamespaceUid(from.fixed("namespace uid")?),
            name: from.text("name", LONGEST_NAME_BYTES)?,
            blob: BlobId(from.fixed("blob")?),
            length: from.u64("length")?,
            policy: ContentPolicy {
                content_type: from.text("content type", LONGEST_CONTENT_TYPE_BYTES)?,
                sha256: from.fixed("sha256")?,
            },
            created: Timestamp(from.u64("created")?),
            signed: Timestamp(from.u64("signed")?),
        })
    }
}

impl Layout for Release {
    fn encode(&self, to: &mut Encoder) {
        to.fixed(self.claim.as_bytes());
        to.fixed(self.namespace_uid.as_bytes());
        to.text(self.name.as_str());
        to.u64(self.created.0);
        to.u64(self.signed.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            claim: ClaimId(from.fixed("claim")?),
            namespace_uid: NamespaceUid(from.fixed("namespace uid")?),
            name: from.text("name", LONGEST_NAME_BYTES)?,
            created: Timestamp(from.u64("created")?),
            signed: Timestamp(from.u64("signed")?),
        })
    }
}
