//! Every signed or hashed layout as bytes that stand in a file: `vectors/signed.jsonl`. Where they
//! change, what nodes signed before cannot be checked any more. To write the file anew, after a
//! decision to break just that: `FLOE_REGENERATE_VECTORS=1 cargo test -p floe-model vectors`.

use floe_model::record::possession_statement;
use floe_model::{
    Acceptance, CatalogEntry, CommitProof, Confirmation, Hash, Incarnation, Layout, Lineage,
    NodeName, ShardIndex, Signed, SignedRecord, StatementKind, Whole, hash, statement,
};

use crate::fixture::{
    COMMITTEE, certificate, claim, gateway, node_key, operator, permit, record, release,
    signed_record,
};

const FILE: &str = include_str!("../vectors/signed.jsonl");

#[derive(Debug, PartialEq, Eq)]
struct Vector {
    name: &'static str,
    hex: String,
}

fn vector(name: &'static str, bytes: impl AsRef<[u8]>) -> Vector {
    Vector { name, hex: hex::encode(bytes) }
}

fn acceptances() -> Vec<Acceptance> {
    let record = record();
    let sign = |at: usize| {
        let member = &record.members[at];
        Acceptance::sign(&record, member.node.clone(), member.incarnation, &node_key(at))
    };
    (0..3).map(sign).collect()
}

fn recomputed() -> Vec<Vector> {
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
    let certificate = certificate(&record, &claim(), &[0, 1, 3]);
    let confirmation = Confirmation::of(&claim(), record.geometry);
    let of = |kind, body: Vec<u8>| statement(kind, &COMMITTEE, &hash, &body);
    let entry = CatalogEntry::Claim(Box::new(signed_claim.clone()), Box::new(certificate.clone()));
    vec![
        vector("record", record.to_bytes()),
        vector("record hash", hash.as_bytes()),
        vector("record statement", SignedRecord::statement(&record)),
        vector("signed record", signed_record().to_bytes()),
        vector("possession statement", &possession),
        vector("possession", node_key(1).prove_possession(&possession).0),
        vector("accept statement", Acceptance::statement(&record)),
        vector("acceptance", acceptances()[0].to_bytes()),
        vector(
            "commit proof",
            CommitProof::gather(&record, &Lineage::of_genesis(&record), &acceptances())
                .unwrap()
                .to_bytes(),
        ),
        vector("whole statement", Whole::statement(&record, ShardIndex(1), Incarnation(1))),
        vector("whole", whole().to_bytes()),
        vector("permit statement", of(StatementKind::Permit, permit().to_bytes())),
        vector("signed permit", signed_permit.to_bytes()),
        vector("claim statement", of(StatementKind::Claim, claim().to_bytes())),
        vector("signed claim", signed_claim.to_bytes()),
        vector("release statement", of(StatementKind::Release, release().to_bytes())),
        vector("signed release", signed_release.to_bytes()),
        vector("confirm statement", confirmation.statement(&COMMITTEE, &hash)),
        vector("certificate", certificate.to_bytes()),
        vector("catalog claim", entry.to_bytes()),
        vector("catalog release", CatalogEntry::Release(Box::new(signed_release)).to_bytes()),
        vector(
            "catalog binding",
            CatalogEntry::Binding { claim: claim().claim, blob: claim().blob }.to_bytes(),
        ),
        vector("catalog closed", CatalogEntry::Closed { claim: claim().claim }.to_bytes()),
        vector(
            "catalog closing void",
            CatalogEntry::ClosingVoid { claim: claim().claim }.to_bytes(),
        ),
    ]
}

/// Node 1's word about its shard.
fn whole() -> Whole {
    let owner = ("node-1".parse().unwrap(), Incarnation(1));
    Whole::sign(&record(), ShardIndex(1), owner, &node_key(1))
}

fn line(vector: &Vector) -> String {
    serde_json::json!({ "name": vector.name, "hex": vector.hex }).to_string()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "writes the vectors anew when asked to")]
fn vectors_are_what_the_file_says() {
    let vectors = recomputed();
    if std::env::var_os("FLOE_REGENERATE_VECTORS").is_some() {
        let lines: String = vectors.iter().map(|vector| line(vector) + "\n").collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/signed.jsonl");
        std::fs::write(path, lines).unwrap();
        return;
    }
    let lines: Vec<&str> = FILE.lines().collect();
    assert_eq!(lines.len(), vectors.len(), "vectors in the file");
    for (stored, vector) in lines.iter().zip(&vectors) {
        let stored: serde_json::Value = serde_json::from_str(stored).unwrap();
        assert_eq!(stored["name"], vector.name);
        assert_eq!(stored["hex"], vector.hex, "{}", vector.name);
    }
}

