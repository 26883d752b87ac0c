//! The Blob object that a write fills: the one of the name, or one made for a sender who may.

use std::time::Duration;

use floe_client::Wish;
use floe_model::{ClaimId, SignedRelease};

use crate::app::{App, object_problem};
use crate::auth::{User, Verb};
use crate::objects::{BlobObject, FullName, ObjectState};
use crate::problem::{Kind, Problem};

/// How long a write waits for the object before it to go.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A write that needs an object.
pub(crate) struct Opening<'a> {
    /// Who writes.
    pub(crate) user: &'a User,
    /// Under which name, which has no certified content.
    pub(crate) name: &'a FullName,
    /// The media type, should the object be made.
    pub(crate) content_type: &'a str,
}

/// What to do about the object that a name has, or has not.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Make one.
    Create,
    /// Use it.
    Fill,
    /// Its content was released: whoever did that meant to delete it.
    Delete,
    /// Wait until it is gone.
    Wait,
    /// Leave it alone: its bytes come from where this field says.
    Refuse(&'static str),
}

fn step(object: Option<&BlobObject>, last_release: Option<ClaimId>) -> Step {
    let Some(object) = object else { return Step::Create };
    match object.state {
        ObjectState::Implied => Step::Fill,
        ObjectState::Leaving => Step::Wait,
        _ if last_release == Some(object.claim) => Step::Delete,
        ObjectState::Uploaded => Step::Fill,
        ObjectState::Imported(field) => Step::Refuse(field),
    }
}

impl Opening<'_> {
    /// The object. `last_release` is the newest release of the name that nodes hold.
    pub(crate) async fn open(
        &self,
        app: &App,
        last_release: Option<&SignedRelease>,
    ) -> Result<BlobObject, Problem> {
        let began = app.env.clock.monotonic();
        loop {
            if let Some(object) = self.advance(app, last_release).await? {
                return Ok(object);
            }
            if app.env.clock.monotonic().saturating_sub(began) > PATIENCE {
                let detail = format!("Blob {} is still being deleted; try again", self.name);
                return Err(Problem::new(Kind::BeingDeleted, detail));
            }
            app.env.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// One step; the object if it is there.
    async fn advance(
        &self,
        app: &App,
        last_release: Option<&SignedRelease>,
    ) -> Result<Option<BlobObject>, Problem> {
        let (objects, name) = (&app.objects, self.name);
        let found = objects.find(name, last_release, app.now()).await;
        let found = found.map_err(|error| object_problem(&error))?;
        match step(found.as_ref(), last_release.map(|release| release.body.claim)) {
            Step::Fill => return Ok(found),
            Step::Wait => {}
            Step::Create => {
                let (namespace, blob) = (&name.namespace, &name.name);
                app.authorize(self.user, Verb::Create, namespace, Some(blob)).await?;
                let made = objects.create(name, self.content_type).await;
                return made.map_err(|error| object_problem(&error));
            }
            Step::Delete => {
                if let Some(object) = found {
                    let deleted = objects.delete(name, object.claim).await;
                    deleted.map_err(|error| object_problem(&error))?;
                }
            }
            Step::Refuse(field) => {
                let detail =
                    format!("Blob {name} gets its bytes from {field}: PUT another name instead");
                return Err(Problem::new(Kind::NotAnUpload, detail));
            }
        }
        Ok(None)
    }
}

/// What is to be written, but for its bytes. What the object promises its readers wins.
pub(crate) fn wish(name: FullName, object: BlobObject, content_type: &str) -> Wish {
    let FullName { namespace, namespace_uid, name } = name;
    Wish {
        namespace,
        namespace_uid,
        name,
        claim: object.claim,
        created: object.created,
        content_type: object.content_type.unwrap_or_else(|| content_type.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use floe_model::Timestamp;

    use super::*;

    #[test]
    fn what_is_done_about_an_object() {
        let object = |state| {
            let (claim, created) = (ClaimId([1; 16]), Timestamp(5));
            let (content_type, sha256) = (None, None);
            BlobObject { claim, created, state, keeps_content: false, content_type, sha256 }
        };
        let released = Some(ClaimId([1; 16]));
        let other = Some(ClaimId([2; 16]));
        let table = [
            (None, None, Step::Create),
            (None, other, Step::Create),
            (Some(ObjectState::Implied), other, Step::Fill),
            (Some(ObjectState::Uploaded), None, Step::Fill),
            (Some(ObjectState::Uploaded), other, Step::Fill),
            (Some(ObjectState::Uploaded), released, Step::Delete),
            (Some(ObjectState::Leaving), None, Step::Wait),
            (Some(ObjectState::Leaving), released, Step::Wait),
            (Some(ObjectState::Imported("spec.source.inline")), released, Step::Delete),
            (
                Some(ObjectState::Imported("spec.source.inline")),
                other,
                Step::Refuse("spec.source.inline"),
            ),
        ];
        for (state, last_release, expected) in table {
            let found = state.map(object);
            assert_eq!(step(found.as_ref(), last_release), expected, "{state:?} {last_release:?}");
        }
    }
}
