//! Chains of epoch records, page by page.

use floe_model::{Acceptance, EpochNumber};

use super::{Answer, CallError, NodeClient};
use crate::error::ErrorCode;
use crate::messages::{Chain, ChainLink};
use crate::route::call::Call;
use crate::transport::Target;

/// Bytes that a chain read from one node may have.
const LARGEST_CHAIN_BYTES: usize = 64 << 20;

impl NodeClient {
    /// [`Route::Epoch`](crate::route::Route::Epoch), page by page: the chain of the record that the
    /// node accepted last, from record 0 on, up to 64 MiB.
    pub async fn epoch(&self, target: &Target) -> Result<Answer<Chain>, CallError> {
        self.epoch_after(target, None).await
    }

    /// As [`Self::epoch`], what is behind a number.
    pub async fn epoch_after(
        &self,
        target: &Target,
        after: Option<EpochNumber>,
    ) -> Result<Answer<Chain>, CallError> {
        let mut answer = self.epoch_page(target, after).await?;
        let mut bytes: usize = answer.value.links.iter().map(ChainLink::bytes).sum();
        while let Some(last) = answer.value.links.last().map(|link| &link.record.record) {
            if answer.epoch.is_some_and(|tip| tip.number <= last.number) {
                break;
            }
            let last = last.number;
            let page = self.epoch_page(target, Some(last)).await?;
            let rises = page.value.links.first().is_some_and(|it| it.record.record.number > last);
            bytes += page.value.links.iter().map(ChainLink::bytes).sum::<usize>();
            if !rises || bytes > LARGEST_CHAIN_BYTES {
                break;
            }
            answer.value.links.extend(page.value.links);
            answer.epoch = page.epoch;
        }
        Ok(answer)
    }

    /// [`Route::Epoch`](crate::route::Route::Epoch): the page of that chain behind a number. The last
    /// one ends with the record of the answer's hint.
    pub async fn epoch_page(
        &self,
        target: &Target,
        after: Option<EpochNumber>,
    ) -> Result<Answer<Chain>, CallError> {
        self.get(target, Call::Epoch { after }).await
    }

    /// [`Route::PushEpoch`](crate::route::Route::PushEpoch), page by page. Answers with the node's
    /// acceptance of the record that it has accepted by then, which may be one further on.
    pub async fn push_epoch(
        &self,
        target: &Target,
        chain: &Chain,
    ) -> Result<Answer<Acceptance>, CallError> {
        let mut pages = chain.pages();
        let mut page = pages.next().unwrap_or_default();
        for next in pages {
            match self.send::<_, Acceptance>(target, Call::PushEpoch, &page).await {
                Ok(_) => {}
                // It keeps what leads to a committed record, and may accept what follows: a new volume
                // is named only there.
                Err(error)
                    if error.refusal().is_some_and(|it| {
                        matches!(it.code, ErrorCode::NeedEpoch | ErrorCode::NotServing)
                    }) => {}
                Err(error) => return Err(error),
            }
            page = next;
        }
        self.send(target, Call::PushEpoch, &page).await
    }
}
