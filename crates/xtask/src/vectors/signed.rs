//! Every signed or hashed layout, of the committee and statements in the fixture of `floe-model`'s
//! tests: by the model, and put together by hand as the model's front page has them.

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floe_model::keys::RegistrarKey;
use floe_model::record::possession_statement;
use floe_model::{
    Acceptance, CatalogEntry, CommitProof, Confirmation, EpochRecord, Incarnation, Layout, Lineage,
    ShardIndex, Signed, SignedRecord, StatementKind, Whole, hash, statement,
};
use serde_json::{Map, Value, json};

use self::fixture::{
    COMMITTEE, certificate, child, claim, gateway, node_key, operator, permit, record, release,
    signed_record, sum, ticket, whole,
};

#[path = "../../../model/tests/model/fixture.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests of the model: fixed values that parse"
)]
mod fixture;

const DAY_MILLIS: u64 = 24 * 3600 * 1000;
/// Members that accept the record.
const ACCEPTING: [usize; 3] = [0, 1, 2];
/// Members whose confirmations make the certificate.
const CONFIRMING: [usize; 3] = [0, 1, 3];

/// The case of this name, by the model.
pub(super) fn by_the_model(case: &Map<String, Value>) -> anyhow::Result<Value> {
    let name = case.get("name").and_then(Value::as_str).context("name is no text")?;
    let vectors = vectors_of_the_model()?;
    let found = vectors.iter().find(|(known, _)| *known == name);
    let (name, bytes) = found.with_context(|| format!("no layout is called {name:?}"))?;
    Ok(vector(name, bytes))
}

/// All cases, by hand. Signatures are the model's, over bytes put together here.
pub(super) fn plainly() -> Vec<Value> {
    vectors_by_hand().iter().map(|(name, bytes)| vector(name, bytes)).collect()
}

fn vector(name: &str, bytes: &[u8]) -> Value {
    json!({ "kind": "signed", "name": name, "hex": hex::encode(bytes) })
}

