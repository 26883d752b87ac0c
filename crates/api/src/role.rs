//! Who speaks: roles, and the names that certificates carry for them.

use std::fmt;
use std::str::FromStr;

use floe_model::{CommitteeId, Incarnation, NodeName};

/// What a certificate's holder is in the committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A storage node.
    Node,
    /// What applications talk to.
    Gateway,
    /// The control plane.
    Operator,
    /// A repair Job.
    Repair,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Node, Self::Gateway, Self::Operator, Self::Repair];

    /// The role as it stands in certificates.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
            Self::Repair => "repair",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no peer: {reason}; wanted spiffe://floe/<committee id>/<role>/<name>/<incarnation>"
)]
pub struct PeerError {
    /// The text as given, cut at 200 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The holder of a certificate: the other end of a connection, or this process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The committee it belongs to.
    pub committee: CommitteeId,
    /// What it is there.
    pub role: Role,
    /// Its name: a DNS label that leaves room for the incarnation.
    pub name: String,
    /// Which of its volumes; 0 for those without volumes.
    pub incarnation: Incarnation,
}

/// Bytes of a DNS label.
const LONGEST_LABEL_BYTES: usize = 63;

impl Peer {
    /// A storage node.
    pub fn node(committee: CommitteeId, node: &NodeName, incarnation: Incarnation) -> Self {
        Self { committee, role: Role::Node, name: node.to_string(), incarnation }
    }

    /// The URI that its certificate carries, read by servers.
    pub fn spiffe_uri(&self) -> String {
        let Self { committee, role, name, incarnation } = self;
        format!("spiffe://floe/{committee}/{role}/{name}/{incarnation}")
    }

    /// The DNS name that its certificate carries, checked by clients.
    pub fn dns_name(&self) -> String {
        let Self { committee, role, name, incarnation } = self;
        format!("{name}-{incarnation}.{role}.{committee}.floe.internal")
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let path = text.strip_prefix("spiffe://floe/").ok_or("it has another start")?;
        let parts: Vec<&str> = path.splitn(5, '/').collect();
        let [committee, role, name, incarnation] = parts[..] else {
            return Err("it needs four parts");
        };
        let committee = committee.parse().map_err(|_| "its committee id is none")?;
        let known = |known: &Role| known.as_str() == role;
        let role = Role::ALL.into_iter().find(known).ok_or("its role is unknown")?;
        name.parse::<NodeName>().map_err(|_| "its name is no DNS label")?;
        let number: u32 = incarnation.parse().map_err(|_| "its incarnation is no number")?;
        let peer =
            Self { committee, role, name: name.to_owned(), incarnation: Incarnation(number) };
        if name.len() + 1 + incarnation.len() > LONGEST_LABEL_BYTES {
            return Err("its name leaves no room for the incarnation in a DNS label");
        }
        // One text per peer: no leading zeros, signs or capitals.
        if peer.spiffe_uri() == text { Ok(peer) } else { Err("it is not in its shortest form") }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (incarnation {})", self.role, self.name, self.incarnation)
    }
}

impl FromStr for Peer {
    type Err = PeerError;

    /// Reads the URI of a certificate.
    fn from_str(text: &str) -> Result<Self, PeerError> {
        Self::parse(text)
            .map_err(|reason| PeerError { text: text.chars().take(200).collect(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTEE: &str = "00112233-4455-6677-8899-aabbccddeeff";

    #[test]
    fn a_uri_names_a_peer() {
        for role in Role::ALL {
            let uri = format!("spiffe://floe/{COMMITTEE}/{role}/node-3/12");
            let peer: Peer = uri.parse().unwrap();
            assert_eq!(peer.role, role);
            assert_eq!((peer.name.as_str(), peer.incarnation), ("node-3", Incarnation(12)));
            assert_eq!(peer.spiffe_uri(), uri);
            assert_eq!(peer.dns_name(), format!("node-3-12.{role}.{COMMITTEE}.floe.internal"));
        }
    }

    #[test]
    fn other_texts_name_none() {
        let long = "a".repeat(62);
        for (tail, reason) in [
            (format!("https://floe/{COMMITTEE}/node/a/0"), "start"),
            (format!("spiffe://other/{COMMITTEE}/node/a/0"), "start"),
            ("spiffe://floe/".to_owned(), "four parts"),
            (format!("spiffe://floe/{COMMITTEE}/node/a"), "four parts"),
            (format!("spiffe://floe/{COMMITTEE}/node/a/0/"), "four parts"),
            ("spiffe://floe/1234/node/a/0".to_owned(), "committee"),
            (format!("spiffe://floe/{COMMITTEE}/admin/a/0"), "role"),
            (format!("spiffe://floe/{COMMITTEE}/Node/a/0"), "role"),
            (format!("spiffe://floe/{COMMITTEE}/node//0"), "label"),
            (format!("spiffe://floe/{COMMITTEE}/node/../0"), "label"),
            (format!("spiffe://floe/{COMMITTEE}/node/a%2f/0"), "label"),
            (format!("spiffe://floe/{COMMITTEE}/node/a/-1"), "number"),
            (format!("spiffe://floe/{COMMITTEE}/node/a/4294967296"), "number"),
            (format!("spiffe://floe/{COMMITTEE}/node/a/01"), "shortest"),
            (format!("spiffe://floe/{COMMITTEE}/node/a/+1"), "shortest"),
            (format!("spiffe://floe/{}/node/a/1", COMMITTEE.to_uppercase()), "shortest"),
            (format!("spiffe://floe/{COMMITTEE}/node/{long}/0"), "room"),
        ] {
            let error = tail.parse::<Peer>().unwrap_err();
            assert!(error.reason.contains(reason), "{tail}: {error}");
        }
    }
}
