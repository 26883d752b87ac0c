//! `floe put`.

use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use http::{Method, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use crate::args::PutArguments;
use crate::blob_name::FullName;
use crate::content::Content;
use crate::exit::{Ended, Exit};
use crate::web::{Gateway, read_json};
use crate::{progress, report};

/// Stores a file or standard input.
pub(crate) async fn run(arguments: PutArguments) -> anyhow::Result<()> {
    let (name, file) = target(&arguments.words, &arguments.gateway.namespace)?;
    let gateway = Gateway::new(&arguments.gateway)?;
    let json = arguments.gateway.json;
    store(&gateway, &name, (&file, arguments.content_type), json).await
}

/// Stores a file under a name, and says what came of it.
pub(crate) async fn store(
    gateway: &Gateway,
    name: &FullName,
    (file, content_type): (&Path, String),
    json: bool,
) -> anyhow::Result<()> {
    let content = Content::open(file).await?;
    let length = content.length;
    let bar = progress::bytes(&format!("put {name}"), length);
    let mut headers = vec![(header::CONTENT_TYPE, content_type)];
    if let Some(length) = length {
        headers.push((header::CONTENT_LENGTH, length.to_string()));
    }
    let body = StreamBody::new(content.chunks(bar.clone()).map_ok(Frame::data)).boxed_unsync();
    let answer = gateway.send(Method::PUT, &name.path(), &headers, body).await;
    bar.finish_and_clear();
    let answer = answer?;
    let created = answer.status() == http::StatusCode::CREATED;
    let stored = read_json(answer).await?;
    if json {
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
