//! Tickets, and what the operator itself PUTs with one.

use std::time::Duration;

use bytes::Bytes;
use floe_api::{ApplicationClient, Pieces};
use floe_env::Env;
use floe_model::{Signed, SignedTicket, Ticket, Timestamp};
use http::{Request, StatusCode, header};
use serde_json::Value;

use super::nodes::Subject;
use super::plan::Put;
use crate::error::Result;
use crate::link::Link;

/// How long a ticket is good: longer than the Job that has it may take.
const TICKET_LIFE: Duration = Duration::from_hours(2);
/// How long a PUT of inline content may take: the gateway waits for nodes that come back.
const WITHIN: Duration = Duration::from_secs(30);

/// What a ticket allows.
pub(crate) struct Allowed<'a> {
    /// The media type.
    pub(crate) content_type: &'a str,
    /// What the content's SHA-256 must be.
    pub(crate) sha256: [u8; 32],
    /// Bytes that it may have.
    pub(crate) largest_bytes: u64,
}

/// Signs a ticket.
pub(crate) fn sign(
    env: &Env,
    link: &Link,
    subject: &Subject,
    allowed: &Allowed<'_>,
) -> SignedTicket {
    let life_millis = u64::try_from(TICKET_LIFE.as_millis()).unwrap_or(u64::MAX);
    let body = Ticket {
        claim: subject.claim,
        namespace: subject.namespace.clone(),
        namespace_uid: subject.namespace_uid,
        name: subject.name.clone(),
        content_type: allowed.content_type.to_owned(),
        sha256: Some(allowed.sha256),
        largest_bytes: allowed.largest_bytes,
        created: subject.created,
        expires: Timestamp(env.clock.unix_millis().saturating_add(life_millis)),
    };
    Signed::sign(body, &link.keys.committee, link.record.hash(), &link.keys.operator)
}

/// PUTs content through the gateway.
pub(crate) async fn put(
    env: &Env,
    link: &Link,
    subject: &Subject,
    (ticket, content): (&SignedTicket, Bytes),
) -> Result<Put> {
    let gateway = ApplicationClient::new(env, &link.ca_pem, &link.gateway_address)?;
    let request = Request::put(subject.path())
        .header(header::AUTHORIZATION, format!("Bearer {ticket}"))
        .header(header::CONTENT_LENGTH, content.len())
        .body(Pieces::from(content));
    let request = match request {
        Ok(request) => request,
        Err(error) => return Ok(Put::Refused(error.to_string())),
    };
    Ok(match gateway.call(request, WITHIN).await {
        Ok(answer) => judged(answer.status(), answer.body()),
        Err(error) => Put::Failed(format!("the gateway at {}: {error}", link.gateway_address)),
    })
}

/// What an answer of the gateway means for the content.
fn judged(status: StatusCode, body: &[u8]) -> Put {
    if status.is_success() {
        return Put::Stored;
    }
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = |member| problem.get(member).and_then(Value::as_str);
    let said = said("detail").or_else(|| said("title")).unwrap_or("no reason was given");
    let text = format!("the gateway says {}: {said}", status.as_u16());
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::CONFLICT
        | StatusCode::GONE
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => Put::Refused(text),
        _ => Put::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let refused = |text: &str| Put::Refused(text.to_owned());
        let failed = |text: &str| Put::Failed(text.to_owned());
        let detail = br#"{"title": "No", "detail": "so"}"#;
        let table = [
            (201, &b""[..], Put::Stored),
            (200, b"", Put::Stored),
            (409, detail, refused("the gateway says 409: so")),
            (422, br#"{"title": "No"}"#, refused("the gateway says 422: No")),
            (413, b"?", refused("the gateway says 413: no reason was given")),
            (503, detail, failed("the gateway says 503: so")),
            (507, detail, failed("the gateway says 507: so")),
            (401, detail, failed("the gateway says 401: so")),
            (500, b"", failed("the gateway says 500: no reason was given")),
        ];
        for (status, body, expected) in table {
            assert_eq!(judged(StatusCode::from_u16(status).unwrap(), body), expected);
        }
    }
}
