use std::collections::{BTreeMap, BTreeSet};

use floe_env::{RealDisk, read_file, write_file_durably};

use super::*;
use crate::sim::SimRandom;

fn disk(capacity_bytes: u64) -> SimDisk {
    SimDisk::new("disk", capacity_bytes, &EventLog::default())
}

fn put(disk: &SimDisk, path: &str, bytes: &[u8]) {
    disk.create(path.as_ref()).unwrap().write_at(0, bytes).unwrap();
}

fn get(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    match read_file(disk, path.as_ref(), u64::MAX) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            None
        }
    }
}

/// What is left of a file, per seed, of a disk prepared and crashed.
fn outcomes(path: &str, prepare: impl Fn(&SimDisk)) -> BTreeSet<Option<Vec<u8>>> {
    let outcome = |seed| {
        let disk = disk(1 << 20);
        prepare(&disk);
        disk.crash(&SimRandom::new(seed, 0));
        get(&disk, path)
    };
    (0..200).map(outcome).collect()
}

#[test]
fn what_was_synced_survives_every_crash() {
    let survived = outcomes("d/f", |disk| {
        disk.create_dir_all("d".as_ref()).unwrap();
        let file = disk.create("d/f".as_ref()).unwrap();
        file.write_at(0, &[1; 1000]).unwrap();
        file.truncate(700).unwrap();
        file.sync().unwrap();
        disk.sync_dir("d".as_ref()).unwrap();
        disk.sync_dir("/".as_ref()).unwrap();
    });
    assert_eq!(survived, BTreeSet::from([Some(vec![1; 700])]));
}

#[test]
fn content_entry_and_parents_entry_are_each_needed() {
    let steps: [fn(&SimDisk); 3] = [
        |disk| disk.open("d/f".as_ref()).unwrap().sync().unwrap(),
        |disk| disk.sync_dir("d".as_ref()).unwrap(),
        |disk| disk.sync_dir("/".as_ref()).unwrap(),
    ];
    for skipped in 0..steps.len() {
        let survived = outcomes("d/f", |disk| {
            disk.create_dir_all("d".as_ref()).unwrap();
            put(disk, "d/f", b"content");
            for (number, step) in steps.iter().enumerate() {
                if number != skipped {
                    step(disk);
                }
            }
        });
        assert!(survived.contains(&Some(b"content".to_vec())), "step {skipped} skipped");
        assert!(survived.len() > 1, "step {skipped} skipped, yet nothing is lost");
        assert_eq!(survived.contains(&None), skipped > 0, "step {skipped} skipped");
    }
}

#[test]
fn unsynced_writes_tear_at_sectors_only() {
    let survived = outcomes("f", |disk| {
        write_file_durably(disk, "/f".as_ref(), &[1; 3000]).unwrap();
        disk.open("f".as_ref()).unwrap().write_at(100, &[2; 2000]).unwrap();
    });
    for bytes in survived.iter().flatten() {
        assert_eq!(bytes.len(), 3000);
        for (number, sector) in bytes.chunks(512).enumerate() {
            let written = (number * 512..).zip(sector).filter(|(at, _)| (100..2100).contains(at));
            let values: BTreeSet<u8> = written.map(|(_, byte)| *byte).collect();
            assert!(values.len() <= 1, "sector {number} is torn");
        }
        assert!(bytes[..100].iter().chain(&bytes[2100..]).all(|&byte| byte == 1));
    }
    assert!(survived.len() > 4, "some are torn: {}", survived.len());
}

#[test]
fn an_unsynced_append_may_leave_length_without_content() {
    let survived = outcomes("f", |disk| {
        write_file_durably(disk, "/f".as_ref(), &[1; 512]).unwrap();
        disk.open("f".as_ref()).unwrap().write_at(512, &[2; 1024]).unwrap();
    });
    let zeros = [[1; 512], [0; 512], [0; 512]].concat();
    let hole = [[1; 512], [0; 512], [2; 512]].concat();
    let short = vec![1; 512];
    for expected in [zeros, hole, short] {
        assert!(survived.contains(&Some(expected)));
    }
}

