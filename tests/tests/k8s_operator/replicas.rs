//! Two replicas: one leads, the other waits for its turn.

use std::time::Duration;

use floe_operator::OperatorError;
use floe_operator::config::LeaseTimes;
use floe_tests::local::until;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::ledger::Ledger;
use crate::stage::play;
use crate::town::Town;

const LEASE: &str = "floe-operator";
const QUICK: LeaseTimes = LeaseTimes {
    lasts: Duration::from_secs(3),
    give_up: Duration::from_secs(2),
    every: Duration::from_millis(200),
};
/// As long as no test waits.
const LONG: LeaseTimes = LeaseTimes {
    lasts: Duration::from_hours(1),
    give_up: Duration::from_mins(30),
    every: Duration::from_millis(200),
};

async fn holds(town: &Town, holder: &str) -> i32 {
    let what = format!("{holder} leads in {}", town.namespace);
    until(&what, || async {
        let lease = town.api::<Lease>().get(LEASE).await.map_err(|error| error.to_string())?;
        let spec = lease.spec.unwrap_or_default();
        match spec.holder_identity.as_deref() {
            Some(found) if found == holder => Ok(spec.lease_transitions.unwrap_or_default()),
            found => Err(format!("{found:?}")),
        }
    })
    .await
}

#[test]
fn the_standby_takes_over_from_a_leader_that_died() {
    play(async |stage| {
        let town = Town::found(stage, "replicas-death").await;
        let (one, two) = (Ledger::default(), Ledger::default());
        let leader = town.operate_with("one", &one, QUICK);
        assert_eq!(holds(&town, "one").await, 0);
        let _standby = town.operate_with("two", &two, QUICK);
        town.install().await;
        town.whole([0; 4]).await;
        assert_eq!(two.writes(), [], "the standby only waits");

        drop(leader);
        town.write("later", "written when nobody led\n").await;
        town.certified("later").await;
        assert_eq!(holds(&town, "two").await, 1);
        stage.kubelet.forget(&town.namespace);
    });
}

#[test]
fn a_leader_that_is_stopped_gives_the_lease_back() {
    play(async |stage| {
        let town = Town::found(stage, "replicas-stop").await;
        let leader = town.operate_with("one", &Ledger::default(), LONG);
        holds(&town, "one").await;
        let standby = town.operate_with("two", &Ledger::default(), LONG);
        leader.stop().await;
        holds(&town, "two").await;
        standby.stop().await;
        let lease = town.api::<Lease>().get(LEASE).await.unwrap();
        assert_eq!(lease.spec.unwrap().holder_identity, None);
    });
}

#[test]
fn a_leader_that_is_deposed_ends() {
    play(async |stage| {
        let town = Town::found(stage, "replicas-deposed").await;
        let mut leader = town.operate_with("one", &Ledger::default(), LONG);
        holds(&town, "one").await;
        let usurped = Patch::Merge(json!({ "spec": { "holderIdentity": "two" } }));
        // A renewal that was under way may win once.
        until("the end of who was deposed", || async {
            let leases = town.api::<Lease>();
            leases.patch(LEASE, &PatchParams::default(), &usurped).await.unwrap();
            if leader_has_ended(&leader) { Ok(()) } else { Err("it goes on".to_owned()) }
        })
        .await;
        let ended = (&mut leader.task).await.unwrap();
        let Err(OperatorError::Deposed { reason }) = ended else { panic!("{ended:?}") };
        assert!(reason.contains("another replica holds lease floe-operator"), "{reason}");
    });
}

fn leader_has_ended(leader: &crate::town::Running) -> bool {
    leader.task.is_finished()
}
