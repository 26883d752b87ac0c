//! A store on a simulated disk: random operations, crashes at any operation of the disk, failed
//! syncs and a full disk. After every restart every sliver verifies or is missing, everything that
//! was synced is there, and the state is that of the synced transactions and a prefix of the others.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use floe_env::Random;
use floe_model::keys::{RegistrarPublicKey, RegistrarSignature};
use floe_model::{
    Axis, BlobId, CatalogEntry, ClaimId, CommitteeId, ExtentIndex, ExtentShape, FeedPosition,
    Geometry, Incarnation, NamespaceUid, NodeName, PairIndex, Permit, RecordHash, Release, Signed,
    Timestamp, Unverified, UploadId, VolumeId,
};
use floe_redstuff::{EncodedExtent, ExtentSliver, Verified, encode_extent, verify_sliver};
use floe_store::{
    BlobKey, Entry, Expected, LogSpan, State, Store, StoreError, TransactError, VolumeIdentity,
};
use floe_tests::sim::{DiskOperation, EventLog, SimDisk, SimRandom, seeds};

const DIR: &str = "/volume";
const CAPACITY_BYTES: u64 = 64 << 20;
const OPERATIONS: u64 = 400;

type Address = (BlobKey, ExtentIndex, PairIndex, Axis);

/// An extent and its verified slivers.
struct Sample {
    extent: EncodedExtent,
    slivers: BTreeMap<(PairIndex, Axis), Verified<ExtentSliver>>,
}

/// Of less than a sector, of a few, of several chunks.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let geometry = Geometry::of_shards(4).unwrap();
    let sample = |length| {
        let shape = ExtentShape::new(geometry, length).unwrap();
        let data: Vec<u8> = (0..length).map(|at| u8::try_from(at % 249).unwrap()).collect();
        let extent = encode_extent(shape, &data).unwrap();
        let mut slivers = BTreeMap::new();
        for pair in (0..4).map(PairIndex) {
            for axis in Axis::BOTH {
                let index = geometry.sliver_of_pair(axis, pair);
                let bytes = Unverified::new(extent.sliver(axis, index).unwrap());
                let sliver = verify_sliver(extent.metadata(), axis, index, bytes).unwrap();
                slivers.insert((pair, axis), sliver);
            }
        }
        Sample { extent, slivers }
    };
    [10, 5_000, 180_000].into_iter().map(sample).collect()
});

fn sample(key: BlobKey, extent: ExtentIndex) -> &'static Sample {
    let number = key.0.wrapping_mul(3).wrapping_add(u64::from(extent.0));
    &SAMPLES[usize::try_from(number % SAMPLES.len() as u64).unwrap()]
}

/// What the volume must hold, or may.
#[derive(Default)]
struct Model {
    /// Transactions that took place, oldest first.
    transactions: Vec<Vec<Entry>>,
    /// So many of them are durable.
    durable: usize,
    /// Slivers that were put, with whether they must be there.
    slivers: BTreeMap<Address, bool>,
    identity: Option<VolumeIdentity>,
}

impl Model {
    fn state(&self) -> State {
        let mut state = State::default();
        for entry in self.transactions.iter().flatten() {
            state.apply(entry, LogSpan::default());
        }
        state
    }

    fn all_durable(&mut self) {
        self.durable = self.transactions.len();
        self.slivers.values_mut().for_each(|must| *must = true);
    }
}

struct Run {
    seed: u64,
    disk: SimDisk,
    random: SimRandom,
    store: Option<Store>,
    model: Model,
    crashes: u32,
    number: u64,
    log: EventLog,
}

/// On a failure, what the disk was asked for last.
impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.log.lines();
            println!("{}", lines[lines.len().saturating_sub(200)..].join("\n"));
        }
    }
}

fn expected() -> Expected {
    Expected {
        committee: CommitteeId([1; 16]),
        node: "node-1".parse().unwrap(),
        incarnation: Incarnation(0),
    }
}

