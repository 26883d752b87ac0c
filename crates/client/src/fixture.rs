//! A committee whose nodes live in memory, for tests of the pipelines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use floe_api::messages::{
    Acknowledgement, CertificateAnswer, CertifiedClaim, Chain, ChainLink, Closing, Confirmed,
    Decode as _, Extent, Finish, FinishAnswer, NameStatement, Received, Statements,
};
use floe_api::{Answer, ApiError, CallError, ErrorCode, Span};
use floe_env::{BoxFuture, Clock, Env};
use floe_model::keys::{NodeKey, RegistrarKey};
use floe_model::record::{
    Member, NO_PARENT, Policy, Registrar, RegistrarRole, possession_statement,
};
use floe_model::{
    Acceptance, Axis, BlobId, BlobLayout, BlobName, ClaimId, CommitProof, CommitteeId,
    Confirmation, EpochNumber, EpochRecord, ExtentIndex, Geometry, Incarnation, Lineage,
    NamespaceUid, NodeName, PairIndex, ShardIndex, SignedPermit, SignedRecord, SignedRelease,
    Unverified, UploadId, VolumeId,
};

use crate::budget::Budget;
use crate::client::Client;
use crate::committee::Committee;
use crate::nodes::{Call, Nodes, PageOf};
use crate::observer::Observer;

/// A record of members with these numbers of shards.
pub(crate) fn record_of(n: u16, shards: &[u16]) -> EpochRecord {
    Cast::new(n, shards).record
}

/// Everyone's keys, and record 0.
pub(crate) struct Cast {
    pub(crate) record: EpochRecord,
    pub(crate) operator: RegistrarKey,
    pub(crate) gateway: RegistrarKey,
    pub(crate) keys: Vec<NodeKey>,
}

impl Cast {
    pub(crate) fn new(n: u16, shards: &[u16]) -> Self {
        let committee = CommitteeId([1; 16]);
        let (operator, gateway) =
            (RegistrarKey::from_seed(&[1; 32]), RegistrarKey::from_seed(&[2; 32]));
        let mut keys = Vec::new();
        let mut members = Vec::new();
        let mut next = 0;
        for (number, &count) in (0_u8..).zip(shards) {
            let key = NodeKey::generate(&[number + 10; 32]).unwrap();
            let node: NodeName = format!("node-{number}").parse().unwrap();
            let (incarnation, volume) = (Incarnation(0), VolumeId([number; 16]));
            let public = key.public();
            let possession = possession_statement(&committee, &node, incarnation, &volume, &public);
            members.push(Member {
                node,
                incarnation,
                volume,
                address: format!("127.0.0.1:{}", 7000 + u16::from(number)),
                zone: String::new(),
                host: String::new(),
                key: public,
                possession: key.prove_possession(&possession),
                shards: (next..next + count).map(ShardIndex).collect(),
            });
            keys.push(key);
            next += count;
        }
        assert_eq!(next, n, "every shard has an owner");
        let registrar = |role, key: &RegistrarKey| Registrar { role, key: key.public() };
        let record = EpochRecord {
            committee,
            number: EpochNumber(0),
            parent: NO_PARENT,
            forced: false,
            geometry: Geometry::of_shards(n).unwrap(),
            policy: Policy::default(),
            registrars: vec![
                registrar(RegistrarRole::Operator, &operator),
                registrar(RegistrarRole::Gateway, &gateway),
            ],
            members,
            unfilled: Vec::new(),
            wholes: Vec::new(),
        };
        Self { record, operator, gateway, keys }
    }

    pub(crate) fn sign(&self, record: EpochRecord) -> SignedRecord {
        let signature = self.operator.sign(&SignedRecord::statement(&record));
        SignedRecord { record, key: self.operator.public(), signature }
    }

    pub(crate) fn commit(&self, record: &EpochRecord) -> CommitProof {
        let accept = |(member, key): (&Member, &NodeKey)| {
            Acceptance::sign(record, member.node.clone(), member.incarnation, key)
        };
        let accepted: Vec<_> = record.members.iter().zip(&self.keys).map(accept).collect();
        CommitProof::gather(record, &Lineage::of_genesis(record), &accepted).unwrap()
    }

