//! Volumes opened from outside, on a copy: what a node would find after a power loss now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_model::{BlobId, ClaimId, EpochRecord, NodeName, RecordHash, ShardIndex, Timestamp};
use floe_store::{Expected, State, Store, Window};

use super::World;
use crate::held_slivers::check_slivers;
use crate::sim::{EventLog, SimDisk, SimRandom};

/// What a volume holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// Claims with a certificate: the blob, and the record it was certified under.
    pub certified: BTreeMap<ClaimId, (BlobId, RecordHash)>,
    /// Claims that are released.
    pub released: BTreeSet<ClaimId>,
    /// Blobs with a claim that is live.
    pub live: BTreeSet<BlobId>,
    /// Blobs that live on the volume, owed or not.
    pub kept: BTreeSet<BlobId>,
    /// Keys that blobs and uploads have on the volume.
    pub keys: usize,
    /// Releases of names.
    pub releases: usize,
    /// Blobs whose pairs are owed.
    pub owed: BTreeSet<BlobId>,
    /// Those of them of which something is missing.
    pub incomplete: BTreeSet<BlobId>,
    /// Blobs of which every pair of this node is held, owed or not.
    pub complete: BTreeSet<BlobId>,
    /// Claims that the node confirmed, or was about to.
    pub confirmed: BTreeSet<ClaimId>,
    /// Slivers that verified.
    pub slivers: usize,
}

/// Opens a copy of a node's volume, as it would be found after a power loss right now, and checks
/// it. `None` if the node never got as far as genesis.
///
/// Checked are: every sliver that is held verifies against its metadata; none that was ever synced
/// is corrupt; everything that is marked as stable and confirmed it holds. With `is_lying` slivers
/// are not checked.
pub fn volume(world: &World, node: &NodeName, is_lying: bool) -> Option<Volume> {
    let aside = EventLog::default();
    let disk = world.disk(node.as_str()).fork("copy", &aside);
    let random = SimRandom::new(world.setup().seed, 77);
    disk.crash(&random);
    open(world, node, disk, is_lying)
}

fn open(world: &World, node: &NodeName, disk: SimDisk, is_lying: bool) -> Option<Volume> {
    let expected = Expected {
        committee: world.committee(),
        node: node.clone(),
        incarnation: world.incarnation(node),
    };
    let random = SimRandom::new(world.setup().seed, 78);
    let store = Store::open(Arc::new(disk), &random, &world.volume_dir(node), &expected);
    let store = store.unwrap_or_else(|error| panic!("{node}: {error}"));
    let record = store.read(|state| Some(state.accepted()?.1.record.clone()))?;
    let shards = record.member(node).unwrap().shards.clone();
    if !is_lying {
        check_confirmed(&store, node, &record, &shards);
    }
    assert_eq!(store.corrupt_slivers(), 0, "{node}: synced slivers are corrupt");
    let slivers = check_slivers(&store, node, is_lying);
    Some(store.read(|state| contents(state, &record, &shards, slivers)))
}

/// I4: what a confirmation promised is on stable storage. One that stands in the log without the mark
/// on the blob may never have been given: the power may have failed in the sync before the signature.
fn check_confirmed(store: &Store, node: &NodeName, record: &EpochRecord, shards: &[ShardIndex]) {
    store.read(|state| {
        for (id, claim) in state.claims().filter(|(_, claim)| claim.confirmed.is_some()) {
            for blob in claim.confirmed.iter().map(|confirmed| confirmed.blob) {
                let is_stable = state.blob_key(&blob).is_some_and(|(_, under)| under.is_stable());
                assert!(
                    !is_stable || state.holds_all(&blob, record.geometry, shards),
                    "I4: {node} confirmed {blob} for claim {id} and does not hold all of it"
                );
            }
        }
    });
}

fn contents(state: &State, record: &EpochRecord, shards: &[ShardIndex], slivers: usize) -> Volume {
    let mut volume = Volume { slivers, ..Volume::default() };
    for (_, under) in state.keys() {
        let blob = under.blob().map(|(blob, _)| blob);
        let holds = |blob: &BlobId| state.holds_all(blob, record.geometry, shards);
        volume.keys += 1;
        volume.kept.extend(blob);
        volume.complete.extend(blob.filter(holds));
    }
    for (id, claim) in state.claims() {
        volume.confirmed.extend(claim.confirmed.is_some().then_some(*id));
        if let Some((signed, certificate)) = &claim.certified {
            volume.certified.insert(*id, (signed.body.blob, certificate.record));
            if claim.released.is_some() {
                volume.released.insert(*id);
            }
        }
    }
    let ended = state.ended_names().map(|(_, _, name)| name.releases().count());
    volume.releases = ended.sum();
    let over = Window { now: Timestamp(0), ran_millis: u64::MAX, undelete_millis: 0 };
    volume.live = state.owed(over).map(|owed| owed.blob).collect();
    // As if no window ended: what was released is still owed.
    let window = Window { now: Timestamp(0), ran_millis: 0, undelete_millis: u64::MAX };
    for owed in state.owed(window) {
        volume.owed.insert(owed.blob);
        if !state.holds_all(&owed.blob, record.geometry, shards) {
            volume.incomplete.insert(owed.blob);
        }
    }
    volume
}

/// The volumes of all nodes, by [`volume`]: no claim has certificates for two blobs on them (I4).
pub fn volumes(world: &World) -> BTreeMap<NodeName, Volume> {
    let open = |node: &NodeName| (node.clone(), volume(world, node, false).unwrap());
    let volumes = world.nodes().iter().map(open).collect();
    one_blob_per_claim(&volumes);
    volumes
}

/// The same, when everything has healed: no node lacks what it owes.
pub fn whole_volumes(world: &World) -> BTreeMap<NodeName, Volume> {
    let volumes = volumes(world);
    for (node, volume) in &volumes {
        assert!(volume.incomplete.is_empty(), "{node} owes {:?}", volume.incomplete);
    }
    volumes
}

fn one_blob_per_claim(volumes: &BTreeMap<NodeName, Volume>) {
    let mut blobs: BTreeMap<ClaimId, (BlobId, &NodeName)> = BTreeMap::new();
    for (node, volume) in volumes {
        for (claim, (blob, _)) in &volume.certified {
            let (known, other) = blobs.entry(*claim).or_insert((*blob, node));
            assert_eq!(
                known, blob,
                "claim {claim} is certified for two blobs, on {other} and {node}"
            );
        }
    }
}