type Named = (&'static str, Vec<u8>);

fn acceptances(record: &EpochRecord) -> Vec<Acceptance> {
    let sign = |at| {
        let member = record.members.get(at)?;
        let key = node_key(at);
        Some(Acceptance::sign(record, member.node.clone(), member.incarnation, &key))
    };
    ACCEPTING.into_iter().filter_map(sign).collect()
}

fn vectors_of_the_model() -> anyhow::Result<Vec<Named>> {
    let record = record();
    let hash = record.hash();
    let member = &record.members[1];
    let possession = possession_statement(
        &COMMITTEE,
        &member.node,
        member.incarnation,
        &member.volume,
        &member.key,
    );
    let signed_permit = Signed::sign(permit(), &COMMITTEE, hash, &gateway());
    let signed_claim = Signed::sign(claim(), &COMMITTEE, hash, &gateway());
    let signed_release = Signed::sign(release(), &COMMITTEE, hash, &operator());
    let signed_ticket = Signed::sign(ticket(), &COMMITTEE, hash, &operator());
    let certificate = certificate(&record, &claim(), &CONFIRMING);
    let confirmation = Confirmation::of(&claim(), record.geometry);
    let of = |kind, body: Vec<u8>| statement(kind, &COMMITTEE, &hash, &body);
    let certified = CatalogEntry::Claim(Box::new(signed_claim.clone()), certificate.clone().into());
    let (claim_id, blob) = (claim().claim, claim().blob);
    let acceptances = acceptances(&record);
    let proof = CommitProof::gather(&record, &Lineage::of_genesis(&record), &acceptances)?;
    let whole_statement = Whole::statement(&record, ShardIndex(1), Incarnation(1));
    Ok(vec![
        ("record", record.to_bytes()),
        ("record hash", hash.0.to_vec()),
        ("record statement", SignedRecord::statement(&record)),
        ("signed record", signed_record().to_bytes()),
        ("possession statement", possession.clone()),
        ("possession", node_key(1).prove_possession(&possession).0.to_vec()),
        ("accept statement", Acceptance::statement(&record)),
        ("acceptance", acceptances[0].to_bytes()),
        ("commit proof", proof.to_bytes()),
        ("whole statement", whole_statement),
        ("whole", whole().to_bytes()),
        ("child record", child().to_bytes()),
        ("permit statement", of(StatementKind::Permit, permit().to_bytes())),
        ("signed permit", signed_permit.to_bytes()),
        ("claim statement", of(StatementKind::Claim, claim().to_bytes())),
        ("signed claim", signed_claim.to_bytes()),
        ("release statement", of(StatementKind::Release, release().to_bytes())),
        ("signed release", signed_release.to_bytes()),
        ("ticket statement", of(StatementKind::Ticket, ticket().to_bytes())),
        ("signed ticket", signed_ticket.to_bytes()),
        ("bearer of a ticket", signed_ticket.to_string().into_bytes()),
        ("confirm statement", confirmation.statement(&COMMITTEE, &hash)),
        ("certificate", certificate.to_bytes()),
        ("catalog claim", certified.to_bytes()),
        ("catalog release", CatalogEntry::Release(signed_release.into()).to_bytes()),
        ("catalog binding", CatalogEntry::Binding { claim: claim_id, blob }.to_bytes()),
        ("catalog closed", CatalogEntry::Closed { claim: claim_id }.to_bytes()),
        ("catalog closing void", CatalogEntry::ClosingVoid { claim: claim_id }.to_bytes()),
    ])
}

fn vectors_by_hand() -> Vec<Named> {
    let record = record_by_hand();
    let record_hash = hash(&[b"floe/v1/record", &record]).0.to_vec();
    let head = |kind: &str| [domain(kind), record_hash.clone()].concat();
    let named = |key: &RegistrarKey, statement: &[u8]| {
        [key.public().0.to_vec(), key.sign(statement).0.to_vec()].concat()
    };
    let signed = |kind: &str, body: &[u8], key: &RegistrarKey| {
        let statement = [&head(kind), body].concat();
        let signed = [body, &record_hash, &named(key, &statement)].concat();
        (statement, signed)
    };
    let record_statement = head("record");
    let signed_record = [record.clone(), named(&operator(), &record_statement)].concat();
    let possession = possession_by_hand(1);
    let accept = [head("accept"), u64s(0)].concat();
    let accepted = node_key(0).sign(&accept);
    let acceptance = [&record_hash[..], &text("node-0"), &[0; 4], &accepted.0].concat();
    let acceptors = (0..3_u8).flat_map(|at| [text(&format!("node-{at}")), vec![at, 0, 0, 0]]);
    let acceptors = acceptors.collect::<Vec<_>>().concat();
    let committed = sum(&ACCEPTING, &accept);
    let commit_proof = [&record_hash[..], &count(3), &acceptors, &committed.0].concat();
    let whole_statement = [head("whole"), vec![1, 0], count(1)].concat();
    let word = node_key(1).sign(&whole_statement);
    let whole = [&[1, 0], &text("node-1")[..], &count(1), &record_hash, &word.0].concat();
    let child = child_by_hand(&record_hash, &whole);
    let (permit_statement, signed_permit) = signed("permit", &permit_by_hand(), &gateway());
    let (claim_statement, signed_claim) = signed("claim", &claim_by_hand(), &gateway());
    let (release_statement, signed_release) = signed("release", &release_by_hand(), &operator());
    let (ticket_statement, signed_ticket) = signed("ticket", &ticket_by_hand(), &operator());
    let bearer = format!("floe-ticket-v1.{}", URL_SAFE_NO_PAD.encode(&signed_ticket)).into_bytes();
    let confirmation = [vec![0x44; 32], vec![4, 0, 1, 0], u64s(1_234_567), vec![0x22; 16]].concat();
    let confirm = [head("confirm"), confirmation.clone()].concat();
    let confirmed = sum(&CONFIRMING, &confirm);
    let certificate =
        [&confirmation[..], &record_hash, &[1, 0, 0, 0, 0b1011], &confirmed.0].concat();
    let certified = [&[1], &signed_claim[..], &certificate].concat();
    let released = [&[2], &signed_release[..]].concat();
    vec![
        ("record", record),
        ("record hash", record_hash.clone()),
        ("record statement", record_statement),
        ("signed record", signed_record),
        ("possession statement", possession.clone()),
        ("possession", node_key(1).prove_possession(&possession).0.to_vec()),
        ("accept statement", accept),
        ("acceptance", acceptance),
        ("commit proof", commit_proof),
        ("whole statement", whole_statement),
        ("whole", whole),
        ("child record", child),
        ("permit statement", permit_statement),
        ("signed permit", signed_permit),
        ("claim statement", claim_statement),
        ("signed claim", signed_claim),
        ("release statement", release_statement),
        ("signed release", signed_release),
        ("ticket statement", ticket_statement),
        ("signed ticket", signed_ticket),
        ("bearer of a ticket", bearer),
        ("confirm statement", confirm),
        ("certificate", certificate),
        ("catalog claim", certified),
        ("catalog release", released),
        ("catalog binding", [vec![3], vec![0x22; 16], vec![0x44; 32]].concat()),
        ("catalog closed", [vec![4], vec![0x22; 16]].concat()),
        ("catalog closing void", [vec![5], vec![0x22; 16]].concat()),
    ]
}

fn domain(kind: &str) -> Vec<u8> {
    [format!("floe/v1/{kind}").as_bytes(), &[0xc0; 16]].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&count(u32::try_from(text.len()).unwrap_or(u32::MAX)), text.as_bytes()].concat()
}