    pub(crate) fn genesis(&self) -> (SignedRecord, CommitProof) {
        (self.sign(self.record.clone()), self.commit(&self.record))
    }
}

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Up,
    /// Connections are refused.
    Down,
    /// It never answers.
    Hung,
    /// It answers with altered slivers, and signs altered confirmations.
    Lying,
    /// It takes writes only after the chain was pushed.
    Behind,
    /// It refuses what is written.
    Refusing(ErrorCode),
}

type Extents = BTreeMap<ExtentIndex, Extent<Received>>;

/// What one node holds.
#[derive(Default)]
pub(crate) struct Holder {
    pub(crate) uploads: BTreeMap<UploadId, Extents>,
    /// Manifest and extents.
    pub(crate) blobs: BTreeMap<BlobId, (Vec<u8>, Extents)>,
    pub(crate) claims: Vec<CertifiedClaim>,
    pub(crate) releases: Vec<SignedRelease>,
    /// Permits that came on their own.
    pub(crate) opened: usize,
}

/// All nodes of a committee.
pub(crate) struct Fleet {
    pub(crate) cast: Cast,
    nodes: Mutex<Vec<(Mode, Holder)>>,
}

/// Runs 20 times as fast as the real one.
struct FastClock(Arc<dyn Clock>);

const SPEED: u32 = 20;

impl Clock for FastClock {
    fn unix_millis(&self) -> u64 {
        self.0.unix_millis()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic() * SPEED
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration / SPEED)
    }
}

/// What an observer was told.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<String>>);

impl Observer for Told {
    fn verification_failed(&self, node: &NodeName, what: &str) {
        self.0.lock().unwrap().push(format!("{node}: {what}"));
    }
}

/// The real environment, with a faster clock.
pub(crate) fn env() -> Env {
    let env = floe_env::real_env(2).unwrap();
    Env { clock: Arc::new(FastClock(Arc::clone(&env.clock))), ..env }
}

impl Fleet {
    pub(crate) fn new(n: u16, shards: &[u16]) -> Arc<Self> {
        let nodes = shards.iter().map(|_| (Mode::Up, Holder::default())).collect();
        Arc::new(Self { cast: Cast::new(n, shards), nodes: Mutex::new(nodes) })
    }

    pub(crate) fn client(self: &Arc<Self>, budget: Budget) -> Client {
        let (record, proof) = self.cast.genesis();
        let chain = Chain { links: vec![ChainLink { record, proof: Some(proof) }] };
        let committee = Arc::new(Committee::from_chain(chain).unwrap());
        let nodes = Arc::new(FleetNodes(Arc::clone(self)));
        Client::over(env(), nodes, committee, Some(self.cast.gateway.clone()), budget)
    }

    pub(crate) fn set(&self, node: usize, mode: Mode) {
        self.lock()[node].0 = mode;
    }

    pub(crate) fn with<T>(&self, node: usize, look: impl FnOnce(&mut Holder) -> T) -> T {
        look(&mut self.lock()[node].1)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Mode, Holder)>> {
        self.nodes.lock().unwrap()
    }

    fn finish(
        &self,
        node: usize,
        mode: Mode,
        upload: UploadId,
        finish: &Finish<Bytes>,
    ) -> FinishAnswer {
        let record = &self.cast.record;
        let claim = &finish.claim.body;
        let layout = BlobLayout::new(record.geometry, claim.length);
        let mut nodes = self.lock();
        let holder = &mut nodes[node].1;
        let mut extents = holder.uploads.remove(&upload).unwrap_or_default();
        if let Some(inline) = &finish.inline {
            extents.insert(ExtentIndex(0), received(&inline.extent));
        }
        let manifest = finish.manifest.to_vec();
        let blob = holder.blobs.entry(claim.blob).or_insert((manifest, BTreeMap::new()));
        blob.1.append(&mut extents);
        let missing = layout.extents() as usize - blob.1.len();
        if missing > 0 {
            let missing_slivers = missing as u64;
            return FinishAnswer::Rebuilding { missing_slivers, retry_after_seconds: 1 };
        }
        let statement =
            Confirmation::of(claim, record.geometry).statement(&record.committee, &record.hash());
        let lie = if mode == Mode::Lying { &b"x"[..] } else { b"" };
        let signature = self.cast.keys[node].sign(&[&statement, lie].concat());
        let member = &record.members[node];
        FinishAnswer::Confirmed(Confirmed {
            node: member.node.clone(),
            incarnation: member.incarnation,
            record: record.hash(),
            signature,
        })
    }
}

