//! What the world of the model is: records, volumes, one blob.

/// Shards, all of weight one.
pub(crate) const SHARDS: usize = 4;
/// f.
pub(crate) const FAULTY: u32 = 1;
/// n-f.
pub(crate) const CORRECT: u32 = 3;
/// n-2f.
pub(crate) const DECODING: u32 = 2;
/// Nodes A to E; E has no shard at the start.
pub(crate) const NODES: usize = 5;
/// Volumes that a node may have, one after the other.
pub(crate) const INCARNATIONS: usize = 3;
/// Volumes of all nodes.
pub(crate) const VOLUMES: usize = NODES * INCARNATIONS;
/// No record.
pub(crate) const NONE: u8 = u8::MAX;

/// A set of volumes.
pub(crate) type Volumes = u16;

/// The volume of a node.
pub(crate) fn volume(node: usize, incarnation: usize) -> usize {
    node * INCARNATIONS + incarnation
}

/// The set of one volume.
pub(crate) fn only(volume: usize) -> Volumes {
    1 << volume
}

/// An epoch record. Its number is its place in the list: a steward takes one above all it read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) parent: u8,
    /// The volume that owns each shard.
    pub(crate) owners: [u8; SHARDS],
    /// The newest volume of each node.
    pub(crate) incarnations: [u8; NODES],
    /// Unfilled shards, as bits.
    pub(crate) unfilled: u8,
    pub(crate) forced: bool,
}

impl Record {
    /// Shards of the volumes in a set.
    pub(crate) fn worth(&self, set: Volumes) -> u32 {
        let owned = |owner: &&u8| set & only(usize::from(**owner)) != 0;
        u32::try_from(self.owners.iter().filter(owned).count()).unwrap_or(u32::MAX)
    }

    /// Whether it names the volume: it is its node's newest one.
    pub(crate) fn names(&self, volume: usize) -> bool {
        usize::from(self.incarnations[volume / INCARNATIONS]) == volume % INCARNATIONS
    }

    pub(crate) fn owns(&self, shard: usize, volume: usize) -> bool {
        usize::from(self.owners[shard]) == volume
    }

    pub(crate) fn is_unfilled(&self, shard: usize) -> bool {
        self.unfilled >> shard & 1 == 1
    }
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) records: Vec<Record>,
    /// Honest acceptances of each record.
    pub(crate) accepted: Vec<Volumes>,
    /// The record that each volume accepted last.
    pub(crate) heads: [u8; VOLUMES],
    pub(crate) dead: Volumes,
    pub(crate) liars: Volumes,
    /// Declared lost, though they live.
    pub(crate) away: Volumes,
    /// Words of `whole`: {shard, volume, record under which it is said}.
    pub(crate) wholes: Vec<(u8, u8, u8)>,
    /// The record under which the blob's upload was opened.
    pub(crate) upload: u8,
    pub(crate) confirmed: Volumes,
    /// Who holds the blob's pair of each shard.
    pub(crate) holders: [Volumes; SHARDS],
    /// Who has stored the certificate.
    pub(crate) knowing: Volumes,
    /// Under which record each volume acknowledged.
    pub(crate) acknowledged: [u8; VOLUMES],
    /// The gateway once saw enough acknowledgements.
    pub(crate) durable: bool,
    pub(crate) left: Left,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) records: u8,
    pub(crate) moves: u8,
    pub(crate) losses: u8,
    pub(crate) liars: u8,
    pub(crate) forces: u8,
}

impl State {
    /// Record 0 is committed, node i owns shard i.
    pub(crate) fn start(left: Left) -> Self {
        let first = |node: usize| u8::try_from(volume(node, 0)).unwrap_or(NONE);
        let mut heads = [NONE; VOLUMES];
        let mut everybody = 0;
        // Without moves nobody takes over a shard.
        let nodes = if left.moves > 0 { NODES } else { SHARDS };
        for node in 0..nodes {
            heads[volume(node, 0)] = 0;
            everybody |= only(volume(node, 0));
        }
        Self {
            records: vec![Record {
                parent: NONE,
                owners: std::array::from_fn(first),
                incarnations: [0; NODES],
                unfilled: 0,
                forced: false,
            }],
            accepted: vec![everybody],
            heads,
            dead: 0,
            liars: 0,
            away: 0,
            wholes: Vec::new(),
            upload: NONE,
            confirmed: 0,
            holders: [0; SHARDS],
            knowing: 0,
            acknowledged: [NONE; VOLUMES],
            durable: false,
            left,
        }
    }

