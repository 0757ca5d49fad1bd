//! Encoding postcard, with a short way for what most keys and values are made of.

use postcard::Error;
use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::fmt::Display;

type Result<T> = std::result::Result<T, Error>;

/// Appends values to a buffer, or to what else takes bytes.
///
/// Every key of a stream is encoded to be hashed, and every entry of a snapshot to be stored, so the bytes of
/// an integer of variable length are put together in a register and written at once, whatever their number.
#[derive(Debug)]
pub(crate) struct Encoder<'a, B> {
    pub(crate) buffer: &'a mut B,
}

/// What takes encoded bytes.
pub(crate) trait Buffer {
    /// Appends the lowest bytes of a word, at most eight.
    fn append_word(&mut self, word: u64, bytes: usize);

    /// Appends the lowest bytes of two words, nine to sixteen of them; the others are 0.
    fn append_two_words(&mut self, first: u64, second: u64, bytes: usize);

    fn append(&mut self, bytes: &[u8]);
}

impl Buffer for Vec<u8> {
    #[inline(always)]
    fn append_word(&mut self, word: u64, bytes: usize) {
        let len = self.len() + bytes;
        self.extend_from_slice(&word.to_le_bytes());
        self.truncate(len);
    }

    #[inline(always)]
    fn append_two_words(&mut self, first: u64, second: u64, bytes: usize) {
        let len = self.len() + bytes;
        let both = u128::from(second) << 64 | u128::from(first);
        self.extend_from_slice(&both.to_le_bytes());
        self.truncate(len);
    }

    #[inline(always)]
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<B: Buffer> Encoder<'_, B> {
    /// Seven bits to a byte, the lowest first; the top bit says that another byte follows.
    #[inline(always)]
    fn varint(&mut self, value: u64) {
        let part = |index: u32| (value >> (7 * index) & 0x7F) << (8 * index);
        // With lengths that the compiler knows, hashing what was encoded takes half as long.
        let (word, len) = match value {
            0..0x80 => return self.buffer.append_word(value, 1),
            0x80..0x4000 => (part(0) | part(1) | 0x80, 2),
            0x4000..0x20_0000 => (part(0) | part(1) | part(2) | 0x8080, 3),
            0x20_0000..0x1000_0000 => (part(0) | part(1) | part(2) | part(3) | 0x80_8080, 4),
            _ => return self.medium_varint(value),
        };
        self.buffer.append_word(word, len);
    }

    /// The same of five bytes or more. Apart, so that what is short is hashed without a call.
    #[inline(never)]
    fn medium_varint(&mut self, value: u64) {
        if value >> 56 == 0 {
            let len = varint_len(value);
            let more = CONTINUED & ((1 << (8 * (len - 1))) - 1);
            self.buffer.append_word(with_top_bits(value) | more, len);
        } else {
            self.long_varint(value);
        }
    }

    /// The same of nine or ten bytes. A hash has nine as often as ten, so nothing here branches on that.
    #[inline]
    fn long_varint(&mut self, value: u64) {
        let tenth = value >> 63;
        let ninth = value >> 56 & 0x7F | tenth << 7;
        let word = with_top_bits(value & (u64::MAX >> 8)) | CONTINUED;
        self.buffer
            .append_two_words(word, ninth | tenth << 8, 9 + tenth as usize);
    }

    #[inline]
    fn len(&mut self, len: Option<usize>) -> Result<()> {
        self.varint(len.ok_or(Error::SerializeSeqLengthUnknown)? as u64);
        Ok(())
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.buffer.append(bytes);
    }

    #[cold]
    fn by_postcard<T: Serialize>(&mut self, value: &T) -> Result<()> {
        self.buffer.append(&postcard::to_stdvec(value)?);
        Ok(())
    }
}

/// The top bit of each byte.
const CONTINUED: u64 = 0x8080_8080_8080_8080;

/// How many bytes a number below 2^56 takes.
#[inline(always)]
fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    (bits * 9 + 64) / 64
}

/// Spreads the lower 56 bits over eight bytes, seven to each.
#[inline(always)]
fn with_top_bits(value: u64) -> u64 {
    let x = (value & 0x0000_0000_0FFF_FFFF) | (value & 0x00FF_FFFF_F000_0000) << 4;
    let x = (x & 0x0000_3FFF_0000_3FFF) | (x & 0x0FFF_C000_0FFF_C000) << 2;
    (x & 0x007F_007F_007F_007F) | (x & 0x3F80_3F80_3F80_3F80) << 1
}

#[inline(always)]
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

macro_rules! as_varint {
    ($($method:ident($type:ty) as $wide:ident)*) => {$(
        #[inline(always)]
        fn $method(self, value: $type) -> Result<()> {
            self.varint(as_varint!($wide value));
            Ok(())
        }
    )*};
    (unsigned $value:ident) => { u64::from($value) };
    (signed $value:ident) => { zigzag(i64::from($value)) };
}

