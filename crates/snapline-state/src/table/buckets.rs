//! Where the entries of a segment lie, in one of two ways.
//!
//! In a [tagged](tagged) table a search looks at a byte of each hash first, and at no key that is not most likely the
//! right one. That takes the fewest instructions, but two lines of memory. Where memory is waited for, because the table
//! is large, entries that own no memory, such as numbers, lie in a [flat](flat) array, where one line is enough.
//!
//! An entry never changes its bucket. When a table has no room left, its entries move to another.

mod flat;
mod tagged;

use flat::Flat;
use snapline_core::{Data, Key};
use tagged::Tagged;

/// An array of places for entries.
#[derive(Debug)]
pub(super) enum Buckets<K, V> {
    Flat(Flat<K, V>),
    Tagged(Tagged<K, V>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Full<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

/// Longer entries are not copied, and do not lie flat: several of them are looked at until the right one is found.
const LONGEST_PLAIN: usize = 64;

/// How large the table is of which the buckets are a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Most of it may be in a cache.
    Small,
    Large,
}

impl<K: Key, V: Data> Buckets<K, V> {
    /// The lowest of eight bits of a hash that say, about, where in a table an entry lies. A small table, for which the
    /// order does not matter, may have another.
    pub(super) const ORDERED_FROM: u32 = if is_plain::<K, V>() { 56 } else { 4 };

    /// None, with room for nothing.
    pub(super) fn new() -> Self {
        Self::Tagged(Tagged::new())
    }

    /// Room for at least so many entries, and at least for one.
    pub(super) fn with_room_for(entries: usize, extent: Extent) -> Self {
        match extent {
            Extent::Large if is_plain::<K, V>() => Self::Flat(Flat::with_room_for(entries)),
            _ => Self::Tagged(Tagged::with_room_for(entries)),
        }
    }

    /// How many entries there is room for in about so many buckets, a power of two.
    pub(super) const fn room_of(buckets: usize, extent: Extent) -> usize {
        match extent {
            Extent::Large if is_plain::<K, V>() => flat::room_of(flat::places_of(buckets / 8 * 7)),
            _ => tagged::room_of(buckets),
        }
    }

