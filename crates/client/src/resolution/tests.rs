use floe_model::geometry::Geometry;
use floe_model::keys::{NodePublicKey, NodeSignature, RegistrarKey};
use floe_model::record::{Member, NO_PARENT, Policy};
use floe_model::{
    BlobId, CommitteeId, Confirmation, ContentPolicy, EpochNumber, Incarnation, Layout,
    NamespaceUid, RecordHash, Release, ShardIndex, Signed, Signers, VolumeId,
};

use super::*;

const DAY: u64 = 24 * 3600 * 1000;
const NOW: Timestamp = Timestamp(100 * DAY);
const FRESH: Timestamp = Timestamp(99 * DAY);
const OLD: Timestamp = Timestamp(60 * DAY);
const COMMITTEE: CommitteeId = CommitteeId([1; 16]);

/// n = 4, f = 1: A to D with a shard each.
fn record() -> EpochRecord {
    let member = |number: u16| Member {
        node: format!("node-{number}").parse().unwrap(),
        incarnation: Incarnation(0),
        volume: VolumeId([2; 16]),
        address: format!("127.0.0.{number}:1"),
        zone: String::new(),
        host: String::new(),
        key: NodePublicKey([0; 48]),
        possession: NodeSignature([0; 96]),
        shards: vec![ShardIndex(number)],
    };
    EpochRecord {
        committee: COMMITTEE,
        number: EpochNumber(0),
        parent: NO_PARENT,
        forced: false,
        geometry: Geometry::of_shards(4).unwrap(),
        policy: Policy::default(),
        registrars: Vec::new(),
        members: (0..4).map(member).collect(),
        unfilled: Vec::new(),
        wholes: Vec::new(),
    }
}

fn key() -> RegistrarKey {
    RegistrarKey::from_seed(&[3; 32])
}

/// A certified claim of object `id`, created and signed at these times.
fn claim(id: u8, created: Timestamp, signed: Timestamp) -> Certified {
    let claim = Claim {
        claim: ClaimId([id; 16]),
        namespace: "ns".parse().unwrap(),
        namespace_uid: NamespaceUid([4; 16]),
        name: "name".parse().unwrap(),
        blob: BlobId([id; 32]),
        length: 7,
        policy: ContentPolicy { content_type: String::new(), sha256: [0; 32] },
        created,
        signed,
    };
    let certificate = Certificate {
        confirmation: Confirmation::of(&claim, Geometry::of_shards(4).unwrap()),
        record: RecordHash([5; 32]),
        signers: Signers::from_bytes(&[1, 0, 0, 0, 0b0111]).unwrap(),
        signature: NodeSignature([0; 96]),
    };
    (Signed::sign(claim, &COMMITTEE, RecordHash([5; 32]), &key()), certificate)
}

fn release(of: &Certified) -> SignedRelease {
    let claim = &of.0.body;
    let release = Release {
        claim: claim.claim,
        namespace_uid: claim.namespace_uid,
        name: claim.name.clone(),
        created: claim.created,
        signed: FRESH,
    };
    Signed::sign(release, &COMMITTEE, RecordHash([5; 32]), &key())
}

fn shows(claims: &[&Certified]) -> NameAnswer {
    let claims = claims.iter().map(|&claim| claim.clone()).collect();
    NameAnswer { claims, releases: Vec::new() }
}

fn released(releases: &[&Certified]) -> NameAnswer {
    NameAnswer { claims: Vec::new(), releases: releases.iter().map(|of| release(of)).collect() }
}

fn denies() -> NameAnswer {
    NameAnswer::default()
}

fn found(claim: &Certified) -> Verdict {
    Verdict::Resolved(Resolution::Found(Box::new(claim.clone())))
}

fn absent(last: Option<&Certified>) -> Verdict {
    let last_release = last.map(|of| Box::new(release(of)));
    Verdict::Resolved(Resolution::Absent { last_release })
}

/// Answers of A, B, …; `None`: silent.
fn verdict<const N: usize>(answers: [Option<NameAnswer>; N], all_asked: bool) -> Verdict {
    let answers = answers.into_iter().enumerate();
    let answers = answers.filter_map(|(member, answer)| Some((member, answer?))).collect();
    resolve(&record(), &answers, all_asked, NOW)
}