/// The layouts as the crate's front page has them, put together by hand.
#[test]
fn statements_are_laid_out_as_documented() {
    let record = record();
    let hash = record.hash();
    let text =
        |text: &str| [&u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat();
    let head = |kind: &str| [format!("floe/v1/{kind}").as_bytes(), &[0xc0; 16], &hash.0].concat();
    let u64s = |number: u64| number.to_le_bytes().to_vec();
    let name = text("weights.v2");

    assert_eq!(SignedRecord::statement(&record), head("record"));
    assert_eq!(Acceptance::statement(&record), [head("accept"), u64s(0)].concat());
    let whole = [head("whole"), vec![1, 0], vec![1, 0, 0, 0]].concat();
    assert_eq!(Whole::statement(&record, ShardIndex(1), Incarnation(1)), whole);

    let confirm =
        [head("confirm"), vec![0x44; 32], vec![4, 0, 1, 0], u64s(1_234_567), vec![0x22; 16]];
    let confirmation = Confirmation::of(&claim(), record.geometry);
    assert_eq!(confirmation.statement(&COMMITTEE, &hash), confirm.concat());

    let permit_body =
        [vec![0x11; 16], vec![0x22; 16], vec![0x33; 16], name.clone(), u64s(1_700_000_000_000)];
    assert_eq!(permit().to_bytes(), permit_body.concat());

    let claim_body = [
        vec![0x22; 16],
        text("models"),
        vec![0x33; 16],
        name.clone(),
        vec![0x44; 32],
        u64s(1_234_567),
        text("application/octet-stream"),
        vec![0x55; 32],
        u64s(1_699_999_999_000),
        u64s(1_700_000_000_001),
    ];
    assert_eq!(claim().to_bytes(), claim_body.concat());

    let release_body =
        [vec![0x22; 16], vec![0x33; 16], name, u64s(1_699_999_999_000), u64s(1_700_000_100_000)];
    assert_eq!(release().to_bytes(), release_body.concat());

    let member = &record.members[1];
    let possession = [
        b"floe/v1/possession".to_vec(),
        vec![0xc0; 16],
        vec![0; 32],
        text("node-1"),
        vec![1, 0, 0, 0],
        vec![0x41; 16],
        member.key.0.to_vec(),
    ];
    let node: NodeName = "node-1".parse().unwrap();
    let statement =
        possession_statement(&COMMITTEE, &node, Incarnation(1), &member.volume, &member.key);
    assert_eq!(statement, possession.concat());
}

#[test]
fn a_record_is_laid_out_and_hashed_as_documented() {
    const DAY: u64 = 24 * 3600 * 1000;
    let record = record();
    let text =
        |text: &str| [&u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat();
    let count = |count: u32| count.to_le_bytes().to_vec();
    let mut bytes = [
        vec![1, 0],
        vec![0xc0; 16],
        vec![0; 8],
        vec![0; 32],
        vec![0],
        vec![4, 0, 1, 0],
        (7 * DAY).to_le_bytes().to_vec(),
        (30 * DAY).to_le_bytes().to_vec(),
        count(2),
        vec![1],
        operator().public().0.to_vec(),
        vec![2],
        gateway().public().0.to_vec(),
        count(4),
    ]
    .concat();
    for (at, member) in record.members.iter().enumerate() {
        let at = u8::try_from(at).unwrap();
        let fields = [
            text(&format!("node-{at}")),
            count(u32::from(at)),
            vec![0x40 + at; 16],
            text(&format!("127.0.0.{at}:7443")),
            text(if at == 0 { "zone-a" } else { "" }),
            text(if at == 1 { "host-1" } else { "" }),
            member.key.0.to_vec(),
            member.possession.0.to_vec(),
            count(1),
            vec![at, 0],
        ];
        bytes.extend(fields.concat());
    }
    bytes.extend([count(0), count(0)].concat());
    assert_eq!(record.to_bytes(), bytes);
    let Hash(wanted) = hash(&[b"floe/v1/record", &bytes]);
    assert_eq!(record.hash().0, wanted);
}