    /// How many buckets there are.
    #[inline]
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Flat(flat) => flat.count(),
            Self::Tagged(tagged) => tagged.count(),
        }
    }

    /// How many of them have an entry.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Flat(flat) => flat.len(),
            Self::Tagged(tagged) => tagged.len(),
        }
    }

    /// How many entries there may be before they should move.
    #[inline]
    pub(super) fn room(&self) -> usize {
        match self {
            Self::Flat(flat) => flat.room(),
            Self::Tagged(tagged) => tagged.room(),
        }
    }

    /// The bucket that has a key.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<usize> {
        match self {
            Self::Flat(flat) => flat.find_from(flat.home(hash), key),
            Self::Tagged(tagged) => tagged.find(hash, key),
        }
    }

    /// The value of a key; if `is_noted`, its bucket is marked as changed.
    #[inline(always)]
    pub(super) fn value(&mut self, hash: u64, key: &K, is_noted: bool) -> Option<&mut V> {
        match self {
            Self::Flat(flat) => {
                let home = flat.home(hash);
                flat.prefetch_behind(home);
                flat.value_from(home, key, is_noted)
            }
            Self::Tagged(tagged) => tagged.value(hash, key, is_noted),
        }
    }

    /// The bucket that has a key whose hash is [likely](Buckets::likely) to be in this bucket. An entry may be there
    /// though none is found.
    #[inline(always)]
    pub(super) fn find_from(&self, likely: usize, key: &K) -> Option<usize> {
        match self {
            Self::Flat(flat) => flat.find_from(likely, key),
            Self::Tagged(tagged) => tagged.find_at(likely, key),
        }
    }

    /// The same with its value and, if `is_noted`, a mark that it changes.
    #[inline(always)]
    pub(super) fn value_from(&mut self, likely: usize, key: &K, is_noted: bool) -> Option<&mut V> {
        match self {
            Self::Flat(flat) => flat.value_from(likely, key, is_noted),
            Self::Tagged(tagged) => tagged.value_at(likely, key, is_noted),
        }
    }

    /// Fetches what [`Buckets::likely`] reads.
    #[inline(always)]
    pub(super) fn prefetch_tag(&self, hash: u64) {
        if let Self::Tagged(tagged) = self {
            tagged.prefetch_tag(hash);
        }
    }

    /// Where a search for a hash most likely ends; it and its marks are fetched.
    #[inline(always)]
    pub(super) fn likely(&self, hash: u64) -> usize {
        match self {
            Self::Flat(flat) => flat.prefetched_home(hash),
            Self::Tagged(tagged) => tagged.likely(hash),
        }
    }

    /// The entry in a bucket.
    #[inline(always)]
    pub(super) fn get(&self, bucket: usize) -> Option<&Full<K, V>> {
        match self {
            Self::Flat(flat) => flat.get(bucket),
            Self::Tagged(tagged) => tagged.get(bucket),
        }
    }

    /// Inserts an entry whose key is missing, and returns its bucket. There has to be room.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, full: Full<K, V>) -> usize {
        match self {
            Self::Flat(flat) => flat.insert(hash, full),
            Self::Tagged(tagged) => tagged.insert(hash, full),
        }
    }

    /// Takes the entry out of a bucket.
    pub(super) fn remove(&mut self, bucket: usize) -> Option<Full<K, V>> {
        match self {
            Self::Flat(flat) => flat.remove(bucket),
            Self::Tagged(tagged) => tagged.remove(bucket),
        }
    }

    /// The same where it does not matter whether the rest is still found.
    #[inline]
    pub(super) fn take(&mut self, bucket: usize) -> Option<Full<K, V>> {
        match self {
            Self::Flat(flat) => flat.get(bucket).cloned(),
            Self::Tagged(tagged) => tagged.remove(bucket),
        }
    }

    /// Fetches a bucket.
    #[inline(always)]
    pub(super) fn prefetch(&self, bucket: usize) {
        match self {
            Self::Flat(flat) => flat.prefetch(bucket),
            Self::Tagged(tagged) => tagged.prefetch(bucket),
        }
    }

    /// A bit for each of the 64 buckets from `64 * word` on: whether it has an entry.
    #[inline]
    pub(super) fn full_in(&self, word: usize) -> u64 {
        match self {
            Self::Flat(flat) => flat.full_in(word),
            Self::Tagged(tagged) => tagged.full_in(word),
        }
    }

    /// A bit for each of the 64 buckets from `64 * word` on: whether it is marked as changed.
    #[inline]
    pub(super) fn changed_in(&self, word: usize) -> u64 {
        match self {
            Self::Flat(flat) => flat.changed_in(word),
            Self::Tagged(tagged) => tagged.changed_in(word),
        }
    }

    /// Marks a bucket as changed or takes the mark away.
    #[inline]
    pub(super) fn set_changed(&mut self, bucket: usize, is_changed: bool) {
        match self {
            Self::Flat(flat) => flat.set_changed(bucket, is_changed),
            Self::Tagged(tagged) => tagged.set_changed(bucket, is_changed),
        }
    }

    /// Takes all these marks away.
    pub(super) fn forget_changed(&mut self) {
        match self {
            Self::Flat(flat) => flat.forget_changed(),
            Self::Tagged(tagged) => tagged.forget_changed(),
        }
    }

    /// How many buckets have them.
    pub(super) fn count_changed(&self) -> usize {
        (0..self.words())
            .map(|word| self.changed_in(word).count_ones() as usize)
            .sum()
    }

    /// How many words there are of bits for each bucket.
    pub(super) fn words(&self) -> usize {
        self.count().div_ceil(64)
    }

    /// The buckets that have an entry.
    pub(super) fn full(&self) -> impl Iterator<Item = usize> + use<'_, K, V> {
        (0..self.words()).flat_map(|word| bits(self.full_in(word)).map(move |bit| 64 * word + bit))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Full<K, V>> {
        self.full().filter_map(|bucket| self.get(bucket))
    }
}

/// Whether copies of entries of these types are cheap and need no end. Such entries may lie flat, where empty places
/// are filled with copies.
pub(super) const fn is_plain<K, V>() -> bool {
    !std::mem::needs_drop::<Full<K, V>>() && size_of::<Full<K, V>>() <= LONGEST_PLAIN
}