#[test]
fn a_quorum_is_needed() {
    let fresh = claim(1, FRESH, FRESH);
    let two = [Some(shows(&[&fresh])), Some(shows(&[&fresh]))];
    assert_eq!(verdict(two.clone(), false), Verdict::AskMore);
    assert_eq!(verdict(two, true), Verdict::TooFew { answered: 2, needed: 3 });
    assert_eq!(verdict([Some(denies()), Some(denies()), Some(denies())], false), absent(None));
}

#[test]
fn one_holder_of_a_fresh_certified_claim_is_enough() {
    let fresh = claim(1, FRESH, FRESH);
    let answers = [Some(denies()), Some(shows(&[&fresh])), Some(denies())];
    assert_eq!(verdict(answers, false), found(&fresh));
}

#[test]
fn the_object_created_last_is_read() {
    let (first, second) = (claim(9, Timestamp(98 * DAY), FRESH), claim(1, FRESH, FRESH));
    let answers = [Some(shows(&[&first, &second])), Some(shows(&[&first])), Some(shows(&[&first]))];
    assert_eq!(verdict(answers, false), found(&second));
}

#[test]
fn v2_a_release_is_found_by_name_without_its_claim() {
    // A still shows the claim, C never had it but stored the release, D lies: "nothing".
    let claim = claim(1, FRESH, FRESH);
    let answers = [Some(shows(&[&claim])), None, Some(released(&[&claim])), Some(denies())];
    assert_eq!(verdict(answers, false), absent(Some(&claim)));
}

#[test]
fn v6_a_release_covers_every_claim_of_the_name_created_earlier() {
    let (older, newer) = (claim(1, Timestamp(98 * DAY), FRESH), claim(2, FRESH, FRESH));
    let answers = [Some(shows(&[&older])), Some(released(&[&newer])), Some(denies())];
    assert_eq!(verdict(answers, false), absent(Some(&newer)));
    let answers = [Some(shows(&[&newer])), Some(released(&[&older])), Some(denies())];
    assert_eq!(verdict(answers, false), found(&newer), "but none created later");
}

#[test]
fn v12_a_release_after_the_acknowledgement_ends_it_one_before_it_is_seen_does_not() {
    let claim = claim(1, FRESH, FRESH);
    let holders = [Some(shows(&[&claim])), Some(shows(&[&claim])), Some(shows(&[&claim]))];
    assert_eq!(verdict(holders, false), found(&claim));
    let mut late = shows(&[&claim]);
    late.releases.push(release(&claim));
    let answers = [Some(late), Some(shows(&[&claim])), Some(shows(&[&claim]))];
    assert_eq!(verdict(answers, false), absent(Some(&claim)));
}

#[test]
fn the_release_of_the_newest_object_is_handed_out() {
    let (older, newer) = (claim(8, Timestamp(98 * DAY), FRESH), claim(2, FRESH, FRESH));
    let answers = [Some(released(&[&older])), Some(released(&[&newer, &older])), Some(denies())];
    assert_eq!(verdict(answers, false), absent(Some(&newer)));
}

#[test]
fn an_old_claim_needs_voices_worth_f_plus_one() {
    let old = claim(1, OLD, OLD);
    let shown = || Some(shows(&[&old]));
    assert_eq!(verdict([shown(), shown(), Some(denies())], false), found(&old));
    assert_eq!(verdict([shown(), Some(denies()), Some(denies())], false), Verdict::AskMore);
    let doubt = Verdict::Unresolved { claim: ClaimId([1; 16]) };
    assert_eq!(verdict([shown(), Some(denies()), Some(denies())], true), doubt);
    let denied = [shown(), Some(denies()), Some(denies()), Some(denies())];
    assert_eq!(verdict(denied, true), absent(None));
}

