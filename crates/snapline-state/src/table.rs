//! The live table: values in place, and a freeze in constant time.
//!
//! Keys are divided by the top bits of the low half of their hash into *segments*, small
//! open-addressing tables of at most a few thousand buckets. A full segment splits in two, so
//! neither growing nor freezing ever touches the whole table. Segments follow each other in the order of
//! key groups.
//!
//! Freezing bumps a generation number. Afterwards [`LiveTable::drain`] encodes one segment
//! at a time; a write to a bucket that was not yet encoded keeps its before-image in the segment
//! first. So writers pay for the entries that they change during a snapshot, the rest is copied
//! between batches.

mod segment;

use crate::format::block::BlockWriter;
use crate::spec::{LiveTable, TableId};
use segment::{Located, Run, Segment};
use snapline_core::{Data, Key, KeyGroup, KeyGroupRange, MaxParallelism, Result, decode};
use std::any::Any;

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
    /// For each value of the top `depth` bits of a low hash, the segment that has it.
    directory: Vec<u32>,
    depth: u32,
    segments: Vec<Segment<K, V>>,
    len: usize,
    generation: u64,
    freeze: Option<Freeze>,
    max_parallelism: MaxParallelism,
}

/// A freeze that is being drained.
#[derive(Debug, Default)]
struct Freeze {
    /// The low hash at which the next segment to drain begins.
    next: u64,
    /// Segments that had to be encoded out of turn because they changed their shape.
    early: Vec<Run>,
    failure: Option<snapline_core::Error>,
}

