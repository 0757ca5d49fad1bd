//! Decoding postcard, with a short way for what most keys are made of.

use postcard::Error;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

type Result<T> = std::result::Result<T, Error>;

/// Reads values from the beginning of bytes.
///
/// 64-bit integers, and structs and tuples of them, are decoded here: a restore spends most of its time on
/// them, and eight bytes of a variable-length integer can be put together at once. All else is left to postcard.
#[derive(Debug)]
pub(super) struct Decoder<'de> {
    pub(super) rest: &'de [u8],
}

impl<'de> Decoder<'de> {
    #[inline(always)]
    fn varint(&mut self) -> Result<u64> {
        match self.rest.split_first() {
            Some((first, rest)) if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(always)]
    fn long_varint(&mut self) -> Result<u64> {
        let Some(word) = self.rest.first_chunk() else {
            return self.by_postcard(|postcard| u64::deserialize(postcard));
        };
        let word = u64::from_le_bytes(*word);
        let ends = !word & 0x8080_8080_8080_8080;
        if ends != 0 {
            let bits = ends.trailing_zeros() + 1;
            self.rest = &self.rest[bits as usize / 8..];
            return Ok(without_top_bits(word & (u64::MAX >> (64 - bits))));
        }
        // A hash has nine bytes as often as ten, so nothing here branches on that.
        let ninth = *self.rest.get(8).ok_or(Error::DeserializeUnexpectedEnd)?;
        let more = usize::from(ninth >> 7);
        let last = *self.rest.get(8 + more).ok_or(Error::DeserializeUnexpectedEnd)?;
        let tenth = u64::from(last) * more as u64;
        if tenth > 1 {
            return Err(Error::DeserializeBadVarint);
        }
        self.rest = &self.rest[9 + more..];
        Ok(without_top_bits(word) | u64::from(ninth & 0x7F) << 56 | tenth << 63)
    }

    #[inline]
    fn by_postcard<T>(
        &mut self,
        read: impl FnOnce(&mut postcard::Deserializer<'de, postcard::de_flavors::Slice<'de>>) -> Result<T>,
    ) -> Result<T> {
        let mut postcard = postcard::Deserializer::from_bytes(self.rest);
        let value = read(&mut postcard)?;
        self.rest = postcard.finalize()?;
        Ok(value)
    }
}

/// Puts the lower seven bits of each of eight bytes together.
#[inline(always)]
fn without_top_bits(bytes: u64) -> u64 {
    let x = bytes & 0x7F7F_7F7F_7F7F_7F7F;
    let x = (x & 0x007F_007F_007F_007F) | (x & 0x7F00_7F00_7F00_7F00) >> 1;
    let x = (x & 0x0000_3FFF_0000_3FFF) | (x & 0x3FFF_0000_3FFF_0000) >> 2;
    (x & 0x0000_0000_0FFF_FFFF) | (x & 0x0FFF_FFFF_0000_0000) >> 4
}

/// The parts of a struct or tuple, of which so many are left.
struct Parts<'a, 'de>(&'a mut Decoder<'de>, usize);

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.1 == 0 {
            return Ok(None);
        }
        self.1 -= 1;
        seed.deserialize(&mut *self.0).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.1)
    }
}

macro_rules! leave_to_postcard {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value> {
            self.by_postcard(|postcard| postcard.$method($($argument,)* visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = Error;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline(always)]
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_u64(self.varint()?)
    }

    #[inline(always)]
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let zigzag = self.varint()?;
        visitor.visit_i64((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Parts(self, len))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    leave_to_postcard! {
        deserialize_any()
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i128()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u128()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_str()
        deserialize_string()
        deserialize_bytes()
        deserialize_byte_buf()
        deserialize_option()
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_seq()
        deserialize_map()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
        deserialize_ignored_any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::{Serialize, de::DeserializeOwned};
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    /// Both read the same, or neither can read it.
    fn check<T: DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
        let mut decoder = Decoder { rest: bytes };
        let found = T::deserialize(&mut decoder).map(|value| (value, decoder.rest));
        assert_eq!(found, postcard::take_from_bytes(bytes), "{bytes:?}");
    }

    /// The same for the encoding of a value, with every beginning of it and with more behind it.
    fn check_value<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
        let mut bytes = postcard::to_stdvec(value).unwrap();
        bytes.extend([7; 9]);
        (0..=bytes.len()).for_each(|len| check::<T>(&bytes[..len]));
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Mixed {
        unit: (),
        pair: (u64, i64),
        name: String,
        kind: Kind,
        list: Vec<(u64, Option<i64>)>,
        wrapped: Wrapped,
        map: BTreeMap<u64, [u64; 2]>,
        number: f64,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(u64);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Empty,
        Tuple(u64, i64),
        Struct { value: u64 },
    }

    #[test]
    fn numbers_of_every_length_are_read_as_postcard_reads_them() {
        for shift in 0..64 {
            for near in [-1, 0, 1] {
                let number = (1_u64 << shift).wrapping_add_signed(near);
                check_value(&number);
                check_value(&(number as i64));
                check_value(&(number, 5_u8, -(number as i128), number as i64));
            }
        }
        check_value(&u64::MAX);
        check_value(&i64::MIN);
    }

    #[test]
    fn a_number_that_is_too_long_is_refused_as_postcard_refuses_it() {
        for len in 0..14 {
            for last in [0, 1, 2, 0x7F, 0x80, 0xFF] {
                let mut bytes = vec![0x80; len];
                bytes.extend([last, 1, 1]);
                check::<u64>(&bytes);
                check::<i64>(&bytes);
            }
        }
    }

    #[test]
    fn what_is_made_of_many_things_is_read_as_postcard_reads_it() {
        for kind in [
            Kind::Empty,
            Kind::Tuple(1 << 60, -1),
            Kind::Struct { value: u64::MAX },
        ] {
            check_value(&Mixed {
                unit: (),
                pair: (300, i64::MIN),
                name: "a name".into(),
                kind,
                list: vec![(1 << 40, None), (2, Some(-(1 << 50)))],
                wrapped: Wrapped(1 << 63),
                map: BTreeMap::from([(9, [u64::MAX, 1])]),
                number: 0.5,
            });
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_postcard_reads_them(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            check::<u64>(&bytes);
            check::<(i64, u64)>(&bytes);
            check::<(u16, u64, String)>(&bytes);
            check::<Vec<(u64, bool)>>(&bytes);
        }
    }
}
