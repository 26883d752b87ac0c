//! Identifiers: fixed byte strings and checked names. Every kind is a type of its own.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {kind}: {rule}")]
pub struct IdError {
    /// What was wanted, with its article: "a blob id".
    pub kind: &'static str,
    /// The text as given, cut at 80 characters.
    pub text: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl IdError {
    pub(crate) fn new(kind: &'static str, text: &str, rule: &'static str) -> Self {
        Self { kind, text: text.chars().take(80).collect(), rule }
    }
}

macro_rules! serde_as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The bytes, as they stand in records and signed statements.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        serde_as_text!($name);
    };
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        byte_id!($(#[$doc])* $name, 32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                const RULE: &str = "43 characters of base64url without padding";
                let mut bytes = [0; 32];
                match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
                    Ok(32) => Ok(Self(bytes)),
                    _ => Err(IdError::new($kind, text, RULE)),
                }
            }
        }
    };
}

macro_rules! uuid {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        byte_id!($(#[$doc])* $name, 16);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (position, byte) in self.0.iter().enumerate() {
                    if matches!(position, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                const RULE: &str = "a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12";
                let error = || IdError::new($kind, text, RULE);
                let groups: Vec<&str> = text.split('-').collect();
                if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
                    return Err(error());
                }
                let mut bytes = [0; 16];
                hex::decode_to_slice(groups.concat(), &mut bytes).map_err(|_| error())?;
                Ok(Self(bytes))
            }
        }
    };
}

hash_id!(
    /// The id of one stripe: what RS2 calls a blob id.
    StripeId, "a stripe id"
);
hash_id!(
    /// The id of a blob: that of its only stripe, or that of its manifest.
    BlobId, "a blob id"
);
hash_id!(
    /// The hash of an epoch record.
    RecordHash, "an epoch record hash"
);
uuid!(
    /// A committee, for its life.
    CommitteeId, "a committee id"
);
uuid!(
    /// One wish for one blob: the UID of its Blob object.
    ClaimId, "a claim id"
);
uuid!(
    /// A namespace, one of possibly several that bore its name.
    NamespaceUid, "a namespace UID"
);
uuid!(
    /// One upload: the bytes one writer sends for one claim.
    UploadId, "an upload id"
);
uuid!(
    /// One volume, from its first start to its loss.
    VolumeId, "a volume id"
);
uuid!(
    /// One lease of repair work.
    LeaseId, "a lease id"
);
uuid!(
    /// One start of a process: what lives in memory only is bound to it.
    BootId, "a boot id"
);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $longest:literal, $dots:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
                let allowed = |byte: u8| inner(byte) || byte == b'-' || ($dots && byte == b'.');
                let bytes = text.as_bytes();
                let ends = [bytes.first(), bytes.last()];
                if bytes.len() <= $longest
                    && bytes.iter().copied().all(allowed)
                    && ends.iter().all(|end| end.is_some_and(|&byte| inner(byte)))
                    && !text.contains("..")
                {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError::new($kind, text, $rule))
                }
            }
        }

        serde_as_text!($name);
    };
}

name!(
    /// The name of a storage node: a DNS label.
    NodeName, "a node name", 63, false,
    "at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
);
name!(
    /// A namespace: a DNS label.
    Namespace, "a namespace", 63, false,
    "at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
);
name!(
    /// The name of a blob in its namespace: a DNS subdomain, as Kubernetes wants object names.
    BlobName, "a blob name", 253, true,
    "at most 253 of a-z, 0-9, '-' and '.', with a letter or digit at both ends"
);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// One of the n slots of a committee.
    ShardIndex, u16
);
number!(
    /// Sliver pair i: primary sliver i and secondary sliver n-1-i.
    PairIndex, u16
);
number!(
    /// An extent of a blob, counted from 0.
    ExtentIndex, u32
);
number!(
    /// The number of an epoch record; numbers only grow.
    EpochNumber, u64
);
number!(
    /// Which volume of a storage node, counted from 0.
    Incarnation, u32
);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Milliseconds from `earlier` to `self`, 0 if `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_prints_and_parses() {
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        let id: ClaimId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        for bad in [
            "",
            "00112233445566778899aabbccddeeff",
            "0011223-34455-6677-8899-aabbccddeeff",
            "g0112233-4455-6677-8899-aabbccddeeff",
        ] {
            assert!(bad.parse::<ClaimId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_blob_id_is_43_characters_of_base64url() {
        let text = "RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY";
        assert_eq!(text.parse::<BlobId>().unwrap().to_string(), text);
        for bad in
            ["", "RcU82Mwf", &format!("{text}="), &format!("{text}A"), &text.replace('-', "+")]
        {
            assert!(bad.parse::<BlobId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_follow_kubernetes() {
        for good in ["a", "model-v2", "0a", &"a".repeat(63)] {
            assert!(good.parse::<NodeName>().is_ok(), "{good:?}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
        assert!("weights.v2.bin".parse::<BlobName>().is_ok());
        for bad in ["..", "a..b", ".a", "a.", "a/../b", "a%2e"] {
            assert!(bad.parse::<BlobName>().is_err(), "{bad:?}");
        }
    }
}
