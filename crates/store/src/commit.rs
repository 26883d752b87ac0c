//! Group commit: callers that wait at the same time share one sync.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;

/// Rounds of syncing. A caller is content with the first one that began after it came.
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    rounds: Mutex<Rounds>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    waiting: usize,
    failed: Option<String>,
}

impl GroupCommit {
    fn lock(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses once a sync has failed.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.failed().map_or(Ok(()), |reason| Err(StoreError::Failed { reason }))
    }

    /// Why writing ended.
    pub(crate) fn failed(&self) -> Option<String> {
        self.lock().failed.clone()
    }

    /// Ends all writing.
    pub(crate) fn fail(&self, error: &dyn std::error::Error) -> StoreError {
        let mut rounds = self.lock();
        let reason = rounds.failed.get_or_insert_with(|| error.to_string()).clone();
        self.changed.notify_all();
        StoreError::Failed { reason }
    }

    /// Waits for a round that begins from now on, or runs it.
    pub(crate) fn sync(
        &self,
        round: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<(), StoreError> {
        let mut rounds = self.lock();
        let mine = rounds.begun + 1;
        loop {
            if let Some(reason) = rounds.failed.clone() {
                return Err(StoreError::Failed { reason });
            }
            if rounds.ended >= mine {
                return Ok(());
            }
            if rounds.begun == rounds.ended {
                break;
            }
            rounds.waiting += 1;
            rounds = self.changed.wait(rounds).unwrap_or_else(PoisonError::into_inner);
            rounds.waiting -= 1;
        }
        rounds.begun += 1;
        drop(rounds);
        let synced = Ending { commit: self, done: false }.run(round);
        synced.map_err(|error| self.fail(&error))
    }

    /// Callers that wait for a round to end.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }
}

/// Ends a round even if it panics: then it has failed.
struct Ending<'a> {
    commit: &'a GroupCommit,
    done: bool,
}

impl Ending<'_> {
    fn run(mut self, round: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
        let synced = round();
        if let Err(error) = &synced {
            self.commit.fail(error);
        }
        self.done = true;
        synced
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut rounds = self.commit.lock();
        rounds.ended = rounds.begun;
        if !self.done {
            rounds.failed.get_or_insert_with(|| "the sync panicked".to_owned());
        }
        self.commit.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "callers at the same time are the matter")]
    fn callers_at_the_same_time_share_a_round() {
        let commit = Arc::new(GroupCommit::default());
        let rounds = Arc::new(AtomicU32::new(0));
        let (began, has_begun) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let first = std::thread::spawn({
            let (commit, rounds) = (commit.clone(), rounds.clone());
            move || {
                commit.sync(|| {
                    rounds.fetch_add(1, Ordering::SeqCst);
                    began.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    Ok(())
                })
            }
        });
        has_begun.recv().unwrap();
        // What these wrote came too late for the first round.
        let others: Vec<_> = (0..8)
            .map(|_| {
                let (commit, rounds) = (commit.clone(), rounds.clone());
                let round = move || {
                    rounds.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                };
                std::thread::spawn(move || commit.sync(round))
            })
            .collect();
        while commit.waiting() < 8 {
            std::thread::yield_now();
        }
        go_on.send(()).unwrap();
        for thread in others.into_iter().chain([first]) {
            thread.join().unwrap().unwrap();
        }
        assert_eq!(rounds.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_failed_round_is_the_last() {
        let commit = GroupCommit::default();
        commit.check().unwrap();
        let failed = commit.sync(|| Err(std::io::Error::other("no more")));
        assert!(matches!(failed, Err(StoreError::Failed { reason }) if reason == "no more"));
        let refused = commit.sync(|| panic!("must not be tried again"));
        assert!(matches!(refused, Err(StoreError::Failed { .. })));
        assert!(commit.check().is_err());
    }

    #[test]
    fn a_round_that_panics_has_failed() {
        let commit = GroupCommit::default();
        let round = std::panic::AssertUnwindSafe(|| commit.sync(|| panic!("as planned")));
        assert!(std::panic::catch_unwind(round).is_err());
        assert!(matches!(commit.sync(|| Ok(())), Err(StoreError::Failed { .. })));
    }
}
