//! Keys and signatures: BLS12-381 (min-pk) for nodes, Ed25519 for registrars.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use blst::BLST_ERROR;
use blst::min_pk::{AggregateSignature, PublicKey, SecretKey, Signature};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// The ciphersuite of the IETF draft, with proof of possession.
const SIGN_DOMAIN: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const POSSESSION_DOMAIN: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Node keys that were read before. To read one costs 1/20 of checking a signature; a committee's
/// few come again with every certificate. A pure function's results: nobody sees what is in here.
static KEYS_READ: RwLock<BTreeMap<NodePublicKey, PublicKey>> = RwLock::new(BTreeMap::new());
/// More than all committees of one process have.
const MOST_KEYS_READ: usize = 4096;

/// A key or a signature that is none, or that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not a point of the right group.
    #[error("these bytes are no {0}")]
    Malformed(&'static str),
    /// The signature is not this key's over these bytes.
    #[error("the signature does not match")]
    Mismatch,
}

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                let mut bytes = [0; $length];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| KeyError::Malformed(stringify!($name)))?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

fixed_bytes!(
    /// A node's public key, a compressed point of G1.
    NodePublicKey, 48
);
fixed_bytes!(
    /// A node's signature or an aggregate of several, a compressed point of G2.
    NodeSignature, 96
);
fixed_bytes!(
    /// A registrar's public key.
    RegistrarPublicKey, 32
);
fixed_bytes!(
    /// A registrar's signature.
    RegistrarSignature, 64
);

/// A node's secret key: made on its volume, never leaves it.
pub struct NodeKey(SecretKey);

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.public())
    }
}

impl NodeKey {
    /// Derives a key from 32 random bytes.
    pub fn generate(random: &[u8; 32]) -> Result<Self, KeyError> {
        SecretKey::key_gen(random, &[]).map(Self).map_err(|_| KeyError::Malformed("node key seed"))
    }

    /// Reads a key as `to_bytes` wrote it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        SecretKey::from_bytes(bytes).map(Self).map_err(|_| KeyError::Malformed("node key"))
    }

    /// The secret, for the volume.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> NodePublicKey {
        NodePublicKey(self.0.sk_to_pk().to_bytes())
    }

    /// Signs statement bytes.
    pub fn sign(&self, statement: &[u8]) -> NodeSignature {
        NodeSignature(self.0.sign(statement, SIGN_DOMAIN, &[]).to_bytes())
    }

    /// Proves possession of the key with statement bytes, under a domain of its own.
    pub fn prove_possession(&self, statement: &[u8]) -> NodeSignature {
        NodeSignature(self.0.sign(statement, POSSESSION_DOMAIN, &[]).to_bytes())
    }
}

impl NodePublicKey {
    fn point(&self) -> Result<PublicKey, KeyError> {
        if let Some(&point) = KEYS_READ.read().unwrap_or_else(PoisonError::into_inner).get(self) {
            return Ok(point);
        }
        let point = PublicKey::key_validate(&self.0);
        let point = point.map_err(|_| KeyError::Malformed("node public key"))?;
        let mut read = KEYS_READ.write().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= MOST_KEYS_READ {
            read.clear();
        }
        read.insert(*self, point);
        Ok(point)
    }

    /// Checks one node's signature.
    pub fn verify(&self, statement: &[u8], signature: &NodeSignature) -> Result<(), KeyError> {
        self.verify_in(SIGN_DOMAIN, statement, signature)
    }

    /// Checks a proof of possession.
    pub fn verify_possession(
        &self,
        statement: &[u8],
        signature: &NodeSignature,
    ) -> Result<(), KeyError> {
        self.verify_in(POSSESSION_DOMAIN, statement, signature)
    }

    fn verify_in(
        &self,
        domain: &[u8],
        statement: &[u8],
        signature: &NodeSignature,
    ) -> Result<(), KeyError> {
        let key = self.point()?;
        matched(signature.point()?.verify(true, statement, domain, &[], &key, false))
    }
}

impl NodeSignature {
    fn point(&self) -> Result<Signature, KeyError> {
        Signature::from_bytes(&self.0).map_err(|_| KeyError::Malformed("node signature"))
    }

    /// Adds up signatures over the same statement. Each must have been checked, or the sum must be:
    /// here they are not even looked at for being of the right group, and the check of a sum is.
    pub fn aggregate(signatures: &[Self]) -> Result<Self, KeyError> {
        let points = signatures.iter().map(Self::point).collect::<Result<Vec<_>, _>>()?;
        let points: Vec<&Signature> = points.iter().collect();
        AggregateSignature::aggregate(&points, false)
            .map(|sum| Self(sum.to_signature().to_bytes()))
            .map_err(|_| KeyError::Malformed("node signature"))
    }

