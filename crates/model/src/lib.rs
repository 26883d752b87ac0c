//! The nouns of Floe. No I/O, no async, no clock: values, their layouts, their arithmetic.
//!
//! # Signed layouts
//!
//! All integers are little-endian. `text` and `bytes` are a u32 count and the bytes; `list` is a
//! u32 count and the items. A statement is `floe/v1/<kind>` ‖ committee id (16) ‖ epoch record
//! hash (32) ‖ body; nodes sign with BLS12-381 (min-pk), registrars with Ed25519.
//!
//! | kind | signer | epoch record hash | body |
//! |---|---|---|---|
//! | `record` | operator | the record's own | – |
//! | `possession` | node | zeros | node text ‖ incarnation u32 ‖ volume 16 ‖ public key 48 |
//! | `accept` | node | the record accepted | number u64 |
//! | `whole` | node | under which it is said | shard u16 ‖ incarnation u32 |
//! | `confirm` | node | whose shards are counted | blob 32 ‖ n u16 ‖ f u16 ‖ length u64 ‖ claim 16 |
//! | `permit` | gateway | that names the key | upload 16 ‖ claim 16 ‖ namespace uid 16 ‖ name text ‖ signed u64 |
//! | `claim` | gateway | that names the key | claim 16 ‖ namespace text ‖ namespace uid 16 ‖ name text ‖ blob 32 ‖ length u64 ‖ content type text ‖ sha256 32 ‖ created u64 ‖ signed u64 |
//! | `release` | gateway, operator | that names the key | claim 16 ‖ namespace uid 16 ‖ name text ‖ created u64 ‖ signed u64 |
//! | `ticket` | operator | that names the key | claim 16 ‖ namespace text ‖ namespace uid 16 ‖ name text ‖ content type text ‖ list of sha256 32, at most one ‖ largest bytes u64 ‖ created u64 ‖ expires u64 |
//!
//! An epoch record's hash is Blake2b-256 of `floe/v1/record` ‖ the record: version u16 ‖ committee
//! 16 ‖ number u64 ‖ parent 32 ‖ forced u8 ‖ n u16 ‖ f u16 ‖ undelete window ms u64 ‖ release
//! retention ms u64 ‖ registrars list (role u8 ‖ key 32) ‖ members list (node text ‖ incarnation
//! u32 ‖ volume 16 ‖ address text ‖ zone text ‖ host text ‖ key 48 ‖ possession 96 ‖ shards list u16) ‖
//! unfilled list u16 ‖ wholes list (shard u16 ‖ node text ‖ incarnation u32 ‖ record 32 ‖ signature 96).

pub mod acceptance;
pub mod catalog;
pub mod certificate;
pub mod claim;
pub mod codec;
pub mod epochs;
pub mod frame;
pub mod geometry;
pub mod hash;
pub mod id;
pub mod keys;
pub mod margin;
pub mod quorum;
pub mod record;
pub mod seal;
pub mod signers;
pub mod statement;
pub mod ticket;
pub mod untrusted;
pub mod whole;

pub use acceptance::{Acceptance, Acceptor, CommitProof, Lineage, ProofError};
pub use catalog::{CatalogEntry, FeedPosition};
pub use certificate::{Certificate, CertificateError, Confirmation};
pub use claim::{Claim, ContentPolicy, Permit, Release, SignedClaim, SignedPermit, SignedRelease};
pub use codec::{DecodeError, Layout};
pub use epochs::{ChainError, EpochTree};
pub use geometry::{Axis, BlobLayout, ExtentShape, Geometry};
pub use hash::{Hash, hash};
pub use id::{
    BlobId, BlobName, BootId, ClaimId, CommitteeId, EpochNumber, ExtentIndex, Incarnation, LeaseId,
    Namespace, NamespaceUid, NodeName, PairIndex, RecordHash, ShardIndex, StripeId, Timestamp,
    UploadId, VolumeId,
};
pub use margin::{Survives, survives};
pub use quorum::{Tally, Threshold};
pub use record::{EpochRecord, Member, SignedRecord};
pub use seal::SealedHead;
pub use signers::{Signers, SignersError};
pub use statement::{Signed, SignedError, StatementKind, statement};
pub use ticket::{SignedTicket, TICKET_PREFIX, Ticket};
pub use untrusted::Unverified;
pub use whole::{Whole, WholeError};
