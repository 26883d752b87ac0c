use std::path::PathBuf;
use std::sync::Arc;

use floe_env::{RealDisk, read_file, write_file_durably};
use floe_model::frame::FORMAT_VERSION;
use floe_model::{ClaimId, RecordHash, Timestamp};
use tempfile::TempDir;

use super::*;
use crate::BlobKey;
use crate::entry::LAST_KIND;
use crate::tests::fixture::{Faulty, upload};

const VOLUME: VolumeId = VolumeId([3; 16]);

struct Volume {
    _dir: TempDir,
    path: PathBuf,
}

impl Volume {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.log");
        ControlLog::create(&RealDisk, &path, &VOLUME, 0x1234_5678).unwrap();
        Self { _dir: dir, path }
    }

    fn bytes(&self) -> Vec<u8> {
        read_file(&RealDisk, &self.path, u64::MAX).unwrap()
    }

    fn replay(&self) -> Result<(Replayed, Vec<Entry>), LogError> {
        self.replay_on(&RealDisk)
    }

    fn replay_on(&self, disk: &dyn Disk) -> Result<(Replayed, Vec<Entry>), LogError> {
        let mut entries = Vec::new();
        let replayed = ControlLog::replay(disk, &self.path, &VOLUME, |entry, _| {
            entries.push(entry.clone());
        })?;
        Ok((replayed, entries))
    }

    /// What is read of a log of these bytes.
    fn replay_bytes(&self, bytes: &[u8]) -> Result<Vec<Entry>, LogError> {
        write_file_durably(&RealDisk, &self.path, bytes).unwrap();
        self.replay().map(|(_, entries)| entries)
    }
}

fn confirmed(at: u64) -> Entry {
    Entry::Confirmed {
        claim: ClaimId([4; 16]),
        blob: floe_model::BlobId([6; 32]),
        record: RecordHash([5; 32]),
        at: Timestamp(at),
    }
}

/// A log with two transactions behind `durable` bytes, and where each ends.
fn two_transactions(volume: &Volume) -> (u64, [u64; 2], Vec<Entry>) {
    let (Replayed { log, mut tail, .. }, _) = volume.replay().unwrap();
    let start = tail.end;
    let entries = vec![upload(0, 1), confirmed(1), Entry::CaughtUp];
    log.append(&mut tail, &entries[..2]).unwrap();
    let first = tail.end;
    log.append(&mut tail, &entries[2..]).unwrap();
    (start, [first, tail.end], entries)
}

#[test]
fn a_tail_torn_at_any_byte_is_dropped_by_whole_transactions() {
    let volume = Volume::new();
    let (start, ends, entries) = two_transactions(&volume);
    let bytes = volume.bytes();
    let start = usize::try_from(start).unwrap();
    for cut in start..=bytes.len() {
        let whole = match cut as u64 {
            cut if cut >= ends[1] => 3,
            cut if cut >= ends[0] => 2,
            _ => 0,
        };
        let mut zeroed = bytes.clone();
        zeroed[cut..].fill(0);
        for torn in [&bytes[..cut], &zeroed] {
            // Where only the zeros of the checksum's own end are torn off, nothing was.
            let same = torn == bytes;
            let read = volume.replay_bytes(torn).unwrap();
            assert_eq!(read, entries[..if same { 3 } else { whole }], "cut at {cut}");
            let again = volume.replay().unwrap();
            assert_eq!((again.1, again.0.dropped_bytes), (read, 0), "cut at {cut}");
        }
    }
}

#[test]
fn an_unsynced_part_may_be_lost_in_front_of_one_that_is_not() {
    let volume = Volume::new();
    let (start, ends, _) = two_transactions(&volume);
    let mut bytes = volume.bytes();
    let (start, end) = (usize::try_from(start).unwrap(), usize::try_from(ends[0]).unwrap());
    bytes[start..end].fill(0);
    assert_eq!(volume.replay_bytes(&bytes).unwrap(), []);
}

