//! The change feed: where its entries stand in the log.

use crate::log::LogSpan;
use crate::state::State;

#[derive(Debug)]
struct FeedEntry {
    span: LogSpan,
    /// What it is about was forgotten: nobody is to hear of it again.
    forgotten: bool,
}

#[derive(Debug, Default)]
pub(super) struct Feed {
    entries: Vec<FeedEntry>,
}

impl Feed {
    /// Appends an entry; returns its number, counted from 1.
    pub(super) fn push(&mut self, span: LogSpan) -> u64 {
        self.entries.push(FeedEntry { span, forgotten: false });
        self.entries.len() as u64
    }

    /// The entries of these numbers are shown no more.
    pub(super) fn forget(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            let at = number.checked_sub(1).and_then(|at| usize::try_from(at).ok());
            if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
                entry.forgotten = true;
            }
        }
    }
}

impl State {
    /// The number of the newest entry of this node's feed, synced or not; 0 for none.
    pub fn feed_head(&self) -> u64 {
        self.catalog.feed.entries.len() as u64
    }

    /// The number of the newest entry that ends at or before `durable` in the log.
    pub(crate) fn feed_durable(&self, durable: u64) -> u64 {
        self.catalog.feed.entries.partition_point(|entry| entry.span.end() <= durable) as u64
    }

    /// Where the feed's entries behind number `after` stand in the log; those that were forgotten
    /// are left out.
    pub(crate) fn feed_spans(&self, after: u64) -> impl Iterator<Item = (u64, LogSpan)> + '_ {
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        let entries = self.catalog.feed.entries.get(skip..).unwrap_or_default();
        let numbered = (after.saturating_add(1)..).zip(entries);
        numbered.filter_map(|(number, entry)| (!entry.forgotten).then_some((number, entry.span)))
    }
}
