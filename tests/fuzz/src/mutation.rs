//! Inputs made from others, without looking at what they reach.

/// Numbers at which counts and lengths turn.
const EDGES: [u64; 12] =
    [0, 1, 2, 4, 0x7f, 0x80, 0xff, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
const LONGEST_INPUT_BYTES: usize = 16 << 10;

/// Draws mutants; equal seeds draw equal ones.
#[derive(Debug, Clone)]
pub struct Mutation(u64);

impl Mutation {
    /// Draws from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// One of the seeds, changed in one to four ways.
    pub fn of(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, seeds);
        }
        input.truncate(LONGEST_INPUT_BYTES.max(seeds.iter().map(Vec::len).max().unwrap_or(0)));
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len());
        match self.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.next().to_le_bytes()[0],
            2 => input.truncate(at),
            3 | 4 => {
                let number = EDGES[self.below(EDGES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][self.below(4)];
                let end = (at + width).min(input.len());
                input[at..end].copy_from_slice(&number[..end - at]);
            }
            5 => {
                let end = at + self.below(input.len() - at + 1);
                input.drain(at..end);
            }
            6 => {
                let length = self.below(64.min(input.len() - at) + 1);
                let again = input[at..at + length].to_vec();
                input.splice(at..at, again);
            }
            _ => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}
