//! What a segment remembers for a running snapshot.

use super::changes::Removed;
use crate::format::block::Entry;
use serde::Serialize;
use snapline_core::Result;

/// A drain stops when it has done this much work: some tens of microseconds.
const QUANTUM: usize = 16 * 1024;

/// The buckets that a running snapshot has or must not have, and entries as they were.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    /// The snapshot that it is about.
    generation: u64,
    /// A bit for each bucket that must not be encoded any more.
    marks: Vec<u64>,
    /// Entries as they were before they changed, and how many.
    before: Vec<u8>,
    before_entries: u32,
    /// The last hash of the segment when the first entry was kept; a split may have lowered it since.
    last_hash: u32,
}

/// Encoded entries of neighbouring segments.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) payload: Vec<u8>,
    pub(super) entries: u32,
    pub(super) removed: Removed,
    /// How many buckets were looked at.
    pub(super) work: usize,
    hashes: Option<(u32, u32)>,
}

impl Frozen {
    /// What is remembered for a snapshot, which begins with nothing.
    #[inline]
    pub(super) fn of(
        place: &mut Option<Box<Self>>,
        generation: u64,
        buckets: usize,
        last_hash: u32,
    ) -> &mut Self {
        let frozen = place.get_or_insert_default();
        if frozen.generation != generation {
            **frozen = Self {
                generation,
                marks: vec![0; buckets.div_ceil(64)],
                last_hash,
                ..Self::default()
            };
        }
        frozen
    }

    pub(super) fn is_of(&self, generation: u64) -> bool {
        self.generation == generation
    }

    /// Marks a bucket; whether it was not marked before.
    #[inline]
    pub(super) fn mark(&mut self, index: usize) -> bool {
        let (word, bit) = (&mut self.marks[index / 64], 1 << (index % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    #[inline]
    pub(super) fn is_marked(&self, index: usize) -> bool {
        self.marks[index / 64] & (1 << (index % 64)) != 0
    }

    pub(super) fn mark_all_before(&mut self, index: usize) {
        self.marks[..index / 64].fill(u64::MAX);
        if !index.is_multiple_of(64) {
            self.marks[index / 64] |= (1 << (index % 64)) - 1;
        }
    }

    /// Takes the marks away and leaves none, for this many buckets.
    pub(super) fn take_marks(&mut self, buckets: usize) -> Vec<u64> {
        std::mem::replace(&mut self.marks, vec![0; buckets.div_ceil(64)])
    }

    /// Keeps an entry as it is.
    pub(super) fn keep<K: Serialize, V: Serialize>(&mut self, key: &K, value: &V) -> Result<()> {
        Entry::encode(key, value, &mut self.before)?;
        self.before_entries += 1;
        Ok(())
    }

    /// Moves the entries that were kept for a snapshot to a run.
    pub(super) fn move_into(&mut self, generation: u64, run: &mut Run) {
        if self.generation == generation && self.before_entries > 0 {
            run.payload.append(&mut self.before);
            run.entries += std::mem::take(&mut self.before_entries);
            run.widen(self.last_hash, self.last_hash);
        }
    }
}

impl Run {
    pub(super) fn has_enough(&self) -> bool {
        self.payload.len() + self.work >= QUANTUM
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
