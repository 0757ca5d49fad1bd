//! A small hash table: the unit of growth and of a snapshot.
//!
//! Entries never change their bucket but when the segment moves to another table as a whole, so a
//! running snapshot can mark buckets. Hashes are not stored: a smaller entry is worth more, for every
//! access, than what it costs to hash again when a segment moves.

use super::buckets::{Buckets, Extent, Full, bits, is_plain};
use super::changes::Changes;
use super::frozen::{Frozen, Run};
use super::phase::Phase;
use crate::format::block::stored::overlap;
use snapline_core::{Data, Key, Result, StableHasher};
use snapline_prefetch::prefetch;
use std::ops::Range;

/// A full segment with this many buckets splits instead of growing.
const MOST_BUCKETS: usize = 4096;
/// Deeper segments grow instead of splitting, so that keys of one hash cannot split for ever.
const DEEPEST: u32 = 20;
/// A table of segments of this depth is soon too large for a cache: the places alone take 2^23 bytes if keys and values
/// are numbers of 64 bits. Later it would keep, for a while, the memory of so many tagged tables more: an allocator does
/// not soon use blocks of one length for those of another.
const LARGE_FROM: u32 = if cfg!(test) { 1 } else { 7 };

/// Entries whose low hashes share their top `depth` bits.
///
/// What an access to an entry reads comes first, in one line of memory: a table has thousands of segments.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Segment<K, V> {
    changes: Changes,
    buckets: Buckets<K, V>,
    frozen: Frozen,
    /// The newest snapshot for which the segment has been encoded.
    drained: u64,
    depth: u32,
    first_hash: u32,
}

impl<K: Key, V: Data> Segment<K, V> {
    pub(super) fn new(depth: u32, first_hash: u32) -> Self {
        Self {
            buckets: Buckets::new(),
            depth,
            first_hash,
            drained: 0,
            changes: Changes::new(),
            frozen: Frozen::default(),
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
        if self.is_empty() {
            let upper = self.first_hash | (1 << (31 - self.depth));
            return [self.first_hash, upper].map(|first| Self::new(self.depth + 1, first));
        }
        let upper = self.split(Phase::default(), &mut StableHasher::new());
        [self, upper]
    }

    /// Adds segments with room for about this many entries more, which have these hashes. Not while there is
    /// a snapshot.
    pub(super) fn sized_for(mut self, entries: u64, hashes: &Range<u64>, sized: &mut Vec<Self>) {
        if !self.is_empty() || entries == 0 {
            sized.push(self);
        } else if entries > self.planned_entries() && self.depth < DEEPEST {
            let all = overlap(&self.hashes(), hashes).max(1);
            for half in self.halves() {
                let share = (entries * overlap(&half.hashes(), hashes)).div_ceil(all);
                half.sized_for(share, hashes, sized);
            }
        } else {
            let all = entries as usize;
            // A segment that is nearly full when it is filled will soon be as large as they get.
            let most = self.most_entries();
            let room = if all > most / 2 { most } else { all + all / 16 };
            self.buckets = self.buckets_for(room);
            sized.push(self);
        }
    }

    /// With so many entries it splits instead of growing.
    fn most_entries(&self) -> usize {
        Buckets::<K, V>::room_of(MOST_BUCKETS, extent_at(self.depth))
    }

    /// A segment that is made for entries that are about to come gets about this many at the most: as the
    /// hashes fall, a few per cent more will come to some of them.
    fn planned_entries(&self) -> u64 {
        (self.most_entries() / 14 * 13) as u64
    }

    /// Places for so many entries.
    fn buckets_for(&self, entries: usize) -> Buckets<K, V> {
        Buckets::with_room_for(entries, extent_at(self.depth))
    }

    /// Whether segments of this depth lie flat.
    pub(super) const fn is_flat_at(depth: u32) -> bool {
        is_plain::<K, V>() && depth >= LARGE_FROM
    }

    fn is_empty(&self) -> bool {
        self.buckets.len() == 0
    }

    #[inline]
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&V> {
        let full = self.buckets.get(self.locate(hash, key)?)?;
        Some(&full.value)
    }

    /// The bucket that has a key.
    #[inline(always)]
    pub(super) fn locate(&self, hash: u64, key: &K) -> Option<usize> {
        self.buckets.find(hash, key)
    }

    /// Fetches what [`Segment::prefetch`] has to read.
    #[inline(always)]
    pub(super) fn prefetch_tag(&self, hash: u64) {
        self.buckets.prefetch_tag(hash);
    }

    /// Fetches what is read of the segment itself.
    #[inline(always)]
    pub(super) fn prefetch_itself(&self) {
        prefetch(self, || self.depth);
    }

    /// Fetches the bucket that most likely has the key of a hash, and what is noted of it, and returns it.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64, is_frozen: bool) -> usize {
        let bucket = self.buckets.likely(hash);
        if is_frozen {
            self.frozen.prefetch(bucket);
        }
        bucket
    }

