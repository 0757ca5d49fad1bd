//! What has changed in a segment since a freeze, for snapshots that hold only that.

use super::buckets::Buckets;
use super::phase::Phase;
use crate::format::block::{Entry, push_sized};
use serde::Serialize;
use snapline_core::{Data, Key, stable_hash_bytes};

/// Since when the buckets that are marked as [changed](Buckets::changed_in) have, what had changed before, and the keys
/// that are gone.
///
/// Changes since the newest freeze are apart from older ones: a snapshot of that freeze has the older
/// ones alone, and when later snapshots build on it, these are what is forgotten. That is settled when a
/// segment is touched, so that a freeze itself touches none.
#[derive(Debug)]
pub(super) struct Changes {
    /// The newest freeze that the segment knows of.
    generation: u64,
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

impl Changes {
    /// None.
    pub(super) const fn new() -> Self {
        Self {
            generation: 0,
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
            rest,
        }
    }

    /// Whether the buckets that are marked have changed since the newest freeze.
    #[inline(always)]
    pub(super) fn are_settled(&self, phase: &Phase) -> bool {
        self.generation >= phase.generation
    }

    /// A key is removed. One that cannot be encoded was never in a snapshot. Only when settled.
    pub(super) fn note_removed<K: Serialize>(&mut self, key: &K, last_hash: u32) {
        let rest = self.rest.get_or_insert_default();
        let removed = &mut rest.recent_removed;
        if push_sized(key, &mut removed.payload).is_ok() {
            removed.keys += 1;
            rest.last_hash = rest.last_hash.max(last_hash);
        }
    }

    /// Sorts the changes by what the table has frozen meanwhile.
    pub(super) fn settle<K: Key, V: Data>(&mut self, buckets: &mut Buckets<K, V>, phase: Phase) {
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
            self.grow_older(buckets, covered);
        } else if let Some(rest) = &mut self.rest {
            rest.recent_removed = Removed::default();
        }
        buckets.forget_changed();
    }

    /// What was recent becomes older.
    fn grow_older<K: Key, V: Data>(&mut self, buckets: &Buckets<K, V>, covered: u64) {
        let removed = self.rest.as_ref().map_or(0, |rest| rest.recent_removed.keys);
        if buckets.count_changed() == 0 && removed == 0 {
            return;
        }
        let rest = self.rest.get_or_insert_default();
        rest.covered = covered;
        rest.older.resize(buckets.words(), 0);
        for (word, older) in rest.older.iter_mut().enumerate() {
            *older |= buckets.changed_in(word);
        }
        let removed = std::mem::take(&mut rest.recent_removed);
        rest.older_removed.payload.extend_from_slice(&removed.payload);
        rest.older_removed.keys += removed.keys;
    }

    /// How many buckets have changed since the newest freeze.
    pub(super) fn count_recent<K: Key, V: Data>(&self, buckets: &Buckets<K, V>, phase: &Phase) -> usize {
        match self.are_settled(phase) {
            true => buckets.count_changed(),
            false => 0,
        }
    }

    /// How many buckets have changed since a freeze, settled or not.
    pub(super) fn count_since<K: Key, V: Data>(&self, buckets: &Buckets<K, V>, freeze: u64) -> usize {
        let has_recent = self.generation >= freeze;
        let rest = self.rest.as_ref().filter(|rest| rest.covered > freeze);
        let older: &[u64] = rest.map_or(&[], |rest| &rest.older);
        let changed_in = |word| {
            let recent = if has_recent { buckets.changed_in(word) } else { 0 };
            recent | older.get(word).copied().unwrap_or(0)
        };
        (0..buckets.words())
            .map(|word| changed_in(word).count_ones() as usize)
            .sum()
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

    /// Takes the marks of buckets that are older away: the entries are about to get others.
    pub(super) fn take_older(&mut self) -> Vec<u64> {
        let rest = self.rest.as_mut();
        rest.map(|rest| std::mem::take(&mut rest.older))
            .unwrap_or_default()
    }

    /// An entry that had changed before the newest freeze comes to this of so many buckets.
    pub(super) fn set_older(&mut self, bucket: usize, buckets: usize) {
        let older = &mut self.rest.get_or_insert_default().older;
        older.resize(buckets.div_ceil(64), 0);
        older[bucket / 64] |= 1 << (bucket % 64);
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

#[cfg(test)]
mod tests;
