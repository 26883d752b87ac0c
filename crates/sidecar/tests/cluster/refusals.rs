//! Bad input: each is named, and nothing of it is kept.

use floe_api::messages::{CertifiedClaim, Extent, Finish, FinishAnswer, Sliver};
use floe_api::{CallError, ErrorCode, Target};
use floe_model::keys::RegistrarKey;
use floe_model::{
    Axis, BlobLayout, BlobName, ClaimId, ExtentIndex, ExtentShape, NamespaceUid, PairIndex, Permit,
    SignedPermit, Timestamp, UploadId,
};
use floe_redstuff::{EncodedExtent, encode_extent};

use crate::committee::Cluster;
use crate::content;

fn code<T: std::fmt::Debug>(outcome: Result<T, CallError>) -> ErrorCode {
    outcome.unwrap_err().refusal().unwrap().code
}

fn permit(cluster: &Cluster, age_millis: u64, key: &RegistrarKey) -> SignedPermit {
    let now = cluster.env.clock.unix_millis();
    let name: BlobName = "bad".parse().unwrap();
    let permit = Permit {
        upload: UploadId(cluster.env.random.bytes()),
        claim: ClaimId([9; 16]),
        namespace_uid: NamespaceUid([5; 16]),
        name,
        signed: Timestamp(now - age_millis),
    };
    SignedPermit::sign(permit, &cluster.record.committee, cluster.record.hash(), key)
}

