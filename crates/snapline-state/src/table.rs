//! The live table: values in place, and a freeze in constant time.
//!
//! Keys are divided by the top bits of the low half of their hash into *segments*, small hash tables
//! of at most a few thousand buckets. A full segment splits in two, so neither growing nor freezing
//! ever touches the whole table. Segments follow each other in the order of key groups.
//!
//! Freezing bumps a generation number. Afterwards [`LiveTable::drain`] copies or encodes some kilobytes of
//! buckets at a time and marks them; a write to a bucket that was not yet encoded keeps its
//! before-image first, and marks it. A segment that moves takes its marks along. So
//! writers pay for the entries that they change during a snapshot, the rest is copied between batches. The memory for
//! copies is used again: up to eight megabytes of it stay from one snapshot to the next while that needs them.
//!
//! A table that [tracks](LiveTable::track) its changes keeps a bit for each bucket that has changed since a
//! freeze, and the keys that are gone, so that a freeze can be drained of these alone.

mod batch;
mod bucket_order;
mod buckets;
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
use frozen::{BeforeImages, Run, Spare};
use phase::Phase;
use segments::Segments;
use snapline_core::{Data, Key, KeyGroup, KeyGroupRange, MaxParallelism, Result, StableHasher};
use std::any::Any;
use std::num::NonZeroUsize;
pub(crate) use sweep::BucketPlace;

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
    phase: Phase,
    /// All changes since this freeze are known.
    tracked_since: Option<u64>,
    /// Whether to begin with that again at the next full freeze.
    wants_changes: bool,
    /// How many removed keys are kept, about.
    removals: usize,
    freeze: Option<Freeze>,
    /// What the running snapshot has got early.
    before: BeforeImages<K, V>,
    spare: Spare<K, V>,
    /// The running snapshot has all entries with lower low hashes.
    drained_to: u64,
    sweep: BucketPlace,
    hasher: StableHasher,
    max_parallelism: MaxParallelism,
}

