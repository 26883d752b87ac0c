//! The log of epoch records: a record is created here before anyone hears of it, so that no number
//! is used twice.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_env::{
    BoxFuture, ComputeStopped, Disk, Env, Work, compute, create_dir_durably, read_file,
    write_file_durably,
};
use floe_model::frame::{Frame, write_frame};
use floe_model::{EpochNumber, Layout, SignedRecord};

/// A record that could not be created or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The number is used.
    #[error("epoch record {0} exists in the log; take the next number")]
    Exists(EpochNumber),
    /// Another steward is writing.
    #[error("{} is locked by another steward; end it, or try again", .0.display())]
    Locked(PathBuf),
    /// A record in the log is not one.
    #[error("{} is damaged: {reason}; the chain that the nodes hold is the truth", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The log is kept elsewhere, and that did not do what it was asked.
    #[error("the record log: {0}")]
    Unreachable(String),
    /// The process is ending.
    #[error("the record log was not reached")]
    Stopped(#[from] ComputeStopped),
}

/// Where records are put, once each.
pub trait RecordLog: Send + Sync {
    /// Keeps the record under its number, durably; [`LogError::Exists`] if the number is used.
    fn create<'a>(&'a self, record: &'a SignedRecord) -> BoxFuture<'a, Result<(), LogError>>;

    /// All records, numbers rising; nothing in them is checked.
    fn read_all(&self) -> BoxFuture<'_, Result<Vec<SignedRecord>, LogError>>;
}

/// The frame's kind in the files.
const RECORD_KIND: u16 = 1;
/// Bytes that a record may have.
const LARGEST_RECORD_BYTES: usize = 1024 * 1024;
const LOCK_FILE: &str = "lock";
const SUFFIX: &str = ".record";

/// A log of one file per record: whole or absent, also after a crash.
#[derive(Clone)]
pub struct FileRecordLog {
    env: Env,
    dir: PathBuf,
}

impl FileRecordLog {
    /// The log in `dir`, which is made when the first record comes.
    pub fn new(env: Env, dir: PathBuf) -> Self {
        Self { env, dir }
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Disk, &Path) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (disk, dir) = (Arc::clone(&self.env.disk), self.dir.clone());
        compute(&*self.env.compute, Work::Foreground, move || job(&*disk, &dir)).await?
    }
}

impl RecordLog for FileRecordLog {
    fn create<'a>(&'a self, record: &'a SignedRecord) -> BoxFuture<'a, Result<(), LogError>> {
        let (number, bytes) = (record.record.number, record.to_bytes());
        Box::pin(self.run(move |disk, dir| create(disk, dir, number, &bytes)))
    }

    fn read_all(&self) -> BoxFuture<'_, Result<Vec<SignedRecord>, LogError>> {
        Box::pin(self.run(read_all))
    }
}

fn create(disk: &dyn Disk, dir: &Path, number: EpochNumber, record: &[u8]) -> Result<(), LogError> {
    create_dir_durably(disk, dir).map_err(|source| io(dir, source))?;
    let lock = dir.join(LOCK_FILE);
    // The lock stands for O_EXCL, and lets the file appear with its whole content or not at all.
    let _held = disk.lock(&lock).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => LogError::Locked(lock),
        _ => io(&lock, error),
    })?;
    let path = dir.join(format!("{:020}{SUFFIX}", number.0));
    if disk.exists(&path).map_err(|source| io(&path, source))? {
        return Err(LogError::Exists(number));
    }
    let mut bytes = Vec::new();
    write_frame(&mut bytes, RECORD_KIND, &[], record);
    write_file_durably(disk, &path, &bytes).map_err(|source| io(&path, source))
}

fn read_all(disk: &dyn Disk, dir: &Path) -> Result<Vec<SignedRecord>, LogError> {
    let entries = match disk.list(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(|source| io(dir, source))?,
    };
    let mut records = Vec::new();
    for entry in entries.iter().filter(|entry| entry.name.ends_with(SUFFIX)) {
        let path = dir.join(&entry.name);
        let limit_bytes = 2 * LARGEST_RECORD_BYTES as u64;
        let bytes = read_file(disk, &path, limit_bytes).map_err(|source| io(&path, source))?;
        records.push(parse(&bytes).map_err(|reason| LogError::Damaged { path, reason })?);
    }
    records.sort_by_key(|signed| signed.record.number);
    Ok(records)
}

fn parse(bytes: &[u8]) -> Result<SignedRecord, String> {
    let frames = Frame::read_all(bytes, LARGEST_RECORD_BYTES).map_err(|error| error.to_string())?;
    match frames.as_slice() {
        [frame] if frame.kind == RECORD_KIND => {
            SignedRecord::from_bytes(&frame.payload).map_err(|error| error.to_string())
        }
        _ => Err("it holds something else than one epoch record".to_owned()),
    }
}

fn io(path: &Path, source: std::io::Error) -> LogError {
    LogError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
