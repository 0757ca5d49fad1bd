//! Entries one beside the other, four to a group, each in the group that its hash says or in the next with room.
//!
//! Places without an entry hold a copy of some entry, so that there is nothing between the entries: a group of two
//! numbers each is a line of memory. Which places count is said by a bit for each. All keys of a group are compared
//! without a branch between them, which a processor could not foresee.

use super::Full;
use snapline_core::{Data, Key};
use snapline_prefetch::prefetch;

/// An array of entries, and which of its places are taken.
#[derive(Debug)]
pub(in crate::table) struct Flat<K, V> {
    /// Empty until there is an entry to fill it with.
    places: Box<[Full<K, V>]>,
    taken: Box<[u64]>,
    /// Places that a search takes for taken though their entry is gone; empty while there are none.
    left: Box<[u64]>,
    count: u32,
    len: u32,
    /// How many of the places that are not taken must stay so, or were left.
    spare: u32,
}

/// So many places a group has.
const GROUP: usize = 4;

/// The bits of a group.
const ALL: u64 = (1 << GROUP) - 1;

/// Of four buckets three are filled. Then nearly a tenth of the entries are not in the group of their hash.
pub(super) const fn room_of(buckets: usize) -> usize {
    buckets / 4 * 3
}

const FEWEST: usize = 16;

impl<K: Key, V: Data> Flat<K, V> {
    pub(super) fn with_room_for(entries: usize) -> Self {
        Self::with_places_for(entries, 0)
    }

    pub(super) fn with_places_for(entries: usize, most: usize) -> Self {
        let places = (entries * 4).div_ceil(3).max(most).max(FEWEST);
        let count = places.next_power_of_two();
        Self {
            places: Box::default(),
            taken: Box::default(),
            left: Box::default(),
            count: count as u32,
            len: 0,
            spare: (count - room_of(count)) as u32,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn room(&self) -> usize {
        (self.count - self.spare) as usize
    }

    /// The place that a hash says.
    #[inline(always)]
    pub(super) fn home(&self, hash: u64) -> usize {
        hash as usize & self.mask()
    }

    #[inline(always)]
    pub(super) fn prefetched_home(&self, hash: u64) -> usize {
        let home = self.home(hash);
        self.prefetch(home);
        if let Some(word) = self.taken.get(home / 64) {
            prefetch(word, || *word);
        }
        home
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, at: usize) {
        if let Some(full) = self.places.get(at) {
            prefetch(full, || full.key.clone());
        }
    }

    /// The place of a key, from the group of its home on.
    #[inline(always)]
    pub(super) fn find_from(&self, home: usize, key: &K) -> Option<usize> {
        let mut first = home - home % GROUP;
        loop {
            let group = self.places.get(first..)?.first_chunk::<GROUP>()?;
            let taken = group_of(&self.taken, first);
            let equal = |index: usize| u64::from(group[index].key == *key) << index;
            let equal = (equal(0) | equal(1)) | (equal(2) | equal(3));
            if equal & taken != 0 {
                return Some(first + (equal & taken).trailing_zeros() as usize);
            }
            if taken | group_of(&self.left, first) != ALL {
                return None;
            }
            first = self.behind(first);
        }
    }

    #[inline(always)]
    pub(super) fn find_mut_from(&mut self, home: usize, key: &K) -> Option<(usize, &mut V)> {
        let at = self.find_from(home, key)?;
        let full = self.places.get_mut(at)?;
        Some((at, &mut full.value))
    }

    #[inline(always)]
    pub(super) fn get(&self, at: usize) -> Option<&Full<K, V>> {
        self.places.get(at).filter(|_| is_set(&self.taken, at))
    }

    #[inline]
    pub(super) fn insert(&mut self, hash: u64, full: Full<K, V>) -> usize {
        if self.places.is_empty() {
            self.places = vec![full.clone(); self.count()].into();
            self.taken = vec![0; self.count().div_ceil(64)].into();
        }
        let home = self.home(hash);
        let mut first = home - home % GROUP;
        while group_of(&self.taken, first) == ALL {
            first = self.behind(first);
        }
        let at = first + group_of(&self.taken, first).trailing_ones() as usize;
        self.places[at] = full;
        self.taken[at / 64] |= bit(at);
        self.len += 1;
        if is_set(&self.left, at) {
            self.left[at / 64] &= !bit(at);
            self.spare -= 1;
        }
        at
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Full<K, V>> {
        let full = self.get(at)?.clone();
        let first = at - at % GROUP;
        if self.is_full(first) {
            self.leave(at);
        }
        self.taken[at / 64] &= !bit(at);
        self.len -= 1;
        self.forget_left(first);
        Some(full)
    }

    /// Whether a search goes on behind a group.
    fn is_full(&self, first: usize) -> bool {
        group_of(&self.taken, first) | group_of(&self.left, first) == ALL
    }

    fn leave(&mut self, at: usize) {
        if self.left.is_empty() {
            self.left = vec![0; self.taken.len()].into();
        }
        self.left[at / 64] |= bit(at);
        self.spare += 1;
    }

    /// Behind a group before an unused one there is nothing to be found, so what was left in it is as good as new.
    fn forget_left(&mut self, from: usize) {
        if self.left.is_empty() {
            return;
        }
        if self.len == 0 {
            self.left = Box::default();
            self.spare = self.count - room_of(self.count()) as u32;
            return;
        }
        let mut first = from;
        loop {
            if self.is_unused(self.behind(first)) {
                let left = group_of(&self.left, first);
                self.left[first / 64] &= !(left << (first % 64));
                self.spare -= left.count_ones();
            }
            if !self.is_unused(first) {
                return;
            }
            first = self.before(first);
        }
    }

    fn is_unused(&self, first: usize) -> bool {
        group_of(&self.taken, first) | group_of(&self.left, first) == 0
    }

    #[inline]
    pub(super) fn full_in(&self, word: usize) -> u64 {
        self.taken.get(word).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn mask(&self) -> usize {
        self.count.wrapping_sub(1) as usize
    }

    /// The group behind this one, and the first behind the last.
    #[inline(always)]
    fn behind(&self, first: usize) -> usize {
        (first + GROUP) & self.mask()
    }

    fn before(&self, first: usize) -> usize {
        first.wrapping_sub(GROUP) & self.mask()
    }
}

/// The bits of the group that begins at this place. There may be no bits.
#[inline(always)]
fn group_of(bits: &[u64], first: usize) -> u64 {
    bits.get(first / 64).map_or(0, |word| word >> (first % 64) & ALL)
}

#[inline(always)]
fn is_set(bits: &[u64], at: usize) -> bool {
    bits.get(at / 64).is_some_and(|word| word & bit(at) != 0)
}

/// In the word of a place, its bit.
#[inline(always)]
fn bit(at: usize) -> u64 {
    1 << (at % 64)
}
