//! Tables of what is taken over without bytes, and of what becomes of old claims and releases.

use std::collections::BTreeMap;

use super::*;

const RETENTION: u64 = 30 * DAY;

#[test]
fn whose_content_may_be_taken_over() {
    let old = claim(1, 10, ago(2 * HOUR));
    let wish = claim(2, 10, NOW);
    let mut stranger = wish.clone();
    stranger.namespace_uid = NamespaceUid([8; 16]);
    let mut longer = wish.clone();
    longer.length += 1;
    let other = claim(2, 11, NOW);
    let from = old.claim;
    let ended = || Err(Refusal::ContentEnded { from });
    let foreign = Err(Refusal::ContentForeign { from, namespace: old.namespace_uid });
    let differs = |wanted| Err(Refusal::ContentOther { from, blob: old.blob, wanted });
    let source = Some(Source { claim: &old, kept: true, held: true });
    let with = |kept, held| Some(Source { claim: &old, kept, held });
    let rows = [
        (&wish, source, Ok(())),
        (&wish, None, Ok(())),
        (&wish, with(false, true), ended()),
        (&wish, with(true, false), ended()),
        (&wish, with(false, false), ended()),
        (&stranger, source, foreign.clone()),
        (&stranger, with(false, false), foreign),
        (&other, source, differs(other.blob)),
        (&longer, source, differs(longer.blob)),
    ];
    for (claim, source, wanted) in rows {
        assert_eq!(adopt(&AdoptFacts { claim, from, source }), wanted, "{claim:?} {source:?}");
    }
}

#[test]
fn which_live_claims_are_believed() {
    use LiveClaim::{Doubtful, Ended, Vouched, Young};
    let (record, me) = (four(), node("a"));
    let old = ago(RETENTION + 1);
    // Who says that it is live, who says that it is not.
    let rows: [(Timestamp, &[&str], &[&str], LiveClaim); 9] = [
        (ago(RETENTION), &[], &["b", "c", "d"], Young),
        (old, &["b", "c"], &[], Vouched),
        (old, &["b", "c"], &["d"], Vouched),
        (old, &["a", "b"], &[], Doubtful),
        (old, &["b", "nobody"], &[], Doubtful),
        (old, &[], &["b", "c"], Doubtful),
        (old, &["b"], &["c", "d"], Doubtful),
        (old, &[], &["a", "b", "c"], Doubtful),
        (old, &[], &["b", "c", "d"], Ended),
    ];
    for (signed, live, ended, wanted) in rows {
        let words = live.iter().map(|name| (node(name), true));
        let said: BTreeMap<NodeName, bool> =
            words.chain(ended.iter().map(|name| (node(name), false))).collect();
        let facts = LiveClaimFacts { now: NOW, accepted: &record, me: &me, signed, said: &said };
        assert_eq!(live_claim(&facts), wanted, "{facts:?}");
    }
}

/// What is forgotten of one name, by the first bytes of claim ids.
fn forgotten(claims: &[(floe_model::Claim, bool)], releases: &[Release]) -> (Vec<u8>, Vec<u8>) {
    let claims: Vec<ReleasedClaim<'_>> = claims
        .iter()
        .map(|(claim, collected)| ReleasedClaim { claim, collected: *collected })
        .collect();
    let releases: Vec<&Release> = releases.iter().collect();
    let facts =
        NameFacts { now: NOW, retention_millis: RETENTION, claims: &claims, releases: &releases };
    let Forget { claims, releases } = forget(&facts);
    let first = |ids: BTreeSet<ClaimId>| ids.into_iter().map(|id| id.0[0]).collect();
    (first(claims), first(releases))
}

#[test]
fn what_is_forgotten_and_when() {
    let of = |id, age: u64| claim(id, 10, ago(age));
    let ended =
        |id, created_ago, signed_ago| release_of(&claim(id, 10, ago(created_ago)), ago(signed_ago));
    let (old, young) = (RETENTION + 1, RETENTION);
    let both = (vec![1], vec![1]);
    let neither = (vec![], vec![]);
    // All over: both leave together.
    assert_eq!(forgotten(&[(of(1, old + 1), true)], &[ended(1, old + 1, old)]), both);
    // The window of this node goes on: both stay, however old.
    assert_eq!(forgotten(&[(of(1, 9 * old), false)], &[ended(1, 9 * old, 8 * old)]), neither);
    // Somebody may still send the release, or the claim: it was signed after its release.
    assert_eq!(forgotten(&[(of(1, old), true)], &[ended(1, old, young)]), neither);
    let mut late = of(1, old + 1);
    late.signed = ago(young);
    assert_eq!(forgotten(&[(late, true)], &[ended(1, old + 1, old)]), neither);
    // A release without its claim.
    assert_eq!(forgotten(&[], &[ended(1, old, old)]), (vec![], vec![1]));
    assert_eq!(forgotten(&[], &[ended(1, old, young)]), neither);
    // A name that is written and deleted again and again: the oldest leave, whatever came later.
    let claims = [(of(1, 3 * old), true), (of(2, 2 * old), true), (of(3, DAY), false)];
    let releases = [ended(1, 3 * old, 2 * old + 1), ended(2, 2 * old, old), ended(3, DAY, HOUR)];
    assert_eq!(forgotten(&claims, &releases), (vec![1, 2], vec![1, 2]));
    // The only release that covers a claim which stays is kept with it.
    let claims = [(of(1, 3 * old), false), (of(2, 2 * old), true)];
    assert_eq!(forgotten(&claims, &releases[1..2]), (vec![2], vec![]));
}

proptest! {
    #[test]
    fn no_claim_is_left_without_a_release(
        claims in prop::collection::vec((1_u8..6, 0_u64..70, any::<bool>()), 0..6),
        releases in prop::collection::vec((1_u8..6, 0_u64..70, 0_u64..70), 0..6),
    ) {
        let claims: BTreeMap<u8, (floe_model::Claim, bool)> = claims
            .into_iter()
            .map(|(id, days, collected)| (id, (claim(id, 10, ago(days * DAY)), collected)))
            .collect();
        let releases: BTreeMap<u8, Release> = releases
            .into_iter()
            .map(|(id, created, signed)| {
                (id, release_of(&claim(id, 10, ago(created * DAY)), ago(signed * DAY)))
            })
            .collect();
        let covered = |claim: &floe_model::Claim, of: &[Release]| {
            of.iter().any(|release| release.covers(claim))
        };
        let all: Vec<Release> = releases.values().cloned().collect();
        let known: Vec<_> = claims.values().filter(|(it, _)| covered(it, &all)).cloned().collect();
        let (gone_claims, gone_releases) = forgotten(&known, &all);
        let left: Vec<Release> =
            all.iter().filter(|it| !gone_releases.contains(&it.claim.0[0])).cloned().collect();
        for (claim, collected) in known {
            let is_gone = gone_claims.contains(&claim.claim.0[0]);
            prop_assert!(is_gone || covered(&claim, &left), "{:?}", claim);
            prop_assert!(!is_gone || collected);
        }
    }
}
