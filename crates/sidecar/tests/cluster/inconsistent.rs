//! A writer that encodes wrongly: repair proves it, the blob is frozen, its reads fail.

use floe_api::messages::{CertifiedClaim, Extent, Finish, FinishAnswer, InlineExtent, Sliver};
use floe_api::{ErrorCode, Target};
use floe_model::{
    Axis, BlobId, Certificate, Claim, ClaimId, Confirmation, ContentPolicy, ExtentShape,
    NamespaceUid, PairIndex, Permit, SignedPermit, Timestamp, UploadId,
};
use floe_redstuff::{EncodedExtent, ExtentMetadata, Verified, encode_extent};
use floe_sidecar::Limits;

use crate::committee::Cluster;
use crate::content;

const LENGTH: usize = 4000;

/// An extent of which one sliver is another extent's.
struct Chimera {
    metadata: Verified<ExtentMetadata>,
    body: EncodedExtent,
    tail: EncodedExtent,
    foreign: (Axis, PairIndex),
}

impl Chimera {
    /// The foreign sliver is one of node 0.
    fn new(cluster: &Cluster, axis: Axis) -> Self {
        let geometry = cluster.record.geometry;
        let shape = ExtentShape::new(geometry, LENGTH).unwrap();
        let encode = |seed| encode_extent(shape, &content(seed, LENGTH)).unwrap();
        let (body, tail) = (encode(20), encode(21));
        for pair in (0..geometry.shards()).map(PairIndex) {
            let mut bytes = body.metadata().encode();
            let start = usize::from(pair.0) * 64 + if axis == Axis::Primary { 0 } else { 32 };
            let at = start..start + 32;
            bytes[at.clone()].copy_from_slice(&tail.metadata().encode()[at]);
            let metadata = ExtentMetadata::parse(shape, &bytes).unwrap();
            let shard = geometry.shard_of_pair(metadata.first_stripe(), pair);
            if cluster.record.members[0].shards.contains(&shard) {
                return Self { metadata, body, tail, foreign: (axis, pair) };
            }
        }
        panic!("no pair of node 0");
    }

    fn blob(&self) -> BlobId {
        BlobId(self.metadata.first_stripe().0)
    }

    fn parcel(&self, cluster: &Cluster, member: usize) -> Extent<Vec<u8>> {
        let geometry = cluster.record.geometry;
        let mut slivers = Vec::new();
        for shard in &cluster.record.members[member].shards {
            let pair = geometry.pair_of_shard(self.metadata.first_stripe(), *shard);
            for axis in Axis::BOTH {
                let foreign = (axis, pair) == self.foreign;
                let of = if foreign { &self.tail } else { &self.body };
                let bytes = of.sliver(axis, geometry.sliver_of_pair(axis, pair)).unwrap();
                slivers.push(Sliver { axis, pair, bytes });
            }
        }
        let length_bytes = u32::try_from(LENGTH).unwrap();
        Extent { length_bytes, metadata: self.metadata.encode(), slivers }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_is_encoded_wrongly_is_frozen_with_its_proof() {
    Box::pin(freezes(Cluster::start(5, 10).await, Axis::Secondary)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decoding_proves_a_wrong_sliver_too() {
    for axis in Axis::BOTH {
        Box::pin(freezes(Cluster::start(4, 4).await, axis)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_nobody_can_restore_keeps_no_shard_unfilled() {
    let mut cluster = Box::pin(freezes(Cluster::start(4, 4).await, Axis::Primary)).await;
    // Only node 0 was handed the certificate: it must not be the last to know.
    for peer in 1..4 {
        cluster.owes(peer, 1).await;
    }
    cluster.replace(0, Limits::default()).await;
    cluster.owes(0, 1).await;
    Box::pin(cluster.repair(0)).await.unwrap();
    cluster.wholes(0, 1).await;
}

/// The foreign sliver is one of node 0, which missed the write.
async fn freezes(mut cluster: Cluster, axis: Axis) -> Cluster {
    let chimera = Chimera::new(&cluster, axis);
    cluster.stop(0).await;
    let now = Timestamp(cluster.env.clock.unix_millis());
    let (claim, upload) = (ClaimId([7; 16]), UploadId([8; 16]));
    let (name, namespace_uid) = ("chimera", NamespaceUid([5; 16]));
    let permit = Permit { upload, claim, namespace_uid, name: name.parse().unwrap(), signed: now };
    let (id, hash) = (cluster.record.committee, cluster.record.hash());
    let permit = SignedPermit::sign(permit, &id, hash, &cluster.gateway);
    let claim = cluster.sign(Claim {
        claim,
        namespace: "tests".parse().unwrap(),
        namespace_uid,
        name: name.parse().unwrap(),
        blob: chimera.blob(),
        length: LENGTH as u64,
        policy: ContentPolicy { content_type: String::new(), sha256: [0; 32] },
        created: now,
        signed: now,
    });
    let mut votes = Vec::new();
    for member in 1..cluster.record.members.len() {
        cluster.ready(member).await;
        let target = Target::from(&cluster.record.members[member]);
        let extent = chimera.parcel(&cluster, member);
        let inline = Some(InlineExtent { permit: permit.clone(), extent });
        let manifest = chimera.blob().0.to_vec();
        let request = Finish { claim: claim.clone(), manifest, adopts: None, inline };
        match cluster.calls.finish(&target, upload, &request).await.unwrap().value {
            FinishAnswer::Confirmed(confirmed) => votes.push((member, confirmed.signature)),
            other @ FinishAnswer::Rebuilding { .. } => panic!("{other:?}"),
        }
    }
    let confirmation = Confirmation::of(&claim.body, cluster.record.geometry);
    let certificate = Certificate::gather(confirmation, &cluster.record, votes).unwrap();
    cluster.restart(0).await;
    cluster.ready(0).await;
    let target = Target::from(&cluster.record.members[0]);
    let certified = CertifiedClaim { claim, certificate };
    cluster.calls.put_certificate(&target, &certified).await.unwrap();
    let blob = chimera.blob();
    let look = async || {
        let refusal = cluster.calls.manifest(&target, blob).await.err()?;
        let code = refusal.refusal().unwrap().code;
        (code != ErrorCode::NotFound).then_some(code)
    };
    let refusal = cluster.until("the blob is refused", look).await;
    assert_eq!(refusal, ErrorCode::BlobInconsistent);
    // Nobody lied: the writer is to blame.
    assert_eq!(cluster.metric(0, "floe_node_verification_failures_total", "").await, 0);
    cluster
}