fn peer() -> NodeName {
    "peer".parse().unwrap()
}

/// The transaction's number: tells how many of them a restarted store remembers.
fn number_of(state: &State) -> usize {
    let sequence = state.cursor(&peer()).map_or(0, |position| position.sequence);
    usize::try_from(sequence).unwrap()
}

/// Everything but slivers and places in the log.
fn describe(state: &State) -> String {
    let mut text = String::new();
    for (id, upload) in state.uploads() {
        writeln!(text, "upload {id} {upload:?}").unwrap();
    }
    for (key, under) in state.keys() {
        let (blob, stable) = (under.blob(), under.is_stable());
        writeln!(text, "key {key} {blob:?} {stable} {}", under.manifest().is_some()).unwrap();
        for (extent, known) in under.extents() {
            writeln!(text, "  extent {extent} {:?} {}", known.shape(), known.first_stripe())
                .unwrap();
        }
        if let Some((blob, _)) = blob {
            writeln!(text, "  lives {:?}", state.blob(&blob)).unwrap();
        }
    }
    for (id, claim) in state.claims() {
        writeln!(text, "claim {id} {claim:?}").unwrap();
    }
    let namespace = NamespaceUid([5; 16]);
    for name in state.names(&namespace, None, usize::MAX) {
        let releases: Vec<_> = state.releases_of_name(&namespace, name).collect();
        writeln!(text, "name {name} {releases:?}").unwrap();
    }
    writeln!(text, "{} {} {:?}", state.feed_head(), state.caught_up(), state.cursors()).unwrap();
    text
}

impl Run {
    fn new(seed: u64) -> Self {
        let log = EventLog::default();
        let disk = SimDisk::new("disk", CAPACITY_BYTES, &log);
        let random = SimRandom::new(seed, 0);

        let model = Model::default();
        Self { seed, disk, random, store: None, model, crashes: 0, number: 0, log }
    }

