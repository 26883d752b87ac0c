//! `kubectl` and `helm` as people use them.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::program;

/// `kubectl` with one kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
    /// Of its own, for what the programs keep.
    dir: PathBuf,
    /// Where it looks for plugins first.
    plugins: Option<PathBuf>,
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
    pub(super) fn new(kubeconfig: &Path, dir: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), dir: dir.to_owned(), plugins: None }
    }

    pub(super) fn with_plugins(kubeconfig: &Path, dir: &Path, plugins: &Path) -> Self {
        Self { plugins: Some(plugins.to_owned()), ..Self::new(kubeconfig, dir) }
    }

    /// What it prints; panics with all its output when it fails.
    pub fn run(&self, words: &[&str]) -> String {
        self.attempt(words).unwrap_or_else(|failed| panic!("{failed}"))
    }

    /// What it prints, or how it failed.
    pub fn attempt(&self, words: &[&str]) -> Result<String, Failed> {
        output(&mut self.command(words), None)
    }

    /// `kubectl apply` of these documents with server-side validation, so that a misspelt field fails.
    pub fn apply(&self, documents: &str) -> Result<String, Failed> {
        let words = ["apply", "--server-side", "--validate=strict", "-f", "-"];
        output(&mut self.command(&words), Some(documents))
    }

    /// Floe's kinds, as they are now, until the API server serves them.
    pub fn install_kinds(&self) {
        for definition in floe_crd::definitions() {
            let document = serde_json::to_string(&definition).unwrap();
            self.apply(&document).unwrap_or_else(|failed| panic!("{failed}"));
        }
        self.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
    }

    /// The command, for what is not to be waited for.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("kubectl"));
        self.environment(&mut command);
        command.args(words);
        command
    }

    /// What helm prints, or how it failed.
    pub fn helm(&self, words: &[&str]) -> Result<String, Failed> {
        let mut command = Command::new(program("helm"));
        self.environment(&mut command);
        for kind in ["CACHE", "CONFIG", "DATA"] {
            command.env(format!("HELM_{kind}_HOME"), self.dir.join("helm").join(kind));
        }
        // Charts are named from the top folder.
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        output(command.args(words), None)
    }

    fn environment(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            // What steers `floe` would steer its plugin too.
            if name.to_string_lossy().starts_with("FLOE_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", self.dir.join("cache"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = self.plugins.iter().cloned().chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(path).unwrap());
    }
}

/// Runs a command to its end.
pub(super) fn output(command: &mut Command, input: Option<&str>) -> Result<String, Failed> {
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
