//! Records and proofs that are not in order, over the wire: each is refused with the invariant's name,
//! and the node goes on serving.

use std::sync::OnceLock;
use std::time::Duration;

use floe_api::messages::{Chain, ChainLink, Encode};
use floe_api::transport::Transport;
use floe_api::{ErrorCode, Target, TransportLimits};
use floe_model::keys::RegistrarKey;
use floe_model::{
    CommitProof, EpochNumber, EpochRecord, Incarnation, Member, RecordHash, ShardIndex,
    SignedRecord, Whole,
};
use floe_tests::sim_committee::{ByHand, Chronicle, World};

use crate::{marked, play, refusal, report, targets, until, written};

/// The member that node-0 was in record 0.
static OLD: OnceLock<Member> = OnceLock::new();

/// What is done to a record in order, what it is refused with, and a few words of the reason.
type Case = (&'static str, fn(&mut EpochRecord), ErrorCode, &'static str);

/// All follow a record with number 2 in which node-0 has volume 1, which is whole, and node-1 has
/// volume 1, which is not. What is unfilled stays as it was, unless the case says otherwise.
const CASES: [Case; 18] = [
    ("the parent's number", |it| it.number.0 = 2, ErrorCode::Malformed, "it must be above it"),
    ("a lower number", |it| it.number.0 = 1, ErrorCode::Malformed, "it must be above it"),
    ("the last number", |it| it.number.0 = u64::MAX, ErrorCode::Malformed, "by at most 1024"),
    ("one too far above", |it| it.number.0 = 2 + 1025, ErrorCode::Malformed, "by at most 1024"),
    (
        "an unknown parent",
        |it| it.parent = RecordHash([7; 32]),
        ErrorCode::NeedEpoch,
        "which is not known here",
    ),
    (
        "another committee",
        |it| it.committee.0[0] ^= 1,
        ErrorCode::NotServing,
        "this volume belongs to",
    ),
    (
        "a falling incarnation",
        |it| it.members[0] = OLD.get().unwrap().clone(),
        ErrorCode::Malformed,
        "they never fall",
    ),
    (
        "a volume under another incarnation",
        |it| it.members[0].incarnation = Incarnation(2),
        ErrorCode::StatementInvalid,
        "no valid proof of possession",
    ),
    (
        "an unfilled shard left out",
        |it| it.unfilled.clear(),
        ErrorCode::Malformed,
        "from the parent and the wholes follow",
    ),
    (
        "a filled shard called unfilled",
        |it| it.unfilled = vec![ShardIndex(0), ShardIndex(1)],
        ErrorCode::Malformed,
        "from the parent and the wholes follow",
    ),
    (
        "too many unfilled",
        |it| {
            let one = std::mem::take(&mut it.members[2].shards);
            it.members[2].shards = std::mem::replace(&mut it.members[3].shards, one);
            it.unfilled = vec![ShardIndex(1), ShardIndex(2), ShardIndex(3)];
        },
        ErrorCode::Malformed,
        "3 shards would be unfilled, at most 1 may be",
    ),
    (
        "more than f shards on a host",
        |it| it.members[..2].iter_mut().for_each(|member| "h".clone_into(&mut member.host)),
        ErrorCode::Malformed,
        "host h has 2 shards, at most 1",
    ),
    (
        "more than f shards on a node",
        |it| {
            let more = std::mem::take(&mut it.members[3].shards);
            it.members[2].shards.extend(more);
        },
        ErrorCode::Malformed,
        "owns 2 shards, at most 1",
    ),
    (
        "a shard without an owner",
        |it| it.members[3].shards.clear(),
        ErrorCode::Malformed,
        "has no owner",
    ),
    (
        "members that do not rise",
        |it| it.members.swap(2, 3),
        ErrorCode::Malformed,
        "members must rise by name",
    ),
    (
        "no operator",
        |it| it.registrars.retain(|it| it.role != floe_model::record::RegistrarRole::Operator),
        ErrorCode::Malformed,
        "names no operator key",
    ),
    (
        "a whole of an older incarnation",
        |it| {
            it.wholes[0].incarnation = Incarnation(0);
            it.unfilled.clear();
        },
        ErrorCode::Malformed,
        "the whole of shard 1 is of node-1-0, which does not own it",
    ),
    (
        "a whole that its owner did not sign",
        |it| {
            it.wholes[0].signature.0[5] ^= 1;
            it.unfilled.clear();
        },
        ErrorCode::StatementInvalid,
        "the whole of shard 1",
    ),
];

