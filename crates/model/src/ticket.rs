//! Tickets: the operator's word that whoever shows one may write one Blob object's content.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::claim::{LONGEST_CONTENT_TYPE_BYTES, LONGEST_NAME_BYTES};
use crate::codec::{DecodeError, Decoder, Encoder, Layout};
use crate::id::{BlobName, ClaimId, Namespace, NamespaceUid, Timestamp};
use crate::record::RegistrarRole;
use crate::statement::{RegistrarBody, Signed, StatementKind};

/// What the text of a ticket starts with, as a bearer token.
pub const TICKET_PREFIX: &str = "floe-ticket-v1.";
/// Characters of a ticket's text, more than the longest has.
const LONGEST_TEXT: usize = 2048;
/// A ticket names one digest or none.
const MOST_DIGESTS: usize = 1;

/// Lets its bearer write the content of one Blob object, in place of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The Blob object's UID. A claim id is good for one content: so is the ticket.
    pub claim: ClaimId,
    /// The namespace's name.
    pub namespace: Namespace,
    /// The namespace's UID.
    pub namespace_uid: NamespaceUid,
    /// The blob's name.
    pub name: BlobName,
    /// The media type, at most 255 bytes.
    pub content_type: String,
    /// The SHA-256 that the content must have, if that is known.
    pub sha256: Option<[u8; 32]>,
    /// Bytes that the content may have.
    pub largest_bytes: u64,
    /// When the Blob object was created: decides order.
    pub created: Timestamp,
    /// From when on it is refused.
    pub expires: Timestamp,
}

/// A ticket with its signature. Its text is a bearer token.
pub type SignedTicket = Signed<Ticket>;

impl RegistrarBody for Ticket {
    const KIND: StatementKind = StatementKind::Ticket;
    const ROLES: &'static [RegistrarRole] = &[RegistrarRole::Operator];
}

impl Layout for Ticket {
    fn encode(&self, to: &mut Encoder) {
        to.fixed(self.claim.as_bytes());
        to.text(self.namespace.as_str());
        to.fixed(self.namespace_uid.as_bytes());
        to.text(self.name.as_str());
        to.text(&self.content_type);
        to.list(self.sha256.as_slice(), |to, sha256| to.fixed(sha256));
        to.u64(self.largest_bytes);
        to.u64(self.created.0);
        to.u64(self.expires.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            claim: ClaimId(from.fixed("claim")?),
            namespace: from.text("namespace", LONGEST_NAME_BYTES)?,
            namespace_uid: NamespaceUid(from.fixed("namespace uid")?),
            name: from.text("name", LONGEST_NAME_BYTES)?,
            content_type: from.text("content type", LONGEST_CONTENT_TYPE_BYTES)?,
            sha256: from.list("sha256", MOST_DIGESTS, |from| from.fixed("sha256"))?.pop(),
            largest_bytes: from.u64("largest bytes")?,
            created: Timestamp(from.u64("created")?),
            expires: Timestamp(from.u64("expires")?),
        })
    }
}

impl fmt::Display for SignedTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TICKET_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl FromStr for SignedTicket {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let invalid = |reason| DecodeError::invalid("ticket", reason);
        let coded = text.strip_prefix(TICKET_PREFIX);
        let coded = coded.ok_or_else(|| invalid("a ticket starts with floe-ticket-v1."))?;
        if coded.len() > LONGEST_TEXT {
            return Err(invalid("longer than any ticket"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(coded);
        Self::from_bytes(&bytes.map_err(|_| invalid("not base64url without padding"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{CommitteeId, RecordHash};
    use crate::keys::RegistrarKey;

    fn longest() -> Ticket {
        let name = "n".repeat(63);
        Ticket {
            claim: ClaimId([1; 16]),
            namespace: name.parse().unwrap(),
            namespace_uid: NamespaceUid([2; 16]),
            name: "n".repeat(253).parse().unwrap(),
            content_type: "x".repeat(LONGEST_CONTENT_TYPE_BYTES),
            sha256: Some([3; 32]),
            largest_bytes: u64::MAX,
            created: Timestamp(4),
            expires: Timestamp(u64::MAX),
        }
    }

    fn signed(ticket: Ticket) -> SignedTicket {
        let key = RegistrarKey::from_seed(&[5; 32]);
        Signed::sign(ticket, &CommitteeId([6; 16]), RecordHash([7; 32]), &key)
    }

    #[test]
    fn a_ticket_of_any_length_comes_back_from_its_text() {
        let short = Ticket { sha256: None, content_type: String::new(), ..longest() };
        for ticket in [longest(), short] {
            let ticket = signed(ticket);
            let text = ticket.to_string();
            assert!(text.len() - TICKET_PREFIX.len() < LONGEST_TEXT);
            assert_eq!(text.parse(), Ok(ticket));
        }
    }

    #[test]
    fn texts_that_are_no_tickets() {
        let ticket = signed(longest());
        let (bytes, text) = (ticket.to_bytes(), ticket.to_string());
        let coded = |bytes: &[u8]| format!("{TICKET_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let long = format!("{TICKET_PREFIX}{}", "A".repeat(LONGEST_TEXT + 1));
        let table = [
            ("", "starts with"),
            ("floe-ticket-v2.AAAA", "starts with"),
            (&text[1..], "starts with"),
            (&coded(&bytes[..bytes.len() - 1]), "signature needs 64 bytes, 63 are left"),
            (&format!("{text}="), "base64url"),
            (&coded(&[&bytes[..], &[0]].concat()), "behind the last field"),
            (&long, "longer than"),
        ];
        for (text, said) in table {
            let error = text.parse::<SignedTicket>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_ticket_names_one_digest_or_none() {
        let before = 16 + 4 + 63 + 16 + 4 + 253 + 4 + LONGEST_CONTENT_TYPE_BYTES;
        let mut bytes = longest().to_bytes();
        bytes[before] = 2;
        let error = Ticket::from_bytes(&bytes).unwrap_err().to_string();
        assert_eq!(error, "sha256: 2, at most 1 are allowed");
    }
}
