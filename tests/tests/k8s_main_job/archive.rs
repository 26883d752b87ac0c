//! Everything that was written, and what of it must be read back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use floe_tests::kubernetes::Kubectl;
use floe_tests::process::content;
use sha2::{Digest as _, Sha256};

/// For how long one read or write is tried again before it counts as failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// A command that says nothing for so long is ended, and counts as a failed try.
const LONGEST_TRY_SECONDS: &str = "25";

/// `kubectl floe` for one namespace, with one ServiceAccount's token.
#[derive(Debug, Clone)]
pub(crate) struct Application {
    /// The administrator's.
    pub(crate) kubectl: Kubectl,
    /// Whose token is used.
    pub(crate) service_account: &'static str,
    /// Where files are put.
    pub(crate) dir: PathBuf,
}

impl Application {
    /// One try.
    pub(crate) fn attempt(&self, words: &[&str]) -> Result<String, String> {
        let account = ["--as-service-account", self.service_account];
        let words = [&["floe"], words, &account].concat();
        let mut command = Command::new("timeout");
        let kubectl = self.kubectl.command(&words);
        command.arg(LONGEST_TRY_SECONDS).arg(kubectl.get_program()).args(kubectl.get_args());
        command.envs(kubectl.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("kubectl {}: {}: {said}{complaint}", words.join(" "), output.status))
    }

    /// Until it succeeds; after [`PATIENCE`] all that it said.
    pub(crate) fn retry(&self, words: &[&str]) -> Result<String, String> {
        let begin = Instant::now();
        let mut failures = Vec::new();
        loop {
            match self.attempt(words) {
                Ok(said) => return Ok(said),
                Err(failure) => failures.push(failure),
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("no success within {PATIENCE:?}:\n{}", failures.join("\n")));
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
    }

    /// Writes these bytes under `shop/<name>`.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let file = self.dir.join(format!("put-{name}"));
        std::fs::write(&file, bytes).unwrap();
        let put = self.retry(&["put", &format!("shop/{name}"), &file.to_string_lossy()]);
        std::fs::remove_file(&file).unwrap();
        put.map(drop)
    }

    /// The bytes of `shop/<name>`.
    pub(crate) fn get(&self, name: &str) -> Result<Vec<u8>, String> {
        let file = self.dir.join(format!("got-{name}"));
        self.retry(&["get", &format!("shop/{name}"), &file.to_string_lossy()])?;
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        Ok(bytes)
    }
}

/// Names, and the SHA-256 of what stands under them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Archive(BTreeMap<String, String>);

impl Archive {
    /// Writes content that follows from the seed, and remembers it.
    pub(crate) fn put(&mut self, application: &Application, name: &str, seed: u64, length: usize) {
        let bytes = content(seed, length);
        application.put(name, &bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
        self.expect(name, &bytes);
    }

    /// This stands under that name.
    pub(crate) fn expect(&mut self, name: &str, bytes: &[u8]) {
        self.0.insert(name.to_owned(), sha256(bytes));
    }

    /// The name was deleted.
    pub(crate) fn forget(&mut self, name: &str) {
        self.0.remove(name).unwrap();
    }

    /// Reads all of it and compares.
    pub(crate) fn read_all(&self, application: &Application, after: &str) {
        for (name, expected) in &self.0 {
            let bytes = application.get(name).unwrap_or_else(|why| panic!("after {after}: {why}"));
            assert_eq!(sha256(&bytes), *expected, "after {after}: {name} has other bytes");
        }
        println!("after {after}: {} blobs read, all as they were written", self.0.len());
    }
}

/// Of these bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A directory made anew.
pub(crate) fn empty_dir(path: &Path) -> PathBuf {
    let _ = std::fs::remove_dir_all(path);
    std::fs::create_dir_all(path).unwrap();
    path.to_owned()
}