impl<B: Buffer> Serializer for &mut Encoder<'_, B> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    as_varint! {
        serialize_u16(u16) as unsigned
        serialize_u32(u32) as unsigned
        serialize_u64(u64) as unsigned
        serialize_i16(i16) as signed
        serialize_i32(i32) as signed
        serialize_i64(i64) as signed
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<()> {
        self.serialize_u8(u8::from(value))
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<()> {
        self.buffer.append_word(u64::from(value), 1);
        Ok(())
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Result<()> {
        self.serialize_u8(value.cast_unsigned())
    }

    fn serialize_u128(self, value: u128) -> Result<()> {
        self.by_postcard(&value)
    }

    fn serialize_i128(self, value: i128) -> Result<()> {
        self.by_postcard(&value)
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<()> {
        self.buffer.append(&value.to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<()> {
        self.buffer.append(&value.to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<()> {
        self.serialize_bytes(value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.bytes(value);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<()> {
        self.serialize_u8(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        self.buffer.append_word(1, 1);
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, variant: u32, _: &'static str) -> Result<()> {
        self.serialize_u32(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        self.varint(u64::from(variant));
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self> {
        self.len(len)?;
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self> {
        self.varint(u64::from(variant));
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self> {
        self.len(len)?;
        Ok(self)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self> {
        self.varint(u64::from(variant));
        Ok(self)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<()> {
        self.serialize_str(&value.to_string())
    }
}

macro_rules! parts {
    ($($name:ident { $($method:ident$(($field:ty))?)* })*) => {$(
        impl<B: Buffer> $name for &mut Encoder<'_, B> {
            type Ok = ();
            type Error = Error;

            $(
                #[inline]
                fn $method<T: Serialize + ?Sized>(&mut self, $(_: $field,)? value: &T) -> Result<()> {
                    value.serialize(&mut **self)
                }
            )*

            #[inline]
            fn end(self) -> Result<()> {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq { serialize_element }
    SerializeTuple { serialize_element }
    SerializeTupleStruct { serialize_field }
    SerializeTupleVariant { serialize_field }
    SerializeMap { serialize_key serialize_value }
    SerializeStruct { serialize_field(&'static str) }
    SerializeStructVariant { serialize_field(&'static str) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Both write the same behind what is there already.
    fn check<T: Serialize>(value: &T) {
        let mut buffer = vec![9];
        value.serialize(&mut Encoder { buffer: &mut buffer }).unwrap();
        assert_eq!(buffer[0], 9);
        assert_eq!(buffer[1..], postcard::to_stdvec(value).unwrap());
    }

    #[derive(Serialize)]
    struct Mixed {
        unit: (),
        small: (bool, u8, i8, char, char),
        name: String,
        kinds: Vec<Kind>,
        wrapped: Wrapped,
        pair: Pair,
        map: BTreeMap<u64, [u64; 2]>,
        numbers: (f32, f64),
        maybe: (Option<u32>, Option<u32>),
        nothing: Nothing,
    }

    #[derive(Serialize)]
    struct Wrapped(u64);

    #[derive(Serialize)]
    struct Pair(i16, String);

    #[derive(Serialize)]
    struct Nothing;

    #[derive(Serialize)]
    enum Kind {
        Empty,
        One(u64),
        Tuple(u64, i64),
        Struct { value: u64, name: &'static str },
    }

    /// As a time or an address is encoded.
    struct Shown(u64);

    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            assert!(!serializer.is_human_readable());
            serializer.collect_str(&self.0)
        }
    }

    struct Endless;

    impl Serialize for Endless {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            serializer.serialize_seq(None)?.end()
        }
    }

    #[test]
    fn numbers_of_every_length_are_written_as_postcard_writes_them() {
        for shift in 0..64 {
            for near in [-1, 0, 1] {
                let number = (1_u64 << shift).wrapping_add_signed(near);
                check(&(number, number as i64, (number as i64).wrapping_neg()));
                check(&(number as u32, number as i32, number as u16, number as i16));
                check(&(u128::from(number) << 60, i128::from(number) << 60));
            }
        }
        check(&[u64::MAX, 0, 1 << 56, (1 << 56) - 1, 1 << 63]);
        check(&[i64::MIN, i64::MAX]);
    }

    #[test]
    fn what_is_made_of_many_things_is_written_as_postcard_writes_it() {
        check(&Mixed {
            unit: (),
            small: (true, 200, -3, 'x', '\u{1F980}'),
            name: "a name".into(),
            kinds: vec![
                Kind::Empty,
                Kind::One(300),
                Kind::Tuple(1 << 60, -1),
                Kind::Struct {
                    value: u64::MAX,
                    name: "n",
                },
            ],
            wrapped: Wrapped(1 << 63),
            pair: Pair(-300, String::new()),
            map: BTreeMap::from([(9, [u64::MAX, 1]), (1 << 40, [0, 0])]),
            numbers: (0.5, -1e300),
            maybe: (None, Some(70_000)),
            nothing: Nothing,
        });
        check(&Shown(1 << 50));
        check(&vec!["long"; 200].concat());
    }

    #[test]
    fn a_sequence_of_unknown_length_is_refused() {
        let mut buffer = Vec::new();
        let error = Endless.serialize(&mut Encoder { buffer: &mut buffer });
        assert_eq!(error, Err(Error::SerializeSeqLengthUnknown));
    }

    proptest! {
        #[test]
        fn any_values_are_written_as_postcard_writes_them(
            values: Vec<(u64, i64, String, Option<Vec<u8>>)>,
            number: i128,
        ) {
            check(&(values, number));
        }
    }
}
