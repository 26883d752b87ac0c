//! What nodes, gateways and operators send each other: sequences of frames, and JSON.

use floe_api::messages::{
    Batch, BatchAnswer, CertificateAnswer, CertifiedClaim, Chain, Changes, Closing, CursorAnswer,
    Decode, Digests, Encode, Extent, Finish, FinishAnswer, Holdings, Lease, LeaseProgress,
    LeaseState, Manifest, MessageKind, Metadata, Received, ReleaseAnswer, Sliver, Statements,
    Symbols, SymbolsWanted,
};
use floe_api::report::{IdentityReport, NodeReport};
use floe_api::{ApiError, ErrorCode};
use floe_model::frame::write_frame;
use floe_model::{Acceptance, BlobId, ClaimId, SignedPermit, SignedRelease};

use crate::reseal::reseal_only;
use crate::samples::signed;
use crate::target::Target;

pub(crate) const TARGETS: &[Target] = &[
    // Each of two dozen decoders goes over the input twice.
    Target { factor: 64, ..Target::of_values("api_frames", frame_seeds, frames) },
    Target { factor: 64, ..Target::of_values("api_json", json_seeds, json) },
];

/// A frame of every kind, and of each message the frames that it is made of.
fn frame_seeds() -> Vec<Vec<u8>> {
    use MessageKind as Kind;
    let frame = |kind: Kind, head: &[u8], payload: &[u8]| {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, kind as u16, head, payload);
        bytes
    };
    let of = |kind, name| frame(kind, &[], &signed(name));
    let (u64s, bytes) = (|number: u64| number.to_le_bytes(), vec![9; 100]);
    let extent = frame(Kind::Extent, &100_u32.to_le_bytes(), &[7; 640]);
    let sliver = frame(Kind::Sliver, &[1, 3, 0], &bytes);
    let claim = [of(Kind::Claim, "signed claim"), of(Kind::Certificate, "certificate")].concat();
    let permit = of(Kind::Permit, "signed permit");
    // As long as the claim says.
    let manifest = frame(Kind::Manifest, &u64s(1_234_567), &[5; 32]);
    let symbols = frame(Kind::Symbols, &[0, 2, 0], &bytes);
    let proofs = frame(Kind::Proofs, &[], &[6; 96]);
    let record = of(Kind::Record, "signed record");
    let proof = of(Kind::CommitProof, "commit proof");
    let release = of(Kind::Release, "signed release");
    // Volume, last number, seal; number and hash of the record accepted.
    let head = [&[4; 16][..], &u64s(9), &[8; 32], &u64s(0), &[6; 32]].concat();
    let feed = frame(Kind::FeedHead, &head, &[]);
    let change = |number, name| frame(Kind::Change, &u64s(number), &signed(name));
    let changes = [change(7, "catalog claim"), change(8, "catalog release")].concat();
    let end = frame(Kind::End, &[1], &[]);
    vec![
        [&extent[..], &sliver, &sliver].concat(),
        [&of(Kind::Claim, "signed claim")[..], &manifest, &permit, &extent, &sliver].concat(),
        [&of(Kind::Claim, "signed claim")[..], &manifest].concat(),
        manifest,
        frame(Kind::Metadata, &[], &bytes),
        sliver,
        [&symbols[..], &proofs, &symbols].concat(),
        [&record[..], &proof, &record].concat(),
        of(Kind::Acceptance, "acceptance"),
        permit,
        [&claim[..], &release, &end].concat(),
        claim,
        release,
        [&feed[..], &changes].concat(),
        frame(Kind::Digests, &[], &[2; 16 * 1024]),
        frame(
            Kind::Part,
            b"GET /v1/blobs/RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY/holdings",
            b"",
        ),
        frame(Kind::PartAnswer, &200_u16.to_le_bytes(), b"{}"),
        frame(Kind::Rebuilding, &[&u64s(3)[..], &[1, 0, 0, 0]].concat(), &[]),
        end,
    ]
}

fn frames(input: &[u8]) {
    decode_frames(input);
    decode_frames(&reseal_only(input));
}

