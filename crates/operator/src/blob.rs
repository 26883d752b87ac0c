//! Blobs: their content is brought to the committee, their status says what became of it, and it is
//! released when they go.
//!
//! | module | what |
//! |---|---|
//! | `bringing` | a Blob whose content comes, step after step |
//! | `keeper` | which Committee keeps a Blob |
//! | `plan` | what is to be done next |
//! | `nodes` | what the committee's nodes say, and are told |
//! | `source` | what the spec says of the content |
//! | `ticket` | tickets, and what the operator itself PUTs with one |
//! | `import` | the Job that imports |
//! | `status` | what is said of a Blob |
//! | `farewell` | a Blob that leaves |

mod bringing;
mod farewell;
mod import;
mod keeper;
mod nodes;
mod plan;
mod source;
mod status;
mod ticket;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use floe_crd::{Blob, BlobStatus, Committee, CommitteeReference, condition, labels, names};
use floe_model::{Namespace as NamespaceName, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use k8s_openapi::jiff;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use crate::context::Context;
use crate::controllers::namespaces;
use crate::error::{Doing as _, Error, Result};
use crate::events::EventType;
use crate::link::{CommitteeKey, Link};
use bringing::Bringing;
use keeper::Tenant;
use nodes::{Nodes, Subject};
use plan::{Facts, Origin, Reason, Verdict};
use status::Findings;

/// A certified Blob is looked at again after this, to say how well it is protected.
const PROTECTION_PERIOD: Duration = Duration::from_mins(1);
/// Blobs of a committee that are looked at per second for that, at most.
const PROTECTIONS_PER_SECOND: u64 = 5;

/// Takes a Blob a step further.
pub async fn reconcile(blob: Arc<Blob>, context: Arc<Context>) -> Result<Action> {
    let turn = Turn { blob: &blob, context: &context };
    if blob.metadata.deletion_timestamp.is_some() {
        return farewell::reconcile(&turn).await;
    }
    if !blob.finalizers().iter().any(|finalizer| finalizer == labels::FINALIZER) {
        // Before anything is stored that would have to be released. The change brings the Blob back.
        turn.set_finalizer(true).await?;
        return Ok(Action::await_change());
    }
    let said = turn.status();
    if status::is_final(&said, blob.metadata.generation) {
        return Ok(Action::await_change());
    }
    if status::is_certified(&said, blob.metadata.generation) {
        return turn.watch_over(&said).await;
    }
    let (verdict, findings, again) = match turn.keeper().await? {
        Err(verdict) => {
            let again = verdict.again();
            (verdict, Findings::default(), again)
        }
        Ok(keeper) => {
            turn.record(&keeper).await?;
            turn.bring(keeper).await?
        }
    };
    turn.say(&verdict, findings).await?;
    Ok(Action::requeue(again))
}

/// One look at one Blob.
#[derive(Clone, Copy)]
struct Turn<'a> {
    blob: &'a Blob,
    context: &'a Context,
}

