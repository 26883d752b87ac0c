use floe_model::Acceptance;

use super::*;
use crate::tests::fixture::Cast;

fn chain(links: &[&ChainLink]) -> Chain {
    Chain { links: links.iter().map(|&link| link.clone()).collect() }
}

fn unproved(link: &ChainLink) -> ChainLink {
    ChainLink { record: link.record.clone(), proof: None }
}

fn hint(record: &EpochRecord) -> EpochHint {
    EpochHint { number: record.number, hash: record.hash() }
}

fn four() -> (Cast, ChainLink, Committee) {
    let cast = Cast::new(4, &[1, 1, 1, 1]);
    let genesis = cast.genesis();
    let committee = Committee::from_chain(chain(&[&genesis])).unwrap();
    (cast, genesis, committee)
}

#[test]
fn a_chain_needs_a_signature_and_a_proof() {
    let (cast, genesis, committee) = four();
    assert_eq!(committee.newest().hash(), genesis.record.record.hash());
    assert!(committee.record(&genesis.record.record.hash()).is_some());

    let uncommitted = Committee::from_chain(chain(&[&unproved(&genesis)]));
    assert_eq!(uncommitted.unwrap_err(), ChainError::Uncommitted);
    assert_eq!(Committee::from_chain(Chain::default()).unwrap_err(), ChainError::Empty);
    let mut forged = genesis.clone();
    forged.record.key = cast.gateway.public();
    let forged = Committee::from_chain(chain(&[&forged])).unwrap_err();
    assert!(matches!(forged, ChainError::Broken(epochs::ChainError::Signer { .. })), "{forged}");
    let mut altered = genesis;
    altered.record.record.forced = true;
    let altered = Committee::from_chain(chain(&[&altered])).unwrap_err();
    assert!(
        matches!(altered, ChainError::Broken(epochs::ChainError::Signature { .. })),
        "{altered}"
    );
}

#[test]
fn a_committed_child_comes_into_force_and_its_numbers_may_skip() {
    let (cast, genesis, committee) = four();
    let first = Cast::replacing(&cast.record, 1, 3);
    let second = Cast::replacing(&first, 1, 1);
    let (one, two) = (cast.link(Some(&cast.record), &first), cast.link(Some(&first), &second));

    assert_eq!(committee.extend(chain(&[&genesis, &unproved(&one)])), Ok(false));
    assert_eq!(committee.newest().number, EpochNumber(0), "not without its proof");
    assert_eq!(committee.extend(chain(&[&one])), Ok(true));
    assert_eq!(committee.newest().number, EpochNumber(3));
    assert_eq!(committee.extend(chain(&[&one])), Ok(false));
    assert_eq!(committee.extend(chain(&[&two])), Ok(true));
    assert_eq!(committee.chain(), chain(&[&genesis, &one, &two]));
    let all = Committee::from_chain(chain(&[&genesis, &one, &two])).unwrap();
    assert_eq!(all.newest().number, EpochNumber(4));

    let from = |held| committee.chain_from(EpochNumber(held));
    assert_eq!(from(0), chain(&[&genesis, &one, &two]));
    assert_eq!(from(3), chain(&[&one, &two]));
    assert_eq!(from(9), chain(&[&two]));
    assert_eq!(from(2), chain(&[&genesis, &one, &two]), "number 2 is of another branch");
}

#[test]
fn a_proof_is_counted_over_the_parent_not_over_the_child() {
    // V2: the child's own members would say yes, those of its parent did not.
    let (cast, _, committee) = four();
    let child = Cast::replacing(&cast.record, 1, 1);
    let [few, enough] =
        [&[0, 2][..], &[0, 2, 3]].map(|it| Cast::commit(Some(&cast.record), &child, it));
    assert_eq!(few, None);
    let newcomer = crate::tests::fixture::node_key(1, child.members[1].incarnation);
    let own = Acceptance::sign(
        &child,
        child.members[1].node.clone(),
        child.members[1].incarnation,
        &newcomer,
    );
    let forged = floe_model::CommitProof {
        signers: vec![floe_model::Acceptor {
            node: own.node.clone(),
            incarnation: own.incarnation,
        }],
        signature: own.signature,
        record: child.hash(),
    };
    let link = |proof| ChainLink { record: cast.sign(child.clone()), proof };
    let refused = committee.extend(chain(&[&link(Some(forged))])).unwrap_err();
    assert!(matches!(refused, ChainError::Broken(epochs::ChainError::Proof { .. })), "{refused}");
    assert_eq!(committee.newest().number, EpochNumber(0));
    assert_eq!(committee.extend(chain(&[&link(enough)])), Ok(true));
}

#[test]
fn a_fork_is_refused_and_told() {
    let (cast, genesis, committee) = four();
    let [one, other] = [1, 2].map(|node| Cast::replacing(&cast.record, node, 1));
    let [one, other] = [one, other].map(|record| cast.link(Some(&cast.record), &record));
    assert_eq!(committee.extend(chain(&[&genesis, &unproved(&other), &one])), Ok(true));
    let refused = committee.extend(chain(&[&genesis, &other])).unwrap_err();
    assert!(matches!(refused, ChainError::Forked { .. }), "{refused}");
    assert!(refused.to_string().contains("forked"), "{refused}");
    assert_eq!(committee.newest().hash(), one.record.record.hash());
    let from_both = Committee::from_chain(chain(&[&genesis, &one, &other])).unwrap_err();
    assert!(matches!(from_both, ChainError::Forked { .. }), "{from_both}");
    let stranger = Cast::new(7, &[2, 2, 2, 1]).genesis();
    let refused = committee.extend(chain(&[&stranger])).unwrap_err();
    assert!(matches!(refused, ChainError::Broken(epochs::ChainError::OtherGenesis { .. })));
}

#[test]
fn what_a_node_names_is_counted_over_and_commits_in_its_time() {
    let (cast, genesis, committee) = four();
    let child = Cast::replacing(&cast.record, 1, 1);
    let dead = Cast::replacing(&cast.record, 2, 1);
    let link = cast.link(Some(&cast.record), &child);
    assert!(committee.heard(&hint(&child)), "an unknown record is asked for");
    assert!(!committee.heard(&hint(&cast.record)));
    committee
        .extend(chain(&[&genesis, &unproved(&link), &unproved(&cast.link(None, &dead))]))
        .unwrap();
    assert_eq!(committee.named().number, EpochNumber(0), "nobody named it since it is known");
    assert!(committee.heard(&hint(&child)), "its proof is wanted");
    assert_eq!(
        (committee.newest().number, committee.named().hash()),
        (EpochNumber(0), child.hash())
    );
    let named = committee.named();
    committee.extend(chain(&[&link])).unwrap();
    assert_eq!(committee.newest().hash(), child.hash());
    assert!(Arc::ptr_eq(&named, &committee.named()), "who counts over it need not begin anew");
    assert!(!committee.heard(&hint(&dead)));
}

#[test]
fn an_unfilled_shard_is_looked_for_where_it_was() {
    let (cast, genesis, committee) = four();
    let moved = Cast::moving(&cast.record, ShardIndex(3), 0);
    committee.extend(chain(&[&genesis, &cast.link(Some(&cast.record), &moved)])).unwrap();
    let nodes = |shard| {
        let holders = committee.holders(&committee.newest(), ShardIndex(shard));
        holders.iter().map(|member| member.node.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(nodes(3), ["node-3", "node-0"]);
    assert_eq!(nodes(0), ["node-0"]);
}
