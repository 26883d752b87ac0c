//! A small committee, and what it must refuse.

use std::fmt::Debug;

use floe_api::messages::{Extent, Finish};
use floe_api::{Answer, ApiError, CallError, ErrorCode, NodeClient, Role};
use floe_model::keys::{RegistrarKey, RegistrarSignature};
use floe_model::statement::RegistrarBody;
use floe_model::{Certificate, CommitteeId, ExtentIndex, RecordHash, Signed, UploadId};
use floe_tests::local::{Committee, Draft, content};
use futures::future::LocalBoxFuture;

pub(crate) const DAY_MILLIS: u64 = 24 * 3600 * 1000;
/// Two stripes, one extent.
pub(crate) const TWO_STRIPES_BYTES: usize = 300_000;

/// A committee of four, with node 0 to try things on.
pub(crate) struct Scene {
    pub(crate) committee: Committee,
    pub(crate) gateway: NodeClient,
}

impl Scene {
    pub(crate) async fn start(test: &str) -> Self {
        let committee = Committee::start(test, 4, 4).await;
        let gateway = committee.caller(Role::Gateway);
        Self { committee, gateway }
    }

    /// The call is refused with this code, the refusal says this, and node 0 holds what it held.
    pub(crate) fn refused<'a, T: Debug + 'a>(
        &'a self,
        what: &'a str,
        (code, says): (ErrorCode, &'a str),
        call: impl Future<Output = Result<Answer<T>, CallError>> + 'a,
    ) -> LocalBoxFuture<'a, ApiError> {
        let call = Box::pin(call);
        Box::pin(async move {
            let before = self.committee.holding(0).await;
            let error = call.await.expect_err(what);
            let refusal = error.refusal().unwrap_or_else(|| panic!("{what}: {error}"));
            assert_eq!(refusal.code, code, "{what}: {refusal}");
            assert!(refusal.detail.contains(says), "{what}: {refusal} does not say {says:?}");
            assert_eq!(self.committee.holding(0).await, before, "{what}");
            refusal.clone()
        })
    }

    pub(crate) async fn refuses_permit(&self, what: &str, why: (ErrorCode, &str), draft: &Draft) {
        let target = self.committee.target(0);
        self.refused(what, why, self.gateway.open_upload(&target, &draft.permit)).await;
    }

    pub(crate) async fn refuses_extent(
        &self,
        what: &str,
        why: (ErrorCode, &str),
        (upload, extent): (UploadId, &Extent<Vec<u8>>),
    ) {
        let (target, at) = (self.committee.target(0), ExtentIndex(0));
        self.refused(what, why, self.gateway.put_extent(&target, upload, at, extent)).await;
    }

    pub(crate) async fn refuses_finish(
        &self,
        what: &str,
        why: (ErrorCode, &str),
        (upload, finish): (UploadId, &Finish<Vec<u8>>),
    ) -> ApiError {
        let target = self.committee.target(0);
        self.refused(what, why, self.gateway.finish(&target, upload, finish)).await
    }

    pub(crate) async fn refuses_certificate(
        &self,
        what: &str,
        why: (ErrorCode, &str),
        (draft, certificate): (&Draft, &Certificate),
    ) {
        let (target, certified) = (self.committee.target(0), draft.certified(certificate));
        self.refused(what, why, self.gateway.put_certificate(&target, &certified)).await;
    }

    /// A blob that all nodes hold and have acknowledged.
    pub(crate) async fn certified(&self, name: &str, seed: u64) -> (Draft, Certificate) {
        let draft = self.committee.draft(name, &content(seed, TWO_STRIPES_BYTES));
        let nodes: Vec<usize> = (0..4).collect();
        let certificate = self.committee.certify(&self.gateway, &draft, &nodes).await;
        for at in nodes {
            let certified = draft.certified(&certificate);
            self.gateway.put_certificate(&self.committee.target(at), &certified).await.unwrap();
        }
        (draft, certificate)
    }

    /// All nodes know that one claim is released and another one closed.
    pub(crate) async fn end(&self, released: &Draft, closed: &Draft) {
        for at in 0..self.committee.size() {
            let target = self.committee.target(at);
            let release = self.committee.release_of(released);
            self.gateway.put_release(&target, &release).await.unwrap();
            self.gateway.close(&target, closed.claim.body.claim).await.unwrap();
        }
    }

    /// The same statement said by those who may not, or not so.
    pub(crate) fn forgeries<B: RegistrarBody + Clone>(
        &self,
        good: &Signed<B>,
        alter: impl Fn(&mut B),
    ) -> Vec<(&'static str, Signed<B>, (ErrorCode, &'static str))> {
        let (ours, hash) = (self.committee.record().committee, self.committee.record().hash());
        let key = self.committee.gateway_key();
        let stranger = RegistrarKey::from_seed(&[9; 32]);
        let body = || good.body.clone();
        let unsigned = Signed { signature: RegistrarSignature([0; 64]), ..good.clone() };
        let mut altered = good.clone();
        alter(&mut altered.body);
        let foreign = Signed::sign(body(), &ours, hash, &stranger);
        let posing = Signed { key: key.public(), ..foreign.clone() };
        let elsewhere = Signed::sign(body(), &CommitteeId([9; 16]), hash, key);
        let unknown = Signed::sign(body(), &ours, RecordHash([9; 32]), key);
        let invalid = |says| (ErrorCode::StatementInvalid, says);
        vec![
            ("unsigned", unsigned, invalid("does not match")),
            ("altered", altered, invalid("does not match")),
            ("of a foreign key", foreign, invalid("does not name")),
            ("of a foreign key that poses as the gateways'", posing, invalid("does not match")),
            ("of another committee", elsewhere, invalid("does not match")),
            ("under an unknown record", unknown, (ErrorCode::NeedEpoch, "push the chain")),
        ]
    }
}

pub(crate) fn shorten(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len() - 1);
}
