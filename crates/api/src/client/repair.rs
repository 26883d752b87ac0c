//! What repair asks for: many small things at once, and leases of work.

use floe_model::{BlobId, BootId, ExtentIndex, LeaseId};

use super::{Answer, CallError, NodeClient};
use crate::messages::{Batch, BatchAnswer, Extent, Lease, LeaseProgress, LeaseState};
use crate::route::call::Call;
use crate::transport::Target;

impl NodeClient {
    /// [`Route::Batch`](crate::route::Route::Batch). There are as many answers as calls.
    pub async fn batch(
        &self,
        target: &Target,
        batch: &Batch,
    ) -> Result<Answer<BatchAnswer>, CallError> {
        let route = Call::Batch.spec().name;
        let answer: Answer<BatchAnswer> = self.send(target, Call::Batch, batch).await?;
        let (calls, answers) = (batch.parts.len(), answer.value.answers.len());
        if answers == calls {
            return Ok(answer);
        }
        let reason = format!("{answers} answers to {calls} calls");
        Err(CallError::Protocol { target: target.to_string(), route, reason })
    }

    /// [`Route::Lease`](crate::route::Route::Lease).
    pub async fn lease(&self, target: &Target) -> Result<Answer<Lease>, CallError> {
        self.get(target, Call::Lease).await
    }

    /// [`Route::RenewLease`](crate::route::Route::RenewLease).
    pub async fn renew_lease(
        &self,
        target: &Target,
        (lease, boot): (LeaseId, BootId),
        progress: &LeaseProgress,
    ) -> Result<Answer<LeaseState>, CallError> {
        self.send(target, Call::RenewLease { lease, boot }, progress).await
    }

    /// [`Route::EndLease`](crate::route::Route::EndLease).
    pub async fn end_lease(
        &self,
        target: &Target,
        (lease, boot): (LeaseId, BootId),
    ) -> Result<Answer<()>, CallError> {
        self.get(target, Call::EndLease { lease, boot }).await
    }

    /// [`Route::PutRepaired`](crate::route::Route::PutRepaired).
    pub async fn put_repaired<B: AsRef<[u8]>>(
        &self,
        target: &Target,
        (lease, boot): (LeaseId, BootId),
        (blob, extent): (BlobId, ExtentIndex),
        content: &Extent<B>,
    ) -> Result<Answer<()>, CallError> {
        self.send(target, Call::PutRepaired { lease, boot, blob, extent }, content).await
    }
}
