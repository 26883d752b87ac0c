//! A foreign process that ends with the test, even when the test is killed.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Runs its arguments until they end or standard input does. The program hangs on a pipe and not on a
/// signal at its parent's death, because that signal comes when a *thread* ends, and the one that
/// starts a fixture may end before the fixture's last user.
const ATTEND: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ cat <&3 >/dev/null; kill -9 $child; } 2>/dev/null 3<&3 &
watcher=$!
wait $child
code=$?
kill $watcher 2>/dev/null
exit $code
"#;

/// A running process with its attendant; both are gone when this was dropped.
pub(super) struct Attended {
    attendant: Child,
    pipe: Option<ChildStdin>,
}

impl Attended {
    /// Starts `program` with these words in `dir`; both its outputs are appended to `log`.
    pub(super) fn spawn(program: &Path, words: &[String], dir: &Path, log: &Path) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", ATTEND, "attend"]).arg(program).args(words).current_dir(dir);
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut attendant =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let pipe = attendant.stdin.take();
        Self { attendant, pipe }
    }

    /// Whether it ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.attendant.try_wait().unwrap().is_some()
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.pipe = None;
        // Fails only when it was waited for.
        let _ = self.attendant.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::process::wait_for;

    fn is_running(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn what_is_attended_ends_with_its_attendant_and_tells_when_it_ends_itself() {
        let dir = tempfile::tempdir().unwrap();
        let spawn = |script: &str| {
            let words = ["-c".to_owned(), script.to_owned()];
            Attended::spawn(Path::new("/bin/sh"), &words, dir.path(), &dir.path().join("log"))
        };
        let sleeping = spawn("echo $$ > pid; exec sleep 1000");
        let pid = wait_for("the pid", Duration::from_secs(30), || {
            let pid = fs::read_to_string(dir.path().join("pid")).unwrap_or_default();
            if pid.ends_with('\n') { Ok(pid.trim().to_owned()) } else { Err(pid) }
        });
        assert!(is_running(&pid));
        drop(sleeping);
        assert!(!is_running(&pid));

        let mut brief = spawn("exit 3");
        wait_for("its end", Duration::from_secs(30), || {
            if brief.has_ended() { Ok(()) } else { Err("it runs".to_owned()) }
        });
    }
}
