//! Epoch records: who is the committee. They form a hash chain; numbers only grow.

use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::geometry::Geometry;
use crate::hash::hash;
use crate::id::{
    CommitteeId, EpochNumber, Incarnation, NodeName, RecordHash, ShardIndex, VolumeId,
};
use crate::keys::{KeyError, NodePublicKey, NodeSignature, RegistrarPublicKey, RegistrarSignature};
use crate::quorum::{Tally, Threshold};
use crate::statement::{StatementKind, statement};
use crate::whole::Whole;

/// The version of the record layout that this program writes and reads.
pub const RECORD_VERSION: u16 = 1;
/// Members a record may name.
const MOST_MEMBERS: usize = 256;
/// Registrar keys a record may name.
const MOST_REGISTRARS: usize = 16;
/// Bytes of an address or a zone.
pub(crate) const LONGEST_TEXT_BYTES: usize = 253;

/// The parent of record 0.
pub const NO_PARENT: RecordHash = RecordHash([0; 32]);

/// Who a registrar key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrarRole {
    /// Proposes records, signs releases.
    Operator,
    /// Signs permits, claims and releases.
    Gateway,
}

/// A key that may sign for applications and the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registrar {
    /// Whose it is.
    pub role: RegistrarRole,
    /// The key.
    pub key: RegistrarPublicKey,
}

/// What holds for all blobs of a committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long released content is kept.
    pub undelete_window_millis: u64,
    /// How long releases are kept.
    pub release_retention_millis: u64,
}

impl Default for Policy {
    /// 7 days, 30 days.
    fn default() -> Self {
        const DAY: u64 = 24 * 3600 * 1000;
        Self { undelete_window_millis: 7 * DAY, release_retention_millis: 30 * DAY }
    }
}

/// A storage node with its volume and its shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// The volume's id.
    pub volume: VolumeId,
    /// Host and port of its internal API.
    pub address: String,
    /// Its zone, empty if it has none.
    pub zone: String,
    /// The host that it runs on; empty for one of its own.
    pub host: String,
    /// Its key.
    pub key: NodePublicKey,
    /// The proof that it has the key.
    pub possession: NodeSignature,
    /// Its shards, rising; none for one that leaves, until those it had are whole elsewhere.
    pub shards: Vec<ShardIndex>,
}

/// A node's proof that it has its key, as the statement it signs.
pub fn possession_statement(
    committee: &CommitteeId,
    node: &NodeName,
    incarnation: Incarnation,
    volume: &VolumeId,
    key: &NodePublicKey,
) -> Vec<u8> {
    let mut body = Encoder::default();
    body.text(node.as_str());
    body.u32(incarnation.0);
    body.fixed(volume.as_bytes());
    body.fixed(&key.0);
    statement(StatementKind::Possession, committee, &NO_PARENT, &body.finish())
}

impl Member {
    /// Checks the proof that the node has its key.
    pub fn verify_possession(&self, committee: &CommitteeId) -> Result<(), KeyError> {
        let statement =
            possession_statement(committee, &self.node, self.incarnation, &self.volume, &self.key);
        self.key.verify_possession(&statement, &self.possession)
    }
}

/// Who is the committee, from one moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// The committee, for its life.
    pub committee: CommitteeId,
    /// Above its parent's.
    pub number: EpochNumber,
    /// The record it follows; `NO_PARENT` for record 0.
    pub parent: RecordHash,
    /// A human decided where the rules could not.
    pub forced: bool,
    /// n and f, for the committee's life.
    pub geometry: Geometry,
    /// What holds for all blobs.
    pub policy: Policy,
    /// Who may sign for applications and the control plane.
    pub registrars: Vec<Registrar>,
    /// The storage nodes, by name.
    pub members: Vec<Member>,
    /// Shards whose owner or incarnation changed and that have no `whole` since, rising.
    pub unfilled: Vec<ShardIndex>,
    /// Why shards that were unfilled in the parent are not any more, by shard.
    pub wholes: Vec<Whole>,
}

impl EpochRecord {
    /// The hash that children, statements and proofs name.
    pub fn hash(&self) -> RecordHash {
        RecordHash(hash(&[StatementKind::Record.domain().as_bytes(), &self.to_bytes()]).0)
    }

    /// The position of a node in `members`.
    pub fn position(&self, node: &NodeName) -> Option<usize> {
        self.members.iter().position(|member| member.node == *node)
    }

    /// The member with this name.
    pub fn member(&self, node: &NodeName) -> Option<&Member> {
        self.members.iter().find(|member| member.node == *node)
    }

    /// The position of the member that owns a shard.
    pub fn owner(&self, shard: ShardIndex) -> Option<usize> {
        self.members.iter().position(|member| member.shards.contains(&shard))
    }

    /// The registrar keys of a role.
    pub fn registrars(
        &self,
        role: RegistrarRole,
    ) -> impl Iterator<Item = &RegistrarPublicKey> + '_ {
        self.registrars.iter().filter(move |known| known.role == role).map(|known| &known.key)
    }
}

