//! A Blob whose content comes: what the plan says is done, step after step.

use std::time::Duration;

use floe_crd::{CommitteeReference, names};
use kube::ResourceExt as _;

use super::nodes::{Nodes, Survey};
use super::plan::{self, Facts, Step, Verdict};
use super::status::Certified;
use super::{Turn, import, source, ticket};
use crate::error::{Error, Result};

/// A Blob whose content is being brought.
pub(super) struct Bringing<'a> {
    turn: &'a Turn<'a>,
    facts: Facts,
    nodes: Nodes<'a>,
    keeper: &'a CommitteeReference,
    survey: Survey,
    /// The Job that imports.
    job: Option<String>,
}

impl<'a> Bringing<'a> {
    pub(super) fn new(
        turn: &'a Turn<'a>,
        nodes: Nodes<'a>,
        keeper: &'a CommitteeReference,
        facts: Facts,
    ) -> Self {
        Self { turn, facts, nodes, keeper, survey: Survey::default(), job: None }
    }

    /// The Job that imports.
    pub(super) fn job(&self) -> Option<String> {
        self.job.clone()
    }

    /// Step after step, until there is nothing to do for now.
    pub(super) async fn run(&mut self) -> Result<(Verdict, Duration)> {
        loop {
            match plan::next(&self.facts) {
                Step::Settle(verdict, again) => return Ok((verdict, again)),
                Step::Look => {
                    self.survey = self.nodes.survey().await;
                    self.facts.content = Some(self.survey.content(&self.nodes.link.record));
                }
                Step::HandOn => {
                    if let Some(certified) = &self.survey.certified {
                        self.nodes.hand_on(certified).await;
                    }
                    self.facts.handed_on = true;
                    self.facts.content = None;
                }
                Step::Close => {
                    let (closed, certified) = self.nodes.close().await;
                    self.facts.closed = Some(closed);
                    self.survey.certified = certified;
                }
                Step::Put => {
                    let put = self.put().await?;
                    self.facts.content =
                        (put != plan::Put::Stored).then_some(plan::Content::Absent);
                    self.facts.put = Some(put);
                }
                Step::SeeImport => self.see_import().await?,
                Step::SeeEntry => {
                    let entry = match &self.turn.blob.spec.source.config_map_key_ref {
                        None => plan::Entry::NoConfigMap,
                        Some(key) => {
                            let client = &self.turn.context.client;
                            import::entry(client, &self.turn.namespace(), key).await?
                        }
                    };
                    self.facts.entry = Some(entry);
                }
                Step::Import(sha256) => self.import(sha256).await?,
                Step::DropImport => {
                    let client = &self.turn.context.client;
                    if let Some(job) = import::find(client, self.turn.blob).await? {
                        import::drop_job(client, &job).await?;
                    }
                    self.facts.import = Some(plan::Import::Foreign);
                }
            }
        }
    }

    async fn put(&self) -> Result<plan::Put> {
        let (env, link, subject) = (self.nodes.env, self.nodes.link, self.nodes.subject);
        let spec = &self.turn.blob.spec;
        let content = spec.source.inline.as_ref().map(source::inline);
        let content = match content {
            Some(Ok(content)) => content,
            Some(Err(why)) => return Ok(plan::Put::Refused(why)),
            None => return Ok(plan::Put::Refused("spec.source.inline is missing".to_owned())),
        };
        let allowed = ticket::Allowed {
            content_type: &spec.content_type,
            sha256: source::sha256(&content),
            largest_bytes: content.len() as u64,
        };
        let ticket = ticket::sign(env, link, subject, &allowed);
        ticket::put(env, link, subject, (&ticket, content)).await
    }

    async fn see_import(&mut self) -> Result<()> {
        let (client, blob) = (&self.turn.context.client, self.turn.blob);
        let job = import::find(client, blob).await?;
        let words = match &job {
            Some(job) => import::last_words(client, job).await?,
            None => None,
        };
        let uid = blob.uid().unwrap_or_default();
        let outcome = import::outcome(job.as_ref(), &uid, words.as_deref(), self.turn.now());
        let ours = job.filter(|_| !matches!(outcome, plan::Import::Foreign));
        self.job = ours.map(|job| job.name_any());
        self.facts.import = Some(outcome);
        Ok(())
    }

    async fn import(&mut self, sha256: [u8; 32]) -> Result<()> {
        let Turn { blob, context } = *self.turn;
        let Some(key) = &blob.spec.source.config_map_key_ref else {
            self.facts.entry = Some(plan::Entry::NoConfigMap);
            return Ok(());
        };
        let Some(committee) = self.turn.committee(self.keeper).await? else {
            let CommitteeReference { name, namespace } = self.keeper;
            let message = format!("the Committee {namespace}/{name} is gone");
            return Err(Error::waiting("CommitteeNotFound", message));
        };
        let (env, link, subject) = (self.nodes.env, self.nodes.link, self.nodes.subject);
        let allowed = ticket::Allowed {
            content_type: &blob.spec.content_type,
            sha256,
            largest_bytes: plan::MOST_CONFIG_MAP_BYTES,
        };
        let ticket = ticket::sign(env, link, subject, &allowed).to_string();
        let started = import::start(context, (&committee, link), blob, (key, &ticket)).await;
        self.facts.import = Some(match started {
            Ok(()) => {
                self.job = Some(names::import_job(&blob.name_any()));
                plan::Import::Running
            }
            // A quota or a policy of the namespace may be in the way: its people are to read that.
            Err(error @ Error::Apply(_)) => {
                plan::Import::Failed { message: error.text(), ago: Duration::ZERO }
            }
            Err(error) => return Err(error),
        });
        Ok(())
    }

    /// What is certified, if nodes showed it.
    pub(super) fn certified(&self) -> Option<Certified> {
        let claim = &self.survey.certified.as_ref()?.claim.body;
        Some(Certified {
            blob_id: claim.blob.to_string(),
            size_bytes: claim.length,
            epoch: self.survey.epoch?.0,
        })
    }
}
