//! `floe put`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::args::PutArguments;
use crate::blob_name::FullName;
use crate::exit::{Ended, Exit};
use crate::web::{Body, Gateway, read_json};
use crate::{progress, report};

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// Stores a file or standard input.
pub(crate) async fn run(arguments: PutArguments) -> anyhow::Result<()> {
    let (name, file) = target(&arguments.words, &arguments.gateway.namespace)?;
    let gateway = Gateway::new(&arguments.gateway)?;
    let (reader, length) = open(&file).await?;
    let bar = progress::bytes(&format!("put {name}"), length);
    let mut headers = vec![(header::CONTENT_TYPE, arguments.content_type)];
    if let Some(length) = length {
        headers.push((header::CONTENT_LENGTH, length.to_string()));
    }
    let answer = gateway.send(Method::PUT, &name.path(), &headers, body(reader, bar.clone())).await;
    bar.finish_and_clear();
    let answer = answer?;
    let created = answer.status() == http::StatusCode::CREATED;
    let stored = read_json(answer).await?;
    if arguments.gateway.json {
        return report::json(&stored);
    }
    let id = report::text(&stored, "blobID");
    let size = report::size(report::number(&stored, "size"));
    let verb = if created { "stored" } else { "already there" };
    report::line(&format!("{name} {verb}: {id}, {size}"))
}

fn target(words: &[String], namespace: &str) -> Result<(FullName, PathBuf), Ended> {
    match words {
        [name, file] => Ok((FullName::parse(name, namespace)?, PathBuf::from(file))),
        [file] if file == "-" => {
            let message = "standard input has no name: floe put NAME -";
            Err(Ended::new(Exit::Usage, message))
        }
        [file] => {
            let path = PathBuf::from(file);
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let parsed = FullName::parse(&name, namespace).map_err(|error| {
                let message = format!("{error}; name the blob yourself: floe put NAME {file}");
                Ended::new(Exit::Usage, message)
            })?;
            Ok((parsed, path))
        }
        _ => Err(Ended::new(Exit::Usage, "want floe put [NAME] FILE")),
    }
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;

async fn open(file: &Path) -> anyhow::Result<(Reader, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((Box::new(tokio::io::stdin()), None));
    }
    let open = tokio::fs::File::open(file).await;
    let open = open.with_context(|| format!("{} cannot be read", file.display()))?;
    let metadata = open.metadata().await?;
    let length = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(open), length))
}

fn body(reader: Reader, bar: indicatif::ProgressBar) -> Body {
    let chunks = ReaderStream::with_capacity(reader, READ_BYTES).map(move |chunk| {
        let chunk: Bytes = chunk?;
        bar.inc(chunk.len() as u64);
        Ok(Frame::data(chunk))
    });
    StreamBody::new(chunks).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn the_name_comes_from_the_file_unless_it_is_given() {
        let (name, file) = target(&words(&["shop/m", "/tmp/x.bin"]), "default").unwrap();
        assert_eq!((name.to_string().as_str(), file.to_str()), ("shop/m", Some("/tmp/x.bin")));
        let (name, _) = target(&words(&["dir/x.bin"]), "shop").unwrap();
        assert_eq!(name.to_string(), "shop/x.bin");
        for bad in [&["-"][..], &["My File.bin"], &["/"]] {
            assert_eq!(target(&words(bad), "default").unwrap_err().exit, Exit::Usage, "{bad:?}");
        }
    }
}
