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
use snapline_prefetch::{prefetch, prefetch_at};

/// An array of entries, and which of its places are taken.
#[derive(Debug)]
pub(in crate::table) struct Flat<K, V> {
    /// Empty until there is an entry to fill it with.
    groups: Box<[Group<K, V>]>,
    marks: Box<[Marks]>,
    left: Option<Box<Left>>,
    count: u32,
    len: u32,
}

/// A bit for each of 64 places, of what an access has to know: in one line of memory.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    taken: u64,
    changed: u64,
}

/// Places that a search takes for taken though their entry is gone.
#[derive(Debug)]
struct Left {
    places: Box<[u64]>,
    count: usize,
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
            marks: Box::default(),
            left: None,
            count: count as u32,
            len: 0,
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
        let left = self.left.as_ref().map_or(0, |left| left.count);
        room_of(self.count()) - left
    }

    /// The first place of the group that a hash says.
    #[inline(always)]
    pub(super) fn home(&self, hash: u64) -> usize {
        GROUP * self.home_group(hash)
    }

    #[inline(always)]
    fn home_group(&self, hash: u64) -> usize {
        (((hash >> 32) * self.groups.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    pub(super) fn prefetched_home(&self, hash: u64) -> usize {
        let group = self.home_group(hash);
        prefetch_at(self.groups.as_ptr().wrapping_add(group).addr(), || {
            self.groups.get(group).map(|group| group[0].key.clone())
        });
        self.prefetch_behind(GROUP * group);
        let word = group / (64 / GROUP);
        prefetch_at(self.marks.as_ptr().wrapping_add(word).addr(), || {
            self.marks.get(word).copied()
        });
        GROUP * group
    }

    /// Fetches the group behind, where nearly a tenth of the searches from here on end.
    #[inline(always)]
    pub(super) fn prefetch_behind(&self, home: usize) {
        let group = home / GROUP + 1;
        prefetch_at(self.groups.as_ptr().wrapping_add(group).addr(), || {
            self.groups.get(group).map(|group| group[0].key.clone())
        });
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, at: usize) {
        if let Some(group) = self.groups.get(at / GROUP) {
            prefetch(group, || group[0].key.clone());
        }
    }

    /// The place of a key, from the group of its home on. A home that was said before the entries moved may be any place.
    #[inline(always)]
    pub(super) fn find_from(&self, home: usize, key: &K) -> Option<usize> {
        let home = home - home % GROUP;
        let group = self.groups.get(home / GROUP)?;
        match find_in(group, key) & self.taken_of(home) {
            0 => self.find_behind(home, key),
            found => Some(home + found.trailing_zeros() as usize),
        }
    }

    /// The place of a key that is not in the group of its home.
    #[inline(never)]
    fn find_behind(&self, home: usize, key: &K) -> Option<usize> {
        let mut first = home;
        while self.is_full(first) {
            first = self.behind(first);
            let group = self.groups.get(first / GROUP)?;
            let found = find_in(group, key) & self.taken_of(first);
            if found != 0 {
                return Some(first + found.trailing_zeros() as usize);
            }
        }
        None
    }

    /// The value of a key, from the group of its home on; if `is_noted`, its place is marked as changed.
    #[inline(always)]
    pub(super) fn value_from(&mut self, home: usize, key: &K, is_noted: bool) -> Option<&mut V> {
        let home = home - home % GROUP;
        let found = find_in(self.groups.get(home / GROUP)?, key) & self.taken_of(home);
        let (first, index) = match found {
            0 => self
                .find_behind(home, key)
                .map(|at| (at - at % GROUP, at % GROUP))?,
            found => (home, found.trailing_zeros() as usize),
        };
        if is_noted {
            self.marks.get_mut(first / 64)?.changed |= bit(first + index);
        }
        let group = self.groups.get_mut(first / GROUP)?;
        Some(&mut group[index % GROUP].value)
    }

    #[inline(always)]
    pub(super) fn get(&self, at: usize) -> Option<&Full<K, V>> {
        let group = self.groups.get(at / GROUP).filter(|_| self.is_taken(at))?;
        Some(&group[at % GROUP])
    }

    #[inline]
    pub(super) fn insert(&mut self, hash: u64, full: Full<K, V>) -> usize {
        if self.groups.is_empty() {
            let group = std::array::from_fn(|_| full.clone());
            self.groups = vec![group; self.count() / GROUP].into();
            self.marks = vec![Marks::default(); self.count().div_ceil(64)].into();
        }
        let mut first = self.home(hash);
        while self.taken_of(first) == ALL {
            first = self.behind(first);
        }
        let at = first + self.taken_of(first).trailing_ones() as usize;
        self.groups[at / GROUP][at % GROUP] = full;
        self.marks[at / 64].taken |= bit(at);
        self.len += 1;
        if let Some(left) = &mut self.left {
            left.forget(at - at % GROUP, bit(at % GROUP));
        }
        at
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Full<K, V>> {
        let full = self.get(at)?.clone();
        let first = at - at % GROUP;
        if self.is_full(first) {
            self.leave(at);
        }
        self.marks[at / 64].taken &= !bit(at);
        self.len -= 1;
        self.forget_left(first);
        Some(full)
    }

    /// Whether a search goes on behind a group.
    fn is_full(&self, first: usize) -> bool {
        self.taken_of(first) | self.left_of(first) == ALL
    }

    fn leave(&mut self, at: usize) {
        let words = self.marks.len();
        let left = self.left.get_or_insert_with(|| Left::none(words));
        left.places[at / 64] |= bit(at);
        left.count += 1;
    }

    /// Behind a group before an unused one there is nothing to be found, so what was left in it is as good as new.
    fn forget_left(&mut self, from: usize) {
        if self.len == 0 {
            self.left = None;
        }
        let mut first = from;
        while self.left.is_some() {
            let is_end = self.is_unused(self.behind(first));
            if let Some(left) = self.left.as_mut().filter(|_| is_end) {
                left.forget(first, ALL);
            }
            if !self.is_unused(first) {
                return;
            }
            first = self.before(first);
        }
    }

    fn is_unused(&self, first: usize) -> bool {
        self.taken_of(first) | self.left_of(first) == 0
    }

    #[inline]
    pub(super) fn full_in(&self, word: usize) -> u64 {
        self.marks.get(word).map_or(0, |marks| marks.taken)
    }

    #[inline]
    pub(super) fn changed_in(&self, word: usize) -> u64 {
        self.marks.get(word).map_or(0, |marks| marks.changed)
    }

    #[inline]
    pub(super) fn set_changed(&mut self, at: usize, is_changed: bool) {
        if let Some(marks) = self.marks.get_mut(at / 64) {
            marks.changed = marks.changed & !bit(at) | u64::from(is_changed) << (at % 64);
        }
    }

    pub(super) fn forget_changed(&mut self) {
        self.marks.iter_mut().for_each(|marks| marks.changed = 0);
    }

    /// For each place of a group, whether it is taken.
    #[inline(always)]
    fn taken_of(&self, first: usize) -> u64 {
        self.marks
            .get(first / 64)
            .map_or(0, |marks| marks.taken >> (first % 64) & ALL)
    }

    #[inline]
    fn is_taken(&self, at: usize) -> bool {
        self.full_in(at / 64) & bit(at) != 0
    }

    fn left_of(&self, first: usize) -> u64 {
        self.left.as_ref().map_or(0, |left| left.of(first))
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

/// A bit for each place of a group that has this key.
#[inline(always)]
fn find_in<K: Key, V>(group: &Group<K, V>, key: &K) -> u64 {
    let equal = |index: usize| u64::from(group[index].key == *key) << index;
    (equal(0) | equal(1)) | (equal(2) | equal(3))
}

impl Left {
    fn none(words: usize) -> Box<Self> {
        Box::new(Self {
            places: vec![0; words].into(),
            count: 0,
        })
    }

    /// Those of the group that begins at this place.
    fn of(&self, first: usize) -> u64 {
        self.places[first / 64] >> (first % 64) & ALL
    }

    /// Forgets these places of the group that begins there.
    fn forget(&mut self, first: usize, places: u64) {
        let left = self.of(first) & places;
        self.places[first / 64] &= !(left << (first % 64));
        self.count -= left.count_ones() as usize;
    }
}

/// In the word of a place, its bit.
#[inline(always)]
fn bit(at: usize) -> u64 {
    1 << (at % 64)
}
