//! One reconcile: its steps, and what they found.

mod ending;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use floe_crd::{Committee, DisruptionBudget, Pause, names};
use floe_plan::succession::{VolumeName, Wanted};
use floe_steward::{Pass, Trust, Word};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};

use super::actor::Actor;
use super::carry_out::{self, Children};
use super::observed::{Observed, observe};
use super::places::Terms;
use super::plan::{Marks, Plan, check, plan};
use super::repair::{Repair, identity};
use super::settings::{Settings, settings};
use super::view::{Scene, View};
use super::{growth, put_away, report, rollout};
use crate::apply::{Dependents, create_once, delete};
use crate::children;
use crate::disruption::{Budget, Limits, budget};
use crate::error::{Error, Result};
use crate::loss::{self, Host};
use crate::record_log::RevisionLog;
use crate::{Context, trust_store};

/// One reconcile of a Committee.
pub(super) struct Work<'a> {
    context: &'a Context,
    committee: &'a Committee,
    namespace: String,
    name: String,
    now: Timestamp,
    observed: Observed,
    plan: Plan,
    weight: u32,
    pass: Option<Pass>,
    budget: Option<Budget>,
    has_decided: bool,
    at_rest: bool,
}

impl<'a> Work<'a> {
    /// One that has not looked yet.
    pub(super) fn new(context: &'a Context, committee: &'a Committee) -> Self {
        let millis = i64::try_from(context.env.clock.unix_millis()).unwrap_or(i64::MAX);
        Self {
            context,
            committee,
            namespace: committee.namespace().unwrap_or_default(),
            name: committee.name_any(),
            now: Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX),
            observed: Observed::default(),
            plan: Plan::default(),
            weight: 1,
            pass: None,
            budget: None,
            has_decided: false,
            at_rest: false,
        }
    }

    /// Whether nothing is under way.
    pub(super) const fn is_at_rest(&self) -> bool {
        self.at_rest
    }

    /// Everything, once.
    pub(super) async fn go_on(&mut self, slot: &mut Option<Actor>) -> Result<()> {
        self.observe(slot.as_ref()).await?;
        let settings = settings(&self.committee.spec)?;
        self.weight = settings.weight;
        let actor = self.actor(slot, &settings).await?;
        self.pass.clone_from(&actor.pass);
        self.decide(actor)?;
        self.make_nodes().await?;
        put_away::put_away(&self.context.client, &self.observed, &self.plan).await?;
        let scope =
            carry_out::scope(self.context, self.committee, &self.committee.spec, &actor.trust);
        let volumes = carry_out::volumes(&self.committee.spec, &self.plan, &self.observed);
        self.make_children(actor, &scope, &volumes).await?;
        self.give_up_newcomers(actor, settings.loss_grace).await?;
        let stewarded = self.steward(actor, &settings).await;
        // What is stuck is made anew from a mended template, even before the committee has begun.
        self.roll_out(stewarded.is_ok()).await?;
        stewarded?;
        let found = (&self.plan, &self.observed);
        growth::grow(self.context, &self.committee.spec, found, &mut actor.applied).await?;
        self.keep_budget(actor, &scope).await?;
        self.give_up_lost(actor).await?;
        self.start_repair(&scope, &volumes).await?;
        self.publish(actor);
        Ok(())
    }

    async fn observe(&mut self, actor: Option<&Actor>) -> Result<()> {
        let members = actor.and_then(Actor::record).into_iter().flat_map(|it| &it.members);
        let hosts = members.map(|member| member.host.clone()).collect();
        self.observed = observe(&self.context.client, self.committee, hosts).await?;
        Ok(())
    }

    /// The actor that there is, or a new one. Trust is drawn only where nothing was ever made with
    /// another one.
    async fn actor<'s>(
        &self,
        slot: &'s mut Option<Actor>,
        settings: &Settings,
    ) -> Result<&'s mut Actor> {
        if slot.as_ref().is_some_and(Actor::is_old) {
            *slot = None;
        }
        if slot.is_none() {
            let client = self.context.client.clone();
            let log = RevisionLog::new(client, &self.namespace, &self.name);
            let trust = self.trust(&log).await?;
            let log = std::sync::Arc::new(log);
            let grace = settings.loss_grace;
            *slot = Some(Actor::begin(&self.context.env, trust, log, grace).await?);
        }
        slot.as_mut().ok_or_else(|| Error::waiting("Starting", "the steward is about to start"))
    }

    async fn trust(&self, log: &RevisionLog) -> Result<Trust> {
        let Context { client, env, .. } = self.context;
        let (namespace, name) = (&self.namespace, &self.name);
        if let Some(trust) = trust_store::open(client, namespace, name).await? {
            return Ok(trust);
        }
        let is_bound = |claim: &PersistentVolumeClaim| {
            claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_some())
        };
        if !log.is_empty().await? || self.observed.claims.values().any(is_bound) {
            let message = format!(
                "Secret {namespace}/{} is gone, and there are volumes or epoch records of this \
                 Committee; restore it from a backup, or, to begin anew without what they hold, \
                 delete the claims and ControllerRevisions labelled floe.dev/committee={name}",
                names::trust(name)
            );
            return Err(Error::refused("TrustMissing", message));
        }
        trust_store::create(client, env, namespace, name).await
    }

    fn decide(&mut self, actor: &Actor) -> Result<()> {
        let volumes = |record: &floe_model::EpochRecord| -> BTreeSet<VolumeName> {
            let members = record.members.iter();
            members.map(|member| (member.node.clone(), member.incarnation)).collect()
        };
        let known = actor.record().map(volumes).unwrap_or_default();
        let mut marks = Marks::of(&self.observed, actor.committed().map(volumes), known);
        marks.retired.extend(actor.given_up.iter().cloned());
        self.plan = plan(&self.name, self.committee.spec.replicas, &marks)?;
        check(&self.plan, &marks)?;
        self.has_decided = true;
        Ok(())
    }

    async fn make_nodes(&mut self) -> Result<()> {
        let Self { context, committee, plan, observed, .. } = self;
        if carry_out::storage_nodes(context, committee, plan, observed).await? {
            self.observed.nodes =
                super::observed::storage_nodes(&context.client, committee).await?;
        }
        Ok(())
    }

    async fn make_children(
        &self,
        actor: &mut Actor,
        scope: &children::CommitteeScope,
        volumes: &[children::Volume],
    ) -> Result<()> {
        carry_out::leaves(self.context, scope, volumes, &self.observed, &actor.trust).await?;
        let wanted = self.wanted(actor);
        let children = Children {
            scope,
            volumes,
            nodes: carry_out::addresses(&wanted),
            ca_pem: actor.trust.ca_pem(),
            has_begun: actor.committed().is_some(),
        };
        children.apply(self.context, &self.observed, &mut actor.applied).await
    }

    async fn steward(&mut self, actor: &mut Actor, settings: &Settings) -> Result<()> {
        let wanted = self.wanted(actor);
        let words = self.words();
        let placed = self.terms().genesis(&self.plan, &self.observed);
        let pass = actor.pass(&wanted, words, settings, placed).await?;
        if let Some((_, record)) = &pass.record
            && record.geometry != settings.geometry
        {
            let message = format!(
                "the volumes hold a committee of {} shards of which {} may be faulty; set \
                 spec.encoding so in a new Committee of this name",
                record.geometry.shards(),
                record.geometry.faulty()
            );
            return Err(Error::refused("EncodingDiffers", message));
        }
        self.pass = Some(pass);
        Ok(())
    }

    fn terms(&self) -> Terms<'_> {
        let topology = &self.committee.spec.topology;
        Terms { namespace: &self.namespace, topology, weight: self.weight }
    }

    fn wanted(&self, actor: &Actor) -> Vec<Wanted> {
        self.terms().wanted(&self.plan, &self.observed, actor.record())
    }

    fn words(&self) -> BTreeMap<VolumeName, Word> {
        let words = self.scene().views().into_iter().filter_map(|view| {
            Some(((view.node.clone(), view.incarnation), loss::word(&view.sight())?))
        });
        words.collect()
    }

    fn is_repair_paused(&self) -> bool {
        self.committee.spec.paused.contains(&Pause::Repair)
    }

    fn limits(&self) -> Limits {
        let spec = &self.committee.spec;
        Limits {
            shards: spec.encoding.shards,
            faulty_shards: spec.encoding.faulty_shards(),
            min_write_margin: spec.disruption.min_write_margin,
        }
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            plan: &self.plan,
            observed: &self.observed,
            pass: self.pass.as_ref(),
            terms: self.terms(),
            limits: self.limits(),
            is_repair_paused: self.is_repair_paused(),
            now: self.now,
        }
    }

    async fn keep_budget(
        &mut self,
        actor: &mut Actor,
        scope: &children::CommitteeScope,
    ) -> Result<()> {
        let is_managed = self.committee.spec.disruption.budget == DisruptionBudget::Managed;
        let scene = self.scene();
        let members: Vec<_> = scene.views().iter().filter_map(View::as_member).collect();
        self.budget = is_managed.then(|| budget(&members, scene.limits));
        let min_available = self.budget.map(|budget| budget.min_available);
        let applied = &mut actor.applied;
        carry_out::disruption_budget(self.context, scope, min_available, applied).await
    }

    /// Marks volumes that are lost, as far as the rules allow it: the next reconcile makes the next.
    async fn give_up_lost(&self, actor: &mut Actor) -> Result<()> {
        let lost = self.pass.as_ref().map(Pass::to_replace).unwrap_or_default();
        let current = |(node, it): &&VolumeName| self.plan.current.get(node) == Some(it);
        for volume in lost.iter().filter(current).filter(|_| !self.is_repair_paused()) {
            self.give_up(actor, volume).await?;
        }
        Ok(())
    }

    /// Marks volumes that are gone before any record named them.
    async fn give_up_newcomers(&self, actor: &mut Actor, grace: Duration) -> Result<()> {
        let now = self.context.env.clock.monotonic();
        let before = std::mem::take(&mut actor.away);
        for view in self.scene().views().iter().filter(|view| !view.is_current()) {
            let volume = (view.node.clone(), view.incarnation);
            let sight = view.sight();
            let since = before.get(&volume).copied().unwrap_or(now);
            if loss::is_abandoned(&sight, now.saturating_sub(since), grace) {
                self.give_up(actor, &volume).await?;
            } else if matches!(sight.host, Host::Gone | Host::NotReady) {
                actor.away.insert(volume, since);
            }
        }
        Ok(())
    }

    async fn give_up(&self, actor: &mut Actor, volume: &VolumeName) -> Result<()> {
        let (node, incarnation) = volume;
        tracing::warn!(%node, %incarnation, "a volume is given up");
        if !put_away::give_up(&self.context.client, &self.observed, volume).await? {
            actor.given_up.insert(volume.clone());
        }
        Ok(())
    }

    async fn start_repair(
        &mut self,
        scope: &children::CommitteeScope,
        volumes: &[children::Volume],
    ) -> Result<()> {
        let mut started = false;
        for view in self.scene().views().iter().filter(|view| view.repair == Repair::Start) {
            let volume = volumes.iter().find(|it| it.node == view.node);
            let Some((volume, deficit)) = volume.zip(view.deficit) else { continue };
            let job = children::repair::job(scope, volume, &identity(deficit));
            let job = job.map_err(|error| Error::refused("InvalidSpec", error.to_string()))?;
            let manager = floe_crd::labels::COMMITTEE_MANAGER;
            started |= create_once(&self.context.client, &job, manager).await?;
            if let Some(object) = view.object {
                let message = format!(
                    "Job {} rebuilds {} bytes of volume {}",
                    job.name_any(),
                    view.remaining_bytes(),
                    view.incarnation
                );
                let turn = super::story::normal("RepairStarted", message);
                report::tell(self.context, &object.object_ref(&()), vec![turn]).await;
            }
        }
        if started {
            self.observed.jobs =
                super::observed::repair_jobs(&self.context.client, self.committee).await?;
        }
        Ok(())
    }

    /// Makes a pod anew that was made from an older template; one that is stuck only, unless all
    /// nodes were just asked how they are.
    async fn roll_out(&self, all_were_asked: bool) -> Result<()> {
        let views = self.scene().views();
        let pod = rollout::restart(&views, &self.observed, self.now);
        let is_stuck = |pod: &Pod| {
            views.iter().any(|it| it.trouble.is_some() && it.pod.is_some_and(|it| it == pod))
        };
        if let Some(pod) = pod.filter(|pod| all_were_asked || is_stuck(pod)) {
            tracing::info!(pod = pod.name_any(), "a pod is made anew from its newest template");
            delete(&self.context.client, pod, Dependents::Go).await?;
        }
        Ok(())
    }
}