    fn pick(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn run(&mut self) {
        for _ in 0..OPERATIONS {
            if self.store.is_none() && !self.open() {
                continue;
            }
            self.step();
            let is_failed = self.store.as_ref().is_some_and(|store| store.failed().is_some());
            if self.disk.is_halted() || is_failed || self.pick(40) == 0 {
                self.stop();
            }
        }
        self.stop();
        while !self.open() {}
        assert!(self.crashes > 3, "seed {}: {} crashes", self.seed, self.crashes);
    }

    /// The process ends, at times with the power. At times the next start dies in the middle too.
    fn stop(&mut self) {
        self.store = None;
        self.crashes += 1;
        if self.pick(3) == 0 {
            self.disk.kill();
        } else {
            self.disk.crash(&self.random);
        }
        self.disk.set_capacity_bytes(CAPACITY_BYTES);
        match self.pick(6) {
            0 => self.disk.halt_after(self.pick(30)),
            1 => self.disk.fail_syncs(1),
            _ => {}
        }
    }

    fn open(&mut self) -> bool {
        let opened = Store::open(
            Arc::new(self.disk.clone()),
            &SimRandom::new(self.seed, 1 + u64::from(self.crashes)),
            Path::new(DIR),
            &expected(),
        );
        match opened {
            Ok(store) if !self.disk.is_halted() => {
                self.disk.clear_faults();
                self.check(&store);
                self.store = Some(store);
                true
            }
            Ok(_) => {
                self.stop();
                false
            }
            Err(error) => {
                let text = format!("{error}: {:?}", std::error::Error::source(&error));
                assert!(text.contains("simulated"), "seed {}: {text}", self.seed);
                self.stop();
                false
            }
        }
    }

    /// What holds after every restart.
    fn check(&mut self, store: &Store) {
        let seed = self.seed;
        let model = &mut self.model;
        let identity = model.identity.get_or_insert_with(|| store.identity());
        assert_eq!(*identity, store.identity(), "seed {seed}");

        let remembered = store.read(number_of);
        let range = model.durable..=model.transactions.len();
        assert!(range.contains(&remembered), "seed {seed}: {remembered} not in {range:?}");
        model.transactions.truncate(remembered);
        let expected = model.state();
        store.read(|state| {
            assert_eq!(describe(state), describe(&expected), "seed {seed}");
            assert!(state.next_key() >= expected.next_key(), "seed {seed}");
        });

        model.slivers.retain(|(key, extent, ..), _| {
            expected.key(*key).is_some_and(|under| under.extent(*extent).is_some())
        });
        let held = held(store);
        for address in &held {
            assert!(model.slivers.contains_key(address), "seed {seed}: {address:?} never put");
            let (key, extent, pair, axis) = *address;
            let good = &sample(key, extent).slivers[&(pair, axis)];
            let read = store.read_sliver(key, extent, pair, axis, 0..usize::MAX).unwrap();
            assert_eq!(read.as_deref(), Some(good.bytes()), "seed {seed}: {address:?}");
        }
        for (address, must) in &model.slivers {
            assert!(!must || held.contains(address), "seed {seed}: {address:?} lost");
        }
        model.slivers.retain(|address, _| held.contains(address));
        // A restart has synced all that it found.
        model.all_durable();
        assert_eq!(store.corrupt_slivers(), 0, "seed {seed}: torn, but thought stable");

        let feed = store.feed(0, usize::MAX).unwrap();
        let catalog = model.transactions.iter().flatten().filter_map(|entry| match entry {
            Entry::Catalog(entry) => Some(entry.clone()),
            _ => None,
        });
        let numbered: Vec<_> = (1..).zip(catalog).collect();
        // What said nothing new has a number, and nothing behind it.
        let told = |it: &&(u64, CatalogEntry)| feed.contains(it) || !expected.knows(&it.1);
        let wanted: Vec<_> = numbered.iter().filter(told).cloned().collect();
        assert_eq!(feed, wanted, "seed {seed}");
        for (key, under) in expected.keys() {
            for (extent, _) in under.extents() {
                let metadata = sample(key, extent).extent.metadata().encode();
                assert_eq!(store.metadata(key, extent).unwrap(), Some(metadata), "seed {seed}");
            }
        }
    }

    fn step(&mut self) {
        match self.pick(24) {
            0..=3 => self.open_upload(),
            4..=12 => self.put(),
            13..=14 => self.manifest(),
            15..=17 => self.sync(),
            18 => self.stable(),
            19 => self.catalog(),
            20 => self.expire(),
            21 => self.remove(),
            22 => match self.pick(4) {
                0 => self.disk.halt_after(self.pick(20)),
                1 => self.disk.fail_syncs(1),
                2 => self.disk.inject(|operation, path| {
                    let is_log = path.ends_with("control.log");
                    (is_log && operation == DiskOperation::Sync).then_some(ErrorKind::Other)
                }),
                _ => self.fill(),
            },
            _ => self.disk.set_capacity_bytes(CAPACITY_BYTES),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("an open store")
    }

    /// Leaves less room than a transaction needs.
    fn fill(&mut self) {
        let used: u64 = self.disk.files().iter().map(|(_, bytes)| bytes).sum();
        self.disk.set_capacity_bytes(used + self.pick(700));
    }

    fn transact(&mut self, mut entries: Vec<Entry>) {
        let sequence = self.model.transactions.len() as u64 + 1;
        let position = FeedPosition { volume: VolumeId([2; 16]), sequence };
        entries.push(Entry::Cursor { node: peer(), position });
        let done = self.store().transact::<_, Infallible>(|_| Ok((entries.clone(), ())));
        match done {
            Ok(()) => self.model.transactions.push(entries),
            Err(TransactError::Store(StoreError::Unsynced(_))) => {}
            Err(error) => self.explained(&error.to_string()),
        }
    }

    /// Nothing fails without a fault.
    fn explained(&self, error: &str) {
        let faults = ["simulated", "storage full", "writing ended"];
        let is_fault = faults.iter().any(|fault| error.contains(fault));
        assert!(is_fault, "seed {}: {error}", self.seed);
    }

    fn keys(&self) -> Vec<(BlobKey, Vec<ExtentIndex>)> {
        let extents = |under: &floe_store::KeyState| under.extents().map(|(at, _)| at).collect();
        self.store().read(|state| state.keys().map(|(key, under)| (key, extents(under))).collect())
    }

    fn some_key(&self) -> Option<(BlobKey, Vec<ExtentIndex>)> {
        let mut keys = self.keys();
        let at = usize::try_from(self.pick(keys.len() as u64)).unwrap();
        (at < keys.len()).then(|| keys.swap_remove(at))
    }

    fn open_upload(&mut self) {
        let key = self.store().read(State::next_key);
        self.number += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.number.to_be_bytes());
        let permit = signed(Permit {
            upload: UploadId(id),
            claim: ClaimId(id),
            namespace_uid: NamespaceUid([5; 16]),
            name: "blob".parse().unwrap(),
            signed: Timestamp(self.number),
        });
        let opened = Timestamp(self.number);
        let mut entries = vec![Entry::Upload { key, permit: Box::new(permit), opened }];
        for extent in (0..self.pick(3)).map(|at| ExtentIndex(u32::try_from(at).unwrap())) {
            let metadata = sample(key, extent).extent.metadata();
            entries.push(Entry::Extent {
                key,
                extent,
                shape: metadata.shape(),
                first_stripe: *metadata.first_stripe(),
                metadata: metadata.encode(),
            });
        }
        self.transact(entries);
    }

    fn put(&mut self) {
        let Some((key, extents)) = self.some_key() else { return };
        for extent in extents {
            let pair = PairIndex(u16::try_from(self.pick(4)).unwrap());
            let axis = Axis::BOTH[usize::try_from(self.pick(2)).unwrap()];
            let sliver = &sample(key, extent).slivers[&(pair, axis)];
            let put = self.store().put_sliver(key, extent, pair, sliver);
            // Even if it failed, it may be found later.
            self.model.slivers.entry((key, extent, pair, axis)).or_insert(false);
            if let Err(error) = put {
                self.explained(&error.to_string());
            }
        }
    }

    fn manifest(&mut self) {
        let Some((key, _)) = self.some_key() else { return };
        let mut blob = [0; 32];
        // At times another key's.
        blob[..8].copy_from_slice(&(key.0 / 2).to_be_bytes());
        let manifest = vec![7; 300];
        self.transact(vec![Entry::Manifest { key, blob: BlobId(blob), length: 1, manifest }]);
    }

    fn sync(&mut self) {
        match self.store().sync() {
            Ok(()) => {
                let held = held(self.store());
                self.model.durable = self.model.transactions.len();
                for (address, must) in &mut self.model.slivers {
                    *must |= held.contains(address);
                }
            }
            Err(error) => self.explained(&error.to_string()),
        }
    }

    fn stable(&mut self) {
        let Some((key, _)) = self.some_key() else { return };
        self.transact(vec![Entry::Stable { key }]);
    }

    fn catalog(&mut self) {
        let claim = ClaimId([u8::try_from(self.pick(9)).unwrap(); 16]);
        let blob = BlobId([u8::try_from(self.pick(3)).unwrap(); 32]);
        let release = signed(Release {
            claim,
            namespace_uid: NamespaceUid([5; 16]),
            name: "blob".parse().unwrap(),
            created: Timestamp(self.pick(5)),
            signed: Timestamp(self.pick(5)),
        });
        let (record, at) = (RecordHash([3; 32]), Timestamp(self.number));
        let entries = match self.pick(4) {
            0 => vec![
                Entry::Catalog(CatalogEntry::Binding { claim, blob }),
                Entry::Confirmed { claim, blob, record, at },
            ],
            1 => vec![Entry::Catalog(CatalogEntry::Closed { claim })],
            2 => vec![Entry::Catalog(CatalogEntry::ClosingVoid { claim }), Entry::CaughtUp],
            _ => vec![Entry::Catalog(CatalogEntry::Release(Box::new(release)))],
        };
        self.transact(entries);
    }

    fn expire(&mut self) {
        let Some((key, _)) = self.some_key() else { return };
        self.transact(vec![Entry::Expired { key }]);
    }

    fn remove(&mut self) {
        let present: BTreeSet<BlobKey> = self.keys().into_iter().map(|(key, _)| key).collect();
        let gone = self.model.slivers.keys().map(|address| address.0);
        let Some(key) = gone.filter(|key| !present.contains(key)).min() else { return };
        match self.store().remove_blob(key) {
            Ok(()) => {
                // It has synced.
                self.sync();
                self.model.slivers.retain(|address, _| address.0 != key);
            }
            Err(error) => self.explained(&error.to_string()),
        }
    }
}

fn held(store: &Store) -> BTreeSet<Address> {
    store.read(|state| {
        let extents = state.keys().flat_map(|(key, under)| {
            under.extents().map(move |(extent, known)| (key, extent, known))
        });
        let slivers = extents.flat_map(|(key, extent, known)| {
            known.held().map(move |(pair, axis)| (key, extent, pair, axis))
        });
        slivers.collect()
    })
}

fn signed<B>(body: B) -> Signed<B> {
    Signed {
        body,
        record: RecordHash([9; 32]),
        key: RegistrarPublicKey([8; 32]),
        signature: RegistrarSignature([7; 64]),
    }
}

#[test]
fn after_every_crash_slivers_are_whole_or_missing_and_what_was_synced_is_there() {
    for seed in seeds(100) {
        println!("seed {seed}");
        Run::new(seed).run();
    }
}

#[test]
fn a_turned_bit_of_a_sliver_is_never_served() {
    for seed in seeds(20) {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        run.open();
        while held(run.store()).len() < 12 {
            run.open_upload();
            run.put();
            run.sync();
        }
        let keys = run.keys();
        for (key, _) in keys {
            run.transact(vec![Entry::Stable { key }]);
        }
        run.sync();
        if run.pick(2) == 0 {
            // What is found wrong by a start is as good as what a reader finds.
            run.store = None;
            run.disk.kill();
            run.open();
        }
        let before = held(run.store());
        let files = run.disk.files().into_iter().map(|(path, _)| path);
        let slivers: Vec<_> = files.filter(|path| path.starts_with("/volume/slivers")).collect();
        assert_eq!(slivers.len(), before.len());
        for path in slivers.iter().step_by(2) {
            run.disk.corrupt(path, &run.random).unwrap();
        }
        let mut missing = 0;
        for (key, extent, pair, axis) in &before {
            let read = run.store().read_sliver(*key, *extent, *pair, *axis, 0..usize::MAX).unwrap();
            match read {
                Some(bytes) => {
                    assert_eq!(bytes, sample(*key, *extent).slivers[&(*pair, *axis)].bytes());
                }
                None => missing += 1,
            }
        }
        assert_eq!(missing, slivers.iter().step_by(2).count(), "seed {seed}");
        assert_eq!(run.store().corrupt_slivers(), missing as u64);
        assert_eq!(held(run.store()).len(), before.len() - missing);
        // They come again, and stay.
        for (key, extent, pair, axis) in &before {
            let sliver = &sample(*key, *extent).slivers[&(*pair, *axis)];
            run.store().put_sliver(*key, *extent, *pair, sliver).unwrap();
        }
        run.sync();
        run.store = None;
        run.disk.crash(&run.random);
        assert!(run.open());
        assert_eq!(held(run.store()), before, "seed {seed}");
    }
}
