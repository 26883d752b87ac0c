//! An operator that dies before or after each of its writes, while a Committee is installed, loses a
//! volume, and gives up a Blob. Whoever comes after it brings everything to the same end, and makes and
//! deletes as many objects as one that never died.

use std::collections::BTreeMap;
use std::future::pending;

use floe_tests::local::until;
use floe_tests::process::is_slow;
use futures::{FutureExt as _, StreamExt as _, stream};

use crate::ledger::{Death, Moment};
use crate::stage::{Stage, play};
use crate::town::{Running, Town};

/// Plans that are played side by side.
const AT_A_TIME: usize = 4;
/// Of how many writes one is tried by default.
const ONE_OF: usize = 3;
/// Set to `12-before` or `12-after` to play that plan alone.
const ONLY: &str = "FLOE_DEATH";
const TEXT: &str = "what an operator that died was about to keep\n";

/// What is played, one after the other, in each plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Install,
    VolumeLoss,
    BlobDeletion,
}

const PHASES: [Phase; 3] = [Phase::Install, Phase::VolumeLoss, Phase::BlobDeletion];

/// What is left after a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    made_and_deleted: BTreeMap<String, usize>,
    census: BTreeMap<String, Vec<String>>,
    writes: usize,
}

#[test]
fn whoever_comes_after_an_operator_that_died_brings_it_to_the_same_end() {
    play(async |stage| {
        let living = plan(stage, None, None).await;
        let most = living.values().map(|end| end.writes).max().unwrap();
        let deaths = match std::env::var(ONLY) {
            Ok(only) => vec![parse(&only)],
            Err(_) => deaths(most),
        };
        for (phase, end) in &living {
            println!("{phase:?}: {} writes, {:?}", end.writes, end.made_and_deleted);
        }
        println!("{} plans", deaths.len());
        let plans = deaths.into_iter().map(|death| {
            let living = living.clone();
            let played = tokio::spawn(async move { plan(stage, Some(death), Some(&living)).await });
            async move { (death, played.await) }
        });
        let failed: Vec<Death> = stream::iter(plans)
            .buffer_unordered(AT_A_TIME)
            .filter_map(async |(death, played)| played.is_err().then_some(death))
            .collect()
            .await;
        assert!(failed.is_empty(), "failed: {failed:?}; play one alone with {ONLY}=12-before");
    });
}

fn deaths(most: usize) -> Vec<Death> {
    let writes = (1..=most).filter(|write| is_slow() || write % ONE_OF == 1);
    writes
        .flat_map(|write| [Moment::Before, Moment::After].map(|moment| Death { write, moment }))
        .collect()
}

fn parse(text: &str) -> Death {
    let (write, moment) = text.split_once('-').expect("12-before or 12-after");
    let moment = if moment == "before" { Moment::Before } else { Moment::After };
    Death { write: write.parse().unwrap(), moment }
}

/// Plays all phases, with the same death in each; compares the ends with those of one that lived.
async fn plan(
    stage: &'static Stage,
    death: Option<Death>,
    living: Option<&BTreeMap<Phase, End>>,
) -> BTreeMap<Phase, End> {
    let namespace = match death {
        None => "lives".to_owned(),
        Some(Death { write, moment: Moment::Before }) => format!("dies-before-{write}"),
        Some(Death { write, moment: Moment::After }) => format!("dies-after-{write}"),
    };
    let town = Town::found(stage, &namespace).await;
    let mut operator = town.operate("one");
    let mut ends = BTreeMap::new();
    for phase in PHASES {
        let expected = living.and_then(|living| living.get(&phase));
        let trace = Trace { town: &town, death, phase };
        let end = played(&town, &mut operator, phase, death, expected).await;
        std::mem::forget(trace);
        ends.insert(phase, end);
    }
    drop(operator);
    stage.kubelet.forget(&namespace);
    ends
}

async fn played(
    town: &Town,
    operator: &mut Running,
    phase: Phase,
    death: Option<Death>,
    expected: Option<&End>,
) -> End {
    let died = match death {
        Some(death) => town.ledger.arm(death).boxed(),
        None => {
            town.ledger.clear();
            pending().boxed()
        }
    };
    let reborn = async {
        died.await;
        operator.task.abort();
        town.ledger.bury();
        *operator = town.operate("one");
        pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = reborn => {}
        () = act(town, phase) => {}
    }
    let census = match expected {
        None => town.census().await,
        Some(expected) => {
            until(&format!("{}: {phase:?} to end as without the death", town.namespace), || async {
                let census = town.census().await;
                if census == expected.census {
                    Ok(census)
                } else {
                    Err(differing(&census, &expected.census))
                }
            })
            .await
        }
    };
    let mut made_and_deleted = town.ledger.made_and_deleted();
    // The census tells of them.
    made_and_deleted.remove("controllerrevisions made");
    let end = End { made_and_deleted, census, writes: town.ledger.writes().len() };
    if let Some(expected) = expected {
        assert_eq!(end.made_and_deleted, expected.made_and_deleted, "made and deleted");
    }
    end
}

async fn act(town: &Town, phase: Phase) {
    match phase {
        Phase::Install => {
            town.install().await;
            town.write("kept", TEXT).await;
            town.whole([0; 4]).await;
            town.certified("kept").await;
        }
        Phase::VolumeLoss => {
            town.stage.kubelet.lose_disk(&town.namespace, "data-main-1-0-0").await;
            town.whole([0, 1, 0, 0]).await;
            town.certified("kept").await;
        }
        Phase::BlobDeletion => {
            town.delete("kept").await;
            town.gone("kept").await;
        }
    }
}

fn differing(
    found: &BTreeMap<String, Vec<String>>,
    expected: &BTreeMap<String, Vec<String>>,
) -> String {
    let differs = expected.iter().filter(|(kind, names)| found.get(*kind) != Some(names));
    let each = differs.map(|(kind, names)| format!("{kind}: {:?}, not {names:?}", found.get(kind)));
    each.collect::<Vec<_>>().join("; ")
}

/// Tells on a panic what was written, and where the operator died.
struct Trace<'a> {
    town: &'a Town,
    death: Option<Death>,
    phase: Phase,
}

impl Drop for Trace<'_> {
    fn drop(&mut self) {
        let Self { town, death, phase } = self;
        eprintln!("{}: failed in {phase:?}, death at {death:?}; its writes:", town.namespace);
        for (at, write) in town.ledger.writes().iter().enumerate() {
            let status = write.status.map_or(0, |status| status.as_u16());
            eprintln!("{:4} {} {} {status}", at + 1, write.method, write.path);
        }
    }
}