/// A freeze that is being drained.
#[derive(Debug, Default)]
struct Freeze {
    /// The low hash at which the next segment to drain begins.
    next: u64,
    is_done: bool,
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
            before: BeforeImages::new(),
            spare: Spare::new(),
            drained_to: 0,
            sweep: BucketPlace::default(),
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
        if let Some(value) = self.value_to_change(hash, &key) {
            return change(Slot::Occupied(value));
        }
        let mut first = None;
        let outcome = change(Slot::Vacant(&mut first));
        if let Some(first) = first {
            self.insert(hash, key, first);
        }
        outcome
    }

    /// The same for a key that is copied only if it gets its first value.
    #[inline]
    pub fn modify<R>(&mut self, hash: u64, key: &K, change: impl FnOnce(Slot<'_, V>) -> R) -> R {
        if let Some(value) = self.value_to_change(hash, key) {
            return change(Slot::Occupied(value));
        }
        let mut first = None;
        let outcome = change(Slot::Vacant(&mut first));
        if let Some(first) = first {
            self.insert(hash, key.clone(), first);
        }
        outcome
    }

    /// The value of a key, which is about to change: the running snapshot gets it as it is, and that it changes
    /// is noted.
    #[inline(always)]
    fn value_to_change(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        let segment = self.segments.position_of(hash);
        if self.is_undrained(hash) {
            self.keep_before_image(segment, hash, key);
        }
        self.segments[segment].value_to_change(hash, key, &self.phase)
    }

    /// Removes the value of a key and returns it.
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<V> {
        let segment = self.segments.position_of(hash);
        if self.is_undrained(hash) {
            self.keep_before_image(segment, hash, key);
        }
        let removed = self.segments[segment].remove(hash, key, self.phase, &mut self.hasher);
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

    /// Whether a running snapshot may still need an entry with this hash.
    #[inline(always)]
    fn is_undrained(&self, hash: u64) -> bool {
        self.phase.is_frozen && u64::from(hash as u32) >= self.drained_to
    }

    /// Gives the running snapshot an entry that is about to change, if there is such.
    #[inline(never)]
    fn keep_before_image(&mut self, segment: usize, hash: u64, key: &K) {
        let segment = &mut self.segments[segment];
        if let Some(bucket) = segment.locate(hash, key)
            && let Some(full) = segment.before_image(bucket, self.phase)
            && let Some(freeze) = &mut self.freeze
            && let Err(error) = self.before.keep(hash, full)
        {
            // The snapshot fails.
            freeze.failure = Some(error);
        }
    }

    /// The same for an entry that is likely to be in this bucket.
    #[inline(never)]
    fn keep_before_image_from(&mut self, segment: usize, likely: usize, hash: u64, key: &K) {
        if let Some(full) = self.segments[segment].before_image_from(likely, key, self.phase)
            && let Some(freeze) = &mut self.freeze
            && let Err(error) = self.before.keep(hash, full)
        {
            // The snapshot fails.
            freeze.failure = Some(error);
        }
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

    /// The next snapshot has to be a full one, and no later one can ask for what has changed before. In constant time:
    /// segments free what they know of it when that snapshot comes to them.
    fn forget_changes(&mut self) {
        if !self.phase.only_changes || self.freeze.is_none() {
            self.phase.tracks = false;
            self.tracked_since = None;
            self.phase.base = self.phase.generation + 1;
        }
    }

    fn insert(&mut self, hash: u64, key: K, value: V) {
        self.segments
            .insert(hash, key, value, self.phase, &mut self.hasher);
        self.len += 1;
    }

    /// The number of the freeze.
    fn begin_freeze(&mut self) -> u64 {
        self.before.begin();
        self.spare.begin();
        self.freeze = Some(Freeze::default());
        self.drained_to = 0;
        self.phase.is_frozen = true;
        self.phase.generation
    }

    /// Takes segments from `freeze.next` on, until the run has enough.
    fn fill(&mut self, freeze: &mut Freeze, run: &mut Run<K, V>) -> Result<()> {
        if let Some(error) = freeze.failure.take() {
            return Err(error);
        }
        let phase = self.phase;
        while !run.has_enough() {
            if self.before.move_chunk(freeze.next, run) {
                continue;
            }
            if freeze.next > u64::from(u32::MAX) {
                freeze.is_done = true;
                return Ok(());
            }
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

/// So many removed keys are always kept.
const FEW_REMOVALS: usize = if cfg!(test) { 64 } else { 1 << 20 };

impl<K: Key, V: Data> LiveTable for StateTable<K, V> {
    fn len(&self) -> usize {
        self.len
    }

    fn load(&mut self, stored: &StoredEntries, threads: NonZeroUsize) -> Result<()> {
        self.thaw();
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
        self.begin_freeze()
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
        self.begin_freeze()
    }

    fn drain(&mut self, table: TableId, out: &mut BlockWriter) -> Result<bool> {
        let Some(mut freeze) = self.freeze.take() else {
            return Ok(true);
        };
        let mut run = Run::with(self.spare.take());
        if let Err(error) = self.fill(&mut freeze, &mut run) {
            self.thaw();
            return Err(error);
        }
        if let Some((first, last)) = run.hashes() {
            let group = |low: u32| self.max_parallelism.key_group(u64::from(low)).0;
            let groups = KeyGroupRange::new(group(first), group(last) + 1);
            out.append_removed(table, groups, run.removed.keys, &run.removed.payload);
            run.kept.write(table, groups, &self.spare, out);
        } else {
            self.spare.give_back(run.kept);
        }
        let done = freeze.is_done;
        self.drained_to = freeze.next;
        match done {
            true => self.thaw(),
            false => self.freeze = Some(freeze),
        }
        Ok(done)
    }

    fn thaw(&mut self) {
        self.freeze = None;
        self.before.clear();
        self.phase.is_frozen = false;
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests;
