//! Adopt, resume, propose or wait; and what counts as an acceptance.

mod over_http;

use floe_model::{Acceptance, EpochRecord, Lineage, RecordHash};

use super::rollout::commit;
use super::*;
use crate::tests::fixture::{accepted, config, identity, keys, name, node_key, report, signed};

type Seen = BTreeMap<NodeName, Observed>;

fn all() -> Seen {
    ["a", "b", "c", "d"].iter().map(|node| (name(node), identity(report(node)))).collect()
}

fn with(node: &str, observed: Observed) -> Seen {
    let mut seen = all();
    seen.insert(name(node), observed);
    seen
}

fn silent() -> Observed {
    Observed::Silent("refused".to_owned())
}

fn record() -> EpochRecord {
    match decide(&keys(), &config(), &all(), None) {
        Ok(Decision::Propose(record)) => *record,
        other => panic!("{other:?}"),
    }
}

fn other_record() -> SignedRecord {
    let mut record = record();
    record.policy.undelete_window_millis = 1;
    signed(record, &keys().operator)
}

#[test]
fn the_first_record_names_everyone_and_passes_the_checker() {
    let record = record();
    let names: Vec<&str> = record.members.iter().map(|member| member.node.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let shards: usize = record.members.iter().map(|member| member.shards.len()).sum();
    assert_eq!(shards, 4);
    assert_eq!(record.members[0].address, "a:7443");
    assert_eq!(floe_plan::epoch::check_genesis(&signed(record, &keys().operator)), Ok(()));
}

#[test]
fn a_record_is_never_made_beside_another() {
    let (keys, config) = (keys(), config());
    let first = signed(record(), &keys.operator);
    let adopt = Decision::Adopt(Box::new(first.clone()));
    let resume = Decision::Resume(Box::new(first.clone()));
    let foreign = signed(record(), &RegistrarKey::from_seed(&[66; 32]));
    let nobody: Seen = ["a", "b", "c", "d"].iter().map(|node| (name(node), silent())).collect();
    let mut one_of_nobody = nobody.clone();
    one_of_nobody.insert(name("c"), accepted("c", &first));
    let rows = [
        ("a node has one", with("c", accepted("c", &first)), None, &adopt),
        ("one node has one, the others are away", one_of_nobody, None, &adopt),
        ("a node and the log have one", with("c", accepted("c", &first)), Some(&first), &resume),
        ("the log has one", all(), Some(&first), &resume),
        ("the log has one, the nodes are away", nobody, Some(&first), &resume),
        (
            "the log has one, a liar shows another operator's",
            with("c", accepted("c", &foreign)),
            Some(&first),
            &resume,
        ),
    ];
    for (what, seen, logged, wanted) in rows {
        assert_eq!(decide(&keys, &config, &seen, logged).unwrap(), *wanted, "{what}");
    }
    // What nodes hold wins over the log.
    let seen = with("c", accepted("c", &first));
    let decided = decide(&keys, &config, &seen, Some(&other_record())).unwrap();
    assert_eq!(decided, adopt);
}

#[test]
fn two_beginnings_are_a_conflict() {
    let first = signed(record(), &keys().operator);
    let mut seen = with("a", accepted("a", &first));
    seen.insert(name("b"), accepted("b", &other_record()));
    let error = decide(&keys(), &config(), &seen, None).unwrap_err();
    assert!(matches!(error, GenesisError::Conflict { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&first.record.hash().to_string()), "{text}");
}

#[test]
fn all_are_waited_for_and_named() {
    let mut seen = with("b", silent());
    seen.remove(&name("d"));
    let claims = RecordHash([9; 32]);
    let mut hides = report("c");
    hides.genesis = Some(claims);
    let shown = Some(Err("timeout".to_owned()));
    seen.insert(name("c"), Observed::Identity { report: Box::new(hides), shown });
    match decide(&keys(), &config(), &seen, None).unwrap() {
        Decision::Wait(missing) => {
            let texts: Vec<String> =
                missing.iter().map(|(node, why)| format!("{node}: {why}")).collect();
            assert_eq!(
                texts,
                ["b: refused", "c: it does not show its record 0: timeout", "d: not asked"]
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn strangers_are_named() {
    let change = |change: fn(&mut floe_api::report::IdentityReport)| {
        let mut report = report("b");
        change(&mut report);
        with("b", identity(report))
    };
    let rows = [
        (change(|it| it.committee.0[0] ^= 1), "committee"),
        (change(|it| it.node = name("x")), "name"),
        (change(|it| it.incarnation = Incarnation(1)), "incarnation"),
        (change(|it| it.volume.0[0] ^= 1), "proof of possession"),
        (change(|it| it.key = node_key("z").public()), "proof of possession"),
    ];
    for (seen, wanted) in rows {
        match decide(&keys(), &config(), &seen, None) {
            Err(GenesisError::Stranger { node, what, .. }) => {
                assert_eq!((node, what), (name("b"), wanted));
            }
            other => panic!("{wanted}: {other:?}"),
        }
    }
    let foreign = signed(record(), &RegistrarKey::from_seed(&[66; 32]));
    let seen = with("b", accepted("b", &foreign));
    let refused = decide(&keys(), &config(), &seen, None);
    assert!(matches!(refused, Err(GenesisError::NotAdopted { .. })), "{refused:?}");
    let refused = decide(&keys(), &config(), &all(), Some(&foreign));
    assert!(matches!(refused, Err(GenesisError::ForeignLog { .. })), "{refused:?}");
}

#[test]
fn nodes_that_cannot_hold_the_shards_are_refused() {
    let mut config = config();
    config.nodes.truncate(3);
    let refused = decide(&keys(), &config, &all(), None);
    assert!(matches!(refused, Err(GenesisError::Placement(_))), "{refused:?}");
}

#[test]
fn acceptances_worth_a_quorum_make_the_proof() {
    let record = record();
    let accept =
        |node: &str| Ok(Acceptance::sign(&record, name(node), Incarnation(0), &node_key(node)));
    let answers = |rows: Vec<(&str, Result<Acceptance, String>)>| {
        rows.into_iter().map(|(node, answer)| (name(node), answer)).collect::<BTreeMap<_, _>>()
    };
    let gone = || Err("refused".to_owned());
    let three =
        answers(vec![("a", accept("a")), ("b", gone()), ("c", accept("c")), ("d", accept("d"))]);
    assert_eq!(
        commit(&record, &three).unwrap().verify(&record, &Lineage::of_genesis(&record)),
        Ok(())
    );

    let forged = Ok(Acceptance::sign(&record, name("d"), Incarnation(0), &node_key("z")));
    let copied = accept("a");
    let other =
        Ok(Acceptance::sign(&other_record().record, name("d"), Incarnation(0), &node_key("d")));
    for bad in [forged, copied, other, gone()] {
        let two = answers(vec![("a", accept("a")), ("b", gone()), ("c", accept("c")), ("d", bad)]);
        match commit(&record, &two) {
            Err(GenesisError::TooFew { have: 2, need: 3, refused }) => {
                assert_eq!(refused.into_keys().collect::<Vec<_>>(), [name("b"), name("d")]);
            }
            other => panic!("{other:?}"),
        }
    }
    // One bad answer does not spoil three good ones.
    let forged = Ok(Acceptance::sign(&record, name("b"), Incarnation(0), &node_key("z")));
    let mut four = three;
    four.insert(name("b"), forged);
    assert_eq!(
        commit(&record, &four).unwrap().verify(&record, &Lineage::of_genesis(&record)),
        Ok(())
    );
}
