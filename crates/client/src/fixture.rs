//! A committee whose nodes live in memory, for tests of the pipelines.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use floe_api::messages::{
    Acknowledgement, CertificateAnswer, CertifiedClaim, Chain, ChainLink, Closing, Confirmed,
    Decode as _, Extent, Finish, FinishAnswer, NameStatement, Received, Statements,
};
use floe_api::{Answer, ApiError, CallError, EpochHint, ErrorCode, Pieces, Span};
use floe_env::{BoxFuture, Clock, Env};
use floe_model::keys::{NodeKey, RegistrarKey};
use floe_model::record::{
    Member, NO_PARENT, Policy, Registrar, RegistrarRole, possession_statement,
};
use floe_model::{
    Acceptance, Axis, BlobId, BlobLayout, BlobName, Certificate, ClaimId, CommitProof, CommitteeId,
    Confirmation, EpochNumber, EpochRecord, ExtentIndex, Geometry, Incarnation, Lineage,
    NamespaceUid, NodeName, PairIndex, RecordHash, ShardIndex, SignedPermit, SignedRecord,
    SignedRelease, Tally, Threshold, Unverified, UploadId, VolumeId,
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
}

/// The key of a node's volume.
pub(crate) fn node_key(number: usize, incarnation: Incarnation) -> NodeKey {
    let number = u8::try_from(number).unwrap();
    let incarnation = u8::try_from(incarnation.0).unwrap();
    NodeKey::generate(&[[number + 10; 16], [incarnation; 16]].concat().try_into().unwrap()).unwrap()
}

/// A node on a volume.
fn member(number: usize, incarnation: Incarnation, shards: Vec<ShardIndex>) -> Member {
    let committee = CommitteeId([1; 16]);
    let node: NodeName = format!("node-{number}").parse().unwrap();
    let key = node_key(number, incarnation);
    let digit = u8::try_from(number).unwrap();
    let volume = [[digit; 8], [u8::try_from(incarnation.0).unwrap(); 8]].concat();
    let volume = VolumeId(volume.try_into().unwrap());
    let possession = possession_statement(&committee, &node, incarnation, &volume, &key.public());
    Member {
        node,
        incarnation,
        volume,
        address: format!("127.0.0.1:{}", 7000 + number),
        zone: String::new(),
        host: String::new(),
        key: key.public(),
        possession: key.prove_possession(&possession),
        shards,
    }
}

