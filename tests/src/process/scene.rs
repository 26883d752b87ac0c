//! Where one test plays: its directory, its logs, its seed.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::floe_binary;
use super::server::Server;

/// The directory of one test, made anew; what is not a log is removed when the test has passed.
pub struct Scene {
    test: String,
    dir: PathBuf,
    seed: u64,
}

impl Scene {
    /// An empty directory for the test of this name. Prints the seed.
    pub fn new(test: &str) -> Self {
        let dir = target_dir().join("floe-tests").join(test);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                panic!("{}: {error}", dir.display())
            }
            _ => fs::create_dir_all(&dir).unwrap(),
        }
        let seed = match std::env::var("FLOE_SEED") {
            Ok(seed) => seed.parse().expect("FLOE_SEED must be a number"),
            Err(_) => RandomState::new().hash_one(test) >> 32,
        };
        println!("{test}: FLOE_SEED={seed}");
        Self { test: test.to_owned(), dir, seed }
    }

    /// The test's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What random choices follow from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A process's log.
    pub fn log(&self, process: &str) -> PathBuf {
        self.dir.join(format!("{process}.log"))
    }

    /// What a process's log ends with.
    pub fn log_tail(&self, process: &str) -> String {
        let text = fs::read_to_string(self.log(process)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// `floe` with these words, and nothing of our own environment that steers it.
    pub fn floe(&self, words: &[&str]) -> Command {
        let mut command = Command::new(floe_binary());
        self.clean(&mut command);
        command.args(words).stdin(Stdio::null());
        command
    }

    /// Takes out of a command's environment what steers `floe`.
    pub fn clean(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FLOE_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.current_dir(&self.dir);
    }

    /// Starts a process that ends with the test; both its outputs go to its log.
    pub fn spawn(&self, process: &str, mut command: Command) -> Server {
        let log = OpenOptions::new().create(true).append(true).open(self.log(process)).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Server::spawn(process, command)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (test, dir, seed) = (&self.test, self.dir.display(), self.seed);
            eprintln!("{test} failed: logs and data are in {dir}; again with FLOE_SEED={seed}");
            return;
        }
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                // What is left is removed at the start of the next run.
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

fn target_dir() -> PathBuf {
    let top = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    top.join(target)
}