#[test]
fn v13_an_old_claim_in_doubt_hides_what_is_older() {
    // c0 has two voices (one lies), the newer c1 one: c0 must not be read.
    let (c0, c1) = (claim(1, Timestamp(50 * DAY), OLD), claim(2, OLD, OLD));
    let answers = [Some(shows(&[&c0, &c1])), None, Some(denies()), Some(shows(&[&c0]))];
    assert_eq!(verdict(answers.clone(), false), Verdict::AskMore);
    assert_eq!(verdict(answers, true), Verdict::Unresolved { claim: ClaimId([2; 16]) });
    let rest_denies =
        [Some(shows(&[&c0, &c1])), Some(denies()), Some(denies()), Some(shows(&[&c0]))];
    assert_eq!(verdict(rest_denies, true), found(&c0), "denied by n-f, it hides nothing");
}

#[test]
fn a_newer_fresh_claim_does_not_wait_for_an_old_one_in_doubt() {
    let (old, fresh) = (claim(1, OLD, OLD), claim(2, FRESH, FRESH));
    let answers = [Some(shows(&[&old, &fresh])), Some(denies()), Some(denies())];
    assert_eq!(verdict(answers, false), found(&fresh));
}

#[test]
fn v9_a_claim_is_as_old_as_its_signature_not_as_its_object() {
    let waited = claim(1, OLD, FRESH);
    let answers = [Some(shows(&[&waited])), Some(denies()), Some(denies())];
    assert_eq!(verdict(answers, false), found(&waited));
    let (again, first) = (claim(1, OLD, FRESH), claim(1, OLD, OLD));
    let answers = [Some(shows(&[&first])), Some(shows(&[&again])), Some(denies())];
    assert_eq!(verdict(answers, false), found(&again), "signed again under the same claim id");
}

#[test]
fn nodes_weigh_as_much_as_their_shards() {
    let mut record = record();
    record.members.truncate(3);
    record.members[0].shards = vec![ShardIndex(0), ShardIndex(3)];
    let fresh = claim(1, FRESH, FRESH);
    let answers = BTreeMap::from([(0, shows(&[&fresh])), (1, denies())]);
    assert_eq!(resolve(&record, &answers, false, NOW), found(&fresh));
    let answers = BTreeMap::from([(1, shows(&[&fresh])), (2, denies())]);
    assert_eq!(resolve(&record, &answers, false, NOW), Verdict::AskMore);
}

#[test]
fn what_was_deleted_long_ago_is_brought_back_only_if_it_is_not_forgotten() {
    let (old, new) = (claim(1, OLD, OLD), claim(2, FRESH, FRESH));
    let knows =
        |it: &Certified| NameAnswer { claims: vec![it.clone()], releases: vec![release(it)] };
    let newest = |answers: [NameAnswer; 3], now| {
        let answers = answers.into_iter().enumerate().collect();
        newest_released(&record(), &answers, now)
    };
    let later = Timestamp(NOW.0 + 30 * DAY);
    assert_eq!(newest([knows(&old), denies(), denies()], NOW), Some(old.clone()));
    assert_eq!(newest([knows(&old), denies(), denies()], later), None, "one may be a liar");
    assert_eq!(newest([knows(&old), denies(), knows(&old)], later), Some(old.clone()));
    assert_eq!(newest([knows(&old), knows(&new), knows(&old)], NOW), Some(new));
    assert_eq!(newest([shows(&[&old]), denies(), denies()], NOW), None, "it was not released");
}

#[test]
fn of_objects_of_one_second_the_last_one_is_the_one_signed_last() {
    let later = Timestamp(FRESH.0 + 5);
    let (first, second) = (claim(2, FRESH, FRESH), claim(1, FRESH, later));
    let signed = |of: &Certified, signed| {
        let body = Release { signed, ..release(of).body };
        Signed::sign(body, &COMMITTEE, RecordHash([5; 32]), &key())
    };
    let (end, last) = (signed(&first, later), signed(&second, Timestamp(later.0 + 5)));
    let claims = vec![first, second.clone()];
    let answer = NameAnswer { claims, releases: vec![end, last.clone()] };
    let expected = Resolution::Absent { last_release: Some(Box::new(last)) };
    let answers = [Some(answer.clone()), Some(denies()), Some(denies())];
    assert_eq!(verdict(answers, false), Verdict::Resolved(expected));
    let answers = BTreeMap::from([(0, answer), (1, denies()), (2, denies())]);
    assert_eq!(newest_released(&record(), &answers, NOW), Some(second));
}
