//! The committee as its nodes report it.

mod survey;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use floe_api::Target;
use floe_model::ShardIndex;
use futures::future::join_all;
use http::{HeaderMap, StatusCode};

use crate::app::{App, json};
use crate::problem::Problem;
use survey::{Chain, survey};

/// `GET /v1/status`: for everyone whose token is accepted; it names no blob.
pub(crate) async fn committee(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.user(&headers).await?;
    let committee = app.client.committee();
    let record = committee.newest();
    let asked = record.members.iter().map(async |member| {
        let report = app.nodes.report(&Target::from(member)).await;
        report.map(|answer| answer.value).map_err(|error| error.to_string())
    });
    let reports = join_all(asked).await;
    let holders = (0..record.geometry.shards()).map(ShardIndex).map(|shard| {
        let holder = committee.holders(&record, shard).into_iter().next()?;
        let position = record.position(&holder.node)?;
        // A shard that nobody held before is with its owner when it is filled.
        (record.owner(shard) != Some(position) || !record.unfilled.contains(&shard))
            .then_some(position)
    });
    let chain = Chain { named: committee.named().number, holders: holders.collect(), record };
    Ok(json(StatusCode::OK, &survey(&chain, &reports)))
}
