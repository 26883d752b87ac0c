//! The Committee controller: one reconcile looks after everything of a Committee.
//!
//! ```text
//! observe ─► validate ─► plan ─► check ─► carry out ─► steward's pass ─► give up, repair, roll out
//!    ▲                                                                            │
//!    └──────────────── a moment later, or at once if something changed ◄── status ┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | `observed` | what the API server has, read live |
//! | `settings` | what the spec means |
//! | `plan` | which StorageNodes, and which volume of each; pure |
//! | `places` | where volumes are → what the steward is to make of the committee; pure |
//! | `carry_out`, `put_away` | children made, and what is left of replaced volumes put away |
//! | `growth` | claims that ask for more when the spec does |
//! | `actor` | the steward and the way to the nodes, kept between reconciles |
//! | `view`, `trouble`, `repair`, `survival` | what it all says of each node, and together; pure |
//! | `node_status`, `status`, `story`, `report` | statuses and Events |
//! | `leave` | how a Committee comes and goes |

mod actor;
mod capacity;
mod carry_out;
mod growth;
mod leave;
mod node_status;
mod observed;
mod places;
mod plan;
mod put_away;
mod repair;
mod report;
mod rollout;
mod settings;
mod status;
mod story;
mod survival;
mod trouble;
mod view;
mod work;

use std::sync::Arc;

use floe_crd::{Committee, Pause};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt as _};

use crate::Context;
use crate::error::{Doing as _, Error, Result};
use work::Work;

pub use actor::Actors;

/// Looks after a Committee once; when to look again.
pub async fn reconcile(committee: Arc<Committee>, context: Arc<Context>) -> Result<Action> {
    let Some(committee) = read(&context, &committee).await? else {
        return Ok(Action::await_change());
    };
    if committee.metadata.deletion_timestamp.is_some() {
        leave::let_go(&context, &committee).await?;
        return Ok(Action::await_change());
    }
    leave::hold(&context, &committee).await?;
    let slot = context.actors.slot(&committee.uid().unwrap_or_default());
    let mut slot = slot.lock().await;
    let mut work = Work::new(&context, &committee);
    let is_paused = committee.spec.paused.contains(&Pause::Reconcile);
    let attempt = if is_paused { Ok(()) } else { work.go_on(&mut slot).await };
    work.report(attempt.as_ref().err()).await?;
    match attempt {
        Ok(()) if is_paused || work.is_at_rest() => {
            Ok(Action::requeue(context.config.pace.at_rest))
        }
        Ok(()) | Err(Error::Waiting { .. }) => Ok(Action::requeue(context.config.pace.moving)),
        Err(error) => Err(error),
    }
}

/// The Committee as it is now: what an earlier reconcile wrote is seen.
async fn read(context: &Context, committee: &Committee) -> Result<Option<Committee>> {
    let (name, namespace) = (committee.name_any(), committee.namespace().unwrap_or_default());
    let api = Api::<Committee>::namespaced(context.client.clone(), &namespace);
    let live = api.get_opt(&name).await;
    let live = live.doing(|| format!("reading Committee {namespace}/{name}"))?;
    Ok(live.filter(|live| live.uid() == committee.uid()))
}

#[cfg(test)]
mod tests;