fn link(record: SignedRecord) -> Chain {
    Chain { links: vec![ChainLink { record, proof: None }] }
}

/// Records 1 and 2 of which [`CASES`] tells, committed; the hash of record 2, and the word of the
/// owner of shard 1 under it.
async fn two_replaced(world: &World, hand: &ByHand, chain: &mut Chronicle) -> (RecordHash, Whole) {
    let mut tip = chain.genesis();
    let mut wholes = Vec::new();
    for at in [0, 1] {
        let node = hand.node(at);
        world.set_incarnation(&node, Incarnation(1));
        world.restart(node.as_str()).await;
        let target = hand.target(at);
        let mut next = chain.next(tip, |record| record.wholes = wholes);
        chain.renew(&mut next, &target).await;
        next.unfilled.clone_from(&next.members[at].shards);
        let record = chain.issue(next);
        chain.commit(&targets(hand, &[0, 1, 2, 3]), record).await;
        until(hand, &target, |report| report.wholes.len() == 1).await;
        let word = report(hand, &target).await.wholes[0].clone();
        wholes = vec![Whole {
            shard: word.shard,
            node,
            incarnation: Incarnation(1),
            record: word.record,
            signature: word.signature,
        }];
        tip = record;
    }
    (tip, wholes.remove(0))
}

#[test]
fn every_invariant_is_refused_by_its_name_and_the_node_goes_on() {
    play(|world, hand, mut chain| async move {
        OLD.set(world.record().members[0].clone()).unwrap();
        let (tip, whole) = two_replaced(&world, &hand, &mut chain).await;
        let target = hand.target(2);
        let before = report(&hand, &target).await.epoch;
        for (name, alter, code, words) in CASES {
            let mut bad = chain.next(tip, |_| ());
            if name.starts_with("a whole") {
                bad.wholes = vec![whole.clone()];
            }
            alter(&mut bad);
            let (found, text) = refusal(chain.offer(&target, &link(chain.sign(bad))).await);
            assert_eq!(found, code, "{name}: {text}");
            assert!(text.contains(words), "{name}: {text}");
            assert_eq!(report(&hand, &target).await.epoch, before, "{name}");
        }
        // One that leaves what was accepted, though its number is above: without a proof on its way.
        let sibling = chain.issue(chain.next(chain.record(tip).parent, |it| it.number.0 = 9));
        let (code, text) = refusal(chain.push(&target, sibling).await);
        assert_eq!(
            (code, text.contains("does not follow it")),
            (ErrorCode::NeedEpoch, true),
            "{text}"
        );
        // Signed by nobody, or by somebody else.
        let good = chain.next(tip, marked(1));
        let mut unsigned = chain.sign(good.clone());
        unsigned.signature.0 = [0; 64];
        let stranger = RegistrarKey::from_seed(&[3; 32]);
        let signature = stranger.sign(&SignedRecord::statement(&good));
        let foreign = SignedRecord { record: good.clone(), key: stranger.public(), signature };
        for (record, words) in [(unsigned, "signature"), (foreign, "not signed by an operator's")] {
            let (code, text) = refusal(chain.offer(&target, &link(record)).await);
            assert_eq!(code, ErrorCode::StatementInvalid);
            assert!(text.contains(words), "{text}");
        }
        proofs_refused(&hand, &mut chain, tip).await;
        // It goes on: a good one is accepted, and written under.
        let next = chain.issue(good);
        chain.commit(&targets(&hand, &[0, 1, 2, 3]), next).await;
        written(&hand.under(chain.record(next)), &[0, 1, 2, 3], 2).await;
    });
}

