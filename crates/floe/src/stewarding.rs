//! Running the steward of a committee's directory: for a while, or for good.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_env::Env;
use floe_model::EpochRecord;
use floe_plan::succession::Blocker;
use floe_steward::{FileRecordLog, Keys, Outcome, Pass, Steward, StewardError};

use crate::committee_dir::CommitteeDir;
use crate::exit::{Ended, Exit};
use crate::serving::steward_client;

/// Between two looks at everything.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The steward of a directory.
pub(crate) struct Stewarding {
    env: Env,
    dir: CommitteeDir,
    steward: Steward,
    said: String,
}

impl Stewarding {
    /// A steward that calls nodes lost after `loss_grace`.
    pub(crate) fn new(env: &Env, dir: &Path, loss_grace: Duration) -> anyhow::Result<Self> {
        let dir = CommitteeDir::open(env, dir)?;
        let client = steward_client(env, &dir)?;
        let log = Arc::new(FileRecordLog::new(env.clone(), dir.records()));
        let steward = Steward::new(env.clone(), client, log, Keys::from(&dir.trust), loss_grace);
        Ok(Self { env: env.clone(), dir, steward, said: String::new() })
    }

    /// The directory, as it was read last.
    pub(crate) const fn dir(&self) -> &CommitteeDir {
        &self.dir
    }

    /// Where the directory is.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path.clone()
    }

    /// One pass, after the directory was read again. What it came to is said on standard error when
    /// it differs from the last time.
    pub(crate) async fn pass(&mut self) -> anyhow::Result<Pass> {
        self.dir.reload(&self.env)?;
        let pass = self.steward.pass(&self.dir.wanted()).await?;
        let text = describe(&pass.outcome);
        if text != self.said {
            if !text.is_empty() {
                eprintln!("{text}");
            }
            self.said = text;
        }
        Ok(pass)
    }

    /// What a pass would find.
    pub(crate) async fn glance(&mut self) -> anyhow::Result<Pass> {
        Ok(self.steward.glance(&self.dir.wanted()).await?)
    }

    /// The forced record.
    pub(crate) async fn force(
        &mut self,
        on: Option<floe_model::RecordHash>,
    ) -> Result<Pass, StewardError> {
        self.steward.force(&self.dir.wanted(), on).await
    }

    /// Goes on until the newest committed record is as it should be; an error with what is missing
    /// after `wait`. What is beyond the limit is an error at once.
    pub(crate) async fn see_through(
        &mut self,
        wait: Duration,
        is_done: impl Fn(&EpochRecord) -> bool,
    ) -> anyhow::Result<EpochRecord> {
        let begin = Instant::now();
        loop {
            let missing = match self.pass().await {
                Ok(pass) => {
                    refuse_beyond_limit(&pass.outcome)?;
                    match pass.record.filter(|(_, record)| is_done(record)) {
                        Some((_, record)) => return Ok(record),
                        None => describe(&pass.outcome),
                    }
                }
                Err(error) => format!("{error:#}"),
            };
            if begin.elapsed() > wait {
                let seconds = wait.as_secs();
                let message = format!("not done within {seconds} s, a steward goes on: {missing}");
                return Err(Ended::new(Exit::NotEnoughNodes, message).into());
            }
            self.env.clock.sleep(LOOK_EVERY.min(wait)).await;
        }
    }

    /// Goes on for good. Whatever fails is said, and tried again.
    pub(crate) async fn keep(&mut self) {
        loop {
            if let Err(error) = self.pass().await {
                eprintln!("{error:#}");
            }
            self.env.clock.sleep(LOOK_EVERY).await;
        }
    }
}

/// More is lost than the rules can mend: a human decides, now.
fn refuse_beyond_limit(outcome: &Outcome) -> Result<(), Ended> {
    let Outcome::Waiting(blockers) = outcome else { return Ok(()) };
    let beyond = blockers.iter().find(|blocker| matches!(blocker, Blocker::BeyondLimit { .. }));
    beyond.map_or(Ok(()), |blocker| Err(Ended::new(Exit::Failed, blocker.to_string())))
}

/// What a pass came to, for people; empty if there is nothing to say.
pub(crate) fn describe(outcome: &Outcome) -> String {
    let listed = |blockers: &[Blocker]| {
        blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    match outcome {
        Outcome::Settled => String::new(),
        Outcome::Waiting(blockers) => listed(blockers),
        Outcome::Committed(number, blockers) if blockers.is_empty() => {
            format!("epoch record {number} is committed")
        }
        Outcome::Committed(number, blockers) => {
            format!("epoch record {number} is committed; {}", listed(blockers))
        }
        Outcome::Pushed(number, missing) => {
            format!("epoch record {number} is not committed yet: {missing}")
        }
        Outcome::Conflict(tips) => {
            let tips: Vec<String> = tips
                .iter()
                .map(|tip| format!("{} ({}, {} shards)", tip.number, tip.record, tip.shards))
                .collect();
            format!(
                "EpochConflict: nodes accepted epoch records of which none can be committed: {}; \
                 start the nodes that are away, or choose one with floe committee force --on HASH",
                tips.join(", ")
            )
        }
    }
}
