//! Blocks: some kilobytes of entries in order.
//!
//! An entry is the length of the key, the length of the value and one, or 0 when the key was removed, the key, and the
//! value; lengths are LEB128. Behind the entries stand the places of every 16th, their number, and a crc32c of
//! everything before it, each of 4 bytes, little-endian.

use std::cmp::Ordering;
use std::ops::Range;

/// Between two entries whose places are noted.
const INTERVAL: usize = 16;

/// Builds one block after the other.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    places: Vec<u32>,
    entries: usize,
}

impl BlockBuilder {
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        if self.entries.is_multiple_of(INTERVAL) {
            self.places.push(self.bytes.len() as u32);
        }
        self.entries += 1;
        append_len(key.len() as u64, &mut self.bytes);
        append_len(value.map_or(0, |value| value.len() as u64 + 1), &mut self.bytes);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// How long the entries are.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Gives the block to `write` and begins the next.
    pub(super) fn finish<R>(&mut self, write: impl FnOnce(&[u8]) -> R) -> R {
        for place in &self.places {
            self.bytes.extend_from_slice(&place.to_le_bytes());
        }
        self.bytes
            .extend_from_slice(&(self.places.len() as u32).to_le_bytes());
        let checksum = crc32c::crc32c(&self.bytes);
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        let outcome = write(&self.bytes);
        self.bytes.clear();
        self.places.clear();
        self.entries = 0;
        outcome
    }
}

/// A block that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    bytes: &'a [u8],
    /// Where the places begin, which is where the entries end.
    end: usize,
    places: usize,
}

/// Where the parts of an entry are in their block, and where the next entry begins.
#[derive(Debug, Clone)]
pub(super) struct EntryPlace {
    pub(super) key: Range<usize>,
    pub(super) value: Option<Range<usize>>,
    pub(super) next: usize,
}

impl<'a> Block<'a> {
    /// `None` when the block is damaged.
    pub(super) fn checked(bytes: &'a [u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk()?;
        (crc32c::crc32c(content) == u32::from_le_bytes(*checksum)).then(|| Self::trusted(bytes))?
    }

    /// The same for a block that was checked before.
    pub(super) fn trusted(bytes: &'a [u8]) -> Option<Self> {
        let places = word(bytes, bytes.len().checked_sub(8)?)? as usize;
        let end = (bytes.len() - 8).checked_sub(places * 4)?;
        Some(Self { bytes, end, places })
    }

    /// The entries of a block that was checked before, which end here.
    pub(super) fn trusted_until(bytes: &'a [u8], end: usize) -> Self {
        Self {
            bytes,
            end,
            places: 0,
        }
    }

    /// Where the entries end.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Where the parts of the entry are that begins here.
    #[inline]
    pub(super) fn entry(&self, at: usize) -> Option<EntryPlace> {
        let mut at = at;
        let key_len = read_len(self.bytes, &mut at)? as usize;
        let value_len = read_len(self.bytes, &mut at)? as usize;
        let key = at..at.checked_add(key_len)?;
        let end = key.end.checked_add(value_len.saturating_sub(1))?;
        (end <= self.end).then(|| EntryPlace {
            value: (value_len > 0).then_some(key.end..end),
            key,
            next: end,
        })
    }

    /// What is stored for a key: nothing, that it was removed, or a value. The outer `Err` is damage.
    pub(super) fn find(&self, key: &[u8]) -> Result<Option<Option<&'a [u8]>>, Damaged> {
        let (mut low, mut high) = (0, self.places);
        while high - low > 1 {
            let middle = (low + high) / 2;
            let place = word(self.bytes, self.end + 4 * middle).ok_or(Damaged)?;
            let entry = self.entry(place as usize).ok_or(Damaged)?;
            if self.bytes[entry.key] <= *key {
                low = middle;
            } else {
                high = middle;
            }
        }
        let mut at = word(self.bytes, self.end + 4 * low).ok_or(Damaged)? as usize;
        while at < self.end {
            let entry = self.entry(at).ok_or(Damaged)?;
            match self.bytes[entry.key].cmp(key) {
                Ordering::Less => at = entry.next,
                Ordering::Equal => return Ok(Some(entry.value.map(|value| &self.bytes[value]))),
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }
}

/// A block is not what was written.
#[derive(Debug)]
pub(super) struct Damaged;

pub(super) fn append_len(mut len: u64, out: &mut Vec<u8>) {
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
}

#[inline]
pub(super) fn read_len(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let (mut len, mut shift) = (0, 0);
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        len |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(len);
        }
        shift += 7;
        if shift > 56 {
            return None;
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_and_nothing_else() {
        let mut builder = BlockBuilder::default();
        let key = |number: u32| (number * 2).to_be_bytes();
        let value = |number: u32| vec![number as u8; number as usize % 300];
        for number in 0..100_u32 {
            let value = value(number);
            builder.push(&key(number), (number % 7 != 3).then_some(&value));
        }
        let bytes = builder.finish(<[u8]>::to_vec);
        let block = Block::checked(&bytes).unwrap();
        for number in 0..100_u32 {
            let expected = value(number);
            let expected = (number % 7 != 3).then_some(&expected[..]);
            assert_eq!(block.find(&key(number)).unwrap(), Some(expected));
            assert_eq!(block.find(&(number * 2 + 1).to_be_bytes()).unwrap(), None);
        }
        assert_eq!(block.find(&[]).unwrap(), None);
        assert!(builder.len() == 0 && Block::checked(&bytes[1..]).is_none());
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let mut builder = BlockBuilder::default();
        builder.push(b"key", Some(b"value"));
        let bytes = builder.finish(<[u8]>::to_vec);
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            assert!(Block::checked(&bytes).is_none(), "{at}");
        }
    }
}
