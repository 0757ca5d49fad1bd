//! Encodings of a few bytes, which are hashed where they are put together: in registers.
//!
//! Most keys are small numbers or short words. To write one to memory and to read it again takes longer than its hash.

use crate::data::Key;
use crate::encoding::{Buffer, Encoder};

/// One to sixteen bytes; the first is the lowest.
#[derive(Debug, Default)]
pub(super) struct ShortEncoding {
    low: u64,
    high: u64,
    /// More than sixteen when the encoding is not that short.
    len: usize,
}

impl ShortEncoding {
    /// The encoding of a key, if it is short.
    #[inline(always)]
    pub(super) fn of<K: Key>(key: &K) -> Option<Self> {
        let mut short = Self::default();
        key.serialize(&mut Encoder { buffer: &mut short }).ok()?;
        (1..=LONGEST).contains(&short.len).then_some(short)
    }

    /// What xxh3 with 64 bits and seed 0 makes of the bytes.
    #[inline(always)]
    pub(super) fn hash(&self) -> u64 {
        let (word, len) = (self.low, self.len as u64);
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
            5..=8 => self.hash_to_8(),
            _ => self.hash_to_16(),
        }
    }

    #[inline(always)]
    fn hash_to_8(&self) -> u64 {
        let (word, len) = (self.low, self.len as u64);
        let (first, last) = (word & 0xFFFF_FFFF, word >> (8 * (len - 4)) & 0xFFFF_FFFF);
        strong_avalanche((last + (first << 32)) ^ FLIP_TO_8, len)
    }

    /// Both ends are eight bytes, and overlap.
    #[inline(always)]
    fn hash_to_16(&self) -> u64 {
        let bytes = u128::from(self.high) << 64 | u128::from(self.low);
        let last = (bytes >> (8 * (self.len - 8))) as u64;
        let (first, last) = (self.low ^ FLIP_FIRST_TO_16, last ^ FLIP_LAST_TO_16);
        let product = u128::from(first) * u128::from(last);
        let folded = product as u64 ^ (product >> 64) as u64;
        let mixed = [first.swap_bytes(), last, folded].into_iter();
        weak_avalanche(mixed.fold(self.len as u64, u64::wrapping_add))
    }

    /// Appends the lowest bytes of a word; the others are 0.
    #[inline(always)]
    fn push(&mut self, word: u64, bytes: usize) {
        if self.len < 8 {
            self.low |= word << (8 * self.len);
            if self.len + bytes > 8 {
                self.high |= word >> (8 * (8 - self.len));
            }
        } else if self.len < LONGEST {
            self.high |= word << (8 * (self.len - 8));
        }
        self.len += bytes;
    }
}

impl Buffer for ShortEncoding {
    #[inline(always)]
    fn append_word(&mut self, word: u64, bytes: usize) {
        self.push(word & (u64::MAX >> (64 - 8 * bytes)), bytes);
    }

    #[inline(always)]
    fn append_two_words(&mut self, first: u64, second: u64, bytes: usize) {
        if self.len == 0 {
            // What is not read need not be waited for: it was just written in other pieces.
            (self.low, self.high, self.len) = (first, second, bytes);
        } else {
            self.push(first, 8);
            self.push(second, bytes - 8);
        }
    }

    #[inline(always)]
    fn append(&mut self, bytes: &[u8]) {
        match bytes.len() {
            len @ 0..=8 => self.push(word_of(bytes), len),
            len @ 9..=LONGEST => {
                let (first, rest) = bytes.split_at(8);
                self.push(word_of(first), 8);
                self.push(word_of(rest), len - 8);
            }
            _ => self.len = TOO_LONG,
        }
    }
}

/// Up to eight bytes as a word, read in one or two pieces.
#[inline(always)]
fn word_of(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if let Some(word) = bytes.first_chunk() {
        return u64::from_le_bytes(*word);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
        return first | last << (8 * (len - 4));
    }
    let [Some(first), Some(last)] = [bytes.first(), bytes.last()].map(|byte| byte.copied().map(u64::from))
    else {
        return 0;
    };
    let middle = u64::from(bytes[len / 2]);
    first | middle << (8 * (len / 2)) | last << (8 * (len - 1))
}

/// So many bytes are short.
const LONGEST: usize = 16;

/// No number of bytes that follows makes this short again.
const TOO_LONG: usize = 1 << 32;

/// Of the default secret of xxh3: the first 4 bytes combined with the next, 8 bytes at 8 with those at 16, at 24 with
/// those at 32, and at 40 with those at 48.
const FLIP_TO_3: u64 = 0x396C_FEB8 ^ 0xBE4B_A423;
const FLIP_TO_8: u64 = 0x1CAD_21F7_2C81_017C ^ 0xDB97_9083_E96D_D4DE;
const FLIP_FIRST_TO_16: u64 = 0x1F67_B3B7_A4A4_4072 ^ 0x78E5_C0CC_4EE6_79CB;
const FLIP_LAST_TO_16: u64 = 0x2172_FFCC_7DD0_5A82 ^ 0x8E24_43F7_7446_08B8;

/// The end of xxh64.
#[inline(always)]
fn avalanche(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    let hash = (hash ^ hash >> 29).wrapping_mul(0x1656_67B1_9E37_79F9);
    hash ^ hash >> 32
}

/// The end of xxh3 for longer inputs.
#[inline(always)]
fn weak_avalanche(hash: u64) -> u64 {
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
            let all = u128::from(short.high) << 64 | u128::from(short.low);
            assert_eq!(all.to_le_bytes()[..short.len], bytes);
            assert_eq!(short.hash(), stable_hash_bytes(&bytes), "{bytes:?}");
        }
        assert_eq!(short.is_some(), (1..=LONGEST).contains(&bytes.len()), "{bytes:?}");
        short.is_some()
    }

    #[test]
    fn numbers_are_short() {
        for bits in 0..64 {
            for number in [1_u64 << bits, (1 << bits) - 1, (1 << bits) | 0x55] {
                assert!(check(&number) && check(&(number as i64)));
            }
        }
    }

    #[test]
    fn what_is_made_of_few_small_parts_is_short_and_all_else_is_not() {
        assert!(check(&(1_u8, true, 300_u32)));
        assert!(check(&[1_u8; 16]) && !check(&[1_u8; 17]));
        assert!(check(&(Some(7_u16), 'x' == 'y')));
        assert!(check(&("a".to_owned(), u64::MAX, 1_u8)));
        assert!(!check(&(u64::MAX, i64::MAX)));
        assert!(!check(&()));
        assert!(check(&(1_u8, 7_u128)));
    }

    #[test]
    fn words_are_short_up_to_fifteen_bytes() {
        for len in 0..20 {
            let word: String = ('a'..).take(len).collect();
            assert_eq!(check(&word), len <= 15);
            check(&(word.clone(), 300_u16, word));
        }
    }

    proptest! {
        #[test]
        fn short_keys_are_hashed_as_their_bytes_are(
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            cut in 0..20_usize,
            pair: (u16, i32),
        ) {
            check(&pair);
            check(&bytes);
            let mut short = ShortEncoding::default();
            let (first, rest) = bytes.split_at(cut.min(bytes.len()));
            short.append(first);
            short.append(rest);
            if (1..=LONGEST).contains(&bytes.len()) {
                prop_assert_eq!(short.hash(), stable_hash_bytes(&bytes));
            } else {
                prop_assert!(bytes.is_empty() || short.len > LONGEST);
            }
        }
    }
}
