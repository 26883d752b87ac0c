//! The bytes of one file, and what a power loss makes of them.

use floe_env::Random;

const SECTOR_BYTES: usize = 512;

/// As running programs see it, with what is needed to take back, or to redo in part, everything
/// that is not on stable storage.
#[derive(Clone, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone)]
struct Change {
    offset: usize,
    /// What the file had from `offset` on and lost: overwritten or cut off.
    before: Vec<u8>,
    length_before: usize,
    effect: Effect,
    state: State,
}

#[derive(Clone)]
enum Effect {
    Write(Vec<u8>),
    SetLength(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unsynced,
    /// A sync failed: no later sync brings it back (the kernel took the pages for clean).
    InDoubt,
    /// Synced, kept because something in doubt lies below it.
    Synced,
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn write(&mut self, offset: usize, written: &[u8]) {
        if written.is_empty() {
            return;
        }
        let end = offset + written.len();
        let kept = self.bytes.len().min(end);
        let before = self.bytes.get(offset..kept).unwrap_or_default().to_vec();
        self.push(offset, before, Effect::Write(written.to_vec()));
        put(&mut self.bytes, offset, written);
    }

    pub(super) fn set_length(&mut self, length: usize) {
        let before = self.bytes.get(length..).unwrap_or_default().to_vec();
        self.push(length, before, Effect::SetLength(length));
        self.bytes.resize(length, 0);
    }

    fn push(&mut self, offset: usize, before: Vec<u8>, effect: Effect) {
        let length_before = self.bytes.len();
        let state = State::Unsynced;
        self.changes.push(Change { offset, before, length_before, effect, state });
    }

    pub(super) fn sync(&mut self) {
        if self.changes.iter().all(|change| change.state != State::InDoubt) {
            self.changes.clear();
        }
        self.move_unsynced_to(State::Synced);
    }

    pub(super) fn sync_failed(&mut self) {
        self.move_unsynced_to(State::InDoubt);
    }

    fn move_unsynced_to(&mut self, state: State) {
        let unsynced = self.changes.iter_mut().filter(|change| change.state == State::Unsynced);
        unsynced.for_each(|change| change.state = state);
    }

    /// Turns one bit of the medium, if the file has it.
    pub(super) fn flip_bit(&mut self, bit: u64) {
        let byte = usize::try_from(bit / 8).ok().and_then(|index| self.bytes.get_mut(index));
        if let Some(byte) = byte {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// Power loss: everything synced stays; of the rest nothing, all, the first changes with the
    /// last of them torn, or any sectors, with or without the length of those lost.
    pub(super) fn crash(&mut self, random: &dyn Random) {
        let changes = std::mem::take(&mut self.changes);
        for change in changes.iter().rev() {
            self.bytes.truncate(change.length_before);
            self.bytes.resize(change.length_before, 0);
            put(&mut self.bytes, change.offset, &change.before);
        }
        let loss = Loss::draw(&changes, random);
        let mut number = 0;
        for change in &changes {
            if change.state == State::Synced {
                redo(&mut self.bytes, change, |_| true, true);
                continue;
            }
            match loss {
                Loss::Everything => {}
                Loss::Nothing => redo(&mut self.bytes, change, |_| true, true),
                Loss::From { change: first_lost, .. } if number < first_lost => {
                    redo(&mut self.bytes, change, |_| true, true);
                }
                Loss::From { change: first_lost, sectors } => {
                    if number == first_lost {
                        redo(&mut self.bytes, change, |sector| sector < sectors, false);
                    }
                }
                Loss::Sectors { lengths_stay } => {
                    redo(&mut self.bytes, change, |_| random.below(2) == 0, lengths_stay);
                }
            }
            number += 1;
        }
    }
}

/// What a power loss takes of the changes that are not synced.
#[derive(Clone, Copy)]
enum Loss {
    Everything,
    Nothing,
    From { change: usize, sectors: usize },
    Sectors { lengths_stay: bool },
}

impl Loss {
    fn draw(changes: &[Change], random: &dyn Random) -> Self {
        let unsynced = changes.iter().filter(|change| change.state != State::Synced);
        let sizes: Vec<usize> = unsynced.map(|change| change.sectors().count()).collect();
        match random.below(4) {
            0 => Self::Everything,
            1 => Self::Nothing,
            2 => {
                let change = below(random, sizes.len());
                let sectors = sizes.get(change).map_or(0, |&count| below(random, count + 1));
                Self::From { change, sectors }
            }
            _ => Self::Sectors { lengths_stay: random.below(2) == 0 },
        }
    }
}

pub(super) fn below(random: &dyn Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or_default()
}

impl Change {
    /// The pieces of it that reach the medium one by one: offset in the file, bytes.
    fn sectors(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let written: &[u8] = match &self.effect {
            Effect::Write(written) => written,
            Effect::SetLength(_) => &[],
        };
        let head = (SECTOR_BYTES - self.offset % SECTOR_BYTES).min(written.len());
        let (first, rest) = written.split_at(head);
        let first = (!first.is_empty()).then_some(first);
        first.into_iter().chain(rest.chunks(SECTOR_BYTES)).scan(self.offset, |offset, piece| {
            let at = *offset;
            *offset += piece.len();
            Some((at, piece))
        })
    }
}

fn redo(
    bytes: &mut Vec<u8>,
    change: &Change,
    mut survives: impl FnMut(usize) -> bool,
    length_stays: bool,
) {
    match &change.effect {
        Effect::SetLength(length) => {
            if survives(0) {
                bytes.resize(*length, 0);
            }
        }
        Effect::Write(written) => {
            for (index, (offset, piece)) in change.sectors().enumerate() {
                if survives(index) {
                    put(bytes, offset, piece);
                }
            }
            let end = change.offset + written.len();
            if length_stays && bytes.len() < end {
                bytes.resize(end, 0);
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, piece: &[u8]) {
    let end = offset + piece.len();
    if bytes.len() < end && !piece.is_empty() {
        bytes.resize(end, 0);
    }
    if let Some(target) = bytes.get_mut(offset..end) {
        target.copy_from_slice(piece);
    }
}
