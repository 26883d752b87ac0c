//! What a reconcile leaves behind: the link for the blob controller, statuses, Events.

use floe_api::Target;
use floe_crd::condition::{self, PAUSED, PROGRESSING, STALLED};
use floe_crd::{CommitteeStatus, names};
use floe_model::Member;
use floe_steward::Outcome;

use super::Work;
use crate::committee::actor::Actor;
use crate::committee::status::{Facts, committee_status, paused, progressing, stalled};
use crate::committee::view::View;
use crate::committee::{node_status, report};
use crate::error::{Error, Result};
use crate::{CommitteeKey, Link};

impl Work<'_> {
    /// Tells the blob controller.
    pub(super) fn publish(&self, actor: &Actor) {
        let Some(pass) = &self.pass else { return };
        let Some((_, record)) = &pass.record else { return };
        let target = |member: &Member| Target {
            node: member.node.clone(),
            incarnation: member.incarnation,
            address: member.address.clone(),
        };
        let host = names::gateway_host(&self.name, &self.namespace);
        let key = CommitteeKey { namespace: self.namespace.clone(), name: self.name.clone() };
        self.context.links.set(
            key,
            Link {
                keys: actor.keys.clone(),
                client: actor.client.clone(),
                record: record.clone(),
                targets: record.members.iter().map(target).collect(),
                gateway_address: format!("{host}:{}", names::GATEWAY_SERVICE_PORT),
                ca_pem: actor.trust.ca_pem().to_owned(),
                reports: pass.reports.clone(),
            },
        );
    }

    /// Writes what was found into the statuses, and tells what happened.
    pub(in crate::committee) async fn report(&mut self, error: Option<&Error>) -> Result<()> {
        let scene = self.scene();
        let views = scene.views();
        let facts = Facts {
            spec: &self.committee.spec,
            committee: (&self.name, &self.namespace),
            views: &views,
            record: scene.record(),
            outcome: self.pass.as_ref().map(|pass| &pass.outcome),
            error,
            gateway: self.gateway(),
            disruptions_allowed: self.budget.map(|budget| budget.disruptions_allowed),
        };
        if !self.has_decided {
            return self.report_little(&facts).await;
        }
        for view in &views {
            let Some(object) = view.object else { continue };
            let old = object.status.clone().unwrap_or_default();
            let generation = object.metadata.generation;
            let status = node_status::node_status(view, &old, generation, self.now);
            report::storage_node(self.context, object, &status).await?;
        }
        let old = self.committee.status.clone().unwrap_or_default();
        let generation = self.committee.metadata.generation;
        let status = committee_status(&facts, &old, generation, self.now);
        report::committee(self.context, self.committee, &status).await?;
        let settled = self.pass.as_ref().is_some_and(|pass| pass.outcome == Outcome::Settled);
        let whole = views.iter().all(View::is_whole);
        self.at_rest = settled && whole && self.gateway() != Some(false);
        Ok(())
    }

    /// Nothing was decided: what was known of the nodes stays, only the spec was seen.
    async fn report_little(&self, facts: &Facts<'_>) -> Result<()> {
        let old = self.committee.status.clone().unwrap_or_default();
        let generation = self.committee.metadata.generation;
        let mut conditions = old.conditions.clone();
        for condition in &mut conditions {
            condition.observed_generation = generation;
        }
        let mut said = vec![(PAUSED, paused(facts.spec))];
        if facts.error.is_some() {
            said.extend([(PROGRESSING, progressing(facts)), (STALLED, stalled(facts))]);
        }
        for (type_, (status, reason, message)) in said {
            condition::set(
                &mut conditions,
                type_,
                (status, reason, &message),
                generation,
                self.now,
            );
        }
        let status = CommitteeStatus { conditions: node_status::sorted(conditions), ..old };
        report::committee(self.context, self.committee, &status).await
    }

    fn gateway(&self) -> Option<bool> {
        let wanted = self.committee.spec.gateway.replicas > 0;
        let status = self.observed.gateway.as_ref().and_then(|it| it.status.as_ref());
        let available = status.and_then(|status| status.available_replicas).unwrap_or(0);
        wanted.then_some(available > 0)
    }
}