#[test]
fn a_file_written_durably_is_old_or_new_at_every_halt() {
    let mut seen = BTreeSet::new();
    for halt in 0..8 {
        for seed in 0..50 {
            let disk = disk(1 << 20);
            write_file_durably(&disk, "/f".as_ref(), &[1; 2000]).unwrap();
            disk.halt_after(halt);
            let done = write_file_durably(&disk, "/f".as_ref(), &[2; 3000]);
            assert_eq!(disk.is_halted(), done.is_err());
            disk.crash(&SimRandom::new(seed, 0));
            assert!(!disk.is_halted());
            let left = get(&disk, "f").unwrap();
            assert!(left == [1; 2000] || left == [2; 3000], "halt {halt}, seed {seed}");
            assert!(done.is_err() || left == [2; 3000], "halt {halt}, seed {seed}");
            seen.insert((done.is_ok(), left[0]));
        }
    }
    assert_eq!(seen, BTreeSet::from([(false, 1), (false, 2), (true, 2)]));
}

#[test]
fn after_a_failed_sync_no_later_one_can_be_trusted() {
    let survived = outcomes("f", |disk| {
        write_file_durably(disk, "/f".as_ref(), b"").unwrap();
        let file = disk.open("f".as_ref()).unwrap();
        file.write_at(0, &[1; 512]).unwrap();
        disk.fail_syncs(1);
        assert!(file.sync().is_err());
        file.write_at(512, &[2; 512]).unwrap();
        file.sync().unwrap();
    });
    let with = |first: u8| Some([[first; 512], [2; 512]].concat());
    assert_eq!(survived, BTreeSet::from([with(0), with(1)]));
}

