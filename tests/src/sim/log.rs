use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

/// What happened in a simulation, in order: equal for equal seeds. A handle: clones share it.
#[derive(Debug, Clone, Default)]
pub struct EventLog(Arc<Mutex<Vec<String>>>);

impl EventLog {
    /// Adds a line: milliseconds since the simulation began (`-` from outside its hosts), who, what.
    pub fn note(&self, who: &str, what: impl Display) {
        let line = match turmoil::sim_elapsed() {
            Some(elapsed) => format!("{} {who} {what}", elapsed.as_millis()),
            None => format!("- {who} {what}"),
        };
        tracing::debug!("{line}");
        self.lock().push(line);
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// SHA-256 of all lines so far, in hex.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for line in self.lock().iter() {
            hash.update(line);
            hash.update("\n");
        }
        hex::encode(hash.finalize())
    }

    /// The first line in which another log differs: what stands here, what there.
    pub fn first_difference(&self, other: &Self) -> Option<(Option<String>, Option<String>)> {
        let (here, there) = (self.lines(), other.lines());
        let differing =
            (0..here.len().max(there.len())).find(|&at| here.get(at) != there.get(at))?;
        Some((here.get(differing).cloned(), there.get(differing).cloned()))
    }

    /// Lines about tasks that panicked: a test ends with none.
    pub fn panics(&self) -> Vec<String> {
        self.lock().iter().filter(|line| line.contains(" panicked: ")).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