/// What node 0 is to get of an extent.
fn parcel(cluster: &Cluster, encoded: &EncodedExtent, length: usize) -> Extent<Vec<u8>> {
    let geometry = cluster.record.geometry;
    let mut slivers = Vec::new();
    for shard in &cluster.record.members[0].shards {
        let pair = geometry.pair_of_shard(encoded.metadata().first_stripe(), *shard);
        for axis in Axis::BOTH {
            let index = geometry.sliver_of_pair(axis, pair);
            slivers.push(Sliver { axis, pair, bytes: encoded.sliver(axis, index).unwrap() });
        }
    }
    let metadata = encoded.metadata().encode();
    Extent { length_bytes: u32::try_from(length).unwrap(), metadata, slivers }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_upload_is_named_and_not_kept() {
    let cluster = Cluster::start(4, 4).await;
    cluster.ready(0).await;
    let (calls, target) = (&cluster.calls, Target::from(&cluster.record.members[0]));
    let stranger = permit(&cluster, 0, &RegistrarKey::from_seed(&[99; 32]));
    assert_eq!(code(calls.open_upload(&target, &stranger).await), ErrorCode::StatementInvalid);
    let stale = permit(&cluster, 25 * 3600 * 1000, &cluster.gateway);
    assert_eq!(code(calls.open_upload(&target, &stale).await), ErrorCode::StaleStatement);

    let good = permit(&cluster, 0, &cluster.gateway);
    let upload = good.body.upload;
    let bytes = content(8, 5000);
    let shape = ExtentShape::new(cluster.record.geometry, bytes.len()).unwrap();
    let encoded = encode_extent(shape, &bytes).unwrap();
    let right = parcel(&cluster, &encoded, bytes.len());
    let put = async |upload, extent: &Extent<Vec<u8>>| {
        calls.put_extent(&target, upload, ExtentIndex(0), extent).await
    };
    assert_eq!(code(put(upload, &right).await), ErrorCode::UnknownUpload);
    calls.open_upload(&target, &good).await.unwrap();
    calls.open_upload(&target, &good).await.unwrap();

    let altered = |alter: &dyn Fn(&mut Extent<Vec<u8>>)| {
        let mut extent = right.clone();
        alter(&mut extent);
        extent
    };
    let rows = [
        (altered(&|it| it.slivers[0].bytes[7] ^= 1), ErrorCode::SliverInvalid),
        (altered(&|it| it.slivers[0].bytes.truncate(8)), ErrorCode::SliverInvalid),
        (altered(&|it| it.slivers[1].bytes.push(0)), ErrorCode::SliverInvalid),
        (
            altered(&|it| it.slivers[0].pair = PairIndex(it.slivers[0].pair.0 ^ 1)),
            ErrorCode::SliverInvalid,
        ),
        (altered(&|it| it.slivers[0].pair = PairIndex(200)), ErrorCode::SliverInvalid),
        (altered(&|it| it.metadata.truncate(64)), ErrorCode::MetadataInvalid),
        (altered(&|it| it.length_bytes = u32::MAX), ErrorCode::MetadataInvalid),
    ];
    for (extent, expected) in rows {
        assert_eq!(code(put(upload, &extent).await), expected);
        assert_eq!(cluster.report(0).await.held_bytes, 0, "{expected}");
    }
    put(upload, &right).await.unwrap();
    put(upload, &right).await.unwrap();
    let pair = [Axis::Primary, Axis::Secondary].map(|axis| shape.sliver_bytes(axis) as u64);
    assert_eq!(cluster.report(0).await.held_bytes, pair.iter().sum::<u64>());
    let other = encode_extent(shape, &content(9, 5000)).unwrap();
    let other = parcel(&cluster, &other, 5000);
    assert_eq!(code(put(upload, &other).await), ErrorCode::MetadataInvalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_claims_and_certificates_are_named() {
    let cluster = Cluster::start(4, 4).await;
    let written = cluster.write("blob", content(10, 5000)).await;
    let (calls, target) = (&cluster.calls, Target::from(&cluster.record.members[0]));
    let good =
        CertifiedClaim { claim: written.claim.clone(), certificate: written.certificate.clone() };
    calls.put_certificate(&target, &good).await.unwrap();

    let mut forged = good.clone();
    forged.claim.body.created = Timestamp(0);
    assert_eq!(code(calls.put_certificate(&target, &forged).await), ErrorCode::StatementInvalid);
    let mut other = good.clone();
    other.claim = cluster.claim_like(&written, "other");
    assert_eq!(code(calls.put_certificate(&target, &other).await), ErrorCode::CertificateInvalid);
    let mut unknown = good.clone();
    unknown.certificate.record.0[0] ^= 1;
    assert_eq!(code(calls.put_certificate(&target, &unknown).await), ErrorCode::NeedEpoch);

    let layout = BlobLayout::new(cluster.record.geometry, written.length);
    assert!(layout.is_single_stripe());
    let mut manifest = written.blob.0.to_vec();
    manifest[0] ^= 1;
    let finish = Finish { claim: written.claim.clone(), manifest, adopts: None, inline: None };
    let upload = UploadId([1; 16]);
    assert_eq!(code(calls.finish(&target, upload, &finish).await), ErrorCode::ManifestInvalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_claim_is_acknowledged_no_more_and_a_certified_one_is_handed_out() {
    let cluster = Cluster::start(4, 4).await;
    let written = cluster.write("blob", content(11, 700)).await;
    let (calls, target) = (&cluster.calls, Target::from(&cluster.record.members[0]));
    cluster.healed(0, 1).await;
    let closing = calls.close(&target, written.claim.body.claim).await.unwrap().value;
    assert!(matches!(closing, floe_api::messages::Closing::Certified(_)), "{closing:?}");

    let late = cluster.claim_like(&written, "late");
    let closing = calls.close(&target, late.body.claim).await.unwrap().value;
    assert_eq!(closing, floe_api::messages::Closing::Closed);
    let refused = cluster.finish(&target, &written, &late).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, ErrorCode::ClaimClosed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_another_blob_behind_a_finish_are_refused() {
    let mut cluster = Cluster::start(4, 4).await;
    let written = cluster.write("victim", content(11, 5000)).await;
    cluster.ready(0).await;
    let fresh = content(12, 5000);
    let shape = ExtentShape::new(cluster.record.geometry, fresh.len()).unwrap();
    let real = encode_extent(shape, &fresh).unwrap();
    let other = encode_extent(shape, &content(13, 5000)).unwrap();
    let (calls, target) = (cluster.calls.clone(), Target::from(&cluster.record.members[0]));
    let permit = permit(&cluster, 0, &cluster.gateway);
    let upload = permit.body.upload;
    calls.open_upload(&target, &permit).await.unwrap();
    let layout = BlobLayout::new(cluster.record.geometry, 5000);
    let ids = real.metadata().stripe_ids().to_vec();
    let manifest = floe_redstuff::Manifest::new(layout, ids).unwrap();
    let mut claim = cluster.claim_like(&written, "bad").body;
    (claim.claim, claim.blob) = (permit.body.claim, manifest.id());
    let claim = cluster.sign(claim);
    let finish = Finish { claim, manifest: manifest.encode(), adopts: None, inline: None };
    let rebuilding = |answer| matches!(answer, FinishAnswer::Rebuilding { missing_slivers: 2, .. });
    assert!(rebuilding(calls.finish(&target, upload, &finish).await.unwrap().value));
    for (extent, index) in [(&other, 0), (&other, 1), (&real, 1)] {
        let extent = parcel(&cluster, extent, 5000);
        let put = calls.put_extent(&target, upload, ExtentIndex(index), &extent).await;
        assert_eq!(code(put), ErrorCode::MetadataInvalid);
    }
    assert!(rebuilding(calls.finish(&target, upload, &finish).await.unwrap().value));
    // What is of the blob is welcome behind its manifest.
    let real = parcel(&cluster, &real, 5000);
    calls.put_extent(&target, upload, ExtentIndex(0), &real).await.unwrap();
    let answer = calls.finish(&target, upload, &finish).await.unwrap().value;
    assert!(matches!(answer, FinishAnswer::Confirmed(_)), "{answer:?}");
    cluster.stop(0).await;
}