fn count(count: u32) -> Vec<u8> {
    count.to_le_bytes().to_vec()
}

fn u64s(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// Version and committee; number, parent and whether it is forced, as given; geometry, policy,
/// registrars and members; what the record ends on.
fn record_with(chained: &[u8], end: &[u8]) -> Vec<u8> {
    let fixed = [
        vec![4, 0, 1, 0],
        u64s(7 * DAY_MILLIS),
        u64s(30 * DAY_MILLIS),
        count(2),
        vec![1],
        operator().public().0.to_vec(),
        vec![2],
        gateway().public().0.to_vec(),
        count(4),
    ]
    .concat();
    let members = (0..4).flat_map(member_by_hand).collect::<Vec<u8>>();
    [&[1, 0], &[0xc0; 16][..], chained, &fixed, &members, end].concat()
}

fn record_by_hand() -> Vec<u8> {
    record_with(&[vec![0; 8], vec![0; 32], vec![0]].concat(), &[count(0), count(0)].concat())
}

fn child_by_hand(parent: &[u8], whole: &[u8]) -> Vec<u8> {
    let chained = [&u64s(7), parent, &[1]].concat();
    record_with(&chained, &[&count(1)[..], &[2, 0], &count(1), whole].concat())
}

fn member_by_hand(at: u8) -> Vec<u8> {
    let key = node_key(usize::from(at));
    let possession = key.prove_possession(&possession_by_hand(at));
    [
        text(&format!("node-{at}")),
        count(u32::from(at)),
        vec![0x40 + at; 16],
        text(&format!("127.0.0.{at}:7443")),
        text(if at == 0 { "zone-a" } else { "" }),
        text(if at == 1 { "host-1" } else { "" }),
        key.public().0.to_vec(),
        possession.0.to_vec(),
        count(1),
        vec![at, 0],
    ]
    .concat()
}

fn possession_by_hand(member: u8) -> Vec<u8> {
    [
        domain("possession"),
        vec![0; 32],
        text(&format!("node-{member}")),
        count(u32::from(member)),
        vec![0x40 + member; 16],
        node_key(usize::from(member)).public().0.to_vec(),
    ]
    .concat()
}

fn permit_by_hand() -> Vec<u8> {
    let ids = [vec![0x11; 16], vec![0x22; 16], vec![0x33; 16]].concat();
    [ids, text("weights.v2"), u64s(1_700_000_000_000)].concat()
}

fn claim_by_hand() -> Vec<u8> {
    [
        vec![0x22; 16],
        text("models"),
        vec![0x33; 16],
        text("weights.v2"),
        vec![0x44; 32],
        u64s(1_234_567),
        text("application/octet-stream"),
        vec![0x55; 32],
        u64s(1_699_999_999_000),
        u64s(1_700_000_000_001),
    ]
    .concat()
}

fn release_by_hand() -> Vec<u8> {
    let ids = [vec![0x22; 16], vec![0x33; 16]].concat();
    let times = [u64s(1_699_999_999_000), u64s(1_700_000_100_000)].concat();
    [ids, text("weights.v2"), times].concat()
}

fn ticket_by_hand() -> Vec<u8> {
    [
        vec![0x22; 16],
        text("models"),
        vec![0x33; 16],
        text("weights.v2"),
        text("text/plain"),
        count(1),
        vec![0x55; 32],
        u64s(1 << 20),
        u64s(1_699_999_999_000),
        u64s(1_700_000_200_000),
    ]
    .concat()
}
