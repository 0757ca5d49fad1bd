//! A small hash table: the unit of growth and of a snapshot.
//!
//! Entries never change their bucket but when the segment moves to another table as a whole, so a
//! running snapshot can mark buckets. Hashes are not stored: a smaller entry is worth more, for every
//! access, than what it costs to hash again when a segment moves.

use super::changes::{ChangedBuckets, Changes};
use super::frozen::{Frozen, Run};
use super::phase::Phase;
use crate::format::block::Entry;
use crate::format::block::stored::overlap;
use hashbrown::HashTable;
use snapline_core::{Data, Key, Result, StableHasher};
use snapline_prefetch::{prefetch, prefetch_at};
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
    /// The address of the bytes, one for each bucket, which a search in the table reads first: they stand behind the
    /// buckets, of which the first is the last. A hint; that it is wrong costs time.
    tags: usize,
    depth: u32,
    first_hash: u32,
    /// The newest snapshot for which the segment has been encoded.
    drained: u64,
    changes: Changes,
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
            tags: 0,
            depth,
            first_hash,
            drained: 0,
            changes: Changes::new(),
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
        let upper = self.split(Phase::default(), &mut StableHasher::new());
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

    /// Fetches what a search for a hash reads first.
    #[inline]
    pub(super) fn prefetch_home(&self, hash: u64) {
        let home = hash as usize & (self.table.num_buckets() - 1);
        prefetch_at(self.tags.wrapping_add(home), || {
            self.table.get_bucket(home).is_some()
        });
    }

    /// Fetches the bucket that most likely has the key of a hash, and what is noted of it, and returns it.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) -> usize {
        let bucket = self.table.find_bucket_index(hash, |_| true).unwrap_or(0);
        if let Some(full) = self.table.get_bucket(bucket) {
            let is_plain = const { !std::mem::needs_drop::<K>() };
            prefetch(full, || is_plain.then(|| full.key.clone()));
        }
        self.changes.prefetch(bucket);
        bucket
    }

    /// The value of a key.
    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        let full = self.table.find_mut(hash, |full| full.key == *key)?;
        Some(&mut full.value)
    }

    /// The value of a key, which is about to change.
    #[inline(always)]
    pub(super) fn value_to_change(&mut self, hash: u64, key: &K, phase: &Phase) -> Option<&mut V> {
        let buckets = self.table.num_buckets();
        let found = self.table.find_entry(hash, |full| full.key == *key).ok()?;
        if phase.tracks {
            self.changes.note_again(found.bucket_index(), buckets, phase);
        }
        Some(&mut found.into_mut().value)
    }

    /// The value of a key, which is about to change, if it is in this bucket.
    #[inline]
    pub(super) fn value_at(&mut self, bucket: usize, key: &K, phase: &Phase) -> Option<&mut V> {
        let buckets = self.table.num_buckets();
        let full = self.table.get_bucket_mut(bucket)?;
        if full.key != *key {
            return None;
        }
        if phase.tracks {
            self.changes.note(bucket, buckets, phase);
        }
        Some(&mut full.value)
    }

    /// How many of its entries have changed since a freeze, and how many it has.
    pub(super) fn changed_since(&self, freeze: u64) -> (usize, usize) {
        let len = self.table.len();
        // A bucket whose entry is gone has changed as well.
        (self.changes.count_since(freeze).min(len), len)
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
    pub(super) fn insert(&mut self, hash: u64, key: K, value: V, phase: Phase) {
        let bucket = self.place(hash, Full { key, value }, true, phase);
        self.note_change(bucket, phase);
    }

    /// Notes that a bucket changes, if the table notes that.
    #[inline]
    pub(super) fn note_change(&mut self, bucket: usize, phase: Phase) {
        if phase.tracks {
            self.changes.note(bucket, self.table.num_buckets(), &phase);
        }
    }

    /// Removes a key. With a running snapshot, the entry is encoded first.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        key: &K,
        phase: Phase,
        hasher: &mut StableHasher,
    ) -> (Option<V>, Result<()>) {
        let Some(bucket) = self.locate(hash, key) else {
            return (None, Ok(()));
        };
        let kept = self.keep_before_image(bucket, phase);
        if phase.tracks {
            let last_hash = self.last_hash();
            self.changes.note_removed(key, last_hash, phase);
        }
        let removed = self.table.get_bucket_entry(bucket).ok();
        let value = removed.map(|entry| entry.remove().0.value);
        if self.table.len() * 8 < self.table.num_buckets() && self.table.num_buckets() > 64 {
            self.resize(phase, hasher);
        }
        (value, kept)
    }

    /// Encodes an entry that is about to change, if it belongs to a running snapshot that has not got it.
    #[inline]
    pub(super) fn keep_before_image(&mut self, bucket: usize, phase: Phase) -> Result<()> {
        let generation = phase.generation;
        if !phase.is_frozen || self.drained == generation {
            return Ok(());
        }
        if phase.only_changes {
            self.changes.settle(phase);
            if !self.changes.is_older(bucket) {
                return Ok(());
            }
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
    pub(super) fn drain(&mut self, phase: Phase, run: &mut Run) -> Result<bool> {
        let generation = phase.generation;
        if self.drained == generation {
            return Ok(true);
        }
        run.work += 1;
        // Also for a full snapshot: what it makes superfluous is freed here, a few segments at a time.
        self.changes.settle(phase);
        if phase.only_changes {
            self.drain_removed(generation, run);
        }
        if let Some(frozen) = &mut self.frozen {
            frozen.move_into(generation, run);
        }
        let done = match phase.only_changes {
            true => self.drain_changed(generation, run)?,
            false => self.drain_buckets(generation, 0..self.table.num_buckets(), run)?,
        };
        if done {
            self.drained = generation;
            self.frozen = None;
        }
        Ok(done)
    }

    /// Hands the keys out that were removed, once for each snapshot.
    fn drain_removed(&mut self, generation: u64, run: &mut Run) {
        let first_hash = self.first_hash;
        if let Some((removed, last_hash)) = self.changes.older_removed(generation) {
            run.removed.payload.extend_from_slice(&removed.payload);
            run.removed.keys += removed.keys;
            run.widen(first_hash, last_hash);
        }
    }

    /// Encodes the buckets that have changed.
    fn drain_changed(&mut self, generation: u64, run: &mut Run) -> Result<bool> {
        for word in 0..self.changes.older().len() {
            let bits = self.changes.older()[word];
            let mut rest = bits;
            while rest != 0 {
                let bucket = word * 64 + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                if !self.drain_buckets(generation, bucket..bucket + 1, run)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Encodes these buckets unless the snapshot has them; `false` when the run has enough before.
    fn drain_buckets(&mut self, generation: u64, range: Range<usize>, run: &mut Run) -> Result<bool> {
        run.widen(self.first_hash, self.last_hash());
        let kept = self.frozen.as_deref().filter(|frozen| frozen.is_of(generation));
        for bucket in range {
            if kept.is_some_and(|frozen| frozen.is_marked(bucket)) {
                continue;
            }
            if run.has_enough() {
                let (buckets, last_hash) = (self.table.num_buckets(), self.last_hash());
                Frozen::of(&mut self.frozen, generation, buckets, last_hash).mark_all_before(bucket);
                return Ok(false);
            }
            run.work += 1;
            if let Some(full) = self.table.get_bucket(bucket) {
                Entry::encode(&full.key, &full.value, &mut run.payload)?;
                run.entries += 1;
            }
        }
        Ok(true)
    }

    /// Moves to a table of the right size for its entries.
    pub(super) fn resize(&mut self, phase: Phase, hasher: &mut StableHasher) {
        let entries = (self.table.len() * 3 / 2).max(FEWEST_ENTRIES);
        let (old, marks) = self.empty_out(entries, phase);
        move_entries(old, &marks, |full, from| {
            let hash = self.hash_again(&full.key, hasher);
            self.move_in(hash, full, from, &marks, phase);
        });
    }

    /// Gives the entries whose next bit is set away to a new segment.
    pub(super) fn split(&mut self, phase: Phase, hasher: &mut StableHasher) -> Self {
        let mut upper = Self::new(self.depth + 1, self.first_hash | (1 << (31 - self.depth)));
        upper.table = HashTable::with_capacity(MOST_ENTRIES);
        upper.drained = self.drained;
        upper.changes = self.changes.split_off(upper.first_hash);
        let (old, marks) = self.empty_out(MOST_ENTRIES, phase);
        self.depth += 1;
        move_entries(old, &marks, |full, from| {
            let hash = self.hash_again(&full.key, hasher);
            let is_upper = hash as u32 >= upper.first_hash;
            let owner = if is_upper { &mut upper } else { &mut *self };
            owner.move_in(hash, full, from, &marks, phase);
        });
        upper
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.table.iter().map(|full| (&full.key, &full.value))
    }

    /// How many buckets there are.
    pub(super) fn buckets(&self) -> usize {
        self.table.num_buckets()
    }

    /// The keys in these buckets whose values are wanted; there may be fewer buckets.
    pub(super) fn keys_in(
        &self,
        buckets: Range<usize>,
        is_wanted: impl Fn(&V) -> bool,
    ) -> impl Iterator<Item = &K> {
        let buckets = buckets.start..buckets.end.min(self.buckets());
        let entries = buckets.filter_map(|bucket| self.table.get_bucket(bucket));
        entries
            .filter(move |full| is_wanted(&full.value))
            .map(|full| &full.key)
    }

    /// Takes all entries with their marks away and leaves an empty table for this many.
    fn empty_out(&mut self, entries: usize, phase: Phase) -> (HashTable<Full<K, V>>, Marks) {
        let old = std::mem::replace(&mut self.table, HashTable::with_capacity(entries));
        let frozen = match &mut self.frozen {
            Some(frozen) if phase.is_frozen && frozen.is_of(phase.generation) => {
                frozen.take_marks(self.table.num_buckets())
            }
            _ => Vec::new(),
        };
        let changed = self.changes.take_buckets();
        (old, Marks { frozen, changed })
    }

    /// Takes an entry in from a bucket of another table.
    fn move_in(&mut self, hash: u64, full: Full<K, V>, from: usize, marks: &Marks, phase: Phase) {
        let bucket = self.place(hash, full, marks.is_frozen(from), phase);
        if !marks.changed.is_empty() {
            self.changes
                .restore(&marks.changed, from, bucket, self.table.num_buckets());
        }
    }

    /// Inserts an entry and returns its bucket; `marked` when the running snapshot must not have it from there.
    #[inline]
    fn place(&mut self, hash: u64, full: Full<K, V>, marked: bool, phase: Phase) -> usize {
        let first_hash = self.first_hash;
        let again = |other: &Full<K, V>| hash_or(first_hash, &other.key, &mut StableHasher::new());
        let placed = self.table.insert_unique(hash, full, again);
        let bucket = placed.bucket_index();
        self.tags = std::ptr::from_ref(placed.get()).wrapping_add(bucket + 1).addr();
        if phase.is_frozen && marked && self.drained != phase.generation {
            let (buckets, last_hash) = (self.table.num_buckets(), self.last_hash());
            Frozen::of(&mut self.frozen, phase.generation, buckets, last_hash).mark(bucket);
        }
        bucket
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

/// What is known of the buckets of a table that is given up.
struct Marks {
    /// Those that the running snapshot has or must not have; empty when there are none.
    frozen: Vec<u64>,
    changed: ChangedBuckets,
}

impl Marks {
    fn is_empty(&self) -> bool {
        self.frozen.is_empty() && self.changed.is_empty()
    }

    fn is_frozen(&self, bucket: usize) -> bool {
        let word = self.frozen.get(bucket / 64);
        word.is_some_and(|word| word & (1 << (bucket % 64)) != 0)
    }
}

/// Hands out all entries of a table, each with its bucket, which is any when there are no marks.
fn move_entries<K, V>(
    mut table: HashTable<Full<K, V>>,
    marks: &Marks,
    mut place: impl FnMut(Full<K, V>, usize),
) {
    if marks.is_empty() {
        table.into_iter().for_each(|full| place(full, 0));
        return;
    }
    for bucket in 0..table.num_buckets() {
        if let Ok(entry) = table.get_bucket_entry(bucket) {
            place(entry.remove().0, bucket);
        }
    }
}
