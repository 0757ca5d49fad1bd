//! What is remembered for a running snapshot.

mod before_images;
mod kept;
mod pool;

pub(super) use before_images::BeforeImages;
pub(super) use kept::{Kept, Spare};

use super::changes::Removed;
use pool::Pool;
use snapline_core::{Data, Key};
use snapline_prefetch::prefetch;
use std::ops::Range;

/// A drain stops when it has done this much work: some tens of microseconds.
const QUANTUM: usize = 32 * 1024;
/// The same in bytes of copies, which take less time than to encode entries.
const QUANTUM_OF_COPIES: usize = 64 * 1024;

/// The buckets of a segment that a running snapshot has or must not have.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    /// The snapshot that it is about.
    generation: u64,
    /// A bit for each bucket that must not be encoded any more.
    marks: Box<[u64]>,
}

/// Entries of neighbouring segments.
#[derive(Debug)]
pub(super) struct Run<K, V> {
    pub(super) kept: Kept<K, V>,
    pub(super) removed: Removed,
    /// How many words of bits were looked at.
    pub(super) work: usize,
    hashes: Option<(u32, u32)>,
}

impl Frozen {
    /// What is remembered for a snapshot, which begins with nothing.
    #[inline]
    pub(super) fn of(&mut self, generation: u64, buckets: usize) -> &mut Self {
        if self.generation != generation {
            self.begin(generation, buckets);
        }
        self
    }

    #[cold]
    fn begin(&mut self, generation: u64, buckets: usize) {
        self.generation = generation;
        self.marks = vec![0; buckets.div_ceil(64)].into();
    }

    /// Marks a bucket; whether it was not marked before.
    #[inline]
    pub(super) fn mark(&mut self, index: usize) -> bool {
        let (word, bit) = (&mut self.marks[index / 64], 1 << (index % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// Fetches what [`Frozen::mark`] will change.
    #[inline]
    pub(super) fn prefetch(&self, index: usize) {
        if let Some(word) = self.marks.get(index / 64) {
            prefetch(word, || *word);
        }
    }

    /// The marks of the 64 buckets from `64 * word` on.
    #[inline]
    pub(super) fn marks_in(&self, word: usize, generation: u64) -> u64 {
        match self.generation == generation {
            true => self.marks[word],
            false => 0,
        }
    }

    pub(super) fn mark_all_before(&mut self, index: usize) {
        self.marks[..index / 64].fill(u64::MAX);
        if !index.is_multiple_of(64) {
            self.marks[index / 64] |= (1 << (index % 64)) - 1;
        }
    }

    /// Takes the marks for a snapshot away and leaves none, for this many buckets.
    pub(super) fn take_marks(&mut self, generation: u64, buckets: usize) -> Box<[u64]> {
        match self.generation == generation {
            true => std::mem::replace(&mut self.marks, vec![0; buckets.div_ceil(64)].into()),
            false => Box::default(),
        }
    }
}

impl<K: Key, V: Data> Run<K, V> {
    /// Nothing, with room for entries.
    pub(super) fn with(kept: Kept<K, V>) -> Self {
        Self {
            kept,
            removed: Removed::default(),
            work: 0,
            hashes: None,
        }
    }

    pub(super) fn has_enough(&self) -> bool {
        self.kept.share_of_quantum() + self.work >= QUANTUM
    }

    /// Appends entries whose keys have some of these hashes.
    fn append(&mut self, kept: &Kept<K, V>, hashes: &Range<u64>) {
        self.kept.append(kept);
        self.widen(hashes.start as u32, (hashes.end - 1) as u32);
    }

    /// The first and the last hash that an entry may have.
    pub(super) fn hashes(&self) -> Option<(u32, u32)> {
        self.hashes
    }

    pub(super) fn widen(&mut self, first: u32, last: u32) {
        let (low, high) = self.hashes.unwrap_or((first, last));
        self.hashes = Some((low.min(first), high.max(last)));
    }
}
