//! A wish with its content, encoded and signed: everything that a gateway sends, to be sent piece by
//! piece, or altered first.

use std::collections::BTreeMap;

use floe_api::NodeClient;
use floe_api::messages::{CertifiedClaim, Extent, Finish, FinishAnswer, InlineExtent, Sliver};
use floe_model::keys::NodeSignature;
use floe_model::statement::RegistrarBody;
use floe_model::{
    Axis, BlobLayout, Certificate, Claim, ClaimId, Confirmation, ContentPolicy, ExtentIndex,
    ExtentShape, NamespaceUid, Permit, Release, Signed, SignedClaim, SignedPermit, SignedRelease,
    UploadId,
};
use floe_redstuff::{ExtentMetadata, Manifest, encode_extent};
use sha2::{Digest as _, Sha256};

use super::committee::Committee;

/// The namespace of all drafts.
pub const NAMESPACE_UID: NamespaceUid = NamespaceUid([5; 16]);

/// Bytes that differ with the seed and repeat nowhere.
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32).to_le_bytes()
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(&next()[..4]);
    }
    bytes.truncate(length);
    bytes
}

/// One encoded extent, every sliver of it.
#[derive(Debug, Clone)]
pub struct DraftExtent {
    /// Its inside.
    pub shape: ExtentShape,
    /// Its metadata.
    pub metadata: Vec<u8>,
    /// Its slivers by axis and index.
    pub slivers: BTreeMap<(Axis, u16), Vec<u8>>,
}

impl DraftExtent {
    /// Encodes content as it should be.
    pub fn encode(shape: ExtentShape, content: &[u8]) -> Self {
        let encoded = encode_extent(shape, content).unwrap();
        let indices = 0..shape.geometry().shards();
        let keys = indices.flat_map(|index| Axis::BOTH.map(|axis| (axis, index)));
        let slivers = keys.map(|key| (key, encoded.sliver(key.0, key.1).unwrap())).collect();
        Self { shape, metadata: encoded.metadata().encode(), slivers }
    }
}

/// A blob that may be written.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The content.
    pub content: Vec<u8>,
    /// Its extents.
    pub extents: Vec<DraftExtent>,
    /// Its manifest.
    pub manifest: Manifest,
    /// Opens the upload.
    pub permit: SignedPermit,
    /// What is to be confirmed.
    pub claim: SignedClaim,
}

impl Draft {
    /// The upload.
    pub const fn upload(&self) -> UploadId {
        self.permit.body.upload
    }

    /// The claim with a certificate.
    pub fn certified(&self, certificate: &Certificate) -> CertifiedClaim {
        CertifiedClaim { claim: self.claim.clone(), certificate: certificate.clone() }
    }
}