/// Proofs that prove nothing, with a record that is in order.
async fn proofs_refused(hand: &ByHand, chain: &mut Chronicle, tip: RecordHash) {
    let target = hand.target(2);
    let record = chain.next(tip, marked(77));
    let hash = record.hash();
    let real = chain.tree().proof(&tip).unwrap().as_ref().clone();
    let few = CommitProof { record: hash, signers: real.signers[..2].to_vec(), ..real.clone() };
    let mut strange = CommitProof { record: hash, ..real.clone() };
    strange.signers[0].incarnation = Incarnation(9);
    let copied = CommitProof { record: hash, ..real.clone() };
    let cases = [
        (few, "acceptances worth 2 shards"),
        (strange, "no ancestor of the record names it"),
        (copied, "the aggregate signature does not match"),
        (real, "a proof of commitment names"),
    ];
    for (proof, words) in cases {
        let links = vec![ChainLink { record: chain.sign(record.clone()), proof: Some(proof) }];
        let (code, text) = refusal(chain.offer(&target, &Chain { links }).await);
        assert_eq!(code, ErrorCode::CertificateInvalid, "{text}");
        assert!(text.contains(words), "{text}");
    }
}

/// Sends bytes where a chain should be; the status and the body of the answer.
async fn put_epoch(world: &World, hand: &ByHand, target: &Target, body: Vec<u8>) -> (u16, String) {
    let identity = world.identity("script");
    let transport = Transport::new(hand.env(), identity, TransportLimits::default()).unwrap();
    let request = http::Request::put("/v1/epoch")
        .header(http::header::CONTENT_TYPE, Chain::MEDIA_TYPE)
        .body(bytes::Bytes::from(body))
        .unwrap();
    let answer = transport.call(target, request, 1 << 20, Duration::from_secs(10)).await.unwrap();
    (answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned())
}

#[test]
fn formats_of_tomorrow_are_refused_with_both_numbers() {
    use floe_model::Layout as _;
    use floe_model::frame::{Frame, write_frame};
    play(|world, hand, chain| async move {
        let target = hand.target(0);
        let good = link(chain.sign(chain.next(chain.genesis(), marked(1)))).encode();
        // The record's own version stands first in its frame.
        let (frame, _) = Frame::read(&good, good.len()).unwrap();
        let mut payload = frame.payload.clone();
        payload[0] = 9;
        let mut record = Vec::new();
        write_frame(&mut record, frame.kind, &frame.head, &payload);
        let mut framing = good.to_vec();
        framing[4] = 9;
        let mut cut = good.to_vec();
        cut.truncate(good.len() / 2);
        let words: [(Vec<u8>, &[&str]); 3] = [
            (record, &["epoch record", "version 9", "1"]),
            (framing, &["version 9", "knows 1"]),
            (cut, &["ends after"]),
        ];
        for (body, words) in words {
            let (status, text) = put_epoch(&world, &hand, &target, body).await;
            assert_eq!(status, 400, "{text}");
            assert!(text.contains("malformed"), "{text}");
            for word in words {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
        let (status, text) = put_epoch(&world, &hand, &target, Vec::new()).await;
        assert_eq!((status, text.contains("no epoch record")), (400, true), "{text}");
        assert_eq!(report(&hand, &target).await.epoch.unwrap().number, EpochNumber(0));
        assert_eq!(put_epoch(&world, &hand, &target, good.to_vec()).await.0, 200);
        // It is a whole one that was pushed last.
        let bytes = chain.sign(chain.next(chain.genesis(), marked(1))).to_bytes();
        assert_eq!(&bytes[..2], [1, 0]);
    });
}
