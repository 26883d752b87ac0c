//! Whose volume it is: made once, on an empty directory, never changed.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use floe_env::{Disk, Random, read_file, write_file_durably};
use floe_model::codec::{DecodeError, Decoder, Encoder, Layout};
use floe_model::frame::{FORMAT_VERSION, Frame, FrameError};
use floe_model::keys::{NodeKey, NodePublicKey};
use floe_model::{CommitteeId, Incarnation, NodeName, RecordHash, VolumeId};

use crate::error::OpenError;
use crate::log::ControlLog;

const KIND_IDENTITY: u16 = 1;
const KIND_KEY: u16 = 2;
/// The version of both files' layout.
const IDENTITY_VERSION: u16 = 1;
const MOST_FILE_BYTES: u64 = 4096;
const LONGEST_NODE_NAME_BYTES: usize = 63;

/// Whose volume is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The committee.
    pub committee: CommitteeId,
    /// The node.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
}

/// Whose volume it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeIdentity {
    /// The committee.
    pub committee: CommitteeId,
    /// The node.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// The volume's own id, drawn when it was made.
    pub volume: VolumeId,
    /// The node's public key.
    pub key: NodePublicKey,
    /// The committee's record 0, once it is known.
    pub genesis: Option<RecordHash>,
}

impl Layout for VolumeIdentity {
    fn encode(&self, to: &mut Encoder) {
        to.u16(IDENTITY_VERSION);
        to.fixed(self.committee.as_bytes());
        to.text(self.node.as_str());
        to.u32(self.incarnation.0);
        to.fixed(self.volume.as_bytes());
        to.fixed(&self.key.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        check_version("the identity", from)?;
        Ok(Self {
            committee: CommitteeId(from.fixed("committee")?),
            node: from.text("node", LONGEST_NODE_NAME_BYTES)?,
            incarnation: Incarnation(from.u32("incarnation")?),
            volume: VolumeId(from.fixed("volume")?),
            key: NodePublicKey(from.fixed("key")?),
            genesis: None,
        })
    }
}

fn check_version(what: &'static str, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
    let found = from.u16("version")?;
    if found == IDENTITY_VERSION {
        return Ok(());
    }
    Err(DecodeError::Version { what, found, known: IDENTITY_VERSION })
}

/// Where things are in a volume.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) dir: PathBuf,
}

impl Paths {
    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("control.log")
    }

    fn identity(&self) -> PathBuf {
        self.dir.join("identity")
    }

    fn key(&self) -> PathBuf {
        self.dir.join("key")
    }

    pub(crate) fn io(&self, source: io::Error) -> OpenError {
        OpenError::Io { dir: self.dir.clone(), source }
    }

    pub(crate) fn damaged(&self, what: impl Into<String>) -> OpenError {
        OpenError::Damaged { dir: self.dir.clone(), what: what.into() }
    }

    /// Refuses names that are not what this crate makes: a link in place of a file or a directory
    /// would lead out of the volume.
    pub(crate) fn refuse_links(&self, disk: &dyn Disk) -> Result<(), OpenError> {
        for entry in disk.list(&self.dir).map_err(|error| self.io(error))? {
            let path = self.dir.join(&entry.name);
            let wanted = match entry.name.as_str() {
                "slivers" | "corrupt" => entry.is_dir,
                // The listing tells a link's own length, opening it that of its target.
                "identity" | "key" | "control.log" => {
                    let file = disk.open(&path).map_err(|error| self.io(error))?;
                    file.length_bytes().map_err(|error| self.io(error))? == entry.length_bytes
                }
                "lock" => entry.length_bytes == 0,
                _ => true,
            };
            if !wanted {
                return Err(self.damaged(format!("{} is not what was made there", entry.name)));
            }
        }
        Ok(())
    }
}

/// Reads the volume's identity and key, or makes them on an empty volume.
pub(crate) fn load_or_create(
    disk: &dyn Disk,
    random: &dyn Random,
    paths: &Paths,
    expected: &Expected,
) -> Result<(VolumeIdentity, NodeKey), OpenError> {
    let (identity, key) = match read_file(disk, &paths.identity(), MOST_FILE_BYTES) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            require_empty(disk, paths)?;
            create(disk, random, paths, expected)?
        }
        Err(error) => return Err(paths.io(error)),
        Ok(bytes) => load(disk, paths, &bytes)?,
    };
    check_owner(&identity, paths, expected)?;
    if key.public() != identity.key {
        return Err(paths.damaged("its key is not the one that its identity names"));
    }
    Ok((identity, key))
}

