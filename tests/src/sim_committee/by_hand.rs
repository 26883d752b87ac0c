//! Driving nodes one by one, as a gateway would, or as nobody should.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_api::messages::{
    CertificateAnswer, CertifiedClaim, Chain, ChainLink, Confirmed, Extent, Finish, FinishAnswer,
    InlineExtent, Sliver,
};
use floe_api::{CallError, NodeClient, Target};
use floe_client::{Budget, Client, Committee};
use floe_env::Env;
use floe_model::{
    Axis, BlobLayout, BlobName, Certificate, Claim, ClaimId, Confirmation, ContentPolicy,
    EpochRecord, ExtentIndex, NamespaceUid, NodeName, Permit, Release, Signed, SignedClaim,
    SignedPermit, SignedRelease, Timestamp, UploadId,
};
use floe_redstuff::{EncodedExtent, Manifest, encode_extent};
use sha2::{Digest, Sha256};

use super::World;
use super::world::SCRIPT;

/// The namespace of all claims made by hand.
pub const NAMESPACE_UID: NamespaceUid = NamespaceUid([5; 16]);

/// A wish with its content, signed: everything that a gateway sends, to be sent piece by piece.
pub struct Draft {
    /// The claim.
    pub claim: SignedClaim,
    /// The permit of its upload.
    pub permit: SignedPermit,
    manifest: Manifest,
    extents: Vec<EncodedExtent>,
}

/// Calls nodes with a gateway's certificate and key.
pub struct ByHand {
    world: Arc<World>,
    env: Env,
    /// The typed client.
    pub nodes: NodeClient,
    record: EpochRecord,
    /// Where members are, if not where the world has them.
    places: BTreeMap<NodeName, Target>,
}

impl ByHand {
    /// On the script's host. One per simulation.
    pub fn new(world: &Arc<World>) -> Self {
        let env = world.env(SCRIPT);
        let nodes = world.node_client(&env, SCRIPT);
        let places = BTreeMap::new();
        Self { world: Arc::clone(world), nodes, record: world.record(), env, places }
    }

    /// The same under another record: what is signed names it, and its members are where it says.
    #[must_use]
    pub fn under(&self, record: &EpochRecord) -> Self {
        let members = record.members.iter();
        Self {
            world: Arc::clone(&self.world),
            env: self.env.clone(),
            nodes: self.nodes.clone(),
            record: record.clone(),
            places: members.map(|member| (member.node.clone(), Target::from(member))).collect(),
        }
    }

    /// The script's environment.
    pub const fn env(&self) -> &Env {
        &self.env
    }

    /// The `at`-th node.
    pub fn node(&self, at: usize) -> NodeName {
        self.world.nodes()[at].clone()
    }

