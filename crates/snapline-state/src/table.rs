//! The live table: values in place, and a freeze in constant time.
//!
//! Keys are divided by the top bits of the low half of their hash into *segments*, small hash tables
//! of at most a few thousand buckets. A full segment splits in two, so neither growing nor freezing
//! ever touches the whole table. Segments follow each other in the order of key groups.
//!
//! Freezing bumps a generation number. Afterwards [`LiveTable::drain`] encodes some kilobytes of
//! buckets at a time and marks them; a write to a bucket that was not yet encoded keeps its
//! before-image in the segment first, and marks it. A segment that moves takes its marks along. So
//! writers pay for the entries that they change during a snapshot, the rest is copied between batches.

mod bucket_order;
mod frozen;
mod load;
mod segment;
mod segments;

use crate::format::block::BlockWriter;
use crate::format::block::stored::StoredEntries;
use crate::spec::{LiveTable, TableId};
use frozen::Run;
use segments::Segments;
use snapline_core::{Data, Key, KeyGroup, KeyGroupRange, MaxParallelism, Result, StableHasher};
use std::any::Any;
use std::num::NonZeroUsize;

/// The place of a key's value.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a place is taken or free")]
pub enum Slot<'a, V> {
    /// The key has this value.
    Occupied(&'a mut V),
    /// The key has no value; it gets the one that is put here, if any.
    Vacant(&'a mut Option<V>),
}

/// A hash table of live values that can be frozen in constant time.
///
/// Every `hash` is the stable hash of its key, see [`StableHasher`]; a key under another hash is lost.
///
/// ```
/// use snapline_core::{MaxParallelism, StableHasher};
/// use snapline_state::{Slot, StateTable};
///
/// let mut table = StateTable::<String, u64>::new(MaxParallelism::DEFAULT);
/// let key = "word".to_owned();
/// let hash = StableHasher::new().hash(&key)?;
/// for _ in 0..3 {
///     table.update(hash, key.clone(), |slot| match slot {
///         Slot::Occupied(count) => *count += 1,
///         Slot::Vacant(count) => *count = Some(1),
///     });
/// }
/// assert_eq!(table.get(hash, &key), Some(&3));
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug)]
pub struct StateTable<K, V> {
    segments: Segments<K, V>,
    len: usize,
    generation: u64,
    freeze: Option<Freeze>,
    hasher: StableHasher,
    max_parallelism: MaxParallelism,
}

/// A freeze that is being drained.
#[derive(Debug, Default)]
struct Freeze {
    /// The low hash at which the next segment to drain begins.
    next: u64,
    failure: Option<snapline_core::Error>,
}

