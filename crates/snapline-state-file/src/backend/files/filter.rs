//! A Bloom filter: says of most keys that are not in a file that they are not.
//!
//! All bits of a key are in one cache line (Putze, Sanders and Singler 2007). With 10 bits for each key one in a hundred
//! that is not there is looked for in vain.

/// Bits for hashes.
#[derive(Debug)]
pub(super) struct Filter {
    /// Pieces of lines: those of all filters are of one size, so that the memory of one that goes fits the next.
    pieces: Vec<Box<[Line; PIECE]>>,
    lines: usize,
}

/// A cache line of bits.
type Line = [u64; 8];

/// So many lines are 16 KiB.
const PIECE: usize = 256;
const LINE_BYTES: usize = size_of::<Line>();
const BITS_PER_KEY: usize = 10;
const PROBES: usize = 6;

impl Filter {
    pub(super) fn with_room_for(keys: u64) -> Self {
        let lines = (keys as usize * BITS_PER_KEY).div_ceil(LINE_BYTES * 8).max(1);
        Self {
            pieces: (0..lines.div_ceil(PIECE))
                .map(|_| Box::new([[0; 8]; PIECE]))
                .collect(),
            lines,
        }
    }

    pub(super) fn insert(&mut self, hash: u64) {
        let line = self.place(hash);
        let line = &mut self.pieces[line / PIECE][line % PIECE];
        for bit in bits(hash) {
            line[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// Whether this hash may have been inserted.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let line = self.place(hash);
        let line = &self.pieces[line / PIECE][line % PIECE];
        bits(hash).all(|bit| line[bit / 64] >> (bit % 64) & 1 == 1)
    }

    /// How many bytes it takes.
    pub(super) fn resident(&self) -> usize {
        self.pieces.len() * PIECE * LINE_BYTES
    }

    /// How many bytes it is stored as.
    pub(super) fn len(&self) -> usize {
        self.lines * LINE_BYTES
    }

    /// Its bytes, some at a time.
    pub(super) fn pieces(&self) -> impl Iterator<Item = [u8; LINE_BYTES]> {
        let lines = self.pieces.iter().flat_map(|piece| piece.iter());
        lines.take(self.lines).map(|line| {
            let mut piece = [0; LINE_BYTES];
            for (bytes, word) in piece.as_chunks_mut().0.iter_mut().zip(line) {
                *bytes = word.to_le_bytes();
            }
            piece
        })
    }

    /// `None` when these bytes are no filter.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
        if !rest.is_empty() || lines.is_empty() {
            return None;
        }
        let pieces = lines.chunks(PIECE).map(|lines| {
            let mut piece = Box::new([[0; 8]; PIECE]);
            for (line, bytes) in piece.iter_mut().zip(lines) {
                for (word, bytes) in line.iter_mut().zip(bytes.as_chunks().0) {
                    *word = u64::from_le_bytes(*bytes);
                }
            }
            piece
        });
        Some(Self {
            pieces: pieces.collect(),
            lines: lines.len(),
        })
    }

    /// The line of a hash.
    fn place(&self, hash: u64) -> usize {
        (((hash >> 32) * self.lines as u64) >> 32) as usize
    }
}

fn bits(hash: u64) -> impl Iterator<Item = usize> {
    let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..PROBES).map(move |probe| (spread >> (9 * probe) & 511) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::stable_hash_bytes;

    #[test]
    fn what_was_inserted_is_there_and_of_the_rest_hardly_anything() {
        let hash = |number: u32| stable_hash_bytes(&number.to_le_bytes());
        let mut filter = Filter::with_room_for(10_000);
        (0..10_000).for_each(|number| filter.insert(hash(number)));
        let bytes: Vec<u8> = filter.pieces().flatten().collect();
        let filter = Filter::from_bytes(&bytes).unwrap();
        assert!((0..10_000).all(|number| filter.may_have(hash(number))));
        let wrong = (10_000..110_000).filter(|number| filter.may_have(hash(*number)));
        assert!(wrong.count() < 2_500);
        assert!(Filter::from_bytes(&bytes[1..]).is_none() && bytes.len() == filter.len());
    }
}
