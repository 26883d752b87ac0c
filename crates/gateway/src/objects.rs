//! Blob objects: which claim id a name has, and since when. With an API server it keeps them;
//! without one they are derived from what the nodes hold.

use floe_model::{
    BlobName, ClaimId, CommitteeId, Namespace, NamespaceUid, SignedRelease, Timestamp, hash,
};

/// The Blob object behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobObject {
    /// Its UID.
    pub(crate) claim: ClaimId,
    /// When it was created.
    pub(crate) created: Timestamp,
}

/// Where Blob objects come from.
pub(crate) trait BlobObjects: Send + Sync {
    /// The UID of a namespace.
    fn namespace_uid(&self, namespace: &Namespace) -> NamespaceUid;

    /// The object of a name that has no certified content; created if need be. `last_release` is
    /// the newest release of the name that nodes hold.
    fn open(
        &self,
        namespace_uid: &NamespaceUid,
        name: &BlobName,
        last_release: Option<&SignedRelease>,
        now: Timestamp,
    ) -> BlobObject;
}

/// How long releases are kept, unless the policy says otherwise: when those of a name are forgotten,
/// its claim ids are to be others.
const PERIOD_MILLIS: u64 = 30 * 24 * 3600 * 1000;

/// Objects without an API server: ids are hashes, so that two gateways that write one name at a
/// time compete for one claim id, and the nodes' bindings let at most one of them be certified. The
/// first one of a name depends on the month, so that no claim id comes again after its release was
/// forgotten.
#[derive(Debug, Clone)]
pub(crate) struct DerivedObjects {
    committee: CommitteeId,
}

impl DerivedObjects {
    /// The objects of one committee.
    pub(crate) const fn new(committee: CommitteeId) -> Self {
        Self { committee }
    }
}

fn first_16(bytes: [u8; 32]) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&bytes[..16]);
    first
}

impl BlobObjects for DerivedObjects {
    fn namespace_uid(&self, namespace: &Namespace) -> NamespaceUid {
        let parts: [&[u8]; 3] =
            [b"floe/v1/namespace", self.committee.as_bytes(), namespace.as_str().as_bytes()];
        NamespaceUid(first_16(hash(&parts).0))
    }

    fn open(
        &self,
        namespace_uid: &NamespaceUid,
        name: &BlobName,
        last_release: Option<&SignedRelease>,
        now: Timestamp,
    ) -> BlobObject {
        let before = last_release.map_or_else(
            || u128::from(now.0 / PERIOD_MILLIS).to_le_bytes(),
            |release| release.body.claim.0,
        );
        let parts: [&[u8]; 4] =
            [b"floe/v1/object", namespace_uid.as_bytes(), name.as_str().as_bytes(), &before];
        let after_release = last_release
            .map_or(Timestamp(0), |release| Timestamp(release.body.created.0.saturating_add(1)));
        BlobObject { claim: ClaimId(first_16(hash(&parts).0)), created: now.max(after_release) }
    }
}

#[cfg(test)]
mod tests {
    use floe_model::keys::RegistrarKey;
    use floe_model::{RecordHash, Release, Signed};

    use super::*;

    #[test]
    fn a_name_has_one_claim_id_until_its_release() {
        let committee = CommitteeId([1; 16]);
        let objects = DerivedObjects::new(committee);
        let shop = objects.namespace_uid(&"shop".parse().unwrap());
        assert_ne!(shop, objects.namespace_uid(&"web".parse().unwrap()));
        let name: BlobName = "model".parse().unwrap();
        let first = objects.open(&shop, &name, None, Timestamp(5));
        assert_eq!(first.claim, objects.open(&shop, &name, None, Timestamp(9)).claim);
        let later = objects.open(&shop, &name, None, Timestamp(PERIOD_MILLIS));
        assert_ne!(first.claim, later.claim, "its releases are forgotten by now");

        let body = Release {
            claim: first.claim,
            namespace_uid: shop,
            name: name.clone(),
            created: Timestamp(5),
            signed: Timestamp(6),
        };
        let key = RegistrarKey::from_seed(&[3; 32]);
        let release = Signed::sign(body, &committee, RecordHash([0; 32]), &key);
        let second = objects.open(&shop, &name, Some(&release), Timestamp(2));
        assert_ne!(second.claim, first.claim);
        assert_eq!(
            second.created,
            Timestamp(6),
            "a clock that goes back does not change the order"
        );
    }
}
