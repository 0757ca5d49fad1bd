//! The entries that are in memory.
//!
//! Entries are in *slots* that do not move, so that lists of slots can stand for lists of keys. A hand goes round the
//! slots and evicts what was not used since it came by last.

use super::change::Change;
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
    /// What the entries take, without what is kept for others.
    bytes: usize,
    /// What all shards take.
    table_bytes: usize,
    /// What keys and values take outside of their slots.
    outside_bytes: usize,
}

/// One entry, in one cache line.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: ByteView,
    /// Nothing when it was removed.
    value: ByteView,
    /// The batch of changes that it is part of; 0 when the disk has had it for ever.
    pub(super) batch: u64,
    has_value: bool,
    used: bool,
    taken: bool,
}

/// Where an entry is, with the low half of its hash.
#[derive(Debug, Clone, Copy)]
struct Place {
    tag: u32,
    slot: u32,
}

const SHARDS: usize = 256;
const CHUNK: usize = 256;
/// So many chunks are given back at a time.
const MOST_AT_ONCE: usize = 8;
const CHUNK_BYTES: usize = CHUNK * size_of::<Slot>();

/// What an entry takes beside its key and value: its slot, its place, and what a hash table leaves free, which is most
/// when it has just grown: it does when it would be full but for an eighth of its entries.
const ENTRY_BYTES: usize = size_of::<Slot>() + (size_of::<Place>() + 1) * 18 / 7;