fn check_owner(
    identity: &VolumeIdentity,
    paths: &Paths,
    expected: &Expected,
) -> Result<(), OpenError> {
    let dir = paths.dir.clone();
    if identity.committee != expected.committee {
        let (found, wanted) = (identity.committee, expected.committee);
        return Err(OpenError::OtherCommittee { dir, found, wanted });
    }
    if identity.node != expected.node {
        let (found, wanted) = (identity.node.clone(), expected.node.clone());
        return Err(OpenError::OtherNode { dir, found, wanted });
    }
    if identity.incarnation != expected.incarnation {
        let (found, wanted) = (identity.incarnation, expected.incarnation);
        return Err(OpenError::OtherIncarnation { dir, found, wanted });
    }
    Ok(())
}

/// The identity is written last: without it nothing else may hold more than a dead start left.
fn require_empty(disk: &dyn Disk, paths: &Paths) -> Result<(), OpenError> {
    let listed = disk.list(&paths.dir).map_err(|error| paths.io(error))?;
    let left = |name: &str| listed.iter().find(|entry| entry.name == name);
    let slivers = match left("slivers") {
        Some(_) => disk.list(&paths.dir.join("slivers")).map_err(|error| paths.io(error))?.len(),
        None => 0,
    };
    if slivers > 0 || left("control.log").is_some_and(|log| log.length_bytes > MOST_FILE_BYTES) {
        return Err(paths.damaged("it holds data and its identity is missing"));
    }
    Ok(())
}

fn create(
    disk: &dyn Disk,
    random: &dyn Random,
    paths: &Paths,
    expected: &Expected,
) -> Result<(VolumeIdentity, NodeKey), OpenError> {
    let key =
        NodeKey::generate(&random.bytes()).map_err(|error| paths.io(io::Error::other(error)))?;
    let identity = VolumeIdentity {
        committee: expected.committee,
        node: expected.node.clone(),
        incarnation: expected.incarnation,
        volume: VolumeId(random.bytes()),
        key: key.public(),
        genesis: None,
    };
    let mut secret = IDENTITY_VERSION.to_le_bytes().to_vec();
    secret.extend_from_slice(&*key.to_bytes());
    let write = |path: &Path, kind, payload: &[u8]| {
        let frame = Frame { kind, head: Vec::new(), payload: payload.to_vec() };
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        write_file_durably(disk, path, &bytes)
    };
    let made = (|| {
        match disk.remove_file(&paths.log()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        ControlLog::create(disk, &paths.log(), &identity.volume, random.next_u64())?;
        write(&paths.key(), KIND_KEY, &secret)?;
        disk.sync_dir(&paths.dir)?;
        write(&paths.identity(), KIND_IDENTITY, &identity.to_bytes())
    })();
    made.map_err(|error| paths.io(error))?;
    Ok((identity, key))
}

fn load(
    disk: &dyn Disk,
    paths: &Paths,
    identity: &[u8],
) -> Result<(VolumeIdentity, NodeKey), OpenError> {
    let payload = unframe(paths, "the identity", KIND_IDENTITY, identity)?;
    let identity = VolumeIdentity::from_bytes(&payload)
        .map_err(|error| undecoded(paths, "identity", error))?;
    let bytes = match read_file(disk, &paths.key(), MOST_FILE_BYTES) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(paths.damaged("its key is missing"));
        }
        read => read.map_err(|error| paths.io(error))?,
    };
    let payload = unframe(paths, "the key", KIND_KEY, &bytes)?;
    let mut fields = Decoder::new(&payload);
    check_version("the key", &mut fields).map_err(|error| undecoded(paths, "key", error))?;
    let key = NodeKey::from_bytes(fields.rest())
        .map_err(|error| paths.damaged(format!("its key is not readable: {error}")))?;
    Ok((identity, key))
}

fn unframe(
    paths: &Paths,
    what: &'static str,
    kind: u16,
    bytes: &[u8],
) -> Result<Vec<u8>, OpenError> {
    match Frame::read_all(bytes, bytes.len()) {
        Ok(frames) => match <[Frame; 1]>::try_from(frames) {
            Ok([frame]) if frame.kind == kind => Ok(frame.payload),
            _ => Err(paths.damaged(format!("{what} is something else"))),
        },
        Err(FrameError::Version { found }) => {
            let dir = paths.dir.clone();
            Err(OpenError::Version { dir, what, found, known: FORMAT_VERSION })
        }
        Err(error) => Err(paths.damaged(format!("{what} is not readable: {error}"))),
    }
}

fn undecoded(paths: &Paths, what: &'static str, error: DecodeError) -> OpenError {
    match error {
        DecodeError::Version { what, found, known } => {
            OpenError::Version { dir: paths.dir.clone(), what, found, known }
        }
        error => paths.damaged(format!("its {what} is not readable: {error}")),
    }
}
