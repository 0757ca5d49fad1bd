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
//!
//! A table that [tracks](LiveTable::track) its changes keeps a bit for each bucket that has changed since a
//! freeze, and the keys that are gone, so that a freeze can be drained of these alone.

mod bucket_order;
mod changes;
mod estimate;
mod frozen;
mod load;
mod phase;
mod segment;
mod segments;
mod sweep;

use crate::format::block::BlockWriter;
use crate::format::block::stored::StoredEntries;
use crate::spec::{LiveTable, TableId};
use frozen::Run;
use phase::Phase;
use segments::Segments;
use snapline_core::{Data, Key, KeyGroup, KeyGroupRange, MaxParallelism, Result, StableHasher};
use std::any::Any;
use std::num::NonZeroUsize;
use sweep::Sweep;

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
    /// Without `is_frozen`, which `freeze` tells.
    phase: Phase,
    /// All changes since this freeze are known.
    tracked_since: Option<u64>,
    /// Whether to begin with that again at the next full freeze.
    wants_changes: bool,
    /// How many removed keys are kept, about.
    removals: usize,
    freeze: Option<Freeze>,
    sweep: Sweep,
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
            phase: Phase::default(),
            tracked_since: None,
            wants_changes: false,
            removals: 0,
            freeze: None,
            sweep: Sweep::default(),
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
        let (outcome, first) = self.change_value(hash, &key, change);
        if let Some(first) = first {
            self.insert(hash, key, first);
        }
        outcome
    }

    /// The same for a key that is copied only if it gets its first value.
    #[inline]
    pub fn modify<R>(&mut self, hash: u64, key: &K, change: impl FnOnce(Slot<'_, V>) -> R) -> R {
        let (outcome, first) = self.change_value(hash, key, change);
        if let Some(first) = first {
            self.insert(hash, key.clone(), first);
        }
        outcome
    }

    /// Changes the value of a key in place; one that has none may get a first value, which is to be inserted.
    #[inline]
    fn change_value<R>(
        &mut self,
        hash: u64,
        key: &K,
        change: impl FnOnce(Slot<'_, V>) -> R,
    ) -> (R, Option<V>) {
        let segment = self.segments.position_of(hash);
        if let Some(bucket) = self.segments[segment].locate(hash, key) {
            self.before_change(segment, bucket);
            if let Some(value) = self.segments[segment].value_if(bucket, key) {
                return (change(Slot::Occupied(value)), None);
            }
        }
        let mut first = None;
        let outcome = change(Slot::Vacant(&mut first));
        (outcome, first)
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
        let phase = self.phase();
        let (removed, kept) = self.segments[segment].remove(hash, key, phase, &mut self.hasher);
        self.note(kept);
        if removed.is_some() {
            self.len -= 1;
            self.limit_removals();
        }
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
        if self.is_at_rest()
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
        let (at, bucket) = (segment as usize, bucket as usize);
        if self.freeze.is_none() {
            let phase = self.phase;
            let segment = &mut self.segments[at];
            if segment.has(bucket, &key) {
                segment.note_change(bucket, phase);
                if let Some(value) = segment.value_if(bucket, &key) {
                    return change(Slot::Occupied(value));
                }
            }
        }
        self.update(hash, key, change);
    }

    /// Gives the running snapshot an entry that is about to change, and notes that it does.
    #[inline]
    fn before_change(&mut self, segment: usize, bucket: usize) {
        let phase = self.phase();
        if phase.is_frozen {
            let kept = self.segments[segment].keep_before_image(bucket, phase);
            self.note(kept);
        }
        self.segments[segment].note_change(bucket, phase);
    }

    /// Whether an entry can change without anything else to be done.
    #[inline]
    fn is_at_rest(&self) -> bool {
        self.freeze.is_none() && !self.phase.tracks
    }

    /// Gives the changes up when more removed keys would be kept than a full snapshot has entries, about.
    fn limit_removals(&mut self) {
        if !self.phase.tracks {
            return;
        }
        self.removals += 1;
        if self.removals > FEW_REMOVALS && self.removals / 2 > self.len {
            self.forget_changes();
        }
    }

    /// The next snapshot has to be a full one.
    fn forget_changes(&mut self) {
        if !self.phase.only_changes || self.freeze.is_none() {
            self.phase.tracks = false;
            self.tracked_since = None;
            self.segments.forget_changes();
        }
    }

    /// Lets the running snapshot fail if an entry could not be encoded.
    #[inline]
    fn note(&mut self, kept: Result<()>) {
        if let (Some(freeze), Err(error)) = (&mut self.freeze, kept) {
            freeze.failure = Some(error);
        }
    }

    #[inline]
    fn phase(&self) -> Phase {
        Phase {
            is_frozen: self.freeze.is_some(),
            ..self.phase
        }
    }

    fn insert(&mut self, hash: u64, key: K, value: V) {
        let phase = self.phase();
        self.segments.insert(hash, key, value, phase, &mut self.hasher);
        self.len += 1;
    }

    /// Encodes segments from `freeze.next` on, until the run has enough.
    fn fill(&mut self, freeze: &mut Freeze, run: &mut Run) -> Result<()> {
        if let Some(error) = freeze.failure.take() {
            return Err(error);
        }
        let phase = Phase {
            is_frozen: true,
            ..self.phase
        };
        while freeze.next <= u64::from(u32::MAX) && !run.has_enough() {
            let segment = self.segments.position_of(freeze.next);
            let segment = &mut self.segments[segment];
            if !segment.drain(phase, run)? {
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

/// So many removed keys are always kept.
const FEW_REMOVALS: usize = 1 << 20;

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
        self.len = self.len.saturating_add_signed(loaded?);
        Ok(())
    }

    fn track(&mut self) {
        self.wants_changes = true;
        self.phase.tracks = true;
        self.tracked_since.get_or_insert(self.phase.generation);
    }

    fn freeze(&mut self) -> u64 {
        self.phase.generation += 1;
        self.phase.only_changes = false;
        if self.wants_changes && !self.phase.tracks {
            self.phase.tracks = true;
            self.tracked_since = Some(self.phase.generation);
            self.removals = 0;
        }
        self.freeze = Some(Freeze::default());
        self.phase.generation
    }

    fn knows_changes_since(&self, freeze: u64) -> bool {
        self.tracked_since.is_some_and(|since| since <= freeze) && self.phase.base <= freeze
    }

    fn changed_share(&self, since: u64) -> f64 {
        estimate::changed_share(&self.segments, since)
    }

    fn freeze_changes(&mut self, since: u64) -> u64 {
        if !self.knows_changes_since(since) {
            return self.freeze();
        }
        self.phase.generation += 1;
        self.phase.only_changes = true;
        if self.phase.base < since {
            (self.phase.base, self.removals) = (since, 0);
        }
        self.freeze = Some(Freeze::default());
        self.phase.generation
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
            out.append_removed(table, groups, run.removed.keys, &run.removed.payload);
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
