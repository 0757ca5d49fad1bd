//! What has changed in a segment since a freeze, for snapshots that hold only that.

use super::phase::Phase;
use crate::format::block::{Entry, push_sized};
use serde::Serialize;
use snapline_core::stable_hash_bytes;
use snapline_prefetch::prefetch;

/// The buckets that have changed and the keys that are gone.
///
/// Changes since the newest freeze are apart from older ones: a snapshot of that freeze has the older
/// ones alone, and when later snapshots build on it, these are what is forgotten. That is settled when a
/// segment is touched, so that a freeze itself touches none.
#[derive(Debug)]
pub(super) struct Changes {
    /// The newest freeze that the segment knows of.
    generation: u64,
    /// A bit for each bucket that has an entry and has changed since; empty when there are none.
    recent: Vec<u64>,
    rest: Option<Box<Rest>>,
}

/// What is rarely looked at.
#[derive(Debug, Default)]
struct Rest {
    /// A bit for each bucket that had changed before the newest freeze; empty when there are none.
    older: Vec<u64>,
    /// The first freeze that has all of the older changes.
    covered: u64,
    recent_removed: Removed,
    older_removed: Removed,
    /// The last snapshot that was given the removed keys.
    handed_out: u64,
    /// The last hash of the segment when the first key was removed; a split may have lowered it since.
    last_hash: u32,
}

/// Encoded keys.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) payload: Vec<u8>,
    pub(super) keys: u32,
}

/// Which buckets of a table that is given up had changed.
#[derive(Debug, Default)]
pub(super) struct ChangedBuckets {
    recent: Vec<u64>,
    older: Vec<u64>,
}

impl Changes {
    /// None.
    pub(super) const fn new() -> Self {
        Self {
            generation: 0,
            recent: Vec::new(),
            rest: None,
        }
    }

    /// What is known of the keys with hashes from this one on, for the segment that is split off with them. The
    /// buckets are not among it.
    ///
    /// Removed keys have to go along: if they stayed behind, they could be remembered for longer than that they
    /// came back, which is noted where they are.
    pub(super) fn split_off(&mut self, first_hash: u32) -> Self {
        let rest = self.rest.as_mut().map(|rest| {
            Box::new(Rest {
                older: Vec::new(),
                covered: rest.covered,
                recent_removed: rest.recent_removed.split_off(first_hash),
                older_removed: rest.older_removed.split_off(first_hash),
                handed_out: rest.handed_out,
                last_hash: rest.last_hash,
            })
        });
        Self {
            generation: self.generation,
            recent: Vec::new(),
            rest,
        }
    }

    /// The same as `note`, for a bucket that has most likely changed before.
    ///
    /// Not to write is worth a branch then: in a small table the next entries have their bits in the same words,
    /// and each of them would wait for the last to be written.
    #[inline(always)]
    pub(super) fn note_again(&mut self, bucket: usize, buckets: usize, phase: &Phase) {
        let word = self.recent.get(bucket / 64);
        let is_noted = word.is_some_and(|word| word & (1 << (bucket % 64)) != 0);
        if self.generation != phase.generation || !is_noted {
            self.note(bucket, buckets, phase);
        }
    }

    /// A bucket changes.
    #[inline]
    pub(super) fn note(&mut self, bucket: usize, buckets: usize, phase: &Phase) {
        if self.generation != phase.generation || self.recent.is_empty() {
            self.begin(buckets, phase);
        }
        self.recent[bucket / 64] |= 1 << (bucket % 64);
    }

    /// Fetches what `note` will change.
    #[inline]
    pub(super) fn prefetch(&self, bucket: usize) {
        if let Some(word) = self.recent.get(bucket / 64) {
            prefetch(word, || *word);
        }
    }

    #[cold]
    fn begin(&mut self, buckets: usize, phase: &Phase) {
        self.settle(*phase);
        self.recent.resize(buckets.div_ceil(64), 0);
    }

    /// A key is removed. One that cannot be encoded was never in a snapshot.
    pub(super) fn note_removed<K: Serialize>(
        &mut self,
        bucket: usize,
        key: &K,
        last_hash: u32,
        phase: Phase,
    ) {
        self.settle(phase);
        if let Some(word) = self.recent.get_mut(bucket / 64) {
            *word &= !(1 << (bucket % 64));
        }
        let rest = self.rest.get_or_insert_default();
        let removed = &mut rest.recent_removed;
        if push_sized(key, &mut removed.payload).is_ok() {
            removed.keys += 1;
            rest.last_hash = rest.last_hash.max(last_hash);
        }
    }