impl<K: Key, V: Data> StateTable<K, V> {
    /// An empty table of a job with this many key groups.
    pub fn new(max_parallelism: MaxParallelism) -> Self {
        Self {
            directory: vec![0],
            depth: 0,
            segments: vec![Segment::new(0, 0)],
            len: 0,
            generation: 0,
            freeze: None,
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
        let tag = hash as u32;
        self.segments[self.segment_of(tag)].get(tag, key)
    }

    /// Changes the value of a key in place, or gives it one.
    #[inline]
    pub fn update<R>(&mut self, hash: u64, key: K, change: impl FnOnce(Slot<'_, V>) -> R) -> R {
        let tag = hash as u32;
        let index = self.segment_of(tag);
        let segment = &mut self.segments[index];
        match segment.locate(tag, &key) {
            Located::At(bucket) => {
                if self.freeze.is_some() {
                    self.keep_before_image(index, bucket);
                }
                change(Slot::Occupied(self.segments[index].value_mut(bucket)))
            }
            Located::Missing => {
                let mut value = None;
                let outcome = change(Slot::Vacant(&mut value));
                if let Some(value) = value {
                    self.insert(tag, key, value);
                }
                outcome
            }
        }
    }

    /// Changes the values of a batch of keys, in order.
    #[inline]
    pub fn update_batch(
        &mut self,
        hashes: &[u64],
        keys: impl Iterator<Item = K>,
        mut change: impl FnMut(usize, Slot<'_, V>),
    ) {
        self.touch(hashes);
        for (index, (hash, key)) in hashes.iter().zip(keys).enumerate() {
            self.update(*hash, key, |slot| change(index, slot));
        }
    }

    /// Removes the value of a key and returns it.
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<V> {
        let tag = hash as u32;
        let index = self.segment_of(tag);
        let Located::At(bucket) = self.segments[index].locate(tag, key) else {
            return None;
        };
        if self.freeze.is_some() {
            self.keep_before_image(index, bucket);
        }
        self.len -= 1;
        self.segments[index].remove(bucket)
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.segments.iter().flat_map(Segment::iter)
    }

    /// Reads the home bucket of every key of a batch, so that the cache misses overlap: each load is
    /// independent of the others, where a lookup has to wait for its own.
    #[inline]
    fn touch(&self, hashes: &[u64]) {
        if self.segments.len() < TOUCH_FROM_SEGMENTS {
            return;
        }
        let touched = hashes.iter().fold(0_u32, |sum, hash| {
            let tag = *hash as u32;
            sum.wrapping_add(self.segments[self.segment_of(tag)].touch(tag))
        });
        std::hint::black_box(touched);
    }

    #[inline]
    fn segment_of(&self, tag: u32) -> usize {
        self.directory[((u64::from(tag) << self.depth) >> 32) as usize] as usize
    }

    #[cold]
    fn keep_before_image(&mut self, index: usize, bucket: usize) {
        let Some(freeze) = &mut self.freeze else { return };
        if let Err(error) = self.segments[index].keep_before_image(bucket, self.generation) {
            freeze.failure = Some(error);
        }
    }

    fn insert(&mut self, tag: u32, key: K, value: V) {
        let mut index = self.segment_of(tag);
        while self.segments[index].is_full() {
            self.make_room(index);
            index = self.segment_of(tag);
        }
        let generation = self.freeze.is_some().then_some(self.generation);
        self.segments[index].insert(tag, key, value, generation);
        self.len += 1;
    }

    #[cold]
    fn make_room(&mut self, index: usize) {
        self.drain_early(index);
        if self.segments[index].can_grow() {
            self.segments[index].grow();
            return;
        }
        if self.segments[index].depth() == self.depth {
            self.directory = self
                .directory
                .iter()
                .flat_map(|segment| [*segment, *segment])
                .collect();
            self.depth += 1;
        }
        let upper = self.segments[index].split();
        let new = self.segments.len() as u32;
        let first = ((u64::from(upper.first_hash()) << self.depth) >> 32) as usize;
        let count = 1_usize << (self.depth - upper.depth());
        self.directory[first..first + count].fill(new);
        self.segments.push(upper);
    }

    /// Encodes a segment before its turn, because its buckets are about to move.
    fn drain_early(&mut self, index: usize) {
        let Some(freeze) = &mut self.freeze else { return };
        match self.segments[index].drain(self.generation) {
            Ok(run) => freeze.early.extend(run),
            Err(error) => freeze.failure = Some(error),
        }
    }

    fn write(&self, table: TableId, run: &Run, out: &mut BlockWriter) {
        let group = |tag: u32| self.max_parallelism.key_group(u64::from(tag)).0;
        let groups = KeyGroupRange::new(group(run.first_hash), group(run.last_hash) + 1);
        out.append(table, groups, run.entries, &run.payload);
    }

    /// The key group of a stored hash, as the table sees it.
    pub fn key_group(&self, hash: u64) -> KeyGroup {
        self.max_parallelism.key_group(hash)
    }
}

/// Below this many segments a table is in the cache anyway.
const TOUCH_FROM_SEGMENTS: usize = 8;

/// A drain writes segments until it has encoded this many bytes: some tens of microseconds.
const QUANTUM_BYTES: usize = 8 * 1024;

impl<K: Key, V: Data> LiveTable for StateTable<K, V> {
    fn len(&self) -> usize {
        self.len
    }

    fn insert_encoded(&mut self, hash: u64, key: &[u8], value: &[u8]) -> Result<()> {
        let value: V = decode(value)?;
        self.update(hash, decode(key)?, |slot| match slot {
            Slot::Occupied(old) => *old = value,
            Slot::Vacant(vacant) => *vacant = Some(value),
        });
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
        if let Some(error) = freeze.failure.take() {
            return Err(error);
        }
        let mut written = 0;
        for run in freeze.early.drain(..) {
            written += run.payload.len();
            self.write(table, &run, out);
        }
        while written < QUANTUM_BYTES && freeze.next <= u64::from(u32::MAX) {
            let index = self.segment_of(freeze.next as u32);
            freeze.next += 1_u64 << (32 - self.segments[index].depth());
            if let Some(run) = self.segments[index].drain(self.generation)? {
                written += run.payload.len();
                self.write(table, &run, out);
            }
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
