//! `floe import`: brings a file to the gateway as one Blob's content, with the operator's ticket in
//! place of a token. It runs in a Job, whose last line the operator reads.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use floe_api::{ApplicationClient, Pieces};
use floe_env::{Env, read_file, real_env};
use http::{Request, StatusCode, header};

use crate::args::ImportArguments;
use crate::blob_name::FullName;
use crate::exit::{Ended, Exit};
use crate::report;

/// Bytes that a ConfigMap may have, and a little more: the gateway says what is too long.
const LARGEST_CONTENT_BYTES: u64 = (1 << 20) + 1;
/// Bytes of a ticket or a CA.
const LARGEST_START_FILE_BYTES: u64 = 64 * 1024;
/// How long one PUT may take.
const WITHIN: Duration = Duration::from_mins(1);
/// How often it is tried before the Job's next pod does.
const MOST_TRIES: u32 = 8;
/// The pause behind the first failure; doubled by each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The port of an address that names none.
const DEFAULT_PORT: u16 = 443;

/// Brings the file to the gateway.
pub(crate) async fn run(arguments: ImportArguments) -> anyhow::Result<()> {
    let env = real_env(1).context("the machine's clock and network cannot be used")?;
    let read = |file: &Path, most| {
        let read = read_file(env.disk.as_ref(), file, most);
        read.with_context(|| format!("{} cannot be read", file.display()))
    };
    let text = |file: &Path| {
        let text = String::from_utf8(read(file, LARGEST_START_FILE_BYTES)?);
        text.with_context(|| format!("{} is no text", file.display()))
    };
    let name = FullName::parse(&arguments.blob, "")?;
    let (ca, ticket) = (text(&arguments.ca)?, text(&arguments.ticket_file)?);
    let content = Bytes::from(read(&arguments.file, LARGEST_CONTENT_BYTES)?);
    let address = address(&arguments.url)?;
    let gateway = ApplicationClient::new(&env, &ca, &address)
        .with_context(|| format!("{} cannot be used", arguments.ca.display()))?;
    let request = || {
        Request::put(name.path())
            .header(header::AUTHORIZATION, format!("Bearer {}", ticket.trim()))
            .header(header::CONTENT_LENGTH, content.len())
            .body(Pieces::from(content.clone()))
    };
    put(&env, &gateway, &request).await?;
    report::line(&format!("{name} stored: {}", report::size(content.len() as u64)))
}

/// `host:port` of an address.
fn address(url: &str) -> Result<String, Ended> {
    let usage = || {
        let message = format!("--url {url}: a gateway's address is https://HOST[:PORT]");
        Ended::new(Exit::Usage, message)
    };
    let uri: http::Uri = url.parse().map_err(|_| usage())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https")).ok_or_else(usage)?;
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(DEFAULT_PORT)))
}

/// PUTs until it is stored, or refused, or was tried often enough.
async fn put(
    env: &Env,
    gateway: &ApplicationClient,
    request: &impl Fn() -> Result<Request<Pieces>, http::Error>,
) -> anyhow::Result<()> {
    let mut pause = FIRST_PAUSE;
    for left in (0..MOST_TRIES).rev() {
        let request = request().context("the request cannot be made")?;
        let ended = match gateway.call(request, WITHIN).await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => refusal(answer.status(), answer.body()),
            Err(error) => Ended::new(Exit::Failed, format!("the gateway does not answer: {error}")),
        };
        if left == 0 || ended.exit == Exit::Usage {
            return Err(ended.into());
        }
        tracing::warn!(%ended, left, "tried again");
        env.clock.sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

/// What an answer of the gateway means: with [`Exit::Usage`] the Job is not tried again.
fn refusal(status: StatusCode, body: &[u8]) -> Ended {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |member: &str| problem.get(member).and_then(serde_json::Value::as_str);
    let detail = text("detail").or_else(|| text("title")).unwrap_or("no reason was given");
    let slug = text("type").and_then(|uri| uri.rsplit('/').next()).unwrap_or_default();
    let exit = if status.is_client_error() { Exit::Usage } else { Exit::Failed };
    Ended::new(exit, format!("{detail} ({} {slug})", status.as_u16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_of_its_own_or_the_default() {
        let table = [
            ("https://main-gateway.floe.svc", Some("main-gateway.floe.svc:443")),
            ("https://127.0.0.1:8443/", Some("127.0.0.1:8443")),
            ("http://main-gateway.floe.svc", None),
            ("main-gateway.floe.svc", None),
            ("", None),
        ];
        for (url, expected) in table {
            assert_eq!(address(url).ok().as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn the_gateways_word_decides_whether_the_job_is_tried_again() {
        let mismatch = br#"{"type": "https://floe.dev/problems/digest-mismatch", "detail": "no"}"#;
        let busy = br#"{"type": "https://floe.dev/problems/overloaded", "title": "busy"}"#;
        let table = [
            (422, &mismatch[..], Exit::Usage, "no (422 digest-mismatch)"),
            (503, busy, Exit::Failed, "busy (503 overloaded)"),
            (502, b"<html>", Exit::Failed, "no reason was given (502 )"),
        ];
        for (status, body, exit, text) in table {
            let ended = refusal(StatusCode::from_u16(status).unwrap(), body);
            assert_eq!((ended.exit, ended.to_string().as_str()), (exit, text));
        }
    }
}