impl Layout for EpochRecord {
    fn encode(&self, to: &mut Encoder) {
        to.u16(RECORD_VERSION);
        to.fixed(self.committee.as_bytes());
        to.u64(self.number.0);
        to.fixed(self.parent.as_bytes());
        to.u8(u8::from(self.forced));
        self.geometry.encode(to);
        to.u64(self.policy.undelete_window_millis);
        to.u64(self.policy.release_retention_millis);
        to.list(&self.registrars, |to, registrar| {
            to.u8(match registrar.role {
                RegistrarRole::Operator => 1,
                RegistrarRole::Gateway => 2,
            });
            to.fixed(&registrar.key.0);
        });
        to.list(&self.members, |to, member| member.encode(to));
        encode_shards(to, &self.unfilled);
        to.list(&self.wholes, |to, whole| whole.encode(to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let found = from.u16("record version")?;
        if found != RECORD_VERSION {
            let what = "the epoch record";
            return Err(DecodeError::Version { what, found, known: RECORD_VERSION });
        }
        Ok(Self {
            committee: CommitteeId(from.fixed("committee")?),
            number: EpochNumber(from.u64("number")?),
            parent: RecordHash(from.fixed("parent")?),
            forced: decode_flag(from, "forced")?,
            geometry: Geometry::decode(from)?,
            policy: Policy {
                undelete_window_millis: from.u64("undelete window")?,
                release_retention_millis: from.u64("release retention")?,
            },
            registrars: from.list("registrars", MOST_REGISTRARS, |from| {
                let role = match from.u8("registrar role")? {
                    1 => RegistrarRole::Operator,
                    2 => RegistrarRole::Gateway,
                    other => return Err(DecodeError::invalid("registrar role", other)),
                };
                Ok(Registrar { role, key: RegistrarPublicKey(from.fixed("registrar key")?) })
            })?,
            members: from.list("members", MOST_MEMBERS, Member::decode)?,
            unfilled: decode_shards(from, "unfilled")?,
            wholes: decode_wholes(from)?,
        })
    }
}

fn decode_flag(from: &mut Decoder<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match from.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(DecodeError::invalid(field, other)),
    }
}

fn encode_shards(to: &mut Encoder, shards: &[ShardIndex]) {
    to.list(shards, |to, shard| to.u16(shard.0));
}

fn decode_shards(
    from: &mut Decoder<'_>,
    field: &'static str,
) -> Result<Vec<ShardIndex>, DecodeError> {
    let shards = from.list(field, MOST_MEMBERS, |from| from.u16(field).map(ShardIndex))?;
    if shards.is_sorted_by(|one, next| one < next) {
        Ok(shards)
    } else {
        Err(DecodeError::invalid(field, "shards must rise"))
    }
}

fn decode_wholes(from: &mut Decoder<'_>) -> Result<Vec<Whole>, DecodeError> {
    let wholes = from.list("wholes", MOST_MEMBERS, Whole::decode)?;
    if wholes.is_sorted_by(|one, next| one.shard < next.shard) {
        Ok(wholes)
    } else {
        Err(DecodeError::invalid("wholes", "shards must rise"))
    }
}

impl Layout for Member {
    fn encode(&self, to: &mut Encoder) {
        to.text(self.node.as_str());
        to.u32(self.incarnation.0);
        to.fixed(self.volume.as_bytes());
        to.text(&self.address);
        to.text(&self.zone);
        to.text(&self.host);
        to.fixed(&self.key.0);
        to.fixed(&self.possession.0);
        encode_shards(to, &self.shards);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            node: from.text("node", LONGEST_TEXT_BYTES)?,
            incarnation: Incarnation(from.u32("incarnation")?),
            volume: VolumeId(from.fixed("volume")?),
            address: from.text("address", LONGEST_TEXT_BYTES)?,
            zone: from.text("zone", LONGEST_TEXT_BYTES)?,
            host: from.text("host", LONGEST_TEXT_BYTES)?,
            key: NodePublicKey(from.fixed("node key")?),
            possession: NodeSignature(from.fixed("possession")?),
            shards: decode_shards(from, "shards")?,
        })
    }
}

impl Layout for Geometry {
    fn encode(&self, to: &mut Encoder) {
        to.u16(self.shards());
        to.u16(self.faulty());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (shards, faulty) = (from.u16("n")?, from.u16("f")?);
        Self::new(shards, faulty).map_err(|error| DecodeError::invalid("geometry", error))
    }
}

/// A record with the operator's signature: by the key its parent names, record 0 by its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    /// The record.
    pub record: EpochRecord,
    /// The operator's key.
    pub key: RegistrarPublicKey,
    /// Its signature.
    pub signature: RegistrarSignature,
}

impl SignedRecord {
    /// The bytes that the operator signs.
    pub fn statement(record: &EpochRecord) -> Vec<u8> {
        statement(StatementKind::Record, &record.committee, &record.hash(), &[])
    }

    /// Checks the signature; whether the key may sign is the checker's question.
    pub fn verify(&self) -> Result<(), KeyError> {
        self.key.verify(&Self::statement(&self.record), &self.signature)
    }
}

impl Layout for SignedRecord {
    fn encode(&self, to: &mut Encoder) {
        self.record.encode(to);
        to.fixed(&self.key.0);
        to.fixed(&self.signature.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            record: EpochRecord::decode(from)?,
            key: RegistrarPublicKey(from.fixed("key")?),
            signature: RegistrarSignature(from.fixed("signature")?),
        })
    }
}

impl EpochRecord {
    /// A tally of nobody.
    pub const fn tally(&self) -> Tally<'_> {
        Tally::new(self)
    }

    /// Whether these nodes are worth the threshold.
    pub fn reaches<'a>(
        &self,
        threshold: Threshold,
        nodes: impl IntoIterator<Item = &'a NodeName>,
    ) -> bool {
        let positions = nodes.into_iter().filter_map(|node| self.position(node));
        Tally::of(self, positions).reaches(threshold)
    }
}