/// The bits that are set, from the lowest on.
#[inline]
pub(super) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros() as usize;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// What is done to a table.
    #[derive(Debug, Clone, Copy)]
    enum Change {
        Put(u8),
        Remove(u8),
        Move,
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = prop_oneof![
            5 => any::<u8>().prop_map(Change::Put),
            4 => any::<u8>().prop_map(Change::Remove),
            1 => Just(Change::Move),
        ];
        prop::collection::vec(change, 0..400)
    }

    /// Many keys have the same home, in tables of either kind; some of them at the end of the array. Only the bits that
    /// are tags in one of them differ, or of the half that the other does not look at.
    fn hash(key: u8, extent: Extent) -> u64 {
        let (is_last, home, other) = (key.is_multiple_of(3), u64::from(key % 16), u64::from(key / 16));
        match (extent, is_last) {
            (Extent::Small, true) => u64::MAX ^ other << 60,
            (Extent::Small, false) => home ^ other << 60,
            (Extent::Large, true) => u64::MAX << 32 | home ^ other,
            (Extent::Large, false) => home << 60 | home ^ other,
        }
    }

    fn is_changed<V: Data>(buckets: &Buckets<u8, V>, bucket: usize) -> bool {
        buckets.changed_in(bucket / 64) & 1 << (bucket % 64) != 0
    }

    fn moved<V: Data>(old: &mut Buckets<u8, V>, extent: Extent) -> Buckets<u8, V> {
        let mut new = Buckets::with_room_for(old.len() + 1, extent);
        let full: Vec<usize> = old.full().collect();
        for bucket in full {
            let entry = old.remove(bucket).unwrap();
            new.insert(hash(entry.key, extent), entry);
        }
        assert_eq!(old.len(), 0);
        new
    }

    /// Makes the changes and compares with a map after each.
    fn check<V: Data + PartialEq + std::fmt::Debug>(
        extent: Extent,
        changes: &[Change],
        value: impl Fn(usize) -> V,
    ) {
        let mut buckets = Buckets::new();
        let mut model = BTreeMap::<u8, (usize, V)>::new();
        for (time, change) in changes.iter().enumerate() {
            match *change {
                Change::Put(key) if model.contains_key(&key) => {
                    let bucket = buckets.find(hash(key, extent), &key).unwrap();
                    let is_noted = time.is_multiple_of(2);
                    *buckets.value(hash(key, extent), &key, is_noted).unwrap() = value(time);
                    assert_eq!(is_changed(&buckets, bucket), is_noted);
                    buckets.set_changed(bucket, false);
                    assert_eq!(buckets.count_changed(), 0);
                    model.insert(key, (bucket, value(time)));
                }
                Change::Put(key) => {
                    assert_eq!(buckets.find(hash(key, extent), &key), None);
                    if buckets.len() == buckets.room() {
                        buckets = moved(&mut buckets, extent);
                        model.iter_mut().for_each(|(key, (bucket, _))| {
                            *bucket = buckets.find(hash(*key, extent), key).unwrap()
                        });
                    }
                    let entry = Full {
                        key,
                        value: value(time),
                    };
                    model.insert(key, (buckets.insert(hash(key, extent), entry), value(time)));
                }
                Change::Remove(key) => {
                    let bucket = buckets.find(hash(key, extent), &key);
                    assert_eq!(bucket, model.get(&key).map(|(bucket, _)| *bucket));
                    let removed = bucket.and_then(|bucket| buckets.remove(bucket));
                    assert_eq!(
                        removed.map(|full| full.value),
                        model.remove(&key).map(|(_, value)| value)
                    );
                }
                Change::Move => {
                    buckets = moved(&mut buckets, extent);
                    model.iter_mut().for_each(|(key, (bucket, _))| {
                        *bucket = buckets.find(hash(*key, extent), key).unwrap()
                    });
                }
            }
            compare(&buckets, &model, extent);
        }
    }

    fn compare<V: Data + PartialEq + std::fmt::Debug>(
        buckets: &Buckets<u8, V>,
        model: &BTreeMap<u8, (usize, V)>,
        extent: Extent,
    ) {
        assert_eq!(buckets.len(), model.len());
        assert!(buckets.len() <= buckets.room());
        let entry = |bucket| {
            buckets
                .get(bucket)
                .map(|full| (full.key, (bucket, full.value.clone())))
        };
        let found: BTreeMap<_, _> = buckets.full().filter_map(entry).collect();
        assert_eq!(found, *model);
        for (key, (bucket, _)) in model {
            assert_eq!(buckets.find(hash(*key, extent), key), Some(*bucket));
            let likely = buckets.likely(hash(*key, extent));
            let found = buckets.find_from(likely, key);
            assert!(found.is_none_or(|found| found == *bucket));
            assert!(matches!(buckets, Buckets::Tagged(_)) || found.is_some());
            // Also a place that was likely before the entries moved leads to nothing else.
            let mut stale = (0..buckets.count()).filter_map(|place| buckets.find_from(place, key));
            assert!(stale.all(|found| found == *bucket));
        }
    }

    #[test]
    fn numbers_may_lie_flat_and_texts_may_not() {
        assert!(is_plain::<u64, u64>() && is_plain::<(u32, bool), [u64; 4]>());
        assert!(is_plain::<u8, ()>() && !is_plain::<u64, [u64; 8]>());
        assert!(!is_plain::<String, u64>() && !is_plain::<u64, Vec<u8>>());
    }

    #[test]
    fn a_table_has_the_room_that_it_is_made_with() {
        for extent in [Extent::Small, Extent::Large] {
            let most = Buckets::<u64, u64>::room_of(4096, extent);
            for entries in [0, 1, 13, 14, 100, most] {
                let buckets = Buckets::<u64, u64>::with_room_for(entries, extent);
                assert!(buckets.room() >= entries.max(1) && buckets.count() <= 4096);
                assert!(entries < most || buckets.room() == most);
            }
        }
        assert_eq!(Buckets::<u64, u64>::new().room(), 0);
    }

    proptest! {
        #[test]
        fn a_flat_table_holds_what_a_map_holds(changes in changes()) {
            check(Extent::Large, &changes, |time| time as u64);
            check(Extent::Large, &changes, |_| ());
        }

        #[test]
        fn a_tagged_table_holds_what_a_map_holds(changes in changes()) {
            check(Extent::Small, &changes, |time| time as u64);
            check(Extent::Large, &changes, |time| time.to_string());
        }
    }
}