    /// Sorts the changes by what the table has frozen meanwhile.
    pub(super) fn settle(&mut self, phase: Phase) {
        if let Some(rest) = &mut self.rest
            && rest.covered <= phase.base
        {
            rest.older.clear();
            rest.older_removed = Removed::default();
        }
        if self.generation >= phase.generation {
            return;
        }
        let covered = self.generation + 1;
        self.generation = phase.generation;
        if covered > phase.base {
            self.grow_older(covered);
        } else if let Some(rest) = &mut self.rest {
            rest.recent_removed = Removed::default();
        }
        self.recent.clear();
    }

    /// What was recent becomes older.
    fn grow_older(&mut self, covered: u64) {
        let removed = self.rest.as_ref().map_or(0, |rest| rest.recent_removed.keys);
        if self.recent.is_empty() && removed == 0 {
            return;
        }
        let rest = self.rest.get_or_insert_default();
        rest.covered = covered;
        if rest.older.is_empty() {
            std::mem::swap(&mut rest.older, &mut self.recent);
        } else {
            let both = rest.older.iter_mut().zip(&self.recent);
            both.for_each(|(older, recent)| *older |= recent);
        }
        let removed = std::mem::take(&mut rest.recent_removed);
        rest.older_removed.payload.extend_from_slice(&removed.payload);
        rest.older_removed.keys += removed.keys;
    }

    /// How many buckets have changed since the newest freeze.
    pub(super) fn count_recent(&self, phase: &Phase) -> usize {
        match self.generation == phase.generation {
            true => self.recent.iter().map(|bits| bits.count_ones() as usize).sum(),
            false => 0,
        }
    }

    /// How many buckets have changed since a freeze, settled or not.
    pub(super) fn count_since(&self, freeze: u64) -> usize {
        let recent: &[u64] = match self.generation >= freeze {
            true => &self.recent,
            false => &[],
        };
        let rest = self.rest.as_ref().filter(|rest| rest.covered > freeze);
        let older: &[u64] = rest.map_or(&[], |rest| &rest.older);
        let word = |bits: &[u64], index| bits.get(index).copied().unwrap_or_default();
        let both = (0..recent.len().max(older.len())).map(|index| word(recent, index) | word(older, index));
        both.map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether a bucket had changed before the newest freeze. Only when settled.
    pub(super) fn is_older(&self, bucket: usize) -> bool {
        let word = self.rest.as_ref().and_then(|rest| rest.older.get(bucket / 64));
        word.is_some_and(|word| word & (1 << (bucket % 64)) != 0)
    }

    /// The buckets that had changed before the newest freeze, in 64s. Only when settled.
    pub(super) fn older(&self) -> &[u64] {
        self.rest.as_ref().map_or(&[], |rest| &rest.older)
    }

    /// The keys that were removed before this freeze, the first time that it asks, and the last hash that
    /// they may have. Only when settled.
    pub(super) fn older_removed(&mut self, generation: u64) -> Option<(&Removed, u32)> {
        let rest = self.rest.as_mut()?;
        if rest.older_removed.keys == 0 || rest.handed_out == generation {
            return None;
        }
        rest.handed_out = generation;
        Some((&rest.older_removed, rest.last_hash))
    }

    /// Takes the marks of buckets away: the entries are about to get others.
    pub(super) fn take_buckets(&mut self) -> ChangedBuckets {
        ChangedBuckets {
            recent: std::mem::take(&mut self.recent),
            older: self
                .rest
                .as_mut()
                .map(|rest| std::mem::take(&mut rest.older))
                .unwrap_or_default(),
        }
    }

    /// An entry has moved from a bucket of another table.
    pub(super) fn restore(&mut self, was: &ChangedBuckets, from: usize, to: usize, buckets: usize) {
        let is_set = |bits: &[u64]| {
            let word = bits.get(from / 64);
            word.is_some_and(|word| word & (1 << (from % 64)) != 0)
        };
        if is_set(&was.recent) {
            set(&mut self.recent, to, buckets);
        }
        if is_set(&was.older) {
            set(&mut self.rest.get_or_insert_default().older, to, buckets);
        }
    }
}

impl Removed {
    /// The keys with hashes from this one on.
    fn split_off(&mut self, first_hash: u32) -> Self {
        let all = std::mem::take(self);
        let mut upper = Self::default();
        // They were encoded here, so none is cut off.
        for key in Entry::removed(&all.payload).map_while(Result::ok) {
            let is_upper = stable_hash_bytes(key) as u32 >= first_hash;
            let owner = if is_upper { &mut upper } else { &mut *self };
            Entry::append_removed(key, &mut owner.payload);
            owner.keys += 1;
        }
        upper
    }
}

impl ChangedBuckets {
    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.older.is_empty()
    }
}

fn set(bits: &mut Vec<u64>, bucket: usize, buckets: usize) {
    if bits.is_empty() {
        bits.resize(buckets.div_ceil(64), 0);
    }
    bits[bucket / 64] |= 1 << (bucket % 64);
}

#[cfg(test)]
mod tests;
