//! What is kept of each Committee between reconciles: its steward, and the way to its nodes. Nothing
//! in it is missed when the process dies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_api::{NodeClient, Role, TransportLimits};
use floe_env::Env;
use floe_model::{EpochRecord, Incarnation, NodeName};
use floe_plan::succession::{VolumeName, Wanted};
use floe_steward::{
    GenesisConfig, GenesisError, GenesisNode, Keys, Pass, RecordLog as _, Steward, Trust, Word,
    genesis,
};

use super::carry_out::Applications;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::record_log::RevisionLog;

/// The operator's own leaf is drawn anew after a third of its life.
const LEAF_RENEWED_AFTER: Duration = Duration::from_hours(365 * 24 / 3);

/// All actors of this process, by the Committee's UID. Clones share what they hold.
#[derive(Clone, Default)]
pub struct Actors(Arc<Mutex<BTreeMap<String, Slot>>>);

/// One reconcile at a time looks after a Committee.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Actor>>>;

impl Actors {
    /// The place of a Committee's actor.
    pub(super) fn slot(&self, uid: &str) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(uid.to_owned()).or_default())
    }

    /// The Committee is gone.
    pub(super) fn remove(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// What is kept of a Committee.
pub(super) struct Actor {
    env: Env,
    pub(super) trust: Trust,
    pub(super) keys: Keys,
    pub(super) client: NodeClient,
    log: Arc<RevisionLog>,
    steward: Steward,
    /// When the client's leaf was drawn.
    born_millis: u64,
    /// The last look that found a committed record.
    pub(super) pass: Option<Pass>,
    /// The newest record of the log when this began, committed or not.
    logged: Option<EpochRecord>,
    /// Volumes that this process gave up.
    pub(super) given_up: BTreeSet<VolumeName>,
    /// Hosts of volumes that no record names yet, away since then.
    pub(super) away: BTreeMap<VolumeName, Duration>,
    /// What was applied last.
    pub(super) applied: Applications,
}

impl Actor {
    /// One that has seen nothing yet but the log.
    pub(super) async fn begin(
        env: &Env,
        trust: Trust,
        log: Arc<RevisionLog>,
        loss_grace: Duration,
    ) -> Result<Self> {
        let clock = env.clock.as_ref();
        let identity = trust.leaf(clock, Role::Operator, "steward", Incarnation(0), &[])?;
        let client = NodeClient::new(env, &identity, TransportLimits::default())?;
        let keys = Keys::from(&trust);
        let logged = log.read_all().await?.into_iter().next_back().map(|signed| signed.record);
        let steward_log = Arc::clone(&log) as Arc<dyn floe_steward::RecordLog>;
        Ok(Self {
            steward: Steward::new(
                env.clone(),
                client.clone(),
                steward_log,
                keys.clone(),
                loss_grace,
            ),
            env: env.clone(),
            trust,
            keys,
            client,
            log,
            born_millis: clock.unix_millis(),
            pass: None,
            logged,
            given_up: BTreeSet::new(),
            away: BTreeMap::new(),
            applied: Applications::default(),
        })
    }

    /// Whether its leaf is to be drawn anew.
    pub(super) fn is_old(&self) -> bool {
        let age_millis = self.env.clock.unix_millis().saturating_sub(self.born_millis);
        u128::from(age_millis) > LEAF_RENEWED_AFTER.as_millis()
    }

    /// The newest committed record, or, before any look, what the log has.
    pub(super) fn record(&self) -> Option<&EpochRecord> {
        self.committed().or(self.logged.as_ref())
    }

    /// The newest committed record.
    pub(super) fn committed(&self) -> Option<&EpochRecord> {
        self.pass.as_ref()?.record.as_ref().map(|(_, record)| record)
    }

    /// One look at everything, and at most one new record; the first one if there is none.
    pub(super) async fn pass(
        &mut self,
        wanted: &[Wanted],
        words: BTreeMap<VolumeName, Word>,
        settings: &Settings,
        placed: std::result::Result<Vec<GenesisNode>, Vec<NodeName>>,
    ) -> Result<Pass> {
        self.steward.hear(words, settings.loss_grace);
        let mut pass = self.steward.pass(wanted).await?;
        if pass.record.is_none() {
            self.form(wanted, settings, placed).await?;
            pass = self.steward.pass(wanted).await?;
        }
        if pass.record.is_none() {
            return Err(Error::waiting("Forming", "the first epoch record is not committed yet"));
        }
        self.given_up.retain(|(node, incarnation)| {
            let record = pass.record.as_ref().map(|(_, record)| record);
            let member = record.and_then(|record| record.member(node));
            member.is_some_and(|member| member.incarnation <= *incarnation)
        });
        self.pass = Some(pass.clone());
        Ok(pass)
    }

    /// Brings the committee to its committed record 0, or finds it there.
    async fn form(
        &self,
        wanted: &[Wanted],
        settings: &Settings,
        placed: std::result::Result<Vec<GenesisNode>, Vec<NodeName>>,
    ) -> Result<()> {
        let nodes = match placed {
            Ok(nodes) => nodes,
            // It has begun: those that are placed may be enough.
            Err(_) if !self.log.is_empty().await? => wanted.iter().map(genesis_node).collect(),
            Err(unplaced) => {
                let names: Vec<&str> = unplaced.iter().map(NodeName::as_str).collect();
                let message = format!("these storage nodes have no host yet: {}", names.join(", "));
                return Err(Error::waiting("PodsPending", message));
            }
        };
        let config = GenesisConfig {
            geometry: settings.geometry,
            policy: settings.policy,
            nodes,
            patience: Duration::ZERO,
        };
        match genesis(&self.env, &self.client, self.log.as_ref(), &self.keys, &config).await {
            Ok(_) => Ok(()),
            Err(error @ (GenesisError::Waiting(_) | GenesisError::TooFew { .. })) => {
                Err(Error::waiting("Forming", error.to_string()))
            }
            Err(error @ GenesisError::Log(_)) => Err(error.into()),
            Err(error) => Err(Error::refused("CannotForm", Error::from(error).text())),
        }
    }
}

fn genesis_node(wanted: &Wanted) -> GenesisNode {
    GenesisNode {
        node: wanted.node.clone(),
        incarnation: wanted.incarnation,
        address: wanted.address.clone(),
        zone: wanted.zone.clone(),
        host: wanted.host.clone(),
    }
}