impl Tier {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            chunks: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
            table_bytes: 0,
            outside_bytes: 0,
        }
    }

    /// How many bytes the entries take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes are allocated, also for entries that were evicted.
    pub(super) fn allocated(&self) -> usize {
        let free = self.free.capacity() * size_of::<u32>();
        self.chunks.len() * CHUNK_BYTES + free + self.table_bytes + self.outside_bytes
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
        self.count(key, value.as_deref(), Counted::More);
        let slot = Slot {
            key: key.into(),
            has_value: value.is_some(),
            value: value.unwrap_or_default(),
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
        let shard = &mut self.shards[shard_of(hash)];
        if shard.len() == shard.capacity() {
            self.table_bytes -= shard.allocation_size();
            *shard = with_room(shard);
            self.table_bytes += shard.allocation_size();
        }
        shard.insert_unique(spread(place.tag), place, |place| spread(place.tag));
        at
    }

    /// Gives a slot another value, as part of a batch.
    pub(super) fn replace(&mut self, at: u32, value: Option<ByteView>, batch: u64) {
        let slot = self.slot_mut(at);
        let before = slot.value().map_or(0, outside);
        let after = value.as_deref().map_or(0, outside);
        slot.has_value = value.is_some();
        slot.value = value.unwrap_or_default();
        slot.batch = batch;
        self.bytes = self.bytes - before + after;
        self.outside_bytes = self.outside_bytes - before + after;
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

    /// Begins to give so many bytes back, or what can be done in some tenths of a millisecond: evicts entries that are part
    /// of no batch after `flushed`, used or not. Where others are in the way entries come only when there is no other
    /// place, so that it is likely to be empty when this is done again after they were written.
    pub(super) fn give_back(&mut self, bytes: usize, flushed: u64) {
        let chunks = bytes
            .div_ceil(CHUNK_BYTES)
            .min(MOST_AT_ONCE)
            .min(self.chunks.len());
        let first = ((self.chunks.len() - chunks) * CHUNK) as u32;
        for at in first..first + (chunks * CHUNK) as u32 {
            let chunk = &self.chunks[at as usize / CHUNK];
            let slot = chunk.get(at as usize % CHUNK);
            if slot.is_some_and(|slot| slot.taken && slot.batch <= flushed) {
                self.remove(at);
            }
        }
        let is_empty = |chunk: &mut Vec<Slot>| chunk.iter().all(|slot| !slot.taken);
        while self.chunks.len() * CHUNK > first as usize && self.chunks.pop_if(is_empty).is_some() {}
        let slots = (self.chunks.len() * CHUNK) as u32;
        self.free.retain(|at| *at < slots);
        // The last is taken first.
        self.free.sort_unstable_by(|a, b| b.cmp(a));
        if self.hand as usize >= self.chunks.len() * CHUNK {
            self.hand = 0;
        }
    }

    fn remove(&mut self, at: u32) {
        let slot = self.slot_mut(at);
        slot.taken = false;
        let (key, value) = (std::mem::take(&mut slot.key), std::mem::take(&mut slot.value));
        let value = slot.has_value.then_some(&*value);
        self.count(&key, value, Counted::Less);
        let hash = stable_hash_bytes(&key);
        let shard = &mut self.shards[shard_of(hash)];
        if let Ok(place) = shard.find_entry(spread(hash as u32), |place| place.slot == at) {
            place.remove();
        }
        self.free.push(at);
    }

    fn count(&mut self, key: &[u8], value: Option<&[u8]>, counted: Counted) {
        let bytes = Self::bytes_of(key, value);
        let outside = bytes - ENTRY_BYTES;
        match counted {
            Counted::More => {
                self.bytes += bytes;
                self.outside_bytes += outside;
            }
            Counted::Less => {
                self.bytes -= bytes;
                self.outside_bytes -= outside;
            }
        }
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

impl Slot {
    /// The value, if it was not removed.
    pub(super) fn value(&self) -> Option<&[u8]> {
        self.has_value.then_some(&*self.value)
    }

    /// The entry as a change.
    pub(super) fn to_change(&self) -> Change {
        Change {
            key: self.key.clone(),
            value: self.has_value.then(|| self.value.clone()),
        }
    }
}

/// Whether an entry comes or goes.
#[derive(Debug, Clone, Copy)]
enum Counted {
    More,
    Less,
}

/// The same places in a table with room for some more. Left alone, one whose entries come and go would become twice as
/// large though it has no more of them, because of the marks that those leave which go.
fn with_room(shard: &mut HashTable<Place>) -> HashTable<Place> {
    let mut table = HashTable::with_capacity(shard.len() + shard.len() / 8 + 1);
    for place in shard.drain() {
        table.insert_unique(spread(place.tag), place, |place| spread(place.tag));
    }
    table
}

fn slot(chunks: &[Vec<Slot>], at: u32) -> &Slot {
    &chunks[at as usize / CHUNK][at as usize % CHUNK]
}

/// How many bytes a slice takes outside of its slot: short ones are in it. Allocators have some sizes, an eighth apart.
fn outside(bytes: &[u8]) -> usize {
    const INSIDE: usize = 20;
    const HEADER: usize = 8;
    if bytes.len() <= INSIDE {
        0
    } else {
        let bytes = bytes.len() + HEADER;
        bytes.next_multiple_of(bytes.next_power_of_two() / 8)
    }
}

fn shard_of(hash: u64) -> usize {
    (hash >> 56) as usize
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

    #[test]
    fn what_is_allocated_is_what_the_entries_take_also_when_they_come_and_go() {
        for keys in (40_000..80_000).step_by(10_000) {
            let mut tier = filled(0..keys);
            assert!(tier.allocated() <= tier.bytes() + CHUNK_BYTES, "{keys}");
            for key in keys..4 * keys {
                assert!(tier.evict(1));
                tier.insert(&key.to_be_bytes(), None, 1);
            }
            assert!(tier.allocated() <= tier.bytes() + CHUNK_BYTES, "{keys}");
        }
    }

    #[test]
    fn memory_is_given_back_unless_the_disk_lacks_an_entry_of_it() {
        let keys = 9 * CHUNK as u32 / 2;
        let mut tier = filled(0..keys);
        let before = tier.allocated();
        tier.give_back(3 * CHUNK_BYTES, 0);
        assert_eq!(tier.allocated(), before);
        tier.give_back(5 * CHUNK_BYTES / 2, 1);
        assert!(tier.allocated() < before - 2 * CHUNK_BYTES);
        let left = (0..keys).filter(|key| tier.find(&key.to_be_bytes()).is_some());
        assert_eq!(left.count(), 2 * CHUNK);
        (5_000..9_000_u32).for_each(|key| _ = tier.insert(&key.to_be_bytes(), None, 2));
        tier.give_back(2 * CHUNK_BYTES, 1);
        assert!((5_000..9_000_u32).all(|key| tier.find(&key.to_be_bytes()).is_some()));
        while tier.allocated() > tier.table_bytes + tier.free.capacity() * 4 {
            tier.give_back(usize::MAX, 2);
        }
        assert_eq!((tier.bytes(), tier.chunks.len()), (0, 0));
        assert!(tier.free.is_empty() && !tier.evict(2));
    }

    #[test]
    fn a_slot_is_one_cache_line() {
        assert_eq!(size_of::<Slot>(), 64);
    }
}
