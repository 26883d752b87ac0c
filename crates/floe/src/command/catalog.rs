//! `floe ls`, `rm`, `undelete`, `stat` and `status`: questions and wishes with a JSON answer.

use http::Method;
use serde_json::Value;

use crate::args::{LsArguments, RmArguments, StatArguments, StatusArguments, UndeleteArguments};
use crate::blob_name::{FullName, blobs_path};
use crate::exit::{Ended, Exit};
use crate::report;
use crate::web::{Gateway, segment};

/// Lists the blobs of a namespace, page by page.
pub(crate) async fn ls(arguments: LsArguments) -> anyhow::Result<()> {
    let namespace = arguments.which.as_ref().unwrap_or(&arguments.gateway.namespace);
    let namespace = namespace
        .parse()
        .map_err(|error: floe_model::id::IdError| Ended::new(Exit::Usage, error.to_string()))?;
    let gateway = Gateway::new(&arguments.gateway)?;
    let mut items: Vec<Value> = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("{}?limit=500&continue={}", blobs_path(&namespace), segment(&next));
        let page = gateway.json(Method::GET, &path).await?;
        items.extend(page.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
        page["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut next);
        if next.is_empty() {
            break;
        }
    }
    if arguments.gateway.json {
        return report::json(&Value::Array(items));
    }
    let rows = items.iter().map(|item| {
        let size = report::size(report::number(item, "size"));
        vec![
            report::text(item, "name"),
            size,
            report::text(item, "created"),
            report::text(item, "blobID"),
        ]
    });
    report::table(&["NAME", "SIZE", "CREATED", "BLOB-ID"], rows)
}

/// Releases a blob.
pub(crate) async fn rm(arguments: RmArguments) -> anyhow::Result<()> {
    let name = FullName::parse(&arguments.blob, &arguments.gateway.namespace)?;
    let gateway = Gateway::new(&arguments.gateway)?;
    let query = if arguments.unfinished { "?unfinished=true" } else { "" };
    let answer = gateway.json(Method::DELETE, &format!("{}{query}", name.path())).await?;
    if arguments.gateway.json {
        return report::json(&answer);
    }
    let until = answer["undeleteUntil"].as_str();
    report::line(&until.map_or_else(
        || format!("{name} released"),
        |until| format!("{name} released; kept until {until}: floe undelete {name}"),
    ))
}

/// Brings back a released blob.
pub(crate) async fn undelete(arguments: UndeleteArguments) -> anyhow::Result<()> {
    let name = FullName::parse(&arguments.blob, &arguments.gateway.namespace)?;
    let gateway = Gateway::new(&arguments.gateway)?;
    bring_back(&gateway, &name, arguments.gateway.json).await
}

/// Brings back a released blob, and says what it is.
pub(crate) async fn bring_back(
    gateway: &Gateway,
    name: &FullName,
    json: bool,
) -> anyhow::Result<()> {
    let answer = gateway.json(Method::POST, &format!("{}/undelete", name.path())).await?;
    if json {
        return report::json(&answer);
    }
    report::line(&format!("{name} is back: {}", report::text(&answer, "blobID")))
}

/// Shows what is known of a blob.
pub(crate) async fn stat(arguments: StatArguments) -> anyhow::Result<()> {
    let name = FullName::parse(&arguments.blob, &arguments.gateway.namespace)?;
    let gateway = Gateway::new(&arguments.gateway)?;
    let answer = gateway.json(Method::GET, &format!("{}/status", name.path())).await?;
    if arguments.gateway.json {
        return report::json(&answer);
    }
    report::fields(&answer)
}

/// Shows the committee.
pub(crate) async fn status(arguments: StatusArguments) -> anyhow::Result<()> {
    let gateway = Gateway::new(&arguments.gateway)?;
    let answer = gateway.json(Method::GET, "/v1/status").await?;
    if arguments.gateway.json {
        return report::json(&answer);
    }
    report::committee(&answer)
}