#[test]
fn damage_to_what_was_synced_is_told_from_a_torn_tail() {
    let volume = Volume::new();
    let (Replayed { log, mut tail, .. }, _) = volume.replay().unwrap();
    let start = usize::try_from(tail.end).unwrap();
    log.append(&mut tail, &[upload(0, 1), confirmed(1)]).unwrap();
    let synced = usize::try_from(tail.end).unwrap();
    tail.durable = tail.end;
    log.mark(&mut tail).unwrap();
    let marked = volume.bytes();
    log.append(&mut tail, &[Entry::CaughtUp]).unwrap();
    let followed = volume.bytes();
    for bytes in [&marked, &followed] {
        for at in start..synced {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            match volume.replay_bytes(&damaged) {
                Err(LogError::Damaged { offset }) => {
                    assert!(offset >= start as u64 && offset <= at as u64, "{offset} for {at}");
                }
                Err(LogError::Version { .. }) => {}
                other => panic!("byte {at}: {:?}", other.map_err(|error| format!("{error:?}"))),
            }
        }
        // A hole in the middle, and the header.
        let mut damaged = bytes.clone();
        damaged[start..synced].fill(0);
        let read = volume.replay_bytes(&damaged);
        assert!(matches!(read, Err(LogError::Damaged { offset }) if offset == start as u64));
        let mut damaged = bytes.clone();
        damaged[8] ^= 1;
        assert!(matches!(volume.replay_bytes(&damaged), Err(LogError::Damaged { offset: 0 })));
    }
    // The last transaction was not synced.
    let mut torn = followed.clone();
    *torn.last_mut().unwrap() ^= 1;
    assert_eq!(volume.replay_bytes(&torn).unwrap(), [upload(0, 1), confirmed(1)]);
}

#[test]
fn a_frame_inside_a_payload_is_not_taken_for_one() {
    let volume = Volume::new();
    let (Replayed { log, mut tail, .. }, _) = volume.replay().unwrap();
    let start = tail.end;
    // Knows everything but the log's secret id, says that all was durable.
    let mut forged = Vec::new();
    for offset in start..start + 400 {
        let mut head = Encoder::default();
        Preamble { log: 0, offset, durable: u64::MAX, following: 0 }.encode(&mut head);
        write_frame(&mut forged, KIND_MARK, &head.finish(), &[]);
    }
    let extent = Entry::Frozen { blob: floe_model::BlobId([1; 32]), proof: forged };
    log.append(&mut tail, &[extent]).unwrap();
    let bytes = volume.bytes();
    assert_eq!(volume.replay_bytes(&bytes[..bytes.len() - 1]).unwrap(), []);
}

#[test]
fn newer_versions_are_refused_with_both_numbers() {
    let volume = Volume::new();
    let fresh = volume.bytes();
    let version = |bytes: &[u8]| match volume.replay_bytes(bytes) {
        Err(LogError::Version { found, known, .. }) => (found, known),
        other => panic!("{:?}", other.map_err(|error| format!("{error:?}"))),
    };
    let mut format = fresh.clone();
    format[4] = 9;
    assert_eq!(version(&format), (9, FORMAT_VERSION));

    let mut head = Encoder::default();
    head.u16(7);
    let mut layout = Vec::new();
    write_frame(&mut layout, KIND_LOG, &head.finish(), &[]);
    assert_eq!(version(&layout), (7, LOG_VERSION));

    let mut kind = fresh.clone();
    let mut head = Encoder::default();
    Preamble { log: 0x1234_5678, offset: fresh.len() as u64, durable: 0, following: 0 }
        .encode(&mut head);
    write_frame(&mut kind, LAST_KIND + 1, &head.finish(), &[]);
    assert_eq!(version(&kind), (LAST_KIND + 1, LAST_KIND));
}

#[test]
fn another_volumes_log_is_refused() {
    let volume = Volume::new();
    let read = ControlLog::replay(&RealDisk, &volume.path, &VolumeId([8; 16]), |_, _| {});
    assert!(matches!(read, Err(LogError::OtherVolume { found: VOLUME })));
}

