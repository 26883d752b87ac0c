//! `floe id`.

use floe_model::Geometry;
use futures::TryStreamExt as _;

use crate::args::IdArguments;
use crate::content::Content;
use crate::exit::{Ended, Exit};
use crate::{progress, report, serving};

/// Computes the blob id of a file or of standard input, in the memory of a few extents.
pub(crate) async fn run(arguments: IdArguments) -> anyhow::Result<()> {
    let most = Geometry::most_faulty(arguments.shards);
    let faulty = arguments.max_faulty_shards.unwrap_or(most);
    let geometry = Geometry::new(arguments.shards, faulty)
        .map_err(|error| Ended::new(Exit::Usage, error.to_string()))?;
    let content = Content::open(&arguments.file).await?;
    let bar = progress::bytes(&format!("id {}", arguments.file.display()), content.length);
    let chunks = content.chunks(bar.clone()).map_err(Into::into);
    let identified = floe_client::blob_id(&serving::env(0)?, geometry, chunks).await;
    bar.finish_and_clear();
    let (id, length) = identified?;
    if arguments.json {
        return report::json(&serde_json::json!({"blobID": id, "size": length}));
    }
    report::line(&id.to_string())
}
