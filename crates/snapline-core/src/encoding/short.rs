//! Encodings of a few bytes, which need not go through memory.

use super::{Buffer, Encoder};
use serde::Serialize;

/// An encoding of at most [`ShortBytes::MOST`] bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShortBytes {
    bytes: u128,
    /// More when it is not that short.
    len: usize,
}

impl ShortBytes {
    /// The longest.
    pub const MOST: usize = 15;

    /// The postcard encoding of a value, unless it is longer. Strings and the like do not count as short: their bytes
    /// are in memory already.
    #[inline(always)]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Option<Self> {
        let mut short = Self::default();
        value.serialize(&mut Encoder { buffer: &mut short }).ok()?;
        (short.len <= Self::MOST).then_some(short)
    }

    /// How many bytes it has.
    #[inline(always)]
    pub fn count(self) -> usize {
        self.len
    }

    /// The bytes behind their number; what follows is 0.
    #[inline(always)]
    pub fn sized(self) -> [u8; Self::MOST + 1] {
        (self.bytes << 8 | self.len as u128).to_le_bytes()
    }
}

impl Buffer for ShortBytes {
    #[inline(always)]
    fn append_word(&mut self, word: u64, bytes: usize) {
        if self.len + bytes <= Self::MOST {
            let used = word & (u64::MAX >> (64 - 8 * bytes));
            self.bytes |= u128::from(used) << (8 * self.len);
        }
        self.len += bytes;
    }

    #[inline(always)]
    fn append_two_words(&mut self, first: u64, second: u64, bytes: usize) {
        let both = u128::from(second) << 64 | u128::from(first);
        if self.len == 0 {
            // What is not read need not be waited for.
            self.bytes = both;
        } else if self.len + bytes <= Self::MOST {
            self.bytes |= both << (8 * self.len);
        }
        self.len += bytes;
    }

    #[inline(always)]
    fn append(&mut self, _: &[u8]) {
        self.len = TOO_LONG;
    }
}

/// No number of bytes that follows makes this short again.
const TOO_LONG: usize = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether a value is short; if so, its bytes are those of postcard.
    fn check<T: Serialize>(value: &T) -> bool {
        let expected = postcard::to_stdvec(value).unwrap();
        let short = ShortBytes::of(value);
        if let Some(short) = short {
            let sized = short.sized();
            assert_eq!(usize::from(sized[0]), short.count());
            assert_eq!(sized[1..=short.count()], expected);
            assert!(sized[1 + short.count()..].iter().all(|byte| *byte == 0));
        }
        assert!(short.is_none() || expected.len() <= ShortBytes::MOST);
        short.is_some()
    }

    #[test]
    fn numbers_and_what_is_made_of_few_of_them_are_short() {
        for shift in 0..64 {
            for near in [-1, 0, 1] {
                let number = (1_u64 << shift).wrapping_add_signed(near);
                assert!(check(&number) && check(&(number as i64)));
                check(&(number, number >> 7, 300_u16));
            }
        }
        assert!(check(&()) && check(&(u64::MAX, 1_u32 << 31)) && check(&[7_u8; 15]));
    }

    #[test]
    fn what_is_longer_or_in_memory_is_not() {
        assert!(!check(&[7_u8; 16]) && !check(&(u64::MAX, u64::MAX)) && !check(&(1_u8, 7_u128, 1_u8)));
        assert!(!check(&"a") && !check(&(1_u8, String::new(), 2_u8)));
    }

    proptest! {
        #[test]
        fn any_short_values_are_those_of_postcard(value: (u64, Option<i16>, u8, bool, u32)) {
            check(&value);
        }
    }
}