#[test]
fn a_full_disk_says_so_and_goes_on_reading() {
    let disk = disk(1000);
    let file = disk.create("a".as_ref()).unwrap();
    file.write_at(0, &[1; 600]).unwrap();
    put(&disk, "b", &[2; 300]);
    let error = file.write_at(600, &[3; 200]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(file.length_bytes().unwrap(), 700);
    assert_eq!(disk.space("/".as_ref()).unwrap(), Space { total_bytes: 1000, free_bytes: 0 });
    assert_eq!(file.truncate(701).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_at(u64::MAX, &[1]).unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_at(100, &[4; 500]).unwrap();
    assert_eq!(get(&disk, "b").unwrap(), [2; 300]);

    disk.remove_file("b".as_ref()).unwrap();
    disk.remove_file("a".as_ref()).unwrap();
    assert_eq!(disk.space("/".as_ref()).unwrap().free_bytes, 300, "a is still open");
    drop(file);
    assert_eq!(disk.space("/".as_ref()).unwrap().free_bytes, 1000);
}

#[test]
fn locks_end_with_their_holder() {
    let disk = disk(1000);
    let kind = || disk.lock("lock".as_ref()).map(drop).map_err(|error| error.kind());
    let first = disk.lock("lock".as_ref()).unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
    assert_eq!(kind(), Err(ErrorKind::WouldBlock));
    disk.kill();
    let second = disk.lock("lock".as_ref()).unwrap();
    drop(first);
    assert_eq!(kind(), Err(ErrorKind::WouldBlock), "a dead holder's drop releases nothing");
    disk.crash(&SimRandom::new(0, 0));
    assert_eq!(kind(), Ok(()));
    drop(second);
    assert_eq!(kind(), Ok(()));
}

#[test]
fn a_kill_loses_nothing_but_handles() {
    let disk = disk(1000);
    let file = disk.create("f".as_ref()).unwrap();
    file.write_at(0, b"unsynced").unwrap();
    disk.kill();
    assert_eq!(get(&disk, "f").unwrap(), b"unsynced");
    assert!(file.sync().is_err());
    assert_eq!(disk.files(), [("/f".into(), 8)]);
    disk.wipe();
    assert_eq!(disk.files(), []);
}

#[test]
fn faults_hit_what_they_are_asked_to() {
    let disk = disk(1000);
    put(&disk, "a", b"aa");
    put(&disk, "b", b"bb");
    disk.inject(|operation, path| {
        let is_hit = operation == DiskOperation::Read && path == Path::new("a");
        is_hit.then_some(ErrorKind::InvalidData)
    });
    let error = read_file(&disk, "a".as_ref(), 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(get(&disk, "b").unwrap(), b"bb");
    disk.clear_faults();
    let random = SimRandom::new(3, 0);
    let bit = disk.corrupt("a".as_ref(), &random).unwrap().unwrap();
    let mut expected = *b"aa";
    expected[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
    assert_eq!(get(&disk, "a").unwrap(), expected);
}

/// Random renames, removals and creations; after a crash each name has a value that it had at, or
/// since, the last sync of its directory, and no file has two names.
#[test]
fn entries_survive_in_an_order_that_a_file_system_can_have() {
    for seed in 0..300 {
        let random = SimRandom::new(seed, 1);
        let disk = disk(1 << 20);
        let mut possible: BTreeMap<String, BTreeSet<Option<Vec<u8>>>> = BTreeMap::new();
        let directories = ["p", "q"];
        for directory in directories {
            disk.create_dir_all(directory.as_ref()).unwrap();
        }
        disk.sync_dir("/".as_ref()).unwrap();
        let name = || {
            let directory = directories[content::below(&random, 2)];
            format!("{directory}/{}", ["a", "b", "c"][content::below(&random, 3)])
        };
        for number in 0..random.below(40) {
            let (one, other) = (name(), name());
            match random.below(8) {
                0 => drop(disk.remove_file(one.as_ref())),
                1..=3 => drop(disk.rename(one.as_ref(), other.as_ref())),
                4..=6 => {
                    if let Ok(file) = disk.create(one.as_ref()) {
                        file.write_at(0, &number.to_le_bytes()).unwrap();
                        file.sync().unwrap();
                    }
                }
                _ => {
                    let directory = &one[..1];
                    disk.sync_dir(directory.as_ref()).unwrap();
                    possible.retain(|name, _| !name.starts_with(directory));
                }
            }
            for directory in directories {
                for name in ["a", "b", "c"].map(|name| format!("{directory}/{name}")) {
                    let value = get(&disk, &name);
                    possible.entry(name).or_insert_with(|| BTreeSet::from([])).insert(value);
                }
            }
        }
        disk.crash(&random);
        let mut seen = BTreeSet::new();
        for (name, values) in &possible {
            let value = get(&disk, name);
            assert!(values.contains(&value) || value.is_none(), "seed {seed}: {name}");
            assert!(value.is_none() || seen.insert(value), "seed {seed}: {name} is there twice");
        }
        for directory in directories {
            disk.sync_dir(directory.as_ref()).unwrap();
        }
        let before = disk.files();
        disk.crash(&random);
        assert_eq!(disk.files(), before, "seed {seed}");
    }
}

fn act(
    disk: &dyn Disk,
    root: &Path,
    random: &SimRandom,
) -> (String, std::result::Result<String, ErrorKind>) {
    let path = || {
        let first = ["a", "b", "d"][content::below(random, 3)];
        let second = ["", "a", "b", "x/y"][content::below(random, 4)];
        if second.is_empty() { root.join(first) } else { root.join(first).join(second) }
    };
    let (one, other) = (path(), path());
    let number = random.below(11);
    let [byte, offset, length] = random_bytes(random);
    let result = match number {
        0 => disk.create_dir_all(&one).map(|()| String::new()),
        1 | 2 => disk.create(&one).map(|_| String::new()),
        3 | 4 => disk.rename(&one, &other).map(|()| String::new()),
        5 => disk.remove_file(&one).map(|()| String::new()),
        6 => disk.remove_dir(&one).map(|()| String::new()),
        7 => disk.list(&one).map(|entries| format!("{entries:?}")),
        8 => disk.exists(&one).map(|is_there| is_there.to_string()),
        9 => disk.sync_dir(&one).map(|()| String::new()),
        _ => disk.open(&one).and_then(|file| {
            file.write_at(offset.into(), &vec![byte; length.into()])?;
            file.truncate(random.below(300))?;
            let mut out = [0; 100];
            let count = file.read_at(random.below(200), &mut out)?;
            file.sync()?;
            Ok(format!("{:?} {}", &out[..count], file.length_bytes()?))
        }),
    };
    (
        format!("{number} {} {}", one.display(), other.display()),
        result.map_err(|error| error.kind()),
    )
}

fn random_bytes(random: &SimRandom) -> [u8; 3] {
    (random as &dyn Random).bytes()
}

#[test]
fn it_answers_as_the_real_disk_does() {
    let mut refusals = BTreeSet::new();
    for seed in 0..100 {
        let root = tempfile::tempdir().unwrap();
        let disk = disk(1 << 20);
        disk.create_dir_all(root.path()).unwrap();
        let (simulated, real) = (SimRandom::new(seed, 0), SimRandom::new(seed, 0));
        for step in 0..60 {
            let (what, expected) = act(&RealDisk, root.path(), &real);
            let (_, answer) = act(&disk, root.path(), &simulated);
            assert_eq!(answer, expected, "seed {seed}, step {step}: {what}");
            refusals.extend(expected.err().map(|kind| kind.to_string()));
        }
    }
    assert!(refusals.len() >= 5, "only {refusals:?}");
}
