//! What the pipelines ask of a node. [`NodeClient`] answers over the network; tests have nodes in
//! memory.

use floe_api::messages::{
    CertificateAnswer, CertifiedClaim, Chain, Closing, FinishAnswer, Received, Statements,
};
use floe_api::{Answer, CallError, NodeClient, Pieces, Span, Target};
use floe_env::BoxFuture;
use floe_model::{
    Axis, BlobId, BlobName, ClaimId, EpochNumber, ExtentIndex, Member, NamespaceUid, PairIndex,
    SignedPermit, SignedRelease, UploadId,
};

/// A request on its way.
pub(crate) type Call<T> = BoxFuture<'static, Result<Answer<T>, CallError>>;

/// A node's routes, as far as the pipelines use them.
pub(crate) trait Nodes: Send + Sync {
    /// The chain of the record that the node accepted, or what it has behind a number.
    fn epoch(&self, to: &Member, after: Option<EpochNumber>) -> Call<Chain>;
    fn push_epoch(&self, to: &Member, chain: Chain) -> Call<()>;
    fn open_upload(&self, to: &Member, permit: &SignedPermit) -> Call<()>;
    /// `body`: an encoded [`floe_api::messages::Extent`].
    fn put_extent(&self, to: &Member, at: (UploadId, ExtentIndex), body: Pieces) -> Call<()>;
    /// `body`: an encoded [`floe_api::messages::Finish`].
    fn finish(&self, to: &Member, upload: UploadId, body: Pieces) -> Call<FinishAnswer>;
    fn put_certificate(&self, to: &Member, certified: &CertifiedClaim) -> Call<CertificateAnswer>;
    fn put_release(&self, to: &Member, release: &SignedRelease) -> Call<()>;
    fn close(&self, to: &Member, claim: ClaimId) -> Call<Closing>;
    fn resolve(&self, to: &Member, uid: NamespaceUid, name: &BlobName) -> Call<Statements>;
    /// As `resolve`, with the claims that a release covers.
    fn resolve_released(&self, to: &Member, uid: NamespaceUid, name: &BlobName)
    -> Call<Statements>;
    fn list(&self, to: &Member, page: &PageOf) -> Call<Statements>;
    fn manifest(&self, to: &Member, blob: BlobId) -> Call<Received>;
    fn metadata(&self, to: &Member, at: (BlobId, ExtentIndex)) -> Call<Received>;
    fn sliver(
        &self,
        to: &Member,
        at: (BlobId, ExtentIndex),
        sliver: (Axis, PairIndex),
        stripes: Option<Span>,
    ) -> Call<Received>;
}

/// A page of a namespace's names.
#[derive(Debug, Clone)]
pub(crate) struct PageOf {
    pub(crate) namespace_uid: NamespaceUid,
    /// Only names behind this one.
    pub(crate) after: Option<BlobName>,
    /// Names at most.
    pub(crate) limit: u32,
}

fn answer<T, U>(
    said: Result<Answer<T>, CallError>,
    value: impl FnOnce(T) -> U,
) -> Result<Answer<U>, CallError> {
    said.map(|answer| Answer { value: value(answer.value), epoch: answer.epoch })
}

impl Nodes for NodeClient {
    fn epoch(&self, to: &Member, after: Option<EpochNumber>) -> Call<Chain> {
        let (client, to) = (self.clone(), Target::from(to));
        // All pages: those before the last one may hold nothing that is proved to be committed.
        Box::pin(async move { client.epoch_after(&to, after).await })
    }

    fn push_epoch(&self, to: &Member, chain: Chain) -> Call<()> {
        let (client, to) = (self.clone(), Target::from(to));
        Box::pin(async move { answer(Self::push_epoch(&client, &to, &chain).await, drop) })
    }

    fn open_upload(&self, to: &Member, permit: &SignedPermit) -> Call<()> {
        let (client, to, permit) = (self.clone(), Target::from(to), permit.clone());
        Box::pin(async move { Self::open_upload(&client, &to, &permit).await })
    }

    fn put_extent(&self, to: &Member, at: (UploadId, ExtentIndex), body: Pieces) -> Call<()> {
        let (client, to) = (self.clone(), Target::from(to));
        Box::pin(async move { client.put_extent_body(&to, at.0, at.1, body).await })
    }

    fn finish(&self, to: &Member, upload: UploadId, body: Pieces) -> Call<FinishAnswer> {
        let (client, to) = (self.clone(), Target::from(to));
        Box::pin(async move { client.finish_body(&to, upload, body).await })
    }

    fn put_certificate(&self, to: &Member, certified: &CertifiedClaim) -> Call<CertificateAnswer> {
        let (client, to, certified) = (self.clone(), Target::from(to), certified.clone());
        Box::pin(async move { Self::put_certificate(&client, &to, &certified).await })
    }

    fn put_release(&self, to: &Member, release: &SignedRelease) -> Call<()> {
        let (client, to, release) = (self.clone(), Target::from(to), release.clone());
        Box::pin(async move { answer(Self::put_release(&client, &to, &release).await, drop) })
    }

    fn close(&self, to: &Member, claim: ClaimId) -> Call<Closing> {
        let (client, to) = (self.clone(), Target::from(to));
        Box::pin(async move { Self::close(&client, &to, claim).await })
    }

    fn resolve(&self, to: &Member, uid: NamespaceUid, name: &BlobName) -> Call<Statements> {
        let (client, to, name) = (self.clone(), Target::from(to), name.clone());
        Box::pin(async move { Self::resolve(&client, &to, uid, name).await })
    }

    fn resolve_released(
        &self,
        to: &Member,
        uid: NamespaceUid,
        name: &BlobName,
    ) -> Call<Statements> {
        let (client, to, name) = (self.clone(), Target::from(to), name.clone());
        Box::pin(async move { Self::resolve_released(&client, &to, uid, name).await })
    }

    fn list(&self, to: &Member, page: &PageOf) -> Call<Statements> {
        let (client, to, page) = (self.clone(), Target::from(to), page.clone());
        Box::pin(async move {
            Self::list(&client, &to, page.namespace_uid, page.after, page.limit).await
        })
    }

    fn manifest(&self, to: &Member, blob: BlobId) -> Call<Received> {
        let (client, to) = (self.clone(), Target::from(to));
        Box::pin(async move {
            answer(Self::manifest(&client, &to, blob).await, |manifest| manifest.bytes)
        })
    }

    fn metadata(&self, to: &Member, at: (BlobId, ExtentIndex)) -> Call<Received> {
        let (client, to) = (self.clone(), Target::from(to));
        Box::pin(async move {
            answer(Self::metadata(&client, &to, at.0, at.1).await, |metadata| metadata.0)
        })
    }

    fn sliver(
        &self,
        to: &Member,
        at: (BlobId, ExtentIndex),
        sliver: (Axis, PairIndex),
        stripes: Option<Span>,
    ) -> Call<Received> {
        let (client, to) = (self.clone(), Target::from(to));
        Box::pin(async move {
            answer(Self::sliver(&client, &to, at, sliver, stripes).await, |sliver| sliver.bytes)
        })
    }
}