    /// The `at`-th node as callers see it.
    pub fn target(&self, at: usize) -> Target {
        let node = self.node(at);
        self.places.get(&node).cloned().unwrap_or_else(|| self.world.target(&node))
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.env.clock.unix_millis())
    }

    /// A client as gateways have it, that knows record 0.
    pub fn client(&self) -> Client {
        let genesis = self.world.genesis();
        let link = ChainLink { record: genesis.record, proof: Some(genesis.proof) };
        self.client_of(Chain { links: vec![link] })
    }

    /// A client as gateways have it, that knows a chain.
    pub fn client_of(&self, chain: Chain) -> Client {
        let committee = Arc::new(Committee::from_chain(chain).unwrap());
        let key = Some(self.world.gateway_key().clone());
        Client::new(self.env.clone(), self.nodes.clone(), committee, key, Budget::default())
    }

    /// Encodes content and signs permit and claim for it, as of now.
    pub fn draft(&self, claim: u8, name: &str, content: &[u8]) -> Draft {
        self.draft_created(claim, name, content, self.now())
    }

    /// As [`ByHand::draft`], for a Blob object of another age.
    pub fn draft_created(
        &self,
        claim: u8,
        name: &str,
        content: &[u8],
        created: Timestamp,
    ) -> Draft {
        let (claim, name): (_, BlobName) = (ClaimId([claim; 16]), name.parse().unwrap());
        let layout = BlobLayout::new(self.record.geometry, content.len() as u64);
        let extents: Vec<EncodedExtent> = (0..layout.extents())
            .map(|extent| {
                let bytes = layout.extent_bytes(ExtentIndex(extent));
                let range =
                    usize::try_from(bytes.start).unwrap()..usize::try_from(bytes.end).unwrap();
                encode_extent(layout.extent_shape(ExtentIndex(extent)), &content[range]).unwrap()
            })
            .collect();
        let ids = extents.iter().flat_map(|extent| extent.metadata().stripe_ids().to_vec());
        let manifest = Manifest::new(layout, ids.collect()).unwrap();
        let upload = UploadId(self.env.random.bytes());
        let permit = Permit {
            upload,
            claim,
            namespace_uid: NAMESPACE_UID,
            name: name.clone(),
            signed: self.now(),
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
                sha256: Sha256::digest(content).into(),
            },
            created,
            signed: self.now(),
        };
        Draft { claim: self.sign(claim), permit: self.sign(permit), manifest, extents }
    }

    /// Signs with the gateways' key under the record.
    pub fn sign<B: floe_model::statement::RegistrarBody>(&self, body: B) -> Signed<B> {
        let (committee, hash) = (self.record.committee, self.record.hash());
        Signed::sign(body, &committee, hash, self.world.gateway_key())
    }

    /// The same wish, signed again, under this hand's record: its claim keeps its id and its age.
    pub fn renewed(&self, draft: &Draft) -> Draft {
        Draft {
            claim: self.sign(draft.claim.body.clone()),
            permit: self.sign(draft.permit.body.clone()),
            manifest: draft.manifest.clone(),
            extents: draft.extents.clone(),
        }
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

    /// A node's part of one extent.
    pub fn part(&self, draft: &Draft, extent: usize, at: usize) -> Extent<Vec<u8>> {
        let encoded = &draft.extents[extent];
        let (geometry, metadata) = (self.record.geometry, encoded.metadata());
        let member = self.record.member(&self.node(at)).unwrap();
        let pairs = member.shards.iter().flat_map(|&shard| {
            let pair = geometry.pair_of_shard(metadata.first_stripe(), shard);
            Axis::BOTH.map(|axis| (pair, axis))
        });
        let sliver = |(pair, axis)| {
            let bytes = encoded.sliver(axis, geometry.sliver_of_pair(axis, pair)).unwrap();
            Sliver { axis, pair, bytes }
        };
        Extent {
            length_bytes: u32::try_from(metadata.shape().length()).unwrap(),
            metadata: metadata.encode(),
            slivers: pairs.map(sliver).collect(),
        }
    }

    /// Asks a node to confirm; a draft of one extent brings its content along if `with_content`.
    pub async fn finish(
        &self,
        at: usize,
        draft: &Draft,
        with_content: bool,
    ) -> Result<FinishAnswer, CallError> {
        let inline =
            || InlineExtent { permit: draft.permit.clone(), extent: self.part(draft, 0, at) };
        let finish = Finish {
            claim: draft.claim.clone(),
            manifest: draft.manifest.encode(),
            adopts: None,
            inline: with_content.then(inline),
        };
        let upload = draft.permit.body.upload;
        self.nodes.finish(&self.target(at), upload, &finish).await.map(|answer| answer.value)
    }

    /// Asks a node to confirm a draft whose content it is to take over from another claim.
    pub async fn adopt(
        &self,
        at: usize,
        draft: &Draft,
        from: ClaimId,
    ) -> Result<FinishAnswer, CallError> {
        let finish: Finish<Vec<u8>> = Finish {
            claim: draft.claim.clone(),
            manifest: draft.manifest.encode(),
            adopts: Some(from),
            inline: None,
        };
        let upload = draft.permit.body.upload;
        self.nodes.finish(&self.target(at), upload, &finish).await.map(|answer| answer.value)
    }

    /// Gives a node its part of a draft of one extent, and takes its confirmation.
    pub async fn confirm(&self, at: usize, draft: &Draft) -> Confirmed {
        match self.finish(at, draft, true).await {
            Ok(FinishAnswer::Confirmed(confirmed)) => confirmed,
            other => panic!("node {at} does not confirm: {other:?}"),
        }
    }

    /// The certificate of these nodes' confirmations.
    pub fn certify(&self, draft: &Draft, confirmed: &[Confirmed]) -> CertifiedClaim {
        let claim = draft.claim.clone();
        let votes = confirmed
            .iter()
            .map(|confirmed| (self.record.position(&confirmed.node).unwrap(), confirmed.signature));
        let confirmation = Confirmation::of(&claim.body, self.record.geometry);
        let certificate = Certificate::gather(confirmation, &self.record, votes).unwrap();
        CertifiedClaim { claim, certificate }
    }

    /// Has some nodes confirm, and gathers the certificate.
    pub async fn certified_by(&self, nodes: &[usize], draft: &Draft) -> CertifiedClaim {
        let mut confirmed = Vec::new();
        for &at in nodes {
            confirmed.push(self.confirm(at, draft).await);
        }
        self.certify(draft, &confirmed)
    }

    /// Hands a certificate to a node.
    pub async fn put_certificate(
        &self,
        at: usize,
        certified: &CertifiedClaim,
    ) -> Result<CertificateAnswer, CallError> {
        let answer = self.nodes.put_certificate(&self.target(at), certified).await;
        answer.map(|answer| answer.value)
    }
}