    /// Checks an aggregate of all these keys' signatures over one statement. Safe only for keys
    /// whose possession was proved.
    pub fn verify_aggregate(
        &self,
        statement: &[u8],
        keys: &[NodePublicKey],
    ) -> Result<(), KeyError> {
        let keys = keys.iter().map(NodePublicKey::point).collect::<Result<Vec<_>, _>>()?;
        let keys: Vec<&PublicKey> = keys.iter().collect();
        matched(self.point()?.fast_aggregate_verify(true, statement, SIGN_DOMAIN, &keys))
    }
}

fn matched(verdict: BLST_ERROR) -> Result<(), KeyError> {
    match verdict {
        BLST_ERROR::BLST_SUCCESS => Ok(()),
        _ => Err(KeyError::Mismatch),
    }
}

/// A registrar's secret key.
#[derive(Clone)]
pub struct RegistrarKey(SigningKey);

impl fmt::Debug for RegistrarKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistrarKey({})", self.public())
    }
}

impl RegistrarKey {
    /// The key of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for the keeper of the key.
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> RegistrarPublicKey {
        RegistrarPublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs statement bytes.
    pub fn sign(&self, statement: &[u8]) -> RegistrarSignature {
        RegistrarSignature(self.0.sign(statement).to_bytes())
    }
}

impl RegistrarPublicKey {
    /// Checks a registrar's signature.
    pub fn verify(&self, statement: &[u8], signature: &RegistrarSignature) -> Result<(), KeyError> {
        let key = VerifyingKey::from_bytes(&self.0)
            .map_err(|_| KeyError::Malformed("registrar public key"))?;
        key.verify_strict(statement, &ed25519_dalek::Signature::from_bytes(&signature.0))
            .map_err(|_| KeyError::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(seed: u8) -> NodeKey {
        NodeKey::generate(&[seed; 32]).unwrap()
    }

    #[test]
    fn a_node_signature_fits_only_its_key_and_bytes() {
        let key = node(1);
        let signature = key.sign(b"statement");
        assert_eq!(key.public().verify(b"statement", &signature), Ok(()));
        assert_eq!(key.public().verify(b"Statement", &signature), Err(KeyError::Mismatch));
        assert_eq!(node(2).public().verify(b"statement", &signature), Err(KeyError::Mismatch));
        assert!(key.public().verify_possession(b"statement", &signature).is_err());
        assert!(NodePublicKey([0; 48]).verify(b"statement", &signature).is_err());
    }

    #[test]
    fn a_key_that_was_read_before_is_the_same_key_and_none_stays_none() {
        let (key, other) = (node(3), node(4));
        let none = NodePublicKey([0xff; 48]);
        for _ in 0..2 {
            assert_eq!(key.public().point().unwrap().to_bytes(), key.public().0);
            assert_eq!(other.public().point().unwrap().to_bytes(), other.public().0);
            assert_eq!(none.point(), Err(KeyError::Malformed("node public key")));
        }
    }

    #[test]
    fn an_aggregate_needs_every_key() {
        let keys: Vec<_> = (1..5).map(node).collect();
        let public: Vec<_> = keys.iter().map(NodeKey::public).collect();
        let signatures: Vec<_> = keys.iter().map(|key| key.sign(b"x")).collect();
        let sum = NodeSignature::aggregate(&signatures).unwrap();
        assert_eq!(sum.verify_aggregate(b"x", &public), Ok(()));
        assert!(sum.verify_aggregate(b"x", &public[1..]).is_err());
        assert!(sum.verify_aggregate(b"y", &public).is_err());
        assert!(sum.verify_aggregate(b"x", &[]).is_err());
    }

    #[test]
    fn secrets_come_back_and_are_never_printed() {
        let key = node(9);
        assert_eq!(NodeKey::from_bytes(&*key.to_bytes()).unwrap().public(), key.public());
        let registrar = RegistrarKey::from_seed(&[7; 32]);
        let signature = registrar.sign(b"claim");
        assert_eq!(registrar.public().verify(b"claim", &signature), Ok(()));
        assert_eq!(registrar.public().verify(b"claims", &signature), Err(KeyError::Mismatch));
        assert!(!format!("{registrar:?}").contains(&hex::encode([7; 32])));
    }
}
