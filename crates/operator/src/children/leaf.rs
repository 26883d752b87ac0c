//! Secrets of TLS leaves. A leaf is drawn anew each time it is made, so its Secret is written when it
//! is missing or [due](is_due), and left alone otherwise.

use std::collections::BTreeMap;

use floe_api::TlsIdentity;
use floe_crd::labels::Component;
use floe_crd::names;
use floe_model::Timestamp;
use floe_steward::start_files::REGISTRAR_KEY_FILE;
use floe_steward::trust::{LEAF_LIFE, renewal};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::meta::{of_committee, of_volume};
use super::{CommitteeScope, Volume};

/// Keys of a leaf's Secret, and the files that they become.
pub(super) const FILES: [(&str, &str); 3] =
    [(CA, "tls/ca.pem"), (CERTIFICATE, "tls/cert.pem"), (KEY, "tls/key.pem")];
const CA: &str = "ca.pem";
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// Annotation: when the leaf was made.
const ISSUED: &str = "floe.dev/issued";
/// Annotation: a short hash of the CAs that it is to be used with.
const CA_HASH: &str = "floe.dev/ca";

/// A leaf, and when it was made.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    /// Certificates and key.
    pub identity: &'a TlsIdentity,
    /// When.
    pub issued: Timestamp,
}

/// The leaf of a volume's storage node.
pub fn of_storage_node(scope: &CommitteeScope, volume: &Volume, leaf: Leaf<'_>) -> Secret {
    let name = names::volume_tls(volume.node.as_str(), volume.incarnation);
    secret(of_volume(scope, name, volume), leaf)
}

/// The leaf of the gateway, and its registrar key in hexadecimal.
pub fn of_gateway(scope: &CommitteeScope, leaf: Leaf<'_>, registrar_key: &str) -> Secret {
    let meta = of_committee(scope, names::gateway(&scope.name), Component::Gateway);
    let mut secret = secret(meta, leaf);
    let data = secret.data.get_or_insert_default();
    data.insert(REGISTRAR_KEY_FILE.to_owned(), bytes(registrar_key));
    secret
}

/// The leaf of repair Jobs.
pub fn of_repair(scope: &CommitteeScope, leaf: Leaf<'_>) -> Secret {
    secret(of_committee(scope, names::repair(&scope.name), Component::Repair), leaf)
}

/// Whether a leaf's Secret, of which this is the metadata, is to be made anew: at a third of its
/// life, or under other CAs.
pub fn is_due(secret: &ObjectMeta, ca_pem: &str, now: Timestamp) -> bool {
    let annotation = |name: &str| secret.annotations.as_ref()?.get(name);
    let issued = annotation(ISSUED).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let Some(issued) = issued else { return true };
    let issued = Timestamp(u64::try_from(issued.as_millisecond()).unwrap_or_default());
    let life_millis = u64::try_from(LEAF_LIFE.as_millis()).unwrap_or(u64::MAX);
    // A clock that is behind the one that issued it is no reason.
    let now = now.max(issued);
    let ends = Timestamp(issued.0.saturating_add(life_millis));
    annotation(CA_HASH) != Some(&names::short_hash(ca_pem.as_bytes())) || renewal(issued, ends, now)
}

fn secret(mut metadata: ObjectMeta, leaf: Leaf<'_>) -> Secret {
    let TlsIdentity { ca_pem, certificate_pem, key_pem } = leaf.identity;
    metadata.annotations = Some(BTreeMap::from([
        (ISSUED.to_owned(), text_of(leaf.issued)),
        (CA_HASH.to_owned(), names::short_hash(ca_pem.as_bytes())),
    ]));
    Secret {
        metadata,
        type_: Some("Opaque".to_owned()),
        data: Some(
            [(CA, ca_pem), (CERTIFICATE, certificate_pem), (KEY, key_pem)]
                .map(|(key, pem)| (key.to_owned(), bytes(pem)))
                .into(),
        ),
        ..Secret::default()
    }
}

fn text_of(time: Timestamp) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_due_at_a_third_of_its_life_or_under_another_ca() {
        let pem = |text: &str| text.to_owned();
        let identity =
            TlsIdentity { ca_pem: pem("ca"), certificate_pem: pem("cert"), key_pem: pem("key") };
        let issued = Timestamp(1_800_000_000_123);
        let secret = secret(ObjectMeta::default(), Leaf { identity: &identity, issued });
        let third = 365 * 24 * 3_600_000 / 3;
        let later = |millis: u64| Timestamp(issued.0 + millis);
        for (ca, now, due) in [
            ("ca", issued, false),
            ("ca", Timestamp(0), false),
            ("ca", later(third - 1), false),
            ("ca", later(third), true),
            ("ca and another", issued, true),
        ] {
            assert_eq!(is_due(&secret.metadata, ca, now), due, "{ca} at {now:?}");
        }
        assert!(is_due(&ObjectMeta::default(), "ca", issued), "made by nobody knows whom");
        let mut odd = secret.metadata;
        odd.annotations.as_mut().unwrap().insert(ISSUED.to_owned(), "yesterday".to_owned());
        assert!(is_due(&odd, "ca", issued));
    }
}