impl<K: Key, V: Data> StateTable<K, V> {
    /// An empty table of a job with this many key groups.
    pub fn new(max_parallelism: MaxParallelism) -> Self {
        Self {
            segments: Segments::new(),
            len: 0,
            generation: 0,
            freeze: None,
            hasher: StableHasher::new(),
            max_parallelism,
        }
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub fn get(&self, hash: u64, key: &K) -> Option<&V> {
        self.segments[self.segments.position_of(hash)].get(hash, key)
    }

    /// Changes the value of a key in place, or gives it one.
    #[inline]
    pub fn update<R>(&mut self, hash: u64, key: K, change: impl FnOnce(Slot<'_, V>) -> R) -> R {
        let segment = self.segments.position_of(hash);
        if let Some(bucket) = self.segments[segment].locate(hash, &key) {
            self.keep_before_image(segment, bucket);
            if let Some(value) = self.segments[segment].value_if(bucket, &key) {
                return change(Slot::Occupied(value));
            }
        }
        let mut value = None;
        let outcome = change(Slot::Vacant(&mut value));
        if let Some(value) = value {
            self.insert(hash, key, value);
        }
        outcome
    }

    /// Changes the values of a batch of keys, in order; `change` is told the position in the batch.
    #[inline]
    pub fn update_batch(
        &mut self,
        hashes: &[u64],
        keys: impl Iterator<Item = K>,
        change: impl FnMut(usize, Slot<'_, V>),
    ) {
        self.update_each(hashes, keys.enumerate().map(|(index, key)| (key, index)), change);
    }

    /// Changes the values of a batch of keys, in order; each comes with something that `change` needs.
    #[inline]
    pub fn update_each<A>(
        &mut self,
        hashes: &[u64],
        entries: impl Iterator<Item = (K, A)>,
        mut change: impl FnMut(A, Slot<'_, V>),
    ) {
        let mut entries = entries;
        if self.segments.len() < TOUCH_FROM_SEGMENTS {
            for (hash, (key, attached)) in hashes.iter().zip(entries) {
                self.update_near(*hash, key, |slot| change(attached, slot));
            }
            return;
        }
        let mut places = [(0, 0); AT_ONCE];
        for hashes in hashes.chunks(AT_ONCE) {
            self.touch(hashes, &mut places);
            for ((hash, place), (key, attached)) in hashes.iter().zip(&places).zip(&mut entries) {
                self.update_guessed(*place, *hash, key, |slot| change(attached, slot));
            }
        }
    }

    /// Removes the value of a key and returns it.
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<V> {
        let segment = self.segments.position_of(hash);
        let snapshot = self.snapshot();
        let (removed, kept) = self.segments[segment].remove(hash, key, snapshot, &mut self.hasher);
        self.note(kept);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Removes all entries and hands them out, in no particular order.
    ///
    /// # Errors
    /// The first of the visitor; entries that it was not given stay.
    pub fn take_all(&mut self, visit: &mut dyn FnMut(K, V) -> Result<()>) -> Result<()> {
        for segment in 0..self.segments.len() {
            let keys: Vec<K> = self.segments[segment]
                .iter()
                .map(|(key, _)| key.clone())
                .collect();
            for key in keys {
                let hash = self.hasher.hash(&key)?;
                if let Some(value) = self.remove(hash, &key) {
                    visit(key, value)?;
                }
            }
        }
        Ok(())
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.segments.iter()
    }

    /// Finds the segment and the bucket where each hash most likely is, and reads what an update will read.
    ///
    /// Each loop is short, waits for nothing, and decides nothing that a processor could mispredict, so
    /// the cache misses of many keys overlap; a lookup by itself has to wait for its own, twice.
    #[inline]
    fn touch(&self, hashes: &[u64], places: &mut [(u32, u32); AT_ONCE]) {
        let mut read = 0;
        for (hash, place) in hashes.iter().zip(&mut *places) {
            let segment = self.segments.position_of(*hash);
            place.0 = segment as u32;
            read ^= self.segments[segment].touch_home(*hash);
        }
        for (hash, (segment, bucket)) in hashes.iter().zip(&mut *places) {
            *bucket = self.segments[*segment as usize].guess(*hash) as u32;
        }
        for (segment, bucket) in &places[..hashes.len()] {
            self.segments[*segment as usize].touch(*bucket as usize);
        }
        std::hint::black_box(read);
    }

    /// The same as `update`, searching once in the usual case.
    #[inline]
    fn update_near(&mut self, hash: u64, key: K, change: impl FnOnce(Slot<'_, V>)) {
        let segment = self.segments.position_of(hash);
        if self.freeze.is_none()
            && let Some(value) = self.segments[segment].get_mut(hash, &key)
        {
            return change(Slot::Occupied(value));
        }
        self.update(hash, key, change);
    }

    /// The same as `update`; an entry that is elsewhere than guessed is searched for.
    #[inline]
    fn update_guessed(
        &mut self,
        (segment, bucket): (u32, u32),
        hash: u64,
        key: K,
        change: impl FnOnce(Slot<'_, V>),
    ) {
        if self.freeze.is_none()
            && let Some(value) = self.segments[segment as usize].value_if(bucket as usize, &key)
        {
            return change(Slot::Occupied(value));
        }
        self.update(hash, key, change);
    }

    /// Gives the running snapshot an entry that is about to change.
    #[inline]
    fn keep_before_image(&mut self, segment: usize, bucket: usize) {
        if self.freeze.is_some() {
            let kept = self.segments[segment].keep_before_image(bucket, self.generation);
            self.note(kept);
        }
    }

    /// Lets the running snapshot fail if an entry could not be encoded.
    #[inline]
    fn note(&mut self, kept: Result<()>) {
        if let (Some(freeze), Err(error)) = (&mut self.freeze, kept) {
            freeze.failure = Some(error);
        }
    }

    /// The running snapshot.
    fn snapshot(&self) -> Option<u64> {
        self.freeze.is_some().then_some(self.generation)
    }

    fn insert(&mut self, hash: u64, key: K, value: V) {
        let snapshot = self.snapshot();
        self.segments.insert(hash, key, value, snapshot, &mut self.hasher);
        self.len += 1;
    }

    /// Encodes segments from `freeze.next` on, until the run has enough.
    fn fill(&mut self, freeze: &mut Freeze, run: &mut Run) -> Result<()> {
        if let Some(error) = freeze.failure.take() {
            return Err(error);
        }
        while freeze.next <= u64::from(u32::MAX) {
            let segment = self.segments.position_of(freeze.next);
            let segment = &mut self.segments[segment];
            if !segment.drain(self.generation, run)? {
                return Ok(());
            }
            freeze.next += 1_u64 << (32 - segment.depth());
        }
        Ok(())
    }

    /// The key group of a stored hash, as the table sees it.
    pub fn key_group(&self, hash: u64) -> KeyGroup {
        self.max_parallelism.key_group(hash)
    }
}

/// So many keys of a batch are looked for before they are used: as many loads as a core has in
/// flight, and few enough to stay in the nearest cache.
const AT_ONCE: usize = 128;

/// With fewer segments a table is in the cache anyway.
const TOUCH_FROM_SEGMENTS: usize = 8;

impl<K: Key, V: Data> LiveTable for StateTable<K, V> {
    fn len(&self) -> usize {
        self.len
    }

    fn load(&mut self, stored: &StoredEntries, threads: NonZeroUsize) -> Result<()> {
        self.freeze = None;
        let segments = std::mem::replace(&mut self.segments, Segments::new());
        let (segments, loaded) = load::load(segments, stored, threads);
        self.segments = segments;
        self.len += loaded?;
        Ok(())
    }

    fn freeze(&mut self) {
        self.generation += 1;
        self.freeze = Some(Freeze::default());
    }

    fn drain(&mut self, table: TableId, out: &mut BlockWriter) -> Result<bool> {
        let Some(mut freeze) = self.freeze.take() else {
            return Ok(true);
        };
        let mut run = Run::default();
        self.fill(&mut freeze, &mut run)?;
        if let Some((first, last)) = run.hashes() {
            let group = |low: u32| self.max_parallelism.key_group(u64::from(low)).0;
            let groups = KeyGroupRange::new(group(first), group(last) + 1);
            out.append(table, groups, run.entries, &run.payload);
        }
        let done = freeze.next > u64::from(u32::MAX);
        if !done {
            self.freeze = Some(freeze);
        }
        Ok(done)
    }

    fn thaw(&mut self) {
        self.freeze = None;
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests;
