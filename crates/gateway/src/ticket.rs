//! Tickets: the operator's word that whoever shows one may write one Blob's content. They stand in
//! place of a token, for one PUT: nodes bind a claim id to one content, so that a ticket is good for
//! no second one.

use bytes::Bytes;
use floe_client::{BoxError, Wish};
use floe_model::record::RegistrarRole;
use floe_model::{
    BlobName, EpochRecord, Namespace, SignedTicket, TICKET_PREFIX, Ticket, Timestamp,
};
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};

use crate::app::App;
use crate::problem::{Kind, Problem};

/// The ticket's text, if the request shows one.
pub(crate) fn shown(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let token = header.strip_prefix("Bearer ")?.trim();
    token.starts_with(TICKET_PREFIX).then_some(token)
}

/// Lets a PUT through that shows a ticket for this name: its content is the ticket's.
pub(crate) async fn admit(
    app: &App,
    text: &str,
    headers: &HeaderMap,
    name: (&Namespace, &BlobName),
) -> Result<Ticket, Problem> {
    let ticket: SignedTicket = text.parse().map_err(|error| unacceptable(&error))?;
    let committee = app.client.committee();
    let is_operators = |newest: &EpochRecord| {
        newest.registrars(RegistrarRole::Operator).any(|known| *known == ticket.key)
    };
    if committee.record(&ticket.record).is_none() && is_operators(&committee.newest()) {
        // The operator knows of a record before gateways do.
        app.client.refresh().await;
    }
    let newest = committee.newest();
    let named = committee.record(&ticket.record).filter(|_| committee.is_in_force(&ticket.record));
    match named {
        _ if !is_operators(&newest) => {
            return Err(unacceptable(&"its signer is no operator of the committee"));
        }
        None => {
            let detail = "the ticket is signed under an epoch record that is not in force here yet";
            return Err(Problem::new(Kind::AuthorizerUnavailable, detail));
        }
        Some(signed) => ticket.verify(&signed.record).map_err(|error| unacceptable(&error))?,
    }
    check(&ticket.body, headers, name, app.now())?;
    Ok(ticket.body)
}

fn unacceptable(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(Kind::Unauthenticated, format!("the ticket is not acceptable: {why}"))
}

/// Whether a genuine ticket is one for this request, now.
fn check(
    ticket: &Ticket,
    headers: &HeaderMap,
    (namespace, name): (&Namespace, &BlobName),
    now: Timestamp,
) -> Result<(), Problem> {
    if now >= ticket.expires {
        return Err(unacceptable(&"it has expired; the operator gives out a new one"));
    }
    if (&ticket.namespace, &ticket.name) != (namespace, name) {
        let detail = format!(
            "the ticket is good for {}/{}, not for {namespace}/{name}",
            ticket.namespace, ticket.name
        );
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|value| value.parse::<u64>().ok());
    match announced.filter(|bytes| *bytes > ticket.largest_bytes) {
        Some(_) => {
            let too_large = TooLarge { largest_bytes: ticket.largest_bytes };
            Err(Problem::new(Kind::TooLarge, too_large.to_string()))
        }
        None => Ok(()),
    }
}

/// More than the ticket allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ticket is good for at most {largest_bytes} bytes; nothing was certified")]
pub(crate) struct TooLarge {
    largest_bytes: u64,
}

/// The body, broken off behind so many bytes.
pub(crate) fn limited(
    body: impl Stream<Item = Result<Bytes, BoxError>> + Send + Unpin + 'static,
    largest_bytes: u64,
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + Unpin + 'static {
    let mut left = largest_bytes;
    body.map(move |chunk| {
        let chunk = chunk?;
        left = left.checked_sub(chunk.len() as u64).ok_or(TooLarge { largest_bytes })?;
        Ok(chunk)
    })
}

/// What is to be written, but for its bytes.
pub(crate) fn wish(ticket: Ticket) -> Wish {
    let Ticket { claim, namespace, namespace_uid, name, content_type, created, .. } = ticket;
    Wish { namespace, namespace_uid, name, claim, created, content_type }
}

#[cfg(test)]
mod tests {
    use floe_model::{ClaimId, NamespaceUid};
    use futures::TryStreamExt as _;
    use futures::executor::block_on;
    use http::HeaderValue;

    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            claim: ClaimId([1; 16]),
            namespace: "shop".parse().unwrap(),
            namespace_uid: NamespaceUid([2; 16]),
            name: "greeting".parse().unwrap(),
            content_type: "text/plain".to_owned(),
            sha256: None,
            largest_bytes: 12,
            created: Timestamp(1),
            expires: Timestamp(1000),
        }
    }

    #[test]
    fn a_ticket_is_told_from_a_token() {
        let table = [
            (None, false),
            (Some("Bearer secret"), false),
            (Some("Bearer floe-ticket-v1.AAAA"), true),
            (Some("Bearer  floe-ticket-v1.AAAA "), true),
            (Some("Basic floe-ticket-v1.AAAA"), false),
            (Some("Bearer floe-ticket-v2.AAAA"), false),
        ];
        for (header, expected) in table {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
            }
            assert_eq!(shown(&headers).is_some(), expected, "{header:?}");
        }
    }

    #[test]
    fn a_body_may_be_as_long_as_the_ticket_says() {
        let read = |largest_bytes| {
            let chunks = [&b"hello, "[..], b"floe\n"].map(|chunk| Ok(Bytes::from_static(chunk)));
            let body = limited(futures::stream::iter(chunks), largest_bytes);
            block_on(body.try_fold(0, async |sum, chunk| Ok(sum + chunk.len())))
        };
        assert_eq!(read(12).unwrap(), 12);
        let error = read(11).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&TooLarge { largest_bytes: 11 }));
    }

    #[test]
    fn a_ticket_is_good_for_one_name_one_size_and_a_while() {
        let ok = None;
        let table = [
            ("shop", "greeting", None, 999, ok),
            ("shop", "greeting", Some("12"), 0, ok),
            ("shop", "greeting", Some("13"), 0, Some(Kind::TooLarge)),
            ("shop", "greeting", Some("nonsense"), 0, ok),
            ("shop", "greeting", None, 1000, Some(Kind::Unauthenticated)),
            ("shop", "other", None, 0, Some(Kind::Forbidden)),
            ("web", "greeting", None, 0, Some(Kind::Forbidden)),
        ];
        for (namespace, name, length, now, expected) in table {
            let mut headers = HeaderMap::new();
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
            }
            let name = (&namespace.parse().unwrap(), &name.parse().unwrap());
            let verdict = check(&ticket(), &headers, name, Timestamp(now));
            let kind = verdict.err().map(|problem| problem.kind);
            assert_eq!(kind, expected, "{name:?} {length:?} at {now}");
        }
    }
}
