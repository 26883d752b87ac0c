//! Signed bytes: `floe/v1/<kind>` ‖ committee id ‖ epoch record hash ‖ body. No kind is the start
//! of another one, so equal bytes mean equal statements.

use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::id::{CommitteeId, RecordHash};
use crate::keys::{KeyError, RegistrarKey, RegistrarPublicKey, RegistrarSignature};
use crate::record::{EpochRecord, RegistrarRole};

/// What a signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatementKind {
    /// An epoch record is the operator's.
    Record,
    /// A node has its key.
    Possession,
    /// A node accepted an epoch record.
    Accept,
    /// A node holds everything owed on a shard.
    Whole,
    /// A node has all its pairs of a blob on stable storage.
    Confirm,
    /// One upload may begin.
    Permit,
    /// A blob is wanted.
    Claim,
    /// A blob is no longer wanted.
    Release,
    /// Whoever shows it may write a blob's content.
    Ticket,
}

impl StatementKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Record,
        Self::Possession,
        Self::Accept,
        Self::Whole,
        Self::Confirm,
        Self::Permit,
        Self::Claim,
        Self::Release,
        Self::Ticket,
    ];

    /// The text that domain-separates the kind.
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Record => "floe/v1/record",
            Self::Possession => "floe/v1/possession",
            Self::Accept => "floe/v1/accept",
            Self::Whole => "floe/v1/whole",
            Self::Confirm => "floe/v1/confirm",
            Self::Permit => "floe/v1/permit",
            Self::Claim => "floe/v1/claim",
            Self::Release => "floe/v1/release",
            Self::Ticket => "floe/v1/ticket",
        }
    }
}

/// The bytes that are signed.
pub fn statement(
    kind: StatementKind,
    committee: &CommitteeId,
    record: &RecordHash,
    body: &[u8],
) -> Vec<u8> {
    [kind.domain().as_bytes(), committee.as_bytes(), record.as_bytes(), body].concat()
}

/// What a registrar signs.
pub trait RegistrarBody: Layout {
    /// The kind of statement.
    const KIND: StatementKind;
    /// The registrars that may sign it.
    const ROLES: &'static [RegistrarRole];
}

/// A registrar's statement with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<B> {
    /// What is said.
    pub body: B,
    /// The epoch record that names the registrar.
    pub record: RecordHash,
    /// The registrar.
    pub key: RegistrarPublicKey,
    /// Its signature.
    pub signature: RegistrarSignature,
}

/// A registrar's statement that must not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// Signed under another epoch record than the one at hand.
    #[error("the {kind} is signed under epoch record {found}, not {wanted}")]
    Record {
        /// What was read.
        kind: &'static str,
        /// The record it names.
        found: RecordHash,
        /// The record at hand.
        wanted: RecordHash,
    },
    /// The key is not a registrar's, or not of one who may say this.
    #[error("the {kind} is signed by {key}, which the epoch record does not name for it")]
    Signer {
        /// What was read.
        kind: &'static str,
        /// The key.
        key: RegistrarPublicKey,
    },
    /// The signature does not match.
    #[error("the signature of the {kind} does not match")]
    Signature {
        /// What was read.
        kind: &'static str,
        /// Why.
        #[source]
        source: KeyError,
    },
}

impl<B: RegistrarBody> Signed<B> {
    /// Signs `body` under the epoch record with hash `record`.
    pub fn sign(body: B, committee: &CommitteeId, record: RecordHash, key: &RegistrarKey) -> Self {
        let bytes = statement(B::KIND, committee, &record, &body.to_bytes());
        Self { body, record, key: key.public(), signature: key.sign(&bytes) }
    }

    /// Checks the signature against the registrars that `record` names.
    pub fn verify(&self, record: &EpochRecord) -> Result<(), SignedError> {
        let kind = B::KIND.name();
        let wanted = record.hash();
        if self.record != wanted {
            return Err(SignedError::Record { kind, found: self.record, wanted });
        }
        let named = |role: &RegistrarRole| {
            record.registrars.iter().any(|known| known.role == *role && known.key == self.key)
        };
        if !B::ROLES.iter().any(named) {
            return Err(SignedError::Signer { kind, key: self.key });
        }
        let bytes = statement(B::KIND, &record.committee, &wanted, &self.body.to_bytes());
        self.key
            .verify(&bytes, &self.signature)
            .map_err(|source| SignedError::Signature { kind, source })
    }
}

impl StatementKind {
    /// The kind as a word: "claim".
    pub fn name(self) -> &'static str {
        self.domain().trim_start_matches("floe/v1/")
    }
}

impl<B: RegistrarBody> Layout for Signed<B> {
    fn encode(&self, to: &mut Encoder) {
        self.body.encode(to);
        to.fixed(self.record.as_bytes());
        to.fixed(&self.key.0);
        to.fixed(&self.signature.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            body: B::decode(from)?,
            record: RecordHash(from.fixed("record")?),
            key: RegistrarPublicKey(from.fixed("key")?),
            signature: RegistrarSignature(from.fixed("signature")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_domain_is_the_start_of_another() {
        for one in StatementKind::ALL {
            for other in StatementKind::ALL {
                assert_eq!(one.domain().starts_with(other.domain()), one == other);
            }
        }
    }
}
