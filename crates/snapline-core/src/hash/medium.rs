//! Encodings of up to sixteen bytes, those of words above all, in two registers.

use super::short::{ShortEncoding, weak_avalanche};
use crate::data::Key;
use crate::encoding::{Buffer, Encoder};

/// One to sixteen bytes; the first is the lowest.
#[derive(Debug, Default)]
pub(super) struct MediumEncoding {
    low: u64,
    high: u64,
    /// More than sixteen when the encoding is longer.
    len: usize,
}

impl MediumEncoding {
    /// The encoding of a key, if it is not longer.
    #[inline(always)]
    pub(super) fn of<K: Key>(key: &K) -> Option<Self> {
        let mut medium = Self::default();
        key.serialize(&mut Encoder { buffer: &mut medium }).ok()?;
        (1..=LONGEST).contains(&medium.len).then_some(medium)
    }

    /// What xxh3 with 64 bits and seed 0 makes of the bytes.
    #[inline(always)]
    pub(super) fn hash(&self) -> u64 {
        match self.len {
            ..=8 => ShortEncoding::new(self.low, self.len).hash(),
            _ => self.hash_to_16(),
        }
    }

    /// Both ends are eight bytes, and overlap.
    #[inline(always)]
    fn hash_to_16(&self) -> u64 {
        let bytes = u128::from(self.high) << 64 | u128::from(self.low);
        let last = (bytes >> (8 * (self.len - 8))) as u64;
        let (first, last) = (self.low ^ FLIP_FIRST, last ^ FLIP_LAST);
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

impl Buffer for MediumEncoding {
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

/// So many bytes are not too long.
const LONGEST: usize = 16;

/// No number of bytes that follows makes this shorter again.
const TOO_LONG: usize = 1 << 32;

/// Of the default secret of xxh3: 8 bytes at 24 combined with those at 32, and at 40 with those at 48.
const FLIP_FIRST: u64 = 0x1F67_B3B7_A4A4_4072 ^ 0x78E5_C0CC_4EE6_79CB;
const FLIP_LAST: u64 = 0x2172_FFCC_7DD0_5A82 ^ 0x8E24_43F7_7446_08B8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::stable_hash_bytes;
    use proptest::prelude::*;

    /// Whether the encoding of a key is not too long; if so, it is hashed as its bytes are.
    fn check<K: Key>(key: &K) -> bool {
        let bytes = postcard::to_stdvec(key).unwrap();
        let medium = MediumEncoding::of(key);
        if let Some(medium) = &medium {
            let all = u128::from(medium.high) << 64 | u128::from(medium.low);
            assert_eq!(all.to_le_bytes()[..medium.len], bytes);
            assert_eq!(medium.hash(), stable_hash_bytes(&bytes), "{bytes:?}");
        }
        assert_eq!(
            medium.is_some(),
            (1..=LONGEST).contains(&bytes.len()),
            "{bytes:?}"
        );
        medium.is_some()
    }

    #[test]
    fn no_number_is_too_long() {
        for bits in 0..64 {
            for number in [1_u64 << bits, (1 << bits) - 1, (1 << bits) | 0x55] {
                assert!(check(&number) && check(&(number as i64)) && check(&(7_u8, number, 300_u32)));
            }
        }
    }

    #[test]
    fn what_is_made_of_few_parts_is_not_too_long_and_all_else_is() {
        assert!(check(&(1_u8, true, 300_u32)));
        assert!(check(&[1_u8; 16]) && !check(&[1_u8; 17]));
        assert!(check(&("a".to_owned(), u64::MAX, 1_u8)));
        assert!(check(&(1_u8, 7_u128)));
        assert!(!check(&(u64::MAX, i64::MAX)));
        assert!(!check(&()));
    }

    #[test]
    fn a_word_may_have_fifteen_bytes() {
        for len in 0..20 {
            let word: String = ('a'..).take(len).collect();
            assert_eq!(check(&word), len <= 15);
            check(&(word.clone(), 300_u16, word));
        }
    }

    proptest! {
        #[test]
        fn keys_are_hashed_as_their_bytes_are(
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            cut in 0..20_usize,
            pair: (i64, i32),
        ) {
            check(&pair);
            check(&bytes);
            let mut medium = MediumEncoding::default();
            let (first, rest) = bytes.split_at(cut.min(bytes.len()));
            medium.append(first);
            medium.append(rest);
            if (1..=LONGEST).contains(&bytes.len()) {
                prop_assert_eq!(medium.hash(), stable_hash_bytes(&bytes));
            } else {
                prop_assert!(bytes.is_empty() || medium.len > LONGEST);
            }
        }
    }
}
