//! Which members of an epoch record signed one statement together.

use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::id::RecordHash;
use crate::keys::{KeyError, NodePublicKey, NodeSignature};
use crate::quorum::{Tally, Threshold};
use crate::record::EpochRecord;

/// Bytes of a bitmap over the most members.
const MOST_BITMAP_BYTES: usize = 32;

/// Signatures that do not prove what they should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignersError {
    /// Made under another epoch record.
    #[error("signed under epoch record {found}, not {wanted}")]
    OtherRecord {
        /// The record it names.
        found: RecordHash,
        /// The record at hand.
        wanted: RecordHash,
    },
    /// Too few shards stand behind it.
    #[error("signed by nodes worth {have} shards, {need} are needed")]
    TooFew {
        /// Shards of the signers.
        have: usize,
        /// n-f.
        need: usize,
    },
    /// A member is named that the record does not have.
    #[error("member {0} is named, the epoch record has fewer")]
    NoMember(usize),
    /// A member signed twice.
    #[error("member {0} is counted twice")]
    Duplicate(usize),
    /// One member's signature is wrong.
    #[error("the signature of member {member} does not match")]
    Member {
        /// The position in the record's list.
        member: usize,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The sum is wrong.
    #[error("the aggregate signature does not match")]
    Aggregate(#[source] KeyError),
}

/// A bitmap over an epoch record's list of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers(Vec<u8>);

impl Signers {
    /// The positions that are set, rising.
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        let bit = |position: &usize| self.0[position / 8] & (1 << (position % 8)) != 0;
        (0..self.0.len() * 8).filter(bit)
    }

    fn of(members: usize, positions: impl Iterator<Item = usize>) -> Self {
        let mut bitmap = vec![0; members.div_ceil(8)];
        for position in positions {
            if let Some(byte) = bitmap.get_mut(position / 8) {
                *byte |= 1 << (position % 8);
            }
        }
        Self(bitmap)
    }

    /// Checks the votes {position, signature} over `statement`, and adds up a quorum of n-f shards.
    /// Only when their sum does not hold is each looked at by itself, to name a wrong one.
    pub fn gather(
        record: &EpochRecord,
        statement: &[u8],
        votes: impl IntoIterator<Item = (usize, NodeSignature)>,
    ) -> Result<(Self, NodeSignature), SignersError> {
        let mut tally = record.tally();
        let mut checked = Vec::new();
        for (position, signature) in votes {
            let member = record.members.get(position).ok_or(SignersError::NoMember(position))?;
            if !tally.add(position) {
                return Err(SignersError::Duplicate(position));
            }
            checked.push((position, member.key, signature));
        }
        let signers = Self::of(record.members.len(), tally.members());
        let signatures: Vec<NodeSignature> = checked.iter().map(|(_, _, it)| *it).collect();
        let keys: Vec<NodePublicKey> = checked.iter().map(|(_, key, _)| *key).collect();
        let sum = NodeSignature::aggregate(&signatures);
        let sum = sum.and_then(|sum| sum.verify_aggregate(statement, &keys).map(|()| sum));
        let wrong = |(position, key, signature): &(usize, NodePublicKey, NodeSignature)| {
            let source = key.verify(statement, signature).err()?;
            Some(SignersError::Member { member: *position, source })
        };
        let sum = sum.map_err(|source| {
            checked.iter().find_map(wrong).unwrap_or(SignersError::Aggregate(source))
        });
        // Too few is what is told of too few good ones.
        if let Err(SignersError::Aggregate(_)) = sum {
            require_quorum(record, &tally)?;
        }
        let sum = sum?;
        require_quorum(record, &tally)?;
        Ok((signers, sum))
    }

    /// Checks that members worth n-f shards signed `statement`.
    pub fn verify(
        &self,
        record: &EpochRecord,
        statement: &[u8],
        signature: &NodeSignature,
    ) -> Result<(), SignersError> {
        let keys = self
            .positions()
            .map(|position| {
                let member = record.members.get(position);
                member.map(|member| member.key).ok_or(SignersError::NoMember(position))
            })
            .collect::<Result<Vec<NodePublicKey>, _>>()?;
        require_quorum(record, &Tally::of(record, self.positions()))?;
        signature.verify_aggregate(statement, &keys).map_err(SignersError::Aggregate)
    }
}

fn require_quorum(record: &EpochRecord, tally: &Tally<'_>) -> Result<(), SignersError> {
    if tally.reaches(Threshold::Correct) {
        return Ok(());
    }
    let need = Threshold::Correct.shards(record.geometry);
    Err(SignersError::TooFew { have: tally.shards(), need })
}

impl Layout for Signers {
    fn encode(&self, to: &mut Encoder) {
        to.bytes(&self.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self(from.bytes("signers", MOST_BITMAP_BYTES)?.to_vec()))
    }
}
