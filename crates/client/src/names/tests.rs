use floe_model::ClaimId;

use super::*;
use crate::Closing;
use crate::budget::Budget;
use crate::tests::fixture::{Mode, Told, release_of};
use crate::write::tests::{body, content, four, wish};

const UID: NamespaceUid = NamespaceUid([4; 16]);

fn found(resolution: Resolution) -> Option<SignedClaim> {
    match resolution {
        Resolution::Found(found) => Some(found.0),
        Resolution::Absent { .. } => None,
    }
}

#[tokio::test]
async fn a_name_is_found_until_it_is_released() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let name = "a".parse().unwrap();
    let before = client.resolve(UID, &name).await.unwrap();
    assert_eq!(before, Resolution::Absent { last_release: None });
    let written = client.write(wish("a", 1), body(&content(10))).await.unwrap();
    fleet.set(1, Mode::Down);
    let resolved = found(client.resolve(UID, &name).await.unwrap());
    assert_eq!(resolved, Some(written.claim.clone()));
    let stranger = client.resolve(NamespaceUid([5; 16]), &name).await.unwrap();
    assert_eq!(found(stranger), None, "the same name in another namespace");
    let release = client.release(&release_of(&written.claim)).await.unwrap();
    fleet.set(1, Mode::Up);
    fleet.set(0, Mode::Down);
    let after = client.resolve(UID, &name).await.unwrap();
    assert_eq!(after, Resolution::Absent { last_release: Some(Box::new(release)) });
    fleet.set(1, Mode::Down);
    let error = client.resolve(UID, &name).await.unwrap_err();
    assert!(matches!(error, ResolveError::NotEnoughNodes(_)), "{error}");
}

#[tokio::test]
async fn v3_a_claim_counts_only_with_its_own_certificate() {
    let fleet = four();
    let told = Arc::new(Told::default());
    let client = fleet.client(Budget::default()).observed_by(told.clone());
    let written = client.write(wish("a", 1), body(&content(10))).await.unwrap();
    // Another gateway signed a claim for other bytes of the same object; nobody certified it.
    let mut other = written.claim.body.clone();
    other.blob = floe_model::BlobId([9; 32]);
    let record = client.committee().newest();
    let other =
        floe_model::Signed::sign(other, &record.committee, record.hash(), &fleet.cast.gateway);
    let shown = CertifiedClaim { claim: other, certificate: written.certificate.clone() };
    fleet.with(3, |holder| holder.claims = vec![shown]);
    fleet.set(0, Mode::Down);
    let error = client.resolve(UID, &"a".parse().unwrap()).await;
    assert!(error.is_err(), "two honest answers are no quorum: {error:?}");
    fleet.set(0, Mode::Up);
    let resolved = found(client.resolve(UID, &"a".parse().unwrap()).await.unwrap());
    assert_eq!(resolved, Some(written.claim));
    assert!(told.0.lock().unwrap().iter().any(|text| text.starts_with("node-3: ")));
}

#[tokio::test]
async fn pages_follow_each_other_and_leave_out_what_is_released() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let names = ["a", "b", "c", "d", "e"];
    for (number, name) in (1..).zip(names) {
        fleet.set(usize::from(number) % 4, Mode::Down);
        let written = client.write(wish(name, number), body(&content(10))).await.unwrap();
        if name == "c" {
            client.release(&release_of(&written.claim)).await.unwrap();
        }
        fleet.set(usize::from(number) % 4, Mode::Up);
    }
    for limit in [1, 2, 5] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = client.list(UID, after, limit).await.unwrap();
            assert!(page.found.len() <= limit as usize && page.unresolved.is_empty());
            listed.extend(page.found.iter().map(|(claim, _)| claim.body.name.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, ["a", "b", "d", "e"], "{limit} at a time");
    }
}

#[tokio::test]
async fn closing_finds_the_certificate_or_closes() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let written = client.write(wish("a", 1), body(&content(10))).await.unwrap();
    let found = Closing::Certified(Box::new((written.claim, written.certificate)));
    assert_eq!(client.close(ClaimId([1; 16])).await, Ok(found));
    assert_eq!(client.close(ClaimId([2; 16])).await, Ok(Closing::Closed));
    fleet.set(0, Mode::Down);
    fleet.set(1, Mode::Down);
    assert!(client.close(ClaimId([2; 16])).await.is_err());
}

#[tokio::test]
async fn what_was_deleted_comes_back_under_a_new_claim() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let name = "a".parse().unwrap();
    assert_eq!(client.deleted(UID, &name).await, Ok(Deleted::Nothing));
    let mut first = wish("a", 1);
    first.created = floe_model::Timestamp(10);
    let written = client.write(first, body(&content(10))).await.unwrap();
    let certified = Box::new((written.claim.clone(), written.certificate));
    assert_eq!(client.deleted(UID, &name).await, Ok(Deleted::Live(certified.clone())));
    let release = client.release(&release_of(&written.claim)).await.unwrap();
    let last_release = Box::new(release);
    let gone = Deleted::Released { content: certified, last_release };
    assert_eq!(client.deleted(UID, &name).await, Ok(gone));
    let stranger = client.deleted(NamespaceUid([5; 16]), &name).await;
    assert_eq!(stranger, Ok(Deleted::Nothing), "the same name in another namespace");

    let mut again = wish("a", 2);
    again.created = floe_model::Timestamp(11);
    let back = client.undelete(again, &written.claim.body).await.unwrap();
    assert_eq!((back.blob, back.length), (written.blob, written.length));
    let claim = &back.claim.body;
    assert_eq!((claim.claim, claim.policy.clone()), (ClaimId([2; 16]), written.claim.body.policy));
    let resolved = found(client.resolve(UID, &name).await.unwrap());
    assert_eq!(resolved, Some(back.claim));
}
