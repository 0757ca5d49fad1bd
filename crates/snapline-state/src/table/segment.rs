//! A small hash table: the unit of growth and of a snapshot.
//!
//! Entries never change their bucket but when the segment moves to another table as a whole, so a
//! running snapshot can mark buckets. Hashes are not stored: a smaller entry is worth more, for every
//! access, than what it costs to hash again when a segment moves.

use super::frozen::{Frozen, Run};
use crate::format::block::Entry;
use crate::format::block::stored::overlap;
use hashbrown::HashTable;
use snapline_core::{Data, Key, Result, StableHasher};
use std::ops::Range;

/// A segment with this many entries splits instead of growing: its table is full at 4096 buckets.
const MOST_ENTRIES: usize = 3584;
const FEWEST_ENTRIES: usize = 14;
/// A segment that is made for entries that are about to come gets about this many at the most: as the
/// hashes fall, a few per cent more will come to some of them.
const PLANNED_ENTRIES: u64 = 3328;
/// Deeper segments grow instead of splitting, so that keys of one hash cannot split for ever.
const DEEPEST: u32 = 20;

/// Entries whose low hashes share their top `depth` bits.
#[derive(Debug)]
pub(super) struct Segment<K, V> {
    table: HashTable<Full<K, V>>,
    depth: u32,
    first_hash: u32,
    /// The newest snapshot for which the segment has been encoded.
    drained: u64,
    frozen: Option<Box<Frozen>>,
}

#[derive(Debug)]
struct Full<K, V> {
    key: K,
    value: V,
}

impl<K: Key, V: Data> Segment<K, V> {
    pub(super) fn new(depth: u32, first_hash: u32) -> Self {
        Self {
            table: HashTable::new(),
            depth,
            first_hash,
            drained: 0,
            frozen: None,
        }
    }

    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    pub(super) fn first_hash(&self) -> u32 {
        self.first_hash
    }

    /// The low hashes that it may have.
    pub(super) fn hashes(&self) -> Range<u64> {
        u64::from(self.first_hash)..u64::from(self.last_hash()) + 1
    }

    /// Two segments of half of the hashes each. Not while there is a snapshot.
    pub(super) fn halves(mut self) -> [Self; 2] {
        if self.table.is_empty() {
            let upper = self.first_hash | (1 << (31 - self.depth));
            return [self.first_hash, upper].map(|first| Self::new(self.depth + 1, first));
        }
        let upper = self.split(None, &mut StableHasher::new());
        [self, upper]
    }

    /// Adds segments with room for about this many entries more, which have these hashes. Not while there is
    /// a snapshot.
    pub(super) fn sized_for(mut self, entries: u64, hashes: &Range<u64>, sized: &mut Vec<Self>) {
        if !self.table.is_empty() || entries == 0 {
            sized.push(self);
        } else if entries > PLANNED_ENTRIES && self.depth < DEEPEST {
            let all = overlap(&self.hashes(), hashes).max(1);
            for half in self.halves() {
                let share = (entries * overlap(&half.hashes(), hashes)).div_ceil(all);
                half.sized_for(share, hashes, sized);
            }
        } else {
            let all = entries as usize;
            // A segment that is nearly full when it is filled will soon be as large as they get.
            let room = if all > MOST_ENTRIES / 2 {
                MOST_ENTRIES
            } else {
                all + all / 16
            };
            self.table = HashTable::with_capacity(room.max(FEWEST_ENTRIES));
            sized.push(self);
        }
    }

    #[inline]
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&V> {
        let full = self.table.find(hash, |full| full.key == *key)?;
        Some(&full.value)
    }

    /// The bucket that has a key.
    #[inline]
    pub(super) fn locate(&self, hash: u64, key: &K) -> Option<usize> {
        self.table.find_bucket_index(hash, |full| full.key == *key)
    }

    /// Reads what a search for a hash reads first, so that it is in the cache.
    #[inline]
    pub(super) fn touch_home(&self, hash: u64) -> usize {
        let home = hash as usize & (self.table.num_buckets() - 1);
        usize::from(self.table.get_bucket(home).is_some())
    }