#[test]
fn an_append_that_fails_leaves_nothing_behind() {
    let volume = Volume::new();
    let disk = Faulty::default();
    let (Replayed { log, mut tail, .. }, _) = volume.replay_on(&disk).unwrap();
    let before = tail;
    // All is written before the error comes: the rest of it must not follow what is written next.
    *disk.short_write.lock().unwrap() = Some((usize::MAX, io::ErrorKind::StorageFull));
    let failed = log.append(&mut tail, &[confirmed(1), confirmed(2)]);
    assert!(matches!(failed, Err(AppendError::Refused(StoreError::Io(_)))), "{failed:?}");
    assert_eq!(tail, before);
    let spans = log.append(&mut tail, &[confirmed(3)]).unwrap();
    assert_eq!(spans[0].end(), tail.end);
    assert_eq!(volume.replay().unwrap().1, [confirmed(3)]);
}

#[test]
fn payloads_that_stay_in_the_log_are_read_from_there() {
    let volume = Volume::new();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (Replayed { log, mut tail, .. }, _) = volume.replay().unwrap();
    let manifest: Vec<u8> = (0..700_000_u32).map(|at| (at % 253) as u8).collect();
    let entry = |manifest| Entry::Manifest {
        key: BlobKey(3),
        blob: floe_model::BlobId([1; 32]),
        length: 12,
        manifest,
    };
    let spans = log.append(&mut tail, &[entry(manifest.clone())]).unwrap();
    assert_eq!(log.payload(spans[0]).unwrap(), manifest);
    assert_eq!(volume.replay().unwrap().1, [entry(Vec::new())]);

    let mut bytes = volume.bytes();
    let at = usize::try_from(spans[0].offset_bytes).unwrap() + 300_000;
    bytes[at] ^= 1;
    disk.open(&volume.path).unwrap().write_at(0, &bytes).unwrap();
    let read = log.payload(spans[0]);
    assert!(matches!(read, Err(StoreError::LogDamaged { .. })), "{read:?}");
}

#[test]
fn every_kind_of_entry_comes_back() {
    use crate::tests::fixture::{certified, claim, extent, extent_entry, released};
    use floe_model::keys::NodeSignature;
    use floe_model::{BlobId, CatalogEntry, CommitProof, FeedPosition, SealedHead};

    let encoded = extent(100, 0);
    let position = FeedPosition { volume: VOLUME, sequence: 12 };
    let signature = NodeSignature([4; 96]);
    let proof = CommitProof { record: RecordHash([1; 32]), signers: vec![], signature };
    let mut entries = vec![
        Entry::Accepted(RecordHash([1; 32])),
        upload(3, 4),
        extent_entry(3, 0, &encoded),
        Entry::Manifest { key: BlobKey(3), blob: BlobId([2; 32]), length: 7, manifest: vec![] },
        Entry::Stable { key: BlobKey(3) },
        confirmed(9),
        Entry::Catalog(certified(claim(1, "a", 2, 3), 4)),
        Entry::Catalog(released(1, "a", 3, 5)),
        Entry::Catalog(CatalogEntry::Closed { claim: ClaimId([1; 16]) }),
        Entry::Expired { key: BlobKey(3) },
        Entry::Cursor { node: "node-2".parse().unwrap(), position },
        Entry::CaughtUp,
        Entry::Head {
            node: "node-2".parse().unwrap(),
            head: SealedHead { position, seal: [6; 32] },
        },
        Entry::Committed { proof: Box::new(proof), learnt: Timestamp(11) },
        Entry::Frozen { blob: BlobId([2; 32]), proof: Vec::new() },
        Entry::Ran { millis: 8 },
        Entry::ForgottenClaim { claim: ClaimId([1; 16]) },
        Entry::ForgottenRelease {
            namespace_uid: crate::tests::fixture::NAMESPACE,
            name: crate::tests::fixture::name("a"),
            claim: ClaimId([1; 16]),
        },
    ];
    let volume = Volume::new();
    let (Replayed { log, mut tail, .. }, _) = volume.replay().unwrap();
    log.append(&mut tail, &entries).unwrap();
    let Entry::Extent { metadata, .. } = &mut entries[2] else { panic!("an extent") };
    metadata.clear();
    assert_eq!(volume.replay().unwrap().1, entries);
}
