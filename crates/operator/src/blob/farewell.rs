//! A Blob that leaves: its content is released before its finalizer goes, within ten minutes.

use std::time::Duration;

use floe_crd::{CommitteeReference, condition, labels};
use floe_model::Timestamp;
use k8s_openapi::jiff;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;

use super::nodes::{Nodes, Survey};
use super::plan::leaving::{self, Ending, Farewell, Keeper, Leaving};
use super::{Turn, status};
use crate::error::Result;
use crate::events::EventType;
use crate::link::Link;

/// How soon a Blob that cannot leave yet is looked at again.
const AGAIN: Duration = Duration::from_secs(2);

/// Takes a Blob that leaves a step further.
pub(super) async fn reconcile(turn: &Turn<'_>) -> Result<Action> {
    if !turn.blob.finalizers().iter().any(|finalizer| finalizer == labels::FINALIZER) {
        return Ok(Action::await_change());
    }
    let keeper = turn.recorded_keeper().or_else(|| turn.blob.spec.committee_ref.clone());
    let link = keeper.as_ref().and_then(|keeper| turn.link(keeper));
    let mut facts = known(turn, keeper.as_ref(), link.as_deref()).await?;
    let ending = match &link {
        Some(link) => say_farewell(turn, link, &mut facts).await?,
        None => settled(&facts),
    };
    match ending {
        Ok(ending) => {
            let window = link.map(|link| link.record.policy.undelete_window_millis);
            tell(turn, ending, window).await;
            turn.set_finalizer(false).await?;
            Ok(Action::await_change())
        }
        Err(message) => {
            let old = turn.status();
            let generation = turn.blob.metadata.generation;
            let new = status::blocked(&old, &message, generation, turn.now());
            if new != old {
                turn.write(&new).await?;
            }
            Ok(Action::requeue(AGAIN))
        }
    }
}

async fn known(
    turn: &Turn<'_>,
    keeper: Option<&CommitteeReference>,
    link: Option<&Link>,
) -> Result<Leaving> {
    let retain = turn.blob.spec.deletion_policy == floe_crd::DeletionPolicy::Retain;
    let keeper = match keeper {
        None => Keeper::None,
        Some(_) if link.is_some() => Keeper::Runs,
        Some(place) if turn.committee(place).await?.is_none() => Keeper::Gone,
        Some(_) => Keeper::Away,
    };
    let since = turn.blob.metadata.deletion_timestamp.as_ref();
    let conditions = turn.blob.status.as_ref().map(|status| status.conditions.as_slice());
    Ok(Leaving {
        retain,
        keeper,
        // While no operator ran nothing could be released either.
        since: since
            .map_or(Duration::ZERO, |time| turn.since(time.0))
            .min(turn.context.env.clock.monotonic()),
        was_certified: condition::is_true(conditions.unwrap_or_default(), condition::READY),
        content: None,
        closed: None,
        handed_on: false,
        stored: None,
    })
}

/// What is decided without asking nodes; else why the Blob stays for now.
fn settled(facts: &Leaving) -> std::result::Result<Ending, String> {
    match leaving::leave(facts) {
        Farewell::LetGo(ending) => Ok(ending),
        Farewell::Wait(message) => Err(message),
        Farewell::Look | Farewell::Close | Farewell::HandOn | Farewell::Release => {
            Err("its Committee does not run".to_owned())
        }
    }
}

/// Step after step, until the Blob may go or must wait.
async fn say_farewell(
    turn: &Turn<'_>,
    link: &Link,
    facts: &mut Leaving,
) -> Result<std::result::Result<Ending, String>> {
    if !matches!(leaving::leave(facts), Farewell::Look) {
        return Ok(settled(facts));
    }
    let subject = turn.subject().await?;
    let nodes = Nodes { env: &turn.context.env, link, subject: &subject };
    let mut survey = Survey::default();
    loop {
        match leaving::leave(facts) {
            Farewell::LetGo(ending) => return Ok(Ok(ending)),
            Farewell::Wait(message) => return Ok(Err(message)),
            Farewell::Look => {
                survey = nodes.survey().await;
                facts.content = Some(survey.content(&link.record));
            }
            Farewell::Close => {
                let (closed, certified) = nodes.close().await;
                facts.closed = Some(closed);
                survey.certified = certified;
            }
            Farewell::HandOn => {
                if let Some(certified) = &survey.certified {
                    nodes.hand_on(certified).await;
                }
                facts.handed_on = true;
            }
            Farewell::Release => {
                // One that a gateway has signed already does, wherever it is missing.
                let release = survey.release.clone().unwrap_or_else(|| nodes.sign_release());
                facts.stored = Some(nodes.release(&release).await);
            }
        }
    }
}

/// The last turn of the Blob's story.
async fn tell(turn: &Turn<'_>, ending: Ending, undelete_window_millis: Option<u64>) {
    let name = format!("{}/{}", turn.namespace(), turn.blob.name_any());
    let (event_type, reason, message) = match ending {
        Ending::Nothing => return,
        Ending::Released => {
            let now = Timestamp(turn.context.env.clock.unix_millis());
            let until = now.0.saturating_add(undelete_window_millis.unwrap_or(0));
            let until = i64::try_from(until).unwrap_or(i64::MAX);
            let until = jiff::Timestamp::from_millisecond(until).unwrap_or_default();
            let until = until.strftime("%Y-%m-%dT%H:%MZ");
            let message = format!("content kept until {until}; kubectl floe undelete {name}");
            (EventType::Normal, "Deleted", message)
        }
        Ending::Retained => {
            let message =
                "the Blob goes, its content stays (spec.deletionPolicy Retain)".to_owned();
            (EventType::Normal, "Retained", message)
        }
        Ending::CommitteeGone => {
            let message =
                "the Blob goes; its Committee does not exist, its content was not released";
            (EventType::Warning, "Orphaned", message.to_owned())
        }
        Ending::Orphaned => {
            let minutes = leaving::LONGEST_FAREWELL.as_secs() / 60;
            let message = format!(
                "the Blob goes; its release could not be stored for {minutes} minutes, so its content stays"
            );
            (EventType::Warning, "Orphaned", message)
        }
    };
    turn.context.events.say(&turn.reference(), event_type, reason, &message).await;
}