    pub(crate) fn record(&self, index: u8) -> &Record {
        &self.records[usize::from(index)]
    }

    pub(crate) fn indices(&self) -> impl Iterator<Item = u8> + use<> {
        0..u8::try_from(self.records.len()).unwrap_or(NONE)
    }

    /// The volumes that do what they should.
    pub(crate) fn honest(&self) -> Volumes {
        !(self.dead | self.liars)
    }

    pub(crate) fn is_honest(&self, volume: usize) -> bool {
        self.honest() & only(volume) != 0
    }

    /// Whether `old` is `young` or one of its ancestors.
    pub(crate) fn is_ancestor(&self, old: u8, young: u8) -> bool {
        let mut at = young;
        while at != NONE {
            if at == old {
                return true;
            }
            at = self.record(at).parent;
        }
        false
    }

    /// The committed records: acceptances over a committed ancestor and every record between.
    pub(crate) fn committed(&self) -> u16 {
        let mut committed: u16 = 1;
        for index in self.indices().skip(1) {
            let record = self.record(index);
            let need = if record.forced { DECODING } else { CORRECT };
            let signers = self.accepted[usize::from(index)] | self.liars;
            let mut at = record.parent;
            loop {
                if self.record(at).worth(signers) < need {
                    break;
                }
                if committed >> at & 1 == 1 {
                    committed |= 1 << index;
                    break;
                }
                at = self.record(at).parent;
            }
        }
        committed
    }

    /// The committed record of the highest number.
    pub(crate) fn newest(&self) -> u8 {
        let committed = self.committed();
        self.indices().filter(|index| committed >> index & 1 == 1).max().unwrap_or(0)
    }

    /// The record in which the shard was filled last, before `tip`, and those from there to `tip`.
    pub(crate) fn since_filled(&self, tip: u8, shard: usize) -> Vec<u8> {
        let mut since = vec![tip];
        let mut at = tip;
        while self.record(at).is_unfilled(shard) && self.record(at).parent != NONE {
            at = self.record(at).parent;
            since.push(at);
        }
        since
    }

    /// Whether the blob's certificate exists.
    pub(crate) fn is_certified(&self) -> bool {
        self.upload != NONE
            && self.record(self.upload).worth(self.confirmed | self.liars) >= CORRECT
    }

    /// Shards whose pair of the blob some honest volume has, one that the newest record names: others
    /// are not asked.
    pub(crate) fn held(&self) -> u32 {
        let newest = self.record(self.newest());
        let named = (0..VOLUMES).filter(|&at| newest.names(at)).fold(0, |set, at| set | only(at));
        let honest = self.honest() & named;
        let held = self.holders.iter().filter(|holders| **holders & honest != 0).count();
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// Shards that count as faulty: the owner lies, is lost or declared so; or it has not said `whole`,
    /// and of those who owned the shard since it was filled one is: what was written meanwhile is with
    /// that one alone.
    pub(crate) fn faulty(&self) -> u32 {
        let newest = self.newest();
        let record = self.record(newest);
        let sound = |owner: usize| {
            self.is_honest(owner) && self.away & only(owner) == 0 && record.names(owner)
        };
        let is_faulty = |shard: &usize| {
            let owner = usize::from(record.owners[*shard]);
            let said = |(of, by, _): &(u8, u8, u8)| {
                usize::from(*of) == *shard && usize::from(*by) == owner
            };
            if !record.is_unfilled(*shard) || self.wholes.iter().any(said) {
                return !sound(owner);
            }
            let owners = self.since_filled(newest, *shard).into_iter();
            !owners.into_iter().all(|index| sound(usize::from(self.record(index).owners[*shard])))
        };
        u32::try_from((0..SHARDS).filter(is_faulty).count()).unwrap_or(u32::MAX)
    }
}
