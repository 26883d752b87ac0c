//! Content to be read: a file, or standard input.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use indicatif::ProgressBar;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// An open file or standard input.
pub(crate) struct Content {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    /// Its length in bytes, if it is known before the end.
    pub(crate) length: Option<u64>,
}

impl Content {
    /// Opens a file; `-` is standard input.
    pub(crate) async fn open(file: &Path) -> anyhow::Result<Self> {
        if file == Path::new("-") {
            return Ok(Self { reader: Box::new(tokio::io::stdin()), length: None });
        }
        let open = tokio::fs::File::open(file).await;
        let open = open.with_context(|| format!("{} cannot be read", file.display()))?;
        let metadata = open.metadata().await?;
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self { reader: Box::new(open), length })
    }

    /// Its bytes; the bar moves with them.
    pub(crate) fn chunks(
        self,
        bar: ProgressBar,
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
        ReaderStream::with_capacity(self.reader, READ_BYTES)
            .inspect(move |chunk| bar.inc(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64)))
    }
}
