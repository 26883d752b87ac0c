//! Logs of pods outlive them: kubelet removes a log with its pod, and what went wrong is often told by
//! a pod that was replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Links logs as they appear, until it is dropped.
pub(super) struct PodLogs {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl PodLogs {
    /// Keeps the logs of the cluster in `from` as `pod-<namespace>-<pod>-<container>-<restart>.log` in `to`.
    pub(super) fn keep(from: &Path, to: &Path) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        let (stop, stopped) = channel::<()>();
        let thread = thread::spawn(move || {
            // Ends when the sender is gone.
            while stopped.recv_timeout(LOOK_EVERY)
                == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                link(&from, &to);
            }
            link(&from, &to);
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for PodLogs {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It panics at most for want of disk.
            let _ = thread.join();
        }
    }
}

/// Links what is there. A link holds all that is written later too; across file systems, a copy what
/// was written so far.
fn link(from: &Path, to: &Path) {
    for node in children(from) {
        for pod in children(&node.join("own/var/log/pods")) {
            // <namespace>_<pod>_<uid>
            let name =
                name(&pod).rsplit_once('_').map_or_else(String::new, |(pod, _)| pod.to_owned());
            for container in children(&pod) {
                for log in children(&container) {
                    let restart = name_of_log(&log);
                    let kept = format!("pod-{}-{}-{restart}.log", name, self::name(&container));
                    let kept = to.join(kept.replace('_', "-"));
                    if fs::hard_link(&log, &kept)
                        .is_err_and(|error| error.kind() == std::io::ErrorKind::CrossesDevices)
                    {
                        // It may be gone by now.
                        let _ = fs::copy(&log, &kept);
                    }
                }
            }
        }
    }
}

fn children(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn name_of_log(path: &Path) -> String {
    name(path).trim_end_matches(".log").to_owned()
}
