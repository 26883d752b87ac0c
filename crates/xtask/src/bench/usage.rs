//! What processes and directories use, as the kernel tells it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{Advice, fadvise};

/// Linux counts CPU time for user space in hundredths of a second on every platform.
const TICKS_PER_SECOND: f64 = 100.0;
/// `st_blocks` counts these.
const BLOCK_BYTES: u64 = 512;

/// CPU seconds of each process since its start.
pub(super) fn cpu_seconds(
    processes: &BTreeMap<String, u32>,
) -> anyhow::Result<BTreeMap<String, f64>> {
    let seconds = |(name, id): (&String, &u32)| {
        let path = format!("/proc/{id}/stat");
        let stat = fs::read_to_string(&path).with_context(|| format!("read {path} of {name}"))?;
        let ticks = ticks(&stat).with_context(|| format!("{path} of {name} is not understood"))?;
        Ok((name.clone(), ticks / TICKS_PER_SECOND))
    };
    processes.iter().map(seconds).collect()
}

/// CPU seconds of this process; of its children that have ended and were waited for.
pub(super) fn own_cpu_seconds() -> anyhow::Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    let both = ticks(&stat).zip(ticks_of_children(&stat));
    let (own, children) = both.context("/proc/self/stat is not understood")?;
    Ok((own / TICKS_PER_SECOND, children / TICKS_PER_SECOND))
}

/// User and system time, fields 14 and 15; the second may hold blanks.
fn ticks(stat: &str) -> Option<f64> {
    two_fields(stat, 11)
}

/// The same of children, fields 16 and 17.
fn ticks_of_children(stat: &str) -> Option<f64> {
    two_fields(stat, 13)
}

/// The sum of two fields, the first that many after the name.
fn two_fields(stat: &str, after: usize) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(after);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

/// Peak resident memory of each process since the last [`forget_peaks`], in bytes.
pub(super) fn peak_bytes(
    processes: &BTreeMap<String, u32>,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let peak = |(name, id): (&String, &u32)| {
        let path = format!("/proc/{id}/status");
        let status = fs::read_to_string(&path).with_context(|| format!("read {path} of {name}"))?;
        let peak = high_water(&status).with_context(|| format!("{path} of {name} has no VmHWM"))?;
        Ok((name.clone(), peak))
    };
    processes.iter().map(peak).collect()
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Peaks count from now on.
pub(super) fn forget_peaks(processes: &BTreeMap<String, u32>) -> anyhow::Result<()> {
    for id in processes.values() {
        let path = format!("/proc/{id}/clear_refs");
        fs::write(&path, "5").with_context(|| format!("write {path}"))?;
    }
    Ok(())
}

/// Bytes of disk that a directory takes.
pub(super) fn disk_bytes(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    each_file(directory, &mut |_, metadata| {
        bytes += metadata.blocks() * BLOCK_BYTES;
        Ok(())
    })?;
    Ok(bytes)
}

/// Has the system forget what it keeps of a directory's files in memory.
pub(super) fn drop_cached(directory: &Path) -> anyhow::Result<()> {
    each_file(directory, &mut |path, metadata| {
        if !metadata.is_file() {
            return Ok(());
        }
        match File::open(path) {
            Ok(file) => Ok(fadvise(&file, 0, None, Advice::DontNeed)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
}

type Visit<'a> = dyn FnMut(&Path, &fs::Metadata) -> anyhow::Result<()> + 'a;

/// Visits everything below, itself included; what vanishes meanwhile is left out.
fn each_file(directory: &Path, visit: &mut Visit<'_>) -> anyhow::Result<()> {
    let mut paths: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(path) = paths.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("look at {}", path.display())),
        };
        visit(&path, &metadata)?;
        if !metadata.is_dir() {
            continue;
        }
        match fs::read_dir(&path) {
            Ok(entries) => {
                for entry in entries {
                    paths.push(entry?.path());
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("list {}", path.display())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(ticks(stat), Some(200.0));
        assert_eq!(ticks_of_children(&stat.replace("50 0 0", "50 3 4")), Some(7.0));
        assert_eq!(ticks("42 (x) S 1"), None);
        assert_eq!(high_water("VmPeak: 9 kB\nVmHWM:\t   2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn our_own_process_uses_something() {
        let us = BTreeMap::from([("us".to_owned(), std::process::id())]);
        assert!(peak_bytes(&us).unwrap()["us"] > 0);
        assert!(cpu_seconds(&us).unwrap()["us"] >= 0.0);
    }

    #[test]
    fn a_directory_weighs_what_its_files_weigh() {
        let directory = std::env::temp_dir().join(format!("floe-usage-{}", std::process::id()));
        fs::create_dir_all(directory.join("below")).unwrap();
        let before = disk_bytes(&directory).unwrap();
        fs::write(directory.join("below").join("file"), vec![1; 1 << 20]).unwrap();
        File::open(directory.join("below").join("file")).unwrap().sync_all().unwrap();
        let grown = disk_bytes(&directory).unwrap() - before;
        drop_cached(&directory).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert!((1 << 20..2 << 20).contains(&grown), "{grown}");
    }
}