fn received(extent: &Extent<Bytes>) -> Extent<Received> {
    use floe_api::messages::Encode as _;
    Extent::<Received>::decode(&extent.encode()).unwrap()
}

pub(crate) struct FleetNodes(Arc<Fleet>);

impl FleetNodes {
    /// Answers as the node's mode says.
    fn call<T: Send + 'static>(
        &self,
        to: &Member,
        writes: bool,
        act: impl FnOnce(&Fleet, usize, Mode) -> Result<T, ApiError> + Send + 'static,
    ) -> Call<T> {
        let fleet = Arc::clone(&self.0);
        let node = fleet.cast.record.position(&to.node).unwrap();
        Box::pin(async move {
            let mode = fleet.lock()[node].0;
            match mode {
                Mode::Down => {
                    let (target, reason) = (format!("node-{node}"), "refused".to_owned());
                    return Err(CallError::Unreachable { target, reason });
                }
                Mode::Hung => std::future::pending().await,
                Mode::Refusing(code) if writes => {
                    return Err(CallError::Api(ApiError::new(code, "as told")));
                }
                Mode::Behind if writes => {
                    return Err(CallError::Api(ApiError::need_epoch(EpochNumber(0))));
                }
                Mode::Refusing(_) | Mode::Behind | Mode::Up | Mode::Lying => {}
            }
            let value = act(&fleet, node, mode).map_err(CallError::Api)?;
            Ok(Answer { value, epoch: None })
        })
    }
}

fn absent() -> ApiError {
    ApiError::not_found("not here")
}

fn statements(
    holder: &Holder,
    wanted: impl Fn(NamespaceUid, &BlobName) -> bool,
) -> Vec<NameStatement> {
    let claims =
        holder.claims.iter().cloned().map(|claim| NameStatement::Certified(Box::new(claim)));
    let releases =
        holder.releases.iter().cloned().map(|release| NameStatement::Release(Box::new(release)));
    let uid = |statement: &NameStatement| match statement {
        NameStatement::Certified(certified) => certified.claim.body.namespace_uid,
        NameStatement::Release(release) => release.body.namespace_uid,
    };
    let mut items: Vec<_> = claims
        .chain(releases)
        .filter(|statement| wanted(uid(statement), statement.name()))
        .collect();
    items.sort_by(|one, other| one.name().cmp(other.name()));
    items
}

impl Nodes for FleetNodes {
    fn epoch(&self, to: &Member) -> Call<Chain> {
        self.call(to, false, |_, _, _| Ok(Chain::default()))
    }

    fn push_epoch(&self, to: &Member, _: Chain) -> Call<()> {
        self.call(to, false, |fleet, node, _| {
            fleet.set(node, Mode::Up);
            Ok(())
        })
    }

    fn open_upload(&self, to: &Member, permit: &SignedPermit) -> Call<()> {
        let upload = permit.body.upload;
        self.call(to, true, move |fleet, node, _| {
            fleet.with(node, |holder| {
                holder.opened += 1;
                holder.uploads.entry(upload).or_default();
            });
            Ok(())
        })
    }

    fn put_extent(&self, to: &Member, at: (UploadId, ExtentIndex), body: Bytes) -> Call<()> {
        self.call(to, true, move |fleet, node, _| {
            let extent = Extent::<Received>::decode(&body).unwrap();
            fleet.with(node, |holder| {
                let unknown = ApiError::new(ErrorCode::UnknownUpload, "no permit");
                holder.uploads.get_mut(&at.0).ok_or(unknown)?.insert(at.1, extent);
                Ok(())
            })
        })
    }

    fn finish(&self, to: &Member, upload: UploadId, finish: Finish<Bytes>) -> Call<FinishAnswer> {
        self.call(to, true, move |fleet, node, mode| Ok(fleet.finish(node, mode, upload, &finish)))
    }

