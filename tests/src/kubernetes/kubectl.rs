//! `kubectl` as people use it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::program;

/// `kubectl` with one kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
    cache_dir: PathBuf,
}

/// A command that failed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// As it was called.
    pub command: String,
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "$ {command}\nended with {code:?}\n{stdout}{stderr}")
    }
}

impl Kubectl {
    pub(super) fn new(kubeconfig: &Path, cache_dir: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), cache_dir: cache_dir.to_owned() }
    }

    /// What it prints; panics with all its output when it fails.
    pub fn run(&self, words: &[&str]) -> String {
        self.attempt(words).unwrap_or_else(|failed| panic!("{failed}"))
    }

    /// What it prints, or how it failed.
    pub fn attempt(&self, words: &[&str]) -> Result<String, Failed> {
        output(self.command(words), None)
    }

    /// `kubectl apply` of these documents with server-side validation, so that a misspelt field fails.
    pub fn apply(&self, documents: &str) -> Result<String, Failed> {
        let words = ["apply", "--server-side", "--validate=strict", "-f", "-"];
        output(self.command(&words), Some(documents))
    }

    /// The command, for what is not to be waited for.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("kubectl"));
        self.environment(&mut command);
        command.args(words);
        command
    }

    fn environment(&self, command: &mut Command) {
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", &self.cache_dir);
    }
}

/// Runs a command to its end.
fn output(mut command: Command, input: Option<&str>) -> Result<String, Failed> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("$ {shown}: {error}"));
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // Fails when it ended without reading, and then says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.success() {
        return Ok(stdout);
    }
    Err(Failed { command: shown, code: output.status.code(), stdout, stderr })
}
