//! The model: frames, layouts, texts.

use std::fmt::Display;
use std::str::FromStr;

use floe_model::codec::Decoder;
use floe_model::frame::{Frame, FrameHead, write_frame};
use floe_model::keys::{NodePublicKey, RegistrarPublicKey};
use floe_model::{
    Acceptance, BlobId, BlobName, CatalogEntry, Certificate, Claim, ClaimId, CommitProof,
    CommitteeId, Confirmation, EpochRecord, FeedPosition, Geometry, Layout, Lineage, Member,
    Namespace, NamespaceUid, NodeName, Permit, RecordHash, Release, SignedClaim, SignedPermit,
    SignedRecord, SignedRelease, SignedTicket, Signers, StripeId, Ticket, UploadId, VolumeId,
    Whole,
};

use crate::reseal::reseal_only;
use crate::samples::{all_signed, signed, value};
use crate::target::Target;

pub(crate) const TARGETS: &[Target] = &[
    Target::of_values("model_frames", frame_seeds, frames),
    Target::of_values("model_layouts", all_signed, layouts),
    Target::of_values("model_signatures", all_signed, signatures),
    Target::of_values("model_texts", text_seeds, texts),
    Target::of_values("model_tickets", ticket_seeds, tickets),
];

/// Payload that a reader of frames takes.
const MOST_PAYLOAD_BYTES: usize = 1 << 20;

fn frame_seeds() -> Vec<Vec<u8>> {
    let framed = |(kind, payload): (u16, &[u8])| {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, kind, b"head", payload);
        bytes
    };
    let long = vec![7; 70_000];
    let each: Vec<Vec<u8>> = [(1, &b""[..]), (2, b"payload"), (3, &long)].map(framed).to_vec();
    let all = each.concat();
    [each, vec![all]].concat()
}

fn frames(input: &[u8]) {
    read_frames(input);
    read_frames(&reseal_only(input));
}

fn read_frames(input: &[u8]) {
    if let Ok(head) = FrameHead::read(input, MOST_PAYLOAD_BYTES) {
        assert!(head.encoded_bytes() <= input.len());
    }
    let Ok(frames) = Frame::read_all(input, MOST_PAYLOAD_BYTES) else { return };
    let mut written = Vec::with_capacity(input.len());
    for frame in &frames {
        frame.write(&mut written);
    }
    assert!(written == input, "frames that can be written in two ways");
}

fn layouts(input: &[u8]) {
    one_way::<EpochRecord>(input);
    one_way::<SignedRecord>(input);
    one_way::<Member>(input);
    one_way::<Whole>(input);
    one_way::<Acceptance>(input);
    one_way::<CommitProof>(input);
    one_way::<Permit>(input);
    one_way::<SignedPermit>(input);
    one_way::<Claim>(input);
    one_way::<SignedClaim>(input);
    one_way::<Release>(input);
    one_way::<SignedRelease>(input);
    one_way::<Ticket>(input);
    one_way::<SignedTicket>(input);
    one_way::<Confirmation>(input);
    one_way::<Certificate>(input);
    one_way::<CatalogEntry>(input);
    one_way::<Signers>(input);
    one_way::<Geometry>(input);
}

/// A value has one encoding: what is signed cannot be said in two ways.
fn one_way<T: Layout>(input: &[u8]) {
    if let Ok(value) = T::from_bytes(input) {
        assert!(value.to_bytes() == input, "a value that can be written in two ways");
    }
    // As a part of something longer: what follows is not looked at.
    let mut from = Decoder::new(input);
    if let Ok(value) = T::decode(&mut from) {
        assert!(input.starts_with(&value.to_bytes()));
    }
}

/// Only what is there to the bit passes a check of signatures.
fn signatures(input: &[u8]) {
    let record: EpochRecord = value("record");
    if let Ok(signed) = SignedRecord::from_bytes(input)
        && signed.verify().is_ok()
    {
        assert_eq!(signed, value("signed record"));
    }
    if let Ok(proof) = CommitProof::from_bytes(input)
        && proof.verify(&record, &Lineage::of_genesis(&record)).is_ok()
    {
        assert_eq!(proof, value("commit proof"));
    }
    if let Ok(claim) = SignedClaim::from_bytes(input)
        && claim.verify(&record).is_ok()
    {
        assert_eq!(claim, value("signed claim"));
    }
    if let Ok(release) = SignedRelease::from_bytes(input)
        && release.verify(&record).is_ok()
    {
        assert_eq!(release, value("signed release"));
    }
    if let Ok(permit) = SignedPermit::from_bytes(input)
        && permit.verify(&record).is_ok()
    {
        assert_eq!(permit, value("signed permit"));
    }
    let claim: SignedClaim = value("signed claim");
    if let Ok(certificate) = Certificate::from_bytes(input)
        && certificate.verify(&record, &claim.body).is_ok()
    {
        assert_eq!(certificate, value("certificate"));
    }
    if let Ok(whole) = Whole::from_bytes(input)
        && whole.verify(&record).is_ok()
    {
        assert_eq!(whole, value("whole"));
    }
}

fn text_seeds() -> Vec<Vec<u8>> {
    [
        "RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY",
        "00112233-4455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeeff:12",
        "weights.v2",
        "node-7",
        "\"weights.v2\"",
        "{\"shards\":10,\"faulty\":3}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn texts(input: &[u8]) {
    let _ = serde_json::from_slice::<Geometry>(input);
    let _ = serde_json::from_slice::<BlobName>(input);
    let _ = serde_json::from_slice::<NodePublicKey>(input);
    let _ = serde_json::from_slice::<RegistrarPublicKey>(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    one_text::<BlobId>(text);
    one_text::<StripeId>(text);
    one_text::<RecordHash>(text);
    one_text::<BlobName>(text);
    one_text::<Namespace>(text);
    one_text::<NodeName>(text);
    again::<CommitteeId>(text);
    again::<ClaimId>(text);
    again::<NamespaceUid>(text);
    again::<UploadId>(text);
    again::<VolumeId>(text);
    again::<FeedPosition>(text);
}

/// As bearer tokens come to a gateway, and as the bytes inside them.
fn ticket_seeds() -> Vec<Vec<u8>> {
    vec![signed("bearer of a ticket"), signed("signed ticket")]
}

/// What is let in is a ticket to the bit.
fn tickets(input: &[u8]) {
    let record: EpochRecord = value("record");
    let ticket: SignedTicket = value("signed ticket");
    let is_let_in = |found: SignedTicket| {
        if found.verify(&record).is_ok() {
            assert_eq!(found, ticket);
        }
    };
    one_way::<Ticket>(input);
    one_way::<SignedTicket>(input);
    if let Ok(found) = SignedTicket::from_bytes(input) {
        is_let_in(found);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    one_text::<SignedTicket>(text);
    if let Ok(found) = text.parse() {
        is_let_in(found);
    }
}

/// One text for one value.
fn one_text<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

/// A value's own text gives the value.
fn again<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value));
    }
}
