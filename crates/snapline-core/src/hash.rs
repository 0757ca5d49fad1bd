//! The hash that decides where a key lives: the same on every build and platform.

use crate::data::Key;
use crate::error::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

/// The stable hash of bytes: xxh3 with 64 bits and seed 0.
#[inline]
pub fn stable_hash_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Hashes keys by their postcard encoding, reusing one buffer.
///
/// The hash of a key is [`stable_hash_bytes`] of its encoding, so it can be recomputed from stored
/// bytes without the key's type.
#[derive(Debug, Default)]
pub struct StableHasher {
    buffer: Vec<u8>,
}

impl StableHasher {
    /// A hasher with an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The stable hash of a key.
    ///
    /// # Errors
    /// `Invalid` when the key's `Serialize` fails.
    #[inline]
    pub fn hash<K: Key>(&mut self, key: &K) -> Result<u64> {
        Ok(stable_hash_bytes(self.encode(key)?))
    }

    /// The encoding of a key, valid until the next call.
    ///
    /// # Errors
    /// `Invalid` when the key's `Serialize` fails.
    #[inline]
    pub fn encode<K: Key>(&mut self, key: &K) -> Result<&[u8]> {
        self.buffer.clear();
        let flavor = Buffer(&mut self.buffer);
        postcard::serialize_with_flavor(key, flavor).map_err(unencodable)?;
        Ok(&self.buffer)
    }
}

#[cold]
fn unencodable(error: postcard::Error) -> Error {
    Error::invalid("a key cannot be encoded; its Serialize failed").because(error)
}

/// Writes into a buffer that outlives the encoding.
struct Buffer<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Buffer<'_> {
    type Output = ();

    #[inline(always)]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    #[inline(always)]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_key_never_changes() {
        let mut hasher = StableHasher::new();
        assert_eq!(
            hasher.hash(&String::from("hello")).unwrap(),
            stable_hash_bytes(b"\x05hello")
        );
        assert_eq!(hasher.hash(&7_u64).unwrap(), stable_hash_bytes(&[7]));
        // Values fixed when the format was fixed: a change here makes every checkpoint unreadable.
        assert_eq!(hasher.hash(&String::from("hello")).unwrap(), HELLO);
        assert_eq!(hasher.hash(&(1_u32, true)).unwrap(), PAIR);
    }

    const HELLO: u64 = 14_824_309_624_895_517_203;
    const PAIR: u64 = 508_203_992_382_727_667;
}
