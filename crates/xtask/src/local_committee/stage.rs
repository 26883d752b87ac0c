//! The processes of a run and its directory. Whatever happens, Ctrl-C included, none of them stays,
//! unless they are left on purpose.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Between two looks at a process.
const GLANCE: Duration = Duration::from_millis(10);
/// Exit code after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Everything that must be gone at the end.
pub(crate) struct Stage {
    shared: Arc<Shared>,
    keep: bool,
}

struct Shared {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    processes: BTreeMap<String, Child>,
    over: bool,
}

impl Stage {
    /// Makes the directory; from here on signals clean up. With `keep`, [`Stage::leave`] may leave
    /// the processes running.
    pub(crate) fn set(directory: PathBuf, keep: bool) -> anyhow::Result<Self> {
        fs::create_dir_all(directory.join("logs"))
            .with_context(|| format!("make {}", directory.display()))?;
        let shared = Arc::new(Shared { directory, state: Mutex::default() });
        let stage = Self { shared: Arc::clone(&shared), keep };
        end_on_signal(shared)?;
        Ok(stage)
    }

    /// Whether the processes are to be left running.
    pub(crate) fn keeps(&self) -> bool {
        self.keep
    }

    /// Where everything is.
    pub(crate) fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// Starts a server; its output goes to a log of its name.
    pub(crate) fn start(&self, name: &str, mut command: Command) -> anyhow::Result<()> {
        let log = self.log(name);
        let output = File::options().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("write {}", log.display()))?;
        // Its own group: Ctrl-C on the terminal is for us, and we end it.
        command.process_group(0).stdout(output.try_clone()?).stderr(output);
        if self.keep {
            command.stdin(Stdio::null());
        } else {
            // The pipe closes when we die, however we die.
            command.arg("--until-stdin-ends").stdin(Stdio::piped());
        }
        self.spawn(name, command).map(|_| ())
    }

    /// Starts a client, whose standard error is ours; its standard output, if it was asked for.
    pub(crate) fn spawn(
        &self,
        name: &str,
        mut command: Command,
    ) -> anyhow::Result<Option<ChildStdout>> {
        let mut state = self.shared.lock();
        if state.over {
            bail!("interrupted");
        }
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let output = child.stdout.take();
        state.processes.insert(name.to_owned(), child);
        Ok(output)
    }

    /// Waits until a process has ended by itself.
    pub(crate) fn wait(&self, name: &str) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.shared.lock().ended(name)? {
                return Ok(status);
            }
            thread::sleep(GLANCE);
        }
    }

    /// As [`Stage::wait`], but not for longer than this.
    pub(crate) fn wait_within(&self, name: &str, within: Duration) -> anyhow::Result<ExitStatus> {
        let begin = Instant::now();
        while begin.elapsed() < within {
            if let Some(status) = self.shared.lock().ended(name)? {
                return Ok(status);
            }
            thread::sleep(GLANCE);
        }
        bail!("{name} has not ended within {} s", within.as_secs())
    }

    /// Ends a process the hard way (SIGKILL).
    pub(crate) fn kill(&self, name: &str) -> anyhow::Result<()> {
        let mut state = self.shared.lock();
        let mut child =
            state.processes.remove(name).with_context(|| format!("{name} is not running"))?;
        child.kill().and_then(|()| child.wait()).with_context(|| format!("kill {name}"))?;
        Ok(())
    }

    /// An error if a server ended without being told to, with the end of its log.
    pub(crate) fn all_run(&self) -> anyhow::Result<()> {
        let mut state = self.shared.lock();
        let names: Vec<String> = state.processes.keys().cloned().collect();
        for name in names {
            if let Some(status) = state.ended(&name)? {
                bail!("{name} ended by itself ({status}):\n{}", tail(&self.log(&name)));
            }
        }
        Ok(())
    }

    /// Ids of all processes that run, by name.
    pub(crate) fn process_ids(&self) -> BTreeMap<String, u32> {
        let state = self.shared.lock();
        state.processes.iter().map(|(name, child)| (name.clone(), child.id())).collect()
    }

    /// Leaves processes and directory as they are.
    pub(crate) fn leave(self) {
        self.shared.lock().over = true;
    }

    /// Where a server's output goes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.shared.directory.join("logs").join(format!("{name}.log"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills every process, waits for each, removes the directory. Once.
    fn end(&self) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        state.over = true;
        for child in state.processes.values_mut() {
            // An error means that it has ended.
            let _ = child.kill();
        }
        for (_, mut child) in std::mem::take(&mut state.processes) {
            let _ = child.wait();
        }
        // The main thread may still be writing a file when a signal ends the run.
        for _ in 0..100 {
            match fs::remove_dir_all(&self.directory) {
                Ok(()) => return,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
                Err(_) => thread::sleep(GLANCE),
            }
        }
        eprintln!("{} could not be removed", self.directory.display());
    }
}

impl State {
    fn ended(&mut self, name: &str) -> anyhow::Result<Option<ExitStatus>> {
        let child =
            self.processes.get_mut(name).with_context(|| format!("{name} is not running"))?;
        let status = child.try_wait().with_context(|| format!("look at {name}"))?;
        if status.is_some() {
            self.processes.remove(name);
        }
        Ok(status)
    }
}

fn end_on_signal(shared: Arc<Shared>) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    drop(guard);
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
        });
        if !shared.lock().over {
            eprintln!(
                "\ninterrupted: ending all processes and removing {}",
                shared.directory.display()
            );
        }
        shared.end();
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 15;
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| file.read_to_end(&mut bytes));
    if let Err(error) = read {
        return format!("({} cannot be read: {error})", log.display());
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str) -> Stage {
        let directory = std::env::temp_dir().join(format!("floe-{name}-{}", std::process::id()));
        Stage::set(directory, true).unwrap()
    }

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    }

    #[test]
    fn nothing_stays() {
        let stage = stage("nothing-stays");
        stage.start("one", sleeper()).unwrap();
        stage.start("two", sleeper()).unwrap();
        stage.kill("one").unwrap();
        stage.all_run().unwrap();
        let left = stage.process_ids()["two"];
        let directory = stage.directory().to_owned();
        assert!(Path::new(&format!("/proc/{left}")).exists());
        drop(stage);
        assert!(!directory.exists());
        assert!(!Path::new(&format!("/proc/{left}")).exists());
    }

    #[test]
    fn a_server_that_ends_by_itself_is_an_error_with_its_last_words() {
        let stage = stage("ends-by-itself");
        let mut command = Command::new("sh");
        command.args(["-c", "echo goodbye; exit 3"]);
        stage.start("sh", command).unwrap();
        let error = loop {
            if let Err(error) = stage.all_run() {
                break error.to_string();
            }
        };
        assert!(error.contains("sh ended by itself") && error.contains("goodbye"), "{error}");
    }
}