    /// The bucket that most likely has the key of a hash; looks at no entry.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> usize {
        self.table.find_bucket_index(hash, |_| true).unwrap_or(0)
    }

    /// Reads a bucket, so that it is in the cache; not if that would be more than a copy.
    #[inline]
    pub(super) fn touch(&self, bucket: usize) {
        if !std::mem::needs_drop::<K>()
            && let Some(full) = self.table.get_bucket(bucket)
        {
            std::hint::black_box(full.key.clone());
        }
    }

    /// The value of a key.
    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        let full = self.table.find_mut(hash, |full| full.key == *key)?;
        Some(&mut full.value)
    }

    /// The value of a key if it is in this bucket.
    #[inline]
    pub(super) fn value_if(&mut self, bucket: usize, key: &K) -> Option<&mut V> {
        let full = self.table.get_bucket_mut(bucket)?;
        (full.key == *key).then_some(&mut full.value)
    }

    /// Whether an insert needs [`Segment::resize`] or [`Segment::split`] first.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.table.len() == self.table.capacity()
    }

    /// How many entries it has room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.table.capacity()
    }

    pub(super) fn must_split(&self) -> bool {
        self.table.len() >= MOST_ENTRIES && self.depth < DEEPEST
    }

    /// Inserts a key that is missing into a segment that is not full. It is not part of the running
    /// snapshot.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, key: K, value: V, snapshot: Option<u64>) {
        self.place(hash, Full { key, value }, true, snapshot);
    }

    /// Removes a key. With a running snapshot, the entry is encoded first.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        key: &K,
        snapshot: Option<u64>,
        hasher: &mut StableHasher,
    ) -> (Option<V>, Result<()>) {
        let Some(bucket) = self.locate(hash, key) else {
            return (None, Ok(()));
        };
        let kept = snapshot.map_or(Ok(()), |generation| self.keep_before_image(bucket, generation));
        let removed = self.table.get_bucket_entry(bucket).ok();
        let value = removed.map(|entry| entry.remove().0.value);
        if self.table.len() * 8 < self.table.num_buckets() && self.table.num_buckets() > 64 {
            self.resize(snapshot, hasher);
        }
        (value, kept)
    }

    /// Encodes an entry that is about to change, unless this snapshot has it already.
    #[inline]
    pub(super) fn keep_before_image(&mut self, bucket: usize, generation: u64) -> Result<()> {
        if self.drained == generation {
            return Ok(());
        }
        let (buckets, last_hash) = (self.table.num_buckets(), self.last_hash());
        let frozen = Frozen::of(&mut self.frozen, generation, buckets, last_hash);
        if frozen.mark(bucket)
            && let Some(full) = self.table.get_bucket(bucket)
        {
            return frozen.keep(&full.key, &full.value);
        }
        Ok(())
    }

    /// Encodes what is left of the segment as it was when the snapshot was taken, until the run has
    /// enough; `true` when nothing is left.
    pub(super) fn drain(&mut self, generation: u64, run: &mut Run) -> Result<bool> {
        if self.drained == generation {
            return Ok(true);
        }
        run.widen(self.first_hash, self.last_hash());
        if let Some(frozen) = &mut self.frozen {
            frozen.move_into(generation, run);
        }
        let kept = self.frozen.as_deref().filter(|frozen| frozen.is_of(generation));
        for bucket in 0..self.table.num_buckets() {
            if kept.is_some_and(|frozen| frozen.is_marked(bucket)) {
                continue;
            }
            if run.has_enough() {
                let buckets = self.table.num_buckets();
                let last_hash = self.last_hash();
                Frozen::of(&mut self.frozen, generation, buckets, last_hash).mark_all_before(bucket);
                return Ok(false);
            }
            run.work += 1;
            if let Some(full) = self.table.get_bucket(bucket) {
                Entry::encode(&full.key, &full.value, &mut run.payload)?;
                run.entries += 1;
            }
        }
        self.drained = generation;
        self.frozen = None;
        Ok(true)
    }

    /// Moves to a table of the right size for its entries.
    pub(super) fn resize(&mut self, snapshot: Option<u64>, hasher: &mut StableHasher) {
        let entries = (self.table.len() * 3 / 2).max(FEWEST_ENTRIES);
        let (old, marks) = self.empty_out(entries, snapshot);
        move_entries(old, &marks, |full, marked| {
            let hash = self.hash_again(&full.key, hasher);
            self.place(hash, full, marked, snapshot);
        });
    }

    /// Gives the entries whose next bit is set away to a new segment.
    pub(super) fn split(&mut self, snapshot: Option<u64>, hasher: &mut StableHasher) -> Self {
        let mut upper = Self::new(self.depth + 1, self.first_hash | (1 << (31 - self.depth)));
        upper.table = HashTable::with_capacity(MOST_ENTRIES);
        upper.drained = self.drained;
        let (old, marks) = self.empty_out(MOST_ENTRIES, snapshot);
        self.depth += 1;
        move_entries(old, &marks, |full, marked| {
            let hash = self.hash_again(&full.key, hasher);
            let is_upper = hash as u32 >= upper.first_hash;
            let owner = if is_upper { &mut upper } else { &mut *self };
            owner.place(hash, full, marked, snapshot);
        });
        upper
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.table.iter().map(|full| (&full.key, &full.value))
    }

    /// Takes all entries with their marks away and leaves an empty table for this many.
    fn empty_out(&mut self, entries: usize, snapshot: Option<u64>) -> (HashTable<Full<K, V>>, Vec<u64>) {
        let old = std::mem::replace(&mut self.table, HashTable::with_capacity(entries));
        let marks = match (&mut self.frozen, snapshot) {
            (Some(frozen), Some(generation)) if frozen.is_of(generation) => {
                frozen.take_marks(self.table.num_buckets())
            }
            _ => Vec::new(),
        };
        (old, marks)
    }

    /// Inserts an entry; `marked` when the running snapshot must not have it from its bucket.
    #[inline]
    fn place(&mut self, hash: u64, full: Full<K, V>, marked: bool, snapshot: Option<u64>) {
        let first_hash = self.first_hash;
        let again = |other: &Full<K, V>| hash_or(first_hash, &other.key, &mut StableHasher::new());
        let placed = self.table.insert_unique(hash, full, again);
        let bucket = placed.bucket_index();
        if let Some(generation) = snapshot
            && marked
            && self.drained != generation
        {
            let (buckets, last_hash) = (self.table.num_buckets(), self.last_hash());
            Frozen::of(&mut self.frozen, generation, buckets, last_hash).mark(bucket);
        }
    }

    fn hash_again(&self, key: &K, hasher: &mut StableHasher) -> u64 {
        hash_or(self.first_hash, key, hasher)
    }

    fn last_hash(&self) -> u32 {
        self.first_hash | (u64::from(u32::MAX) >> self.depth) as u32
    }
}

/// The hash of a key that was hashed before; `first_hash` in place of a key that suddenly has none.
fn hash_or<K: Key>(first_hash: u32, key: &K, hasher: &mut StableHasher) -> u64 {
    hasher.hash(key).unwrap_or(u64::from(first_hash))
}

/// Hands out all entries of a table, each with whether its bucket was marked.
fn move_entries<K, V>(
    mut table: HashTable<Full<K, V>>,
    marks: &[u64],
    mut place: impl FnMut(Full<K, V>, bool),
) {
    if marks.is_empty() {
        table.into_iter().for_each(|full| place(full, false));
        return;
    }
    for bucket in 0..table.num_buckets() {
        if let Ok(entry) = table.get_bucket_entry(bucket) {
            let marked = marks[bucket / 64] & (1 << (bucket % 64)) != 0;
            place(entry.remove().0, marked);
        }
    }
}
