//! A Bloom filter: says of most keys that are not in a file that they are not.
//!
//! All bits of a key are in one cache line (Putze, Sanders and Singler 2007). With 10 bits for each key one in a hundred
//! that is not there is looked for in vain.

/// Bits for hashes.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// Lines of [`LINE`] words.
    words: Vec<u64>,
}

const LINE: usize = 8;
const BITS_PER_KEY: usize = 10;
const PROBES: usize = 6;

impl Filter {
    pub(super) fn with_room_for(keys: u64) -> Self {
        let lines = (keys as usize * BITS_PER_KEY).div_ceil(LINE * 64).max(1);
        Self {
            words: vec![0; lines * LINE],
        }
    }

    pub(super) fn insert(&mut self, hash: u64) {
        let line = self.line(hash);
        for bit in bits(hash) {
            self.words[line + bit / 64] |= 1 << (bit % 64);
        }
    }

    /// Whether this hash may have been inserted.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let line = self.line(hash);
        bits(hash).all(|bit| self.words[line + bit / 64] >> (bit % 64) & 1 == 1)
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        self.words.len() * 8
    }

    /// Its bytes, some at a time.
    pub(super) fn pieces(&self) -> impl Iterator<Item = [u8; LINE * 8]> {
        let (lines, _) = self.words.as_chunks::<LINE>();
        lines.iter().map(|line| {
            let mut piece = [0; LINE * 8];
            for (bytes, word) in piece.as_chunks_mut().0.iter_mut().zip(line) {
                *bytes = word.to_le_bytes();
            }
            piece
        })
    }

    /// `None` when these bytes are no filter.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        (rest.is_empty() && !words.is_empty() && words.len().is_multiple_of(LINE)).then_some(Self { words })
    }

    fn line(&self, hash: u64) -> usize {
        let lines = (self.words.len() / LINE) as u64;
        (((hash >> 32) * lines) >> 32) as usize * LINE
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
