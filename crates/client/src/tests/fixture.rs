//! A committee whose nodes live in memory, for tests of the pipelines.

mod cast;
mod nodes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use floe_api::messages::{
    CertifiedClaim, Chain, ChainLink, Confirmed, Extent, Finish, FinishAnswer, Received,
};
use floe_api::{ApiError, ErrorCode};
use floe_env::{BoxFuture, Clock, Env};
use floe_model::record::Member;
use floe_model::{
    BlobId, BlobLayout, Certificate, Confirmation, EpochRecord, ExtentIndex, Incarnation, NodeName,
    RecordHash, SignedRelease, Tally, Threshold, UploadId,
};

use crate::budget::Budget;
use crate::client::Client;
use crate::committee::Committee;
use crate::observer::Observer;
pub(crate) use cast::{Cast, node_key, record_of, release_of};
use nodes::FleetNodes;

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