impl Cast {
    pub(crate) fn new(n: u16, shards: &[u16]) -> Self {
        let (operator, gateway) =
            (RegistrarKey::from_seed(&[1; 32]), RegistrarKey::from_seed(&[2; 32]));
        let mut members = Vec::new();
        let mut next = 0;
        for (number, &count) in shards.iter().enumerate() {
            let owned = (next..next + count).map(ShardIndex).collect();
            members.push(member(number, Incarnation(0), owned));
            next += count;
        }
        assert_eq!(next, n, "every shard has an owner");
        let registrar = |role, key: &RegistrarKey| Registrar { role, key: key.public() };
        let record = EpochRecord {
            committee: CommitteeId([1; 16]),
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
        Self { record, operator, gateway }
    }

    /// The record that gives a node its next volume, `step` numbers above its parent.
    pub(crate) fn replacing(parent: &EpochRecord, node: usize, step: u64) -> EpochRecord {
        let mut record = parent.clone();
        (record.parent, record.number) = (parent.hash(), EpochNumber(parent.number.0 + step));
        let old = record.members.remove(node);
        let next = Incarnation(old.incarnation.0 + 1);
        record.unfilled.extend(&old.shards);
        record.unfilled.sort();
        record.unfilled.dedup();
        record.members.insert(node, member(node, next, old.shards));
        record
    }

    /// The record that gives a shard to another node.
    pub(crate) fn moving(parent: &EpochRecord, shard: ShardIndex, to: usize) -> EpochRecord {
        let mut record = parent.clone();
        (record.parent, record.number) = (parent.hash(), EpochNumber(parent.number.0 + 1));
        record.members.iter_mut().for_each(|member| member.shards.retain(|it| *it != shard));
        record.members[to].shards.push(shard);
        record.members[to].shards.sort();
        record.unfilled = vec![shard];
        record
    }

    pub(crate) fn sign(&self, record: EpochRecord) -> SignedRecord {
        let signature = self.operator.sign(&SignedRecord::statement(&record));
        SignedRecord { record, key: self.operator.public(), signature }
    }

    /// The proof that these volumes {node, incarnation} of the parent (of record 0: its own) accepted.
    pub(crate) fn commit(
        parent: Option<&EpochRecord>,
        record: &EpochRecord,
        accepted: &[usize],
    ) -> Option<CommitProof> {
        let over = parent.unwrap_or(record);
        let accept = |&number: &usize| {
            let member = &over.members[number];
            let key = node_key(number, member.incarnation);
            Acceptance::sign(record, member.node.clone(), member.incarnation, &key)
        };
        let accepted: Vec<_> = accepted.iter().map(accept).collect();
        let lineage = match parent {
            None => Lineage::of_genesis(record),
            Some(parent) => Lineage::new(vec![parent], 1),
        };
        CommitProof::gather(record, &lineage, &accepted).ok()
    }

    /// A record with the proof that all volumes of its parent accepted it.
    pub(crate) fn link(&self, parent: Option<&EpochRecord>, record: &EpochRecord) -> ChainLink {
        let all: Vec<usize> = (0..parent.unwrap_or(record).members.len()).collect();
        let proof = Self::commit(parent, record, &all);
        ChainLink { record: self.sign(record.clone()), proof }
    }

    pub(crate) fn genesis(&self) -> ChainLink {
        self.link(None, &self.record)
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
    /// The place in the chain of the record that it accepted.
    pub(crate) accepted: usize,
    /// It serves no upload of an older record any more.
    pub(crate) forgets: bool,
    /// It was asked for a blob that it did not get, and rebuilds it from its peers.
    pub(crate) lacks_what_others_rebuild: bool,
}

/// A volume: the node's place in record 0, and which of its volumes.
type Volume = (usize, Incarnation);

/// All nodes of a committee, also those that were replaced.
pub(crate) struct Fleet {
    pub(crate) cast: Cast,
    chain: Mutex<Vec<ChainLink>>,
    nodes: Mutex<Vec<(Volume, Mode, Holder)>>,
    /// Requests that were refused for want of an epoch record.
    refused: AtomicUsize,
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
        let cast = Cast::new(n, shards);
        let node = |number| ((number, Incarnation(0)), Mode::Up, Holder::default());
        let nodes = (0..shards.len()).map(node).collect();
        let (chain, nodes) = (Mutex::new(vec![cast.genesis()]), Mutex::new(nodes));
        Arc::new(Self { chain, nodes, refused: AtomicUsize::new(0), cast })
    }

    pub(crate) fn client(self: &Arc<Self>, budget: Budget) -> Client {
        let chain = Chain { links: vec![self.cast.genesis()] };
        let committee = Arc::new(Committee::from_chain(chain).unwrap());
        let nodes = Arc::new(FleetNodes(Arc::clone(self)));
        Client::over(env(), nodes, committee, Some(self.cast.gateway.clone()), budget)
    }

    /// Adds a record to the chain, committed or not; nobody has accepted it yet. Gives its place.
    pub(crate) fn propose(&self, record: &EpochRecord, committed: bool) -> usize {
        let mut chain = self.chain.lock().unwrap();
        let parent = chain.last().unwrap().record.record.clone();
        let mut link = self.cast.link(Some(&parent), record);
        link.proof = link.proof.filter(|_| committed);
        chain.push(link);
        chain.len() - 1
    }

    /// The proof of the newest record becomes known.
    pub(crate) fn prove(&self) {
        let mut chain = self.chain.lock().unwrap();
        let (last, before) = chain.split_last_mut().unwrap();
        let parent = &before.last().unwrap().record.record;
        last.proof = self.cast.link(Some(parent), &last.record.record).proof;
    }

    /// These nodes accept the record at this place.
    pub(crate) fn accept(&self, nodes: impl IntoIterator<Item = usize>, place: usize) {
        nodes.into_iter().for_each(|node| self.with(node, |holder| holder.accepted = place));
    }

    /// A node gets its next volume by a record that nobody accepted yet; the old volume goes on. Gives
    /// the new one's place among the nodes, and the record's in the chain.
    pub(crate) fn replace(&self, node: usize, committed: bool) -> (usize, usize) {
        let newest = self.newest();
        let incarnation = Incarnation(newest.members[node].incarnation.0 + 1);
        let place = self.propose(&Cast::replacing(&newest, node, 1), committed);
        let mut nodes = self.lock();
        let holder = Holder { accepted: place, ..Holder::default() };
        nodes.push(((node, incarnation), Mode::Up, holder));
        (nodes.len() - 1, place)
    }

    /// The last record of the chain.
    pub(crate) fn newest(&self) -> EpochRecord {
        self.chain.lock().unwrap().last().unwrap().record.record.clone()
    }

    pub(crate) fn set(&self, node: usize, mode: Mode) {
        self.lock()[node].1 = mode;
    }

    pub(crate) fn with<T>(&self, node: usize, look: impl FnOnce(&mut Holder) -> T) -> T {
        look(&mut self.lock()[node].2)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Volume, Mode, Holder)>> {
        self.nodes.lock().unwrap()
    }

    fn find(&self, to: &Member) -> Option<usize> {
        let number = self.cast.record.position(&to.node)?;
        self.lock().iter().position(|(volume, ..)| *volume == (number, to.incarnation))
    }

    /// Ends when so many requests were refused for want of an epoch record.
    pub(crate) async fn until_refused(&self, count: usize) {
        while self.refused.load(Ordering::Acquire) < count {
            tokio::task::yield_now().await;
        }
    }

    /// What a node accepted.
    fn accepted(&self, node: usize) -> ChainLink {
        let place = self.with(node, |holder| holder.accepted);
        self.chain.lock().unwrap()[place].clone()
    }

    /// The record that a statement names, if the node serves it.
    fn serves(&self, node: usize, named: RecordHash) -> Result<EpochRecord, ApiError> {
        let accepted = self.accepted(node).record.record;
        let forgets = self.with(node, |holder| holder.forgets);
        let chain = self.chain.lock().unwrap();
        let known = chain.iter().take_while(|link| link.record.record.number <= accepted.number);
        let is_served =
            |link: &&ChainLink| !forgets || link.record.record.number == accepted.number;
        let link = known.filter(is_served).find(|link| link.record.record.hash() == named);
        let link = link.filter(|link| link.proof.is_some());
        link.map(|link| link.record.record.clone())
            .ok_or_else(|| ApiError::need_epoch(accepted.number))
    }

    fn acknowledge(&self, node: usize, certificate: &Certificate) -> Result<(), ApiError> {
        let accepted = self.accepted(node).record.record;
        let under = self.chain.lock().unwrap().iter().find_map(|link| {
            let record = &link.record.record;
            (record.hash() == certificate.record).then(|| record.clone())
        });
        let under = under.ok_or_else(|| ApiError::need_epoch(accepted.number))?;
        let counted = Tally::of(&under, certificate.signers.positions()).still_owned(&accepted);
        if counted < Threshold::Correct.shards(accepted.geometry) {
            return Err(ApiError::need_epoch(accepted.number));
        }
        Ok(())
    }

    fn finish(
        &self,
        node: usize,
        mode: Mode,
        upload: UploadId,
        finish: Finish<Received>,
    ) -> Result<FinishAnswer, ApiError> {
        let record = self.serves(node, finish.claim.record)?;
        let claim = &finish.claim.body;
        let layout = BlobLayout::new(record.geometry, claim.length);
        let mut nodes = self.lock();
        let (number, incarnation) = nodes[node].0;
        let lacking = nodes[node].2.lacks_what_others_rebuild;
        let rebuilt = nodes.iter().find_map(|(_, _, other)| other.blobs.get(&claim.blob).cloned());
        let holder = &mut nodes[node].2;
        let mut extents = holder.uploads.remove(&upload).unwrap_or_default();
        if let Some(inline) = finish.inline {
            extents.insert(ExtentIndex(0), inline.extent);
        }
        let manifest = finish.manifest.into_unverified();
        let blob = holder.blobs.entry(claim.blob).or_insert((manifest, BTreeMap::new()));
        blob.1.append(&mut extents);
        let missing = layout.extents() as usize - blob.1.len();
        if missing > 0 {
            // The next time it asks, the peers have helped: what pairs these are does not matter here.
            if let Some((_, others)) = rebuilt.filter(|_| lacking) {
                blob.1.extend(others);
            }
            holder.lacks_what_others_rebuild = true;
            let missing_slivers = missing as u64;
            return Ok(FinishAnswer::Rebuilding { missing_slivers, retry_after_seconds: 1 });
        }
        let statement =
            Confirmation::of(claim, record.geometry).statement(&record.committee, &record.hash());
        let lie = if mode == Mode::Lying { &b"x"[..] } else { b"" };
        let signature = node_key(number, incarnation).sign(&[&statement, lie].concat());
        Ok(FinishAnswer::Confirmed(Confirmed {
            node: self.cast.record.members[number].node.clone(),
            incarnation,
            record: record.hash(),
            signature,
        }))
    }
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
        let (fleet, target) = (Arc::clone(&self.0), to.node.to_string());
        let node = fleet.find(to);
        Box::pin(async move {
            let unreachable = CallError::Unreachable { target, reason: "refused".to_owned() };
            let Some(node) = node else { return Err(unreachable) };
            let mode = fleet.lock()[node].1;
            match mode {
                Mode::Down => return Err(unreachable),
                Mode::Hung => std::future::pending().await,
                Mode::Refusing(code) if writes => {
                    return Err(CallError::Api(ApiError::new(code, "as told")));
                }
                Mode::Behind if writes => {
                    return Err(CallError::Api(ApiError::need_epoch(EpochNumber(0))));
                }
                Mode::Refusing(_) | Mode::Behind | Mode::Up | Mode::Lying => {}
            }
            let value = act(&fleet, node, mode).map_err(|refusal| {
                let needs_epoch = refusal.code == ErrorCode::NeedEpoch;
                fleet.refused.fetch_add(usize::from(needs_epoch), Ordering::AcqRel);
                CallError::Api(refusal)
            })?;
            let accepted = fleet.accepted(node).record.record;
            let epoch = EpochHint { number: accepted.number, hash: accepted.hash() };
            Ok(Answer { value, epoch: Some(epoch) })
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
    fn epoch(&self, to: &Member, after: Option<EpochNumber>) -> Call<Chain> {
        self.call(to, false, move |fleet, node, _| {
            let place = fleet.with(node, |holder| holder.accepted);
            let mut links = fleet.chain.lock().unwrap()[..=place].to_vec();
            links.retain(|link| after.is_none_or(|after| link.record.record.number > after));
            Ok(Chain { links })
        })
    }

    fn push_epoch(&self, to: &Member, pushed: Chain) -> Call<()> {
        self.call(to, false, move |fleet, node, mode| {
            if mode == Mode::Behind {
                fleet.set(node, Mode::Up);
            }
            let tip = pushed.links.last().map(|link| link.record.record.hash());
            let place = fleet
                .chain
                .lock()
                .unwrap()
                .iter()
                .position(|link| Some(link.record.record.hash()) == tip);
            let place = place.ok_or_else(|| ApiError::malformed("another chain"))?;
            fleet.with(node, |holder| holder.accepted = holder.accepted.max(place));
            Ok(())
        })
    }

    fn open_upload(&self, to: &Member, permit: &SignedPermit) -> Call<()> {
        let (upload, named) = (permit.body.upload, permit.record);
        self.call(to, true, move |fleet, node, _| {
            fleet.serves(node, named)?;
            fleet.with(node, |holder| {
                holder.opened += 1;
                holder.uploads.entry(upload).or_default();
            });
            Ok(())
        })
    }

    fn put_extent(&self, to: &Member, at: (UploadId, ExtentIndex), body: Pieces) -> Call<()> {
        self.call(to, true, move |fleet, node, _| {
            let extent = Extent::<Received>::decode(&body.to_bytes()).unwrap();
            fleet.with(node, |holder| {
                let unknown = ApiError::new(ErrorCode::UnknownUpload, "no permit");
                holder.uploads.get_mut(&at.0).ok_or(unknown)?.insert(at.1, extent);
                Ok(())
            })
        })
    }

    fn finish(&self, to: &Member, upload: UploadId, body: Pieces) -> Call<FinishAnswer> {
        self.call(to, true, move |fleet, node, mode| {
            let finish = Finish::<Received>::decode(&body.to_bytes()).unwrap();
            fleet.finish(node, mode, upload, finish)
        })
    }

    fn put_certificate(&self, to: &Member, certified: &CertifiedClaim) -> Call<CertificateAnswer> {
        let certified = certified.clone();
        self.call(to, true, move |fleet, node, _| {
            fleet.acknowledge(node, &certified.certificate)?;
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

    fn resolve_released(
        &self,
        to: &Member,
        uid: NamespaceUid,
        name: &BlobName,
    ) -> Call<Statements> {
        self.resolve(to, uid, name)
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
