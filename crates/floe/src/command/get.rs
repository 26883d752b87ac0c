//! `floe get`.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use http::{Method, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::args::GetArguments;
use crate::blob_name::FullName;
use crate::progress;
use crate::web::{Gateway, empty};

/// Writes a blob to a file or to standard output.
pub(crate) async fn run(arguments: GetArguments) -> anyhow::Result<()> {
    let name = FullName::parse(&arguments.blob, &arguments.gateway.namespace)?;
    let gateway = Gateway::new(&arguments.gateway)?;
    fetch(&gateway, &name, arguments.range.as_deref(), &arguments.file).await
}

/// Writes a blob, or a range of it, to a file; `-` is standard output.
pub(crate) async fn fetch(
    gateway: &Gateway,
    name: &FullName,
    range: Option<&str>,
    file: &str,
) -> anyhow::Result<()> {
    let mut headers = Vec::new();
    if let Some(range) = range {
        headers.push((header::RANGE, format!("bytes={range}")));
    }
    let answer = gateway.send(Method::GET, &name.path(), &headers, empty()).await?;
    let length = answer.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let onto_screen = file == "-" && std::io::stdout().is_terminal();
    let bar = if onto_screen {
        indicatif::ProgressBar::hidden()
    } else {
        progress::bytes(&format!("get {name}"), length)
    };
    let outcome = if file == "-" {
        copy(answer.into_body(), tokio::io::stdout(), &bar).await
    } else {
        save(answer.into_body(), file, &bar).await
    };
    bar.finish_and_clear();
    outcome.with_context(|| format!("{name} was not read to its end"))
}

/// The file appears only when all of it is there.
async fn save(body: Incoming, file: &str, bar: &indicatif::ProgressBar) -> anyhow::Result<()> {
    let unfinished = format!("{file}.floe-part");
    let to = tokio::fs::File::create(&unfinished).await;
    let to = to.with_context(|| format!("{unfinished} cannot be written"))?;
    let copied = copy(body, to, bar).await;
    if copied.is_err() {
        tokio::fs::remove_file(&unfinished).await?;
        return copied;
    }
    tokio::fs::rename(&unfinished, file).await.with_context(|| format!("{file} cannot be written"))
}

async fn copy(
    mut body: Incoming,
    mut to: impl AsyncWrite + Unpin,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<()> {
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame?.into_data() {
            to.write_all(&chunk).await?;
            bar.inc(chunk.len() as u64);
        }
    }
    to.flush().await?;
    Ok(())
}
