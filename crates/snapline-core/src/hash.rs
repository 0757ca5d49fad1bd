//! The hash that decides where a key lives: the same on every build and platform.

mod medium;
mod short;

use crate::data::Key;
use crate::encoding::encode_into;
use crate::error::Result;
use medium::MediumEncoding;
use short::ShortEncoding;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The stable hash of bytes: xxh3 with 64 bits and seed 0.
#[inline]
pub fn stable_hash_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The stable hash of bytes that stands for them: xxh3 with 128 bits and seed 0. Among a thousand million of them, chances
/// are a million million million to one that no two are the same.
pub fn stable_fingerprint(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
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
        match ShortEncoding::of(key) {
            Some(short) => Ok(short.hash()),
            None => self.hash_long(key),
        }
    }

    /// Appends the stable hashes of keys.
    ///
    /// # Errors
    /// `Invalid` when a key's `Serialize` fails.
    #[inline]
    pub fn hash_each<'a, K: Key>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a K>,
        hashes: &mut Vec<u64>,
    ) -> Result<()> {
        let start = hashes.len();
        hashes.resize(start + keys.len(), 0);
        for (hash, key) in hashes[start..].iter_mut().zip(keys) {
            *hash = self.hash(key)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn hash_long<K: Key>(&mut self, key: &K) -> Result<u64> {
        match MediumEncoding::of(key) {
            Some(medium) => Ok(medium.hash()),
            None => Ok(stable_hash_bytes(self.encode(key)?)),
        }
    }

    /// The encoding of a key, valid until the next call.
    ///
    /// # Errors
    /// `Invalid` when the key's `Serialize` fails.
    #[inline]
    pub fn encode<K: Key>(&mut self, key: &K) -> Result<&[u8]> {
        self.buffer.clear();
        encode_into(key, &mut self.buffer)?;
        Ok(&self.buffer)
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