impl Committee {
    /// Sixteen bytes for an id.
    pub fn draw_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        self.env().random.fill(&mut id);
        id
    }

    /// Encodes content and signs permit and claim for it.
    pub fn draft(&self, name: &str, content: &[u8]) -> Draft {
        self.draft_under(ClaimId(self.draw_id()), name, content)
    }

    /// As [`Self::draft`], under a claim id.
    pub fn draft_under(&self, claim: ClaimId, name: &str, content: &[u8]) -> Draft {
        let layout = BlobLayout::new(self.geometry(), content.len() as u64);
        let extents = (0..layout.extents()).map(ExtentIndex).map(|extent| {
            let range = layout.extent_bytes(extent);
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            DraftExtent::encode(layout.extent_shape(extent), &content[range])
        });
        self.draft_of(claim, name, (content.to_vec(), extents.collect()))
    }

    /// Signs permit and claim for extents that are encoded already, somehow.
    pub fn draft_of(
        &self,
        claim: ClaimId,
        name: &str,
        (content, extents): (Vec<u8>, Vec<DraftExtent>),
    ) -> Draft {
        let layout = BlobLayout::new(self.geometry(), content.len() as u64);
        let ids = |extent: &DraftExtent| {
            let parsed = ExtentMetadata::parse(extent.shape, &extent.metadata).unwrap();
            parsed.stripe_ids().to_vec()
        };
        let manifest = Manifest::new(layout, extents.iter().flat_map(ids).collect()).unwrap();
        let (name, now) = (name.parse::<floe_model::BlobName>().unwrap(), self.now());
        let permit = Permit {
            upload: UploadId(self.draw_id()),
            claim,
            namespace_uid: NAMESPACE_UID,
            name: name.clone(),
            signed: now,
        };
        let claim = Claim {
            claim,
            namespace: "team".parse().unwrap(),
            namespace_uid: NAMESPACE_UID,
            name,
            blob: manifest.id(),
            length: content.len() as u64,
            policy: ContentPolicy {
                content_type: "text/plain".to_owned(),
                sha256: Sha256::digest(&content).into(),
            },
            created: now,
            signed: now,
        };
        let (permit, claim) = (self.sign(permit), self.sign(claim));
        Draft { content, extents, manifest, permit, claim }
    }

    /// Signs with the gateways' key under record 0.
    pub fn sign<B: RegistrarBody>(&self, body: B) -> Signed<B> {
        Signed::sign(body, &self.record().committee, self.record().hash(), self.gateway_key())
    }

    /// The release of a draft's claim.
    pub fn release_of(&self, draft: &Draft) -> SignedRelease {
        let claim = &draft.claim.body;
        self.sign(Release {
            claim: claim.claim,
            namespace_uid: claim.namespace_uid,
            name: claim.name.clone(),
            created: claim.created,
            signed: self.now(),
        })
    }

    /// What a node gets of an extent: the metadata and its own pairs.
    pub fn share(&self, extent: &DraftExtent, at: usize) -> Extent<Vec<u8>> {
        let geometry = self.geometry();
        let metadata = ExtentMetadata::parse(extent.shape, &extent.metadata).unwrap();
        let shards = self.record().members[at].shards.iter();
        let pairs = shards.map(|&shard| geometry.pair_of_shard(metadata.first_stripe(), shard));
        let slivers = pairs.flat_map(|pair| {
            Axis::BOTH.map(|axis| {
                let index = geometry.sliver_of_pair(axis, pair);
                Sliver { axis, pair, bytes: extent.slivers[&(axis, index)].clone() }
            })
        });
        Extent {
            length_bytes: u32::try_from(extent.shape.length()).unwrap(),
            metadata: extent.metadata.clone(),
            slivers: slivers.collect(),
        }
    }

    /// The end of a draft's upload, without its bytes.
    pub fn finish_of(&self, draft: &Draft) -> Finish<Vec<u8>> {
        let (claim, manifest) = (draft.claim.clone(), draft.manifest.encode());
        Finish { claim, manifest, adopts: None, inline: None }
    }

    /// A blob of one extent in one request, as a node gets it.
    pub fn inline_of(&self, draft: &Draft, at: usize) -> Finish<Vec<u8>> {
        let extent = self.share(&draft.extents[0], at);
        let inline = InlineExtent { permit: draft.permit.clone(), extent };
        Finish { inline: Some(inline), ..self.finish_of(draft) }
    }

    /// Opens the upload on a node and sends it all extents.
    pub async fn upload(&self, gateway: &NodeClient, draft: &Draft, at: usize) {
        let target = self.target(at);
        gateway.open_upload(&target, &draft.permit).await.unwrap();
        for (extent, number) in draft.extents.iter().zip(0..) {
            let (share, number) = (self.share(extent, at), ExtentIndex(number));
            gateway.put_extent(&target, draft.upload(), number, &share).await.unwrap();
        }
    }

    /// Uploads a draft to a node and has it confirmed.
    pub async fn confirm(&self, gateway: &NodeClient, draft: &Draft, at: usize) -> NodeSignature {
        self.upload(gateway, draft, at).await;
        let finish = self.finish_of(draft);
        let answer = gateway.finish(&self.target(at), draft.upload(), &finish).await.unwrap();
        match answer.value {
            FinishAnswer::Confirmed(confirmed) => confirmed.signature,
            rebuilding @ FinishAnswer::Rebuilding { .. } => panic!("{rebuilding:?}"),
        }
    }

    /// Has a draft confirmed by these nodes, and gathers the certificate: they must be enough.
    pub async fn certify(
        &self,
        gateway: &NodeClient,
        draft: &Draft,
        nodes: &[usize],
    ) -> Certificate {
        let mut votes = Vec::new();
        for &at in nodes {
            votes.push((at, self.confirm(gateway, draft, at).await));
        }
        let confirmation = Confirmation::of(&draft.claim.body, self.geometry());
        Certificate::gather(confirmation, self.record(), votes).unwrap()
    }
}
