//! Encodings of a few bytes, which are hashed where they are put together: in a register.
//!
//! Most keys are small numbers. To write one to memory and to read it again takes longer than its hash.

use crate::data::Key;
use crate::encoding::{Buffer, Encoder};

/// One to eight bytes; the first is the lowest.
#[derive(Debug, Default)]
pub(super) struct ShortEncoding {
    word: u64,
    /// More than eight when the encoding is not that short.
    len: usize,
}

impl ShortEncoding {
    /// The encoding of a key, if it is short.
    #[inline(always)]
    pub(super) fn of<K: Key>(key: &K) -> Option<Self> {
        let mut short = Self::default();
        key.serialize(&mut Encoder { buffer: &mut short }).ok()?;
        (1..=8).contains(&short.len).then_some(short)
    }

    /// The lowest bytes of a word, of which the others are 0.
    pub(super) fn new(word: u64, len: usize) -> Self {
        Self { word, len }
    }

    /// What xxh3 with 64 bits and seed 0 makes of the bytes.
    #[inline(always)]
    pub(super) fn hash(&self) -> u64 {
        let (word, len) = (self.word, self.len as u64);
        // The first byte, that in the middle, and the last.
        let to_3 = |middle: u32, last: u32| {
            let byte = |index: u32| word >> (8 * index) & 0xFF;
            avalanche((byte(0) << 16 | byte(middle) << 24 | byte(last) | len << 8) ^ FLIP_TO_3)
        };
        match len {
            1 => to_3(0, 0),
            2 => to_3(1, 1),
            3 => to_3(1, 2),
            4 => strong_avalanche((word | word << 32) ^ FLIP_TO_8, 4),
            _ => self.hash_to_8(),
        }
    }

    #[inline(always)]
    fn hash_to_8(&self) -> u64 {
        let (word, len) = (self.word, self.len as u64);
        let (first, last) = (word & 0xFFFF_FFFF, word >> (8 * (len - 4)) & 0xFFFF_FFFF);
        strong_avalanche((last + (first << 32)) ^ FLIP_TO_8, len)
    }
}

impl Buffer for ShortEncoding {
    #[inline(always)]
    fn append_word(&mut self, word: u64, bytes: usize) {
        if self.len + bytes <= 8 {
            let used = word & (u64::MAX >> (64 - 8 * bytes));
            self.word |= used << (8 * self.len);
        }
        self.len += bytes;
    }

    #[inline(always)]
    fn append_two_words(&mut self, _: u64, _: u64, _: usize) {
        self.len = TOO_LONG;
    }

    /// Words are not for here, so that what is done for each number stays short.
    #[inline(always)]
    fn append(&mut self, _: &[u8]) {
        self.len = TOO_LONG;
    }
}

/// No number of bytes that follows makes this short again.
const TOO_LONG: usize = 1 << 32;

/// Of the default secret of xxh3: the first 4 bytes combined with the next, and 8 bytes at 8 with those at 16.
const FLIP_TO_3: u64 = 0x396C_FEB8 ^ 0xBE4B_A423;
const FLIP_TO_8: u64 = 0x1CAD_21F7_2C81_017C ^ 0xDB97_9083_E96D_D4DE;

/// The end of xxh64.
#[inline(always)]
fn avalanche(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    let hash = (hash ^ hash >> 29).wrapping_mul(0x1656_67B1_9E37_79F9);
    hash ^ hash >> 32
}

/// The end of xxh3 for what is longer.
#[inline(always)]
pub(super) fn weak_avalanche(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 37).wrapping_mul(0x1656_6791_9E37_79F9);
    hash ^ hash >> 32
}

/// The "rrmxmx" of xxh3.
#[inline(always)]
fn strong_avalanche(hash: u64, len: u64) -> u64 {
    let hash = hash ^ hash.rotate_left(49) ^ hash.rotate_left(24);
    let hash = hash.wrapping_mul(0x9FB2_1C65_1E98_DF25);
    let hash = (hash ^ ((hash >> 35) + len)).wrapping_mul(0x9FB2_1C65_1E98_DF25);
    hash ^ hash >> 28
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::stable_hash_bytes;
    use proptest::prelude::*;

    /// Whether the encoding of a key is short; if so, it is hashed as its bytes are.
    fn check<K: Key>(key: &K) -> bool {
        let bytes = postcard::to_stdvec(key).unwrap();
        let short = ShortEncoding::of(key);
        if let Some(short) = &short {
            assert_eq!(short.word.to_le_bytes()[..short.len], bytes);
            assert_eq!(short.hash(), stable_hash_bytes(&bytes), "{bytes:?}");
        }
        assert!(short.is_none() || bytes.len() <= 8);
        short.is_some()
    }

    #[test]
    fn a_number_that_needs_at_most_eight_bytes_is_short() {
        for bits in 0..64 {
            for number in [1_u64 << bits, (1 << bits) - 1, (1 << bits) | 0x55] {
                assert_eq!(check(&number), number < 1 << 56);
                check(&(number as i64));
            }
        }
    }

    #[test]
    fn what_is_made_of_few_small_parts_is_short_and_all_else_is_not() {
        assert!(check(&(1_u8, true, 300_u32)));
        assert!(check(&[1_u8, 2, 3, 4, 5, 6, 7, 8]));
        assert!(check(&(Some(7_u16), 'x' == 'y')));
        assert!(!check(&[1_u8, 2, 3, 4, 5, 6, 7, 8, 9]));
        assert!(!check(&(u64::MAX, 1_u8)));
        assert!(!check(&()));
        assert!(!check(&("a".to_owned(), 1_u8)));
        assert!(!check(&(1_u8, 7_u128)));
    }

    proptest! {
        #[test]
        fn short_keys_are_hashed_as_their_bytes_are(bytes: [u8; 8], len in 1..9_usize, pair: (u16, i32)) {
            check(&pair);
            let mut short = ShortEncoding::default();
            short.append_word(u64::from_le_bytes(bytes), len);
            prop_assert_eq!(short.hash(), stable_hash_bytes(&bytes[..len]));
        }
    }
}
