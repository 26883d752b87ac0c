//! The processes of a cluster outlive the command that starts them; each is known by its number *and*
//! the moment it began, so that after a reboot nobody else's is ended.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the kernel may take to end a process.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// The processes of the cluster in this directory.
pub(super) struct Processes {
    dir: PathBuf,
}

impl Processes {
    /// Those of the cluster in `dir`.
    pub(super) fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Starts it, unless it runs.
    pub(super) fn ensure(&self, name: &str, command: &Command) -> anyhow::Result<()> {
        if self.running(name).is_some() {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log(name))?;
        // A session of its own: neither the terminal's end nor Ctrl-C reaches it. `setsid` replaces
        // itself, so the number stays.
        let mut detached = Command::new("setsid");
        detached.arg(command.get_program()).args(command.get_args()).current_dir(&self.dir);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => detached.env(name, value),
                None => detached.env_remove(name),
            };
        }
        detached.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = detached.spawn().with_context(|| format!("{name} did not start"))?;
        let begun = begun(child.id()).with_context(|| format!("{name} ended at once"))?;
        fs::write(self.pid_file(name), format!("{} {begun}\n", child.id()))
            .with_context(|| format!("write down the process {name}"))
    }

    /// Its number, if it runs.
    pub(super) fn running(&self, name: &str) -> Option<Pid> {
        let text = fs::read_to_string(self.pid_file(name)).ok()?;
        let (pid, recorded) = text.trim().split_once(' ')?;
        let is_same = begun(pid.parse().ok()?)? == recorded;
        is_same.then(|| Pid::from_raw(pid.parse().ok()?)).flatten()
    }

    /// Names of all that were started and not killed by `kill`.
    pub(super) fn names(&self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.dir.join("pid")).context("read the processes")? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Kills those that run: no process of a cluster has anything to put in order.
    pub(super) fn kill(&self, names: &[String]) -> anyhow::Result<()> {
        for pid in names.iter().filter_map(|name| self.running(name)) {
            // Fails only when it has ended.
            let _ = kill_process(pid, Signal::KILL);
        }
        wait_for("the end of what was killed", ENDS_WITHIN, || {
            match names.iter().find(|name| self.running(name).is_some()) {
                Some(name) => bail!("{name} does not end"),
                None => Ok(()),
            }
        })?;
        for name in names {
            match fs::remove_file(self.pid_file(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("forget the process {name}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An error with the end of its log when it has ended.
    pub(super) fn check(&self, name: &str) -> anyhow::Result<()> {
        if self.running(name).is_some() {
            return Ok(());
        }
        let log = self.log(name);
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n");
        bail!("{name} has ended, see {}:\n{end}", log.display())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join("log").join(format!("{name}.log"))
    }

    fn pid_file(&self, name: &str) -> PathBuf {
        self.dir.join("pid").join(name)
    }
}

/// Looks until `look` succeeds; its last error after `within`.
pub(super) fn wait_for<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(error) if begun.elapsed() > within => {
                return Err(error.context(format!("{what}: not within {} s", within.as_secs())));
            }
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

/// Kills the processes whose command line `is_ours` knows.
pub(super) fn kill_by_words(is_ours: impl Fn(&[&str]) -> bool) -> anyhow::Result<()> {
    for entry in fs::read_dir("/proc").context("read /proc")? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        // It may end while it is looked at.
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let words: Vec<&str> = line.split('\0').collect();
        if is_ours(&words)
            && let Some(pid) = Pid::from_raw(pid)
        {
            // Fails only when it has ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Ok(())
}

/// When it began, in the kernel's ticks since it started itself; none for what does not run, or only
/// waits for its parent to take note of its end.
fn begun(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let is_dead = matches!(fields.next()?, "Z" | "X");
    // Field 22 of all, and the state is the third.
    (!is_dead).then(|| fields.nth(18).map(str::to_owned)).flatten()
}