    fn put_certificate(&self, to: &Member, certified: &CertifiedClaim) -> Call<CertificateAnswer> {
        let certified = certified.clone();
        self.call(to, true, move |fleet, node, _| {
            fleet.with(node, |holder| {
                if !holder.claims.contains(&certified) {
                    holder.claims.push(certified);
                }
            });
            Ok(CertificateAnswer { state: Acknowledgement::Acknowledged, missing_slivers: 0 })
        })
    }

    fn put_release(&self, to: &Member, release: &SignedRelease) -> Call<()> {
        let release = release.clone();
        self.call(to, true, move |fleet, node, _| {
            fleet.with(node, |holder| holder.releases.push(release));
            Ok(())
        })
    }

    fn close(&self, to: &Member, claim: ClaimId) -> Call<Closing> {
        self.call(to, true, move |fleet, node, _| {
            fleet.with(node, |holder| {
                let held = holder.claims.iter().find(|held| held.claim.body.claim == claim);
                Ok(held.map_or(Closing::Closed, |held| Closing::Certified(Box::new(held.clone()))))
            })
        })
    }

    fn resolve(&self, to: &Member, uid: NamespaceUid, name: &BlobName) -> Call<Statements> {
        let name = name.clone();
        self.call(to, false, move |fleet, node, _| {
            let wanted = |in_uid, of: &BlobName| in_uid == uid && *of == name;
            let items = fleet.with(node, |holder| statements(holder, wanted));
            Ok(Statements { items, complete: true })
        })
    }

    fn list(&self, to: &Member, page: &PageOf) -> Call<Statements> {
        let page = page.clone();
        self.call(to, false, move |fleet, node, _| {
            let wanted = |uid, name: &BlobName| {
                uid == page.namespace_uid && page.after.as_ref().is_none_or(|after| name > after)
            };
            let mut items = fleet.with(node, |holder| statements(holder, wanted));
            let mut names: Vec<_> = items.iter().map(|item| item.name().clone()).collect();
            names.dedup();
            let next = names.get(page.limit as usize).cloned();
            items.retain(|item| next.as_ref().is_none_or(|next| item.name() < next));
            Ok(Statements { items, complete: next.is_none() })
        })
    }

    fn manifest(&self, to: &Member, blob: BlobId) -> Call<Received> {
        self.call(to, false, move |fleet, node, _| {
            fleet.with(node, |holder| {
                let held = holder.blobs.get(&blob).ok_or_else(absent)?;
                Ok(Unverified::new(held.0.clone()))
            })
        })
    }

    fn metadata(&self, to: &Member, at: (BlobId, ExtentIndex)) -> Call<Received> {
        self.call(to, false, move |fleet, node, _| {
            fleet.with(node, |holder| {
                let extents = &holder.blobs.get(&at.0).ok_or_else(absent)?.1;
                Ok(extents.get(&at.1).ok_or_else(absent)?.metadata.clone())
            })
        })
    }

    fn sliver(
        &self,
        to: &Member,
        at: (BlobId, ExtentIndex),
        (axis, pair): (Axis, PairIndex),
        stripes: Option<Span>,
    ) -> Call<Received> {
        self.call(to, false, move |fleet, node, mode| {
            let geometry = fleet.cast.record.geometry;
            fleet.with(node, |holder| {
                let extents = &holder.blobs.get(&at.0).ok_or_else(absent)?.1;
                let extent = extents.get(&at.1).ok_or_else(absent)?;
                let sliver =
                    extent.slivers.iter().find(|sliver| (sliver.axis, sliver.pair) == (axis, pair));
                let whole = sliver.ok_or_else(absent)?.bytes.as_unverified();
                let length = extent.length_bytes as usize;
                let shape = floe_model::ExtentShape::new(geometry, length).unwrap();
                let stripes = stripes.map_or(0..shape.stripes(), Span::range);
                let first = shape.sliver_range(axis, stripes.start).start;
                let end = shape.sliver_range(axis, stripes.end - 1).end;
                let mut bytes = whole[first..end].to_vec();
                if mode == Mode::Lying {
                    bytes[0] ^= 1;
                }
                Ok(Unverified::new(bytes))
            })
        })
    }
}
