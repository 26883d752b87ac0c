//! Objects without an API server, derived from what the nodes hold.

use std::future::ready;

use floe_model::{ClaimId, CommitteeId, Namespace, NamespaceUid, SignedRelease, Timestamp, hash};
use futures::future::BoxFuture;

use super::{BlobObject, BlobObjects, FullName, ObjectError, ObjectState, Recency};

/// How long releases are kept, unless the policy says otherwise: when those of a name are forgotten,
/// its claim ids are to be others.
const PERIOD_MILLIS: u64 = 30 * 24 * 3600 * 1000;

/// Objects without an API server: ids are hashes, so that two gateways that write one name at a
/// time compete for one claim id, and the nodes' bindings let at most one of them be certified. The
/// first one of a name depends on the month, so that no claim id comes again after its release was
/// forgotten.
#[derive(Debug, Clone)]
pub struct DerivedObjects {
    committee: CommitteeId,
}

impl DerivedObjects {
    /// The objects of one committee.
    pub const fn new(committee: CommitteeId) -> Self {
        Self { committee }
    }
}

fn first_16(bytes: [u8; 32]) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&bytes[..16]);
    first
}

impl DerivedObjects {
    fn uid(&self, namespace: &Namespace) -> NamespaceUid {
        let parts: [&[u8]; 3] =
            [b"floe/v1/namespace", self.committee.as_bytes(), namespace.as_str().as_bytes()];
        NamespaceUid(first_16(hash(&parts).0))
    }
}

fn derive(name: &FullName, last_release: Option<&SignedRelease>, now: Timestamp) -> BlobObject {
    let before = last_release.map_or_else(
        || u128::from(now.0 / PERIOD_MILLIS).to_le_bytes(),
        |release| release.body.claim.0,
    );
    let parts: [&[u8]; 4] =
        [b"floe/v1/object", name.namespace_uid.as_bytes(), name.name.as_str().as_bytes(), &before];
    let after_release = last_release
        .map_or(Timestamp(0), |release| Timestamp(release.body.created.0.saturating_add(1)));
    BlobObject {
        claim: ClaimId(first_16(hash(&parts).0)),
        created: now.max(after_release),
        state: ObjectState::Implied,
        keeps_content: false,
        content_type: None,
        sha256: None,
    }
}

impl BlobObjects for DerivedObjects {
    fn namespace_uid<'a>(
        &'a self,
        namespace: &'a Namespace,
        _: Recency,
    ) -> BoxFuture<'a, Result<NamespaceUid, ObjectError>> {
        Box::pin(ready(Ok(self.uid(namespace))))
    }

    fn find<'a>(
        &'a self,
        name: &'a FullName,
        last_release: Option<&'a SignedRelease>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<BlobObject>, ObjectError>> {
        Box::pin(ready(Ok(Some(derive(name, last_release, now)))))
    }

    fn create<'a>(
        &'a self,
        _: &'a FullName,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<BlobObject>, ObjectError>> {
        Box::pin(ready(Ok(None)))
    }

    fn delete<'a>(&'a self, _: &'a FullName, _: ClaimId) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use floe_model::keys::RegistrarKey;
    use floe_model::{BlobName, RecordHash, Release, Signed};

    use super::*;

    #[test]
    fn a_name_has_one_claim_id_until_its_release() {
        let committee = CommitteeId([1; 16]);
        let objects = DerivedObjects::new(committee);
        let shop = objects.uid(&"shop".parse().unwrap());
        assert_ne!(shop, objects.uid(&"web".parse().unwrap()));
        let name: BlobName = "model".parse().unwrap();
        let namespace = "shop".parse().unwrap();
        let full = FullName { namespace, namespace_uid: shop, name: name.clone() };
        let first = derive(&full, None, Timestamp(5));
        assert_eq!(first.claim, derive(&full, None, Timestamp(9)).claim);
        let later = derive(&full, None, Timestamp(PERIOD_MILLIS));
        assert_ne!(first.claim, later.claim, "its releases are forgotten by now");

        let body = Release {
            claim: first.claim,
            namespace_uid: shop,
            name,
            created: Timestamp(5),
            signed: Timestamp(6),
        };
        let key = RegistrarKey::from_seed(&[3; 32]);
        let release = Signed::sign(body, &committee, RecordHash([0; 32]), &key);
        let second = derive(&full, Some(&release), Timestamp(2));
        assert_ne!(second.claim, first.claim);
        assert_eq!(
            second.created,
            Timestamp(6),
            "a clock that goes back does not change the order"
        );
    }
}
