//! Two writers of one name.

use std::collections::BTreeSet;

use floe_api::messages::NameStatement;
use floe_client::{Closing, Phase, WriteError};
use floe_tests::local::{NAMESPACE_UID, content, resolve, write};

use crate::scene::{Scene, TWO_STRIPES_BYTES};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_of_one_name_at_most_one_is_certified() {
    let scene = Scene::start("two-writers").await;
    let committee = &scene.committee;
    let (one_client, other_client) = (committee.client(), committee.client());
    let mut certified = 0;
    for round in 0..6_u64 {
        let length = if round % 2 == 0 { 1000 } else { TWO_STRIPES_BYTES };
        let name = format!("name-{round}");
        let wish = committee.wish(&name);
        let (one, other) = (content(2 * round, length), content(2 * round + 1, length));
        let outcomes = tokio::join!(
            write(&one_client, wish.clone(), &one),
            write(&other_client, wish.clone(), &other),
        );
        let mut won = Vec::new();
        for outcome in [outcomes.0, outcomes.1] {
            match outcome {
                Ok(written) => won.push(written.blob),
                Err(
                    WriteError::ClaimBound { claim, .. } | WriteError::ClaimConflicted { claim },
                ) => {
                    assert_eq!(claim, wish.claim);
                }
                Err(WriteError::NotEnoughNodes(error)) => assert_eq!(error.phase, Phase::Confirm),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(won.len() <= 1, "round {round}: both are certified");
        let found = resolve(&one_client, &name).await.map(|(claim, _)| claim.body.blob);
        assert_eq!(found, won.first().copied(), "round {round}");
        // No node holds a certificate of the other one.
        let mut shown = BTreeSet::new();
        for at in 0..4 {
            let name = name.parse().unwrap();
            let target = committee.target(at);
            let answer = scene.gateway.resolve(&target, NAMESPACE_UID, name).await.unwrap();
            shown.extend(answer.value.items.into_iter().filter_map(|item| match item {
                NameStatement::Certified(certified) => Some(certified.claim.body.blob),
                NameStatement::Release(_) => None,
            }));
        }
        assert_eq!(shown, won.iter().copied().collect());
        certified += won.len();
        // Nobody comes later with a third content, but the winner may come again.
        if let Some(blob) = won.first() {
            let late = write(&other_client, wish.clone(), &content(99, length)).await.unwrap_err();
            let WriteError::ClaimBound { bound, .. } = late else { panic!("{late}") };
            assert_eq!(bound, Some(*blob));
        }
    }
    eprintln!("{certified} of 6 rounds had a winner");
    let alone = committee.wish("alone");
    let first = write(&one_client, alone.clone(), &content(1, 1000)).await.unwrap();
    let again = write(&other_client, alone.clone(), &content(1, 1000)).await.unwrap();
    assert_eq!(first.blob, again.blob);
    let closing = one_client.close(alone.claim).await.unwrap();
    assert!(matches!(closing, Closing::Certified(_)), "what is certified is not closed");
}