impl Turn<'_> {
    fn status(&self) -> BlobStatus {
        self.blob.status.clone().unwrap_or_default()
    }

    fn namespace(&self) -> String {
        self.blob.namespace().unwrap_or_default()
    }

    fn api(&self) -> Api<Blob> {
        Api::namespaced(self.context.client.clone(), &self.namespace())
    }

    /// Kind, namespace and name, for errors.
    fn title(&self) -> String {
        format!("Blob {}/{}", self.namespace(), self.blob.name_any())
    }

    fn reference(&self) -> ObjectReference {
        self.blob.object_ref(&())
    }

    fn now(&self) -> jiff::Timestamp {
        let millis = i64::try_from(self.context.env.clock.unix_millis()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis).unwrap_or_default()
    }

    /// How long ago something was.
    fn since(&self, time: jiff::Timestamp) -> Duration {
        Duration::try_from(self.now().duration_since(time)).unwrap_or_default()
    }

    fn created(&self) -> jiff::Timestamp {
        self.blob.creation_timestamp().map_or_else(|| self.now(), |time| time.0)
    }

    /// The Committee by its recorded place.
    fn recorded_keeper(&self) -> Option<CommitteeReference> {
        self.blob.status.as_ref().and_then(|status| status.committee_ref.clone())
    }

    /// Which Committee keeps the Blob: recorded, or chosen now.
    async fn keeper(&self) -> Result<std::result::Result<CommitteeReference, Verdict>> {
        if let Some(recorded) = self.recorded_keeper() {
            return Ok(Ok(recorded));
        }
        let all = self.committees().await?;
        let namespace = self.namespace_object().await?;
        let none = BTreeMap::new();
        let labels = namespace.metadata.labels.as_ref().unwrap_or(&none);
        let name = self.namespace();
        let tenant = Tenant { name: &name, labels };
        let wanted = self.blob.spec.committee_ref.as_ref();
        Ok(keeper::choose(wanted, &all, &tenant).map(keeper::reference))
    }

    /// Writes down which Committee keeps the Blob, before anything is stored there: what is stored must
    /// be found and released, whatever Committee is the default by then.
    async fn record(&self, keeper: &CommitteeReference) -> Result<()> {
        if self.recorded_keeper().is_some() {
            return Ok(());
        }
        let CommitteeReference { name, namespace } = keeper;
        let message = format!("the Committee {namespace}/{name} keeps it; its content comes next");
        let findings = Findings { keeper: Some(keeper.clone()), ..Findings::default() };
        self.say(&Verdict::waiting(Reason::Importing, message), findings).await
    }

    async fn committees(&self) -> Result<Vec<Committee>> {
        let mut all = Vec::new();
        for namespace in namespaces(self.context) {
            let client = self.context.client.clone();
            let api = match &namespace {
                Some(namespace) => Api::<Committee>::namespaced(client, namespace),
                None => Api::all(client),
            };
            let found = api.list(&ListParams::default()).await;
            all.extend(found.doing(|| "listing Committees".to_owned())?.items);
        }
        Ok(all)
    }

    /// The Committee, as it is now.
    async fn committee(&self, place: &CommitteeReference) -> Result<Option<Committee>> {
        let CommitteeReference { name, namespace } = place;
        let api = Api::<Committee>::namespaced(self.context.client.clone(), namespace);
        api.get_opt(name).await.doing(|| format!("reading Committee {namespace}/{name}"))
    }

    async fn namespace_object(&self) -> Result<Namespace> {
        let name = self.namespace();
        let api = Api::<Namespace>::all(self.context.client.clone());
        api.get(&name).await.doing(|| format!("reading Namespace {name}"))
    }

    fn link(&self, keeper: &CommitteeReference) -> Option<Arc<Link>> {
        let CommitteeReference { name, namespace } = keeper.clone();
        self.context.links.get(&CommitteeKey { namespace, name })
    }

    /// The Blob as nodes know it.
    async fn subject(&self) -> Result<Subject> {
        let odd = |what: &str, error: &dyn std::fmt::Display| {
            Error::refused("ImportFailed", format!("{}: its {what}: {error}", self.title()))
        };
        let namespace = self.namespace_object().await?;
        let namespace_uid = namespace.uid().unwrap_or_default();
        let name: NamespaceName =
            self.namespace().parse().map_err(|error| odd("namespace", &error))?;
        Ok(Subject {
            claim: self
                .blob
                .uid()
                .unwrap_or_default()
                .parse()
                .map_err(|error| odd("UID", &error))?,
            namespace: name,
            namespace_uid: namespace_uid.parse().map_err(|error| odd("namespace's UID", &error))?,
            name: self.blob.name_any().parse().map_err(|error| odd("name", &error))?,
            created: Timestamp(u64::try_from(self.created().as_millisecond()).unwrap_or(0)),
        })
    }

    /// Brings the content, as far as that goes now.
    async fn bring(&self, keeper: CommitteeReference) -> Result<(Verdict, Findings, Duration)> {
        let Some(link) = self.link(&keeper) else {
            let CommitteeReference { name, namespace } = &keeper;
            let message = format!("the Committee {namespace}/{name} does not run yet");
            let verdict = Verdict::waiting(Reason::CommitteeNotReady, message);
            let again = verdict.again();
            let findings = Findings { keeper: Some(keeper), ..Findings::default() };
            return Ok((verdict, findings, again));
        };
        let subject = self.subject().await?;
        let nodes = Nodes { env: &self.context.env, link: &link, subject: &subject };
        let mut facts = self.facts();
        if self.is_only_waiting() && !nodes.may_know().await {
            facts.content = Some(plan::Content::Absent);
        }
        let mut bringing = Bringing::new(self, nodes, &keeper, facts);
        let (verdict, again) = bringing.run().await?;
        let findings = Findings {
            url: Some(url(&link.gateway_address, &subject)),
            certified: bringing.certified(),
            protection: Some(status::protection(&link.record)),
            job: bringing.job().filter(|_| verdict != Verdict::Certified),
            keeper: Some(keeper),
        };
        Ok((verdict, findings, again))
    }

    fn facts(&self) -> Facts {
        let spec = &self.blob.spec;
        Facts {
            origin: source::origin(spec, &self.namespace()),
            digest: source::digest(spec),
            age: self.since(self.created()),
            content: None,
            handed_on: false,
            put: None,
            import: None,
            entry: None,
            closed: None,
        }
    }

    /// The status says that somebody is to upload the content, and there is time left: nothing is
    /// decided on the word of one node but to wait on.
    fn is_only_waiting(&self) -> bool {
        let Facts { origin: Origin::Upload { expire_after }, age, .. } = self.facts() else {
            return false;
        };
        let status = self.status();
        let ready = condition::get(&status.conditions, condition::READY);
        age < expire_after && ready.is_some_and(|it| it.reason == Reason::AwaitingUpload.word())
    }

    /// A certified Blob: how well it is protected now, by what is known of its committee.
    async fn watch_over(&self, said: &BlobStatus) -> Result<Action> {
        let link = said.committee_ref.as_ref().and_then(|keeper| self.link(keeper));
        let blobs = link.as_ref().map_or(0, |link| {
            link.reports.values().map(|report| report.owed_blobs).max().unwrap_or(0)
        });
        if let Some(link) = link {
            let protection = Some(status::protection(&link.record));
            self.say(&Verdict::Certified, Findings { protection, ..Findings::default() }).await?;
        }
        let period = PROTECTION_PERIOD.max(Duration::from_secs(blobs / PROTECTIONS_PER_SECOND));
        // Between half the period and one and a half: not all Blobs at a time.
        let drawn = self.context.env.random.next_u64() % 1024;
        let spread = period.mul_f64(0.5 + f64::from(u16::try_from(drawn).unwrap_or(512)) / 1024.0);
        Ok(Action::requeue(spread))
    }

    /// Writes the status if it says anything new, and an Event at a new turn.
    async fn say(&self, verdict: &Verdict, findings: Findings) -> Result<()> {
        let old = self.status();
        let new =
            status::status(&old, verdict, findings, self.blob.metadata.generation, self.now());
        if new == old {
            return Ok(());
        }
        self.write(&new).await?;
        let reason = |status: &BlobStatus| {
            condition::get(&status.conditions, condition::READY).map(|ready| ready.reason.clone())
        };
        if reason(&old) == reason(&new) {
            return Ok(());
        }
        let (event_type, reason, message) = match verdict {
            Verdict::Certified => {
                let id = new.blob_id.as_deref().unwrap_or_default();
                let message = format!("{} certified as {id}", new.summary.size);
                (EventType::Normal, "Certified", message)
            }
            Verdict::Waiting { reason: Reason::ImportFailed, message } => {
                (EventType::Warning, "ImportFailed", message.clone())
            }
            Verdict::Refused { reason, message } => {
                (EventType::Warning, reason.word(), message.clone())
            }
            Verdict::Waiting { .. } => return Ok(()),
        };
        self.context.events.say(&self.reference(), event_type, reason, &message).await;
        Ok(())
    }

    async fn write(&self, status: &BlobStatus) -> Result<()> {
        let name = self.blob.name_any();
        let object = json!({
            "apiVersion": Blob::api_version(&()),
            "kind": Blob::kind(&()),
            "metadata": {"name": name, "uid": self.blob.uid()},
            "status": status,
        });
        let parameters = PatchParams::apply(labels::BLOB_MANAGER).force();
        let written = self.api().patch_status(&name, &parameters, &Patch::Apply(&object)).await;
        match written {
            // It is gone; another one may have its name.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            written => {
                written.map(drop).doing(|| format!("writing the status of {}", self.title()))
            }
        }
    }

    /// Puts the finalizer on, or takes it off.
    async fn set_finalizer(&self, on: bool) -> Result<()> {
        let others = self.blob.finalizers().iter().filter(|it| *it != labels::FINALIZER);
        let mut finalizers: Vec<String> = others.cloned().collect();
        if on {
            finalizers.push(labels::FINALIZER.to_owned());
        }
        let metadata = json!({
            "uid": self.blob.uid(),
            "resourceVersion": self.blob.resource_version(),
            "finalizers": finalizers,
        });
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        let parameters = PatchParams {
            field_manager: Some(labels::BLOB_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match self.api().patch(&self.blob.name_any(), &parameters, &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            written => {
                written.map(drop).doing(|| format!("writing the finalizer of {}", self.title()))
            }
        }
    }
}

fn url(gateway_address: &str, subject: &Subject) -> String {
    let default = format!(":{}", names::GATEWAY_SERVICE_PORT);
    let host = gateway_address.strip_suffix(default.as_str()).unwrap_or(gateway_address);
    format!("https://{host}{}", subject.path())
}