fn decode_frames(input: &[u8]) {
    any::<Extent<Received>>(input);
    any::<Finish<Received>>(input);
    any::<FinishAnswer>(input);
    any::<Manifest<Received>>(input);
    any::<Metadata<Received>>(input);
    any::<Sliver<Received>>(input);
    any::<Symbols<Received>>(input);
    any::<Batch>(input);
    any::<BatchAnswer>(input);
    any::<()>(input);
    again::<Chain>(input);
    again::<Acceptance>(input);
    again::<SignedPermit>(input);
    again::<SignedRelease>(input);
    again::<CertifiedClaim>(input);
    again::<Closing>(input);
    again::<Statements>(input);
    again::<Changes>(input);
    again::<Digests>(input);
}

fn any<T: Decode>(input: &[u8]) {
    drop(T::decode(input));
}

/// What was understood is sent on as it was understood.
fn again<T: Decode + Encode + PartialEq>(input: &[u8]) {
    if let Ok(message) = T::decode(input) {
        let sent = T::decode(&message.encode());
        assert!(sent.is_ok_and(|sent| sent == message), "a message changes on its way");
    }
}

fn json_seeds() -> Vec<Vec<u8>> {
    let blob = BlobId([1; 32]);
    let claim = ClaimId([2; 16]);
    let refusals = [
        ApiError::claim_bound(claim, blob, BlobId([3; 32])).retry_after(7),
        ApiError::new(ErrorCode::Gone, "no such volume"),
    ];
    let mut seeds: Vec<Vec<u8>> =
        refusals.iter().map(|refusal| serde_json::to_vec(refusal).unwrap()).collect();
    let texts = [
        r#"{"axis":"primary","index":3,"proofs":true,"sources":[0,1,2]}"#,
        r#"{"extents":[{"extent":0,"primary":[0,1],"secondary":[]}]}"#,
        r#"{"state":"acknowledged","missingSlivers":0}"#,
        r#"{"state":"stored"}"#,
        r#"{"volume":"00112233-4455-6677-8899-aabbccddeeff","sequence":7,"seal":"00"}"#,
        r#"{"node":"node-1","incarnation":0,"serving":{"state":"ready"},"cursors":{"node-2":"00112233-4455-6677-8899-aabbccddeeff:3"},"epoch":{"number":0}}"#,
        r#"{"lease":"00112233-4455-6677-8899-aabbccddeeff","ttlMillis":60000,"blobs":[{"length":5,"extents":[{"extent":0,"missing":[[1],[2]]}]}]}"#,
        r#"{"readBytes":5,"returned":[]}"#,
    ];
    seeds.extend(texts.map(|text| text.as_bytes().to_vec()));
    seeds
}

fn json(input: &[u8]) {
    if let Ok(refusal) = serde_json::from_slice::<ApiError>(input) {
        let sent = refusal.to_response();
        assert_eq!(serde_json::from_slice::<ApiError>(sent.body()).unwrap(), refusal);
    }
    again::<SymbolsWanted>(input);
    again::<Holdings>(input);
    again::<CertificateAnswer>(input);
    again::<ReleaseAnswer>(input);
    again::<CursorAnswer>(input);
    again::<IdentityReport>(input);
    again::<NodeReport>(input);
    again::<Lease>(input);
    again::<LeaseProgress>(input);
    again::<LeaseState>(input);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_messages() {
        let kinds: [fn(&[u8]) -> bool; 18] = [
            is::<Extent<Received>>,
            is::<Finish<Received>>,
            is::<FinishAnswer>,
            is::<Manifest<Received>>,
            is::<Metadata<Received>>,
            is::<Sliver<Received>>,
            is::<Symbols<Received>>,
            is::<Batch>,
            is::<BatchAnswer>,
            is::<Chain>,
            is::<Acceptance>,
            is::<SignedPermit>,
            is::<SignedRelease>,
            is::<CertifiedClaim>,
            is::<Closing>,
            is::<Statements>,
            is::<Changes>,
            is::<Digests>,
        ];
        for (number, seed) in frame_seeds().iter().enumerate() {
            assert!(kinds.iter().any(|is| is(seed)), "seed {number} is no message");
        }
    }

    fn is<T: Decode>(seed: &[u8]) -> bool {
        T::decode(seed).is_ok()
    }
}
