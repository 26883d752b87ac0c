//! `floe id`.

use std::fs::File;
use std::io::Read;

use anyhow::Context as _;
use floe_model::Geometry;

use crate::args::IdArguments;
use crate::exit::{Ended, Exit};
use crate::report;

/// Computes the blob id of a file or of standard input, in the memory of a stripe.
pub(crate) fn run(arguments: &IdArguments) -> anyhow::Result<()> {
    let most = Geometry::most_faulty(arguments.shards);
    let faulty = arguments.max_faulty_shards.unwrap_or(most);
    let geometry = Geometry::new(arguments.shards, faulty)
        .map_err(|error| Ended::new(Exit::Usage, error.to_string()))?;
    let mut reader: Box<dyn Read> = if arguments.file == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(&arguments.file);
        Box::new(file.with_context(|| format!("{} cannot be read", arguments.file))?)
    };
    let (id, length) = floe_client::blob_id(geometry, &mut reader)?;
    if arguments.json {
        return report::json(&serde_json::json!({"blobID": id, "size": length}));
    }
    report::line(&id.to_string())
}
