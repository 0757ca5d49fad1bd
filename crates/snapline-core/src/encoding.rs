//! How keys and values become bytes: postcard.

mod decoder;
mod encoder;
mod short;

use crate::error::{Error, Result};
use decoder::Decoder;
pub(crate) use encoder::{Buffer, Encoder};
use serde::Serialize;
use serde::de::DeserializeOwned;
pub use short::ShortBytes;

/// Appends the postcard encoding of a value to a buffer.
///
/// # Errors
/// `Invalid` when the value's `Serialize` fails; the buffer may then have a part of it.
#[inline]
pub fn encode_into<T: Serialize + ?Sized>(value: &T, buffer: &mut Vec<u8>) -> Result<()> {
    value.serialize(&mut Encoder { buffer }).map_err(unencodable::<T>)
}

/// The value that these bytes encode, all of them.
///
/// # Errors
/// `Corrupted` when they are not the encoding of such a value.
#[inline]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut decoder = Decoder { rest: bytes };
    match T::deserialize(&mut decoder) {
        Ok(value) if decoder.rest.is_empty() => Ok(value),
        Ok(_) => Err(undecodable::<T>(postcard::Error::DeserializeBadEncoding)),
        Err(error) => Err(undecodable::<T>(error)),
    }
}

#[cold]
fn unencodable<T: ?Sized>(error: postcard::Error) -> Error {
    Error::invalid("a value cannot be encoded; its Serialize failed")
        .with("type", std::any::type_name::<T>())
        .because(error)
}

#[cold]
fn undecodable<T>(error: postcard::Error) -> Error {
    Error::corrupted("stored bytes are not a value of the expected type")
        .with("type", std::any::type_name::<T>())
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_bytes_left_over_are_damage() {
        let mut buffer = vec![9];
        encode_into(&(7_u32, "x"), &mut buffer).unwrap();
        assert_eq!(
            decode::<(u32, String)>(&buffer[1..]).unwrap(),
            (7, "x".to_owned())
        );
        buffer.push(0);
        assert!(decode::<(u32, String)>(&buffer[1..]).is_err());
    }
}
