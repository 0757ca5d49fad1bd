//! Entries one beside the other, four to a group, each in the group that its hash says or in the next with room.
//!
//! Places without an entry hold a copy of some entry, so that there is nothing between the entries: a group of two
//! numbers each is a line of memory. Which places count is said by a bit for each. All keys of a group are compared
//! without a branch between them, which a processor could not foresee.
//!
//! The upper half of a hash, as a fraction, says how far into the array its group is. So entries lie in the same order
//! in arrays of all lengths, and go from one to the next as from one stream to another.

use super::Full;
use snapline_core::{Data, Key};
use snapline_prefetch::prefetch;

/// An array of entries, and which of its places are taken.
#[derive(Debug)]
pub(in crate::table) struct Flat<K, V> {
    /// Empty until there is an entry to fill it with.
    groups: Box<[Group<K, V>]>,
    taken: Box<[u64]>,
    /// Places that a search takes for taken though their entry is gone; empty while there are none.
    left: Box<[u64]>,
    count: u32,
    len: u32,
    /// How many of the places that are not taken must stay so, or were left.
    spare: u32,
}

type Group<K, V> = [Full<K, V>; GROUP];

/// So many places a group has.
const GROUP: usize = 4;

/// The bits of a group.
const ALL: u64 = (1 << GROUP) - 1;

/// How many entries there are room for in so many places. Of four three are filled. Then nearly a tenth of the entries
/// are not in the group of their hash.
pub(super) const fn room_of(places: usize) -> usize {
    places / 4 * 3
}

/// How many places there are at least of the few lengths that there are.
///
/// Allocators have blocks of four lengths between powers of two. One group less leaves them room for what they add.
pub(super) const fn places_of(least: usize) -> usize {
    let with_group = if least + GROUP < FEWEST {
        FEWEST
    } else {
        least + GROUP
    };
    let step = with_group.next_power_of_two() / 8;
    with_group.next_multiple_of(step) - GROUP
}

const FEWEST: usize = 20;

impl<K: Key, V: Data> Flat<K, V> {
    pub(super) fn with_room_for(entries: usize) -> Self {
        let count = places_of((entries * 4).div_ceil(3));
        Self {
            groups: Box::default(),
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

    /// The first place of the group that a hash says.
    #[inline(always)]
    pub(super) fn home(&self, hash: u64) -> usize {
        GROUP * (((hash >> 32) * u64::from(self.count / GROUP as u32)) >> 32) as usize
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
        if let Some(group) = self.groups.get(at / GROUP) {
            prefetch(group, || group[0].key.clone());
        }
    }

    /// The place of a key, from the group of its home on.
    #[inline(always)]
    pub(super) fn find_from(&self, home: usize, key: &K) -> Option<usize> {
        let mut first = home;
        loop {
            let group = self.groups.get(first / GROUP)?;
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
        let group = self.groups.get_mut(at / GROUP)?;
        Some((at, &mut group[at % GROUP].value))
    }

    #[inline(always)]
    pub(super) fn get(&self, at: usize) -> Option<&Full<K, V>> {
        let group = self.groups.get(at / GROUP).filter(|_| is_set(&self.taken, at))?;
        Some(&group[at % GROUP])
    }

    #[inline]
    pub(super) fn insert(&mut self, hash: u64, full: Full<K, V>) -> usize {
        if self.groups.is_empty() {
            let group = std::array::from_fn(|_| full.clone());
            self.groups = vec![group; self.count() / GROUP].into();
            self.taken = vec![0; self.count().div_ceil(64)].into();
        }
        let mut first = self.home(hash);
        while group_of(&self.taken, first) == ALL {
            first = self.behind(first);
        }
        let at = first + group_of(&self.taken, first).trailing_ones() as usize;
        self.groups[at / GROUP][at % GROUP] = full;
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

    /// The group behind this one, and the first behind the last.
    #[inline(always)]
    fn behind(&self, first: usize) -> usize {
        let next = first + GROUP;
        if next < self.count() { next } else { 0 }
    }

    fn before(&self, first: usize) -> usize {
        if first > 0 { first } else { self.count() }.wrapping_sub(GROUP)
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