    /// The value of a key.
    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        self.buckets.value(hash, key, false)
    }

    /// The value of a key, which is about to change.
    #[inline(always)]
    pub(super) fn value_to_change(&mut self, hash: u64, key: &K, phase: &Phase) -> Option<&mut V> {
        self.begin_noting(phase);
        self.buckets.value(hash, key, phase.tracks)
    }

    /// The same from what [`Segment::prefetch`] said on; `None` also when a search has to begin anew.
    #[inline(always)]
    pub(super) fn value_to_change_from(&mut self, likely: usize, key: &K, phase: &Phase) -> Option<&mut V> {
        self.begin_noting(phase);
        self.buckets.value_from(likely, key, phase.tracks)
    }

    /// Has to be called before a bucket is marked as changed.
    #[inline(always)]
    fn begin_noting(&mut self, phase: &Phase) {
        if phase.tracks && !self.changes.are_settled(phase) {
            self.settle(*phase);
        }
    }

    #[inline(never)]
    fn settle(&mut self, phase: Phase) {
        self.changes.settle(&mut self.buckets, phase);
    }

    /// Whether it is noted of all entries that they have changed, or nothing is to be noted.
    pub(super) fn is_all_noted(&self, phase: &Phase) -> bool {
        !phase.tracks || self.changes.count_recent(&self.buckets, phase) == self.buckets.len()
    }

    /// How many of its entries have changed since a freeze, and how many it has.
    pub(super) fn changed_since(&self, freeze: u64) -> (usize, usize) {
        let len = self.buckets.len();
        // A bucket whose entry is gone has changed as well.
        (self.changes.count_since(&self.buckets, freeze).min(len), len)
    }

    /// Whether an insert needs [`Segment::resize`] or [`Segment::split`] first.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.buckets.len() >= self.buckets.room()
    }

    /// How many entries it has room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.buckets.room()
    }

    pub(super) fn must_split(&self) -> bool {
        self.buckets.len() >= self.most_entries() && self.depth < DEEPEST
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
            self.begin_noting(&phase);
            self.buckets.set_changed(bucket, true);
        }
    }

    /// Removes a key. With a running snapshot, which may need it, see [`Segment::before_image`] first.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        key: &K,
        phase: Phase,
        hasher: &mut StableHasher,
    ) -> Option<V> {
        let bucket = self.locate(hash, key)?;
        if phase.tracks {
            self.settle(phase);
            self.buckets.set_changed(bucket, false);
            self.changes.note_removed(key, self.last_hash());
        }
        let value = self.buckets.remove(bucket).map(|full| full.value);
        if self.buckets.len() * 8 < self.buckets.count() && self.buckets.count() > 64 {
            self.resize(phase, hasher);
        }
        value
    }

    /// An entry that is about to change, if it belongs to a running snapshot that has not got it: from now on it has.
    #[inline]
    pub(super) fn before_image(&mut self, bucket: usize, phase: Phase) -> Option<&Full<K, V>> {
        if !phase.is_frozen || self.drained == phase.generation {
            return None;
        }
        if phase.only_changes {
            self.settle(phase);
            if !self.changes.is_older(bucket) {
                return None;
            }
        }
        let is_fresh = self
            .frozen
            .of(phase.generation, self.buckets.count())
            .mark(bucket);
        self.buckets.get(bucket).filter(|_| is_fresh)
    }

    /// The same for the bucket of a key, if that is found from what [`Segment::prefetch`] said on.
    #[inline(always)]
    pub(super) fn before_image_from(&mut self, likely: usize, key: &K, phase: Phase) -> Option<&Full<K, V>> {
        if self.drained == phase.generation {
            return None;
        }
        let bucket = self.buckets.find_from(likely, key)?;
        self.before_image(bucket, phase)
    }

    /// Encodes what is left of the segment as it was when the snapshot was taken, until the run has
    /// enough; `true` when nothing is left.
    pub(super) fn drain(&mut self, phase: Phase, run: &mut Run<K, V>) -> Result<bool> {
        let generation = phase.generation;
        if self.drained == generation {
            return Ok(true);
        }
        run.work += 1;
        // Also for a full snapshot: what it makes superfluous is freed here, a few segments at a time.
        self.settle(phase);
        if phase.only_changes {
            self.drain_removed(generation, run);
        }
        let done = self.drain_buckets(phase, run)?;
        if done {
            self.drained = generation;
            self.frozen = Frozen::default();
        }
        Ok(done)
    }

    /// Hands the keys out that were removed, once for each snapshot.
    fn drain_removed(&mut self, generation: u64, run: &mut Run<K, V>) {
        let first_hash = self.first_hash;
        if let Some((removed, last_hash)) = self.changes.older_removed(generation) {
            run.removed.payload.extend_from_slice(&removed.payload);
            run.removed.keys += removed.keys;
            run.widen(first_hash, last_hash);
        }
    }

    /// Encodes the buckets that the snapshot has not got yet; `false` when the run has enough before.
    fn drain_buckets(&mut self, phase: Phase, run: &mut Run<K, V>) -> Result<bool> {
        run.widen(self.first_hash, self.last_hash());
        for word in 0..self.buckets.words() {
            if run.has_enough() {
                let frozen = self.frozen.of(phase.generation, self.buckets.count());
                frozen.mark_all_before(64 * word);
                return Ok(false);
            }
            for bit in bits(self.undrained(word, phase, run)) {
                let bucket = 64 * word + bit;
                if let Some(full) = self.buckets.get(bucket) {
                    run.kept.push(full)?;
                }
            }
        }
        Ok(true)
    }

    /// A bit for each of 64 buckets that the snapshot has not got yet.
    #[inline]
    fn undrained(&self, word: usize, phase: Phase, run: &mut Run<K, V>) -> u64 {
        let wanted = match phase.only_changes {
            true => self.changes.older().get(word).copied().unwrap_or(0),
            false => u64::MAX,
        };
        run.work += 1;
        if wanted == 0 {
            return 0;
        }
        let drained = self.frozen.marks_in(word, phase.generation);
        let undrained = self.buckets.full_in(word) & wanted & !drained;
        if phase.only_changes {
            // Few and far between, so that the processor cannot tell which is next.
            bits(undrained).for_each(|bit| self.buckets.prefetch(64 * word + bit));
        }
        undrained
    }

    /// Moves to a table of the right size for its entries.
    pub(super) fn resize(&mut self, phase: Phase, hasher: &mut StableHasher) {
        let len = self.buckets.len();
        // Where many were removed there is no need for more buckets.
        let most = self.most_entries();
        let most = if len < most { most } else { usize::MAX };
        let entries = (len * 3 / 2 + 1).min(most);
        let (old, marks) = self.empty_out(self.buckets_for(entries), phase);
        move_entries(old, |full, from| {
            let hash = self.hash_again(&full.key, hasher);
            self.move_in(hash, full, marks.of(from), phase);
        });
    }

    /// Gives the entries whose next bit is set away to a new segment.
    pub(super) fn split(&mut self, phase: Phase, hasher: &mut StableHasher) -> Self {
        let mut upper = Self::new(self.depth + 1, self.first_hash | (1 << (31 - self.depth)));
        upper.drained = self.drained;
        upper.changes = self.changes.split_off(upper.first_hash);
        self.depth += 1;
        // About half of the entries go to each, but all may go to one.
        let places = || upper.buckets_for(upper.most_entries());
        let (lower, upper_half) = (places(), places());
        upper.buckets = upper_half;
        let (old, marks) = self.empty_out(lower, phase);
        move_entries(old, |full, from| {
            let hash = self.hash_again(&full.key, hasher);
            let is_upper = hash as u32 >= upper.first_hash;
            let owner = if is_upper { &mut upper } else { &mut *self };
            owner.move_in(hash, full, marks.of(from), phase);
        });
        upper
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.buckets.iter().map(|full| (&full.key, &full.value))
    }

    /// How many buckets there are.
    pub(super) fn buckets(&self) -> usize {
        self.buckets.count()
    }

    /// The keys in these buckets whose values are wanted; there may be fewer buckets.
    pub(super) fn keys_in(
        &self,
        buckets: Range<usize>,
        is_wanted: impl Fn(&V) -> bool,
    ) -> impl Iterator<Item = &K> {
        let buckets = buckets.start..buckets.end.min(self.buckets());
        let entries = buckets.filter_map(|bucket| self.buckets.get(bucket));
        entries
            .filter(move |full| is_wanted(&full.value))
            .map(|full| &full.key)
    }

    /// Takes all entries with their marks away and leaves these buckets.
    fn empty_out(&mut self, buckets: Buckets<K, V>, phase: Phase) -> (Buckets<K, V>, Marks) {
        let old = std::mem::replace(&mut self.buckets, buckets);
        let frozen = match phase.is_frozen {
            true => self.frozen.take_marks(phase.generation, self.buckets.count()),
            false => Box::default(),
        };
        let marks = Marks {
            frozen,
            recent: (0..old.words()).map(|word| old.changed_in(word)).collect(),
            older: self.changes.take_older(),
        };
        (old, marks)
    }

    /// Takes an entry in from another table.
    fn move_in(&mut self, hash: u64, full: Full<K, V>, mark: Mark, phase: Phase) {
        let bucket = self.place(hash, full, mark.is_frozen, phase);
        self.buckets.set_changed(bucket, mark.is_recent);
        if mark.is_older {
            self.changes.set_older(bucket, self.buckets.count());
        }
    }

    /// Inserts an entry and returns its bucket; `marked` when the running snapshot must not have it from there.
    #[inline]
    fn place(&mut self, hash: u64, full: Full<K, V>, marked: bool, phase: Phase) -> usize {
        let bucket = self.buckets.insert(hash, full);
        if phase.is_frozen && marked && self.drained != phase.generation {
            self.frozen
                .of(phase.generation, self.buckets.count())
                .mark(bucket);
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

fn extent_at(depth: u32) -> Extent {
    match depth {
        ..LARGE_FROM => Extent::Small,
        _ => Extent::Large,
    }
}

/// The hash of a key that was hashed before; `first_hash` in place of a key that suddenly has none.
fn hash_or<K: Key>(first_hash: u32, key: &K, hasher: &mut StableHasher) -> u64 {
    hasher.hash(key).unwrap_or(u64::from(first_hash))
}

/// What is known of the buckets of a table that is given up: a bit for each, or nothing.
struct Marks {
    /// Those that the running snapshot has or must not have.
    frozen: Box<[u64]>,
    /// Those that have changed since the newest freeze.
    recent: Vec<u64>,
    /// Those that had changed before.
    older: Vec<u64>,
}

/// The same of a bucket.
struct Mark {
    is_frozen: bool,
    is_recent: bool,
    is_older: bool,
}

impl Marks {
    fn of(&self, bucket: usize) -> Mark {
        let is_set = |bits: &[u64]| {
            let word = bits.get(bucket / 64);
            word.is_some_and(|word| word & (1 << (bucket % 64)) != 0)
        };
        Mark {
            is_frozen: is_set(&self.frozen),
            is_recent: is_set(&self.recent),
            is_older: is_set(&self.older),
        }
    }
}

/// Hands out all entries of a table, each with its bucket.
fn move_entries<K: Key, V: Data>(mut table: Buckets<K, V>, mut place: impl FnMut(Full<K, V>, usize)) {
    for word in 0..table.words() {
        for bit in bits(table.full_in(word)) {
            if let Some(full) = table.take(64 * word + bit) {
                place(full, 64 * word + bit);
            }
        }
    }
}
