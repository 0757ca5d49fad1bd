//! The entries that are in memory.
//!
//! Entries are in *slots* that do not move, so that lists of slots can stand for lists of keys. A hand goes round the
//! slots and evicts what was not used since it came by last.

use byteview::ByteView;
use hashbrown::HashTable;
use snapline_core::stable_hash_bytes;

/// The entries in memory, with the number of bytes that they take.
#[derive(Debug)]
pub(super) struct Tier {
    /// By the top bits of the hash, so that growing one of them takes no time to speak of.
    shards: Vec<HashTable<Place>>,
    chunks: Vec<Vec<Slot>>,
    free: Vec<u32>,
    hand: u32,
    bytes: usize,
}

/// One entry.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: ByteView,
    /// `None` when it was removed.
    pub(super) value: Option<ByteView>,
    /// The batch of changes that it is part of; 0 when the disk has had it for ever.
    pub(super) batch: u64,
    used: bool,
    taken: bool,
}

/// Where an entry is, with the low half of its hash.
#[derive(Debug, Clone, Copy)]
struct Place {
    tag: u32,
    slot: u32,
}

const SHARDS: usize = 64;
const CHUNK: usize = 1024;

/// What an entry takes beside its key and value: its slot, its place, and what a hash table leaves free, which is most
/// when it has just grown.
const ENTRY_BYTES: usize = size_of::<Slot>() + (size_of::<Place>() + 1) * 16 / 7;

impl Tier {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            chunks: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
        }
    }

    /// How many bytes the entries take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes an entry takes.
    pub(super) fn bytes_of(key: &[u8], value: Option<&[u8]>) -> usize {
        ENTRY_BYTES + outside(key) + value.map_or(0, outside)
    }

    /// Where a key is; it counts as used.
    pub(super) fn find(&mut self, key: &[u8]) -> Option<u32> {
        let hash = stable_hash_bytes(key);
        let chunks = &self.chunks;
        let found = self.shards[shard_of(hash)].find(spread(hash as u32), |place| {
            place.tag == hash as u32 && *slot(chunks, place.slot).key == *key
        })?;
        let at = found.slot;
        self.slot_mut(at).used = true;
        Some(at)
    }

    pub(super) fn slot(&self, at: u32) -> &Slot {
        slot(&self.chunks, at)
    }

    /// Puts a key that is not there yet.
    pub(super) fn insert(&mut self, key: &[u8], value: Option<ByteView>, batch: u64) -> u32 {
        self.bytes += Self::bytes_of(key, value.as_deref());
        let slot = Slot {
            key: key.into(),
            value,
            batch,
            used: true,
            taken: true,
        };
        let at = self.place(slot);
        let hash = stable_hash_bytes(key);
        let place = Place {
            tag: hash as u32,
            slot: at,
        };
        self.shards[shard_of(hash)].insert_unique(spread(place.tag), place, |place| spread(place.tag));
        at
    }

    /// Gives a slot another value, as part of a batch.
    pub(super) fn replace(&mut self, at: u32, value: Option<ByteView>, batch: u64) {
        let slot = self.slot_mut(at);
        let before = slot.value.as_deref().map_or(0, outside);
        let after = value.as_deref().map_or(0, outside);
        slot.value = value;
        slot.batch = batch;
        self.bytes = self.bytes - before + after;
    }

    /// Evicts one entry that is part of no batch after `flushed`; `false` when there hardly is one.
    pub(super) fn evict(&mut self, flushed: u64) -> bool {
        let slots = self.chunks.len() * CHUNK;
        for _ in 0..2 * slots {
            let at = self.hand;
            self.hand = if at as usize + 1 >= slots { 0 } else { at + 1 };
            let Some(slot) = self.chunks[at as usize / CHUNK].get_mut(at as usize % CHUNK) else {
                continue;
            };
            if !slot.taken || slot.batch > flushed {
                continue;
            }
            if slot.used {
                slot.used = false;
                continue;
            }
            self.remove(at);
            return true;
        }
        false
    }

    fn remove(&mut self, at: u32) {
        let slot = self.slot_mut(at);
        let (key, value) = (std::mem::take(&mut slot.key), slot.value.take());
        slot.taken = false;
        self.bytes -= Self::bytes_of(&key, value.as_deref());
        let hash = stable_hash_bytes(&key);
        let shard = &mut self.shards[shard_of(hash)];
        if let Ok(place) = shard.find_entry(spread(hash as u32), |place| place.slot == at) {
            place.remove();
        }
        self.free.push(at);
    }

    fn place(&mut self, slot: Slot) -> u32 {
        if let Some(at) = self.free.pop() {
            *self.slot_mut(at) = slot;
            return at;
        }
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.chunks.len() - 1;
        let last = &mut self.chunks[chunk];
        last.push(slot);
        (chunk * CHUNK + last.len() - 1) as u32
    }

    fn slot_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }
}

fn slot(chunks: &[Vec<Slot>], at: u32) -> &Slot {
    &chunks[at as usize / CHUNK][at as usize % CHUNK]
}

/// How many bytes a slice takes outside of its slot: short ones are in it.
fn outside(bytes: &[u8]) -> usize {
    const INSIDE: usize = 20;
    const HEADER: usize = 16;
    if bytes.len() <= INSIDE {
        0
    } else {
        bytes.len() + HEADER
    }
}

fn shard_of(hash: u64) -> usize {
    (hash >> 58) as usize
}

/// A hash for a table, which looks at both ends, from half a hash.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(keys: std::ops::Range<u32>) -> Tier {
        let mut tier = Tier::new();
        for key in keys {
            tier.insert(&key.to_be_bytes(), Some(key.to_be_bytes().into()), 1);
        }
        tier
    }

    #[test]
    fn what_was_used_since_the_hand_came_by_stays() {
        let mut tier = filled(0..3_000);
        // The first round takes the marks away.
        assert!(tier.evict(1));
        for key in 1_000..2_000_u32 {
            tier.find(&key.to_be_bytes()).unwrap();
        }
        while tier.find(&2_999_u32.to_be_bytes()).is_none() || tier.free.len() < 1_500 {
            assert!(tier.evict(1));
        }
        let left = (1_000..2_000_u32).filter(|key| tier.find(&key.to_be_bytes()).is_some());
        assert_eq!(left.count(), 1_000);
    }

    #[test]
    fn what_the_disk_does_not_have_is_not_evicted() {
        let mut tier = filled(0..100);
        assert!(!tier.evict(0));
        while tier.evict(1) {}
        assert_eq!(tier.bytes(), 0);
        assert_eq!(tier.find(&5_u32.to_be_bytes()), None);
    }

    #[test]
    fn bytes_are_those_of_the_entries() {
        let mut tier = Tier::new();
        let at = tier.insert(&[1; 30], Some([2; 50].into()), 1);
        assert_eq!(tier.bytes(), Tier::bytes_of(&[1; 30], Some(&[2; 50])));
        tier.replace(at, Some([2; 500].into()), 2);
        assert_eq!(tier.bytes(), Tier::bytes_of(&[1; 30], Some(&[2; 500])));
        tier.replace(at, None, 3);
        assert_eq!(tier.bytes(), Tier::bytes_of(&[1; 30], None));
        while tier.evict(3) {}
        assert_eq!(tier.bytes(), 0);
    }
}
